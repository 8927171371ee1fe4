"""Which engine keeps the jobs: the one place that picks it.

Apart from the parts of a worker, so that a command that only looks at the store loads
nothing of HTTP.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

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
        read_only: Look only; of SQLite alone.
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
    try:
        from jobs.store.postgres import open_postgres  # noqa: PLC0415 - an optional extra
    except ModuleNotFoundError as error:
        if error.name != "asyncpg":
            raise
        raise ConfigError(
            "store.url names PostgreSQL, and its driver is not installed",
            do="install plugwave with the extra `postgres`",
        ) from None
    return await open_postgres(settings.url.get_secret_value(), clock, migrate=migrate)
