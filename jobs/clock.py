"""Time, passed in.

Everything that needs the time takes a `Clock`, so that tests and rehearsals run the
same code on virtual time.  Instants are integer microseconds since 1970 (UTC), as the
store keeps them; waiting and measuring use seconds.
"""

import time
from datetime import UTC, datetime
from typing import Final, Protocol

import anyio

MICROSECONDS: Final = 1_000_000


class Clock(Protocol):
    """The time as a worker sees it."""

    def now_us(self) -> int:
        """Return the instant in microseconds since 1970 (UTC); never goes backwards."""
        ...

    def monotonic(self) -> float:
        """Return seconds from an arbitrary start; what deadlines are measured with."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait that many seconds; zero or less only yields."""
        ...


class SystemClock:
    """The machine's clock.

    The wall clock is read once and carried on by the monotonic one, so that a step of
    the wall clock neither shortens a settle time nor ends a lease.
    """

    def __init__(self) -> None:
        self._offset_us = time.time_ns() // 1000 - time.monotonic_ns() // 1000

    def anchor(self, now_us: int) -> None:
        """Take *now_us* as the present instant: the time of a store that others share."""
        self._offset_us = now_us - time.monotonic_ns() // 1000

    def now_us(self) -> int:
        """Return microseconds since 1970 (UTC)."""
        return time.monotonic_ns() // 1000 + self._offset_us

    def monotonic(self) -> float:
        """Return the machine's monotonic seconds."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Wait on the running event loop."""
        await anyio.sleep(max(seconds, 0.0))


def seconds_to_us(seconds: float) -> int:
    """Return *seconds* as integer microseconds."""
    return round(seconds * MICROSECONDS)


def iso(instant_us: int | None) -> str | None:
    """Return the instant as RFC 3339 in UTC with milliseconds, or None."""
    if instant_us is None:
        return None
    moment = datetime.fromtimestamp(instant_us / MICROSECONDS, tz=UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"
