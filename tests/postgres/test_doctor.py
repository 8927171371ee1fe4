"""The doctor on a database: told without its password, its breaker shared, nothing made."""

from typing import Any

import asyncpg  # type: ignore[import-untyped]  # it ships no types
import pytest

from config.loading import Loaded
from config.settings import Settings
from jobs.store.postgres import migrations_sql
from worker.doctor.checkup import Asked, Report, checkup
from worker.simulator import Simulator, SimulatorOptions


async def report(url: str, dsn: str) -> Report:
    """Return what the doctor says."""
    cloud: dict[str, Any] = {"endpoint": url, "auth": "none", "rate": 100, "region": "cn-north-4"}
    settings = Settings.model_validate({"store": {"url": dsn}, "cloud": cloud})
    return await checkup(Loaded(settings=settings, origins={}, files=(), secrets=()), Asked())


@pytest.mark.slow
async def test_a_database_is_told_and_used(dsn: str) -> None:
    """Host, database, schema and the server's version; requests take turns from its rows."""
    async with Simulator(SimulatorOptions(projects=1, pools=1)) as cloud:
        seen = await report(cloud.url, dsn)

    [store] = [line for line in seen.lines if line.topic == "store"]
    assert seen.exit_code == 0
    assert store.text.startswith("postgresql ")
    assert ", PostgreSQL 1" in store.text
    assert "@" not in store.text


@pytest.mark.slow
async def test_a_database_without_a_store_stays_as_it_is(dsn: str) -> None:
    """The remedy is named, and nothing is made, nor asked without the shared limit."""
    connection = await asyncpg.connect(dsn)
    await connection.execute("DROP SCHEMA plugwave CASCADE")
    async with Simulator(SimulatorOptions(projects=1, pools=1)) as cloud:
        seen = await report(cloud.url, dsn)
        asked = cloud.journal.entries()

    [store] = [line for line in seen.lines if line.topic == "store"]
    there = await connection.fetchval("SELECT to_regnamespace('plugwave')")
    await connection.execute(migrations_sql())  # another test gets this database
    await connection.close()
    assert seen.exit_code == 9
    assert "store migrate" in (store.do or "")
    assert (there, asked) == (None, [])
