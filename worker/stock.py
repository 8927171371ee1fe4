"""Send times that are reserved and not given away yet, and how many to keep.

Where slots are far apart each one counts, and only those are here that somebody waits for.
Where they are so close that one is always due, a busy worker keeps a stock of them.
"""

import math
from bisect import bisect_right
from collections.abc import Iterable
from typing import Final

from jobs.pacing import LATE_LIMIT_S

BIND_AHEAD_S: Final = 0.020
"""How long before its time a slot is given to a request: one group commit, with room."""

STOCK_S: Final = 0.250
"""How far ahead slots are reserved; a dead worker wastes no more than this."""

SPARE_S: Final = LATE_LIMIT_S / 2
"""A slot that is over by less than this may still be given away: there is time to use it."""

COMMIT_S: Final = 0.008
"""A send needs a slot that is this far ahead, where there is a choice: its intent is committed
in between."""

CLOSE_S: Final = LATE_LIMIT_S / 4
"""Slots that are no further apart than this are kept in stock for requests that are likely to
come.  Further apart each one counts, and none is reserved that nobody has asked for."""

COVER_S: Final = STOCK_S
"""How far such a stock reaches; at half of that it is filled up again, in one transaction."""

BUSY_PER_S: Final = 100.0
"""Turns a second from which on it is worth while; a request that waits for its slot is fine
before, and slots in stock are slots that nobody else has."""

MOST_STOCK: Final = 2_000
"""Slots in stock."""

Dated = tuple[float, str]
"""When (monotonic seconds), and for which project."""


class Stock:
    """The slots of one limiter, earliest first; times are monotonic seconds."""

    def __init__(self, now: float) -> None:
        self._slots: list[Dated] = []
        self.likely = 0
        """How many slots to keep for requests that have not come yet."""
        self._pull = 0.0  # turns a second that were lately taken
        self._taken = 0
        self._counted_at = now

    def __len__(self) -> int:
        """How many slots there are, late ones included until `drop_late`."""
        return len(self._slots)

    @property
    def first(self) -> Dated:
        """The earliest slot; there must be one."""
        return self._slots[0]

    def add(self, slots: Iterable[Dated]) -> None:
        """Take slots in that come after all that are here."""
        self._slots.extend(slots)

    def clear(self) -> None:
        """Forget all of them: they may not be used any more."""
        self._slots.clear()

    def reach(self, now: float) -> float:
        """Return the seconds up to the last slot."""
        return self._slots[-1][0] - now if self._slots else 0.0

    def is_low(self, now: float) -> bool:
        """Whether a stock is kept for requests to come and ends soon."""
        if self.likely == 0:
            return False
        return not self._slots or self._slots[-1][0] - now < COVER_S / 2

    def drop_late(self, now: float) -> None:
        """Drop slots that are over: they are lost, never made up for."""
        over = bisect_right(self._slots, (now - SPARE_S, ""))
        if over:
            del self._slots[:over]

    def take_first(self) -> float:
        """Take the earliest slot."""
        return self._take(0)

    def take_fitting(self, now: float, *, ahead_s: float) -> float | None:
        """Take the slot that suits a request that is ready in *ahead_s*; None when none does.

        That is the last one that is due then: it leaves the most time to use it.
        """
        slots = self._slots
        if not slots:
            return None
        place = bisect_right(slots, (now + ahead_s, ""))
        if place and slots[place - 1][0] >= (now if ahead_s else now - SPARE_S):
            return self._take(place - 1)
        if place == len(slots) or slots[place][0] > now + BIND_AHEAD_S:
            return None
        return self._take(place)

    def take_due(self, now: float) -> float | None:
        """Take the slot of this moment from those that are kept for requests to come."""
        if self.likely == 0:
            return None
        place = bisect_right(self._slots, (now, "")) - 1
        if place < 0 or self._slots[place][0] < now - SPARE_S:
            return None
        return self._take(place)

    def _take(self, place: int) -> float:
        at, _ = self._slots.pop(place)
        self._taken += 1
        return at

    def plan(self, now: float, limit_per_s: float) -> None:
        """Say anew how many to keep, by what was taken lately and what is allowed."""
        if now - self._counted_at < STOCK_S:
            return
        fresh = self._taken / (now - self._counted_at)
        self._pull = fresh if fresh > self._pull else (self._pull + fresh) / 2
        self._taken, self._counted_at = 0, now
        worth_while = CLOSE_S * limit_per_s >= 1 and self._pull >= BUSY_PER_S
        cover = min(limit_per_s * COVER_S, self._pull, MOST_STOCK)
        self.likely = math.ceil(cover) if worth_while else 0
