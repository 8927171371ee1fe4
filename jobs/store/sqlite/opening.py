"""Meet a file: make or check it, open its connections, bring its schema up to date."""

import random
from functools import partial
from pathlib import Path

import anyio
import apsw

from jobs.clock import Clock
from jobs.errors import StoreError, StoreVersionError
from jobs.store.sqlite.connection import (
    BUSY_S,
    check_library,
    connect,
    patience,
    prepare_place,
    store_error,
    turn_wal_on,
)
from jobs.store.sqlite.engine import Reader, Watcher, Writer
from jobs.store.sqlite.migrating import (
    migrate,
    migrations_sql,
    schema_version,
    stored_version,
)
from jobs.store.sqlite.mounts import refuse_network
from jobs.store.sqlite.store import SqliteStore


async def open_sqlite(
    path: Path, clock: Clock, *, read_only: bool = False, busy_s: float = BUSY_S
) -> SqliteStore:
    """Open the store at *path*, made and migrated where that is needed.

    Args:
        path: The file; missing folders are created with mode 0700, the file with 0600.
        clock: The store's time.
        read_only: Look only; the file must exist with the present schema.
        busy_s: How long to wait for another process's write lock.

    Raises:
        StoreError: Of the kind that fits, when the file cannot be used.
    """
    return await anyio.to_thread.run_sync(partial(_open, path, clock, read_only, busy_s))


def _open(path: Path, clock: Clock, read_only: bool, busy_s: float) -> SqliteStore:  # noqa: FBT001 - the keyword form is above
    check_library(apsw.sqlite_lib_version())
    busy = patience(busy_s, random.Random())  # noqa: S311 - spreads waiting processes, keeps no secret
    opened: list[apsw.Connection] = []
    refuse_network(path)
    try:
        writer = None
        if read_only:
            _check_present(path)
        else:
            prepare_place(path)
            opened.append(connect(path, read_only=False, busy=busy))
            stored_version(opened[0], path)  # before anything is changed in a foreign file
            turn_wal_on(opened[0], busy)
            migrate(opened[0], path, clock.now_us())
        opened.append(connect(path, read_only=True, busy=busy))
        _check_current(opened[-1], path)
        opened.append(connect(path, read_only=True, busy=lambda _: False))
        watcher = Watcher(opened[-1])
    except BaseException as error:
        for connection in opened:
            connection.close()
        if isinstance(error, apsw.Error):
            raise store_error(error, path) from error
        raise
    if not read_only:
        writer = Writer(opened[0], path, clock)
    reader = Reader(opened[-2], path)
    return SqliteStore(path, clock, writer=writer, reader=reader, watcher=watcher)


def pending_sql(path: Path) -> str:
    """Return what migrating would run on the file as it is; empty when nothing is missing.

    Raises:
        StoreError: Of the kind that fits, when the file cannot be read.
    """
    if not path.exists():
        return migrations_sql()
    busy = patience(BUSY_S, random.Random())  # noqa: S311 - spreads waiting processes, keeps no secret
    try:
        connection = connect(path, read_only=True, busy=busy)
        try:
            return migrations_sql(stored_version(connection, path))
        finally:
            connection.close()
    except apsw.Error as error:
        raise store_error(error, path) from error


def _check_current(connection: apsw.Connection, path: Path) -> None:
    if stored_version(connection, path) < schema_version():
        raise StoreVersionError(
            f"the store {path} has an older schema than this program",
            why="it was opened for reading only, so it cannot be brought up to date",
            do="run `plugwave store migrate` once",
            path=str(path),
        )


def _check_present(path: Path) -> None:
    if not path.exists():
        raise StoreError(
            f"there is no store at {path}",
            do="`plugwave enqueue FILE` or `plugwave store migrate` makes one; "
            "or name another file in store.url",
            path=str(path),
        )
