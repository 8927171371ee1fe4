"""The schema comes and grows by numbered steps, whoever starts first; strangers are refused."""

from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import pytest

from config.settings import StoreSettings
from jobs.clock import SystemClock
from jobs.errors import StoreError, StoreReadOnlyError, StoreVersionError
from jobs.store.postgres import PostgresStore, migrations_sql, open_postgres
from jobs.store.postgres.migrating import _FIRST, schema_version, steps
from tests.contract.steps import a_worker, accept, all_is_well, claim, story
from tests.postgres.server import with_database
from tests.postgres.steps import admin, run
from worker.stores import opened_store


@pytest.fixture
async def bare(dsn: str) -> AsyncIterator[str]:
    """The address of a database without a schema."""
    await run(dsn, "DROP DATABASE IF EXISTS plugwave_bare WITH (FORCE)")
    await run(dsn, "CREATE DATABASE plugwave_bare")
    yield with_database(dsn, "plugwave_bare")
    await run(dsn, "DROP DATABASE plugwave_bare WITH (FORCE)")


@pytest.mark.slow
async def test_processes_that_start_together_make_one_schema(bare: str) -> None:
    """Six processes on an empty database all find the store, made once."""
    stores: list[PostgresStore] = []

    async def start() -> None:
        stores.append(await open_postgres(bare, SystemClock()))

    async with anyio.create_task_group() as group:
        for _ in range(6):
            group.start_soon(start)
    for store in stores:
        await accept(store)

    assert await stores[0].open_jobs() == 1
    await all_is_well(stores[0])
    for store in stores:
        await store.close()
    versions = await run(bare, "SELECT version FROM plugwave.schema_version")
    assert [row[0] for row in versions] == list(steps())


async def test_an_administrator_may_make_the_schema(bare: str) -> None:
    """What `migrations_sql` prints is all that a worker without rights to create needs."""
    async with admin(bare) as connection:
        await connection.execute(migrations_sql())

    store = await open_postgres(bare, SystemClock(), migrate=False)

    await accept(store)
    await all_is_well(store)
    await store.close()


async def test_a_database_without_a_store_says_so(bare: str) -> None:
    """Without the permission to migrate, a missing schema is an error with the command for it."""
    with pytest.raises(StoreError) as caught:
        await open_postgres(bare, SystemClock(), migrate=False)

    assert "plugwave store migrate" in caught.value.do


async def test_a_newer_store_is_refused(store: PostgresStore, dsn: str) -> None:
    """A store that a newer program wrote is left alone."""
    newer = schema_version() + 1
    await run(dsn, "INSERT INTO plugwave.schema_version VALUES ($1, 0)", newer)
    try:
        with pytest.raises(StoreVersionError) as caught:
            await open_postgres(dsn, SystemClock())
    finally:
        await run(dsn, "DELETE FROM plugwave.schema_version WHERE version = $1", newer)

    assert caught.value.facts["schema"] == newer


async def test_an_older_store_is_not_used_without_the_permission_to_migrate(bare: str) -> None:
    """A store with a step missing is named as such."""
    async with admin(bare) as connection:
        await connection.execute(migrations_sql())
        await connection.execute("DELETE FROM plugwave.schema_version WHERE version > 1")

    with pytest.raises(StoreVersionError):
        await open_postgres(bare, SystemClock(), migrate=False)


async def test_a_failed_step_leaves_nothing(bare: str) -> None:
    """All missing steps are one transaction."""
    await run(bare, "CREATE SCHEMA plugwave")
    await run(bare, "CREATE TABLE plugwave.buckets (stranger integer)")

    with pytest.raises(StoreError):
        await open_postgres(bare, SystemClock())

    tables = await run(
        bare, "SELECT relname FROM pg_class WHERE relnamespace = 'plugwave'::regnamespace"
    )
    assert [row[0] for row in tables] == ["buckets"]


async def test_a_user_without_rights_is_told_which_to_grant(store: PostgresStore, dsn: str) -> None:
    """A refusal of the database is an error of ours with the remedy, not a stack trace."""
    await run(dsn, "DROP ROLE IF EXISTS plugwave_guest")
    await run(dsn, "CREATE ROLE plugwave_guest LOGIN")
    try:
        with pytest.raises(StoreReadOnlyError) as caught:
            await open_postgres(dsn.replace("postgres@", "plugwave_guest@"), SystemClock())
    finally:
        await run(dsn, "DROP ROLE plugwave_guest")

    assert "grant" in caught.value.do


async def test_a_missing_database_is_named(dsn: str) -> None:
    """A wrong database name is a setting to correct, not an outage to wait for."""
    with pytest.raises(StoreError, match="there is no database"):
        await open_postgres(with_database(dsn, "no_such_database"), SystemClock())


async def test_a_standby_is_named(store: PostgresStore, dsn: str, tmp_path: Path) -> None:
    """A server that takes no writes is an error that says to name the primary."""
    await run(dsn, "ALTER ROLE postgres SET default_transaction_read_only = on")
    try:
        reader = await open_postgres(dsn, SystemClock())
        with pytest.raises(StoreReadOnlyError) as caught:
            await accept(reader)
        await reader.close()
    finally:
        async with admin(dsn) as connection:
            await connection.execute("SET default_transaction_read_only = off")
            await connection.execute("ALTER ROLE postgres RESET default_transaction_read_only")

    assert "primary" in caught.value.do


FIRST_EDITION = """
INSERT INTO plugwave.schema_version VALUES (1, 0);
INSERT INTO plugwave.projects(name) VALUES ('project');
INSERT INTO plugwave.specs(sha256, name, body)
  VALUES ('x', 'p', '{"base":"current","inputs":null,"name":"p","version":"1"}');
INSERT INTO plugwave.pools(id, project, region, name, head_job)
  SELECT n, 1, '', 'pool-' || n, n FROM generate_series(1, 2) n;
INSERT INTO plugwave.jobs(id, pool, spec, priority, created_us, project, natural_tag, state, place,
                          reason, source, fingerprint, natural_key)
  SELECT n, n, 1, 0, 0, 1, 0, 2, 1, 0, 'test', '\\x0161', '\\x0161' FROM generate_series(1, 2) n;
INSERT INTO plugwave.events(job, at_us, project, state, event)
  SELECT n, 0, 1, 2, 'created' FROM generate_series(1, 2) n;
INSERT INTO plugwave.counts VALUES (0, 2, 0, 2);
SELECT setval('plugwave.job_ids', 2), setval('plugwave.pool_ids', 2);
"""


async def test_a_store_of_the_first_edition_keeps_its_jobs(bare: str) -> None:
    """Its jobs name no profile, any worker takes them, and their history goes on."""
    async with admin(bare) as connection:
        await connection.execute(_FIRST)
        await connection.execute(steps()[1])
        await connection.execute(FIRST_EDITION)

    store = await open_postgres(bare, SystemClock())
    found = await claim(store, await a_worker(store))
    await all_is_well(store)
    told = [await story(store, job.id) for job, _ in found]
    await accept(store)
    await store.close()

    assert [(job.id, job.request.profile) for job, _ in found] == [(1, None), (2, None)]
    assert told == [["created", "claimed"]] * 2


async def test_a_command_that_looks_makes_no_schema(bare: str) -> None:
    """Whoever only looks changes nothing, and is told what to run."""
    settings = StoreSettings.model_validate({"url": bare})

    with pytest.raises(StoreError) as caught:
        async with opened_store(settings, read_only=True):
            pass

    assert "plugwave store migrate" in caught.value.do
    assert await run(bare, "SELECT FROM pg_namespace WHERE nspname = 'plugwave'") == []


COLUMNS = """
SELECT c.relname || '.' || a.attname, format_type(a.atttypid, a.atttypmod),
       a.attnotnull AND NOT a.atthasdef AND a.attidentity = ''
  FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
 WHERE c.relnamespace = 'plugwave'::regnamespace AND c.relkind IN ('r', 'p')
   AND a.attnum > 0 AND NOT a.attisdropped
"""


async def test_a_step_only_adds(bare: str) -> None:
    """Every column keeps its name and type, and none is asked for that the version before lacks.

    So the statements of workers that run while a step is brought in stay right.
    """
    before: dict[str, str] = {}
    tables: set[str] = set()
    async with admin(bare) as connection:
        await connection.execute(_FIRST)
        for sql in steps().values():
            await connection.execute(sql)
            found = {name: (kind, needed) for name, kind, needed in await connection.fetch(COLUMNS)}
            after = {name: kind for name, (kind, _) in found.items()}
            assert before.items() <= after.items()
            new = {name for name in after.keys() - before.keys() if name.split(".")[0] in tables}
            assert [name for name in new if found[name][1]] == []
            before, tables = after, {name.split(".")[0] for name in after}
