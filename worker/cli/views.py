"""A job as commands show it: one row, one JSON object, or every fact."""

from typing import Final

from jobs.model import Job, job_name
from jobs.report.results import wanted_version
from jobs.states import FINAL_STATES, JobState
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
