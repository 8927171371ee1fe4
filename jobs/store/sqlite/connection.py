"""Open connections to the store's file the one right way, and say in our words what went wrong.

WAL with synchronous=FULL: when a commit has returned, it is on the disk.  Everything goes
through apsw, which brings its own SQLite: the one of Debian 12 can lose committed pages
when two connections write at the same instant (the WAL-reset bug, fixed in 3.51.3), and a
worker beside a command that enqueues is exactly that.
"""

import errno
import os
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import apsw

from jobs.errors import (
    StoreCorruptError,
    StoreError,
    StoreFullError,
    StoreLockedError,
    StoreReadOnlyError,
    StoreVersionError,
)

OLDEST_SQLITE: Final = (3, 51, 3)
"""The first release without the WAL-reset bug (components notes, section 6)."""

APPLICATION_ID: Final = 0x706C7776
"""``plwv`` in the file header: how we know our own files."""

BUSY_S: Final = 30.0
"""How long a connection waits for another process's write lock."""

CHECKPOINT_PAGES: Final = 10_000
"""The WAL is moved into the file at about 40 MB; larger is faster, and slower to recover."""

WRITER_CACHE_KIB: Final = 48 * 1024
READER_CACHE_KIB: Final = 8 * 1024

_TOGETHER: Final = (
    apsw.FullError,
    apsw.IOError,
    apsw.NoMemError,
    apsw.CorruptError,
    apsw.NotADBError,
    apsw.BusyError,
    apsw.LockedError,
    apsw.ReadOnlyError,
    apsw.CantOpenError,
    apsw.ProtocolError,
    apsw.InterruptError,
)


_MEANINGS: Final[tuple[tuple[tuple[type[apsw.Error], ...], type[StoreError], str], ...]] = (
    ((apsw.FullError,), StoreFullError, "no space left for the store {path}"),
    (
        (apsw.ReadOnlyError, apsw.PermissionsError, apsw.AuthError),
        StoreReadOnlyError,
        "the store {path} may not be written",
    ),
    (
        (apsw.BusyError, apsw.LockedError, apsw.ProtocolError),
        StoreLockedError,
        "another program keeps the store {path} locked",
    ),
    ((apsw.NotADBError,), StoreCorruptError, "{path} is not a plugwave store"),
    ((apsw.CorruptError,), StoreCorruptError, "the store {path} is damaged"),
)


def is_everyones(error: BaseException) -> bool:
    """Whether *error* is about the file, and so ends every call of a group, not just one."""
    return isinstance(error, _TOGETHER)


def store_error(error: apsw.Error, path: Path) -> StoreError:
    """Return the error of our tree for what SQLite said about *path*; never row content."""
    if isinstance(error, apsw.CantOpenError):
        return _cannot_open(path)
    why = f"SQLite reports {type(error).__name__}"
    for kinds, ours, what in _MEANINGS:
        if isinstance(error, kinds):
            return ours(what.format(path=path), why=why, path=str(path))
    return StoreError(f"the store {path} failed", why=why, path=str(path))


def _cannot_open(path: Path) -> StoreError:
    if not path.exists():
        return StoreError(f"there is no store at {path}", path=str(path))
    may = os.R_OK | os.W_OK
    if path.is_file() and not (os.access(path, may) and os.access(path.parent, may | os.X_OK)):
        return StoreReadOnlyError(f"the store {path} may not be opened", path=str(path))
    return StoreError(f"the store {path} cannot be opened", path=str(path))


def check_library(version: str) -> None:
    """Refuse an SQLite that can lose committed pages.

    Raises:
        StoreVersionError: If *version* is older than OLDEST_SQLITE.
    """
    found = tuple(int(part) for part in version.split(".")[:3])
    if found < OLDEST_SQLITE:
        oldest = ".".join(str(part) for part in OLDEST_SQLITE)
        raise StoreVersionError(
            f"SQLite {version} is too old for the store",
            why="its WAL-reset bug can lose committed jobs when two processes write",
            do=f"install an apsw that brings SQLite {oldest} or newer",
            sqlite=version,
        )


def patience(limit_s: float, rng: random.Random) -> Callable[[int], bool]:
    """Return a busy handler that sleeps a few random milliseconds, up to *limit_s* in all.

    It runs in a thread of the store, where sleeping blocks nobody else; randomness keeps
    two waiting processes from trying in step.
    """
    started = 0.0

    def wait(tries: int) -> bool:
        nonlocal started
        if tries == 0:
            started = time.monotonic()
        if time.monotonic() - started >= limit_s:
            return False
        time.sleep(rng.uniform(0.0005, 0.010))
        return True

    return wait


def prepare_place(path: Path) -> None:
    """Create missing folders (0700) and an empty file (0600) at *path*.

    SQLite gives the files beside it the same mode.

    Raises:
        StoreReadOnlyError: If the place may not be written.
        StoreError: If there can be no file for another reason.
    """
    try:
        missing = [folder for folder in path.parents if not folder.exists()]
        for folder in reversed(missing):
            folder.mkdir(mode=0o700, exist_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except PermissionError as error:
        raise StoreReadOnlyError(f"the store {path} may not be written", path=str(path)) from error
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise StoreFullError(f"no space left for the store {path}", path=str(path)) from error
        if error.errno == errno.EROFS:
            raise StoreReadOnlyError(
                f"the store {path} may not be written", path=str(path)
            ) from error
        raise StoreError(
            f"there can be no store at {path}", why=error.strerror, path=str(path)
        ) from error


def connect(path: Path, *, read_only: bool, busy: Callable[[int], bool]) -> apsw.Connection:
    """Return a connection with our settings; the file must exist.

    Raises:
        apsw.Error: As SQLite says; the caller translates with `store_error`.
    """
    flags = apsw.SQLITE_OPEN_READONLY if read_only else apsw.SQLITE_OPEN_READWRITE
    connection = apsw.Connection(str(path), flags=flags, statementcachesize=200)
    try:
        connection.set_busy_handler(busy)
        # Plans must not depend on values: else SQLite prepares joins anew for each one, which
        # costs ten times the query.  That the plans are the right ones has a test.
        connection.config(apsw.SQLITE_DBCONFIG_ENABLE_QPSG, 1)
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA temp_store = MEMORY")
        cache_kib = READER_CACHE_KIB if read_only else WRITER_CACHE_KIB
        connection.execute(f"PRAGMA cache_size = -{cache_kib}")
        connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
    except BaseException:
        connection.close()
        raise
    return connection


def turn_wal_on(connection: apsw.Connection, busy: Callable[[int], bool]) -> None:
    """Put the file into WAL mode.

    SQLite does not always ask the busy handler when two processes do this at once, so
    we ask it ourselves.
    """
    tries = 0
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL").fetchall()
        except apsw.BusyError:
            if not busy(tries):
                raise
            tries += 1
        else:
            return
