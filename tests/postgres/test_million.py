"""A store with a million jobs: brought up to date beside the work, and emptied in short steps."""

import time
from collections.abc import AsyncIterator
from pathlib import Path
from statistics import quantiles

import anyio
import apsw
import pytest

from jobs.clock import SystemClock
from jobs.model import JobId
from jobs.retention import DAY_S, Retention
from jobs.store.postgres import open_postgres
from jobs.store.postgres.migrating import _FIRST, steps
from jobs.store.protocol import Store
from jobs.store.sqlite import migrating as sqlite_migrating
from jobs.store.sqlite import open_sqlite
from tests.builders import a_request
from tests.contract.steps import ONE, accept, claim
from tests.postgres.server import PrivateServer
from tests.postgres.steps import admin

pytestmark = [pytest.mark.soak, pytest.mark.timeout(1800)]

JOBS = 1_000_000
POOLS = 100_000
EVENTS_EACH = 3
LAST_STEP_BEFORE = 2
MONTH = Retention(finished_s=30 * DAY_S, keys_s=30 * DAY_S)

# A tenth is ready, the rest ended 40 days ago in the hands of a worker that has gone.
FILL_POSTGRES = f"""
INSERT INTO plugwave.projects(name) SELECT 'project-' || n FROM generate_series(1, 50) n;
INSERT INTO plugwave.specs(sha256, name, body)
  VALUES ('\\x00', 'p', '{{"base":"current","inputs":null,"name":"p","version":"1"}}');
INSERT INTO plugwave.pools(id, project, region, name, head_job)
  SELECT n, n % 50 + 1, '', 'pool-' || n, n FROM generate_series(1, {POOLS}) n;
INSERT INTO plugwave.workers(id, started_us, heartbeat_us, lease_until_us, dead_us, pid, has_lock,
                             name, host)
  VALUES (nextval('plugwave.worker_ids'), 0, 0, 0, 1, 1, false, 'old', 'old');
INSERT INTO plugwave.jobs(id, pool, spec, priority, created_us, finished_us, project, natural_tag,
                          state, place, reason, source, idempotency_key, fingerprint, natural_key)
  SELECT n, n % {POOLS} + 1, 1, 0, then_us, CASE WHEN n > {POOLS} THEN then_us END,
         n % {POOLS} % 50 + 1, 0, CASE WHEN n > {POOLS} THEN 8 ELSE 2 END,
         CASE WHEN n > {POOLS} THEN 6 ELSE 1 END, 0, 'load', 'k' || n, '\\x00', '\\x00'
    FROM generate_series(1, {JOBS}) n,
         (SELECT (extract(epoch FROM now() - interval '40 days') * 1000000)::bigint) t(then_us);
UPDATE plugwave.pools p SET head_job = j.id, project = j.project
  FROM plugwave.jobs j WHERE j.pool = p.id AND j.place = 1;
SELECT setval('plugwave.job_ids', {JOBS}), setval('plugwave.pool_ids', {POOLS});
INSERT INTO plugwave.idempotency SELECT source, idempotency_key, fingerprint, id FROM plugwave.jobs;
INSERT INTO plugwave.results
  SELECT 1, row_number() OVER (ORDER BY id), id, project FROM plugwave.jobs WHERE place = 6;
INSERT INTO plugwave.attempts(job, n, fence, worker, intended_us, project, outcome)
  SELECT id, 1, 1, 1, created_us, project, 'accepted' FROM plugwave.jobs WHERE place = 6;
INSERT INTO plugwave.events(job, at_us, project, state, event)
  SELECT id, created_us, project, state, 'created'
    FROM plugwave.jobs, generate_series(1, {EVENTS_EACH});
INSERT INTO plugwave.counts(slot, state, reason, jobs)
  SELECT 0, state, 0, count(*) FROM plugwave.jobs GROUP BY state;
"""
FILL_SQLITE = f"""
CREATE TEMP TABLE n AS WITH RECURSIVE n(n) AS (
  SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < {JOBS}) SELECT n FROM n;
INSERT INTO projects(name) SELECT 'project-' || n FROM n WHERE n <= 50;
INSERT INTO specs(sha256, name, body)
  VALUES (x'00', 'p', '{{"base":"current","inputs":null,"name":"p","version":"1"}}');
INSERT INTO pools(id, project, region, name, head_job)
  SELECT n, n % 50 + 1, '', 'pool-' || n, n FROM n WHERE n <= {POOLS};
INSERT INTO workers(name, host, pid, started_us, heartbeat_us, lease_until_us, dead_us)
  VALUES ('old', 'old', 1, 0, 0, 0, 1);
INSERT INTO jobs(id, state, open, holds, reason, fence, cancel_asked, priority, project, pool, spec,
                 created_us, finished_us, source, idempotency_key, fingerprint, natural_key)
  SELECT n, iif(n > {POOLS}, 8, 2), n <= {POOLS}, 0, 0, 0, 0, 0, 1, (n - 1) % {POOLS} + 1, 1,
         unixepoch() * 1000000 - 3456000000000,
         iif(n > {POOLS}, unixepoch() * 1000000 - 3456000000000, NULL),
         'load', 'k' || n, x'00', x'00' FROM n;
INSERT INTO idempotency SELECT source, idempotency_key, fingerprint, id FROM jobs;
INSERT INTO results SELECT 1, id - {POOLS}, id FROM jobs WHERE open = 0;
INSERT INTO attempts(job, n, fence, worker, intended_us, outcome)
  SELECT id, 1, 1, 1, created_us, 'accepted' FROM jobs WHERE open = 0;
INSERT INTO events(seq, job, at_us, event, state)
  SELECT row_number() OVER (), id, created_us, 'created', state
    FROM jobs, (SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3);
INSERT INTO counts SELECT state, reason, count(*) FROM jobs GROUP BY state, reason;
UPDATE sequences SET last = {JOBS} WHERE name = 'jobs';
UPDATE sequences SET last = {POOLS} WHERE name = 'pools';
UPDATE sequences SET last = {JOBS * EVENTS_EACH} WHERE name = 'events';
"""


def told(what: str, seconds: list[float]) -> None:
    """Print how long steps took; the figures of docs/postgresql.md come from here."""
    cuts = quantiles(seconds, n=100)
    worst = max(seconds)
    print(  # noqa: T201 - the figures are the point
        f"{what}: {len(seconds)} times, p50 {cuts[49] * 1e3:.1f} ms, p99 {cuts[98] * 1e3:.1f} ms,"
        f" worst {worst * 1e3:.0f} ms, in all {sum(seconds):.1f} s"
    )


async def empty_it(store: Store) -> None:
    """Prune everything that has ended, and measure the steps beside claims."""
    pruned: list[float] = []
    claims: list[float] = []
    worker = await store.register(ONE, lease_s=3600)
    after: JobId | None = None
    removed = 0
    while True:
        began = time.perf_counter()
        step = await store.prune(MONTH, after=after)
        pruned.append(time.perf_counter() - began)
        removed += step.jobs
        after = step.next
        if len(pruned) % 50 == 0:
            began = time.perf_counter()
            await claim(store, worker, 20)
            claims.append(time.perf_counter() - began)
        if after is None:
            break
    assert removed == JOBS - POOLS
    told("prune step", pruned)
    told("claim of 20 between", claims)


@pytest.fixture
async def server_dsn() -> AsyncIterator[str]:
    """A server of its own, with memory as a small real one has."""
    server = PrivateServer(shared_buffers="512MB", max_wal_size="4GB")
    yield server.dsn
    server.remove()


async def test_a_million_jobs_are_brought_up_to_date_on_postgresql(server_dsn: str) -> None:
    """While the schema comes in, a worker of the version before is held up for a moment only."""
    async with admin(server_dsn) as connection:
        await connection.execute(_FIRST)
        for number, sql in steps().items():
            if number <= LAST_STEP_BEFORE:
                await connection.execute(sql)
                await connection.execute(
                    f"INSERT INTO plugwave.schema_version VALUES ({number}, 0)"
                )
        await connection.execute(FILL_POSTGRES, timeout=900)
        await connection.execute("VACUUM ANALYZE", timeout=300)
    gaps: list[float] = []

    async def work_on() -> None:
        async with admin(server_dsn) as connection:
            add = await connection.prepare(
                "INSERT INTO plugwave.events(job, project, at_us, event, state)"
                " VALUES (1, 1, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint, 'x', 2)"
            )
            while True:
                began = time.perf_counter()
                await add.fetch()
                await connection.execute("UPDATE plugwave.workers SET heartbeat_us = 1")
                await connection.execute(
                    "INSERT INTO plugwave.results SELECT 2, max(seq) + 1, 1, 1"
                    " FROM plugwave.results WHERE worker = 1 HAVING false"
                )
                gaps.append(time.perf_counter() - began)

    async with anyio.create_task_group() as group:
        group.start_soon(work_on)
        await anyio.sleep(1)
        began = time.perf_counter()
        store = await open_postgres(server_dsn, SystemClock())
        took = time.perf_counter() - began
        await anyio.sleep(0.5)
        group.cancel_scope.cancel()
    print(f"migration: {took:.2f} s")  # noqa: T201 - the figures are the point
    told("a write meanwhile", gaps)
    await accept(store, a_request("afterwards"))
    assert [one for one in await store.check() if not one.ok] == []
    await empty_it(store)
    began = time.perf_counter()
    print(f"weeks dropped: {await store.forget(MONTH)}, {time.perf_counter() - began:.2f} s")  # noqa: T201 - the figures are the point
    assert [one.name for one in await store.check() if not one.ok] == []
    await store.close()


async def test_a_million_jobs_are_brought_up_to_date_on_sqlite(tmp_path: Path) -> None:
    """The same in one file."""
    path = tmp_path / "jobs.db"
    connection = apsw.Connection(str(path))
    connection.execute("PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF")
    connection.execute(sqlite_migrating._FIRST)
    for number, sql in sqlite_migrating.steps().items():
        if number <= LAST_STEP_BEFORE:
            connection.execute(sql)
            connection.execute(f"INSERT INTO schema_version VALUES ({number}, 0)")
    connection.execute(FILL_SQLITE)
    connection.close()
    began = time.perf_counter()
    store = await open_sqlite(path, SystemClock())
    print(f"migration: {time.perf_counter() - began:.2f} s")  # noqa: T201 - the figures are the point
    await accept(store, a_request("afterwards"))
    assert [one for one in await store.check() if not one.ok] == []
    await empty_it(store)
    assert [one for one in await store.check() if not one.ok] == []
    await store.close()
