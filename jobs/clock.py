"""Time, passed in.

Everything that needs the time takes a `Clock`, so that tests and rehearsals run the
same code on virtual time.  Instants are integer microseconds since 1970 (UTC), as the
store keeps them; waiting and measuring use seconds.

Two questions have two clocks.  *How long ago?* is `monotonic` and `now_us`: leases, turns,
settle times and deadlines, which a step of the wall clock must neither shorten nor stretch.
*What time is it for the others?* is `wall_us`: dates of signatures, ends of tokens, dates in
headers, log lines, which are wrong unless they follow every step.
"""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache, partial
from typing import Final, Protocol

import anyio

MICROSECONDS: Final = 1_000_000
NANOSECONDS: Final = 1_000_000_000

Reading = Callable[[], int]
"""Reads a clock of the machine, in nanoseconds."""


class Clock(Protocol):
    """The time as a worker sees it."""

    def now_us(self) -> int:
        """Return the instant in microseconds since 1970 (UTC); never goes backwards."""
        ...

    def wall_us(self) -> int:
        """Return the wall clock's instant in microseconds since 1970 (UTC); it may jump."""
        ...

    def monotonic(self) -> float:
        """Return seconds from an arbitrary start; what deadlines are measured with."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait that many seconds; zero or less only yields."""
        ...


def elapsed_ns() -> int:
    """Return nanoseconds from an arbitrary start, the time in which the machine slept included.

    Linux's monotonic clock stands still while the machine is suspended.  A worker that measured
    with it would come back believing in a lease that others have taken over meanwhile.
    """
    return time.clock_gettime_ns(_ELAPSED)


# Elsewhere the monotonic clock must do.
_ELAPSED: Final[int] = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
_elapsed_ns: Final = partial(time.clock_gettime_ns, _ELAPSED)  # no frame: read ten times a request


class SystemClock:
    """The machine's clock.

    For `now_us` the wall clock is read once and carried on by the time that has elapsed, so
    that a step of the wall clock neither shortens a settle time nor ends a lease.  `wall_us`
    reads it anew each time: after a late NTP step, or when a machine was paused so that its
    own clocks stood still, the next signature has the right date.
    """

    def __init__(self, elapsed: Reading = _elapsed_ns, wall: Reading = time.time_ns) -> None:
        """Take the clocks of the machine; tests have their own."""
        self._elapsed = elapsed
        self._wall = wall
        self._offset_us = wall() // 1000 - elapsed() // 1000

    def anchor(self, now_us: int) -> None:
        """Take *now_us* as the present instant: the time of a store that others share."""
        self._offset_us = now_us - self._elapsed() // 1000

    def now_us(self) -> int:
        """Return microseconds since 1970 (UTC)."""
        return self._elapsed() // 1000 + self._offset_us

    def wall_us(self) -> int:
        """Return what the machine's wall clock shows."""
        return self._wall() // 1000

    def monotonic(self) -> float:
        """Return the machine's elapsed seconds."""
        return self._elapsed() / NANOSECONDS

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
    second, micros = divmod(instant_us, MICROSECONDS)
    return f"{_whole_second(second)}.{micros // 1000:03d}Z"


@lru_cache(16)  # what is told of one moment is told often: a fifth of the cost
def _whole_second(second: int) -> str:
    return datetime.fromtimestamp(second, tz=UTC).strftime("%Y-%m-%dT%H:%M:%S")
