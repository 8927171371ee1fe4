"""The history of all jobs as one row: what webhooks and `plugwave events` read."""

import anyio
import pytest

from jobs.model import WorkerId
from jobs.states import HISTORY_WORDS, JobEvent, JobState
from jobs.store.cursor import EventCursor
from jobs.store.protocol import (
    Event,
    Store,
)
from tests.builders import NOON_US, a_request
from tests.contract.steps import MINUTE_US, accept, bring, move
from tests.fakes import FakeClock


async def read_all(store: Store, cursor: EventCursor | None = None) -> list[Event]:
    """Read on from a cursor, a few at a time, until there is nothing more."""
    seen: list[Event] = []
    cursor = cursor or EventCursor()
    while True:
        events, cursor = await store.events_after(cursor, limit=3)
        if not events:
            return seen
        seen += events


async def test_a_cursor_reads_everything_once_and_in_order(store: Store, worker: WorkerId) -> None:
    """Reading on from the cursor that came with the last events neither repeats nor skips."""
    [job] = await accept(store)
    lease = await bring(store, worker, JobState.WATCHING)
    await move(store, lease, JobEvent.SETTLED)

    seen = await read_all(store)

    assert seen == list(await store.history(job))
    assert [event.event for event in seen] == [
        *("created", "claimed", "intended", "accepted", "settled"),
    ]
    assert {event.event for event in seen} <= set(HISTORY_WORDS)


async def test_a_reader_that_is_at_the_end_hears_only_what_comes(store: Store) -> None:
    """A cursor after all that is there passes by the past and misses nothing that follows."""
    await accept(store, a_request("a"))
    cursor = await store.event_cursor()
    nothing, same = await store.events_after(cursor)
    [later] = await accept(store, a_request("b"))

    assert nothing == []
    assert [event.job for event in await read_all(store, same)] == [later]


async def test_a_reader_may_begin_at_an_instant(store: Store, clock: FakeClock) -> None:
    """`since` is the first event of that instant or later."""
    jobs = []
    for number in range(5):
        jobs += await accept(store, a_request(f"pool-{number}"))
        clock.advance(minutes=1)

    for number in range(5):
        cursor = await store.event_cursor(since_us=NOON_US + number * MINUTE_US)
        assert [event.job for event in await read_all(store, cursor)] == jobs[number:]
    cursor = await store.event_cursor(since_us=NOON_US + 10 * MINUTE_US)
    assert await read_all(store, cursor) == []


async def test_an_empty_store_has_a_cursor(store: Store) -> None:
    """Whoever follows a store from its first day misses nothing."""
    cursors = [await store.event_cursor(), await store.event_cursor(since_us=0)]
    [job] = await accept(store)

    for cursor in cursors:
        assert [event.job for event in await read_all(store, cursor)] == [job]


@pytest.mark.slow
async def test_a_reader_misses_nothing_while_others_write(store: Store, other: Store) -> None:
    """While two processes write, a reader with a cursor collects all that was written, once."""
    seen: list[int] = []
    ended = anyio.Event()

    async def write(target: Store, name: str) -> None:
        for number in range(15):
            await accept(target, a_request(f"{name}-{number}", key=f"{name}{number}"))

    async def read() -> None:
        cursor, last = EventCursor(), False
        while not last:
            last = ended.is_set()
            events, cursor = await store.events_after(cursor, limit=7)
            last = last and not events
            seen.extend(event.seq for event in events)

    async with anyio.create_task_group() as readers:
        readers.start_soon(read)
        async with anyio.create_task_group() as writers:
            for target, name in ((store, "a"), (other, "b"), (store, "c"), (other, "d")):
                writers.start_soon(write, target, name)
        ended.set()

    assert len(seen) == len(set(seen)) == 60


def test_a_cursor_survives_as_text() -> None:
    """A reader may keep its cursor in a file; anything else is refused."""
    cursor = EventCursor(xid=812, seq=4711)

    assert EventCursor.parse(str(cursor)) == cursor
    for wrong in ("", "4711", "1-", "-1-2", "1-2-3", "1-x", "1-" + "9" * 30):
        with pytest.raises(ValueError, match="cursor"):
            EventCursor.parse(wrong)
