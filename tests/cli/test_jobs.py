"""`plugwave jobs`: look, retry, cancel; each says what is and what happened."""

import json

import pytest

from jobs.model import JobId
from jobs.states import JobEvent, JobState
from jobs.store.protocol import Store
from tests.builders import a_job, a_request
from tests.cli.running import Cli, claim_all
from worker.telling.jobs import cancel_words


def test_a_list_shows_newest_first_with_state_change_and_why(cli: Cli) -> None:
    """One line says what a job is, where it stands and why."""
    cli.add(a_request("pool-a"), a_request("pool-a", version="1.6.63"))

    ran = cli("jobs", "list", "--ascii")

    assert ran.lines[0].split() == ["JOB", "STATE", "POOL", "PLUG-IN", "VERSION", "AGE", "WHY"]
    newest = ran.lines[1].split()
    assert newest[:6] == ["job-2", "~", "waiting", "pool-a", "node-local-dns", "1.6.63"]
    assert newest[-1] == "pool-busy"
    assert ran.lines[2].split()[:3] == ["job-1", ".", "ready"]


@pytest.mark.parametrize(
    ("flags", "jobs"),
    [
        ([], ["job-3", "job-2", "job-1"]),
        (["--limit", "1"], ["job-3"]),
        (["--limit", "0"], ["job-3", "job-2", "job-1"]),
        (["--state", "failed"], ["job-1"]),
        (["--state", "failed", "--state", "ready"], ["job-3", "job-2", "job-1"]),
        (["--state", "running"], []),
        (["--pool", "pool-b"], ["job-2"]),
        (["--plugin", "volcano"], ["job-3"]),
        (["--source", "other"], ["job-2"]),
        (["--cause", "not-found"], ["job-1"]),
        (["--project", "elsewhere"], []),
        (["--since", "1h"], ["job-3", "job-2", "job-1"]),
    ],
)
def test_a_list_is_narrowed_by_what_one_asks_for(
    cli: Cli, flags: list[str], jobs: list[str]
) -> None:
    """Filters combine; `running` is whatever a worker has in hand."""
    cli.add(a_request("pool-a"))
    cli.end(JobEvent.REFUSED, cause="not-found")
    cli.add(a_request("pool-b", source="other"), a_request("pool-c", plugin="volcano"))

    assert cli("jobs", "list", "-o", "name", *flags).lines == jobs


def test_an_empty_list_is_no_error_and_says_so(cli: Cli) -> None:
    """A script gets an empty list, a person gets a word."""
    cli.add()

    assert cli("jobs", "list").err == "there are no jobs yet\n"
    assert cli("jobs", "list", "--state", "failed").err == "no job matches\n"
    assert cli("jobs", "list", "-o", "json").document["items"] == []


def test_a_list_as_json_has_one_object_for_each_job(cli: Cli) -> None:
    """Programs read state, reason, times and the fields of the result line."""
    cli.add(a_request(key="k"), a_request(version="2"))

    second, first = cli("jobs", "list", "-o", "json").document["items"]

    assert (first["job"], first["state"], first["idempotency_key"]) == ("job-1", "ready", "k")
    assert (second["waiting"], second["running"], second["outcome"]) == ("pool-busy", False, None)
    assert first["created_at"].endswith("Z")
    lines = cli("jobs", "list", "-o", "ndjson").lines
    assert [json.loads(line)["job"] for line in lines] == ["job-2", "job-1"]


def test_show_tells_every_fact_and_masks_what_looks_secret(cli: Cli) -> None:
    """Inputs are shown in their shape, passwords are not shown at all."""
    inputs = {"custom": {"ndots": "5", "dbPassword": "s3cret-value"}}
    cli.add(a_request(inputs=inputs, labels={"change": "CHG-1"}))

    ran = cli("jobs", "show", "job-1")

    facts = dict(line.split(None, 1) for line in ran.lines)
    assert json.loads(facts["inputs"]) == {"custom": {"ndots": "5", "dbPassword": "***"}}
    assert facts["labels"] == '{"change": "CHG-1"}'
    document = cli("jobs", "show", "1", "-o", "json").document
    assert document["inputs"]["custom"]["dbPassword"] == "***"
    assert "s3cret-value" not in ran.out + ran.err


def test_a_timeline_tells_what_happened_in_order(cli: Cli) -> None:
    """Each event with the time since the job was created."""
    cli.add(a_request())
    cli.end(JobEvent.REFUSED, cause="not-found")

    ran = cli("jobs", "timeline", "1")

    assert ran.lines[0].split() == ["AFTER", "TIME", "EVENT", "STATE", "FACTS"]
    events = [json.loads(line) for line in cli("jobs", "timeline", "1", "-o", "ndjson").lines]
    assert [event["state"] for event in events][-2:] == ["checking", "failed"]
    assert events[0]["after_s"] == 0.0
    assert len(ran.lines) == len(events) + 1


@pytest.mark.parametrize("command", ["show", "timeline", "cancel", "retry"])
def test_a_job_that_does_not_exist_leaves_with_6(cli: Cli, command: str) -> None:
    """Nothing matched is neither success nor a bug."""
    cli.add(a_request())

    ran = cli("jobs", command, "job-99")

    assert (ran.code, ran.err.splitlines()[0]) == (
        6,
        "error[JOB-06]: there is no job-99 in this store",
    )


def test_a_store_that_does_not_exist_leaves_with_9(cli: Cli) -> None:
    """Looking never makes a store."""
    assert cli("jobs", "list").code == 9
    assert not cli.store_path.exists()


def test_a_retry_is_a_new_job_and_asking_again_names_it(cli: Cli) -> None:
    """A final state stays final; the second call changes nothing."""
    cli.add(a_request(labels={"change": "CHG-1"}))
    cli.end(JobEvent.REFUSED, cause="not-found")

    first, second = cli("jobs", "retry", "job-1"), cli("jobs", "retry", "job-1")

    assert (first.code, first.lines) == (0, ["job-1 retried as job-2"])
    assert (second.code, second.lines) == (0, ["job-1 already retried as job-2"])
    shown = cli("jobs", "show", "2", "-o", "json").document
    assert shown["labels"] == {"change": "CHG-1", "retry-of": "job-1"}
    assert (shown["state"], shown["source"]) == ("ready", "test")
    assert cli("jobs", "show", "1", "-o", "json").document["state"] == "failed"


def test_all_failures_of_one_cause_are_retried_at_once(cli: Cli) -> None:
    """After a repair one command brings back what it broke, and only that."""
    cli.add(a_request("pool-a"), a_request("pool-b"))
    cli.end(JobEvent.REFUSED, cause="not-found")
    cli.add(a_request("pool-c"))
    cli.end(JobEvent.REFUSED, cause="forbidden")

    ran = cli("jobs", "retry", "--state", "failed", "--cause", "not-found", "-o", "json")

    assert ran.document["items"] == [
        {"job": "job-1", "result": "created", "retry": "job-4", "text": "job-1 retried as job-4"},
        {"job": "job-2", "result": "created", "retry": "job-5", "text": "job-2 retried as job-5"},
    ]


def test_a_dry_run_of_a_retry_says_the_same_and_changes_nothing(cli: Cli) -> None:
    """What would be done is what the real run then does."""
    cli.add(a_request("pool-a"), a_request("pool-b"))
    cli.end(JobEvent.REFUSED, cause="not-found")
    cli("jobs", "retry", "1")

    ran = cli("jobs", "retry", "--state", "failed", "--dry-run")

    assert ran.lines == ["job-1 already retried as job-3", "job-2 would be retried"]
    assert "1 would be queued again, 1 had been; nothing was changed" in ran.err
    assert len(cli("jobs", "list", "-o", "name").lines) == 3


def test_only_what_ended_badly_can_be_retried(cli: Cli) -> None:
    """A job that goes on or that is done has nothing to repeat."""
    cli.add(a_request("pool-a"))
    cli.end(JobEvent.ALREADY)
    cli.add(a_request("pool-b"))

    done, ready = cli("jobs", "retry", "1"), cli("jobs", "retry", "2")

    assert (done.code, ready.code) == (2, 2)
    assert "job-1 is unchanged: there is nothing to retry" in done.err
    assert "job-2 is ready" in ready.err
    assert len(cli("jobs", "list", "-o", "name").lines) == 2


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ([], 2),
        (["1", "--state", "failed"], 2),
        (["--state", "succeeded"], 2),
        (["--state", "failed"], 6),
    ],
)
def test_a_retry_says_when_it_does_not_know_what_to_retry(
    cli: Cli, arguments: list[str], code: int
) -> None:
    """Either jobs or a filter; a filter that matches nothing is exit 6."""
    cli.add(a_request())

    assert cli("jobs", "retry", *arguments).code == code


def test_a_cancel_says_what_happened_to_each_job(cli: Cli) -> None:
    """Ready jobs are cancelled, a second call says so too, the pool's next job is free."""
    cli.add(a_request("pool-a"), a_request("pool-a", version="2"))

    first, again = cli("jobs", "cancel", "1"), cli("jobs", "cancel", "1", "job-1")

    assert (first.code, first.lines) == (0, ["job-1 cancelled"])
    assert (again.code, again.lines) == (0, ["job-1 was already cancelled"])
    assert cli("jobs", "show", "2", "-o", "json").document["state"] == "ready"


def test_a_job_in_hand_is_asked_to_stop_before_it_sends(cli: Cli) -> None:
    """What has not been sent can still be stopped."""
    cli.add(a_request())

    async def cancel_in_hand(store: Store) -> tuple[JobState, bool]:
        _, [job] = await claim_all(store)
        after = await store.cancel(job.id, by="test")
        return after.state, after.cancel_asked

    state, asked = cli.with_store(cancel_in_hand)

    before = a_job(JobState.CHECKING)
    assert (state, asked) == (JobState.CHECKING, True)
    assert cancel_words(before, a_job(JobState.CHECKING, cancel_asked=True)) == (
        "stopping",
        "will stop before it sends",
    )


@pytest.mark.parametrize("state", [JobState.SENDING, JobState.UNKNOWN, JobState.WATCHING])
def test_what_was_sent_cannot_be_cancelled_and_says_so(state: JobState) -> None:
    """Too late is told as too late, with where the job stands."""
    word, text = cancel_words(a_job(state), a_job(state))

    assert word == "too-late"
    assert text == f"too late, it was sent ({state}); it is watched to its end"


def test_a_cancel_that_comes_too_late_leaves_with_3(cli: Cli) -> None:
    """A script sees that not everything was cancelled."""
    cli.add(a_request("pool-a"))
    cli.end(JobEvent.ALREADY)
    cli.add(a_request("pool-b"))

    ran = cli("jobs", "cancel", "1", "2")

    assert (ran.code, ran.lines) == (3, ["job-1 is already final: unchanged", "job-2 cancelled"])


def test_a_cancel_of_jobs_one_of_which_does_not_exist_cancels_none(cli: Cli) -> None:
    """A typo in the list is found before anything is changed."""
    cli.add(a_request())

    assert cli("jobs", "cancel", "1", "99").code == 6
    assert cli("jobs", "show", str(JobId(1)), "-o", "json").document["state"] == "ready"


def test_a_cancelled_job_has_its_one_result_line(cli: Cli) -> None:
    """A job that ends by a command, in no worker's hands, has its `job.result` line too."""
    cli.add(a_request())

    first = cli("jobs", "cancel", "1", "--log-format", "json")
    second = cli("jobs", "cancel", "1", "--log-format", "json")

    [line] = [line for line in first.err.splitlines() if '"job.result"' in line]
    assert '"outcome":"cancelled"' in line
    assert "job.result" not in second.err
