"""Ways past the store's front door, for tests of what lies behind it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import asyncpg  # type: ignore[import-untyped]  # it ships no types

from jobs.clock import SystemClock
from jobs.store.postgres import Patience, PostgresStore, open_postgres


@asynccontextmanager
async def admin(dsn: str) -> AsyncIterator[Any]:
    """A connection of our own beside the store's."""
    connection = await asyncpg.connect(dsn)
    try:
        yield connection
    finally:
        await connection.close()


async def run(dsn: str, sql: str, *values: Any) -> list[Any]:
    """Run one statement behind the store's back."""
    async with admin(dsn) as connection:
        rows: list[Any] = await connection.fetch(sql, *values)
        return rows


async def kill_backends(dsn: str) -> int:
    """End every connection of the store, as an administrator or a crash of one would."""
    sql = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    return len(await run(dsn, sql))


@asynccontextmanager
async def no_commits(dsn: str) -> AsyncIterator[None]:
    """Hold every transaction up at its counters, just before its end, with all its locks."""
    async with admin(dsn) as connection, connection.transaction():
        await connection.execute("LOCK TABLE plugwave.counts IN SHARE ROW EXCLUSIVE MODE")
        yield


async def waiting(dsn: str, transactions: int) -> None:
    """Return once that many transactions wait for a lock."""
    async with admin(dsn) as connection:
        with anyio.fail_after(5):
            while True:
                sql = "SELECT count(DISTINCT pid) FROM pg_locks WHERE NOT granted"
                if await connection.fetchval(sql) >= transactions:
                    return


@asynccontextmanager
async def opened(dsn: str, patience: Patience | None = None) -> AsyncIterator[PostgresStore]:
    """A process on the database's own time."""
    store = await open_postgres(dsn, SystemClock(), patience=patience)
    try:
        yield store
    finally:
        await store.close()
