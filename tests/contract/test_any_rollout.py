"""Any order of calls about rollouts: the store agrees with a model after every step."""

import asyncio
import tempfile
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from jobs.errors import (
    ConflictError,
    IllegalTransitionError,
    RolloutHeldError,
    StaleRevisionError,
)
from jobs.model import JobId, Lease, RolloutId, WorkerId
from jobs.rollout_states import (
    LIVE_ROLLOUTS,
    ROLLOUT_TRANSITIONS,
    STARTING_ROLLOUTS,
    WAVE_TRANSITIONS,
    RolloutEvent,
    RolloutState,
    WaveEvent,
    WaveState,
)
from jobs.states import (
    BAD_STATES,
    FINAL_STATES,
    HELD_STATES,
    TRANSITIONS,
    JobEvent,
    JobState,
    WaitReason,
)
from jobs.store.protocol import JobFilter, Store
from jobs.store.rollouts import Advance, Order, OrderKind, PlannedJob, WaveMove
from tests.builders import a_request
from tests.contract.conftest import ENGINES, Opener
from tests.contract.rollout_steps import ANA, PLAN, moves, new
from tests.contract.steps import ONE, claim, move
from tests.fakes import FakeClock

T = TypeVar("T")
SIZES = (2, 3)
WHOLE = frozenset(
    {
        RolloutEvent.FINISHED,
        RolloutEvent.FINISHED_DAMAGED,
        RolloutEvent.RESTORED,
        RolloutEvent.RESTORED_PARTLY,
    }
)
LEASE_S = 1e6
ORDERED = {
    OrderKind.PAUSE: RolloutEvent.PAUSED,
    OrderKind.RESUME: RolloutEvent.RESUMED,
    OrderKind.ABORT: RolloutEvent.ABORTED,
}
DONE = {
    OrderKind.PAUSE: {RolloutState.PAUSING, RolloutState.PAUSED},
    OrderKind.RESUME: {RolloutState.WAITING, RolloutState.RUNNING},
    OrderKind.ABORT: {RolloutState.ABORTING, RolloutState.ABORTED},
}


@dataclass
class Known:
    """What the model believes of one job."""

    rollout: RolloutId
    wave: int
    rank: int
    state: JobState = JobState.WAITING
    reason: WaitReason | None = WaitReason.WAVE
    in_line: bool = True
    retried: bool = False

    @property
    def idle(self) -> bool:
        """Whether nobody has it, and it is not final."""
        return self.state in {JobState.WAITING, JobState.READY}


@dataclass
class Rollout:
    """What the model believes of one rollout."""

    name: str
    state: RolloutState = RolloutState.PLANNED
    rev: int = 1
    seen: int = 0
    waves: list[WaveState] = field(default_factory=lambda: [WaveState.PENDING] * len(SIZES))


class RolloutMachine(RuleBasedStateMachine):
    """Plans, advances, orders, works on and retries two rollouts, stale racers included."""

    opener: ClassVar[Opener]

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.folder = tempfile.TemporaryDirectory()
        self.clock = FakeClock()
        self.jobs: dict[JobId, Known] = {}
        self.rollouts: dict[RolloutId, Rollout] = {}
        self.held: dict[JobId, Lease] = {}

    def do(self, step: Coroutine[Any, Any, T]) -> T:
        """Run one call to its end."""
        return self.runner.run(step)

    @initialize()
    def open(self) -> None:
        """Start with two rollouts on pools of their own, one of them running."""
        self.do(self._open())

    async def _open(self) -> None:
        self.store: Store = await type(self).opener(Path(self.folder.name), self.clock)
        self.worker: WorkerId = await self.store.register(ONE, lease_s=LEASE_S)
        await self.store.rollouts.keep_plan(PLAN)
        for name in "ab":
            await self._plan(name)

    async def _plan(self, name: str) -> None:
        rollout = (await self.store.rollouts.start_rollout(new(*SIZES, name=name))).rollout
        jobs = [
            PlannedJob(wave=wave, rank=rank, request=a_request(f"{name}-{wave}-{rank}"))
            for wave, size in enumerate(SIZES)
            for rank in range(size)
        ]
        await self.store.rollouts.plan_jobs(rollout, jobs)
        self.rollouts[rollout] = Rollout(name, rev=2)
        for one in await self.store.rollouts.rollout_jobs(rollout, in_flight=False):
            self.jobs[one.job] = Known(rollout, one.wave, one.rank)

    def teardown(self) -> None:
        """Let go of everything."""
        if hasattr(self, "store"):
            self.do(self.store.close())
        self.runner.close()
        self.folder.cleanup()

    # What the model knows.

    def _of(self, rollout: RolloutId) -> list[tuple[JobId, Known]]:
        found = [(job, one) for job, one in self.jobs.items() if one.rollout == rollout]
        return sorted(found, key=lambda pair: (pair[1].wave, pair[1].rank, pair[0]))

    def _idle(self, rollout: RolloutId) -> list[tuple[JobId, Known]]:
        idle = [pair for pair in self._of(rollout) if pair[1].idle]
        return sorted(idle, key=lambda pair: pair[1].in_line)

    def _tally(self, rollout: RolloutId, wave: int) -> dict[str, int]:
        every = [one for _, one in self._of(rollout) if one.wave == wave]
        jobs = [one for one in every if not one.retried]
        ends = {state.value: sum(one.state is state for one in jobs) for state in FINAL_STATES}
        return {
            **ends,
            "admitted": sum(not one.in_line for one in jobs),
            "failures": sum(one.state in BAD_STATES for one in every),
        }

    def _live_of(self, name: str) -> bool:
        return any(
            known.name == name and known.state in LIVE_ROLLOUTS for known in self.rollouts.values()
        )

    # What may happen.

    @rule(data=st.data())
    def advance(self, data: st.DataObject) -> None:
        """Move waves and the rollout, admit and cancel; twice from the same revision."""
        rollout = data.draw(st.sampled_from(sorted(self.rollouts)))
        change = self._draw(rollout, data)
        refused = self._refusal(rollout, change)
        if refused:
            with pytest.raises(IllegalTransitionError):
                self.do(self._advance(change))
            return
        self.do(self._advance(change))
        self._apply(rollout, change)
        with pytest.raises(StaleRevisionError):
            self.do(self._advance(change))

    async def _advance(self, change: Advance) -> None:
        await self.store.rollouts.advance(change)

    def _draw(self, rollout: RolloutId, data: st.DataObject) -> Advance:
        known = self.rollouts[rollout]
        waves: list[WaveMove] = []
        events: list[tuple[RolloutEvent, Mapping[str, Any]]] = []
        n = data.draw(st.integers(0, len(SIZES) - 1))
        steps = WAVE_TRANSITIONS[known.waves[n]]
        if data.draw(st.booleans()) and steps:
            event = data.draw(st.sampled_from(sorted(steps)))
            waves.append(WaveMove(wave=n, event=event))
        possible = sorted(ROLLOUT_TRANSITIONS[known.state])
        if data.draw(st.booleans()) and possible:
            usual = {RolloutEvent.APPLIED, RolloutEvent.OPENED} & set(possible)
            event2 = data.draw(st.sampled_from(sorted(usual) * 3 + possible))
            events.append((event2, {}))
        jobs = sorted(self.jobs)
        admit = data.draw(st.lists(st.sampled_from(jobs), max_size=4))
        if data.draw(st.booleans()):
            running = [
                job
                for job, one in self._of(rollout)
                if known.waves[one.wave] is WaveState.RUNNING and one.in_line
            ]
            admit = running[: data.draw(st.integers(0, 3))]
        cancel = data.draw(st.sampled_from([0, 0, 0, 1, 9]))
        return Advance(
            rollout=rollout,
            rev=known.rev,
            waves=waves,
            moves=events,
            admit=admit,
            cancel=cancel,
            worker=self.worker,
        )

    def _after(self, rollout: RolloutId, change: Advance) -> tuple[RolloutState, list[WaveState]]:
        known = self.rollouts[rollout]
        state, waves = known.state, list(known.waves)
        for step in change.waves:
            waves[step.wave] = WAVE_TRANSITIONS[waves[step.wave]][step.event]
        for event, _ in change.moves:
            state = ROLLOUT_TRANSITIONS[state][event]
        return state, waves

    def _admissible(self, rollout: RolloutId, change: Advance) -> list[JobId]:
        cancelled = {job for job, _ in self._idle(rollout)[: change.cancel]}
        return [
            job
            for job in dict.fromkeys(change.admit)
            if self.jobs[job].rollout == rollout
            and job not in cancelled
            and self.jobs[job].state is JobState.WAITING
            and (self.jobs[job].in_line or self.jobs[job].reason is WaitReason.PAUSED)
        ]

    def _refusal(self, rollout: RolloutId, change: Advance) -> bool:
        """Whether the store must refuse the change."""
        state, waves = self._after(rollout, change)
        admitted = self._admissible(rollout, change)
        if change.admit and state not in STARTING_ROLLOUTS:
            return True
        if any(waves[self.jobs[job].wave] is not WaveState.RUNNING for job in admitted):
            return True
        if not change.moves or state in LIVE_ROLLOUTS:
            return False
        left = [one for _, one in self._idle(rollout)[change.cancel :]]
        held = [one for _, one in self._of(rollout) if one.state in HELD_STATES]
        return bool(left) or bool(held and any(event in WHOLE for event, _ in change.moves))

    def _apply(self, rollout: RolloutId, change: Advance) -> None:
        known = self.rollouts[rollout]
        admitted = self._admissible(rollout, change)
        cancelled = self._idle(rollout)[: change.cancel]
        known.state, known.waves = self._after(rollout, change)
        known.rev += 1
        for _, one in cancelled:
            one.state, one.reason, one.in_line = JobState.CANCELLED, None, False
        for job in admitted:
            one = self.jobs[job]
            one.state, one.reason, one.in_line = JobState.READY, None, False

    @rule(data=st.data())
    def begin(self, data: st.DataObject) -> None:
        """Let a wave run that could not yet, as whoever advances rollouts does."""
        rollout = data.draw(st.sampled_from(sorted(self.rollouts)))
        known = self.rollouts[rollout]
        n = data.draw(st.integers(0, len(SIZES) - 1))
        if known.state not in {RolloutState.PLANNED, RolloutState.WAITING}:
            return
        if known.waves[n] is not WaveState.PENDING:
            return
        events = [RolloutEvent.OPENED]
        if known.state is RolloutState.PLANNED:
            events.insert(0, RolloutEvent.APPLIED)
        steps = [
            WaveMove(wave=n, event=WaveEvent.REACHED),
            WaveMove(wave=n, event=WaveEvent.OPENED),
        ]
        change = Advance(rollout=rollout, rev=known.rev, waves=steps, moves=moves(*events))
        self.do(self._advance(change))
        self._apply(rollout, change)

    @rule(data=st.data(), kind=st.sampled_from(list(ORDERED)))
    def order(self, data: st.DataObject, kind: OrderKind) -> None:
        """Order something; what has been done already changes nothing."""
        rollout = data.draw(st.sampled_from(sorted(self.rollouts)))
        known = self.rollouts[rollout]
        wanted = Order(rollout=rollout, kind=kind, word=ANA)
        if known.state in DONE[kind]:
            self.do(self._order(wanted))
            return
        if known.state not in LIVE_ROLLOUTS or (
            ORDERED[kind] not in ROLLOUT_TRANSITIONS[known.state]
        ):
            with pytest.raises(IllegalTransitionError):
                self.do(self._order(wanted))
            return
        self.do(self._order(wanted))
        known.state = ROLLOUT_TRANSITIONS[known.state][ORDERED[kind]]
        known.rev += 1

    async def _order(self, wanted: Order) -> None:
        await self.store.rollouts.order(wanted)

    @rule(limit=st.integers(1, 4))
    def claim(self, limit: int) -> None:
        """Take what is ready: never a job in line, never one that was set aside."""
        ready = [job for job, one in self.jobs.items() if one.state is JobState.READY]
        got = self.do(claim(self.store, self.worker, limit))
        assert len(got) == min(limit, len(ready))
        for job, lease in got:
            assert job.id in ready
            self.jobs[job.id].state = JobState.CHECKING
            self.held[job.id] = lease

    @precondition(lambda self: self.held)
    @rule(data=st.data(), ending=st.booleans())
    def work(self, data: st.DataObject, ending: bool) -> None:  # noqa: FBT001 - hypothesis draws it
        """Make a move with a job in hand; an intent only while the rollout lets it."""
        job = data.draw(st.sampled_from(sorted(self.held)))
        one = self.jobs[job]
        table = TRANSITIONS[one.state]
        events = sorted(
            table.keys()
            - {
                JobEvent.CLAIMED,
                JobEvent.LEASE_LOST,
                JobEvent.HELD,
                JobEvent.HANDED_BACK,
                JobEvent.NOT_SENT,
            }
        )
        ends = [event for event in events if table[event] in FINAL_STATES]
        event = data.draw(st.sampled_from(ends if ending and ends else events))
        state = self.rollouts[one.rollout].state
        if event is JobEvent.INTENDED and state not in STARTING_ROLLOUTS:
            with pytest.raises(RolloutHeldError) as caught:
                self.do(move(self.store, self.held[job], event))
            self._let_go(job, resumable=caught.value.resumable)
            return
        self.do(move(self.store, self.held[job], event))
        one.state = table[event]
        if one.state in FINAL_STATES:
            del self.held[job]

    def _let_go(self, job: JobId, *, resumable: bool) -> None:
        one, lease = self.jobs[job], self.held.pop(job)
        assert resumable is (
            self.rollouts[one.rollout].state in {RolloutState.PAUSING, RolloutState.PAUSED}
        )
        if resumable:
            more: dict[str, Any] = {"reason": WaitReason.PAUSED, "run_at_us": None}
            self.do(move(self.store, lease, JobEvent.HELD, **more))
            one.state, one.reason = JobState.WAITING, WaitReason.PAUSED
        else:
            self.do(move(self.store, lease, JobEvent.CANCELLED))
            one.state = JobState.CANCELLED

    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        """Cancel a job by hand, wherever it is."""
        job = data.draw(st.sampled_from(sorted(self.jobs)))
        one = self.jobs[job]
        self.do(self._cancel(job))
        if one.idle:
            one.state, one.reason, one.in_line = JobState.CANCELLED, None, False

    async def _cancel(self, job: JobId) -> None:
        await self.store.cancel(job, by="ana")

    @rule(data=st.data())
    def retry(self, data: st.DataObject) -> None:
        """Try failed jobs again; what did not fail is passed over."""
        rollout = data.draw(st.sampled_from(sorted(self.rollouts)))
        known = self.rollouts[rollout]
        bad = [job for job, one in self._of(rollout) if one.state in BAD_STATES and not one.retried]
        wanted = data.draw(st.lists(st.sampled_from(sorted(self.jobs)), max_size=2)) + bad[:2]
        failed = sorted({job for job in wanted if job in bad})
        open_again = known.state in LIVE_ROLLOUTS - {RolloutState.PLANNED, RolloutState.ABORTING}
        if (
            failed
            and not open_again
            and RolloutEvent.RESUMED not in ROLLOUT_TRANSITIONS[known.state]
        ):
            with pytest.raises(IllegalTransitionError):
                self.do(self._retry(rollout, wanted))
            return
        if failed and known.state not in LIVE_ROLLOUTS and self._live_of(known.name):
            with pytest.raises(ConflictError):
                self.do(self._retry(rollout, wanted))
            return
        added = self.do(self._retry(rollout, wanted))
        assert added == len(failed)
        if not failed:
            return
        known.rev += 1
        if known.state not in LIVE_ROLLOUTS:
            known.state = RolloutState.WAITING
        for job in failed:
            self.jobs[job].retried = True
            wave = self.jobs[job].wave
            known.waves[wave] = WAVE_TRANSITIONS[known.waves[wave]].get(
                WaveEvent.REOPENED, known.waves[wave]
            )
        for one in self.do(self._line(rollout)):
            if one.job not in self.jobs:
                self.jobs[one.job] = Known(rollout, one.wave, one.rank)

    async def _retry(self, rollout: RolloutId, jobs: list[JobId]) -> int:
        return await self.store.rollouts.retry_jobs(rollout, jobs, ANA)

    async def _line(self, rollout: RolloutId) -> Any:
        return await self.store.rollouts.rollout_jobs(rollout, in_flight=False)

    @rule(name=st.sampled_from("ab"))
    def start(self, name: str) -> None:
        """Start the same rollout again; it can be while the one before has ended."""
        if self._live_of(name):
            with pytest.raises(ConflictError):
                self.do(self._plan(name))
        else:
            self.do(self._plan(name))

    # What must be true.

    @invariant()
    def store_and_model_agree(self) -> None:
        """Jobs, lines, tallies, states and revisions are what they must be."""
        if hasattr(self, "store"):
            self.do(self._compare())

    async def _compare(self) -> None:
        seen = [job async for job in self.store.jobs(JobFilter(), newest_first=False)]
        assert {job.id: (job.state, job.reason, job.rollout, job.wave) for job in seen} == {
            job: (
                one.state,
                one.reason if one.state is JobState.WAITING else None,
                one.rollout,
                one.wave,
            )
            for job, one in self.jobs.items()
        }
        revisions = await self.store.rollouts.live_revisions()
        live = {r for r, known in self.rollouts.items() if known.state in LIVE_ROLLOUTS}
        assert set(revisions) == live
        for rollout, known in self.rollouts.items():
            await self._compare_one(rollout, known, revisions.get(rollout))
        assert [finding for finding in await self.store.check() if not finding.ok] == []

    async def _compare_one(self, rollout: RolloutId, known: Rollout, number: int | None) -> None:
        row = await self.store.rollouts.rollout(str(rollout))
        assert row is not None
        assert (row.state, row.rev) == (known.state, known.rev)
        assert [wave.state for wave in row.waves] == known.waves
        for wave in row.waves:
            expected = self._tally(rollout, wave.n)
            assert {name: getattr(wave.tally, name) for name in expected} == expected
            assert wave.tally.admitted <= wave.tally.size
            assert wave.tally.ended <= wave.tally.admitted
        for in_flight in (False, True):
            found = await self.store.rollouts.rollout_jobs(rollout, in_flight=in_flight)
            assert [one.job for one in found] == [
                job
                for job, one in self._of(rollout)
                if one.state not in FINAL_STATES and one.in_line is not in_flight
            ]
        if number is not None:
            assert number >= known.seen
            known.seen = number


def run(opener: Opener, *, examples: int, steps: int) -> None:
    """Let hypothesis look for an order that breaks the store."""
    machine = type("Machine", (RolloutMachine,), {"opener": staticmethod(opener)})
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
def test_any_order_of_calls_about_rollouts_agrees_with_the_model(engine: str) -> None:
    """Whatever is called in whatever order, lines, tallies and revisions are what they must be."""
    run(ENGINES[engine], examples=12, steps=40)


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("engine", sorted(ENGINES))
def test_any_order_of_calls_about_rollouts_at_length(engine: str) -> None:
    """The same, looked for with patience."""
    run(ENGINES[engine], examples=400, steps=100)
