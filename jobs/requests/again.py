"""A new job from an old one: what `jobs retry` enqueues.

A final state stays final, so a retry is a new job with the old content.  Its key is made
from the old job's id: however often a retry is asked for, it is the same one new job.
"""

from dataclasses import replace
from typing import Any, Final

from jobs.model import Job, JobRequest, job_name
from jobs.requests.identity import fingerprint
from jobs.states import FINAL_STATES, GOOD_STATES, JobState

RETRYABLE: Final = FINAL_STATES - GOOD_STATES
"""Failed, unresolved, cancelled and skipped jobs; anything else has nothing to repeat."""

RETRY_OF: Final = "retry-of"
"""The label that names the old job."""


def retry_key(job: Job) -> str:
    """Return the idempotency key of the one retry that *job* can have.

    The number counts retries of this very job.  A retry that ends badly is retried itself,
    so it stays 1.
    """
    return f"retry:{job_name(job.id)}:1"


def retry_request(job: Job) -> JobRequest:
    """Return the request that repeats *job*, which must be in a state of RETRYABLE.

    The content is the old one, without the ``not_before`` that has passed and with the
    label RETRY_OF, so that asking again gives the same request.
    """
    assert job.state in RETRYABLE
    old = job.request
    terms: dict[str, Any] = {
        "profile": old.profile,
        "priority": old.priority,
        "not_before_us": None,
        "deadline_s": old.deadline_s,
        "labels": {**old.labels, RETRY_OF: job_name(job.id)},
    }
    return replace(
        old,
        fingerprint=fingerprint(old.target, old.plugin, terms),
        idempotency_key=retry_key(job),
        **terms,
    )


def why_not_retryable(job: Job) -> str:
    """Return why *job* cannot be retried."""
    name = job_name(job.id)
    if job.state in FINAL_STATES:
        return f"{name} is {job.state}: there is nothing to retry"
    if job.state is JobState.WAITING:
        return f"{name} is waiting and goes on by itself"
    return f"{name} is {job.state}: only a job that has ended can be retried"
