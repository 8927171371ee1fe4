"""What is measured: a queue that can be filled, claimed from, and have its jobs carried to the end.

Every subject stores the same jobs under the same keys and takes them in the same batches.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, Protocol
from uuid import UUID

import anyio
import apsw

from benchmarks.ours import requests, settings_for
from benchmarks.storing.parts import CALLERS, Parts
from benchmarks.works import BODY, PROJECT, SEND
from jobs.changing import changed
from jobs.model import Job, JobRequest, Lease, WorkerId
from jobs.states import JobEvent
from jobs.store.protocol import Change, Store, WorkerInfo
from worker.stores import opened_store

PROJECTS: Final = 10


class Subject(Protocol):
    """A queue."""

    at_a_time: int
    """Calls of `store` that may be made side by side."""

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

    async def carry(self, taken: Sequence[Any], parts: Parts) -> None:
        """Take them to the end: whatever the queue writes between claim and result."""
        ...


class _Idle:
    """Answers moves as a store does, for all who ask in one turn of the loop, and does nothing."""

    def __init__(self) -> None:
        self._asked: list[asyncio.Future[None]] = []

    async def record(self, change: Change) -> Lease:
        """Wait as for a store."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        self._asked.append(future)
        if len(self._asked) == 1:
            loop.call_soon(self._answer)
        await future
        return change.lease

    def _answer(self) -> None:
        asked, self._asked = self._asked, []
        for future in asked:
            future.set_result(None)


class Plugwave:
    """Our own store: intent, answer, result, history and counters for each job.

    Each move is asked for by a task of its own, as in a worker.  What 500 tasks cost that ask a
    store which does nothing is measured beside it, and is no part of the store.
    """

    at_a_time = 2

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
        await self._all(self._store, taken, JobEvent.HANDED_BACK)

    async def carry(self, taken: Sequence[tuple[Job, Lease]], parts: Parts) -> None:
        """See `Subject.carry`; then the results are read, as the reporter does."""
        now_us = time.time_ns() // 1000
        sent = {"sends": 1, "sent_us": now_us, "not_before_us": now_us}
        answered = {"accepted_us": now_us, "http_status": 200}
        with parts.of(CALLERS):
            for event in (JobEvent.INTENDED, JobEvent.ACCEPTED, JobEvent.SETTLED):
                await self._all(_Idle(), taken, event)
        with parts.of("intent"):
            await self._all(self._store, _as_of(taken, sent), JobEvent.INTENDED)
        with parts.of("answer"):
            await self._all(self._store, _as_of(taken, sent | answered), JobEvent.ACCEPTED)
        with parts.of("end"):
            await self._all(self._store, _as_of(taken, sent | answered), JobEvent.SETTLED)
        with parts.of("report"):
            results = await self._store.results_after(self._worker, self._reported)
            self._reported = results[-1].seq
            await self._store.reported(self._worker, self._reported)

    @staticmethod
    async def _all(
        store: Store | _Idle, taken: Sequence[tuple[Job, Lease]], event: JobEvent
    ) -> None:
        async with anyio.create_task_group() as tasks:
            for job, lease in taken:
                told = {"http_status": 200}
                change = Change(lease=lease, event=event, progress=job.progress, data=told)
                tasks.start_soon(store.record, change)


def _as_of(taken: Sequence[tuple[Job, Lease]], told: Mapping[str, Any]) -> list[tuple[Job, Lease]]:
    """Return the jobs with what the worker has learned of them since."""
    return [(changed(job, progress=changed(job.progress, **told)), lease) for job, lease in taken]


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

    at_a_time = 1

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

    async def carry(self, taken: Sequence[Any], parts: Parts) -> None:
        """See `Subject.carry`: one state, set once."""
        with parts.of("end"):
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

    at_a_time = 2

    def __init__(self, queries: Any, more: Any) -> None:  # noqa: ANN401 - pgqueuer is not here for mypy
        from pgqueuer.ports.repository import (  # noqa: PLC0415 - only where it is installed
            EntrypointExecutionParameter,
        )

        self._queries = queries
        self._free = [queries, more]
        self._entry = {"post": EntrypointExecutionParameter(concurrency_limit=0)}
        self._manager = UUID(int=1)

    def prepare(self, first: int, last: int) -> list[tuple[bytes, str]]:
        """See `Subject.prepare`."""
        return [(BODY, f"run-{number}") for number in range(first, last)]

    async def store(self, batch: Any) -> None:  # noqa: ANN401 - see `Subject`
        """See `Subject.store`."""
        many, queries = len(batch), self._free.pop()
        bodies, keys = [body for body, _ in batch], [key for _, key in batch]
        await queries.enqueue(["post"] * many, bodies, [0] * many, dedupe_key=keys)
        self._free.append(queries)

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

    async def carry(self, taken: Sequence[Any], parts: Parts) -> None:
        """See `Subject.carry`: one statement for all."""
        with parts.of("end"):
            await self._queries.log_jobs([(job, "successful", None) for job in taken])


@asynccontextmanager
async def pgqueuer(address: str) -> AsyncIterator[Subject]:
    """Install pgqueuer in the database at *address*."""
    import asyncpg  # type: ignore[import-untyped]  # noqa: PLC0415 - it ships no types; an extra
    from pgqueuer import AsyncpgDriver, Queries  # noqa: PLC0415 - only where it is installed

    connections = [await asyncpg.connect(address) for _ in range(PgQueue.at_a_time)]
    try:
        first, second = (Queries(AsyncpgDriver(connection)) for connection in connections)
        await first.install()
        yield PgQueue(first, second)
    finally:
        for connection in connections:
            await connection.close()


SUBJECTS: Final[dict[str, Callable[[str], AbstractAsyncContextManager[Subject]]]] = {
    "plugwave": plugwave,
    "bare": bare_sqlite,
    "pgqueuer": pgqueuer,
}
