"""One request: a turn, the gate, the wire, and what is to be learned from the answer.

The gate is asked right before the first byte.  It stays shut when the turn is late, when
the lease may have passed on, or when the job's time is up; then nothing has been sent, and
a late turn is simply followed by another.
"""

import math
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Final, Protocol, TypeVar

from jobs.clock import MICROSECONDS
from jobs.decide import Answered, Offered
from jobs.model import Job, PluginWish, PoolRead
from jobs.outcomes import Answer, Outcome
from worker.cloud import Cloud, Gate, GateClosed
from worker.guard import KeyGuard
from worker.lease import Lease
from worker.limiter import Kind, Limiter
from worker.troubles import Troubles

T = TypeVar("T")

THROTTLES: Final = frozenset({Outcome.THROTTLED, Outcome.THROTTLED_BLINDLY, Outcome.QUOTA_SPENT})


@dataclass(slots=True)
class CallCounts:
    """Requests and troubles of one process, for statistics and for giving up."""

    troubles: Troubles
    calls: int = 0
    throttled: int = 0

    def count(self) -> None:
        """Count a request that leaves."""
        self.calls += 1


@dataclass(slots=True)
class Wire:
    """What one job's request did on the wire: how often it was sent, and when last."""

    sent: int = 0
    sent_us: int | None = None
    throttled: int = 0
    optional: bool = False
    """Whether the site may lack the call."""


class Permit(Protocol):
    """The right to send one request at one moment; see `worker.limiter.Turn`."""

    async def wait(self) -> None:
        """Wait until it is time."""
        ...

    def use(self) -> bool:
        """Use it for a request that leaves now; False when its moment has passed."""
        ...


class Turns(Protocol):
    """Whoever says when a request may leave; see `worker.limiter.Limiter`."""

    @property
    def limit_per_s(self) -> float:
        """Requests a second that are allowed at present."""
        ...

    def turn(self, project: str, kind: Kind) -> AbstractAsyncContextManager[Permit, None]:
        """Return a context that waits for a turn."""
        ...


class Requests(Protocol):
    """What a step of a job may ask of the cloud, each in turn: `Calls`, or a rehearsed cloud."""

    @property
    def limiter(self) -> Turns:
        """Who says when."""
        ...

    async def look(self, job: Job, kind: Kind, wire: Wire) -> PoolRead | Answer:
        """Read the pool's plug-ins."""
        ...

    async def offers(self, job: Job, wire: Wire) -> Offered | Answer:
        """Read what the template offers the pool."""
        ...

    async def send(self, job: Job, turn: Permit, wire: Wire, until_us: int) -> Answered | None:
        """Send the prepared request on *turn*; None when the turn was late and nothing left."""
        ...


@dataclass(slots=True)
class _Door:
    """The gate of one turn; remembers why it was shut."""

    turn: Permit
    calls: "Calls"
    wire: Wire
    until_us: float
    late: bool = False

    def __call__(self) -> None:
        if not self.calls.lease.holds():
            raise GateClosed("the lease is over")
        now_us = self.calls.clock.now_us()
        if now_us >= self.until_us:
            raise GateClosed("the time for this request is over")
        if not self.turn.use():
            self.late = True
            raise GateClosed("the turn is over")
        self.wire.sent += 1
        self.wire.sent_us = now_us
        self.calls.counts.calls += 1


class Calls:
    """The requests of one credential at one endpoint."""

    def __init__(
        self,
        cloud: Cloud,
        limiter: Limiter,
        guard: KeyGuard,
        lease: Lease,
        counts: CallCounts,
        *,
        timeout_s: float,
    ) -> None:
        self.guard = guard
        self.limiter = limiter
        self.lease = lease
        self.clock = counts.troubles.clock
        self.counts = counts
        self._cloud = cloud
        self._troubles = counts.troubles
        self._timeout_s = timeout_s

    async def look(self, job: Job, kind: Kind, wire: Wire) -> PoolRead | Answer:
        """Read the pool's plug-ins in turn."""
        target = job.request.target
        return await self._in_turn(
            target.project_id,
            kind,
            wire,
            lambda door: self._cloud.list_plugins(target, gate=door, timeout_s=self._timeout_s),
        )

    async def offers(self, job: Job, wire: Wire) -> Offered | Answer:
        """Read what the template offers the pool, in turn."""
        target, plugin = job.request.target, job.request.plugin.name
        return await self._in_turn(
            target.project_id,
            Kind.CHECK,
            wire,
            lambda door: self._cloud.offers(target, plugin, gate=door, timeout_s=self._timeout_s),
        )

    async def ask(
        self, project: str, read: Callable[[Gate, float], Awaitable[T | Answer]]
    ) -> T | Answer:
        """Ask something that belongs to no job, in turn with all that does.

        *read* is given the gate and the time, in seconds, that the request may take.
        """
        return await self._in_turn(
            project, Kind.CHECK, Wire(), lambda door: read(door, self._timeout_s)
        )

    async def _in_turn(
        self, project: str, kind: Kind, wire: Wire, read: Callable[["_Door"], Awaitable[T | Answer]]
    ) -> T | Answer:
        """Read once on a turn that was kept; alone, while nobody knows whether we are let in."""
        while True:
            if not self.guard.is_proven:
                async with self.guard.alone:
                    # Somebody else may have found out meanwhile.
                    if not self.guard.is_proven:
                        found = await self._alone(project, kind, wire, read)
                        if found is not None:
                            return found
                        continue
            late, seen = await self._once(project, kind, wire, read)
            if not late:
                return seen

    async def _alone(
        self, project: str, kind: Kind, wire: Wire, read: Callable[["_Door"], Awaitable[T | Answer]]
    ) -> T | Answer | None:
        """Be the one request that finds out; None when its turn was late."""
        if not await self.guard.admits():
            return self._shut()
        late, seen = await self._once(project, kind, wire, read)
        return None if late else seen

    async def _once(
        self, project: str, kind: Kind, wire: Wire, read: Callable[["_Door"], Awaitable[T | Answer]]
    ) -> tuple[bool, T | Answer]:
        async with self.limiter.turn(project, kind) as turn:
            await turn.wait()
            door = _Door(turn, self, wire, math.inf)
            seen = await read(door)
        return door.late, seen if door.late else await self._learned(seen, wire)

    def _shut(self) -> Answer:
        """Return the answer of a breaker: nothing was sent."""
        refusal = self.guard.refusal
        shut = Answer(
            outcome=Outcome.UNAUTHENTICATED,
            sent=False,
            error_code=refusal.error_code if refusal is not None else None,
            message="the breaker of this credential is open; "
            + (refusal.message if refusal is not None else "run plugwave doctor"),
        )
        self._troubles.met(shut, self._cloud.endpoint, self.guard.credential)
        return shut

    async def send(self, job: Job, turn: Permit, wire: Wire, until_us: int) -> Answered | None:
        """Send the prepared request on *turn*; None when the turn was late and nothing left.

        The request must leave before *until_us*, the instant the committed intent allows.
        """
        if self.guard.is_open and not await self.guard.admits():
            return Answered(answer=self._shut())
        progress = job.progress
        wish = PluginWish(
            name=job.request.plugin.name, version=progress.version, inputs=progress.inputs
        )
        wire.optional = progress.patch
        door = _Door(turn, self, wire, until_us)
        timeout_s = self._timeout_s
        if job.deadline_us is not None:
            left_s = (job.deadline_us - self.clock.now_us()) / MICROSECONDS
            timeout_s = max(min(timeout_s, left_s), 0.1)
        await turn.wait()
        call = self._cloud.update if progress.patch else self._cloud.create
        answer = await call(job.request.target, wish, gate=door, timeout_s=timeout_s)
        if door.late:
            return None
        answer = await self._learned(answer, wire)
        return Answered(answer=answer, sent_us=wire.sent_us)

    async def _learned(self, seen: T, wire: Wire) -> T:
        """Tell limiter and troubles what the answer teaches; return it unchanged."""
        failed = seen if isinstance(seen, Answer) and seen.outcome is not Outcome.OK else None
        if failed is None and self.guard.is_proven:  # nothing new
            self._troubles.accepted(self.guard.credential)
            return seen
        if failed is None or failed.sent:
            await self.guard.learn(failed)
        if not isinstance(seen, Answer) or failed is None:
            self._troubles.accepted(self.guard.credential)
            return seen
        if failed.outcome is Outcome.NO_SUCH_API and wire.optional:
            return seen  # the site lacks this call, which is no trouble of the endpoint
        if seen.outcome in THROTTLES:
            wire.throttled += 1
            self.counts.throttled += 1
            age_us = 0 if wire.sent_us is None else self.clock.now_us() - wire.sent_us
            await self.limiter.throttle(seen, age_us / MICROSECONDS)
        self._troubles.met(seen, self._cloud.endpoint, self.guard.credential)
        return seen


__all__ = ["CallCounts", "Calls", "Gate", "Wire"]
