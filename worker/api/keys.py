"""Idempotency keys in headers: how they are written, and whose call is in flight.

Source: draft-ietf-httpapi-idempotency-key-header-07: the value is a Structured Fields string,
in double quotes.  Older clients send it bare, so that is taken, too.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from jobs.refusals import KeyInFlightError, QueryError

HEADER: Final = "Idempotency-Key"
REPLAYED: Final = "Idempotency-Replayed"

_QUOTED: Final = re.compile(r'"((?:[\x20-\x21\x23-\x5b\x5d-\x7e]|\\["\\])*)"')
_ESCAPE: Final = re.compile(r"\\(.)")
_KEY: Final = re.compile(r"[\x20-\x7e]{1,255}")


def key_of(header: str | None) -> str | None:
    """Return the key that the header names; None without one.

    Raises:
        QueryError: If it is no key.
    """
    if header is None or not header.strip():
        return None
    text = header.strip()
    quoted = _QUOTED.fullmatch(text)
    key = _ESCAPE.sub(r"\1", quoted[1]) if quoted else text
    if text.startswith('"') != bool(quoted) or _KEY.fullmatch(key) is None:
        raise QueryError(
            "the idempotency key is not 1 to 255 printable ASCII characters",
            do='write it as Idempotency-Key: "ticket-4711"',
        )
    return key


class Flights:
    """The keyed calls that this process is serving right now."""

    def __init__(self) -> None:
        self._flying: set[tuple[str, str, str]] = set()

    @contextmanager
    def flight(self, source: str, route: str, key: str | None) -> Iterator[None]:
        """Hold the key for as long as the call is served.

        Raises:
            KeyInFlightError: If another call with it is being served.
        """
        if key is None:
            yield
            return
        flight = (source, route, key)
        if flight in self._flying:
            raise KeyInFlightError(
                "the first call with this idempotency key is being served", retry_after_s=1
            )
        self._flying.add(flight)
        try:
            yield
        finally:
            self._flying.discard(flight)
