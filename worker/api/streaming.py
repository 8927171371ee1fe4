"""The events of all jobs: a page at a time, or as a stream that goes on (server-sent events).

Each event of the stream has as its id the cursor with which one may go on after it; whoever
comes back with it misses nothing, and may see the last few events once more.

Source: WHATWG HTML, "Server-sent events".
"""

from collections.abc import AsyncIterator, Sequence
from typing import Final

import anyio
import orjson

from jobs.clock import seconds_to_us
from jobs.refusals import QueryError
from jobs.store.cursor import EventCursor
from jobs.store.protocol import Event, EventStore
from worker.api.bodies import EventsQuery
from worker.api.calls import STREAM, Asked, Reply
from worker.api.rooms import Rooms
from worker.api.waiting import waiter
from worker.telling.jobs import event_line

PING_S: Final = 15.0
"""How often a stream without events says that it is alive; proxies close silent ones."""

BATCH: Final = 500
HELLO: Final = "retry: 2000\n: events follow\n\n"
PING: Final = ": nothing new\n\n"


async def list_events(rooms: Rooms, asked: Asked) -> Reply:
    """Return a page of events, or a stream where the caller accepts one."""
    query: EventsQuery = asked.query
    streams = STREAM in asked.headers.get("Accept", "")
    cursor = await _beginning(rooms, asked, query, streams=streams)
    if streams:
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        return Reply(media=STREAM, headers=headers, stream=_stream(rooms, cursor))
    found, reached = await rooms.store.events_after(cursor, limit=query.limit)
    items = [event_line(event, _place(event, found, cursor, reached)) for event in found]
    return Reply(body={"kind": "events", "items": items, "cursor": str(reached)})


async def _beginning(
    rooms: Rooms, asked: Asked, query: EventsQuery, *, streams: bool
) -> EventCursor:
    last = asked.headers.get("Last-Event-ID")
    if query.after is not None and query.since is not None:
        raise QueryError("since and after both say where to begin", do="leave out one")
    try:
        if last:
            return EventCursor.parse(last)
    except ValueError as error:
        raise QueryError(f"Last-Event-ID: {error}") from None
    store: EventStore = rooms.store
    if query.after is not None:
        return EventCursor.parse(query.after)
    if query.since is not None:
        since_us = await rooms.store.now_us() - seconds_to_us(query.since)
        return await store.event_cursor(since_us=since_us)
    return await store.event_cursor() if streams else EventCursor()


def _place(
    event: Event, found: Sequence[Event], before: EventCursor, reached: EventCursor
) -> EventCursor:
    """Return the cursor with which a reader of this event goes on: no other in a batch is exact."""
    return reached if event is found[-1] else before


async def _stream(rooms: Rooms, cursor: EventCursor) -> AsyncIterator[str]:
    with waiter(rooms):
        yield HELLO
        while True:
            mark = rooms.tide.mark()
            if rooms.standing.draining:
                return
            found, reached = await rooms.store.events_after(cursor, limit=BATCH)
            if found:
                yield "".join(_frame(one, _place(one, found, cursor, reached)) for one in found)
                cursor = reached
                continue
            heard = False
            with anyio.move_on_after(PING_S):
                await rooms.tide.after(mark)
                heard = True
            if not heard:
                yield PING


def _frame(event: Event, cursor: EventCursor) -> str:
    data = orjson.dumps(event_line(event, cursor)).decode()
    return f"id: {cursor}\nevent: job\ndata: {data}\n\n"
