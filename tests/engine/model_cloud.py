"""A cloud in memory that breaks its promises on request and remembers everything.

It implements `worker.cloud.Cloud` for the engine, on virtual time, and keeps a log from
which `violations` are read: two operations at once on a pool, an install applied twice,
more requests in a window than the limit, inputs lost.  It is a model of the contract, not
of our client: every outcome of the decision table can be produced, with the effect done
before, later, or never.
"""

import random
from dataclasses import dataclass, field, replace
from typing import Any

from jobs.clock import Clock
from jobs.decide import Offered
from jobs.model import PluginSeen, PluginWish, PoolRead, Target
from jobs.outcomes import Answer, Outcome
from jobs.pacing import Limit
from worker.cloud import Gate, GateClosed

LOST = (
    Outcome.CONNECTION_LOST,
    Outcome.ANSWER_TIMEOUT,
    Outcome.GARBAGE_ANSWER,
    Outcome.BODY_CUT,
    Outcome.UNREADABLE_SUCCESS,
    Outcome.SERVER_ERROR,
    Outcome.REQUEST_TIMEOUT,
)
NOT_SENT = (Outcome.DNS_FAILED, Outcome.CONNECT_REFUSED, Outcome.CONNECT_TIMEOUT)


@dataclass
class Operation:
    """One accepted change: from when to when, and what it makes of the plug-in."""

    starts: float
    ends: float
    version: str
    inputs: dict[str, Any]


@dataclass
class Pool:
    """One pool with one plug-in."""

    version: str | None = None
    inputs: dict[str, Any] = field(default_factory=dict)
    operations: list[Operation] = field(default_factory=list)


@dataclass(frozen=True)
class Faults:
    """How often what goes wrong; *late* bounds how long after a lost answer the effect comes."""

    lost_without_effect: float = 0.0
    lost_with_effect: float = 0.0
    lost_and_late: float = 0.0
    late: float = 2.5
    not_sent: float = 0.0
    throttled: float = 0.0
    conflict: float = 0.0
    read_fails: float = 0.0
    read_lag: float = 0.0


class ModelCloud:
    """The endpoint."""

    endpoint = "model"

    def __init__(
        self, clock: Clock, rng: random.Random, faults: Faults, *, limit: int, takes: float = 20.0
    ) -> None:
        self.clock = clock
        self.rng = rng
        self.faults = faults
        self.limit = limit
        self.takes = takes
        self.pools: dict[str, Pool] = {}
        self.requests: list[float] = []
        self.sends: list[tuple[float, str]] = []
        self.violations: list[str] = []
        self.calm = False

    def pool(self, target: Target) -> Pool:
        """Return the pool, made when it is first asked for."""
        return self.pools.setdefault(target.pool_name, Pool())

    async def create(
        self, target: Target, wish: PluginWish, *, gate: Gate, timeout_s: float
    ) -> Answer:
        """Take the install, lose the answer, or refuse."""
        await self._travel()
        chance = self._chance()
        if chance("not_sent"):
            return Answer(outcome=self.rng.choice(NOT_SENT), sent=False)
        if (closed := self._received(gate)) is not None:
            return closed
        self.sends.append((self.clock.monotonic(), target.pool_name))
        if chance("throttled"):
            limit = Limit(count=self.limit, window_s=1.0)
            return Answer(outcome=Outcome.THROTTLED, sent=True, http_status=429, limit=limit)
        if chance("conflict"):
            return Answer(outcome=Outcome.CONFLICT, sent=True, http_status=409)
        lost = self.rng.choice(LOST)
        if chance("lost_without_effect"):
            await self._travel()
            return Answer(outcome=lost, sent=True)
        if chance("lost_and_late"):
            self._apply(target, wish, self.rng.uniform(0, self.faults.late))
            return Answer(outcome=lost, sent=True)
        self._apply(target, wish, 0.0)
        await self._travel()
        if chance("lost_with_effect"):
            return Answer(outcome=lost, sent=True)
        return Answer(outcome=Outcome.OK, sent=True, http_status=200)

    async def update(
        self, target: Target, wish: PluginWish, *, gate: Gate, timeout_s: float
    ) -> Answer:
        """Take the change as `create` does."""
        return await self.create(target, wish, gate=gate, timeout_s=timeout_s)

    async def list_plugins(
        self, target: Target, *, gate: Gate, timeout_s: float
    ) -> PoolRead | Answer:
        """Show the pool, perhaps as it was a moment ago."""
        await self._travel()
        if (closed := self._received(gate)) is not None:
            return closed
        asked_us = self.clock.now_us()
        if self._chance()("read_fails"):
            await self._travel()
            return Answer(outcome=self.rng.choice(LOST), sent=True)
        lag = 0.0 if self.calm else self.rng.uniform(0, self.faults.read_lag)
        seen = self._seen(self.pool(target), self.clock.monotonic() - lag)
        await self._travel()
        return PoolRead(asked_us=asked_us, plugins={} if seen is None else {seen.name: seen})

    async def offers(
        self, target: Target, plugin: str, *, gate: Gate, timeout_s: float
    ) -> Offered | Answer:
        """Offer two versions."""
        if (closed := self._received(gate)) is not None:
            return closed
        return Offered(versions=["2.0", "1.0"], defaults={"2.0": {}, "1.0": {}})

    def _chance(self) -> Any:
        drawn: dict[str, bool] = {}

        def happens(name: str) -> bool:
            if self.calm:
                return False
            return drawn.setdefault(name, self.rng.random() < getattr(self.faults, name))

        return happens

    async def _travel(self) -> None:
        await self.clock.sleep(self.rng.uniform(0.0, 0.004))

    def _received(self, gate: Gate) -> Answer | None:
        """Let the gate decide at the last moment, then count the request."""
        try:
            gate()
        except GateClosed:
            return Answer(outcome=Outcome.GATE_CLOSED, sent=False)
        self.requests.append(self.clock.monotonic())
        return None

    def _apply(self, target: Target, wish: PluginWish, delay: float) -> None:
        pool = self.pool(target)
        starts = self.clock.monotonic() + delay
        version = wish.version or "2.0"
        inputs = dict(wish.inputs or {})
        last = pool.operations[-1] if pool.operations else None
        if last is not None and starts < last.ends:
            self.violations.append(f"{target.pool_name}: two operations at once at {starts:.1f}")
        now_version, now_inputs = self.state(pool, starts)
        if (now_version, now_inputs) == (version, inputs):
            self.violations.append(f"{target.pool_name}: applied twice at {starts:.1f}")
        if not now_inputs.items() <= inputs.items():
            self.violations.append(f"{target.pool_name}: inputs lost at {starts:.1f}")
        ends = starts + self.rng.uniform(0.3, 1.0) * self.takes
        pool.operations.append(Operation(starts, ends, version, inputs))

    @staticmethod
    def state(pool: Pool, at: float) -> tuple[str | None, dict[str, Any]]:
        """Return version and inputs as they really were at that moment."""
        version, inputs = pool.version, pool.inputs
        for operation in pool.operations:
            if operation.ends <= at:
                version, inputs = operation.version, operation.inputs
        return version, inputs

    def _seen(self, pool: Pool, at: float) -> PluginSeen | None:
        version, inputs = self.state(pool, at)
        seen = None
        if version is not None:
            seen = PluginSeen(name="dns", version=version, phase="Running", inputs=inputs)
        for operation in pool.operations:
            if operation.starts <= at < operation.ends:
                phase = "Pending" if seen is None else "Updating"
                base = seen or PluginSeen(name="dns", version=operation.version, inputs={})
                seen = replace(base, phase=phase)
        return seen

    def final(self) -> dict[str, tuple[str | None, dict[str, Any]]]:
        """Return version and inputs of every pool once everything has settled."""
        return {name: self.state(pool, float("inf")) for name, pool in self.pools.items()}

    def windows_over(self) -> list[str]:
        """Return each second, wherever it starts, with more requests than the limit."""
        times = sorted(self.requests)
        return [
            f"{self.limit + 1} requests within {times[i + self.limit] - times[i]:.4f}s"
            for i in range(len(times) - self.limit)
            if times[i + self.limit] - times[i] < 1.0
        ]
