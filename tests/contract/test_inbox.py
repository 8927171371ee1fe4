"""The SQL door on every engine: other programs insert, workers make jobs of it, each once."""

from pathlib import Path
from typing import Any

import anyio
import apsw
import orjson
import pytest

from jobs.requests import NO_DEFAULTS
from jobs.store.protocol import JobFilter, Store
from tests.builders import PROJECT
from tests.contract.conftest import ENGINES
from tests.fakes import FakeClock
from tests.postgres.server import dsn_for
from tests.postgres.steps import run as run_sql
from worker.brokers.inbox import InboxDuty

REQUEST: dict[str, Any] = {
    "project_id": PROJECT,
    "pool_name": "pool-a",
    "plugin": {"name": "volcano", "version": "1.15.8"},
}


class Writer:
    """Another program, which knows the documented statements and nothing else."""

    def __init__(self, engine: str, place: Path) -> None:
        self._engine = engine
        self._place = place

    async def insert(self, request: object, key: str | None = None, *, text: str = "") -> None:
        """Ask for a job as the documentation says."""
        body = text or orjson.dumps(request).decode()
        if self._engine == "sqlite":
            await anyio.to_thread.run_sync(self._into_file, body, key)
        elif text:
            sql = "INSERT INTO plugwave.inbox(request, key, source) VALUES ($1, $2, 'tickets')"
            await run_sql(await dsn_for(self._place), sql, body, key)
        else:
            sql = "SELECT plugwave.enqueue_job($1::text::jsonb, $2, 'tickets')"
            await run_sql(await dsn_for(self._place), sql, body, key)

    def _into_file(self, body: str, key: str | None) -> None:
        connection = apsw.Connection(str(self._place / "jobs.db"))
        connection.set_busy_timeout(5000)
        sql = "INSERT INTO inbox(request, key, source) VALUES (?, ?, 'tickets')"
        connection.execute(sql, (body, key))
        connection.close()

    async def refused(self) -> list[str]:
        """Return why letters were refused."""
        sql = "SELECT refused FROM {}inbox WHERE refused IS NOT NULL ORDER BY id"
        if self._engine == "sqlite":
            connection = apsw.Connection(str(self._place / "jobs.db"))
            found = [str(why) for (why,) in connection.execute(sql.format(""))]
            connection.close()
            return found
        rows = await run_sql(await dsn_for(self._place), sql.format("plugwave."))
        return [str(row[0]) for row in rows]


@pytest.fixture
def writer(request: pytest.FixtureRequest, tmp_path: Path, store: Store) -> Writer:
    """Another program on the same store."""
    assert store is not None
    return Writer(request.node.callspec.params["opener"], tmp_path)


async def sweep(store: Store) -> None:
    """Let a worker look once."""
    duty = InboxDuty(store, FakeClock(), defaults=NO_DEFAULTS)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(duty.run)
        with anyio.fail_after(10):
            while not await duty.rests():
                await anyio.lowlevel.checkpoint()
        tasks.cancel_scope.cancel()


async def jobs_of(store: Store) -> list[tuple[str, str | None]]:
    """Return source and key of every job."""
    found = store.jobs(JobFilter(), newest_first=False)
    return [(job.request.source, job.request.idempotency_key) async for job in found]


async def test_a_letter_becomes_a_job(store: Store, writer: Writer) -> None:
    """With its source and its key, and without one by its number."""
    await writer.insert(REQUEST, "ticket-1")
    await writer.insert({**REQUEST, "pool_name": "pool-b"})

    await sweep(store)

    assert await jobs_of(store) == [("tickets", "ticket-1"), ("tickets", "inbox:2")]
    assert await store.inbox.letters(10) == []


async def test_a_letter_that_was_stored_and_not_removed_is_no_second_job(
    store: Store, writer: Writer
) -> None:
    """A worker that dies between the two leaves the letter; its key finds the job."""
    await writer.insert(REQUEST)
    letters = await store.inbox.letters(10)
    await sweep(store)
    await writer.insert(REQUEST, f"inbox:{letters[0].id}")

    await sweep(store)

    assert len(await jobs_of(store)) == 1
    assert await writer.refused() == []


async def test_two_workers_make_one_job_of_a_letter(store: Store, writer: Writer) -> None:
    """Both may read it; one job is there."""
    for number in range(20):
        await writer.insert({**REQUEST, "pool_name": f"pool-{number}"})

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(sweep, store)
        tasks.start_soon(sweep, store)

    assert len(await jobs_of(store)) == 20


async def test_a_letter_that_is_no_request_stays_with_the_reason(
    store: Store, writer: Writer
) -> None:
    """The others are not held up, and it may be read again when it was mended."""
    await writer.insert(None, text="{")
    await writer.insert({**REQUEST, "pool_nmae": "x"})
    await writer.insert(REQUEST)

    await sweep(store)

    assert len(await jobs_of(store)) == 1
    first, second = await writer.refused()
    assert "missing" in first
    assert "pool_nmae" in second
    assert await store.inbox.again(10) == 2
    assert len(await store.inbox.letters(10)) == 2


async def test_an_insert_that_is_rolled_back_asks_for_nothing(
    store: Store, tmp_path: Path, writer: Writer
) -> None:
    """The job is wanted if and only if the caller's own transaction is committed."""
    assert sorted(ENGINES) == ["postgres", "sqlite"]
    await writer.insert(REQUEST, "kept")
    if (tmp_path / "jobs.db").exists():
        connection = apsw.Connection(str(tmp_path / "jobs.db"))
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("INSERT INTO inbox(request) VALUES ('{}')")
        connection.execute("ROLLBACK")
        connection.close()
    else:
        asked = "PERFORM plugwave.enqueue_job('{}'); RAISE 'no'"
        undone = f"DO $$ BEGIN {asked}; EXCEPTION WHEN others THEN END $$"
        await run_sql(await dsn_for(tmp_path), undone)

    await sweep(store)

    assert [key for _, key in await jobs_of(store)] == ["kept"]
