"""Why: every state and every reason to wait has an answer a person can act on."""

from dataclasses import replace
from typing import Any

import pytest

from jobs.causes import CAUSES
from jobs.learning import Lesson, Limit, Source
from jobs.model import Job, JobId, Progress, WorkerId
from jobs.pacing import Bucket
from jobs.report.explain import Explanation, explain
from jobs.report.reasons import Evidence
from jobs.states import FINAL_STATES, HELD_STATES, JobState, WaitReason
from jobs.store.protocol import Event, WorkerInfo, WorkerRow
from tests.builders import NOON_US, a_job, a_request

SECOND = 1_000_000
WHAT = "job-1 (node-local-dns 1.6.36 on pool-a)"


def a_worker(number: int = 1, *, alive: bool = True, jobs: int = 1) -> WorkerRow:
    """Return a worker as the store knows it."""
    return WorkerRow(
        id=WorkerId(number),
        info=WorkerInfo(name=f"w{number}", host="here", pid=number),
        started_us=NOON_US,
        heartbeat_us=NOON_US,
        lease_until_us=NOON_US + 20 * SECOND,
        alive=alive,
        jobs=jobs,
    )


def a_worker_with(*profiles: str) -> WorkerRow:
    """Return a living worker with these profiles."""
    row = a_worker()
    return replace(row, info=replace(row.info, profiles=profiles))


def asked(job: Job, **more: Any) -> Explanation:
    """Explain *job* at noon, with one worker alive."""
    facts: dict[str, Any] = {"now_us": NOON_US, "workers": [a_worker()], **more}
    return explain(job, Evidence(**facts))


def texts(told: Explanation) -> list[str]:
    """Return the sentences of the reasons."""
    return [reason.text for reason in told.reasons]


@pytest.mark.parametrize("state", [state for state in JobState if state is not JobState.WAITING])
def test_every_state_has_a_headline_and_a_reason(state: JobState) -> None:
    """No state answers with silence."""
    told = asked(a_job(state, worker=WorkerId(1), finished_us=NOON_US - SECOND))

    assert told.headline.startswith(WHAT)
    assert told.headline.endswith(".")
    assert told.reasons


@pytest.mark.parametrize("reason", list(WaitReason))
def test_every_reason_to_wait_is_told_with_its_word(reason: WaitReason) -> None:
    """Waiting is told as waiting, with the reason the store names and when it ends."""
    until = NOON_US + 90 * SECOND
    told = asked(a_job(JobState.WAITING, reason=reason, run_at_us=until))

    assert told.reasons[0].kind == reason.value
    assert told.reasons[0].until_us == until
    assert "1m 30s" in told.reasons[0].text


@pytest.mark.parametrize("state", sorted(FINAL_STATES))
def test_a_final_job_needs_no_worker(state: JobState) -> None:
    """A job that has ended is not said to wait for a worker."""
    told = asked(a_job(state, finished_us=NOON_US), workers=[])

    assert "no-worker" not in [reason.kind for reason in told.reasons]
    assert "plugwave work" not in told.do


@pytest.mark.parametrize("state", sorted(set(JobState) - FINAL_STATES))
def test_an_open_job_without_any_worker_says_how_to_start_one(state: JobState) -> None:
    """An idle queue that grows says that nobody works on it."""
    reason = WaitReason.NOT_BEFORE if state is JobState.WAITING else None
    told = asked(a_job(state, reason=reason), workers=[a_worker(alive=False)])

    assert "No worker is running, so nothing moves." in texts(told)
    assert told.do[-1] == "plugwave work"


def test_a_ready_job_tells_whose_turn_it_is() -> None:
    """Ready means that nothing but the order holds it."""
    told = asked(a_job(JobState.READY), workers=[a_worker(1), a_worker(2, jobs=3)], ready=12)

    assert told.headline == f"{WHAT} is ready and waits for its turn."
    assert texts(told) == [
        (
            "2 workers have 4 in hand and 12 jobs are ready; projects take turns, within a project "
            "by priority and by age."
        )
    ]


def test_a_job_behind_another_names_the_holder_and_its_place() -> None:
    """Who holds the pool, in which state, and how many come first."""
    line = [
        a_job(JobState.WATCHING, number=1, request=a_request(plugin="volcano", version="1.15.8")),
        *(
            a_job(JobState.WAITING, number=number, reason=WaitReason.POOL_BUSY)
            for number in range(2, 8)
        ),
    ]
    told = asked(line[-1], pool_jobs=line)

    assert texts(told) == [
        "job-1 (volcano 1.15.8 on pool-a, watching) has the pool; one at a time.",
        "It is number 6 in the line of its pool, behind job-2, job-3, job-4 and 2 more.",
    ]
    assert told.do == ("plugwave why job-1",)
    assert told.reasons[0].job == JobId(1)


def test_a_pool_that_somebody_else_changes_is_told_as_such() -> None:
    """No job of ours holds it, so the next look is what counts."""
    job = a_job(JobState.WAITING, reason=WaitReason.POOL_BUSY, run_at_us=NOON_US + 30 * SECOND)

    assert texts(asked(job, pool_jobs=[job])) == [
        "Somebody else is changing the plug-in or the pool; the next look is in 30s."
    ]


def test_a_backoff_shows_the_last_trouble_with_its_proof() -> None:
    """What went wrong stands beside the waiting, with status, code and request id."""
    progress = Progress(
        misses=3,
        cause="server-error",
        http_status=503,
        error_code="ModelArts.0001",
        detail="busy",
        cloud_request_id="r-9",
    )
    job = a_job(
        JobState.WAITING,
        reason=WaitReason.BACKOFF,
        run_at_us=NOON_US + 2 * SECOND,
        progress=progress,
    )

    assert texts(asked(job)) == [
        "Nothing of the last try took effect; the next try is in 2s (3 in a row went wrong).",
        'Last trouble (server-error): HTTP 503 ModelArts.0001 "busy", request r-9.',
    ]


def test_a_closed_breaker_says_what_to_mend() -> None:
    """A credential in trouble needs a person: the remedy, and what sees whether it helped."""
    progress = Progress(cause="unauthenticated")
    job = a_job(JobState.WAITING, reason=WaitReason.BREAKER, progress=progress)

    assert asked(job).do == (CAUSES["unauthenticated"].do, "plugwave doctor")


def test_an_unknown_job_tells_when_the_late_read_may_happen_and_why() -> None:
    """Until the settle time is over no read proves anything, so nothing is sent."""
    progress = Progress(sends=1, sent_us=NOON_US - 10 * SECOND, not_before_us=NOON_US + 80 * SECOND)
    job = a_job(JobState.UNKNOWN, worker=WorkerId(1), progress=progress)

    told = asked(job)

    assert texts(told) == [
        "Send 1 left 10s ago and has no answer to trust; it may have taken effect.",
        (
            "The read that proves something is in 1m 20s: until then the cloud may still act on "
            "the send, so an earlier read proves nothing."
        ),
    ]
    assert told.reasons[1].until_us == NOON_US + 80 * SECOND


def test_an_unknown_job_whose_time_has_come_is_read_next() -> None:
    """A settle time that is over is not told as a wait."""
    job = a_job(JobState.UNKNOWN, worker=WorkerId(1), progress=Progress(not_before_us=NOON_US))

    assert "late enough" in texts(asked(job))[1]


@pytest.mark.parametrize("state", sorted(HELD_STATES))
def test_a_job_of_a_dead_worker_says_that_another_goes_on(state: JobState) -> None:
    """A crash is told as what it is: the place is kept, the lease ends soon."""
    workers = [a_worker(1, alive=False), a_worker(2)]

    told = asked(a_job(state, worker=WorkerId(1)), workers=workers)

    freed = next(reason for reason in told.reasons if reason.kind == "freed")
    assert freed.text == "w1 has gone; another worker goes on with it, its lease ends in 20s."


def test_a_handed_back_job_is_in_nobodys_hand() -> None:
    """After a drain the next free worker takes it up."""
    told = asked(a_job(JobState.WATCHING, worker=None))

    assert "No worker has it in hand at the moment; the next free one goes on with it." in texts(
        told
    )


def test_a_failed_job_tells_cause_proof_likely_reason_and_remedy() -> None:
    """What, why and do, in one answer."""
    progress = Progress(cause="abnormal", phase="Abnormal", reason="ImagePullBackOff")
    job = a_job(JobState.FAILED, progress=progress, finished_us=NOON_US - 60 * SECOND)

    told = asked(job)

    assert told.headline == f"{WHAT} failed 1m ago."
    assert texts(told) == [
        "Cause: abnormal, image could not be pulled.",
        'Seen: "ImagePullBackOff".',
        "Likely: the nodes of these pools cannot reach the image registry of their region.",
    ]
    assert told.do == (
        "check the network, DNS and proxy from these pools to the image registry",
        "plugwave jobs retry job-1",
    )


def test_a_failure_is_explained_by_the_clouds_code_and_not_by_its_class() -> None:
    """The same page as `plugwave explain` of that code."""
    progress = Progress(
        cause="unauthenticated",
        http_status=401,
        error_code="APIG.0301",
        detail="verify aksk signature fail",
    )

    told = asked(a_job(JobState.FAILED, progress=progress))

    assert texts(told)[0] == "Cause: unauthenticated, the signature of the access key was refused."
    assert told.do[0].startswith("set the secret key anew")


def test_a_failure_that_a_retry_cannot_help_proposes_none() -> None:
    """A hopeless retry is not offered."""
    job = a_job(JobState.FAILED, progress=Progress(cause="no-effect"))

    assert asked(job).do == (CAUSES["no-effect"].do,)


def test_an_unknown_cause_is_told_as_it_stands() -> None:
    """A word of a newer program is no reason to crash, or to guess."""
    told = asked(a_job(JobState.FAILED, progress=Progress(cause="invented-later")))

    assert texts(told)[0] == "Cause: invented-later, a failure without a known cause."
    assert texts(told)[1].startswith("Likely: not in our catalogue yet")


def test_a_cancelled_job_names_who_cancelled_it() -> None:
    """The history knows who asked."""
    event = Event(
        seq=1,
        at_us=NOON_US,
        job=JobId(1),
        event="cancelled",
        state=JobState.CANCELLED,
        data={"by": "ana@sre-3"},
    )

    told = asked(a_job(JobState.CANCELLED, finished_us=NOON_US), history=[event])

    assert texts(told) == ["Cancelled by ana@sre-3 before anything took effect."]


def test_a_pause_the_cloud_asked_for_is_told_to_every_open_job() -> None:
    """A 429 holds all who share the credential, so each of them says so."""
    blocked = {"credential": Bucket(blocked_us=NOON_US + 5 * SECOND), "other": Bucket()}

    told = asked(a_job(JobState.READY), buckets=blocked)

    assert told.reasons[-1].kind == "rate-limit"
    assert told.reasons[-1].until_us == NOON_US + 5 * SECOND


@pytest.mark.parametrize(
    ("lesson", "text"),
    [
        (
            Lesson(
                per_s=25.0,
                source=Source.TEXT,
                named=Limit(count=25),
                taught_us=NOON_US - 60 * SECOND,
            ),
            "at most 25 requests a second (named by a 429: 25 in 1s, last 429 1m ago).",
        ),
        (
            Lesson(per_s=24.44, step=1, taught_us=NOON_US),
            "at most 24.4 requests a second (observed, last 429 0s ago, trying more).",
        ),
        (
            Lesson(per_s=7.5, source=Source.START),
            "at most 7.5 requests a second (rate is auto: nothing was refused yet).",
        ),
    ],
    ids=["text", "observed", "auto"],
)
def test_a_limit_that_was_learned_is_told_with_where_from(lesson: Lesson, text: str) -> None:
    """Who asks why it is slow reads how fast it may be, and who said so."""
    rows = {"token:ab|https://x": Bucket(lesson=lesson), "other": Bucket()}

    told = asked(a_job(JobState.READY), buckets=rows)

    assert texts(told)[-1] == f"Of token:ab at https://x is allowed: {text}"


def test_a_cancel_that_was_asked_for_is_told() -> None:
    """Whoever asked sees that it was heard."""
    told = asked(a_job(JobState.CHECKING, worker=WorkerId(1), cancel_asked=True))

    assert "cancel-asked" in [reason.kind for reason in told.reasons]


@pytest.mark.parametrize(
    ("ahead_s", "text"),
    [
        (60, "Its deadline is in 1m."),
        (-1, "Its deadline has passed; it ends with the next read."),
    ],
)
def test_the_deadline_is_told(ahead_s: int, text: str) -> None:
    """A job says how long it may still take."""
    job = a_job(JobState.WATCHING, worker=WorkerId(1), deadline_us=NOON_US + ahead_s * SECOND)

    assert texts(asked(job))[-1] == text


def test_inputs_are_never_part_of_an_explanation() -> None:
    """What may be a secret is not explained."""
    job = a_job(
        JobState.FAILED,
        request=a_request(inputs={"custom": {"password": "s3cret-value"}}),
        progress=Progress(cause="abnormal", inputs={"custom": {"password": "s3cret-value"}}),
    )

    assert "s3cret-value" not in repr(asked(job).as_dict())


def test_the_structured_answer_has_instants_in_utc() -> None:
    """Programs get the same answer with times they can compare."""
    job = a_job(JobState.WAITING, reason=WaitReason.NOT_BEFORE, run_at_us=NOON_US + SECOND)

    assert asked(job).as_dict() == {
        "job": "job-1",
        "state": "waiting",
        "headline": f"{WHAT} waits for its time.",
        "reasons": [
            {
                "kind": "not-before",
                "text": "Its request says not before; it becomes ready in 1s.",
                "until": "2026-11-24T12:00:01.000Z",
                "job": None,
            }
        ],
        "do": [],
    }


@pytest.mark.parametrize("state", [JobState.READY, JobState.UNKNOWN, JobState.WATCHING])
def test_a_job_of_a_profile_that_no_worker_has_says_so(state: JobState) -> None:
    """It waits for a worker, whatever the number of workers that are running."""
    job = a_job(state, request=a_request(profile="east"))
    told = asked(job, workers=[a_worker_with("west"), a_worker()])

    [missing] = [reason for reason in told.reasons if reason.kind == "no-worker"]
    assert missing.text == "It is sent as profile east, which no running worker has."
    assert told.do[-1] == "add [profiles.east] to the settings of a worker"


def test_a_job_of_a_profile_that_a_worker_has_waits_for_its_turn() -> None:
    """One worker with the profile is enough."""
    job = a_job(JobState.READY, request=a_request(profile="east"))
    told = asked(job, workers=[a_worker(), a_worker_with("east", "west")])

    assert [reason.kind for reason in told.reasons] == ["turn"]
    assert told.do == ()
