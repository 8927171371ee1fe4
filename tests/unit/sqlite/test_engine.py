"""The engine: errors in our words, group commit, and calls that fail alone."""

# ruff: noqa: ASYNC240 - a test spoils a file itself
import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import apsw
import pytest
import uvloop

from jobs.clock import SystemClock
from jobs.errors import (
    StoreCorruptError,
    StoreError,
    StoreFullError,
    StoreLockedError,
    StoreReadOnlyError,
)
from jobs.model import JobId, Lease
from jobs.states import JobEvent, JobState
from jobs.store.protocol import Change, JobFilter
from jobs.store.sqlite import SqliteStore, open_sqlite
from jobs.store.sqlite.connection import store_error
from jobs.store.sqlite.transaction import Transaction
from tests.builders import a_request
from tests.contract.steps import (
    SENT,
    a_worker,
    accept,
    all_is_well,
    claim,
    claimed,
    move,
    state_of,
    story,
)
from tests.fakes import FakeClock
from tests.unit.sqlite.steps import damage, run, writing


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        (apsw.FullError, StoreFullError),
        (apsw.ReadOnlyError, StoreReadOnlyError),
        (apsw.PermissionsError, StoreReadOnlyError),
        (apsw.BusyError, StoreLockedError),
        (apsw.LockedError, StoreLockedError),
        (apsw.NotADBError, StoreCorruptError),
        (apsw.CorruptError, StoreCorruptError),
        (apsw.IOError, StoreError),
        (apsw.SQLError, StoreError),
    ],
)
def test_every_error_of_the_library_becomes_ours(
    theirs: type[apsw.Error], ours: type[StoreError], path: Path
) -> None:
    """What SQLite says is translated once, names the file and shows no row."""
    error = store_error(theirs("secret content of a row"), path)

    assert type(error) is ours
    assert str(path) in str(error)
    assert "secret" not in repr(error.as_dict())


async def test_a_store_that_may_not_be_written_says_so(store: SqliteStore) -> None:
    """When the file turns read-only, callers hear it; what was stored stays readable."""
    [job] = await accept(store)
    writing(store).execute("PRAGMA query_only = ON")

    with pytest.raises(StoreReadOnlyError):
        await accept(store, a_request("other"))

    assert await state_of(store, job) is JobState.READY


async def test_a_full_disk_loses_nothing(store: SqliteStore) -> None:
    """Without space callers get an error, accepted jobs stay, and work goes on when there is."""
    [job] = await accept(store)
    pages = writing(store).pragma("page_count")
    writing(store).pragma("max_page_count", pages)
    many = [a_request(f"pool-{n}", labels={"text": "x" * 500}) for n in range(200)]

    with pytest.raises(StoreFullError):
        await accept(store, *many)
    full = await store.open_jobs()
    writing(store).pragma("max_page_count", 1_000_000)
    await accept(store, *many)

    assert full == 1
    assert await store.open_jobs() == 201
    assert await state_of(store, job) is JobState.READY
    await all_is_well(store)


async def test_a_lock_that_does_not_end_is_reported(store: SqliteStore, path: Path) -> None:
    """A program that keeps the write lock is waited for so long, then named as the trouble."""
    [job] = await accept(store)
    holder = apsw.Connection(str(path))
    holder.execute("BEGIN IMMEDIATE")

    with pytest.raises(StoreLockedError):
        await accept(store, a_request("other"))
    readable = await state_of(store, job)
    holder.execute("ROLLBACK")
    holder.close()
    await accept(store, a_request("other"))

    assert readable is JobState.READY
    assert await store.open_jobs() == 2


async def test_damage_is_found(path: Path, clock: FakeClock) -> None:
    """Pages that were overwritten are an error when they are read, never a wrong answer."""
    store = await open_sqlite(path, clock)
    await accept(store, *[a_request(f"pool-{n}") for n in range(100)])
    await store.close()
    content = bytearray(path.read_bytes())
    content[4096 * 3 :] = b"\xff" * (len(content) - 4096 * 3)
    path.write_bytes(content)

    async def read_all() -> None:
        damaged = await open_sqlite(path, clock)
        try:
            assert not [job async for job in damaged.jobs(JobFilter())]
        finally:
            await damaged.close()

    with pytest.raises(StoreCorruptError):
        await read_all()


class Gate:
    """Keeps the writer busy, so that the calls behind it become one group."""

    def __init__(self, store: SqliteStore) -> None:
        self._store = store
        self._shut = threading.Event()
        self._reached = threading.Event()

    def _wait(self, _: Transaction) -> None:
        self._reached.set()
        assert self._shut.wait(10)

    async def run(self, *calls: Callable[[Transaction], Any]) -> list[Any]:
        """Run *calls* as one group and return what each returned or raised."""
        told: list[Any] = [None] * len(calls)

        async def one(place: int, call: Callable[[Transaction], Any]) -> None:
            try:
                told[place] = await run(self._store, call)
            except Exception as error:  # noqa: BLE001 - the error is what the test looks at
                told[place] = error

        async with anyio.create_task_group() as group:
            group.start_soon(run, self._store, self._wait)
            await anyio.to_thread.run_sync(self._reached.wait, 10)
            for place, call in enumerate(calls):
                group.start_soon(one, place, call)
            await anyio.wait_all_tasks_blocked()
            self._shut.set()
        return told


def add_project(name: str) -> Callable[[Transaction], str]:
    """Return a call that writes one row."""

    def call(transaction: Transaction) -> str:
        transaction.change("INSERT INTO projects(name) VALUES (?)", (name,))
        return name

    return call


def fail_after_writing(transaction: Transaction) -> None:
    """Write, then fail."""
    add_project("poison")(transaction)
    transaction.happened(4711, "poison", JobState.READY)
    raise LookupError("test")


def fail_before_writing(transaction: Transaction) -> None:
    """Look, then fail."""
    raise LookupError("test")


async def projects(store: SqliteStore) -> list[str]:
    """Return the names of all projects."""
    return [
        name for (name,) in await store._reader.run(lambda s: s.rows("SELECT name FROM projects"))
    ]


@pytest.mark.parametrize("fail", [fail_before_writing, fail_after_writing])
async def test_a_call_that_fails_fails_alone(
    store: SqliteStore, fail: Callable[[Transaction], None]
) -> None:
    """The calls beside it in the group are whole, and nothing of it is left."""
    told = await Gate(store).run(add_project("a"), fail, add_project("b"), fail)

    assert [told[0], told[2]] == ["a", "b"]
    assert [type(told[1]), type(told[3])] == [LookupError, LookupError]
    assert await projects(store) == ["a", "b"]
    assert await story(store, JobId(4711)) == []


async def test_an_error_of_one_statement_fails_one_call(store: SqliteStore) -> None:
    """A broken constraint is one caller's trouble."""
    told = await Gate(store).run(add_project("a"), add_project("a"), add_project("b"))

    assert (told[0], type(told[1]), told[2]) == ("a", StoreError, "b")
    assert await projects(store) == ["a", "b"]


async def test_a_commit_that_fails_fails_every_call(store: SqliteStore) -> None:
    """When nothing could be made durable, nobody is told that it was."""
    gates_own = iter([False])
    writing(store).set_commit_hook(lambda: next(gates_own, True))

    told = await Gate(store).run(add_project("a"), add_project("b"))
    writing(store).set_commit_hook(None)

    assert [type(one) for one in told] == [StoreError, StoreError]
    assert await projects(store) == []


async def test_ids_of_a_failed_commit_are_forgotten(store: SqliteStore) -> None:
    """Intake after a failed commit does not build on rows that never were."""
    writing(store).set_commit_hook(lambda: True)
    with pytest.raises(StoreError):
        await accept(store, a_request(key="k"))
    writing(store).set_commit_hook(None)

    await accept(store, a_request(key="other", project="other"), a_request(key="k"))

    assert await store.open_jobs() == 2
    await all_is_well(store)


async def test_many_records_are_few_commits(store: SqliteStore) -> None:
    """Two hundred jobs that answer at once cost a handful of commits."""
    await accept(store, *[a_request(f"pool-{n:03d}") for n in range(200)])
    leases = [lease for _, lease in await claim(store, await a_worker(store), 200)]
    before = store.commits

    async with anyio.create_task_group() as group:
        for lease in leases:
            change = Change(lease=lease, event=JobEvent.INTENDED, progress=SENT)
            group.start_soon(store.record, change)

    assert await store.counts() == {JobState.SENDING: 200}
    assert store.commits - before <= 10


async def test_a_move_that_cannot_be_written_fails_alone(store: SqliteStore) -> None:
    """Moves that come together are written together; when one cannot be, the others are."""
    jobs = await accept(store, *[a_request(f"pool-{n}") for n in range(5)])
    leases = [lease for _, lease in await claim(store, await a_worker(store), 5)]
    await damage(
        store,
        "CREATE TRIGGER broken BEFORE UPDATE OF progress ON jobs"
        f" WHEN NEW.id = {jobs[2]} BEGIN SELECT RAISE(FAIL, 'test'); END",
    )
    told: dict[int, str] = {}

    async def one(lease: Lease) -> None:
        try:
            told[lease.job] = (await move(store, lease, JobEvent.INTENDED)).state.value
        except StoreError as error:
            told[lease.job] = type(error).__name__

    async with anyio.create_task_group() as group:
        for lease in leases:
            group.start_soon(one, lease)

    assert told == dict.fromkeys(jobs, "sending") | {jobs[2]: "StoreError"}
    await damage(store, "DROP TRIGGER broken")
    assert await store.counts() == {JobState.SENDING: 4, JobState.CHECKING: 1}
    assert [event.event for event in await store.history(jobs[2])] == ["created", "claimed"]
    await all_is_well(store)


async def test_a_cancelled_call_still_happens(store: SqliteStore) -> None:
    """A caller that stops waiting does not undo what was queued."""
    gate = Gate(store)

    async def leave_early() -> None:
        with anyio.CancelScope() as scope:
            scope.cancel()
            await run(store, add_project("a"))

    async with anyio.create_task_group() as group:
        group.start_soon(run, store, gate._wait)
        await anyio.to_thread.run_sync(gate._reached.wait, 10)
        group.start_soon(leave_early)
        await anyio.wait_all_tasks_blocked()
        gate._shut.set()
    await run(store, add_project("b"))

    assert await projects(store) == ["a", "b"]


def test_the_store_works_under_uvloop(path: Path) -> None:
    """The faster loop changes nothing."""

    async def round_trip() -> list[JobId]:
        store = await open_sqlite(path, SystemClock())
        jobs = await accept(store, a_request("a"), a_request("b"))
        got = await claimed(store, await a_worker(store))
        await store.close()
        return [job for job in jobs if job in got]

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert len(runner.run(round_trip())) == 2
