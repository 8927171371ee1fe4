"""`plugwave store check`, `stats` and `migrate`."""

from typing import Any, Final

import click

from config.masking import clean_text
from jobs.durations import format_duration
from jobs.errors import UsageError
from jobs.report.limits import lessons
from jobs.states import OPEN_STATES, JobState
from jobs.store.facts import Figure, Finding
from jobs.store.protocol import Store
from worker.cli.choices import Choices
from worker.cli.console import Console
from worker.cli.lazy import PlugwaveCommand
from worker.cli.printing import document, no_names
from worker.cli.session import loaded_settings, reading, run_async, store_place, writing
from worker.cli.workers import worker_table
from worker.stores import migration_sql
from worker.telling.workers import worker_fields

EXIT_DAMAGED: Final = 9
KIB: Final = 1024


@click.command(cls=PlugwaveCommand)
@click.pass_obj
def check(choices: Choices) -> int:
    """Look for damage; leaves with 9 when something is wrong."""
    no_names(Console(choices))
    return run_async(_check, choices)


async def _check(choices: Choices) -> int:
    console = Console(choices)
    async with reading(choices) as store:
        findings = await store.check()
    wrong = [finding for finding in findings if not finding.ok]
    if console.structured:
        document(console, {"ok": not wrong, "findings": [_finding(one) for one in findings]})
    else:
        width = max((len(finding.name) for finding in findings), default=0)
        for finding in findings:
            word = console.paint("ok   ", "green") if finding.ok else console.paint("WRONG", "red")
            console.out(f"{word}  {finding.name:<{width}}  {clean_text(finding.detail)}")
    if wrong:
        console.tell(
            f"{len(wrong)} of {len(findings)} checks found something; keep the files, stop"
        )
        console.tell("the workers, and restore a backup or report it")
    return EXIT_DAMAGED if wrong else 0


def _finding(finding: Finding) -> dict[str, Any]:
    return {"name": finding.name, "ok": finding.ok, "detail": finding.detail}


@click.command(cls=PlugwaveCommand)
@click.pass_obj
def stats(choices: Choices) -> None:
    """Count what the store holds: jobs, sizes, rates, the oldest open job."""
    no_names(Console(choices))
    run_async(_stats, choices)


async def _stats(choices: Choices) -> None:
    console = Console(choices)
    async with reading(choices) as store:
        body = await _counted(store)
        workers = await store.workers()
        now_us = await store.now_us()
        figures = await store.figures()
        limits = lessons(await store.buckets(), now_us)
    body = {
        "store": store_place(loaded_settings(choices).settings.store),
        **body,
        "workers": [worker_fields(row) for row in workers],
        "figures": [
            {"name": one.name, "value": one.value, "unit": one.unit or None} for one in figures
        ],
        "limits": dict(limits),
    }
    if console.structured:
        document(console, body)
        return
    console.out(f"store    {clean_text(str(body['store']))}")
    console.out(f"jobs     {_counts(body['jobs']) or 'none'}")
    console.out(f"open     {body['open']}")
    console.out(f"waiting  {_counts(body['waiting']) or 'none'}")
    alive = [row for row in workers if row.alive]
    console.out(f"workers  {len(alive)} alive")
    width = max((len(figure.name) for figure in figures), default=0)
    for figure in figures:
        console.out(f"{figure.name:<{width}}  {shown(figure)}")
    for key, told in limits:
        console.out(f"limit    {clean_text(key.replace('|', ' at '))}: {told}")
    worker_table(console, workers, now_us)


def shown(figure: Figure) -> str:
    """Return a figure as people read it."""
    match figure.unit:
        case "bytes":
            return _size(figure.value)
        case "s":
            return format_duration(figure.value)
        case "":
            return f"{figure.value:,.0f}"
        case unit:
            return f"{figure.value:g} {unit}".replace(" /", "/")


def _size(count: float) -> str:
    for unit in ("B", "KiB", "MiB"):
        if count < KIB:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= KIB
    return f"{count:.1f} GiB"


async def _counted(store: Store) -> dict[str, Any]:
    counts = await store.counts()
    return {
        "jobs": {state.value: counts[state] for state in JobState if counts.get(state)},
        "open": sum(counts.get(state, 0) for state in OPEN_STATES),
        "waiting": {reason.value: n for reason, n in (await store.waiting_counts()).items()},
    }


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{number} {name}" for name, number in counts.items())


@click.command(cls=PlugwaveCommand)
@click.option("--print-sql", is_flag=True, help="Print what would be run, and change nothing.")
@click.option(
    "--from",
    "after",
    type=click.IntRange(min=0),
    help="With --print-sql: from this schema version, 0 for an empty store; nothing is asked.",
)
@click.pass_obj
def migrate(choices: Choices, print_sql: bool, after: int | None) -> None:  # noqa: FBT001 - click hands over flags by name
    """Create the store or bring it up to date; repeatable.

    Workers of the version before go on meanwhile.  With --print-sql an administrator can do
    it instead, with psql or sqlite3.
    """
    no_names(Console(choices))
    if after is not None and not print_sql:
        raise UsageError("--from goes with --print-sql")
    run_async(_print_sql if print_sql else _migrate, choices, after)


async def _print_sql(choices: Choices, after: int | None) -> None:
    console = Console(choices)
    store = loaded_settings(choices).settings.store
    sql = await migration_sql(store, after=after)
    if console.structured:
        document(console, {"store": store_place(store), "sql": sql})
        return
    for line in sql.splitlines():
        console.out(line)
    if not sql:
        console.say(f"{clean_text(store_place(store))} is up to date: there is nothing to run")


async def _migrate(choices: Choices, _after: int | None) -> None:
    console = Console(choices)
    async with writing(choices):
        place = store_place(loaded_settings(choices).settings.store)
    if console.structured:
        document(console, {"store": place, "ready": True})
    else:
        console.out(f"{clean_text(place)} is up to date")
