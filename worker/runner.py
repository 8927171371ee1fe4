"""Claim due jobs and run them until asked to stop.

The runner owns the one task group in which steps run.  It never calls the cloud
(`worker.executor` does) and never decides a job's next state (`jobs.decide` does).

Stopping is in two steps, and their order is the point: first no new claims and no new
requests, then the requests on the wire end, then every job is handed back with its place.
What cannot end in time is left as it stands in the store: a send without an answer is
*unknown* there, and the next worker reads before it does anything.

A worker that was declared dead (a long pause, a store out of reach) drops what it holds,
registers anew and goes on; what it dropped is being looked after by others.
"""

import math
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import anyio
import structlog
from anyio.abc import TaskGroup

from jobs.changing import changed
from jobs.clock import MICROSECONDS, Clock, seconds_to_us
from jobs.errors import LeaseLostError, PlugwaveError, StoreError, WorkerFencedError
from jobs.fairness import Weights
from jobs.model import Job, WorkerId, job_name
from jobs.states import FINAL_STATES, HELD_STATES, JobState
from jobs.store.protocol import Store, WorkerInfo
from worker.calls import Calls
from worker.executor import Executor, Held
from worker.hand import Hand
from worker.lease import WorkerLease
from worker.limiter import Closed
from worker.prospects import Prospects
from worker.reporting import Reporter
from worker.stepping import Steppers

log = structlog.get_logger()

IDLE_TICK_S: Final = 0.05
"""How often an idle worker asks whether the store has changed; the question costs microseconds."""

IDLE_POLL_S: Final = 1.0
"""Work is looked for this often even when nothing seems to have changed."""

DUE_TICK_S: Final = 0.005
"""Jobs that fall due within this are started together.  Waits are whole milliseconds, which is
what the event loop's timers count in: it goes round until the rest of one has passed."""

RESCUE_EVERY_S: Final = 0.5
"""How often dead workers are looked for."""

CLAIM_AT_LEAST: Final = 8
"""A busy worker claims when it has room for this many, so that claims stay batches."""


START_WITHIN_S: Final = 3.0
"""A worker claims what it can start within this time at the permitted rate."""

MOST_UNSTARTED: Final = 512
"""Jobs in hand that have sent nothing yet: some 200 ms of work at the highest speed."""

Duty = Callable[[], Coroutine[Any, Any, None]]
"""What a worker does beside its jobs, until it is cancelled or returns by itself."""

CRASH_PAUSE_S: Final = 5.0
"""A job on which our own code failed is given back after this, not in a hot loop."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunnerLimits:
    """How much and how long."""

    slots: int
    lease_s: float
    deadline_s: float
    drain_s: float
    rescue_grace_s: float
    until_empty: bool
    weights: Weights = field(default_factory=dict)


class Runner:
    """One worker: claims, steps, drains."""

    def __init__(  # noqa: PLR0913 - it is where the parts of a worker meet
        self,
        store: Store,
        executor: Executor,
        lease: WorkerLease,
        reporter: Reporter,
        limits: RunnerLimits,
        *,
        clock: Clock,
        info: WorkerInfo,
        prospects: Prospects,
        calls_for: Callable[[Job], Calls | None],
        close_turns: Callable[[], None],
        rate: Callable[[], float],
        duties: Sequence[Duty] = (),
    ) -> None:
        self._store = store
        self._executor = executor
        self._lease = lease
        self._reporter = reporter
        self._limits = limits
        self._clock = clock
        self._info = info
        self._prospects = prospects
        self._calls_for = calls_for
        self._close_turns = close_turns
        self._rate = rate
        self._duties = duties
        self._hand = Hand()
        self._wake = anyio.Event()
        self._steppers = Steppers(self._step, self._next_due, self._rested)
        self._stopping = False
        self._ended: dict[JobState, int] = {}
        self._claim_at = 0.0
        self._look_at = 0.0
        self._looks_at_us = 0

    @property
    def hand(self) -> Hand:
        """The jobs held right now."""
        return self._hand

    @property
    def ended(self) -> dict[JobState, int]:
        """Jobs that became final in this worker's hands, by state."""
        return self._ended

    @property
    def draining(self) -> bool:
        """Whether it has stopped claiming."""
        return self._stopping

    def stop(self) -> None:
        """Drain: no new claims, no new requests, then hand everything back."""
        if not self._stopping:
            self._stopping = True
            log.info("worker.draining", in_flight=self._hand.busy, held=len(self._hand))
            self._close_turns()
            self._steppers.end()
            self._wake.set()

    async def run(self) -> None:
        """Work until drained, or until the queue is empty when that was asked for.

        Raises:
            CloudUnreachableError: In a run until empty, when no endpoint answers.
            CredentialsRefusedError: Likewise, when the cloud refuses the credential.
            StoreError: When the store cannot be written any more.
        """
        while not await self._one_life():
            log.warning("job.lease_lost", jobs=len(self._hand), worker=self._info.name)
            self._hand = Hand()
        if self._prospects.failure is not None:
            raise self._prospects.failure

    async def _one_life(self) -> bool:
        """Register, work, leave; return False when this life was declared over by others."""
        worker = await self._lease.register(self._info)
        self._reporter.start(worker)
        log.info("worker.started", worker=self._info.name, id=worker, slots=self._limits.slots)
        fenced = False
        try:
            await self._rescue_once()
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._lease.keep, name="heartbeat")
                tasks.start_soon(self._rescue, name="rescue")
                tasks.start_soon(self._reporter.run, name="report")
                for duty in self._duties:
                    tasks.start_soon(duty, name=getattr(duty, "__qualname__", None))
                await self._work()
                tasks.cancel_scope.cancel()
        except* WorkerFencedError:
            fenced = True
        finally:
            with anyio.move_on_after(self._limits.lease_s, shield=True):
                await self._leave(worker, fenced=fenced)
        return not fenced

    async def _leave(self, worker: WorkerId, *, fenced: bool) -> None:
        """Report the rest and end the lease; a store that is gone leaves both to the next one."""
        try:
            await self._reporter.stop()
            if not fenced:
                await self._store.leave(worker)
        except StoreError as error:
            log.warning("store.trouble", error=str(error), doing="leave")

    async def _rescue(self) -> None:
        """Find dead workers, and report what they left unreported."""
        while True:
            await self._clock.sleep(RESCUE_EVERY_S)
            await self._rescue_once()

    async def _rescue_once(self) -> None:
        freed = await self._store.rescue(grace_s=self._limits.rescue_grace_s)
        for job in freed:
            log.info("job.recovered", job=job_name(job), worker=self._info.name)
        await self._reporter.adopt()
        if freed:
            self._claim_at = 0.0
            self._wake.set()

    async def _work(self) -> None:
        """Claim and step until there is a reason to end, then drain."""
        self._steppers = Steppers(self._step, self._next_due, self._rested)
        async with anyio.create_task_group() as steps:
            while not self._stopping and not await self._is_over(steps):
                await self._wait()
            self.stop()
            self._steppers.end()
            steps.cancel_scope.deadline = anyio.current_time() + self._limits.drain_s
            await self._hand_back_idle()
        # Steps that ended meanwhile put their jobs back into the hand.
        await self._hand_back_idle()
        await self._reporter.flush()

    async def _is_over(self, steps: TaskGroup) -> bool:
        """Start what is due, claim, start that too; say whether the run has ended."""
        # Made before the claim, so that a step ending meanwhile is not missed.
        self._wake = anyio.Event()
        self._start_due(steps)
        if self._has_room() and self._may_claim():
            await self._claim()
            self._start_due(steps)
        if not self._limits.until_empty:
            return False
        return await self._prospects.ended(self._hand)

    def _start_due(self, steps: TaskGroup) -> None:
        for held in self._hand.take_due(self._clock.now_us()):
            self._steppers.run(steps, held)

    def _rested(self) -> None:
        if self._has_news():
            self._wake.set()

    def _next_due(self) -> Held | None:
        return None if self._stopping else self._hand.take_one_due(self._clock.now_us())

    def _has_news(self) -> bool:
        """Whether the loop of `_work` has to look sooner than it planned."""
        if self._stopping or not len(self._hand):
            return True
        due_us = self._hand.next_due_us()
        if due_us is not None and due_us < self._looks_at_us:
            return True
        return self._clock.monotonic() >= self._claim_at and self._has_room()

    def _has_room(self) -> bool:
        return self._room() >= min(CLAIM_AT_LEAST, self._limits.slots) and self._lease.holds()

    def _room(self) -> int:
        """Return how many jobs may be claimed now.

        No more than the permitted rate can start within START_WITHIN_S: what is claimed and
        cannot start is kept from other workers, from cancelling, and from its own deadline.
        Nor more than MOST_UNSTARTED, and none while half of that is there: so claims stay
        batches.
        """
        free = self._limits.slots - len(self._hand)
        soon = max(4 * CLAIM_AT_LEAST, math.ceil(self._rate() * START_WITHIN_S))
        soon = min(soon, MOST_UNSTARTED)
        unstarted = self._hand.count(JobState.CHECKING)
        return min(free, soon - unstarted) if unstarted * 2 <= soon else 0

    def _may_claim(self) -> bool:
        """Whether a claim may find something: it is a write, so it is not made in vain."""
        now = self._clock.monotonic()
        if now >= self._look_at and self._store.changed():
            self._claim_at = now
        return now >= self._claim_at

    async def _claim(self) -> None:
        """Fill the hand, and set when to look again."""
        room = self._room()
        claimed = await self._store.claim(
            self._lease.worker,
            limit=room,
            deadline_s=self._limits.deadline_s,
            weights=self._limits.weights,
        )
        for job, lease in claimed:
            self._hand.put(self._executor.begin(job, lease))
        now = self._clock.monotonic()
        self._look_at = now + IDLE_TICK_S
        self._claim_at = now + IDLE_POLL_S
        if len(claimed) == room:
            self._claim_at = now
        elif not claimed:
            due_us = await self._store.next_due_us()
            if due_us is not None:
                due_in_s = (due_us - self._clock.now_us()) / MICROSECONDS
                self._claim_at = now + min(max(due_in_s, IDLE_TICK_S), IDLE_POLL_S)

    async def _wait(self) -> None:
        """Wait until something is due, a step has ended, or it is time to look for work."""
        while not self._wake.is_set():
            due_us = self._hand.next_due_us()
            left = IDLE_POLL_S
            if due_us is not None:
                left = min(left, (due_us - self._clock.now_us()) / MICROSECONDS)
            if self._has_room():
                if self._may_claim():
                    return
                left = min(left, IDLE_TICK_S)
            if left <= 0:
                return
            left = max(math.ceil(left * 1000) / 1000, DUE_TICK_S)
            self._looks_at_us = self._clock.now_us() + seconds_to_us(left)
            with anyio.move_on_after(left):
                await self._wake.wait()
            if left >= IDLE_POLL_S:
                return

    async def _step(self, held: Held) -> Held | None:
        """Run one step of one job; whatever happens to it, the others go on.

        Return the job when its next step is to be run at once.
        """
        try:
            outcome = await self._executor.advance(held, self._calls_for(held.job))
        except Closed:
            self._hand.put(held)
        except LeaseLostError:
            log.warning("job.lease_lost", job=job_name(held.job.id), worker=self._info.name)
            self._hand.drop(held.job.id)
        except PlugwaveError:
            raise
        except Exception:  # one bad job must not stop the others
            log.exception("job.crashed", job=job_name(held.job.id))
            await self._set_aside(held)
        else:
            return self._settle(outcome)
        return None

    async def _set_aside(self, held: Held) -> None:
        """Give a job back on which our own code failed, slowly, as the store has it."""
        await self._clock.sleep(CRASH_PAUSE_S)
        stored = await self._store.job(held.job.id)
        self._hand.drop(held.job.id)
        if stored is not None and stored.state in HELD_STATES:
            await self._hand_back(changed(held, job=stored))

    def _settle(self, outcome: Held | Job) -> Held | None:
        if isinstance(outcome, Held):
            if outcome.move.at_us == 0 and not self._stopping:
                self._hand.go_on(outcome)
                return outcome
            self._hand.put(outcome)
            return None
        self._hand.drop(outcome.id)
        if outcome.state in FINAL_STATES:
            self._ended[outcome.state] = self._ended.get(outcome.state, 0) + 1
            self._reporter.wake()
        return None

    async def _hand_back_idle(self) -> None:
        """Give back what nobody works on; the store knows its place."""
        async with anyio.create_task_group() as tasks:
            for held in self._hand.take_idle():
                tasks.start_soon(self._hand_back, held)

    async def _hand_back(self, held: Held) -> None:
        try:
            await self._executor.hand_back(held)
        except LeaseLostError:
            log.warning("job.lease_lost", job=job_name(held.job.id), worker=self._info.name)
