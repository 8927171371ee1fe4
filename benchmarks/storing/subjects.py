"""What is measured: a queue that can be filled, claimed from, and have its jobs carried to the end.

Every subject stores the same jobs under the same keys and takes them in the same batches.
"""

import json
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, Protocol
from uuid import UUID

import anyio
import apsw

from benchmarks.ours import requests, settings_for
from benchmarks.works import BODY, PROJECT, SEND
from jobs.model import Job, JobRequest, Lease, WorkerId
from jobs.states import JobEvent
from jobs.store.protocol import Change, Store, WorkerInfo
from worker.stores import opened_store

PROJECTS: Final = 10


class Subject(Protocol):
    """A queue."""

    def prepare(self, first: int, last: int) -> Any:  # noqa: ANN401 - each its own
        """Build the jobs *first* to *last* in memory; not part of the enqueue that is timed."""
        ...

    async def store(self, batch: Any) -> None:  # noqa: ANN401 - see `prepare`
        """Store what `prepare` built, durably, in one transaction."""
        ...

    async def claim(self, limit: int) -> Sequence[Any]:
        """Take *limit* jobs."""
        ...

    async def put_back(self, taken: Sequence[Any]) -> None:
        """Make them claimable again; not timed."""
        ...

    async def carry(self, taken: Sequence[Any]) -> None:
        """Take them to the end: whatever the queue writes between claim and result."""
        ...


class Plugwave:
    """Our own store: intent, answer, result, history and counters for each job."""

    def __init__(self, store: Store, worker: WorkerId) -> None:
        self._store = store
        self._worker = worker
        self._run = str(time.monotonic_ns())
        self._reported = 0

    def prepare(self, first: int, last: int) -> list[JobRequest]:
        """See `Subject.prepare`: parsed and checked as intake does it."""
        return requests(SEND, first, last, self._run)

    async def store(self, batch: Any) -> None:  # noqa: ANN401 - see `Subject`
        """See `Subject.store`."""
        await self._store.enqueue(batch)

    async def claim(self, limit: int) -> Sequence[tuple[Job, Lease]]:
        """See `Subject.claim`."""
        return await self._store.claim(self._worker, limit=limit, deadline_s=3600)

    async def put_back(self, taken: Sequence[tuple[Job, Lease]]) -> None:
        """See `Subject.put_back`."""
        await self._all(taken, self._hand_back)

    async def carry(self, taken: Sequence[tuple[Job, Lease]]) -> None:
        """See `Subject.carry`; then the results are read, as the reporter does."""
        await self._all(taken, self._carry)
        results = await self._store.results_after(self._worker, self._reported)
        self._reported = results[-1].seq

    async def _hand_back(self, job: Job, lease: Lease) -> None:
        await self._moved(job, lease, JobEvent.HANDED_BACK)

    async def _all(
        self,
        taken: Sequence[tuple[Job, Lease]],
        what: Callable[[Job, Lease], Coroutine[Any, Any, None]],
    ) -> None:
        async with anyio.create_task_group() as tasks:
            for job, lease in taken:
                tasks.start_soon(what, job, lease)

    async def _moved(self, job: Job, lease: Lease, event: JobEvent) -> Job:
        change = Change(lease=lease, event=event, progress=job.progress, data={"http_status": 200})
        return await self._store.record(change)

    async def _carry(self, job: Job, lease: Lease) -> None:
        now_us = time.time_ns() // 1000
        progress = replace(job.progress, sends=1, sent_us=now_us, not_before_us=now_us)
        job = await self._moved(replace(job, progress=progress), lease, JobEvent.INTENDED)
        job = replace(job, progress=replace(job.progress, accepted_us=now_us, http_status=200))
        job = await self._moved(job, lease, JobEvent.ACCEPTED)
        await self._moved(job, lease, JobEvent.SETTLED)


@asynccontextmanager
async def plugwave(address: str) -> AsyncIterator[Subject]:
    """Open plugwave's store at *address*."""
    settings = settings_for(address, SEND, "http://127.0.0.1:1")
    async with opened_store(settings.store) as store:
        info = WorkerInfo(name="benchmark", host="here", pid=1)
        worker = await store.register(info, lease_s=3600)
        yield Plugwave(store, worker)


class BareSqlite:
    """The least SQLite can do: the same rows by executemany, no history, no lease, no result."""

    TABLE: Final = (
        "CREATE TABLE jobs (id INTEGER PRIMARY KEY, state INTEGER, project TEXT, pool TEXT,"
        " plugin TEXT, version TEXT, inputs TEXT, key TEXT NOT NULL UNIQUE)"
    )
    READY: Final = "CREATE INDEX ready ON jobs (id) WHERE state = 0"
    INSERT: Final = "INSERT INTO jobs VALUES (NULL, 0, ?, ?, 'node-local-dns', '1.6.36', ?, ?)"
    TAKE: Final = (
        "UPDATE jobs SET state = 1 WHERE id IN (SELECT id FROM jobs WHERE state = 0 ORDER BY id"
        " LIMIT ?) RETURNING id, project, pool, inputs"
    )

    def __init__(self, path: Path) -> None:
        self._connection = apsw.Connection(str(path))
        self._connection.execute("PRAGMA journal_mode = WAL").fetchall()
        self._connection.execute("PRAGMA synchronous = FULL")
        self._connection.execute(f"PRAGMA cache_size = -{48 * 1024}")
        self._connection.execute("PRAGMA wal_autocheckpoint = 10000")
        self._connection.execute(self.TABLE)
        self._connection.execute(self.READY)
        self._inputs = json.dumps(json.loads(BODY)["spec"]["template"]["inputs"])

    def prepare(self, first: int, last: int) -> list[tuple[str, str, str, str]]:
        """See `Subject.prepare`."""
        return [
            (f"{PROJECT[:-1]}{number % PROJECTS}", f"send-{number}", self._inputs, f"run-{number}")
            for number in range(first, last)
        ]

    async def store(self, batch: Any) -> None:  # noqa: ANN401 - see `Subject`
        """See `Subject.store`."""
        with self._connection:
            self._connection.executemany(self.INSERT, batch)

    async def claim(self, limit: int) -> Sequence[Any]:
        """See `Subject.claim`."""
        return self._connection.execute(self.TAKE, (limit,)).fetchall()

    async def put_back(self, taken: Sequence[Any]) -> None:
        """See `Subject.put_back`."""
        await self._set(0, taken)

    async def carry(self, taken: Sequence[Any]) -> None:
        """See `Subject.carry`: one state, set once."""
        await self._set(2, taken)

    async def _set(self, state: int, taken: Sequence[Any]) -> None:
        with self._connection:
            self._connection.executemany(
                "UPDATE jobs SET state = ? WHERE id = ?", ((state, one[0]) for one in taken)
            )


@asynccontextmanager
async def bare_sqlite(address: str) -> AsyncIterator[Subject]:
    """Open a file of its own beside the one that *address* names."""
    yield BareSqlite(Path(address.removeprefix("sqlite:///") + ".bare"))


class PgQueue:
    """pgqueuer by its own interface: enqueue with keys, dequeue, and its log of the ended ones."""

    def __init__(self, queries: Any) -> None:  # noqa: ANN401 - pgqueuer is not here for mypy
        from pgqueuer.ports.repository import (  # noqa: PLC0415 - only where it is installed
            EntrypointExecutionParameter,
        )

        self._queries = queries
        self._entry = {"post": EntrypointExecutionParameter(concurrency_limit=0)}
        self._manager = UUID(int=1)

    def prepare(self, first: int, last: int) -> list[tuple[bytes, str]]:
        """See `Subject.prepare`."""
        return [(BODY, f"run-{number}") for number in range(first, last)]

    async def store(self, batch: Any) -> None:  # noqa: ANN401 - see `Subject`
        """See `Subject.store`."""
        many = len(batch)
        await self._queries.enqueue(
            ["post"] * many,
            [body for body, _ in batch],
            [0] * many,
            dedupe_key=[key for _, key in batch],
        )

    async def claim(self, limit: int) -> Sequence[Any]:
        """See `Subject.claim`."""
        taken: Sequence[Any] = await self._queries.dequeue(
            limit, self._entry, self._manager, None, timedelta(seconds=300)
        )
        return taken

    async def put_back(self, taken: Sequence[Any]) -> None:
        """See `Subject.put_back`: by SQL, because the library does not."""
        ids = ",".join(str(int(job.id)) for job in taken)
        await self._queries.driver.execute(
            f"UPDATE pgqueuer SET status = 'queued', queue_manager_id = NULL WHERE id IN ({ids})"
        )

    async def carry(self, taken: Sequence[Any]) -> None:
        """See `Subject.carry`: one statement for all."""
        await self._queries.log_jobs([(job, "successful", None) for job in taken])


@asynccontextmanager
async def pgqueuer(address: str) -> AsyncIterator[Subject]:
    """Install pgqueuer in the database at *address*."""
    import asyncpg  # type: ignore[import-untyped]  # noqa: PLC0415 - it ships no types; an extra
    from pgqueuer import AsyncpgDriver, Queries  # noqa: PLC0415 - only where it is installed

    connection = await asyncpg.connect(address)
    try:
        queries = Queries(AsyncpgDriver(connection))
        await queries.install()
        yield PgQueue(queries)
    finally:
        await connection.close()


SUBJECTS: Final[dict[str, Callable[[str], AbstractAsyncContextManager[Subject]]]] = {
    "plugwave": plugwave,
    "bare": bare_sqlite,
    "pgqueuer": pgqueuer,
}
