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
    settings: StoreSettings, clock: Clock | None = None, *, read_only: bool = False
) -> AsyncIterator[Store]:
    """Open the store that the settings name, and close it at the end.

    Raises:
        StoreError: If it cannot be opened.
        ConfigError: If this installation has no engine for it.
    """
    store = await _open(settings, clock or SystemClock(), read_only=read_only)
    try:
        yield store
    finally:
        with anyio.CancelScope(shield=True):
            await store.close()


async def _open(settings: StoreSettings, clock: Clock, *, read_only: bool) -> Store:
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
    return await open_postgres(settings.url.get_secret_value(), clock)
