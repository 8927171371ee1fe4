"""How often somebody may do something: a virtual schedule for each name (GCRA), in memory.

A limit of N in a time allows N at once, and then one for each N-th part of the time.  It is
kept by this process: another server counts for itself, and a restart forgets.

Source: GCRA, ITU-T I.371, with a burst of the whole limit.
"""

from collections import OrderedDict
from typing import Final

from jobs.clock import Clock

MOST_NAMES: Final = 10_000
"""Names that are remembered; the ones that were quiet longest are forgotten first."""


class Rates:
    """Says who must wait."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._free_at: OrderedDict[str, float] = OrderedDict()

    def wait_s(self, name: str, *, limit: int, in_s: float) -> float:
        """Return how long *name* must wait before it may do one thing more; 0 is now."""
        now = self._clock.monotonic()
        return max(0.0, self._free_at.get(name, now) - now - in_s + in_s / limit)

    def spend(self, name: str, count: int, *, limit: int, in_s: float) -> float:
        """Take *count* if they are there and return 0, else return how long they take to come.

        More than the limit at once never comes: it counts as the whole limit.
        """
        now = self._clock.monotonic()
        step = in_s / limit
        free_at = max(self._free_at.get(name, now), now) + min(count, limit) * step
        wait_s = free_at - now - in_s
        if wait_s > 1e-9:
            return wait_s
        self._free_at[name] = free_at
        self._free_at.move_to_end(name)
        while len(self._free_at) > MOST_NAMES:
            self._free_at.popitem(last=False)
        return 0.0
