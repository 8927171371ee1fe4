"""Where the database is, split into what may be shown and what may not."""

from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from jobs.errors import StoreError

POOLER: Final = "pooler"
"""Our own option in the address: ``?pooler=1`` says that a transaction pooler stands between."""

_YES: Final = frozenset({"1", "true", "yes", "on"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """One database.

    Attributes:
        dsn: What the driver is given; it may hold a password.
        place: Host and database, for people.
        pooler: No state of a session may be relied on: no LISTEN, no session lock, no
            prepared statement that outlives its transaction.
    """

    dsn: str = field(repr=False)
    place: str
    pooler: bool = False


def parse(dsn: str) -> Address:
    """Return the address in its parts.

    Raises:
        StoreError: If it cannot be read; it is not repeated.
    """
    try:
        parts = urlsplit(dsn)
        options = parse_qsl(parts.query, keep_blank_values=True)
    except ValueError:
        raise StoreError(
            "the address of the PostgreSQL store cannot be read",
            do="write store.url as postgresql://USER@HOST/DATABASE",
        ) from None
    ours = [value for name, value in options if name == POOLER]
    rest = [(name, value) for name, value in options if name != POOLER]
    bare = urlunsplit(parts._replace(query=urlencode(rest)))
    host = parts.netloc.rpartition("@")[2] or dict(rest).get("host", "the local socket")
    return Address(
        dsn=bare,
        place=f"{host}{parts.path if parts.path != '/' else ''}",
        pooler=bool(ours) and ours[-1].lower() in _YES,
    )
