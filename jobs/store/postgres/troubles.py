"""What PostgreSQL's and the network's errors mean to us, translated once.

No message repeats what the server says beyond its code: its details may quote rows.
"""

from typing import Final

import asyncpg  # type: ignore[import-untyped]  # it ships no types

from jobs.errors import (
    PlugwaveError,
    StoreCorruptError,
    StoreError,
    StoreFullError,
    StoreLockedError,
    StoreReadOnlyError,
)

_LOST_CODES: Final = ("08", "57P01", "57P02", "57P03", "57P05", "53300", "25P03")
"""Connection exceptions, shutdown, crash, starting up, idle session, too many clients."""

_AGAIN_CODES: Final = ("40001", "40P01")

_MADE_BY_ANOTHER: Final = frozenset({"pools_project_region_name_key"})
"""Keys that are violated when two transactions make the same thing; the second finds it then."""

CHECK_SERVER: Final = "start the PostgreSQL server of `store.url`, or correct its host and port"

_MEANINGS: Final[tuple[tuple[str, type[StoreError], str, str | None], ...]] = (
    ("53100", StoreFullError, "no space left for the store at {place}", None),
    ("53", StoreError, "the server at {place} is out of resources", "free memory or connections"),
    (
        "25006",
        StoreReadOnlyError,
        "the store at {place} may not be written",
        "name the primary server in `store.url`, not a standby",
    ),
    (
        "42501",
        StoreReadOnlyError,
        "this user may not use the store at {place}",
        "grant the user of `store.url` the schema plugwave and all its tables and sequences",
    ),
    (
        "28",
        StoreError,
        "the server refuses the login for {place}",
        "correct the user and the password in `store.url`",
    ),
    ("3D000", StoreError, "there is no database at {place}", "create it: createdb"),
    ("3F000", StoreError, "there is no store at {place}", "run `plugwave store migrate` once"),
    ("42P01", StoreError, "there is no store at {place}", "run `plugwave store migrate` once"),
    (
        "42",
        StoreError,
        "the store at {place} does not fit this program",
        "run `plugwave store migrate`, then `plugwave store check`",
    ),
    ("55P03", StoreLockedError, "somebody keeps rows of the store at {place} locked", None),
    ("57014", StoreLockedError, "the server at {place} ended a statement that took too long", None),
    ("XX001", StoreCorruptError, "the store at {place} is damaged", "restore a backup"),
    ("XX002", StoreCorruptError, "an index of the store at {place} is damaged", "run REINDEX"),
)
"""(beginning of the SQLSTATE, our error, what, do)."""


class AgainError(Exception):
    """Our own wish to run the transaction once more: another one was faster."""


TROUBLES: Final = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    OSError,
    TimeoutError,
    EOFError,
    AgainError,
)
"""What the driver, the server and the network raise; everything else is not ours to translate."""


class RefusedValuesError(StoreError):
    """The database does not take what a call wants to write; nothing was written."""


def _code(error: BaseException) -> str:
    return str(getattr(error, "sqlstate", None) or "")


def is_lost(error: BaseException) -> bool:
    """Whether the way to the server has gone, or the server is just not ready."""
    if isinstance(error, asyncpg.PostgresError):
        return _code(error).startswith(_LOST_CODES)
    if isinstance(error, asyncpg.InterfaceError):
        # What the driver itself says: the connection is closed, or closing.
        return not isinstance(error, ValueError)
    return isinstance(error, OSError | TimeoutError | EOFError | asyncpg.InternalClientError)


def is_again(error: BaseException) -> bool:
    """Whether the same transaction may well succeed when it is run again."""
    if isinstance(error, AgainError | asyncpg.OutdatedSchemaCacheError):
        return True
    # The schema was upgraded under a prepared statement: it is prepared anew.
    stale = isinstance(error, asyncpg.InvalidCachedStatementError)
    made = getattr(error, "constraint_name", None) in _MADE_BY_ANOTHER
    return stale or made or _code(error).startswith(_AGAIN_CODES)


def _is_refusal(error: BaseException) -> bool:
    if isinstance(error, asyncpg.PostgresError):
        return _code(error).startswith(("21", "22", "23", "54"))
    return isinstance(error, asyncpg.InterfaceError) and isinstance(error, ValueError)


def store_error(error: Exception, place: str) -> Exception:
    """Return the error of our tree for *error*; what is not the database's comes back as it is."""
    if isinstance(error, PlugwaveError) or not isinstance(error, TROUBLES):
        return error
    why = _why(error)
    if isinstance(error, AgainError):
        return StoreLockedError(f"others keep changing the same rows of the store at {place}")
    if isinstance(error, asyncpg.ClientConfigurationError):
        what = f"the address of the store at {place} cannot be used"
        do = "write store.url as postgresql://USER@HOST/DATABASE"
        return StoreError(what, why=why, do=do, place=place)
    if is_lost(error):
        what = f"no answer from the store at {place}"
        return StoreError(what, why=why, do=CHECK_SERVER, place=place)
    if _is_refusal(error):
        what = f"the store at {place} does not take what was to be written"
        return RefusedValuesError(what, why=why, do="report it; nothing was written", place=place)
    return _refused(error, place)


def _why(error: BaseException) -> str:
    code = _code(error)
    return f"{type(error).__name__} ({code})" if code else type(error).__name__


def _refused(error: BaseException, place: str) -> StoreError:
    code = _code(error)
    for beginning, ours, what, do in _MEANINGS:
        if code.startswith(beginning):
            return ours(what.format(place=place), why=_why(error), do=do, place=place)
    return StoreError(
        f"the store at {place} failed",
        why=_why(error),
        do="look into the server's log, then run `plugwave store check`",
        place=place,
    )
