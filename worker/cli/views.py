"""A job as commands show it: one row, one JSON object, or every fact."""

from collections.abc import Mapping
from typing import Any, Final

from config.masking import masked_inputs
from jobs.clock import iso
from jobs.model import Job, WorkerId, job_name
from jobs.report.results import result_fields, surface_state, wanted_version
from jobs.states import FINAL_STATES, JobState
from jobs.store.protocol import WorkerRow
from worker.cli.console import Console, age
from worker.cli.printing import Column

LIST_COLUMNS: Final = (
    Column(title="JOB"),
    Column(title="STATE"),
    Column(title="POOL", width=24),
    Column(title="PLUG-IN", width=20),
    Column(title="VERSION", width=20),
    Column(title="AGE", right=True),
    Column(title="WHY", width=28),
)


def worker_names(workers: list[WorkerRow]) -> dict[WorkerId, str]:
    """Return the names of the workers by id."""
    return {row.id: row.info.name for row in workers}


def version_words(job: Job, arrow: str) -> str:
    """Return ``1.6.35 → 1.6.36``, or only the wanted version when the installed is unknown."""
    wanted = wanted_version(job) or "newest"
    before = job.progress.version_from
    return wanted if before in {None, wanted} else f"{before} {arrow} {wanted}"


def short_why(job: Job, now_us: int) -> str:
    """Return the few words that explain the state in a list."""
    progress = job.progress
    if job.state is JobState.WAITING:
        until = job.run_at_us
        words = "" if job.reason is None else job.reason.value
        if until is not None and until > now_us:
            words += f" {age(now_us, until)}"
        return words
    if job.state is JobState.UNKNOWN:
        return "answer lost, reads first"
    if job.state in FINAL_STATES:
        return progress.cause or "" if job.state is not JobState.SUCCEEDED else ""
    return progress.phase or ""


def list_row(job: Job, now_us: int, console: Console) -> list[str]:
    """Return the cells for LIST_COLUMNS."""
    return [
        job_name(job.id),
        console.state(job.state),
        job.request.target.pool_name,
        job.request.plugin.name,
        version_words(job, console.symbols.arrow),
        age(job.created_us, now_us),
        short_why(job, now_us),
    ]


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
