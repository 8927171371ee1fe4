"""A job as JSON shows it: as one of many, with every fact, its history, what a cancel did."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from config.masking import masked_inputs
from jobs.clock import iso
from jobs.errors import NothingMatchedError
from jobs.model import Job, JobId, WorkerId, job_name
from jobs.report.results import result_fields, seconds_between, surface_state
from jobs.states import FINAL_STATES, JobState
from jobs.store.cursor import EventCursor
from jobs.store.protocol import Event, OperatorStore, WorkerRow

_JOB: Final = re.compile(r"(?:job-)?([1-9][0-9]{0,17})", re.ASCII)


def job_id(text: str) -> JobId | None:
    """Return the id that *text* writes as ``job-42`` or ``42``, None for anything else."""
    match = _JOB.fullmatch(text)
    return None if match is None else JobId(int(match[1]))


async def existing_job(store: OperatorStore, job: JobId) -> Job:
    """Return the job.

    Raises:
        NothingMatchedError: If the store has no such job.
    """
    found = await store.job(job)
    if found is None:
        raise NothingMatchedError(f"there is no {job_name(job)} in this store")
    return found


def worker_names(workers: Sequence[WorkerRow]) -> dict[WorkerId, str]:
    """Return the names of the workers by id."""
    return {row.id: row.info.name for row in workers}


def job_fields(job: Job, worker: str | None, now_us: int) -> dict[str, Any]:
    """Return the job as JSON shows it: the result's fields, with state, reason and times."""
    fields = result_fields(job, worker, now_us)
    outcome = fields.pop("outcome")
    final = job.state in FINAL_STATES
    head = {
        "job": fields.pop("job"),
        "state": job.state.value,
        "outcome": outcome if final else None,
    }
    return {
        **head,
        "running": surface_state(job.state) == "running",
        "waiting": None if job.reason is None else job.reason.value,
        **fields,
        "profile": job.request.profile,
        "priority": job.request.priority,
        "cancel_asked": job.cancel_asked,
        "created_at": iso(job.created_us),
        "not_before": iso(job.request.not_before_us),
        "run_at": iso(job.run_at_us),
        "started_at": iso(job.started_us),
        "deadline_at": iso(job.deadline_us),
        "finished_at": iso(job.finished_us),
    }


def full_fields(job: Job, worker: str | None, now_us: int) -> dict[str, Any]:
    """Return every fact of the job; secret-looking inputs are masked."""
    progress = job.progress
    return {
        **job_fields(job, worker, now_us),
        "base": job.request.plugin.base.value,
        "inputs": _shown(job.request.plugin.inputs),
        "inputs_sent": _shown(progress.inputs),
        "sent_at": iso(progress.sent_us),
        "read_not_before": iso(progress.not_before_us),
        "accepted_at": iso(progress.accepted_us),
        "adopted": progress.adopted,
        "detail": progress.detail,
        "looks": progress.polls,
        "fence": job.fence,
        "deadline_s": job.request.deadline_s,
    }


def _shown(inputs: Mapping[str, Any] | None) -> dict[str, Any] | None:
    return None if inputs is None else masked_inputs(inputs)


def event_fields(event: Event, created_us: int) -> dict[str, Any]:
    """Return one line of a history as JSON; ``after_s`` counts from the job's creation."""
    return {
        "seq": event.seq,
        "job": job_name(event.job),
        "at": iso(event.at_us),
        "after_s": seconds_between(created_us, event.at_us),
        "event": event.event,
        "state": event.state.value,
        "data": masked_inputs(event.data),
    }


def event_line(event: Event, cursor: EventCursor) -> dict[str, Any]:
    """Return one event as JSON."""
    return {
        "kind": "event",
        "cursor": str(cursor),
        "seq": event.seq,
        "at": iso(event.at_us),
        "job": job_name(event.job),
        "event": event.event,
        "state": event.state.value,
        "data": masked_inputs(event.data),
    }


def cancel_words(before: Job, after: Job) -> tuple[str, str]:
    """Return what a cancel did, as a stable word and as a sentence."""
    if before.state is JobState.CANCELLED:
        return "already-cancelled", "was already cancelled"
    if after.state is JobState.CANCELLED:
        return "cancelled", "cancelled"
    if after.state in FINAL_STATES:
        return "final", f"is already final: {after.state}"
    if after.state is JobState.CHECKING and after.cancel_asked:
        return "stopping", "will stop before it sends"
    return "too-late", f"too late, it was sent ({after.state}); it is watched to its end"
