"""Any order of calls: the store agrees with a model after every step, and its counters add up."""

import asyncio
import random
import tempfile
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from jobs.clock import seconds_to_us
from jobs.errors import LeaseLostError, WorkerFencedError
from jobs.model import AGING_S, Job, JobId, Lease, WorkerId
from jobs.states import FINAL_STATES, HELD_STATES, TRANSITIONS, JobEvent, JobState, WaitReason
from jobs.store.protocol import JobFilter, Store, Verdict
from tests.builders import a_request
from tests.contract.conftest import ENGINES, Opener
from tests.contract.steps import LEASE_S, ONE, TWO, a_worker, all_is_well, claim, move
from tests.fakes import FakeClock

T = TypeVar("T")
GRACE_S = 5.0
KEEPING = frozenset({WaitReason.BACKOFF, WaitReason.RATE_LIMIT, WaitReason.BREAKER})
SAID_BY_WORKERS = frozenset(JobEvent) - {JobEvent.CLAIMED, JobEvent.LEASE_LOST}


@dataclass
class Known:
    """What the model believes of one job."""

    pool: str
    rank_us: int
    state: JobState
    reason: WaitReason | None = None
    run_at_us: int | None = None
    worker: WorkerId | None = None

    @property
    def holds(self) -> bool:
        """Whether the job is at the head of its pool."""
        waits = self.state is JobState.WAITING
        return self.reason in KEEPING if waits else self.state not in FINAL_STATES

    @property
    def behind(self) -> bool:
        """Whether the job waits for its pool."""
        return self.reason is WaitReason.POOL_BUSY and self.run_at_us is None


class Model:
    """The pool rule in its plainest form: no index, no counter, just all jobs."""

    def __init__(self) -> None:
        self.jobs: dict[JobId, Known] = {}

    def head(self, pool: str) -> JobId | None:
        """Return the job that holds the pool."""
        holders = [job for job, one in self.jobs.items() if one.pool == pool and one.holds]
        assert len(holders) <= 1
        return holders[0] if holders else None

    def let_next_in(self, pool: str) -> None:
        """Make the next job of a free pool ready."""
        behind = [job for job, one in self.jobs.items() if one.pool == pool and one.behind]
        if self.head(pool) is None and behind:
            self.place(min(behind, key=lambda job: (self.jobs[job].rank_us, job)), JobState.READY)

    def place(
        self,
        job: JobId,
        state: JobState,
        reason: WaitReason | None = None,
        run_at_us: int | None = None,
    ) -> None:
        """Put a job into a state; only held states keep its worker."""
        one = self.jobs[job]
        one.state, one.reason, one.run_at_us = state, reason, run_at_us
        if state not in HELD_STATES:
            one.worker = None

    def move_due_on(self, now_us: int) -> None:
        """Move what is due to READY or behind its pool's head."""
        due = [job for job, one in self.jobs.items() if (one.run_at_us or now_us + 1) <= now_us]
        for job in sorted(due, key=lambda job: (self.jobs[job].rank_us, job)):
            if self.head(self.jobs[job].pool) in {None, job}:
                self.place(job, JobState.READY)
            else:
                self.place(job, JobState.WAITING, WaitReason.POOL_BUSY)

    def lose(self, worker: WorkerId) -> set[JobId]:
        """Take away what a worker held."""
        lost = {job for job, one in self.jobs.items() if one.worker == worker}
        for job in lost:
            self.place(job, TRANSITIONS[self.jobs[job].state][JobEvent.LEASE_LOST])
            self.jobs[job].worker = None
        return lost


class StoreMachine(RuleBasedStateMachine):
    """Accepts, claims, records, cancels, loses and rescues jobs in every order."""

    opener: ClassVar[Opener]
    leases: Bundle[Lease] = Bundle("leases")

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.folder = tempfile.TemporaryDirectory()
        self.clock = FakeClock()
        self.model = Model()
        self.heard: dict[WorkerId, int] = {}
        self.held: dict[JobId, Lease] = {}

    def do(self, step: Coroutine[Any, Any, T]) -> T:
        """Run one call to its end."""
        return self.runner.run(step)

    @initialize()
    def open(self) -> None:
        """Start with an empty store and two workers."""
        self.store: Store = self.do(self._open())
        self.workers = [self.do(self._register(info)) for info in (ONE, TWO)]
        for pool in "ab":
            self._accept("x", pool, [0, 1, 2, 1], None)

    async def _open(self) -> Store:
        return await type(self).opener(Path(self.folder.name), self.clock)

    async def _register(self, info: Any) -> WorkerId:
        worker = await a_worker(self.store, info)
        self.heard[worker] = self.clock.now_us()
        return worker

    def teardown(self) -> None:
        """Let go of everything."""
        if hasattr(self, "store"):
            self.do(self.store.close())
        self.runner.close()
        self.folder.cleanup()

    @rule(
        pool=st.sampled_from("ab"),
        project=st.sampled_from("xy"),
        priorities=st.lists(st.integers(0, 2), min_size=1, max_size=4),
        later_s=st.sampled_from([0, 0, 0, 10]),
    )
    def accept(self, pool: str, project: str, priorities: list[int], later_s: int) -> None:
        """Accept jobs of one pool, each with its own key."""
        not_before_us = self.clock.now_us() + later_s * 1_000_000 if later_s else None
        self._accept(project, pool, priorities, not_before_us)

    def _accept(
        self, project: str, pool: str, priorities: list[int], not_before_us: int | None
    ) -> None:
        place = project + pool
        for priority in priorities:
            key = f"{len(self.model.jobs)}"
            more: Any = {"priority": priority, "not_before_us": not_before_us}
            [answer] = self.do(self._enqueue(a_request(pool, project, key=key, **more)))
            assert answer.verdict is Verdict.CREATED
            since_us = max(self.clock.now_us(), not_before_us or 0)
            rank_us = since_us - priority * seconds_to_us(AGING_S)
            held = self.model.head(place) is not None
            self.model.jobs[answer.job] = Known(place, rank_us, JobState.WAITING)
            if not_before_us is not None:
                later = (WaitReason.NOT_BEFORE, not_before_us)
                self.model.place(answer.job, JobState.WAITING, *later)
            elif held:
                self.model.place(answer.job, JobState.WAITING, WaitReason.POOL_BUSY)
            else:
                self.model.place(answer.job, JobState.READY)

    async def _enqueue(self, *requests: Any) -> Any:
        return await self.store.enqueue(requests)

    @rule(
        target=leases,
        number=st.integers(0, 1),
        limit=st.sampled_from([3, 2, 1, 0]),
        moves=st.sampled_from([6, 3, 1, 0]),
        data=st.data(),
    )
    def work(self, number: int, limit: int, moves: int, data: st.DataObject) -> Any:
        """Claim as one of the workers, then make some moves with whatever is in hand.

        A dead worker gets an error first, and comes back as a new one.
        """
        if self.workers[number] not in self.heard:
            with pytest.raises(WorkerFencedError):
                self.do(claim(self.store, self.workers[number], limit))
            self.workers[number] = self.do(self._register(ONE))
        got = self._claim(self.workers[number], limit)
        for _ in range(moves):
            self._move(data)
        return multiple(*got)

    def _claim(self, worker: WorkerId, limit: int) -> list[Lease]:
        got = self.do(claim(self.store, worker, limit))
        self.model.move_due_on(self.clock.now_us())
        states = {
            job: one.state
            for job, one in self.model.jobs.items()
            if one.worker is None and (one.state in HELD_STATES or one.state is JobState.READY)
        }
        sent = sorted(job for job, state in states.items() if state in HELD_STATES)
        assert len(got) == min(limit, len(states))
        assert [job.id for job, _ in got][: len(sent)] == sent[:limit]
        for job, lease in got:
            assert job.id in states, "a job that may not be claimed"
            self.model.place(job.id, TRANSITIONS[states[job.id]][JobEvent.CLAIMED])
            self.model.jobs[job.id].worker = worker
            self.held[job.id] = lease
        return [lease for _, lease in got]

    def _holds(self, lease: Lease) -> bool:
        one = self.model.jobs[lease.job]
        return one.worker == lease.worker and self.held.get(lease.job) == lease

    @rule(lease=leases)
    def record_late(self, lease: Lease) -> None:
        """Say something about a job that was held once; it counts only if it still is."""
        if not self._holds(lease):
            with pytest.raises(LeaseLostError):
                self.do(move(self.store, lease, JobEvent.ACCEPTED))

    def _move(self, data: st.DataObject) -> None:
        """Record a move that the table allows for some job in hand."""
        in_hand = sorted(job for job, one in self.model.jobs.items() if one.worker is not None)
        if not in_hand:
            return
        lease = self.held[data.draw(st.sampled_from(in_hand))]
        one = self.model.jobs[lease.job]
        event = data.draw(st.sampled_from(sorted(TRANSITIONS[one.state].keys() & SAID_BY_WORKERS)))
        new = TRANSITIONS[one.state][event]
        more: dict[str, Any] = {}
        if new is JobState.WAITING:
            reason = data.draw(st.sampled_from(sorted(WaitReason)))
            more = {"reason": reason, "run_at_us": self.clock.now_us() + 10_000_000}
        told = self.do(move(self.store, lease, event, **more))
        self.model.place(lease.job, new, **more)
        if event is JobEvent.HANDED_BACK:
            one.worker = None
        self.model.let_next_in(one.pool)
        assert told.state is new

    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        """Cancel some job."""
        if not self.model.jobs:
            return
        job = data.draw(st.sampled_from(sorted(self.model.jobs)))
        one = self.model.jobs[job]
        self.do(self._cancel(job))
        if one.state in {JobState.WAITING, JobState.READY}:
            self.model.place(job, JobState.CANCELLED)
            self.model.let_next_in(one.pool)

    async def _cancel(self, job: JobId) -> Job:
        return await self.store.cancel(job, by="test")

    @rule(seconds=st.sampled_from([10, 1, 20]))
    def time_passes(self, seconds: int) -> None:
        """Move the clock, sometimes to the very end of a wait or a lease."""
        self.clock.advance(seconds)

    @rule(number=st.integers(0, 1))
    def heartbeat(self, number: int) -> None:
        """Push a lease out, or learn that it was lost."""
        worker = self.workers[number]
        if worker in self.heard:
            self.do(self.store.heartbeat(worker, lease_s=LEASE_S))
            self.heard[worker] = self.clock.now_us()
            return
        with pytest.raises(WorkerFencedError):
            self.do(self.store.heartbeat(worker, lease_s=LEASE_S))

    @rule(number=st.integers(0, 1), silent_s=st.sampled_from([None, 0, 25, 26]))
    def lose(self, number: int, silent_s: int | None) -> None:
        """End a lease: a worker leaves by itself, or a rescue follows some silence."""
        if silent_s is None:
            worker = self.workers[number]
            self.do(self.store.leave(worker))
            self.model.lose(worker)
            self.heard.pop(worker, None)
            return
        self.clock.advance(silent_s)
        freed = self.do(self._rescue())
        end_us = self.clock.now_us() - round((LEASE_S + GRACE_S) * 1_000_000)
        dead = [worker for worker, heard in self.heard.items() if heard < end_us]
        lost = [job for worker in dead for job in self.model.lose(worker)]
        for worker in dead:
            del self.heard[worker]
        assert sorted(freed) == sorted(lost)

    async def _rescue(self) -> Any:
        return await self.store.rescue(grace_s=GRACE_S)

    @invariant()
    def store_and_model_agree(self) -> None:
        """Every job is where the model says, and the counters are a recount."""
        if hasattr(self, "store"):
            self.do(self._compare())

    async def _compare(self) -> None:
        seen = [job async for job in self.store.jobs(JobFilter(), newest_first=False)]
        assert {job.id: (job.state, job.reason, job.run_at_us, job.worker) for job in seen} == {
            job: (one.state, one.reason, one.run_at_us, one.worker)
            for job, one in self.model.jobs.items()
        }
        assert await self.store.counts() == recount(job.state for job in seen)
        assert await self.store.waiting_counts() == recount(
            job.reason for job in seen if job.reason is not None
        )
        assert await self.store.open_jobs() == sum(job.state not in FINAL_STATES for job in seen)
        findings = await self.store.check()
        assert [one for one in findings if not one.ok and one.name != "workers"] == []


def recount(values: Any) -> Mapping[Any, int]:
    """Count equal values."""
    counted: dict[Any, int] = {}
    for value in values:
        counted[value] = counted.get(value, 0) + 1
    return counted


def run(opener: Opener, *, examples: int, steps: int) -> None:
    """Let hypothesis look for an order that breaks the store."""
    machine = type("Machine", (StoreMachine,), {"opener": staticmethod(opener)})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            database=None,
        ),
    )


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.parametrize("engine", sorted(ENGINES))
def test_any_order_of_calls_agrees_with_the_model(engine: str) -> None:
    """Whatever is called in whatever order, states, holders and counters are what they must be."""
    run(ENGINES[engine], examples=10, steps=50)


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("engine", sorted(ENGINES))
def test_any_order_of_calls_at_length(engine: str) -> None:
    """The same, looked for with patience."""
    run(ENGINES[engine], examples=400, steps=120)


async def moves_until_empty(store: Store, clock: FakeClock, jobs: int, rng: random.Random) -> int:
    """Work *jobs* off by random moves, with workers that die or fall silent; return the moves."""
    await store.enqueue(
        [
            a_request(f"pool-{n % 40}", f"project-{n % 3}", key=f"{rng.random()}")
            for n in range(jobs)
        ]
    )
    moves = 0
    while await store.open_jobs():
        worker = await a_worker(store)
        for job, lease in await claim(store, worker, 20):
            state = job.state
            while state in HELD_STATES and rng.random() < 0.9:
                event = rng.choice(sorted(TRANSITIONS[state].keys() & SAID_BY_WORKERS))
                state = TRANSITIONS[state][event]
                wait = {"reason": rng.choice(sorted(WaitReason)), "run_at_us": clock.now_us() + 1}
                more = wait if state is JobState.WAITING else {}
                await move(store, lease, event, **more)
                moves += 1
                if event is JobEvent.HANDED_BACK:
                    break
        if rng.random() < 0.5:
            await store.leave(worker)
            clock.advance(1)
        else:
            clock.advance(60)  # killed: its lease ends
            await store.rescue(grace_s=2.0)
    return moves


@pytest.mark.slow
@pytest.mark.timeout(120)
async def test_counters_equal_a_recount_after_many_moves(store: Store, clock: FakeClock) -> None:
    """After thousands of random moves with dying workers the store finds itself healthy."""
    moves = await moves_until_empty(store, clock, 150, random.Random(4711))

    assert moves > 150
    await all_is_well(store)


@pytest.mark.soak
@pytest.mark.timeout(1800)
async def test_counters_equal_a_recount_after_100_000_moves(store: Store, clock: FakeClock) -> None:
    """The same after a hundred thousand moves."""
    rng = random.Random(4712)
    moves = 0
    while moves < 100_000:
        moves += await moves_until_empty(store, clock, 2000, rng)

    assert moves >= 100_000
    await all_is_well(store)
