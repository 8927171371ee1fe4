"""The canonical result line and the recap: one story on every surface."""

import pytest

from config.events import JOB_RESULT_KEYS
from jobs.model import Progress, WorkerId
from jobs.report.results import RESULT_KEYS, Recap, bad_causes, class_of, result_fields
from jobs.states import FINAL_STATES, JobState
from tests import planted
from tests.builders import NOON_US, PROJECT, a_job, a_request

SECOND = 1_000_000


def test_a_result_line_has_exactly_the_documented_keys() -> None:
    """Other programs read `job.result` by these keys, in this order."""
    documented = (
        "job idempotency_key source region project_id pool_name plugin version_from version_to "
        "outcome cause cause_class error_code http_status cloud_request_id phase reason attempts "
        "calls throttled wait_s run_s inputs_changed rollout wave worker labels"
    )

    fields = result_fields(a_job(JobState.FAILED), "w1", NOON_US)

    assert list(fields) == documented.split() == list(RESULT_KEYS)
    assert ("ts", "level", "event", *RESULT_KEYS) == JOB_RESULT_KEYS


def test_a_failed_job_is_explained_without_a_join() -> None:
    """Who asked, what changed, what the cloud said and how long it took stand in one line."""
    request = a_request(key="k-1", source="ticket", labels={"change": "CHG-1"})
    progress = Progress(
        version="1.6.36",
        version_from="1.6.30",
        sends=2,
        calls=9,
        throttled=1,
        phase="Abnormal",
        reason="ImagePullBackOff",
        cause="abnormal",
        error_code="ModelArts.1",
        http_status=500,
        cloud_request_id="r-1",
        inputs_changed=("custom.ndots",),
    )
    job = a_job(
        JobState.FAILED,
        number=42,
        request=request,
        progress=progress,
        started_us=NOON_US + SECOND // 4,
        finished_us=NOON_US + 10 * SECOND,
        worker=WorkerId(1),
    )

    assert result_fields(job, "w1", NOON_US) == {
        "job": "job-42",
        "idempotency_key": "k-1",
        "source": "ticket",
        "region": None,
        "project_id": PROJECT,
        "pool_name": "pool-a",
        "plugin": "node-local-dns",
        "version_from": "1.6.30",
        "version_to": "1.6.36",
        "outcome": "failed",
        "cause": "abnormal",
        "cause_class": "plugin",
        "error_code": "ModelArts.1",
        "http_status": 500,
        "cloud_request_id": "r-1",
        "phase": "Abnormal",
        "reason": "ImagePullBackOff",
        "attempts": 2,
        "calls": 9,
        "throttled": 1,
        "wait_s": 0.25,
        "run_s": 9.75,
        "inputs_changed": ["custom.ndots"],
        "rollout": None,
        "wave": None,
        "worker": "w1",
        "labels": {"change": "CHG-1"},
    }


@pytest.mark.parametrize("state", [JobState.SUCCEEDED, JobState.UNCHANGED])
def test_a_good_outcome_names_no_cause(state: JobState) -> None:
    """Trouble that was overcome is not counted among the failures."""
    progress = Progress(cause="server-error", error_code="ModelArts.1")

    fields = result_fields(a_job(state, progress=progress), None, NOON_US)

    assert (fields["cause"], fields["cause_class"], fields["error_code"]) == (None, None, None)


def test_a_job_that_was_never_claimed_has_no_times() -> None:
    """A wait that never ended is not told as a number."""
    fields = result_fields(
        a_job(JobState.CANCELLED, finished_us=NOON_US + SECOND), None, NOON_US + SECOND
    )

    assert (fields["wait_s"], fields["run_s"]) == (None, None)


def test_inputs_never_reach_a_result_line() -> None:
    """Inputs may be secrets: only the paths at which they changed are told."""
    secret = {"custom": {"password": planted.ACCESS_CODE}}
    job = a_job(JobState.SUCCEEDED, request=a_request(inputs=secret))
    sent = Progress(inputs=secret, inputs_changed=("custom.password",))

    fields = result_fields(a_job(JobState.SUCCEEDED, request=job.request, progress=sent), "w", 0)

    assert "s3cret-value" not in repr(fields)


def test_a_cause_that_a_newer_program_wrote_still_has_a_class() -> None:
    """An unknown word is told, not crashed on."""
    assert class_of("invented-later") == "other"
    assert class_of(None) is None


@pytest.mark.parametrize("state", sorted(FINAL_STATES))
def test_only_failed_and_unresolved_jobs_make_a_run_partial(state: JobState) -> None:
    """Exit 3 means that somebody has to look."""
    code = Recap(ended={state: 1}).exit_code

    assert code == (3 if state in {JobState.FAILED, JobState.UNRESOLVED} else 0)


def test_causes_are_counted_most_frequent_first() -> None:
    """The first cause is the one to mend first; a missing one is counted, too."""
    assert bad_causes(["b", "a", None, "b"]) == {"b": 2, "a": 1, "unknown": 1}


def test_the_line_of_a_job_with_a_profile_names_it_last() -> None:
    """One key more, and none for the jobs of everybody who has one account."""
    named = result_fields(a_job(request=a_request(profile="east")), "w1", NOON_US)

    assert list(named) == [*RESULT_KEYS, "profile"]
    assert named["profile"] == "east"
