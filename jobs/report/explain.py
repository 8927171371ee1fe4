"""Why a job is where it is, until when, and what a person can do about it.

Pure: a job and what the store knew around it at one instant go in, a headline, numbered
reasons and next steps come out.  The command `plugwave why` and every page print the same
text.  Nothing here reads a store, and no inputs are ever told.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from jobs.catalogue.entries import Retry
from jobs.model import Job, JobId, job_name
from jobs.report.reasons import (
    Evidence,
    Reason,
    Told,
    ago,
    ahead,
    change_words,
    diagnosis,
    is_served,
    last_trouble,
    surroundings,
    trouble_text,
    worker_name,
)
from jobs.report.results import wanted_version
from jobs.report.waits import why_waiting
from jobs.states import FINAL_STATES, OPEN_STATES, JobEvent, JobState

START_WORKER: Final = "plugwave work"


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """The answer for one job: a headline, numbered reasons, next commands."""

    job: JobId
    state: JobState
    headline: str
    reasons: tuple[Reason, ...] = ()
    do: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Return the answer as it appears in JSON."""
        return {
            "job": job_name(self.job),
            "state": self.state.value,
            "headline": self.headline,
            "reasons": [reason.as_dict() for reason in self.reasons],
            "do": list(self.do),
        }


def explain(job: Job, evidence: Evidence) -> Explanation:
    """Return why *job* is in its state."""
    told = _BY_STATE[job.state](job, evidence)
    beside = surroundings(job, evidence) if job.state in OPEN_STATES else ()
    alive = any(worker.alive for worker in evidence.workers)
    start: tuple[str, ...] = () if alive or job.state in FINAL_STATES else (START_WORKER,)
    if alive and job.state in OPEN_STATES and not is_served(job, evidence):
        start = (f"add [profiles.{job.request.profile}] to the settings of a worker",)
    return Explanation(
        job=job.id,
        state=job.state,
        headline=f"{job_name(job.id)} ({change_words(job)}) {told.headline}",
        reasons=told.reasons + beside,
        do=told.do + start,
    )


def _ready(job: Job, evidence: Evidence) -> Told:
    alive = [worker for worker in evidence.workers if worker.alive]
    if not is_served(job, evidence):
        return Told("is ready, but no worker takes it.")
    in_hand = sum(worker.jobs for worker in alive)
    workers = "1 worker has" if len(alive) == 1 else f"{len(alive)} workers have"
    text = (
        f"{workers} {in_hand} in hand and {evidence.ready} {_jobs(evidence.ready)} ready; "
        "projects take turns, within a project by priority and by age."
    )
    return Told("is ready and waits for its turn.", (Reason(kind="turn", text=text),))


def _jobs(count: int) -> str:
    return "job is" if count == 1 else "jobs are"


def _checking(job: Job, evidence: Evidence) -> Told:
    name = worker_name(job.worker, evidence)
    since = ago(_claimed_us(job, evidence), evidence.now_us)
    text = f"{name} claimed it {since} and reads what is installed before it writes."
    return Told("is running: reading the pool.", (Reason(kind="checking", text=text),))


def _claimed_us(job: Job, evidence: Evidence) -> int | None:
    for event in reversed(evidence.history):
        if event.event == JobEvent.CLAIMED:
            return event.at_us
    return job.started_us


def _sending(job: Job, evidence: Evidence) -> Told:
    name = worker_name(job.worker, evidence)
    since = ago(job.progress.sent_us, evidence.now_us)
    text = f"{name} committed the intent; send {job.progress.sends} may have left {since}."
    return Told("is running: sending.", (Reason(kind="sending", text=text),))


def _unknown(job: Job, evidence: Evidence) -> Told:
    progress, now_us = job.progress, evidence.now_us
    lost = f"Send {progress.sends} left {ago(progress.sent_us, now_us)} and has no answer to trust"
    sent = Reason(kind="answer-lost", text=f"{lost}; it may have taken effect.")
    due = progress.not_before_us
    if due is not None and due > now_us:
        text = (
            f"The read that proves something is {ahead(due, now_us)}: "
            "until then the cloud may still act on the send, so an earlier read proves nothing."
        )
    else:
        text = "It is late enough for the read that proves what happened; it is next."
    read = Reason(kind="late-read", text=text, until_us=due)
    return Told("is running: it may have been sent.", (sent, read, *last_trouble(job)))


def _watching(job: Job, evidence: Evidence) -> Told:
    progress = job.progress
    whose = "adopted a change that was already in progress" if progress.adopted else "was accepted"
    phase = f"; the last look showed {progress.phase}" if progress.phase else ""
    text = f"It {whose} {ago(progress.accepted_us, evidence.now_us)}{phase}."
    return Told("is running: watching the plug-in.", (Reason(kind="watching", text=text),))


def _failed(job: Job, evidence: Evidence) -> Told:
    headline = f"failed {ago(job.finished_us, evidence.now_us)}."
    found = diagnosis(job)
    told = found.text()
    word = job.progress.cause or "not recorded"
    reasons = [Reason(kind="failed", text=f"Cause: {word}, {told.title}.")]
    proof = trouble_text(job)
    if proof is not None:
        reasons.append(Reason(kind="proof", text=f"Seen: {proof}."))
    reasons.append(Reason(kind="likely", text=f"Likely: {told.likely}."))
    retry = f"plugwave jobs retry {job_name(job.id)}"
    do = (told.do,) if found.retry is Retry.NO else (told.do, retry)
    return Told(headline, tuple(reasons), do)


def _unresolved(job: Job, evidence: Evidence) -> Told:
    text = "Its deadline passed and no read could tell whether the last send took effect."
    reasons = (Reason(kind="unresolved", text=text), *last_trouble(job))
    pool = job.request.target.pool_name
    do = (
        f"look at {job.request.plugin.name} on {pool} in the console",
        f"plugwave jobs retry {job_name(job.id)}   (it reads first, so nothing is sent twice)",
    )
    return Told(f"is unresolved since {ago(job.finished_us, evidence.now_us)}.", reasons, do)


def _succeeded(job: Job, evidence: Evidence) -> Told:
    version = wanted_version(job)
    before = job.progress.version_from or "absent"
    text = f"A read after our write showed {version} Running; before it was {before}."
    return Told(
        f"succeeded {ago(job.finished_us, evidence.now_us)}.",
        (Reason(kind="succeeded", text=text),),
    )


def _unchanged(job: Job, evidence: Evidence) -> Told:
    text = "The plug-in was already as wanted, so nothing was sent."
    return Told(
        f"ended unchanged {ago(job.finished_us, evidence.now_us)}.",
        (Reason(kind="unchanged", text=text),),
    )


def _cancelled(job: Job, evidence: Evidence) -> Told:
    by = _said_in_history(evidence, JobEvent.CANCELLED, "by")
    text = f"Cancelled{f' by {by}' if by else ''} before anything took effect."
    return Told(
        f"was cancelled {ago(job.finished_us, evidence.now_us)}.",
        (Reason(kind="cancelled", text=text),),
        (f"plugwave jobs retry {job_name(job.id)}",),
    )


def _skipped(job: Job, evidence: Evidence) -> Told:
    said = _said_in_history(evidence, JobEvent.SKIPPED, "reason") or job.progress.detail
    text = f"Left out on purpose{f': {said}' if said else ''}; nothing was sent."
    return Told(
        f"was skipped {ago(job.finished_us, evidence.now_us)}.",
        (Reason(kind="skipped", text=text),),
        (f"plugwave jobs retry {job_name(job.id)}",),
    )


def _said_in_history(evidence: Evidence, event: JobEvent, key: str) -> str | None:
    for past in reversed(evidence.history):
        if past.event == event:
            said = past.data.get(key)
            return None if said is None else str(said)
    return None


_BY_STATE: Final[Mapping[JobState, Callable[[Job, Evidence], Told]]] = MappingProxyType(
    {
        JobState.WAITING: why_waiting,
        JobState.READY: _ready,
        JobState.CHECKING: _checking,
        JobState.SENDING: _sending,
        JobState.UNKNOWN: _unknown,
        JobState.WATCHING: _watching,
        JobState.SUCCEEDED: _succeeded,
        JobState.UNCHANGED: _unchanged,
        JobState.FAILED: _failed,
        JobState.SKIPPED: _skipped,
        JobState.CANCELLED: _cancelled,
        JobState.UNRESOLVED: _unresolved,
    }
)
