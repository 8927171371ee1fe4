"""A lost answer: only a late-enough read proves anything, and no effect takes two."""

from dataclasses import replace
from typing import Any

import pytest

from jobs.clock import MICROSECONDS
from jobs.decide import Move, Offered, Step, first_look, next_move
from jobs.model import Job, PluginSeen
from jobs.outcomes import Outcome
from jobs.states import JobEvent, JobState, next_state
from tests.builders import NOON_US
from tests.rules.builders import (
    CUSTOM,
    OLD,
    WANTED,
    after,
    answer,
    answered,
    read,
    rules,
    seen,
    unknown,
)

UNCHANGED = seen()
"""As `builders.unknown` saw it before the send."""


def late(job: Job, plugin: PluginSeen | None, at: float, **patience: Any) -> Move:
    """Return the move after a read asked *at* seconds after noon and answered at once."""
    return next_move(job, read(plugin, at), after(at), rules(**patience))


def twice(job: Job, plugin: PluginSeen | None, **patience: Any) -> Move:
    """Return the move after two late reads, five seconds apart."""
    first = late(job, plugin, 90, **patience)
    assert first.event is None
    return late(replace(job, progress=first.progress), plugin, 95, **patience)


def seconds(at_us: int) -> float:
    """Return an instant in seconds after noon."""
    return (at_us - NOON_US) / MICROSECONDS


# -- nothing earlier proves anything ---------------------------------------------------------


@pytest.mark.parametrize(
    "plugin",
    [None, UNCHANGED, seen(version=WANTED), seen("Updating", WANTED), seen("Abnormal", WANTED)],
    ids=["absent", "unchanged", "target", "coming", "abnormal"],
)
def test_a_read_before_its_time_proves_nothing(plugin: PluginSeen | None) -> None:
    """Whatever a read shows before `not_before`, the job waits for that instant."""
    job = unknown()

    move = late(job, plugin, 89.999)

    assert (move.event, move.step) == (None, Step.LOOK)
    assert seconds(move.at_us) == 90
    assert move.progress == job.progress


def test_a_read_that_was_asked_too_early_proves_nothing_when_it_arrives() -> None:
    """What counts is when the read was asked, not when its answer came."""
    move = next_move(unknown(), read(seen(version=WANTED), 89), after(119), rules())

    assert move.event is None


@pytest.mark.parametrize(("now", "first"), [(10, 90), (200, 200)])
def test_a_worker_that_takes_over_waits_out_the_settle_time(now: float, first: float) -> None:
    """The instant is persisted, so a restart neither shortens nor repeats the wait."""
    move = first_look(unknown(), after(now), rules())

    assert move.step is Step.LOOK
    assert seconds(move.at_us) == first


# -- the reconcile table ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "now"),
    [
        (None, seen("Pending", WANTED)),
        (None, seen(version=WANTED)),
        (None, seen("Abnormal", None)),
        (None, seen(version="3.0")),
        (UNCHANGED, seen("Updating", OLD)),
        (UNCHANGED, seen("Updating", WANTED)),
        (UNCHANGED, seen(version=WANTED)),
        (UNCHANGED, seen("Abnormal", WANTED)),
        (UNCHANGED, seen("Abnormal", OLD)),
        (UNCHANGED, seen(version=OLD, created_at="2026-11-24T12:00:10Z")),
        (UNCHANGED, seen(version="3.0")),
        (seen(version=WANTED), seen(version=WANTED)),
        (
            seen(version=WANTED, inputs={"custom": {"ndots": "2"}}),
            seen(version=WANTED, inputs={"custom": {"ndots": "3"}}),
        ),
    ],
    ids=[
        "absent, pending",
        "absent, running",
        "absent, abnormal without a version",
        "absent, another version",
        "running, updating",
        "running, updating and told",
        "running, at the wanted version",
        "running, abnormal at the wanted version",
        "running, abnormal at the old version",
        "running, another being",
        "running, another version",
        "satisfied before and after",
        "wanted version, other inputs than before",
    ],
)
def test_anything_but_unchanged_is_watched(before: PluginSeen | None, now: PluginSeen) -> None:
    """One late read that shows any change is enough: it is watched, never sent again."""
    job = unknown(before=before, inputs=CUSTOM if now.inputs else None)

    move = late(job, now, 90)

    assert move.event is JobEvent.FOUND
    assert next_state(JobState.UNKNOWN, move.event) is JobState.WATCHING
    assert move.again
    assert move.progress.accepted_us == after(90)


@pytest.mark.parametrize(
    ("before", "now"),
    [
        (None, None),
        (UNCHANGED, UNCHANGED),
        (UNCHANGED, None),
        (UNCHANGED, seen(inputs={"somebody": "else"})),
        (seen("Abnormal"), seen("Abnormal")),
        (seen("Abnormal"), seen()),
    ],
    ids=[
        "absent and absent",
        "unchanged",
        "deleted meanwhile",
        "old version, somebody else's inputs",
        "abnormal and abnormal",
        "recovered by itself",
    ],
)
def test_no_effect_takes_two_late_reads(before: PluginSeen | None, now: PluginSeen | None) -> None:
    """Unchanged, twice and apart, proves that nothing was applied: it may be sent again."""
    move = twice(unknown(before=before, accepted_us=after(1), polls=7), now)

    assert move.event is JobEvent.NOT_APPLIED
    assert next_state(JobState.UNKNOWN, move.event) is JobState.CHECKING
    assert move.again
    progress = move.progress
    assert (progress.no_effect_us, progress.accepted_us, progress.polls) == (None, None, 0)


def test_two_reads_close_together_are_one() -> None:
    """The second read must be asked five seconds after the first: replicas lag."""
    job = unknown()
    first = late(job, UNCHANGED, 90)

    second = late(replace(job, progress=first.progress), UNCHANGED, 94.999)

    assert seconds(first.at_us) == 95
    assert second.event is None
    assert seconds(second.at_us) == 95


def test_where_effects_come_sooner_the_second_look_does_too() -> None:
    """With a settle time below five seconds, that is how far apart the reads are."""
    job = unknown()
    first = late(job, UNCHANGED, 90, settle_s=1.0)

    second = late(replace(job, progress=first.progress), UNCHANGED, 91, settle_s=1.0)

    assert second.event is JobEvent.NOT_APPLIED


def test_a_change_between_the_two_reads_starts_them_anew() -> None:
    """A deletion seen in between makes the first read worthless."""
    job = unknown()
    first = late(job, UNCHANGED, 90)
    deleting = late(replace(job, progress=first.progress), seen("Deleting"), 93)

    gone = late(replace(job, progress=deleting.progress), None, 96)

    assert deleting.event is None
    assert gone.event is None
    assert seconds(gone.at_us) == 101


@pytest.mark.parametrize("phase", ["Deleting", "Reconciling"])
def test_nothing_is_sent_into_a_deletion_or_a_strange_phase(phase: str) -> None:
    """Somebody deletes it, or nobody knows what it does: wait until it is over."""
    move = late(unknown(), seen(phase), 90)

    assert (move.event, move.step) == (None, Step.LOOK)
    assert seconds(move.at_us) == 95


def test_a_deletion_is_looked_at_less_and_less_often() -> None:
    """The looks become rarer while somebody deletes it."""
    job = unknown()
    first = late(job, seen("Deleting"), 90)

    second = late(replace(job, progress=first.progress), seen("Deleting"), 95)

    assert seconds(second.at_us) == 102.5


def test_the_wait_for_a_deletion_ends_with_the_deadline() -> None:
    """A deletion that never ends fails the job with what was seen."""
    move = late(unknown(deadline=60), seen("Deleting"), 90)

    assert move.event is JobEvent.TIMED_OUT
    assert move.progress.detail == "the deadline passed while the plug-in was Deleting"


def test_without_a_look_before_only_the_wanted_version_tells() -> None:
    """When nothing was read before the send, the wanted version is taken for our effect."""
    blind: dict[str, Any] = {"checked": False, "before": None, "inputs": CUSTOM}
    other_inputs = seen(version=WANTED, inputs={"custom": {"ndots": "2"}})

    assert late(unknown(**blind), other_inputs, 90).event is JobEvent.FOUND
    assert late(unknown(**blind), seen("Abnormal", WANTED), 90).event is JobEvent.FOUND
    assert twice(unknown(**blind), seen()).event is JobEvent.NOT_APPLIED


def test_a_job_that_sent_nothing_finds_nothing_of_its_own() -> None:
    """After an adopted change came to nothing, what is there is nobody's effect of ours."""
    adopted = unknown(sends=1, spared=1, adopted=True, busy_seen=True, checked=False, before=None)

    move = twice(adopted, seen("Abnormal", WANTED))

    assert move.event is JobEvent.NOT_APPLIED
    assert (move.progress.adopted, move.progress.busy_seen) == (False, False)


def test_what_was_found_is_watched_from_the_start() -> None:
    """The rows of an earlier watch and the trouble of the lost answer are over."""
    job = unknown(
        abnormal_reads=2, abnormal_us=after(1), target_us=after(1), no_effect_us=after(1), polls=9
    )

    progress = late(job, seen("Updating", WANTED), 90).progress

    assert (progress.abnormal_reads, progress.abnormal_us, progress.target_us) == (0, None, None)
    assert (progress.no_effect_us, progress.polls, progress.cause) == (None, 0, None)


# -- when no effect is proven ----------------------------------------------------------------


def test_a_refusal_from_nobody_we_know_is_final_once_reads_agree() -> None:
    """A 400 without a known envelope fails the job, but only when reads show no effect."""
    refused = unknown(cause=Outcome.UNKNOWN_REFUSAL.value)

    assert twice(refused, UNCHANGED).event is JobEvent.REFUSED
    assert late(refused, seen("Updating", WANTED), 90).event is JobEvent.FOUND


def test_a_failed_read_does_not_change_how_the_send_was_answered() -> None:
    """The answer to the send decides what *no effect* means, whatever reads ran into."""
    refused = unknown(cause=Outcome.UNKNOWN_REFUSAL.value, http_status=400)
    lost = unknown(cause=Outcome.CONNECTION_LOST.value)
    proxy_page, gone = answer(Outcome.UNKNOWN_REFUSAL), answer(Outcome.CONNECTION_LOST)

    after_refused = next_move(refused, gone, after(90), rules()).progress
    after_lost = next_move(lost, proxy_page, after(90), rules()).progress

    assert twice(replace(refused, progress=after_refused), UNCHANGED).event is JobEvent.REFUSED
    assert twice(replace(lost, progress=after_lost), UNCHANGED).event is JobEvent.NOT_APPLIED
    assert (after_refused.cause, after_refused.misses) == ("unknown-refusal", 1)


def test_a_cloud_that_accepts_and_does_nothing_is_given_up() -> None:
    """Twice accepted and twice without effect: this site ignores the call."""
    assert twice(unknown(stale=1), UNCHANGED).event is JobEvent.NOT_APPLIED

    move = twice(unknown(stale=2), UNCHANGED)

    assert move.event is JobEvent.REFUSED
    assert move.progress.cause == "no-effect"


@pytest.mark.parametrize(
    ("sends", "spared", "event"),
    [(9, 0, JobEvent.NOT_APPLIED), (10, 0, JobEvent.REFUSED), (15, 6, JobEvent.NOT_APPLIED)],
)
def test_attempts_are_counted_without_the_spared_ones(
    sends: int, spared: int, event: JobEvent
) -> None:
    """Ten sends that may have had an effect are enough; throttled ones do not count."""
    move = twice(unknown(sends=sends, spared=spared), UNCHANGED)

    assert move.event is event
    if event is JobEvent.REFUSED:
        assert move.progress.cause == "attempts-spent"


# -- failed reads and the deadline -----------------------------------------------------------


@pytest.mark.parametrize("outcome", list(Outcome), ids=str)
def test_a_failed_read_proves_nothing(outcome: Outcome) -> None:
    """Whatever goes wrong with the read, it is read again, and nothing is sent meanwhile."""
    move = next_move(unknown(), answer(outcome), after(90), rules())

    assert (move.event, move.step) == (None, Step.LOOK)
    assert 90 <= seconds(move.at_us) <= 90.5


def test_after_the_deadline_reads_still_decide() -> None:
    """Late reads that prove no effect fail the job, and say that nothing was installed."""
    move = twice(unknown(deadline=60), UNCHANGED)

    assert move.event is JobEvent.TIMED_OUT
    assert move.progress.cause == Outcome.SERVER_ERROR.value
    assert twice(unknown(deadline=60, cause=None), UNCHANGED).progress.cause == "deadline"
    assert (
        move.progress.detail == "the deadline passed; late reads prove that nothing was installed"
    )


def test_one_read_after_the_deadline_is_not_enough() -> None:
    """The deadline does not make one read prove more than it does."""
    assert late(unknown(deadline=60), UNCHANGED, 90).event is None


def test_an_effect_found_after_the_deadline_is_watched() -> None:
    """What was sent in time and had an effect is followed to its end."""
    assert late(unknown(deadline=60), seen("Updating", WANTED), 90).event is JobEvent.FOUND


def test_when_no_read_could_tell_a_person_decides() -> None:
    """Time is up, the settle time too, and the read failed: unresolved."""
    move = next_move(unknown(deadline=60), answer(Outcome.FORBIDDEN), after(90), rules())

    assert move.event is JobEvent.GAVE_UP
    assert next_state(JobState.UNKNOWN, move.event) is JobState.UNRESOLVED
    assert move.progress.cause == "forbidden"


def test_the_pool_is_not_let_go_while_the_send_may_take_effect() -> None:
    """A failed read past the deadline, but before the settle time is over, ends nothing."""
    move = next_move(unknown(deadline=60), answer(Outcome.FORBIDDEN), after(89), rules())

    assert move.event is None


@pytest.mark.parametrize(
    "said", [answered(Outcome.OK), Offered(versions=())], ids=["send", "offer"]
)
def test_a_job_in_doubt_takes_nothing_but_reads(said: Any) -> None:
    """A job whose answer was lost is read, and nothing else."""
    with pytest.raises(TypeError):
        next_move(unknown(), said, after(90), rules())
