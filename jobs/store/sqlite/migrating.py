"""Bring a store's file to the present schema, step by numbered step.

A step is a file ``migrations/NNNN_name.sql`` of this package.  All missing steps are one
transaction under the write lock, so two processes that open a new file at once are fine:
one migrates, the other finds it done.

A step only adds, as seen by the statements of the version before: its workers go on.
"""

from collections.abc import Mapping
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Final

import apsw

from jobs.errors import StoreCorruptError, StoreVersionError
from jobs.store.sqlite.connection import APPLICATION_ID

_PACKAGE: Final = "jobs.store.sqlite"


@cache
def steps() -> Mapping[int, str]:
    """Return the SQL of each migration by its number, in order."""
    folder = resources.files(_PACKAGE) / "migrations"
    files = sorted((item for item in folder.iterdir() if item.name.endswith(".sql")), key=str)
    return {int(item.name.split("_")[0]): item.read_text(encoding="utf-8") for item in files}


def schema_version() -> int:
    """Return the version that this program writes."""
    return max(steps())


_FIRST: Final = f"""PRAGMA application_id = {APPLICATION_ID};
CREATE TABLE schema_version (version INTEGER PRIMARY KEY, applied_us INTEGER NOT NULL) STRICT;"""
_NOW_US: Final = "CAST((julianday('now') - 2440587.5) * 86400000000 AS INTEGER)"


def migrations_sql(after: int = 0) -> str:
    """Return everything that `migrate` would run on a file at version *after*; empty if nothing."""
    missing = [number for number in steps() if number > after]
    if not missing:
        return ""
    parts = ["PRAGMA journal_mode = WAL;", "BEGIN IMMEDIATE;"]
    if after == 0:
        parts.append(_FIRST)
    for number in missing:
        parts += [
            steps()[number].strip(),
            f"INSERT INTO schema_version VALUES ({number}, {_NOW_US});",  # noqa: S608 - our own number
        ]
    return "\n".join([*parts, "COMMIT;", ""])


def stored_version(connection: apsw.Connection, path: Path) -> int:
    """Return the version of the file; 0 when it is empty.

    Raises:
        StoreCorruptError: If the file belongs to another program.
        StoreVersionError: If a newer program wrote it.
    """
    tables = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    assert tables is not None
    if tables[0] == 0:
        return 0
    if connection.pragma("application_id") != APPLICATION_ID:
        raise StoreCorruptError(
            f"{path} is not a plugwave store",
            why="it is a database of another program",
            path=str(path),
        )
    row = connection.execute("SELECT max(version) FROM schema_version").fetchone()
    assert row is not None
    version = int(row[0])
    if version > schema_version():
        raise StoreVersionError(
            f"the store {path} has schema {version}, this program knows up to {schema_version()}",
            path=str(path),
            schema=version,
        )
    return version


def migrate(connection: apsw.Connection, path: Path, now_us: int) -> None:
    """Apply what is missing; harmless when nothing is.

    Raises:
        StoreCorruptError: If the file belongs to another program.
        StoreVersionError: If a newer program wrote it.
    """
    if stored_version(connection, path) == schema_version():
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        version = stored_version(connection, path)  # again, now that nobody else can change it
        if version == 0:
            connection.execute(_FIRST)
        for number, sql in steps().items():
            if number > version:
                connection.execute(sql)
                connection.execute("INSERT INTO schema_version VALUES (?, ?)", (number, now_us))
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
