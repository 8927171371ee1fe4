"""`failures`: what ended badly, grouped by cause, with the next command ready."""

import re
from typing import Any

import anyio
import pytest

from jobs.clock import MICROSECONDS, SystemClock
from jobs.model import Job, JobId, Progress, WorkerId
from jobs.report import failures as grouping
from jobs.report.failures import FailureGroups
from jobs.states import JobEvent, JobState
from jobs.store.protocol import Change, Store
from jobs.store.sqlite import open_sqlite
from tests.builders import NOON_US, a_job, a_request
from tests.cli.running import A_WORKER, Cli, claim_all
from tests.fakes import FakeClock
from worker.cli.printing import cells

PULL = {
    "cause": "abnormal",
    "phase": "Abnormal",
    "http_status": 200,
}
REFUSED = {
    "cause": "forbidden",
    "http_status": 403,
    "error_code": "APIGW.0302",
    "detail": "The IAM user is not allowed to access the API",
    "cloud_request_id": "9c1f",
}


def fail(cli: Cli, pool: str, **progress: Any) -> None:
    """Queue one job for *pool* and let it fail."""
    cli.add(a_request(pool))
    cli.end(JobEvent.REFUSED, **progress)


def fail_pull(cli: Cli, pool: str, number: int = 1) -> None:
    """Let one job fail because its image cannot be pulled."""
    reason = f"ImagePullBackOff: a.example/volcano:1.15.{number}"
    fail(cli, pool, **PULL, reason=reason, detail=reason)


def test_no_failure_is_told_in_a_sentence(cli: Cli) -> None:
    """A queue without failures leaves with 0 and says so."""
    cli.add(a_request())

    ran = cli("failures")

    assert (ran.code, ran.lines) == (0, ["no job has failed"])
    assert cli("failures", "--since", "1h").lines == ["no failed job matches"]
    assert cli("failures", "--cause", "abnormal").lines == ["no failed job matches"]


def test_failures_are_grouped_by_cause_with_the_largest_first(cli: Cli) -> None:
    """What the cloud said, why it probably happened, where, and what to do."""
    fail(cli, "pool-ap3-007", **REFUSED)
    for number in (10, 14, 20):
        fail_pull(cli, f"pool-cn4-0{number}", number)

    ran = cli("failures")

    told = [re.sub(r"\d{4}-\S+Z", "T", line) for line in ran.lines]
    assert ran.code == 0
    assert told == [
        "4 failed jobs, 2 causes",
        "",
        "C1  image could not be pulled   3 jobs   worth a retry after a fix",
        "    When    first T, last T",
        '    Cloud   phase Abnormal, reason "ImagePullBackOff: a.example/volcano:1.15.20"',
        "    Likely  the nodes of these pools cannot reach the image registry of their region",
        "    Pools   pool-cn4-010, pool-cn4-014, pool-cn4-020",
        "    Do      check the network, DNS and proxy from these pools to the image registry, then",
        "            plugwave jobs retry --state failed --cause abnormal",
        "",
        "C2  the caller is not allowed to use this API   1 job   worth a retry after a fix",
        "    When    T",
        (
            '    Cloud   HTTP 403 APIGW.0302 "The IAM user is not allowed to access the API", '
            "request 9c1f"
        ),
        "    Likely  the user or app lacks the right to manage plug-ins in this project",
        "    Pools   pool-ap3-007",
        "    Do      have an administrator grant the ModelArts pool rights in this project, then",
        "            plugwave jobs retry --state failed --cause forbidden",
    ]
    assert max(cells(line) for line in ran.lines) <= 100


def test_the_command_that_is_told_retries_the_group(cli: Cli) -> None:
    """It can be copied as it stands."""
    fail_pull(cli, "pool-a")
    fail(cli, "pool-b", **REFUSED)

    command = next(line for line in cli("failures").lines if "jobs retry" in line).split()
    ran = cli(*command[1:])

    assert (ran.code, ran.lines) == (0, ["job-1 retried as job-3"])


def test_causes_that_share_a_word_say_that_a_retry_takes_both(cli: Cli) -> None:
    """Nothing is retried without being told."""
    fail_pull(cli, "pool-a")
    fail(cli, "pool-b", **PULL, reason="CrashLoopBackOff", detail="CrashLoopBackOff")

    lines = [line for line in cli("failures").lines if "jobs retry" in line]

    assert lines[0].endswith("--cause abnormal   (retries C2 too)")
    assert lines[1].endswith("--cause abnormal   (retries C1 too)")
    narrowed = [line for line in cli("failures", "--source", "test").lines if "jobs retry" in line]
    assert narrowed[0].endswith("(retries C2 and what --source and --since left out too)")


def test_a_hopeless_retry_is_not_offered(cli: Cli) -> None:
    """Where a retry cannot help there is a remedy and no command."""
    fail(cli, "pool-a", cause="no-effect", detail="the cloud accepted the request")

    ran = cli("failures")

    assert "a retry cannot help" in ran.out
    assert "jobs retry" not in ran.out


def test_an_unknown_text_is_told_as_unknown(cli: Cli) -> None:
    """No guess is made; the title is the text with everything particular blanked out."""
    for number in (1, 2):
        text = f'the moon over pool-{number} was "{number}00" km off'
        fail(cli, f"pool-{number}", **PULL, reason=text, detail=text)

    ran = cli("failures")

    assert ran.lines[2] == (
        "C1  the plug-in is Abnormal: the moon over <*> was <*> km off   2 jobs   "
        "worth a retry after a fix"
    )
    assert "Likely  not in our catalogue yet; to have it added, report this title" in ran.out


def test_many_pools_are_counted_and_five_are_named(cli: Cli) -> None:
    """A cause with a thousand pools stays readable."""
    cli.add(*(a_request(f"pool-{number}") for number in range(7)))
    cli.end(JobEvent.REFUSED, **PULL, reason="ImagePullBackOff")
    fail_pull(cli, "pool-0")

    ran = cli("failures")

    assert "    Pools   pool-0, pool-1, pool-2, pool-3, pool-4 and 2 more" in ran.lines
    assert "   8 jobs   " in ran.lines[2]


def test_one_cause_can_be_asked_for_by_word_number_or_fingerprint(cli: Cli) -> None:
    """C2 stays C2, so that a number can be taken from the list."""
    fail_pull(cli, "pool-a")
    fail_pull(cli, "pool-b")
    fail(cli, "pool-c", **REFUSED)
    every = cli("failures", "-o", "json").document["causes"]

    assert [one["id"] for one in every] == ["C1", "C2"]
    for asked in ("c2", "C2", every[1]["fingerprint"], every[1]["fingerprint"][:6]):
        (one,) = cli("failures", "--cause", asked, "-o", "json").document["causes"]
        assert one == every[1]
    (by_word,) = cli("failures", "--cause", "forbidden", "-o", "json").document["causes"]
    assert by_word == {**every[1], "id": "C1"}


@pytest.mark.parametrize(
    ("asked", "hint"),
    [("abnorml", "did you mean 'abnormal'?"), ("C9", "plugwave failures"), ("0123456789ab", "")],
)
def test_a_cause_that_does_not_exist_leaves_with_6(cli: Cli, asked: str, hint: str) -> None:
    """A misspelt word is not told as the good news that nothing failed."""
    fail_pull(cli, "pool-a")

    ran = cli("failures", "--cause", asked)

    assert ran.code == 6
    assert hint in ran.err


def test_only_one_source_can_be_asked_for(cli: Cli) -> None:
    """Who queued the jobs decides what one looks at."""
    cli.add(a_request("pool-a", source="cron"), a_request("pool-b", source="ci"))
    cli.end(JobEvent.REFUSED, cause="not-found", http_status=404)

    (one,) = cli("failures", "--source", "cron", "-o", "json").document["causes"]

    assert one["pool_names"] == ["pool-a"]


def test_since_asks_when_jobs_ended_and_not_when_they_were_queued(cli: Cli) -> None:
    """What failed tonight counts, also when it was queued last week."""
    two_days_ago = FakeClock(SystemClock().now_us() - 2 * 86_400 * MICROSECONDS)
    requests = [a_request("pool-old"), a_request("pool-late")]

    async def queue_both_and_fail_one() -> None:
        store = await open_sqlite(cli.store_path, two_days_ago)
        await store.enqueue(requests)
        worker = await store.register(A_WORKER, lease_s=20)
        ((_, lease),) = await store.claim(worker, limit=1, deadline_s=60)
        progress = Progress(cause="not-found", http_status=404)
        await store.record(Change(lease=lease, event=JobEvent.REFUSED, progress=progress))
        await store.leave(worker)
        await store.close()

    anyio.run(queue_both_and_fail_one)
    cli.end(JobEvent.REFUSED, cause="not-found", http_status=404)

    def pools(*since: str) -> list[str]:
        (one,) = cli("failures", "-o", "json", *since).document["causes"]
        return list(one["pool_names"])

    assert pools() == ["pool-old", "pool-late"]
    assert pools("--since", "72h") == ["pool-old", "pool-late"]
    assert pools("--since", "1h") == ["pool-late"]


def test_unresolved_jobs_are_counted_with_their_own_word(cli: Cli) -> None:
    """What nobody could tell stands beside what failed, and the command names both."""
    fail(cli, "pool-a", cause="connect-refused", detail="no connection")
    cli.add(a_request("pool-b"))

    async def give_up(store: Store) -> None:
        worker = await store.register(A_WORKER, lease_s=20)
        ((_, lease),) = await store.claim(worker, limit=1, deadline_s=60)
        progress = Progress(cause="connect-refused", sends=1)
        for event in (JobEvent.INTENDED, JobEvent.ANSWER_LOST, JobEvent.GAVE_UP):
            await store.record(Change(lease=lease, event=event, progress=progress))

    cli.with_store(give_up)
    ran = cli("failures")

    assert ran.lines[0] == "1 failed and 1 unresolved jobs, 1 cause"
    assert ran.lines[-1].strip() == (
        "plugwave jobs retry --state failed --state unresolved --cause connect-refused"
    )


def test_what_is_still_running_is_no_failure(cli: Cli) -> None:
    """A job with trouble on its way is not counted before it ends."""
    cli.add(a_request())
    cli.with_store(claim_all)

    assert cli("failures").lines == ["no job has failed"]


def test_the_structured_answer_is_one_document_or_one_line_for_each_cause(cli: Cli) -> None:
    """Programs get every fact, with instants in UTC."""
    fail_pull(cli, "pool-a")
    fail(cli, "pool-b", **REFUSED)

    body = cli("failures", "-o", "json").document
    lines = cli("failures", "-o", "ndjson").lines

    assert body["jobs"] == {"failed": 2, "unresolved": 0}
    assert len(lines) == len(body["causes"]) == 2
    one = next(one for one in body["causes"] if one["cause"] == "forbidden")
    assert one["first_at"] == one["last_at"]
    assert {
        key: one[key] for key in ("class", "retry", "jobs", "pools", "known", "error_code")
    } == {
        "class": "auth",
        "retry": "after-fix",
        "jobs": 1,
        "pools": 1,
        "known": True,
        "error_code": "APIGW.0302",
    }


def test_no_secret_and_no_control_character_gets_through(cli: Cli) -> None:
    """What the cloud repeats of a request is masked on every surface."""
    text = "helm failed: password=hunter2 \x1b[2J https://u:hunter2@x.example/y"
    fail(cli, "pool-a", **PULL, reason=text, detail=text)

    for form in ("table", "json", "ndjson"):
        out = cli("failures", "-o", form).out
        assert "hunter2" not in out
        assert "\x1b" not in out


def ended_job(number: int, ended_us: int, pool: str, **progress: Any) -> Job:
    """Return a failed job."""
    return a_job(
        JobState.FAILED,
        number=number,
        request=a_request(pool),
        finished_us=ended_us,
        worker=WorkerId(1),
        progress=Progress(**progress),
    )


def test_first_and_last_are_when_jobs_ended_in_whatever_order_they_come() -> None:
    """The text that is shown is the one of the job that ended last."""
    groups = FailureGroups()
    for number, ended_us in ((1, 20), (2, 30), (3, 10)):
        groups.add(ended_job(number, NOON_US + ended_us, f"pool-{number}", cause="throttled"))

    (group,) = groups.groups()

    assert (group.first_us, group.last_us) == (NOON_US + 10, NOON_US + 30)
    assert group.last.id == JobId(2)


def test_memory_grows_with_causes_and_not_with_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a group five names, one job and a bounded set are kept; of groups a bounded number."""
    monkeypatch.setattr(grouping, "COUNTED_POOLS", 20)
    monkeypatch.setattr(grouping, "MOST_GROUPS", 3)
    groups = FailureGroups()
    words = ["alpha", "bravo", "charlie", "delta", "echo"]
    for number in range(500):
        told = f"strange {words[number % 5]}"
        groups.add(ended_job(number, NOON_US, f"p{number}", cause="abnormal", reason=told))

    found = groups.groups()

    assert [group.jobs for group in found] == [100, 100, 100]
    assert groups.left_out == 200
    assert all(group.pool_count == 20 and len(group.pools) == 5 for group in found)
