"""Which engine keeps the jobs: the one place that picks it.

Apart from the parts of a worker, so that a command that only looks at the store loads
nothing of HTTP.
"""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import anyio

from config.addresses import StoreEngine
from config.settings import StoreSettings
from jobs.clock import Clock, SystemClock
from jobs.errors import ConfigError
from jobs.store.protocol import Store


@asynccontextmanager
async def opened_store(
    settings: StoreSettings,
    clock: Clock | None = None,
    *,
    read_only: bool = False,
    migrate: bool = True,
) -> AsyncIterator[Store]:
    """Open the store that the settings name, and close it at the end.

    Args:
        settings: Which one.
        clock: The time of a store that has none of its own.
        read_only: Look only; nothing is made or brought up to date.
        migrate: Make it or bring it up to date where that is needed; else it must be there.

    Raises:
        StoreError: If it cannot be opened.
        ConfigError: If this installation has no engine for it.
    """
    clock = clock or SystemClock()
    if not migrate and settings.engine is StoreEngine.SQLITE:
        # It opens for looking only what is there with the present schema.
        await (await _open(settings, clock, read_only=True, migrate=False)).close()
    store = await _open(settings, clock, read_only=read_only, migrate=migrate)
    try:
        yield store
    finally:
        with anyio.CancelScope(shield=True):
            await store.close()


async def _open(settings: StoreSettings, clock: Clock, *, read_only: bool, migrate: bool) -> Store:
    if settings.engine is StoreEngine.SQLITE:
        from jobs.store.sqlite import open_sqlite  # noqa: PLC0415 - only the engine in use

        path = settings.sqlite_path
        assert path is not None
        return await open_sqlite(path, clock, read_only=read_only)
    with _driver_needed():
        from jobs.store.postgres import open_postgres  # noqa: PLC0415 - an optional extra
    address = settings.url.get_secret_value()
    return await open_postgres(address, clock, migrate=migrate and not read_only)


@contextmanager
def _driver_needed() -> Iterator[None]:
    """Say it when the extra is missing.

    Raises:
        ConfigError: If the driver of PostgreSQL is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name != "asyncpg":
            raise
        raise ConfigError(
            "store.url names PostgreSQL, and its driver is not installed",
            do="install plugwave with the extra `postgres`",
        ) from None


async def migration_sql(settings: StoreSettings, *, after: int | None) -> str:
    """Return the SQL that migrating would run; empty when nothing is missing.

    Args:
        settings: Which engine, and where its store is.
        after: The version to go on from; None asks the store, which is not changed.

    Raises:
        StoreError: If the store is asked and cannot be read.
        ConfigError: If this installation has no engine for it.
    """
    if settings.engine is StoreEngine.SQLITE:
        from jobs.store import sqlite  # noqa: PLC0415 - only the engine in use

        path = settings.sqlite_path
        assert path is not None
        return sqlite.migrations_sql(after) if after is not None else sqlite.pending_sql(path)
    with _driver_needed():
        from jobs.store import postgres  # noqa: PLC0415 - an optional extra
    if after is not None:
        return postgres.migrations_sql(after)
    return await postgres.pending_sql(settings.url.get_secret_value(), SystemClock())
