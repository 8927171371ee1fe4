"""A model of workers that send as fast as they may, and of servers that count them.

No engine, no loop: the pure rules of `jobs.pacing` on one shared row, requests that take 80 ms
there and back (±20 % each way), and the three kinds of limit there are, which may change while
it runs.  A second of it costs about a millisecond, so a thousand runs are a few minutes.
"""

import heapq
import random
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import pairwise

from jobs.clock import MICROSECONDS
from jobs.pacing import Bucket, Demand, Limit, Pace, reserve, throttled
from tests.builders import NOON_US

KEY = "credential"
ROUND_TRIP_S = 0.080
IN_HAND = 64
STOCK_US = 250_000
REFILL_US = 120_000


class Server(StrEnum):
    """How a server counts."""

    BUCKET = "bucket"
    FIXED = "fixed"
    SLIDING = "sliding"


class Told(StrEnum):
    """What a 429 says."""

    TEXT = "text"
    RETRY_AFTER = "retry-after"
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """What the server permits: ``limits`` has (from which second, requests a window)."""

    limits: Sequence[tuple[float, int]]
    server: Server
    told: Told
    lasts_s: float = 120.0
    window_s: float = 1.0
    configured: Limit | None = None
    """None is ``auto``."""

    workers: int = 1
    seed: int = 0

    def limit_at(self, t: float) -> int:
        """Return what is permitted in a window at second *t*."""
        return next(limit for since, limit in reversed(self.limits) if t >= since)

    def permitted(self, since: float, until: float) -> float:
        """Return how many requests are permitted between two instants."""
        edges = [*(at for at, _ in self.limits), float("inf")]
        return sum(
            max(0.0, min(until, after) - max(since, at)) * limit / self.window_s
            for (at, after), (_, limit) in zip(pairwise(edges), self.limits, strict=True)
        )


class Gateway:
    """Counts requests as one kind of server does."""

    def __init__(self, scenario: Scenario, rng: random.Random) -> None:
        self._scenario = scenario
        self._kind = scenario.server
        self._window_s = scenario.window_s
        self._phase = rng.random() * scenario.window_s
        self._lately: deque[float] = deque()
        self._window = -1.0
        self._count = 0
        self._depth = rng.choice((0.2, 0.5, 1.0))  # of a bucket, in windows
        self._tokens = self._depth * scenario.limit_at(0)
        self._filled = 0.0

    def admits(self, t: float) -> bool:
        """Let a request through that arrives at second *t*, or not."""
        limit = self._scenario.limit_at(t)
        match self._kind:
            case Server.BUCKET:
                depth = max(1.0, self._depth * limit)
                gained = (t - self._filled) * limit / self._window_s
                self._tokens = min(depth, self._tokens + gained)
                self._filled = t
                if self._tokens < 1.0:
                    return False
                self._tokens -= 1.0
            case Server.FIXED:
                window = (t + self._phase) // self._window_s
                if window != self._window:
                    self._window, self._count = window, 0
                if self._count >= limit:
                    return False
                self._count += 1
            case Server.SLIDING:
                while self._lately and self._lately[0] <= t - self._window_s:
                    self._lately.popleft()
                if len(self._lately) >= limit:
                    return False
                self._lately.append(t)
        return True


@dataclass(slots=True)
class Log:
    """What became of a run; times are seconds since its begin."""

    scenario: Scenario
    sent: list[float] = field(default_factory=list)
    accepted: list[float] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)
    row: Bucket = field(default_factory=Bucket)

    def use(self, since: float = 0.0, until: float | None = None) -> float:
        """Return accepted ÷ permitted."""
        until = self.scenario.lasts_s if until is None else until
        count = sum(since <= t < until for t in self.accepted)
        return count / self.scenario.permitted(since, until)

    def refused_share(self) -> float:
        """Return 429s ÷ requests."""
        return len(self.refused) / max(1, len(self.sent))

    def fullest_window(self) -> int:
        """Return how many sends the fullest window holds, wherever it starts."""
        return fullest(self.sent, self.scenario.window_s)

    def recovery_s(self, changed_at: float) -> float:
        """Return the seconds until, over five of them, nine tenths of the new limit are used."""
        span = 5.0 * max(1.0, self.scenario.window_s)
        at = changed_at
        while at + span <= self.scenario.lasts_s:
            if self.use(at, at + span) >= 0.9:
                return at - changed_at
            at += 0.5
        return float("inf")


def fullest(times: Sequence[float], window_s: float) -> int:
    """Return how many instants the fullest window holds."""
    most = first = 0
    for last, at in enumerate(times):
        while times[first] <= at - window_s + 1e-9:
            first += 1
        most = max(most, last - first + 1)
    return most


class _Run:
    """One run: a heap of what happens next."""

    def __init__(self, scenario: Scenario) -> None:
        self._rng = random.Random(f"{scenario.seed}|{scenario.server}|{scenario.told}")
        self._scenario = scenario
        self._gateway = Gateway(scenario, self._rng)
        configured = scenario.configured
        self._pace = Pace(limit=configured or Limit(count=5), auto=configured is None)
        self._log = Log(scenario=scenario)
        self._stock: list[deque[int]] = [deque() for _ in range(scenario.workers)]
        self._in_flight = [0] * scenario.workers
        self._events: list[tuple[int, int, str, int, int]] = []
        self._number = 0

    def _at(self, us: int, what: str, worker: int, sent_us: int = 0) -> None:
        self._number += 1
        heapq.heappush(self._events, (us, self._number, what, worker, sent_us))

    def run(self) -> Log:
        """Return what became of it."""
        end_us = NOON_US + int(self._scenario.lasts_s * MICROSECONDS)
        for worker in range(self._scenario.workers):
            self._at(NOON_US + worker * 7_000, "reserve", worker)
        while self._events and self._events[0][0] < end_us:
            us, _, what, worker, sent_us = heapq.heappop(self._events)
            getattr(self, f"_{what}")(us, worker, sent_us)
        self._log.sent.sort()
        return self._log

    def _reserve(self, us: int, worker: int, _: int) -> None:
        stock = self._stock[worker]
        wanted = IN_HAND - self._in_flight[worker] - len(stock)
        reach = stock[-1] - us if stock else 0
        if wanted > 0 and reach < REFILL_US:
            changed, slots = reserve(
                (KEY, self._pace),
                {},
                [Demand(project="", waiting=wanted)],
                {KEY: self._log.row},
                now_us=us + 20_000,
                until_us=us + 20_000 + STOCK_US,
            )
            self._log.row = changed[KEY]
            for slot in slots:
                stock.append(slot.at_us)
                self._at(slot.at_us + int(self._rng.random() * 3_000), "send", worker, slot.at_us)
        self._at(us + 50_000, "reserve", worker)

    def _send(self, us: int, worker: int, at_us: int) -> None:
        stock = self._stock[worker]
        if not stock or stock[0] != at_us:  # cleared after a 429
            return
        stock.popleft()
        self._log.sent.append((us - NOON_US) / MICROSECONDS)
        self._in_flight[worker] += 1
        self._at(us + self._one_way_us(), "arrive", worker, us)

    def _one_way_us(self) -> int:
        return int(ROUND_TRIP_S / 2 * self._rng.uniform(0.8, 1.2) * MICROSECONDS)

    def _arrive(self, us: int, worker: int, sent_us: int) -> None:
        t = (us - NOON_US) / MICROSECONDS
        if self._gateway.admits(t):
            self._log.accepted.append(t)
            self._at(us + self._one_way_us(), "done", worker, sent_us)
        else:
            self._log.refused.append(t)
            self._at(us + self._one_way_us(), "refused", worker, sent_us)

    def _done(self, us: int, worker: int, _: int) -> None:
        self._in_flight[worker] -= 1

    def _refused(self, us: int, worker: int, sent_us: int) -> None:
        self._in_flight[worker] -= 1
        self._stock[worker].clear()
        t = (us - NOON_US) / MICROSECONDS
        named = Limit(count=self._scenario.limit_at(t), window_s=self._scenario.window_s)
        told = self._scenario.told
        self._log.row = throttled(
            self._pace,
            self._log.row,
            now_us=us,
            age_s=(us - sent_us) / MICROSECONDS,
            limit=named if told is Told.TEXT else None,
            retry_after_s=1.0 if told is Told.RETRY_AFTER else None,
        )


def run(scenario: Scenario) -> Log:
    """Run *scenario* and return what became of it."""
    return _Run(scenario).run()
