"""The parts every explanation is made of: evidence, reasons, and the phrases they share.

Pure.  `jobs.report.explain` says which reasons a state has and `jobs.report.waits` which
ones a waiting job has; here is what both need.  Texts speak of durations only; the instant
itself is in ``until_us``, so that each surface prints it in its own time zone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from jobs.catalogue.diagnosis import Diagnosis, diagnose
from jobs.causes import ABNORMAL
from jobs.clock import MICROSECONDS, iso
from jobs.durations import format_duration
from jobs.model import Job, JobId, WorkerId, job_name
from jobs.pacing import Bucket
from jobs.report.limits import lessons
from jobs.report.results import wanted_version
from jobs.states import HELD_STATES, JobState
from jobs.store.protocol import Event, WorkerRow
from jobs.store.rollouts import GOES_ON, LineStop

NAMED_JOBS: Final = 3
"""So many other jobs of a pool are named one by one; further ones are counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What the store knew around one job at ``now_us``.

    Attributes:
        now_us: The store's time.
        history: The job's events in order.
        pool_jobs: The open jobs of its pool, the one that holds it first.
        workers: Workers that are alive or still have jobs.
        buckets: The limiter's rows.
        ready: How many jobs of the whole store are ready.
        line_stop: Whether anything may start at all.
    """

    now_us: int
    history: Sequence[Event] = ()
    pool_jobs: Sequence[Job] = ()
    workers: Sequence[WorkerRow] = ()
    buckets: Mapping[str, Bucket] = field(default_factory=dict)
    ready: int = 0
    line_stop: LineStop = GOES_ON


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """One reason: a stable word, a sentence, and when it ends if that is known."""

    kind: str
    text: str
    until_us: int | None = None
    job: JobId | None = None
    """The other job it is about, if there is one."""

    def as_dict(self) -> dict[str, Any]:
        """Return the reason as it appears in JSON."""
        other = None if self.job is None else job_name(self.job)
        return {"kind": self.kind, "text": self.text, "until": iso(self.until_us), "job": other}


@dataclass(frozen=True, slots=True)
class Told:
    """What one state's function says: the end of the headline, its reasons, what to do."""

    headline: str
    reasons: tuple[Reason, ...] = ()
    do: tuple[str, ...] = ()


def change_words(job: Job) -> str:
    """Return the change in words: ``node-local-dns 1.6.36 on pool-a``."""
    version = wanted_version(job)
    wish = job.request.plugin.name if version is None else f"{job.request.plugin.name} {version}"
    return f"{wish} on {job.request.target.pool_name}"


def ahead(instant_us: int | None, now_us: int) -> str:
    """Return ``in 20s``, or ``now`` for an instant that has come."""
    if instant_us is None or instant_us <= now_us:
        return "now"
    return f"in {format_duration((instant_us - now_us) / MICROSECONDS)}"


def ago(instant_us: int | None, now_us: int) -> str:
    """Return ``20s ago``, with words of their own for an instant nobody recorded."""
    if instant_us is None:
        return "at an unknown time"
    return f"{format_duration(max(0, now_us - instant_us) / MICROSECONDS)} ago"


def worker_name(worker: WorkerId | None, evidence: Evidence) -> str:
    """Return the name of the worker that has the job in hand, as far as it is known."""
    for row in evidence.workers:
        if row.id == worker:
            return row.info.name
    return "a worker"


def trouble_text(job: Job) -> str | None:
    """Return the last trouble in one line: status, the cloud's code, its text, the request id."""
    progress = job.progress
    status = None if progress.http_status is None else f"HTTP {progress.http_status}"
    said = progress.detail or progress.reason
    words = [word for word in (status, progress.error_code) if word]
    if said:
        words.append(f'"{said}"')
    if not words:
        return None
    request = progress.cloud_request_id
    return " ".join(words) + (f", request {request}" if request else "")


def diagnosis(job: Job) -> Diagnosis:
    """Return what the catalogue makes of a job that ended badly."""
    progress, target = job.progress, job.request.target
    said = progress.reason if progress.cause == ABNORMAL else progress.detail
    return diagnose(
        progress.cause,
        progress.error_code,
        progress.http_status,
        said or "",
        names=(target.pool_name, target.project_id, job.request.plugin.name),
    )


def is_served(job: Job, evidence: Evidence) -> bool:
    """Whether a running worker may take the job; each takes those that name no profile."""
    profile = job.request.profile
    alive = [row.info for row in evidence.workers if row.alive]
    return any(profile is None or profile in info.profiles for info in alive)


def surroundings(job: Job, evidence: Evidence) -> tuple[Reason, ...]:
    """Return the reasons an open job may have beside its own: no worker, 429, cancel, deadline."""
    found = list(_line_stop(job, evidence))
    if not any(worker.alive for worker in evidence.workers):
        profile = job.request.profile
        needs = f" It needs one with profile {profile}." if profile is not None else ""
        text = f"No worker is running, so nothing moves.{needs}"
        found.append(Reason(kind="no-worker", text=text))
    elif not is_served(job, evidence):
        text = f"It is sent as profile {job.request.profile}, which no running worker has."
        found.append(Reason(kind="no-worker", text=text))
    found.extend(_nobody_holds(job, evidence))
    blocked = _blocked_until(evidence)
    if blocked is not None:
        pause = ahead(blocked, evidence.now_us)
        text = f"The cloud asked for a pause (429); the next request may leave {pause}."
        found.append(Reason(kind="rate-limit", text=text, until_us=blocked))
    found.extend(
        Reason(kind="limit", text=f"Of {key.replace('|', ' at ')} is allowed: {told}.")
        for key, told in lessons(evidence.buckets, evidence.now_us)
    )
    if job.cancel_asked:
        text = "A cancel was asked for; it stops before the next send, what was sent is watched."
        found.append(Reason(kind="cancel-asked", text=text))
    if job.deadline_us is not None:
        when = ahead(job.deadline_us, evidence.now_us)
        text = "Its deadline has passed; it ends with the next read."
        if job.deadline_us > evidence.now_us:
            text = f"Its deadline is {when}."
        found.append(Reason(kind="deadline", text=text, until_us=job.deadline_us))
    return tuple(found)


def _line_stop(job: Job, evidence: Evidence) -> tuple[Reason, ...]:
    """Say so when nothing may start, of a job that has not."""
    line = evidence.line_stop
    if not line.stopped or job.state not in {JobState.WAITING, JobState.READY, JobState.CHECKING}:
        return ()
    by = line.word.by if line.word is not None else "somebody"
    why = f": {line.word.why}" if line.word is not None and line.word.why else ""
    when = ago(line.at_us, evidence.now_us)
    text = f"The line was stopped by {by} {when}{why}; plugwave resume --all lets it go on."
    return (Reason(kind="line-stop", text=text),)


def _nobody_holds(job: Job, evidence: Evidence) -> tuple[Reason, ...]:
    """Say so when a job that should be in somebody's hand is in nobody's."""
    if job.state not in HELD_STATES:
        return ()
    holder = next((row for row in evidence.workers if row.id == job.worker), None)
    if job.worker is None or holder is None:
        text = "No worker has it in hand at the moment; the next free one goes on with it."
        return (Reason(kind="freed", text=text),)
    if holder.alive:
        return ()
    when = ahead(holder.lease_until_us, evidence.now_us)
    text = f"{holder.info.name} has gone; another worker goes on with it, its lease ends {when}."
    return (Reason(kind="freed", text=text, until_us=holder.lease_until_us),)


def _blocked_until(evidence: Evidence) -> int | None:
    blocks = [bucket.blocked_us for bucket in evidence.buckets.values()]
    latest = max(blocks, default=0)
    return latest if latest > evidence.now_us else None


def pool_line(job: Job, evidence: Evidence) -> tuple[Reason, ...]:
    """Say who holds the pool and how many are before this job in its line."""
    others = [other for other in evidence.pool_jobs if other.id != job.id]
    if not others:
        return ()
    ids = [other.id for other in evidence.pool_jobs]
    place = ids.index(job.id) if job.id in ids else len(others)
    before = evidence.pool_jobs[:place]
    if not before:
        return ()
    holder = before[0]
    what = f"{job_name(holder.id)} ({change_words(holder)}, {_with_reason(holder)})"
    reasons = [Reason(kind="pool-busy", text=f"{what} has the pool; one at a time.", job=holder.id)]
    if len(before) > 1:
        named = ", ".join(job_name(other.id) for other in before[1 : 1 + NAMED_JOBS])
        more = len(before) - 1 - NAMED_JOBS
        rest = f" and {more} more" if more > 0 else ""
        text = f"It is number {place} in the line of its pool, behind {named}{rest}."
        reasons.append(Reason(kind="position", text=text))
    return tuple(reasons)


def _with_reason(job: Job) -> str:
    return job.state.value if job.reason is None else f"{job.state.value}: {job.reason}"


def last_trouble(job: Job) -> tuple[Reason, ...]:
    """Return the trouble of the last try as a reason, empty when there was none."""
    trouble = trouble_text(job)
    if trouble is None and job.progress.cause is None:
        return ()
    cause = f" ({job.progress.cause})" if job.progress.cause else ""
    return (Reason(kind="trouble", text=f"Last trouble{cause}: {trouble or 'no details'}."),)
