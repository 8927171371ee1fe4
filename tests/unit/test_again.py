"""A retry is a new job with the old content, and there is one for each old job."""

import pytest

from jobs.model import JobId
from jobs.requests.again import RETRYABLE, retry_request, why_not_retryable
from jobs.states import JobState
from tests.builders import NOON_US, a_job, a_request


def test_a_retry_asks_for_the_same_change() -> None:
    """Pool, plug-in, inputs, source and terms are the old ones; the old job is named."""
    old = a_request(
        inputs={"a": 1},
        key="k",
        source="ticket",
        priority=5,
        deadline_s=60.0,
        labels={"change": "CHG-1"},
    )

    new = retry_request(a_job(JobState.FAILED, number=42, request=old))

    assert (new.target, new.plugin, new.source) == (old.target, old.plugin, old.source)
    assert (new.priority, new.deadline_s) == (5, 60.0)
    assert new.labels == {"change": "CHG-1", "retry-of": "job-42"}
    assert new.idempotency_key == "retry:job-42:1"


def test_asking_again_gives_the_same_request() -> None:
    """The store then answers with the retry that is there already."""
    job = a_job(JobState.FAILED, request=a_request(not_before_us=NOON_US))

    assert retry_request(job) == retry_request(job)
    assert retry_request(job).not_before_us is None


def test_retries_of_different_jobs_are_different() -> None:
    """Two failed jobs with the same content get two retries."""
    first, second = (a_job(JobState.FAILED, number=number) for number in (1, 2))

    assert retry_request(first).idempotency_key != retry_request(second).idempotency_key
    assert retry_request(first).fingerprint != retry_request(second).fingerprint


@pytest.mark.parametrize("state", sorted(set(JobState) - RETRYABLE))
def test_what_cannot_be_retried_says_why(state: JobState) -> None:
    """A job that goes on, or that is done, has nothing to repeat."""
    assert why_not_retryable(a_job(state, number=JobId(7))).startswith("job-7 is ")
