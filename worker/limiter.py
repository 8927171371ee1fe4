"""A turn per credential and endpoint: who may send the next request, and exactly when.

The rule (how far apart send times are) is `jobs.pacing`; the rows live in the store, so all
workers of one store share one limit.  This module keeps a few send times in stock, ahead of
need, and hands each to a waiting request shortly before it is due.  Which request gets it
(`worker.line`) is decided that late on purpose: no slot is wasted on one that has gone meanwhile.

A turn is used on time or not at all: its holder calls `Turn.use` right before the first byte,
and takes a new turn when it was too late.

Where the limit leaves slots so close together that one is always due, waiting for one would be
all that a request does; so a stock for what is likely to be asked is kept (`worker.stock`), and
a request that comes while nobody waits takes the slot of this moment without standing in line.
"""

from collections import deque
from collections.abc import Mapping
from types import TracebackType
from typing import Final

import anyio
import structlog

from jobs.clock import MICROSECONDS, Clock, seconds_to_us
from jobs.fairness import DEFAULT_WEIGHT, NO_WEIGHTS, Weights
from jobs.outcomes import Answer
from jobs.pacing import (
    LATE_LIMIT_S,
    Bucket,
    Demand,
    Pace,
    Slot,
    allowed_per_s,
    reserve,
    throttled,
)
from jobs.store.protocol import LimitStore
from worker.line import Bell, Closed, Kind, Lines, Waiting
from worker.stock import BIND_AHEAD_S, COMMIT_S, STOCK_S, Dated, Stock

__all__ = ["Closed", "Kind", "Limiter", "Turn"]

log = structlog.get_logger()

REFILL_S: Final = 0.120
"""The stock is refilled when it reaches less far than this."""

TOLD_AGAIN: Final = 1.25
"""A rate that is this much higher or lower than the one told last is worth a line."""

RETRY_S: Final = 0.100
"""Pause when no slot can be had yet (blocked by a 429, or a very low rate)."""

TICK_S: Final = 0.001
"""Shorter waits than the event loop can keep are not made."""


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


class _Turns:
    """Entering it waits for a turn, leaving it gives the place in flight back."""

    __slots__ = ("_limiter", "_one")

    def __init__(self, limiter: "Limiter", project: str, kind: Kind) -> None:
        self._limiter = limiter
        self._one: Waiting[Turn] = Waiting(project, kind)

    async def __aenter__(self) -> Turn:
        """Wait for the turn.

        Raises:
            Closed: If the worker drains before there was one.
        """
        if not self._limiter.begin(self._one):
            try:
                await self._one.wait()
            except BaseException:
                self._limiter.forget(self._one)
                raise
        if self._one.answer is None:
            raise Closed
        return self._one.answer

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Give the place in flight back."""
        self._limiter.end()


class Limiter:
    """Paces every wire request of one credential at one endpoint."""

    def __init__(  # noqa: PLR0913 - what paces it, whose turn it is, and where that is kept
        self,
        key: str,
        pace: Pace,
        *,
        store: LimitStore,
        clock: Clock,
        max_in_flight: int,
        project_pace: Pace | None = None,
        weights: Weights = NO_WEIGHTS,
    ) -> None:
        self._key = key
        self._pace = pace
        self._project_pace = project_pace
        self._store = store
        self.clock = clock
        self._max_in_flight = max_in_flight
        self._in_flight = 0
        self._lines: Lines[Turn] = Lines(weights)
        self._weights = weights
        self._stock = Stock(clock.monotonic())
        self._wake_lease = Bell()
        self._wake_hand = Bell()
        self._sent: deque[float] = deque(maxlen=10_000)
        self._allowed_per_s = pace.limit.per_s
        self._told_per_s = pace.limit.per_s
        self._closed = False

    @property
    def limit_per_s(self) -> float:
        """Requests a second that are allowed at present."""
        return self._allowed_per_s

    def rate_per_s(self, over_s: float = 10.0) -> float:
        """Requests a second that were really sent in the last *over_s* seconds."""
        since = self.clock.monotonic() - over_s
        while self._sent and self._sent[0] < since:
            self._sent.popleft()
        return len(self._sent) / over_s

    def turn(self, project: str, kind: Kind) -> _Turns:
        """Return a context that waits for a turn and counts as in flight until it is left.

        Entering it raises `Closed` if the worker drains before there was a turn.
        """
        return _Turns(self, project, kind)

    def begin(self, one: Waiting[Turn]) -> bool:
        """Give a turn at once if one is to be had and nobody waits; else put it in line.

        Raises:
            Closed: If the worker drains.
        """
        if self._closed:
            raise Closed
        free = self._in_flight < self._max_in_flight
        if free and not self._lines.waiting and self._project_pace is None:
            now = self.clock.monotonic()
            at = self._fitting(one.kind, now)
            if at is not None:
                one.answer = self._turn_at(at, now)
                return True
        self._lines.add(one)
        if free:
            self._wake_lease.ring()
            self._wake_hand.ring()
        return False

    def end(self) -> None:
        """Take note that a request is no longer in flight: its place may be the next one's.

        That is handed on here and now: waking a task for it would cost a tenth of a request.
        """
        was_full = self._in_flight >= self._max_in_flight
        self._in_flight -= 1
        if not self._lines.waiting:
            return
        if was_full and self._hand_on() is not None:
            self._wake_hand.ring()
        if self._lines.waiting > len(self._stock):
            self._wake_lease.ring()

    def forget(self, one: Waiting[Turn]) -> None:
        """Take back what was given to a request that is cancelled while it waits."""
        if one.answer is not None:  # it was handed out and cancelled in the same moment
            self.end()
        elif not one.is_refused:  # else refused and cancelled in the same moment
            self._lines.remove(one)

    def close(self) -> None:
        """Refuse every request that has no turn yet, now and from now on."""
        self._closed = True
        while (one := self._lines.next(None)) is not None:
            one.tell(None)

    def sent(self, now: float) -> None:
        """Note that a request leaves."""
        self._sent.append(now)

    def take_due(self, now: float) -> float | None:
        """Take the slot of this moment for a request whose own one is over; None without one."""
        at = self._stock.take_due(now)
        if self._stock.is_low(now):
            self._wake_lease.ring()
        return at

    async def throttle(self, answer: Answer, age_s: float = 0.0) -> None:
        """Learn from a 429 to a request that left *age_s* seconds ago.

        Every worker that shares the store follows at its next slot.
        """
        self._stock.clear()
        key, pace = self._key, self._pace

        def learn(buckets: Mapping[str, Bucket], now_us: int) -> tuple[dict[str, Bucket], Bucket]:
            bucket = throttled(
                pace,
                buckets.get(key, Bucket()),
                now_us=now_us,
                age_s=age_s,
                limit=answer.limit,
                retry_after_s=answer.retry_after_s,
            )
            return {key: bucket}, bucket

        self._tell(await self._store.update_buckets([key], learn))

    def _tell(self, bucket: Bucket) -> None:
        """Log what is allowed now when it is something else than was told last."""
        self._allowed_per_s = now = allowed_per_s(self._pace, bucket)
        if 1 / TOLD_AGAIN < now / self._told_per_s < TOLD_AGAIN:
            return
        lesson = bucket.lesson
        log.info(
            "limit.changed",
            credential=self._key.partition("|")[0],
            endpoint=self._key.partition("|")[2],
            rate=round(now, 2),
            rate_before=round(self._told_per_s, 2),
            source="settings" if lesson is None else lesson.source.value,
        )
        self._told_per_s = now

    async def run(self) -> None:
        """Keep turns coming until cancelled."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._keep_stock, name="limiter stock")
            tasks.start_soon(self._hand_out, name="limiter turns")

    def _fitting(self, kind: Kind, now: float) -> float | None:
        """Take a slot that suits; a send's intent is still to be committed."""
        return self._stock.take_fitting(now, ahead_s=COMMIT_S if kind is Kind.SEND else 0.0)

    def _turn_at(self, at: float, now: float) -> Turn:
        self._in_flight += 1
        if self._stock.is_low(now):
            self._wake_lease.ring()
        return Turn(at, self)

    def _wanted(self) -> int:
        """Return how many more slots are wanted now."""
        now = self.clock.monotonic()
        stock = self._stock
        stock.drop_late(now)
        if self._project_pace is None:
            stock.plan(now, self.limit_per_s)
        asked = min(self._lines.waiting, self._max_in_flight - self._in_flight)
        more = stock.likely if stock.is_low(now) else 0
        return max(asked + more - len(stock), more // 2)

    async def _keep_stock(self) -> None:
        """Reserve send times while somebody waits and the stock reaches not far enough."""
        while True:
            if self._wanted() <= 0:
                await self._wake_lease.wait()
                continue
            too_far_s = self._stock.reach(self.clock.monotonic()) - REFILL_S
            if too_far_s > TICK_S:
                with anyio.move_on_after(too_far_s):
                    await self._wake_lease.wait()
                continue
            slots = await self._reserve()
            self._stock.add(slots)
            self._wake_hand.ring()
            if not slots:
                await self.clock.sleep(RETRY_S)

    async def _reserve(self) -> list[Dated]:
        demands = self._demands()
        own = {d.project_key for d in demands if d.project_key is not None}
        assert self._project_pace is not None or not own
        projects = {key: self._project_pace for key in own if self._project_pace is not None}
        anchor: list[float] = [0.0, 0.0]
        row: list[Bucket] = []

        def take(
            buckets: Mapping[str, Bucket], now_us: int
        ) -> tuple[dict[str, Bucket], list[Slot]]:
            anchor[:] = [self.clock.monotonic(), now_us / MICROSECONDS]
            first_us = now_us + seconds_to_us(BIND_AHEAD_S)
            changed, slots = reserve(
                (self._key, self._pace),
                projects,
                demands,
                buckets,
                now_us=first_us,
                until_us=first_us + seconds_to_us(STOCK_S),
            )
            row[:] = [changed[self._key]]
            return changed, slots

        slots = await self._store.update_buckets([self._key, *sorted(own)], take)
        self._tell(row[0])
        return [(anchor[0] + slot.at_us / MICROSECONDS - anchor[1], slot.project) for slot in slots]

    def _demands(self) -> list[Demand]:
        """Say who waits for how many slots; without limits of their own, projects are one."""
        if self._project_pace is None:
            return [Demand(project="", waiting=self._wanted())]
        return [
            Demand(
                project=project,
                waiting=count,
                project_key=f"{self._key}|project:{project}",
                weight=self._weights.get(project, DEFAULT_WEIGHT),
            )
            for project, count in self._lines.by_project().items()
        ]

    async def _hand_out(self) -> None:
        """Give each slot to a request shortly before it is due."""
        while True:
            early = self._hand_on()
            if early is None:
                await self._wake_hand.wait()
                continue
            with anyio.move_on_after(early):
                await self._wake_hand.wait()

    def _hand_on(self) -> float | None:
        """Give away what may be given now.

        Returns:
            The seconds until the next slot may be; None when there is none, or nobody for it.
        """
        now = self.clock.monotonic()
        stock, lines = self._stock, self._lines
        stock.drop_late(now)
        while lines.waiting and self._in_flight < self._max_in_flight:
            if not len(stock):
                self._wake_lease.ring()
                return None
            at, project = stock.first
            early = at - BIND_AHEAD_S - now
            if early > TICK_S:
                return early
            one = lines.next(None if self._project_pace is None else project)
            suits = self._fitting(one.kind, now) if one is not None and stock.likely else None
            at = stock.take_first() if suits is None else suits
            if one is not None:
                one.tell(self._turn_at(at, now))
        return None
