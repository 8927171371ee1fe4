"""Bring the database to the present schema, step by numbered step.

A step is a file ``migrations/NNNN_name.sql`` of this package.  Everything happens under an
advisory lock, so processes that start at once on an empty database are fine: one migrates, the
others find it done.

An empty database is made in one transaction.  On one with a store, lines ``-- part`` split a
step into transactions, so that workers that go on meanwhile never wait for more than one of
them.  A part before the last of its step may run twice and says IF NOT EXISTS.

A step only adds, as seen by the statements of the version before: its workers go on.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib import resources
from typing import Final

from jobs.errors import StoreError, StoreVersionError
from jobs.store.postgres.presence import LOCK_CLASS
from jobs.store.postgres.transaction import NOW
from jobs.store.postgres.wire import Wire

_PACKAGE: Final = "jobs.store.postgres"

OLDEST_SERVER: Final = 140_000

LONGEST_STEP_S: Final = 3600.0
"""How long one transaction of a migration may take, on however large a store."""

_LOCK: Final = f"SELECT pg_advisory_xact_lock({LOCK_CLASS}, 0);"
_FIRST: Final = """
CREATE SCHEMA IF NOT EXISTS plugwave;
CREATE TABLE IF NOT EXISTS plugwave.schema_version (
  version integer PRIMARY KEY,
  applied_us bigint NOT NULL
);
"""
_DONE: Final = "INSERT INTO plugwave.schema_version VALUES ({version}, {now});"
_PART: Final = "-- part\n"
# Asked of the tables: what a session remembers of names may be older than the lock it has got.
_PRESENT: Final = """
SELECT EXISTS (
  SELECT 1 FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
   WHERE n.nspname = 'plugwave' AND c.relname = 'schema_version')
"""
_VERSION: Final = "SELECT coalesce(max(version), 0) FROM plugwave.schema_version"
_SERVER: Final = "SELECT current_setting('server_version_num')::integer"


@cache
def steps() -> Mapping[int, str]:
    """Return the SQL of each migration by its number, in order."""
    folder = resources.files(_PACKAGE) / "migrations"
    files = sorted((item for item in folder.iterdir() if item.name.endswith(".sql")), key=str)
    return {int(item.name.split("_")[0]): item.read_text(encoding="utf-8") for item in files}


def schema_version() -> int:
    """Return the version that this program writes."""
    return max(steps())


def _transactions(after: int) -> Iterator[tuple[int, str]]:
    """Yield what is to be run on a store at version *after*, with its step, in order."""
    if after == 0:
        yield schema_version(), "\n".join([_FIRST.strip(), *(_whole(n) for n in steps())])
        return
    for number, sql in steps().items():
        if number > after:
            *before, last = sql.split(_PART)
            yield from ((number, part.strip()) for part in before)
            yield number, f"{last.strip()}\n{_done(number)}"


def _whole(number: int) -> str:
    return f"{steps()[number].strip()}\n{_done(number)}"


def _done(number: int) -> str:
    return _DONE.format(version=number, now=NOW)


def migrations_sql(after: int = 0) -> str:
    """Return everything that `migrate` would run on a database at version *after*.

    For administrators who run it themselves, with psql.
    """
    parts: list[str] = []
    for _, sql in _transactions(after):
        parts += ["BEGIN;", _LOCK, sql, "COMMIT;", ""]
    return "\n".join(parts)


async def stored_version(wire: Wire, place: str) -> int:
    """Return the version of the database; 0 when there is no store in it.

    Raises:
        StoreVersionError: If a newer program wrote it.
    """
    if not await wire.value(_PRESENT):
        return 0
    version = int(await wire.value(_VERSION))
    if version > schema_version():
        raise StoreVersionError(
            f"the store at {place} has schema {version}, this program knows up to"
            f" {schema_version()}",
            place=place,
            schema=version,
        )
    return version


async def check_server(wire: Wire, place: str) -> None:
    """Refuse a server that lacks what the statements need.

    Raises:
        StoreVersionError: If it is older than PostgreSQL 14.
    """
    number = int(await wire.value(_SERVER))
    if number < OLDEST_SERVER:
        raise StoreVersionError(
            f"the server at {place} is PostgreSQL {number // 10_000}, too old for the store",
            do="use PostgreSQL 14 or newer",
            place=place,
        )


async def check_current(wire: Wire, place: str) -> None:
    """Refuse a database whose schema is missing or older than this program.

    Raises:
        StoreError: If there is no store.
        StoreVersionError: If its version is another one.
    """
    version = await stored_version(wire, place)
    if version == 0:
        raise StoreError(
            f"there is no store at {place}", do="run `plugwave store migrate` once", place=place
        )
    if version < schema_version():
        raise StoreVersionError(
            f"the store at {place} has an older schema than this program",
            do="run `plugwave store migrate` once",
            place=place,
        )


async def pending_sql(wire: Wire, place: str) -> str:
    """Return what `migrate` would run now; empty when nothing is missing.

    Raises:
        StoreVersionError: If a newer program wrote it.
    """
    return migrations_sql(await stored_version(wire, place))


async def migrate(wire: Wire, place: str) -> Sequence[int]:
    """Apply what is missing, and return those steps; harmless when nothing is.

    Raises:
        StoreVersionError: If a newer program wrote it.
    """
    done: dict[int, None] = {}
    while (first := await stored_version(wire, place)) < schema_version():
        for number, sql in _transactions(first):
            if await _apply(wire, place, number, sql, from_nothing=first == 0):
                done[number] = None
    return list(done)


async def _apply(wire: Wire, place: str, number: int, sql: str, *, from_nothing: bool) -> bool:
    """Run one transaction unless somebody else has got there; say whether it ran."""
    await wire.script(f"BEGIN; {_LOCK}")
    try:
        version = await stored_version(wire, place)  # again, now that nobody else can change it
        missing = version == 0 if from_nothing else version < number
        if missing:
            await wire.script(sql, answer_s=LONGEST_STEP_S)
        await wire.script("COMMIT")
    finally:
        if not wire.is_usable() and wire.is_open():
            await wire.script("ROLLBACK")
    return missing
