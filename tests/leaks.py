"""Looks for the planted secrets in everything that a test left behind, and fails it with the place.

    what was printed       stdout and stderr of the test and of the processes it started
    what was logged        the same, log files, and records taken from structlog
    what was raised        message, reasons and facts of every error of ours
    what was started       the arguments of every process
    what was written       every file under the test's folder: text, databases and their WAL
    what was stored        every column of SQLite and of PostgreSQL

Files that the test itself wrote are what the product was given; they are left out.  In a
store, inputs may stand in the columns of STORED_INPUTS and credentials nowhere.

`tests/conftest.py` hangs this into pytest; each xdist worker looks at its own tests.
PostgreSQL databases are looked at before another test gets them, and at the end.
"""

import base64
import mmap
import re
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import orjson

from tests.planted import CREDENTIAL_MARK, INPUT_MARK, watched

STORED_INPUTS: Final = frozenset(
    {
        ("specs", "body"),  # the wish as it was accepted
        ("jobs", "progress"),  # what is to be sent in full, and what was installed before
        ("attempts", "inputs"),  # what an attempt sent
        ("attempts", "before"),  # what was installed before it: the way back
    }
)
"""Where a store keeps inputs: nowhere else, and nothing but inputs."""

GIVEN_BACK: Final = ("rejects",)
"""Names of files in which a person gets rejected lines back as they were given."""

SQLITE: Final = b"SQLite format 3\x00"


def _spellings(secret: str) -> Iterator[str]:
    """Yield the secret as it stands and as base64 shows it, wherever in a text it begins."""
    yield secret
    for shift in range(3):
        text = base64.b64encode(b"\x00" * shift + secret.encode()).decode()
        # The first and last characters depend on the neighbours.
        yield text[4 if shift else 0 : len(text) // 4 * 4 - 4]


@lru_cache(maxsize=256)
def _pattern(secrets: tuple[str, ...]) -> re.Pattern[bytes]:
    texts = [re.escape(text) for secret in secrets for text in _spellings(secret) if len(text) > 5]
    return re.compile("|".join(texts).encode())


def leak_in(text: str | bytes | mmap.mmap, *, inputs_too: bool = True) -> str | None:
    """Return the surroundings of the first planted secret in *text*, None when there is none."""
    secrets = (CREDENTIAL_MARK, *sorted(watched))
    if inputs_too:
        secrets = (INPUT_MARK, *secrets)
    raw = text.encode("utf-8", "replace") if isinstance(text, str) else text
    found = _pattern(secrets).search(raw)
    if found is None:
        return None
    around = raw[max(found.start() - 60, 0) : found.end() + 20]
    return around.decode("utf-8", "replace").replace("\n", " ")


def leaks_in_folder(folder: Path, given: Iterable[Path] = ()) -> list[str]:
    """Return where in the files below *folder* planted secrets stand; *given* are left out."""
    spared = set(given)
    leaks = []
    for path in sorted(folder.rglob("*")):
        if path in spared or path.is_symlink() or not path.is_file():
            continue
        if any(part in path.name for part in GIVEN_BACK):
            continue
        leaks += _leaks_in_file(path)
    return leaks


def _leaks_in_file(path: Path) -> list[str]:
    try:
        if path.stat().st_size == 0:
            return []
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as text:
            leak = leak_in(text)
            is_database = text[: len(SQLITE)] == SQLITE
    except (OSError, ValueError):  # gone, not readable, or nothing that can be mapped
        return []
    if leak is None:
        return []
    if is_database:
        return leaks_in_sqlite(path)
    if path.name.endswith(("-wal", "-shm")):
        return []  # part of the database beside it, which is read with it
    return [f"{path}: {leak}"]


def leaks_in_sqlite(path: Path) -> list[str]:
    """Return the columns of the database, WAL included, in which a secret may not stand."""
    try:
        with closing(sqlite3.connect(path, timeout=1.0)) as database:
            return list(_leaks_in_tables(path.name, _tables_of(database)))
    except sqlite3.DatabaseError:  # spoilt on purpose: what is in it cannot be told apart
        leak = leak_in(path.read_bytes(), inputs_too=False)
        return [f"{path}: {leak}"] if leak else []


Table = tuple[str, list[str], Iterable[tuple[Any, ...]]]


def _tables_of(database: sqlite3.Connection) -> Iterator[Table]:
    database.text_factory = bytes
    names = database.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall()
    for (raw,) in names:
        name = raw.decode()
        rows = database.execute(f'SELECT * FROM "{name}"')
        columns = [one[0] for one in rows.description]
        yield name, columns, rows


def _leaks_in_tables(store: str, tables: Iterable[Table]) -> Iterator[str]:
    for table, columns, rows in tables:
        for row in rows:
            for column, value in zip(columns, row, strict=True):
                if not isinstance(value, str | bytes):
                    continue
                leak = leak_in(value, inputs_too=(table, column) not in STORED_INPUTS)
                if leak:
                    yield f"{store}, {table}.{column}: {leak}"


async def leaks_in_postgres(connection: Any, place: str) -> list[str]:
    """Return the columns in which a secret may not stand, in the database that *place* used."""
    tables = await connection.fetch(
        "SELECT relname FROM pg_class"
        " WHERE relnamespace = 'plugwave'::regnamespace AND relkind IN ('r', 'p')"
    )
    rows = await connection.fetch(_search(tuple(sorted(name for (name,) in tables))))
    return [
        f"PostgreSQL of {place}, {table}.{column}: {_around(str(value))}"
        for table, text in rows
        for column, value in orjson.loads(text).items()
        if _around(str(value))
    ]


@lru_cache(maxsize=8)
def _search(tables: tuple[str, ...]) -> str:
    """Return one statement that finds every row with a mark where it may not stand."""
    anywhere, elsewhere = _in_hex_too(CREDENTIAL_MARK), _in_hex_too(INPUT_MARK)
    parts = []
    for table in tables:
        allowed = [column for name, column in STORED_INPUTS if name == table]
        bare = f"to_jsonb(one) - ARRAY[{', '.join(map(repr, allowed))}]::text[]"
        parts.append(
            f"SELECT '{table}', CASE WHEN to_jsonb(one)::text ~ '{anywhere}'"
            f" THEN to_jsonb(one)::text ELSE ({bare})::text END FROM plugwave.{table} one"
            f" WHERE to_jsonb(one)::text ~ '{anywhere}' OR ({bare})::text ~ '{elsewhere}'"
        )
    return " UNION ALL ".join(parts)


def _in_hex_too(mark: str) -> str:
    return f"{mark}|{mark.encode().hex()}"


def _around(text: str) -> str | None:
    """Return what stands around a mark, also where bytes are shown in hex."""
    for mark in (CREDENTIAL_MARK, INPUT_MARK):
        if mark.encode().hex() in text:
            return f"{mark} in bytes"
    return leak_in(text)
