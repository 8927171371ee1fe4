"""`plugwave sinks`: how far each receiver of events is, and what to do when one is stopped."""

from functools import partial
from typing import Any

import click

from config.masking import clean_text
from jobs.clock import SystemClock, iso
from jobs.errors import NothingMatchedError
from jobs.outbox import turns
from jobs.store.cursor import EventCursor
from jobs.store.sinks import SinkRow
from worker.cli.choices import Choices
from worker.cli.console import Console
from worker.cli.events import CursorType
from worker.cli.lazy import PlugwaveCommand
from worker.cli.printing import document
from worker.cli.session import reading, run_async, writing


@click.command("list", cls=PlugwaveCommand)
@click.pass_obj
def list_sinks(choices: Choices) -> None:
    """List the sinks that have ever delivered, and how they stand."""
    run_async(_list, choices)


async def _list(choices: Choices) -> None:
    console = Console(choices)
    async with reading(choices) as store:
        rows = await store.sinks.all()
    if console.structured:
        items = [row_fields(name, row) for name, row in rows.items()]
        document(console, {"kind": "sinks", "items": items})
        return
    for name, row in rows.items():
        console.out(name if choices.output == "name" else row_line(console, name, row))


@click.command(cls=PlugwaveCommand)
@click.argument("name")
@click.pass_obj
def show(choices: Choices, name: str) -> None:
    """Show one sink with its last deliveries."""
    run_async(_show, choices, name)


async def _show(choices: Choices, name: str) -> None:
    console = Console(choices)
    async with reading(choices) as store:
        row = (await store.sinks.all()).get(name)
    if row is None:
        raise _missing(name)
    if console.structured:
        log = [
            {"at": iso(one.at_us), "id": one.id, "events": one.events, "outcome": one.outcome}
            for one in row.log
        ]
        document(console, {"kind": "sink", **row_fields(name, row), "log": log})
        return
    console.out(row_line(console, name, row))
    for one in row.log:
        told = f"{one.events} events  {clean_text(one.outcome)}"
        console.out(f"  {console.moment(one.at_us)}  {one.id}  {told}")


@click.command(cls=PlugwaveCommand)
@click.argument("name")
@click.option("--after", type=CursorType(), help="Deliver again from this cursor on.")
@click.pass_obj
def resume(choices: Choices, name: str, after: EventCursor | None) -> None:
    """Let a stopped sink go on; what is pending is tried at once.

    With --after it delivers again what came after a cursor, with the ids of then.
    """
    run_async(_resume, choices, name, after)


async def _resume(choices: Choices, name: str, after: EventCursor | None) -> None:
    console = Console(choices)
    async with writing(choices) as store:
        row = await store.sinks.update(name, partial(_resumed, after))
    if row is None:
        raise _missing(name)
    console.out(name if choices.output == "name" else row_line(console, name, row))


def _resumed(
    after: EventCursor | None, row: SinkRow | None, _now_us: int
) -> tuple[SinkRow | None, SinkRow | None]:
    if row is None:
        return None, None
    new = turns.resumed(row) if after is None else turns.rewound(row, str(after))
    return new, new


def _missing(name: str) -> NothingMatchedError:
    return NothingMatchedError(
        f"no sink {clean_text(name)!r} has ever delivered",
        do="list them: plugwave sinks list; one begins with: plugwave deliver FILE",
    )


def row_fields(name: str, row: SinkRow) -> dict[str, Any]:
    """Return a sink as JSON."""
    return {
        "name": name,
        "cursor": row.cursor,
        "delivered": row.delivered,
        "pending": row.pending is not None,
        "attempt": row.attempt,
        "next_at": iso(row.next_us) if row.next_us else None,
        "stopped": row.stopped,
    }


def row_line(console: Console, name: str, row: SinkRow) -> str:
    """Return a sink on one line."""
    told = f"{clean_text(name)}  {row.delivered} delivered, up to {row.cursor}"
    if row.stopped:
        return f"{told}  stopped: {clean_text(row.stopped)}"
    if row.next_us > SystemClock().now_us():
        return f"{told}  try {row.attempt + 1} at {console.moment(row.next_us)}"
    return told
