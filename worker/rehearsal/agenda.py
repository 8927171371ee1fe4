"""Virtual time: what is to happen when, and coroutines that wait for an instant or each other.

No event loop takes part.  Production code that waits for nothing but a `Clock` and a turn runs
here as it is, and an hour of waiting costs a few microseconds.  Things of one instant happen in
the order in which they were put down, so that two runs with one seed are the same.
"""

import heapq
from collections.abc import Callable, Coroutine, Generator
from functools import partial
from typing import Any, TypeVar

from jobs.clock import MICROSECONDS, seconds_to_us

T = TypeVar("T")


class _Until:
    """Awaited by a coroutine that goes on at an instant."""

    __slots__ = ("at_us",)

    def __init__(self, at_us: int) -> None:
        self.at_us = at_us

    def __await__(self) -> Generator["_Until", None, None]:
        """Hand the instant to the agenda."""
        yield self


class Pause:
    """Awaited by a coroutine until somebody on the same agenda lets it go on."""

    __slots__ = ("_goes_on", "resume")

    def __init__(self) -> None:
        self._goes_on = False
        self.resume: Callable[[], None] | None = None

    def __await__(self) -> Generator["Pause", None, None]:
        """Hand itself to the agenda, unless it is over already."""
        if not self._goes_on:
            yield self

    def go_on(self) -> None:
        """End the pause."""
        self._goes_on = True
        if self.resume is not None:
            self.resume()


class Agenda:
    """A clock that jumps to whatever comes next; it is also the `Clock` of what runs on it."""

    def __init__(self, start_us: int) -> None:
        self._now_us = start_us
        self._turn = 0
        self._due: list[tuple[int, int, Callable[[], None]]] = []

    def now_us(self) -> int:
        """Return the virtual instant."""
        return self._now_us

    def wall_us(self) -> int:
        """Return the virtual instant: nobody sets this clock."""
        return self._now_us

    def monotonic(self) -> float:
        """Return the virtual seconds."""
        return self._now_us / MICROSECONDS

    async def sleep(self, seconds: float) -> None:
        """Let virtual time pass."""
        await self.until(self._now_us + seconds_to_us(max(seconds, 0.0)))

    async def until(self, at_us: int) -> None:
        """Wait for an instant."""
        if at_us > self._now_us:
            await _Until(at_us)

    def at(self, at_us: int, action: Callable[[], None]) -> None:
        """Do something at an instant, or now when that has passed."""
        self._turn += 1
        heapq.heappush(self._due, (max(at_us, self._now_us), self._turn, action))

    def start(self, work: Coroutine[Any, Any, T], then: Callable[[T], None]) -> None:
        """Run a coroutine from now on; *then* gets what it returns."""
        try:
            waits = work.send(None)
        except StopIteration as end:
            then(end.value)
            return
        if isinstance(waits, Pause):
            waits.resume = partial(self.start, work, then)
            return
        if not isinstance(waits, _Until):
            work.close()
            raise TypeError("on an agenda one can wait for an instant or a pause's end only")
        self.at(waits.at_us, partial(self.start, work, then))

    def step(self) -> bool:
        """Let the next thing happen; False when there is none."""
        if not self._due:
            return False
        self._now_us, _, action = heapq.heappop(self._due)
        action()
        return True
