"""`plugwave jobs retry` and `cancel`: change what is queued, and say what happened to each."""

import getpass
import socket
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any, Final

import click

from jobs.errors import NothingMatchedError, UsageError
from jobs.model import Job, JobId, job_name
from jobs.report.results import EXIT_PARTIAL
from jobs.requests.again import RETRY_OF, RETRYABLE, retry_request, why_not_retryable
from jobs.states import JobState
from jobs.store.protocol import JobFilter, Store, Verdict
from worker.cli.arguments import JobType, StateType, merged_states
from worker.cli.choices import Choices
from worker.cli.console import Console
from worker.cli.lazy import PlugwaveCommand
from worker.cli.printing import streamed
from worker.cli.session import run_async, writing
from worker.reporting import emit_job
from worker.telling.jobs import cancel_words, existing_job

CHUNK: Final = 500
"""Retries that are enqueued in one transaction."""


class Told:
    """Prints what happened to each job, in the form that was asked for."""

    def __init__(self, console: Console, write: Any | None) -> None:  # noqa: ANN401 - what `streamed` yields
        self._console = console
        self._write = write

    def tell(self, text: str, fields: dict[str, Any]) -> None:
        """Print one line: *text* for a person, *fields* as JSON, the job's name with name."""
        if self._write is not None:
            self._write({**fields, "text": text})
        elif self._console.choices.output == "name":
            name = fields.get("retry") or fields["job"]
            self._console.out(str(name))
        else:
            self._console.out(text)


@contextmanager
def _telling(console: Console, kind: str) -> Iterator[Told]:
    if not console.structured:
        yield Told(console, None)
        return
    with streamed(console, kind, "items") as write:
        yield Told(console, write)


@click.command(cls=PlugwaveCommand)
@click.argument("jobs", type=JobType(), nargs=-1)
@click.option("--state", "states", type=StateType(), multiple=True, help="All jobs in this state.")
@click.option("--cause", help="Only jobs with this cause.")
@click.option("--dry-run", is_flag=True, help="Say what would be queued, change nothing.")
@click.pass_obj
def retry(
    choices: Choices,
    jobs: tuple[JobId, ...],
    states: tuple[frozenset[JobState], ...],
    cause: str | None,
    dry_run: bool,  # noqa: FBT001 - click hands over flags by name
) -> None:
    """Queue new jobs for jobs that ended badly.

    A final state stays final: a retry is a new job with the old content.  Asking again
    names the retry that is there already.
    """
    if bool(jobs) == bool(states or cause):
        raise UsageError(
            "name the jobs to retry, or a --state or --cause, not both",
            do="plugwave jobs retry job-42, or plugwave jobs retry --state failed",
        )
    wanted = merged_states(states) or RETRYABLE
    if wanted - RETRYABLE:
        known = ", ".join(sorted(RETRYABLE))
        raise UsageError(f"only jobs that ended badly can be retried: {known}")
    matching = JobFilter(states=wanted, cause=cause)
    run_async(_retry, choices, jobs, matching, dry_run)


async def _retry(
    choices: Choices,
    jobs: Sequence[JobId],
    matching: JobFilter,
    dry_run: bool,  # noqa: FBT001 - handed on from the command
) -> None:
    console = Console(choices)
    async with writing(choices) as store:
        named = [await existing_job(store, job) for job in dict.fromkeys(jobs)]
        for job in named:
            if job.state not in RETRYABLE:
                raise UsageError(why_not_retryable(job), do=f"plugwave why {job_name(job.id)}")
        chunks = _chunks_of(named) if jobs else _chunks(store, matching)
        repeat = await _pretended(store) if dry_run else _enqueued(store)
        with _telling(console, "retries") as told:
            counts = await _repeat_all(chunks, repeat, told)
    if not sum(counts.values()):
        raise NothingMatchedError("no job matches", do="plugwave jobs list --state failed")
    console.say(_summary(counts, dry_run=dry_run))


def _summary(counts: Mapping[str, int], *, dry_run: bool) -> str:
    there = counts.get("there", 0)
    if dry_run:
        would = counts.get("would", 0)
        return f"dry run: {would} would be queued again, {there} had been; nothing was changed"
    return f"{counts.get('created', 0)} queued again, {there} had been retried before"


async def _chunks(store: Store, matching: JobFilter) -> AsyncIterator[Sequence[Job]]:
    """Yield the matching jobs, oldest first; those that the retry itself adds do not match."""
    chunk: list[Job] = []
    async for job in store.jobs(matching, newest_first=False):
        chunk.append(job)
        if len(chunk) == CHUNK:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


async def _chunks_of(jobs: Sequence[Job]) -> AsyncIterator[Sequence[Job]]:
    for start in range(0, len(jobs), CHUNK):
        yield jobs[start : start + CHUNK]


Repeat = Callable[[Sequence[Job]], Awaitable[Sequence[tuple[str, JobId | None]]]]
"""For each job ``created``, ``there`` or ``would``, with the job that repeats it."""


def _enqueued(store: Store) -> Repeat:
    async def repeat(chunk: Sequence[Job]) -> Sequence[tuple[str, JobId | None]]:
        answers = await store.enqueue([retry_request(job) for job in chunk])
        return [
            ("created" if answer.verdict is Verdict.CREATED else "there", answer.job)
            for answer in answers
        ]

    return repeat


async def _pretended(store: Store) -> Repeat:
    """Return what tells of each job and writes nothing; retries are known by their label."""
    retried: dict[str, JobId] = {}
    async for job in store.jobs(JobFilter(), newest_first=False):
        old = job.request.labels.get(RETRY_OF)
        if old is not None:
            retried[old] = job.id

    async def repeat(chunk: Sequence[Job]) -> Sequence[tuple[str, JobId | None]]:
        known = [retried.get(job_name(job.id)) for job in chunk]
        return [("would" if there is None else "there", there) for there in known]

    return repeat


_RETRY_WORDS: Final[Mapping[str, str]] = MappingProxyType(
    {"created": "retried as", "there": "already retried as", "would": "would be retried"}
)


async def _repeat_all(
    chunks: AsyncIterator[Sequence[Job]], repeat: Repeat, told: "Told"
) -> dict[str, int]:
    """Repeat the jobs chunk by chunk, tell of each, and count by what happened."""
    counts: dict[str, int] = {}
    async for chunk in chunks:
        for job, (word, new) in zip(chunk, await repeat(chunk), strict=True):
            counts[word] = counts.get(word, 0) + 1
            name, new_name = job_name(job.id), None if new is None else job_name(new)
            told.tell(
                f"{name} {_RETRY_WORDS[word]} {new_name or ''}".rstrip(),
                {"job": name, "result": word, "retry": new_name},
            )
    return counts


@click.command(cls=PlugwaveCommand)
@click.argument("jobs", type=JobType(), nargs=-1, required=True)
@click.pass_obj
def cancel(choices: Choices, jobs: tuple[JobId, ...]) -> int:
    """Cancel jobs that were not sent yet; say what happened to each.

    Repeatable.  Leaves with 3 when a job could not be cancelled any more.
    """
    return run_async(_cancel, choices, jobs)


async def _cancel(choices: Choices, jobs: Iterable[JobId]) -> int:
    console = Console(choices)
    async with writing(choices, heard=True) as store:
        for job in jobs:
            await existing_job(store, job)
        with _telling(console, "cancels") as told:
            results = [await _cancel_one(store, job, told) for job in dict.fromkeys(jobs)]
    return 0 if all(results) else EXIT_PARTIAL


async def _cancel_one(store: Store, job: JobId, told: Told) -> bool:
    """Cancel one job, tell what happened, and return whether it will not be sent."""
    before = await existing_job(store, job)
    after = await store.cancel(before.id, by=_who())
    word, text = cancel_words(before, after)
    if word == "cancelled":
        # Final here and now, in no worker's hands: so its one line is ours to write.
        emit_job(after, None)
    name = job_name(before.id)
    told.tell(f"{name} {text}", {"job": name, "result": word, "state": after.state.value})
    return word in {"cancelled", "already-cancelled", "stopping"}


def _who() -> str:
    """Return who asks, for the job's history."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container whose user id has no name
        user = "cli"
    return f"{user}@{socket.gethostname()}"
