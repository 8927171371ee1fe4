"""Whose turn it is: fair queueing by weight, among those who have something waiting.

Everybody has a *finish*: how much they were served, divided by their weight.  Whose finish is
smallest is next.  So a weight of 2 is twice the turns, whoever is served often waits longer
for the next turn, and shares hold from call to call, not only inside of one.  This is deficit
round robin with the deficit kept as a time (stride scheduling), which takes weights below 1 as
they are and spreads turns evenly.

Who comes back after having had nothing to do starts where the others are: what was not used is
not saved up.

Source:
    Shreedhar, Varghese: Efficient Fair Queueing using Deficit Round Robin, 1995.
    Waldspurger, Weihl: Stride Scheduling, 1995.
"""

import heapq
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Final, Generic, TypeVar

T = TypeVar("T", bound=Hashable)

DEFAULT_WEIGHT: Final = 1.0

Weights = Mapping[str, float]
"""Turns for each turn of a project of DEFAULT_WEIGHT, by project; those not named have that."""

NO_WEIGHTS: Final[Weights] = MappingProxyType({})

MOST_REMEMBERED: Final = 10_000
"""Finishes kept; those that say nothing any more are forgotten first."""


class Turns(Generic[T]):
    """What everybody has been served; one for each place where turns are given."""

    def __init__(self) -> None:
        self._finish: dict[T, float] = {}
        self._now = 0.0

    def start(self, one: T) -> float:
        """Return when the next turn of *one* starts, in served turns divided by weight."""
        return max(self._finish.get(one, 0.0), self._now)

    def serve(
        self, one: T, weight: float = DEFAULT_WEIGHT, *, turns: int = 1, in_turn: bool = True
    ) -> float:
        """Note that *one* was served; return when its turn after that starts.

        *in_turn* says that nobody who waits came before it.
        """
        finish = self._finish[one] = self.start(one) + turns / weight
        if in_turn:
            self._now = max(self._now, finish - 1 / weight)
        if len(self._finish) > MOST_REMEMBERED:
            self._forget()
        return finish

    def wait(self, ones: Iterable[T]) -> None:
        """Note who waits: whoever comes from now on starts where the first of them is."""
        self._now = max(self._now, min((self.start(one) for one in ones), default=0.0))

    def give_back(self, one: T, weight: float, turns: int) -> None:
        """Take back turns that *one* had no use for."""
        if one in self._finish:
            self._finish[one] -= turns / weight

    def deal(self, ones: Sequence[T], weight_of: Callable[[T], float], count: int) -> dict[T, int]:
        """Deal *count* turns out to *ones*, all of which could take every one of them.

        Equal ones are served in the order in which they are given.
        """
        if len(ones) == 1:
            self.serve(ones[0], weight_of(ones[0]), turns=count)
            return {ones[0]: count}
        dealt: dict[T, int] = {}
        row = [(self.start(one), place) for place, one in enumerate(ones)]
        heapq.heapify(row)
        for _ in range(count if row else 0):
            _, place = row[0]
            one = ones[place]
            finish = self.serve(one, weight_of(one))
            heapq.heapreplace(row, (finish, place))
            dealt[one] = dealt.get(one, 0) + 1
        return dealt

    def _forget(self) -> None:
        """Drop what says no more than its absence does; start anew if that is not enough."""
        self._finish = {one: at for one, at in self._finish.items() if at > self._now}
        if len(self._finish) > MOST_REMEMBERED:
            self._finish.clear()
