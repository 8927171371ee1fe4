"""Stand-ins for what the product is handed: here, clocks that move only when told to."""

import anyio
import anyio.lowlevel

from jobs.clock import seconds_to_us
from tests.builders import NOON_US


class FakeClock:
    """A `jobs.clock.Clock` that moves by `advance` alone and wakes the sleepers it passes."""

    def __init__(self, start_us: int = NOON_US) -> None:
        self._now_us = start_us
        self._start_us = start_us
        self._stepped_us = 0
        self._sleepers: list[tuple[int, anyio.Event]] = []

    def now_us(self) -> int:
        """Return the instant it was moved to."""
        return self._now_us

    def wall_us(self) -> int:
        """Return the same instant, and by how much the wall clock was set since."""
        return self._now_us + self._stepped_us

    def step(self, seconds: float) -> None:
        """Set the wall clock, as a late NTP does; no time passes."""
        self._stepped_us += seconds_to_us(seconds)

    def monotonic(self) -> float:
        """Return the seconds it was moved by since it was made."""
        return (self._now_us - self._start_us) / 1_000_000

    async def sleep(self, seconds: float) -> None:
        """Wait until the clock was moved that far; zero or less only yields."""
        if seconds <= 0:
            await anyio.lowlevel.checkpoint()
            return
        sleeper = (self._now_us + seconds_to_us(seconds), anyio.Event())
        self._sleepers.append(sleeper)
        try:
            await sleeper[1].wait()
        finally:
            if sleeper in self._sleepers:
                self._sleepers.remove(sleeper)

    @property
    def sleepers(self) -> int:
        """How many tasks wait for this clock."""
        return len(self._sleepers)

    @property
    def next_wake_s(self) -> float | None:
        """Seconds until the next sleeper is due, None when nobody sleeps."""
        if not self._sleepers:
            return None
        return (min(due for due, _ in self._sleepers) - self._now_us) / 1_000_000

    def advance(self, seconds: float = 0.0, *, minutes: float = 0.0, hours: float = 0.0) -> None:
        """Move the time on and wake who is due."""
        self._now_us += seconds_to_us(seconds + 60 * minutes + 3600 * hours)
        due = [sleeper for sleeper in self._sleepers if sleeper[0] <= self._now_us]
        for sleeper in sorted(due, key=lambda one: one[0]):
            self._sleepers.remove(sleeper)
            sleeper[1].set()


class Dials:
    """The two clocks of a machine, for a `jobs.clock.SystemClock` that reads them."""

    def __init__(self, *, elapsed_s: float, wall_s: float) -> None:
        self._elapsed_s = elapsed_s
        self._wall_s = wall_s

    def elapsed(self) -> int:
        """Return nanoseconds since an arbitrary start."""
        return round(self._elapsed_s * 1_000_000_000)

    def wall(self) -> int:
        """Return nanoseconds since 1970."""
        return round(self._wall_s * 1_000_000_000)

    def pass_time(self, seconds: float) -> None:
        """Let both go on, as they do in a suspended machine, too."""
        self._elapsed_s += seconds
        self._wall_s += seconds

    def set_wall(self, by_s: float) -> None:
        """Set the wall clock forwards or backwards; no time passes."""
        self._wall_s += by_s
