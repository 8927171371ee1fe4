"""What became of the jobs: the canonical result line and the recap, as values.

Pure: it reads jobs and counts and returns plain data.  The log line `job.result`, the
recap at the end of `plugwave work` and the commands all take their words from here, so
that no two surfaces tell a different story.  No inputs are ever part of it, only the
dotted paths at which they changed.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from jobs.causes import CAUSES
from jobs.clock import MICROSECONDS
from jobs.model import Job, job_name, rollout_name
from jobs.states import BAD_STATES, GOOD_STATES, HELD_STATES, JobState

RESULT_KEYS: Final = (
    "job",
    "idempotency_key",
    "source",
    "region",
    "project_id",
    "pool_name",
    "plugin",
    "version_from",
    "version_to",
    "outcome",
    "cause",
    "cause_class",
    "error_code",
    "http_status",
    "cloud_request_id",
    "phase",
    "reason",
    "attempts",
    "calls",
    "throttled",
    "wait_s",
    "run_s",
    "inputs_changed",
    "rollout",
    "wave",
    "worker",
    "labels",
)
"""The keys of `job.result`, in order; the logger adds ``ts``, ``level`` and ``event``."""

PROFILE_KEY: Final = "profile"
"""One key more, last, on the lines of jobs that name a profile."""

EXIT_DONE: Final = 0
EXIT_PARTIAL: Final = 3

FINAL_ORDER: Final = (
    JobState.SUCCEEDED,
    JobState.UNCHANGED,
    JobState.FAILED,
    JobState.UNRESOLVED,
    JobState.SKIPPED,
    JobState.CANCELLED,
)
"""The order in which a recap names the final states: good, bad, not tried."""

OTHER_CLASS: Final = "other"
"""The class of a cause that a newer program wrote and this one does not know."""


def class_of(cause: str | None) -> str | None:
    """Return the class of a cause, such as ``network``; an unknown word has one too."""
    if cause is None:
        return None
    known = CAUSES.get(cause)
    return OTHER_CLASS if known is None else known.cause_class


def seconds_between(start_us: int | None, end_us: int | None) -> float | None:
    """Return the seconds from one instant to another with 3 decimals, or None."""
    if start_us is None or end_us is None:
        return None
    return round(max(0, end_us - start_us) / MICROSECONDS, 3)


def wanted_version(job: Job) -> str | None:
    """Return the version the job leads to: the resolved one, else the one asked for."""
    return job.progress.version or job.request.plugin.version


def result_fields(job: Job, worker_name: str | None, now_us: int) -> dict[str, Any]:
    """Return the fields of the canonical line of one job: RESULT_KEYS, and a named profile.

    A good outcome names no cause: trouble on the way that was overcome is told by
    ``attempts``, ``throttled`` and the history.  ``wait_s`` and ``run_s`` are seconds,
    None when the job was never claimed; *now_us* ends ``run_s`` of a job that is not
    final yet.
    """
    request, progress = job.request, job.progress
    good = job.state in GOOD_STATES
    ended_us = now_us if job.finished_us is None else job.finished_us
    fields = {
        "job": job_name(job.id),
        "idempotency_key": request.idempotency_key,
        "source": request.source,
        "region": request.target.region,
        "project_id": request.target.project_id,
        "pool_name": request.target.pool_name,
        "plugin": request.plugin.name,
        "version_from": progress.version_from,
        "version_to": wanted_version(job),
        "outcome": job.state.value,
        "cause": None if good else progress.cause,
        "cause_class": None if good else class_of(progress.cause),
        "error_code": None if good else progress.error_code,
        "http_status": progress.http_status,
        "cloud_request_id": progress.cloud_request_id,
        "phase": progress.phase,
        "reason": progress.reason,
        "attempts": progress.sends - progress.spared,
        "calls": progress.calls,
        "throttled": progress.throttled,
        "wait_s": seconds_between(job.created_us, job.started_us),
        "run_s": None if job.started_us is None else seconds_between(job.started_us, ended_us),
        "inputs_changed": list(progress.inputs_changed),
        "rollout": None if job.rollout is None else rollout_name(job.rollout),
        "wave": job.wave,
        "worker": worker_name,
        "labels": dict(request.labels),
    }
    if request.profile is not None:
        fields[PROFILE_KEY] = request.profile
    return fields


def surface_state(state: JobState) -> str:
    """Return the word a person reads first: *running* for what a worker has in hand."""
    return "running" if state in HELD_STATES else state.value


@dataclass(frozen=True, slots=True, kw_only=True)
class Recap:
    """What one run did.

    Attributes:
        ended: Jobs that became final in this run, by state.
        left: Jobs that are still open.
        run_s: Seconds the run took.
        calls: Requests on the wire.
        throttled: Answers 429.
        lost_answers: Sends whose answer was lost.
        causes: Failed and unresolved jobs by cause.
    """

    ended: Mapping[JobState, int] = field(default_factory=dict)
    left: int = 0
    run_s: float = 0.0
    calls: int = 0
    throttled: int = 0
    lost_answers: int = 0
    causes: Mapping[str, int] = field(default_factory=dict)

    @property
    def bad(self) -> int:
        """How many of them failed or could not be told."""
        return sum(self.ended.get(state, 0) for state in BAD_STATES)

    @property
    def exit_code(self) -> int:
        """What `plugwave work` leaves with when nothing else decides it."""
        return EXIT_PARTIAL if self.bad else EXIT_DONE

    def as_dict(self) -> dict[str, Any]:
        """Return the recap as it appears in JSON."""
        return {
            "ended": {state.value: self.ended.get(state, 0) for state in FINAL_ORDER},
            "left": self.left,
            "run_s": round(self.run_s, 3),
            "calls": self.calls,
            "throttled": self.throttled,
            "lost_answers": self.lost_answers,
            "causes": dict(self.causes),
        }


def bad_causes(causes: Iterable[str | None]) -> dict[str, int]:
    """Return how often each cause stands in *causes*, most frequent first."""
    counts: dict[str, int] = {}
    for cause in causes:
        word = cause or "unknown"
        counts[word] = counts.get(word, 0) + 1
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))
