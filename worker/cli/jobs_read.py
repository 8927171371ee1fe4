"""`plugwave jobs list`, `show` and `timeline`: look, change nothing."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import click

from config.masking import clean_text, masked_inputs
from jobs.clock import seconds_to_us
from jobs.durations import format_duration
from jobs.model import Job, JobId, job_name
from jobs.report.results import seconds_between
from jobs.states import JobState
from jobs.store.protocol import Event, JobFilter, Store
from worker.cli.arguments import DurationType, JobType, StateType, merged_states
from worker.cli.choices import Choices
from worker.cli.console import COLOUR_OF, Console
from worker.cli.lazy import PlugwaveCommand
from worker.cli.printing import Column, Table, as_json, document, no_names, streamed
from worker.cli.session import reading, run_async
from worker.cli.views import LIST_COLUMNS, list_row
from worker.telling.jobs import (
    event_fields,
    existing_job,
    full_fields,
    job_fields,
    worker_names,
)

EMPTY: Final[tuple[Any, ...]] = (None, [], {}, "")
"""Facts that are left out, because there is nothing to tell."""

LISTED: Final = 50
"""Jobs that `jobs list` prints when no other number is asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which jobs a command line asks for; ``since`` is seconds before now."""

    states: tuple[frozenset[JobState], ...] = ()
    pool: str | None = None
    project: str | None = None
    plugin: str | None = None
    cause: str | None = None
    source: str | None = None
    since: float | None = None

    async def matching(self, store: Store) -> JobFilter:
        """Return the filter, with ``since`` as an instant of the store's time."""
        since_us = None
        if self.since is not None:
            since_us = await store.now_us() - seconds_to_us(self.since)
        return JobFilter(
            states=merged_states(self.states),
            project_id=self.project,
            pool_name=self.pool,
            plugin=self.plugin,
            cause=self.cause,
            source=self.source,
            since_us=since_us,
        )


@click.command("list", cls=PlugwaveCommand)
@click.option(
    "--state", "states", type=StateType(), multiple=True, help="Only this state; repeatable."
)
@click.option("--pool", help="Only this pool.")
@click.option("--project", help="Only this project id.")
@click.option("--plugin", help="Only this plug-in.")
@click.option("--cause", help="Only jobs with this cause.")
@click.option("--source", help="Only jobs from this source.")
@click.option("--since", type=DurationType(), help="Only jobs created in this time, such as 1h.")
@click.option(
    "--limit", type=click.IntRange(min=0), default=LISTED, show_default=True, help="0 for all."
)
@click.pass_obj
def list_jobs(choices: Choices, /, limit: int, **wanted: Any) -> None:  # noqa: ANN401 - click's values, named by Wanted
    """List jobs, newest first."""
    run_async(_list, choices, Wanted(**wanted), limit)


async def _list(choices: Choices, wanted: Wanted, limit: int) -> None:
    console = Console(choices)
    async with reading(choices) as store:
        matching = await wanted.matching(store)
        now_us = await store.now_us()
        found = _first(store.jobs(matching), limit)
        if console.structured:
            names = worker_names(list(await store.workers()))
            with streamed(console, "jobs", "items") as write:
                async for job in found:
                    name = None if job.worker is None else names.get(job.worker)
                    write(job_fields(job, name, now_us))
            return
        printed = await _print_rows(console, found, now_us)
    if not printed and choices.output == "table":
        console.say("no job matches" if matching != JobFilter() else "there are no jobs yet")
    elif limit and printed == limit and choices.output == "table":
        console.say(f"the newest {limit}; --limit 0 lists all")


async def _print_rows(console: Console, found: AsyncIterator[Job], now_us: int) -> int:
    table = Table(console, LIST_COLUMNS)
    printed = 0
    async for job in found:
        printed += 1
        if console.choices.output == "name":
            console.out(job_name(job.id))
        else:
            table.row(list_row(job, now_us, console), colour=COLOUR_OF.get(job.state))
    table.close()
    return printed


async def _first(found: AsyncIterator[Job], limit: int) -> AsyncIterator[Job]:
    """Yield the first *limit* jobs, all of them with 0."""
    number = 0
    async for job in found:
        yield job
        number += 1
        if number == limit:
            return


@click.command(cls=PlugwaveCommand)
@click.argument("job", type=JobType())
@click.pass_obj
def show(choices: Choices, job: JobId) -> None:
    """Show everything about one job; secret-looking inputs are masked."""
    run_async(_show, choices, job)


async def _show(choices: Choices, job: JobId) -> None:
    console = Console(choices)
    async with reading(choices) as store:
        found = await existing_job(store, job)
        names = worker_names(list(await store.workers()))
        now_us = await store.now_us()
    name = None if found.worker is None else names.get(found.worker)
    fields = full_fields(found, name, now_us)
    if console.structured:
        document(console, fields)
    elif choices.output == "name":
        console.out(job_name(found.id))
    else:
        for line in fact_lines(fields):
            console.out(line)
        console.say(f"Next:  plugwave why {job_name(job)}   plugwave jobs timeline {job_name(job)}")


def fact_lines(fields: Mapping[str, Any]) -> list[str]:
    """Return the facts that there are, one on a line; nested ones as JSON."""
    told = {key: value for key, value in fields.items() if value not in EMPTY}
    width = max(len(key) for key in told)
    return [f"{key:<{width}}  {_fact(value)}" for key, value in told.items()]


def _fact(value: object) -> str:
    match value:
        case bool():
            return "yes" if value else "no"
        case dict():
            return as_json(value)
        case list() | tuple():
            return clean_text(", ".join(str(item) for item in value))
        case _:
            return clean_text(str(value))


TIMELINE_COLUMNS: Final = (
    Column(title="AFTER", right=True),
    Column(title="TIME"),
    Column(title="EVENT"),
    Column(title="STATE"),
    Column(title="FACTS", width=60),
)


@click.command(cls=PlugwaveCommand)
@click.argument("job", type=JobType())
@click.pass_obj
def timeline(choices: Choices, job: JobId) -> None:
    """Show what happened to one job, in order."""
    no_names(Console(choices))
    run_async(_timeline, choices, job)


async def _timeline(choices: Choices, job: JobId) -> None:
    console = Console(choices)
    async with reading(choices) as store:
        found = await existing_job(store, job)
        history = await store.history(job)
    if console.structured:
        with streamed(console, "timeline", "events") as write:
            for event in history:
                write(event_fields(event, found.created_us))
        return
    table = Table(console, TIMELINE_COLUMNS)
    for event in history:
        table.row(_event_row(event, found.created_us, console), colour=COLOUR_OF.get(event.state))
    table.close()


def _event_row(event: Event, created_us: int, console: Console) -> Sequence[str]:
    after = seconds_between(created_us, event.at_us) or 0.0
    facts = masked_inputs(event.data)
    return [
        f"+{format_duration(after)}",
        console.moment(event.at_us),
        event.event,
        event.state.value,
        " ".join(f"{key}={_fact(value)}" for key, value in facts.items() if value not in EMPTY),
    ]
