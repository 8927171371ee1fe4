"""A turn per credential and endpoint: who may send the next request, and exactly when.

The rule (how far apart send times are) is `jobs.pacing`; the rows live in the store, so all
workers of one store share one limit.  This module keeps a few send times in stock, ahead of
need, and hands each to a waiting request shortly before it is due.  Which request gets it is
decided that late on purpose: no slot is wasted on one that has gone meanwhile.

Turns go round over the projects; within a project looks take turns with everything else, so
that a flood of sends cannot blind the watch, and a send goes before a check, so that what
was read before it stays fresh.

A turn is used on time or not at all: its holder asks `Turn.is_late` right before the first
byte, and takes a new turn when it is.
"""

import math
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import StrEnum
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


@dataclass(slots=True)
class Turn:
    """The right to send one request at `at` (monotonic seconds), and only then."""

    at: float
    clock: Clock

    async def wait(self) -> None:
        """Wait until it is time."""
        await self.clock.sleep(self.at - self.clock.monotonic())

    def is_late(self) -> bool:
        """Whether the moment has passed; then nothing may be sent on it."""
        return self.clock.monotonic() - self.at > LATE_LIMIT_S


@dataclass(slots=True, eq=False)
class _Waiter:
    project: str
    kind: Kind
    ready: anyio.Event = field(default_factory=anyio.Event)
    turn: Turn | None = None


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
        self._clock = clock
        self._max_in_flight = max_in_flight
        self._in_flight = 0
        self._lines: dict[str, _Line] = {}
        self._waiting = 0
        self._stock: deque[tuple[float, str]] = deque()
        self._wake_lease = anyio.Event()
        self._wake_hand = anyio.Event()
        self._sent: deque[float] = deque(maxlen=10_000)
        self._limit = pace.limit
        self._closed = False

    @property
    def limit_per_s(self) -> float:
        """Requests a second that are allowed at present."""
        return self._limit.count / self._limit.window_s

    def rate_per_s(self, over_s: float = 10.0) -> float:
        """Requests a second that were really sent in the last *over_s* seconds."""
        since = self._clock.monotonic() - over_s
        while self._sent and self._sent[0] < since:
            self._sent.popleft()
        return len(self._sent) / over_s

    @asynccontextmanager
    async def turn(self, project: str, kind: Kind) -> AsyncIterator[Turn]:
        """Wait for a turn, and count as in flight until the block is left.

        Raises:
            Closed: If the worker drains before there was a turn.
        """
        if self._closed:
            raise Closed
        waiter = _Waiter(project, kind)
        self._lines.setdefault(project, _Line()).queue(kind).append(waiter)
        self._waiting += 1
        self._wake_lease.set()
        try:
            await waiter.ready.wait()
        except BaseException:
            self._forget(waiter)
            raise
        if waiter.turn is None:
            raise Closed
        try:
            yield waiter.turn
        finally:
            self._in_flight -= 1
            self._wake_hand.set()
            self._wake_lease.set()

    def close(self) -> None:
        """Refuse every request that has no turn yet, now and from now on."""
        self._closed = True
        for line in self._lines.values():
            while len(line):
                self._waiting -= 1
                line.pop().ready.set()

    def sent(self) -> None:
        """Note that a request's headers have just left."""
        self._sent.append(self._clock.monotonic())

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

    def _forget(self, waiter: _Waiter) -> None:
        if waiter.turn is not None:  # it was handed out and cancelled in the same moment
            self._in_flight -= 1
            self._wake_hand.set()
            return
        if waiter.ready.is_set():  # refused and cancelled in the same moment
            return
        self._lines[waiter.project].queue(waiter.kind).remove(waiter)
        self._waiting -= 1

    async def _keep_stock(self) -> None:
        """Reserve send times while somebody waits and the stock reaches not far enough."""
        while True:
            self._wake_lease = anyio.Event()
            wanted = min(self._waiting, self._max_in_flight - self._in_flight) - len(self._stock)
            if wanted <= 0:
                await self._wake_lease.wait()
                continue
            reach = self._stock[-1][0] - self._clock.monotonic() if self._stock else 0.0
            if reach - REFILL_S > TICK_S:
                with anyio.move_on_after(reach - REFILL_S):
                    await self._wake_lease.wait()
                continue
            slots = await self._reserve()
            self._stock.extend(slots)
            self._wake_hand.set()
            if not slots:
                await self._clock.sleep(RETRY_S)

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
            anchor[:] = [self._clock.monotonic(), now_us / MICROSECONDS]
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
        spoken_for = len(self._stock)
        room = min(self._waiting, self._max_in_flight - self._in_flight) - spoken_for
        if self._project_pace is None:
            return [Demand(project="", waiting=max(room, 0))]
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
            self._wake_hand = anyio.Event()
            if not self._stock or not self._waiting or self._in_flight >= self._max_in_flight:
                if self._stock and self._stock[0][0] < self._clock.monotonic():
                    self._stock.popleft()  # nobody could use it: it is lost, never made up for
                    self._wake_lease.set()
                    continue
                await self._wait_for_change()
                continue
            early = self._stock[0][0] - BIND_AHEAD_S - self._clock.monotonic()
            if early > TICK_S:
                with anyio.move_on_after(early):
                    await self._wake_hand.wait()
                continue
            at, project = self._stock.popleft()
            self._wake_lease.set()
            if self._clock.monotonic() <= at:
                self._bind(at, project)

    async def _wait_for_change(self) -> None:
        """Wait for a slot, a request or a free place, but not beyond the next slot's time."""
        limit = math.inf
        if self._stock:
            limit = max(self._stock[0][0] - self._clock.monotonic(), 0.0) + TICK_S
        with anyio.move_on_after(limit):
            await self._wake_hand.wait()

    def _bind(self, at: float, project: str) -> None:
        waiter = self._next_waiter(project)
        if waiter is None:
            return
        self._waiting -= 1
        self._in_flight += 1
        waiter.turn = Turn(at, self._clock)
        waiter.ready.set()

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
