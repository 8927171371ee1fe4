"""A turn per credential and endpoint: who may send the next request, and exactly when.

The rule (how far apart send times are) is `jobs.pacing`; the rows live in the store, so all
workers of one store share one limit.  This module keeps a few send times in stock, ahead of
need, and hands each to a waiting request shortly before it is due.  Which request gets it is
decided that late on purpose: no slot is wasted on one that has gone meanwhile.

Turns go round over the projects; within a project looks take turns with everything else, so
that a flood of sends cannot blind the watch, and a send goes before a check, so that what
was read before it stays fresh.

A turn is used on time or not at all: its holder calls `Turn.use` right before the first byte,
and takes a new turn when it was too late.

Where the limit leaves slots so close together that one is always due, waiting for one would be
all that a request does; so a stock for what is likely to be asked is kept, and a request that
comes while nobody waits takes the slot of this moment without being put in line.
"""

import asyncio
import math
from bisect import bisect_right
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import TracebackType
from typing import Final

import anyio

from jobs.clock import MICROSECONDS, Clock, seconds_to_us
from jobs.outcomes import Answer
from jobs.pacing import (
    LATE_LIMIT_S,
    Bucket,
    Demand,
    Limit,
    Pace,
    Slot,
    effective_limit,
    reserve,
    throttled,
)
from jobs.store.protocol import LimitStore

BIND_AHEAD_S: Final = 0.020
"""How long before its time a slot is given to a request: one group commit, with room."""

STOCK_S: Final = 0.250
"""How far ahead slots are reserved; a dead worker wastes no more than this."""

REFILL_S: Final = 0.120
"""The stock is refilled when it reaches less far than this."""

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

RETRY_S: Final = 0.100
"""Pause when no slot can be had yet (blocked by a 429, or a very low rate)."""


TICK_S: Final = 0.001
"""Shorter waits than the event loop can keep are not made."""


class Closed(Exception):  # noqa: N818 - it is an answer, not an error
    """The worker drains: no new request may start."""


class Kind(StrEnum):
    """What a request is for; decides who goes first within a project."""

    LOOK = "look"
    SEND = "send"
    CHECK = "check"


class Turn:
    """The right to send one request at `at` (monotonic seconds), and only then."""

    __slots__ = ("_limiter", "at")

    def __init__(self, at: float, limiter: "Limiter") -> None:
        self.at = at
        self._limiter = limiter

    async def wait(self) -> None:
        """Wait until it is time."""
        clock = self._limiter.clock
        early_s = self.at - clock.monotonic()
        if early_s > 0:
            await clock.sleep(early_s)

    def use(self) -> bool:
        """Use it for a request that leaves now; False when its moment has passed: send nothing.

        Where slots are close together there is another one for this moment: it is taken
        instead.  Going round for a new turn would cost as much as the request.
        """
        now = self._limiter.clock.monotonic()
        if now - self.at > LATE_LIMIT_S:
            at = self._limiter.take_due(now)
            if at is None:
                return False
            self.at = at
        self._limiter.sent(now)
        return True


class _Bell:
    """Wakes the one task that waits for it; rung before the wait, it ends the wait at once.

    A tenth of an event's cost: there is one for each loop below, not one for each wait.
    """

    __slots__ = ("_rung", "_sleeper")

    def __init__(self) -> None:
        self._rung = False
        self._sleeper: asyncio.Future[None] | None = None

    def ring(self) -> None:
        self._rung = True
        if self._sleeper is not None and not self._sleeper.done():
            self._sleeper.set_result(None)

    async def wait(self) -> None:
        if not self._rung:
            self._sleeper = asyncio.get_running_loop().create_future()
            try:
                await self._sleeper
            finally:
                self._sleeper = None
        self._rung = False


class _Waiter:
    """One request that has or wants a turn; entering it waits, leaving it gives the place back."""

    __slots__ = ("_limiter", "answered", "kind", "project", "turn")

    def __init__(self, limiter: "Limiter", project: str, kind: Kind) -> None:
        self._limiter = limiter
        self.project = project
        self.kind = kind
        self.turn: Turn | None = None
        self.answered: asyncio.Future[None] | None = None

    async def __aenter__(self) -> Turn:
        """Wait for the turn.

        Raises:
            Closed: If the worker drains before there was one.
        """
        if not self._limiter.begin(self):
            self.answered = asyncio.get_running_loop().create_future()
            try:
                await self.answered
            except BaseException:
                self._limiter.forget(self)
                raise
        if self.turn is None:
            raise Closed
        return self.turn

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Give the place in flight back."""
        self._limiter.end()

    def answer(self, turn: Turn | None) -> None:
        """Let it go on with its turn, or without one: refused."""
        self.turn = turn
        if self.answered is not None and not self.answered.done():
            self.answered.set_result(None)


@dataclass(slots=True)
class _Line:
    """The requests of one project: looks on one side, sends before checks on the other."""

    looks: deque[_Waiter] = field(default_factory=deque)
    sends: deque[_Waiter] = field(default_factory=deque)
    checks: deque[_Waiter] = field(default_factory=deque)
    look_next: bool = True

    def __len__(self) -> int:
        return len(self.looks) + len(self.sends) + len(self.checks)

    def queue(self, kind: Kind) -> deque[_Waiter]:
        match kind:
            case Kind.LOOK:
                return self.looks
            case Kind.SEND:
                return self.sends
            case Kind.CHECK:
                return self.checks

    def pop(self) -> _Waiter:
        others = self.sends or self.checks
        if self.looks and (self.look_next or not others):
            self.look_next = False
            return self.looks.popleft()
        self.look_next = True
        return others.popleft()


class Limiter:
    """Paces every wire request of one credential at one endpoint."""

    def __init__(
        self,
        key: str,
        pace: Pace,
        *,
        store: LimitStore,
        clock: Clock,
        max_in_flight: int,
        project_pace: Pace | None = None,
    ) -> None:
        self._key = key
        self._pace = pace
        self._project_pace = project_pace
        self._store = store
        self.clock = clock
        self._max_in_flight = max_in_flight
        self._in_flight = 0
        self._lines: dict[str, _Line] = {}
        self._waiting = 0
        self._stock: list[tuple[float, str]] = []
        """(monotonic seconds, project), earliest first."""
        self._pull = 0.0
        """Turns a second that were lately taken."""
        self._likely = 0
        """How many slots to keep in stock for requests that have not come yet."""
        self._taken = 0
        self._counted_at = clock.monotonic()
        self._wake_lease = _Bell()
        self._wake_hand = _Bell()
        self._sent: deque[float] = deque(maxlen=10_000)
        self._limit = pace.limit
        self._closed = False

    @property
    def limit_per_s(self) -> float:
        """Requests a second that are allowed at present."""
        return self._limit.count / self._limit.window_s

    def rate_per_s(self, over_s: float = 10.0) -> float:
        """Requests a second that were really sent in the last *over_s* seconds."""
        since = self.clock.monotonic() - over_s
        while self._sent and self._sent[0] < since:
            self._sent.popleft()
        return len(self._sent) / over_s

    def turn(self, project: str, kind: Kind) -> _Waiter:
        """Return a context that waits for a turn and counts as in flight until it is left.

        Entering it raises `Closed` if the worker drains before there was a turn.
        """
        return _Waiter(self, project, kind)

    def begin(self, waiter: _Waiter) -> bool:
        """Give a turn at once if one is to be had and nobody waits; else put it in line.

        Raises:
            Closed: If the worker drains.
        """
        if self._closed:
            raise Closed
        if not self._waiting and self._project_pace is None:
            at = None if self._in_flight >= self._max_in_flight else self._slot_for(waiter.kind)
            if at is not None:
                waiter.turn = self._turn_at(at)
                return True
        self._lines.setdefault(waiter.project, _Line()).queue(waiter.kind).append(waiter)
        self._waiting += 1
        self._wake_lease.ring()
        self._wake_hand.ring()
        return False

    def end(self) -> None:
        """Take note that a request is no longer in flight."""
        self._in_flight -= 1
        if self._waiting:
            self._wake_hand.ring()
            self._wake_lease.ring()

    def close(self) -> None:
        """Refuse every request that has no turn yet, now and from now on."""
        self._closed = True
        for line in self._lines.values():
            while len(line):
                self._waiting -= 1
                line.pop().answer(None)

    def sent(self, now: float) -> None:
        """Note that a request leaves."""
        self._sent.append(now)

    async def throttle(self, answer: Answer) -> None:
        """Learn from a 429; every worker that shares the store follows at its next slot."""
        self._stock.clear()
        key = self._key

        def learn(buckets: Mapping[str, Bucket], now_us: int) -> tuple[dict[str, Bucket], Bucket]:
            bucket = throttled(
                buckets.get(key, Bucket()),
                now_us=now_us,
                limit=answer.limit,
                retry_after_s=answer.retry_after_s,
            )
            return {key: bucket}, bucket

        await self._store.update_buckets([key], learn)

    async def run(self) -> None:
        """Keep turns coming until cancelled."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._keep_stock, name="limiter stock")
            tasks.start_soon(self._hand_out, name="limiter turns")

    def forget(self, waiter: _Waiter) -> None:
        """Take back what was given to a request that is cancelled while it waits."""
        if waiter.turn is not None:  # it was handed out and cancelled in the same moment
            self.end()
        elif waiter.answered is not None and not waiter.answered.cancelled():
            return  # refused and cancelled in the same moment
        else:
            self._lines[waiter.project].queue(waiter.kind).remove(waiter)
            self._waiting -= 1

    def _slot_for(self, kind: Kind) -> float | None:
        """Take the slot that suits a request that comes now; None when none does.

        That is the last one that is due: it leaves the most time to use it.  A send takes one
        that is due when its intent is committed.
        """
        stock, now = self._stock, self.clock.monotonic()
        if not stock:
            return None
        is_send = kind is Kind.SEND
        place = bisect_right(stock, (now + COMMIT_S if is_send else now, ""))
        if place and stock[place - 1][0] >= (now if is_send else now - SPARE_S):
            place -= 1
        elif place == len(stock) or stock[place][0] > now + BIND_AHEAD_S:
            return None
        return self._take(place, now)

    def take_due(self, now: float) -> float | None:
        """Take the slot of this moment from the stock that is kept for requests to come."""
        if self._likely == 0:
            return None
        place = bisect_right(self._stock, (now, "")) - 1
        if place < 0 or self._stock[place][0] < now - SPARE_S:
            return None
        return self._take(place, now)

    def _take(self, place: int, now: float) -> float:
        at, _ = self._stock.pop(place)
        self._taken += 1
        if self._likely and self._stock_is_low(now):
            self._wake_lease.ring()
        return at

    def _stock_is_low(self, now: float) -> bool:
        """Whether the stock that is kept for requests to come ends soon."""
        return not self._stock or self._stock[-1][0] - now < COVER_S / 2

    def _turn_at(self, at: float) -> Turn:
        self._in_flight += 1
        return Turn(at, self)

    def _drop_late(self) -> float:
        """Drop slots that are over: they are lost, never made up for; return the time."""
        now = self.clock.monotonic()
        over = bisect_right(self._stock, (now - SPARE_S, ""))
        if over:
            del self._stock[:over]
        return now

    def _note_pull(self, now: float) -> None:
        """Follow how many turns a second are taken."""
        if now - self._counted_at < STOCK_S:
            return
        fresh = self._taken / (now - self._counted_at)
        self._pull = fresh if fresh > self._pull else (self._pull + fresh) / 2
        self._taken, self._counted_at = 0, now
        close = self._project_pace is None and CLOSE_S * self.limit_per_s >= 1
        cover = min(self.limit_per_s * COVER_S, self._pull, MOST_STOCK)
        self._likely = math.ceil(cover) if close and self._pull >= BUSY_PER_S else 0

    def _wanted(self) -> int:
        """Return how many more slots are wanted now."""
        now = self._drop_late()
        self._note_pull(now)
        asked = min(self._waiting, self._max_in_flight - self._in_flight)
        more = self._likely if self._likely and self._stock_is_low(now) else 0
        return max(asked + more - len(self._stock), more // 2)

    async def _keep_stock(self) -> None:
        """Reserve send times while somebody waits and the stock reaches not far enough."""
        while True:
            if self._wanted() <= 0:
                await self._wake_lease.wait()
                continue
            reach = self._stock[-1][0] - self.clock.monotonic() if self._stock else 0.0
            if reach - REFILL_S > TICK_S:
                with anyio.move_on_after(reach - REFILL_S):
                    await self._wake_lease.wait()
                continue
            slots = await self._reserve()
            self._stock.extend(slots)
            self._wake_hand.ring()
            if not slots:
                await self.clock.sleep(RETRY_S)

    async def _reserve(self) -> list[tuple[float, str]]:
        demands = self._demands()
        own = {d.project_key for d in demands if d.project_key is not None}
        assert self._project_pace is not None or not own
        projects = {key: self._project_pace for key in own if self._project_pace is not None}
        anchor: list[float] = [0.0, 0.0]
        limit: list[Limit] = [self._limit]

        def take(
            buckets: Mapping[str, Bucket], now_us: int
        ) -> tuple[dict[str, Bucket], list[Slot]]:
            anchor[:] = [self.clock.monotonic(), now_us / MICROSECONDS]
            limit[0] = effective_limit(self._pace, buckets.get(self._key, Bucket()), now_us)
            first_us = now_us + seconds_to_us(BIND_AHEAD_S)
            return reserve(
                (self._key, self._pace),
                projects,
                demands,
                buckets,
                now_us=first_us,
                until_us=first_us + seconds_to_us(STOCK_S),
            )

        slots = await self._store.update_buckets([self._key, *sorted(own)], take)
        self._limit = limit[0]
        return [(anchor[0] + slot.at_us / MICROSECONDS - anchor[1], slot.project) for slot in slots]

    def _demands(self) -> list[Demand]:
        """Say who waits for how many slots; without limits of their own, projects are one."""
        if self._project_pace is None:
            return [Demand(project="", waiting=self._wanted())]
        return [
            Demand(
                project=project,
                waiting=len(line),
                project_key=f"{self._key}|project:{project}",
            )
            for project, line in self._lines.items()
            if len(line)
        ]

    async def _hand_out(self) -> None:
        """Give each slot to a request shortly before it is due."""
        while True:
            now = self._drop_late()
            if not self._stock or not self._waiting or self._in_flight >= self._max_in_flight:
                await self._wake_hand.wait()
                continue
            early = self._stock[0][0] - BIND_AHEAD_S - now
            if early > TICK_S:
                with anyio.move_on_after(early):
                    await self._wake_hand.wait()
                continue
            waiter = self._next_waiter(self._stock[0][1])
            suits = None
            if waiter is not None and self._likely:
                suits = self._slot_for(waiter.kind)
            at = self._take(0, now) if suits is None else suits
            if waiter is not None:
                self._waiting -= 1
                waiter.answer(self._turn_at(at))
            self._wake_lease.ring()

    def _next_waiter(self, project: str) -> _Waiter | None:
        """Return the request whose turn it is; the served project goes to the end of the row."""
        if self._project_pace is None:
            project = next((name for name, line in self._lines.items() if len(line)), "")
        line = self._lines.get(project)
        if line is None or not len(line):
            return None
        waiter = line.pop()
        del self._lines[project]
        if len(line):
            self._lines[project] = line
        return waiter
