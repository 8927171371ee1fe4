"""Hints may be lost, and readers with a cursor miss nothing that was committed."""

import anyio
import anyio.lowlevel
import pytest

from jobs.model import WorkerId
from jobs.states import JobEvent
from jobs.store.cursor import EventCursor
from jobs.store.postgres import Patience, PostgresStore, open_postgres
from tests.builders import a_request
from tests.contract.steps import accept, claim, move
from tests.fakes import FakeClock
from tests.postgres.steps import admin, opened


async def test_a_hint_travels_at_once(dsn: str) -> None:
    """What one process commits, an idle one on another machine notices without asking."""
    deaf = Patience(poll_s=3600.0)
    async with opened(dsn, deaf) as store, opened(dsn) as other:
        store.changed()
        before = store.changed()

        await accept(other)
        with anyio.fail_after(3):
            while not store.changed():
                await anyio.lowlevel.checkpoint()

        assert not before


@pytest.mark.slow
async def test_hints_are_few_and_the_last_one_is_sent_late(dsn: str) -> None:
    """Many commits in a row are one NOTIFY; what was held back goes out when the store closes."""
    deaf = Patience(poll_s=3600.0, hint_every_s=3600.0)
    async with opened(dsn, deaf) as store, opened(dsn, deaf) as other:
        heard: list[str] = []
        async with admin(dsn) as connection:
            await connection.add_listener("plugwave", lambda *told: heard.append(told[3]))
            for number in range(20):
                await accept(other, a_request(f"pool-{number}"))
            await connection.fetch("SELECT 1")
            in_a_row = list(heard)
            await other.close()
            with anyio.fail_after(3):
                while len(heard) < 2:
                    await anyio.lowlevel.checkpoint()

        assert in_a_row == [""]
        assert heard == ["", ""]
        assert store.changed()


async def test_a_lost_hint_costs_no_more_than_the_poll(dsn: str, clock: FakeClock) -> None:
    """With nobody listening, a worker still looks once in a while."""
    store = await open_postgres(dsn, clock, time=clock)
    store.changed()
    await store._presence.close()
    async with opened(dsn) as other:
        await accept(other)

    at_once = store.changed()
    clock.advance(1.0)

    assert (at_once, store.changed(), store.changed()) == (False, True, False)
    await store.close()


async def test_a_reader_of_all_events_misses_none(store: PostgresStore, dsn: str) -> None:
    """Transactions that commit in another order than they began are all read, each once."""
    await accept(store, a_request("a"))
    seen, cursor = await store.events_after(EventCursor())
    async with admin(dsn) as connection:
        slow = connection.transaction()
        await slow.start()
        await connection.execute(
            "INSERT INTO plugwave.events(job, project, at_us, event, state)"
            " VALUES (999, 1, 1, 'slow', 2)"
        )
        await accept(store, a_request("b"))
        meanwhile, cursor = await store.events_after(cursor)
        await slow.commit()
    after, cursor = await store.events_after(cursor)
    rest, _ = await store.events_after(cursor)

    assert [event.job for event in seen] == [1]
    assert meanwhile == []
    assert sorted(event.job for event in after) == [2, 999]
    assert rest == []


@pytest.mark.slow
async def test_a_reader_sees_every_event_of_a_busy_store_once(
    store: PostgresStore, other: PostgresStore
) -> None:
    """While two processes write, a reader with a cursor collects all that was written."""
    seen: list[int] = []
    ended = anyio.Event()

    async def write(target: PostgresStore, name: str) -> None:
        for number in range(25):
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

    assert len(seen) == len(set(seen)) == 100


async def test_a_reader_of_results_misses_none(store: PostgresStore, worker: WorkerId) -> None:
    """Results that are recorded by many at once are numbered without a gap at any moment."""
    await accept(store, *[a_request(f"pool-{n}") for n in range(60)])
    taken = await claim(store, worker)
    seen: list[int] = []

    async def read() -> None:
        while len(seen) < len(taken):
            seen.extend(r.seq for r in await store.results_after(worker, len(seen)))

    async with anyio.create_task_group() as group:
        group.start_soon(read)
        for _, lease in taken:
            group.start_soon(move, store, lease, JobEvent.ALREADY)

    assert seen == list(range(1, 61))
