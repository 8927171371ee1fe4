"""Group commit without a task of its own: whoever comes first works for all who wait.

The first caller leads: it takes what is queued, up to a limit, and serves it as one group in
one transaction.  Whoever comes meanwhile waits in the queue.  When the group has its outcome,
the caller at the head of the queue leads the next one.

    caller 1   leads [1] ........ done
    caller 2      waits ......... leads [2, 3, 4] .... done
    caller 3      waits ......................... told
    caller 4         waits ...................... told

Nobody ever waits on purpose: while one commit is on its way to the disk, the next group
gathers.  A caller that is cancelled while it waits has no say any more: its call happens
whole or not at all.  A leader that is cancelled finishes the transaction it has begun.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Generic, TypeVar, final

import anyio.lowlevel

from jobs.errors import StoreError

C = TypeVar("C")
V = TypeVar("V")

MOST_CALLS: Final = 500
"""Calls in one group: bounds how long rows stay locked (some 30 ms)."""


@final
class _Place(Generic[C, V]):
    """One caller in the queue."""

    __slots__ = ("call", "outcome", "turn", "weight")

    def __init__(self, call: C, weight: int) -> None:
        self.call = call
        self.weight = weight
        self.outcome: V | Exception | None = None
        self.turn: asyncio.Future[bool] | None = None
        """True: lead; False: the outcome is there.  None for one that leads at once."""


@final
class Grouped(Generic[C, V]):
    """A queue of calls that are served in groups."""

    def __init__(
        self,
        serve: Callable[[Sequence[C], Callable[[], None]], Awaitable[Sequence[V | Exception]]],
        *,
        most: int = MOST_CALLS,
    ) -> None:
        """Take what serves a group.

        Args:
            serve: Returns one outcome for each call, in order.  It must call its second
                argument before it writes anything: from then on the group cannot be
                taken back.
            most: Largest sum of weights in one group; a single call may be heavier.
        """
        self._serve = serve
        self._most = most
        self._queue: deque[_Place[C, V]] = deque()
        self._led = False

    async def run(self, call: C, *, weight: int = 1) -> V:
        """Have *call* served in the next group.

        Raises:
            Exception: What `serve` says about this call, or about its whole group.
        """
        place: _Place[C, V] = _Place(call, weight)
        self._queue.append(place)
        if self._led:
            place.turn = asyncio.get_running_loop().create_future()
            if await self._leads(place):
                await self._lead(place)
        else:
            self._led = True
            await self._lead(place)
        if isinstance(place.outcome, Exception):
            raise place.outcome
        assert place.outcome is not None
        return place.outcome

    async def _leads(self, place: _Place[C, V]) -> bool:
        """Wait until *place* is served or must lead."""
        turn = place.turn
        assert turn is not None
        try:
            return await turn
        except BaseException:
            if turn.done() and not turn.cancelled() and turn.result():
                self._withdraw(place)
                self._pass_on()
            else:
                self._withdraw(place)
            raise

    def _withdraw(self, place: _Place[C, V]) -> None:
        if place in self._queue:
            self._queue.remove(place)

    async def _lead(self, place: _Place[C, V]) -> None:
        group: list[_Place[C, V]] = []
        begun = False

        def begin() -> None:
            nonlocal begun
            begun = True

        try:
            await anyio.lowlevel.checkpoint()  # callers of the same instant get into this group
            group = self._take()
            outcomes = await self._serve([one.call for one in group], begin)
            for one, outcome in zip(group, outcomes, strict=True):
                one.outcome = outcome
        except Exception as error:  # noqa: BLE001 - each caller hears of it
            for one in group:
                one.outcome = error
        except BaseException:
            self._withdraw(place)
            self._give_up(place, group, begun=begun)
            raise
        finally:
            self._tell(group)
            self._pass_on()

    def _take(self) -> list[_Place[C, V]]:
        group: list[_Place[C, V]] = []
        weight = 0
        while self._queue and (not group or weight + self._queue[0].weight <= self._most):
            one = self._queue.popleft()
            if one.turn is not None and one.turn.cancelled():
                continue  # its caller has gone and is about to say so
            weight += one.weight
            group.append(one)
        return group

    def _give_up(self, leader: _Place[C, V], group: list[_Place[C, V]], *, begun: bool) -> None:
        """The leader was cancelled: put the others back, or say that nobody knows."""
        others = [one for one in group if one is not leader]
        group.clear()
        if not begun:
            self._queue.extendleft(reversed(others))
            return
        for one in others:
            one.outcome = StoreError(
                "the outcome of a commit is unknown",
                why="the process was stopped during the commit",
                do="the next worker sees what was committed; nothing is half done",
            )
        self._tell(others)

    @staticmethod
    def _tell(group: Sequence[_Place[C, V]]) -> None:
        for one in group:
            if one.turn is not None and not one.turn.done():
                one.turn.set_result(False)

    def _pass_on(self) -> None:
        """Make the caller at the head of the queue lead, if there is one."""
        for one in self._queue:
            if one.turn is not None and not one.turn.done():
                one.turn.set_result(True)
                return
        self._led = False
