"""`plugwave events`: what happens to all jobs, in order, once or as it comes."""

from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

import click

from config.masking import clean_text, masked_inputs
from jobs.clock import Clock, SystemClock, seconds_to_us
from jobs.errors import UsageError
from jobs.model import job_name
from jobs.store.cursor import EventCursor
from jobs.store.protocol import (
    Event,
    EventStore,
    Store,
)
from worker.cli.arguments import DurationType
from worker.cli.choices import Choices
from worker.cli.console import COLOUR_OF, Console
from worker.cli.lazy import PlugwaveCommand
from worker.cli.printing import SCHEMA, as_json, no_names, streamed
from worker.cli.session import reading, run_async
from worker.telling.jobs import event_line

BATCH: Final = 500
"""Events read at once."""

LOOK_EVERY_S: Final = 0.2
"""How often a reader that has everything asks whether something was written."""

LOOK_ANYWAY_S: Final = 1.0
"""It looks this often whatever it hears: events may be withheld for a moment."""


class CursorType(click.ParamType[EventCursor]):
    """A place in the row of events, as a line of ``-o ndjson`` tells it."""

    name = "cursor"

    def convert(
        self,
        value: str | EventCursor,
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> EventCursor:
        """Return the cursor."""
        if isinstance(value, EventCursor):
            return value
        try:
            return EventCursor.parse(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


@click.command(cls=PlugwaveCommand)
@click.option("--follow", is_flag=True, help="Go on with what comes, until Ctrl-C.")
@click.option("--since", type=DurationType(), help="Begin so long ago, such as 1h.")
@click.option("--after", type=CursorType(), help="Go on after a cursor that an earlier run told.")
@click.pass_obj
def events(choices: Choices, /, **wanted: Any) -> None:  # noqa: ANN401 - click's values
    """Print what happened to all jobs, in order.

    Without --since or --after it begins with the oldest event, with --follow now.  A line of
    -o ndjson has a cursor: whoever goes on after it misses nothing and may see the last few
    events once more.
    """
    if wanted["since"] is not None and wanted["after"] is not None:
        raise UsageError("--since and --after both say where to begin", do="leave out one")
    if wanted["follow"] and choices.output == "json":
        raise UsageError("a document that never ends is no JSON", do="use -o ndjson")
    no_names(Console(choices))
    run_async(_events, choices, wanted["follow"], wanted["since"], wanted["after"])


async def _events(
    choices: Choices,
    follow: bool,  # noqa: FBT001 - handed on from the command
    since_s: float | None,
    after: EventCursor | None,
) -> None:
    console = Console(choices)
    async with reading(choices) as store:
        cursor = after or await beginning(store, since_s, follow=follow)
        batches = read_on(store, cursor, SystemClock(), follow=follow)
        if choices.output == "json":
            with streamed(console, "events", "items") as write:
                async for found, before, _ in batches:
                    for event in found:
                        write(event_line(event, before))
            return
        async for found, before, reached in batches:
            for event in found:
                last = event is found[-1]
                console.out(_line(console, event, reached if last else before))
            console.flush()


async def beginning(store: Store, since_s: float | None, *, follow: bool) -> EventCursor:
    """Return where to begin when no cursor is given."""
    if since_s is not None:
        return await store.event_cursor(since_us=await store.now_us() - seconds_to_us(since_s))
    return await store.event_cursor() if follow else EventCursor()


async def read_on(
    store: EventStore, cursor: EventCursor, clock: Clock, *, follow: bool
) -> AsyncIterator[tuple[Sequence[Event], EventCursor, EventCursor]]:
    """Yield batches of events with the cursors before and after them; for ever with *follow*."""
    while True:
        found, reached = await store.events_after(cursor, limit=BATCH)
        if found:
            yield found, cursor, reached
            cursor = reached
        elif follow:
            await _something(store, clock)
        else:
            return


async def _something(store: EventStore, clock: Clock) -> None:
    """Wait until there may be something new."""
    until = clock.monotonic() + LOOK_ANYWAY_S
    while clock.monotonic() < until:
        await clock.sleep(LOOK_EVERY_S)
        if store.changed():
            return


def _line(console: Console, event: Event, cursor: EventCursor) -> str:
    if console.structured:
        return as_json({"schema": SCHEMA, **event_line(event, cursor)})
    facts = masked_inputs(event.data)
    told = " ".join(f"{key}={clean_text(str(value))}" for key, value in facts.items() if value)
    head = f"{console.moment(event.at_us)}  {job_name(event.job):<12}  {event.event:<13}"
    state = console.paint(f"{event.state.value:<10}", COLOUR_OF.get(event.state))
    return f"{head}  {state}  {told}".rstrip()
