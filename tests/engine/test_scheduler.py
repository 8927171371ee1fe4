"""Schedulers step by step: what two of them, a kill, or a cloud that is away change; or do not."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import pytest
import structlog

from jobs.errors import (
    CloudUnreachableError,
    NoPoolMatchedError,
)
from jobs.model import WorkerId
from jobs.rollout_states import RolloutState
from jobs.rollouts.plan import Plan
from jobs.rollouts.recurrence import new_schedule
from jobs.schedule_states import Skipped, TickState
from jobs.store.protocol import Store
from jobs.store.rollouts import OrderKind, RolloutRow, Word
from jobs.store.schedules import ScheduleRow, TickRow
from tests.builders import NOON_US
from tests.contract.conftest import ENGINES
from tests.contract.rollout_steps import order
from tests.engine.scheduled import ANA, NAME, a_schedule
from tests.engine.schedulers import Me, Planner, a_scheduler, look
from tests.fakes import FakeClock
from worker import schedule_orders
from worker.applying import Submission, begin
from worker.conductor import Conductor
from worker.scheduler import Scheduler


@dataclass
class Desk:
    """A store with a schedule of every minute, at noon, and any number of schedulers."""

    store: Store
    clock: FakeClock

    async def scheduler(self, planner: Planner | None = None, store: Any = None) -> Scheduler:
        """Register a worker and return its scheduler."""
        return await a_scheduler(self.store, self.clock, planner or Planner(), store)

    async def row(self) -> ScheduleRow:
        """Return the schedule."""
        row = await self.store.schedules.schedule(NAME)
        assert row is not None
        return row

    async def ticks(self) -> list[TickRow]:
        """Return every tick, oldest first."""
        return list(reversed(await self.store.schedules.ticks((await self.row()).id)))

    async def fates(self) -> list[str]:
        """Return what became of every tick."""
        return [tick.skipped or tick.state for tick in await self.ticks()]

    async def rollouts(self) -> list[RolloutRow]:
        """Return every rollout, oldest first."""
        return list(reversed(await self.store.rollouts.rollouts()))


@asynccontextmanager
async def desk_in(
    folder: Path, more: str = "overlap: skip", engine: str = "sqlite", **keep: str
) -> AsyncIterator[Desk]:
    """Open a store with the schedule in it."""
    clock = FakeClock(NOON_US)
    store = await ENGINES[engine](folder, clock)
    await store.schedules.put_schedule(new_schedule(a_schedule(more), ANA, **keep))
    yield Desk(store, clock)
    await store.close()


@pytest.mark.parametrize("engine", sorted(ENGINES))
async def test_two_schedulers_make_one_rollout_of_a_tick(tmp_path: Path, engine: str) -> None:
    """Each on a connection of its own: the tick is fired once, planned once and begun once."""
    async with desk_in(tmp_path, engine=engine) as desk:
        other = await ENGINES[engine](tmp_path, desk.clock)
        planner = Planner()
        one, two = await desk.scheduler(planner), await desk.scheduler(planner, other)
        desk.clock.advance(61)

        for _ in range(4):
            await look(one, two)

        (row,) = await desk.rollouts()
        (tick,) = await desk.ticks()
        assert (tick.state, tick.rollout) == (TickState.STARTED, row.id)
        assert (planner.plans, row.state) == (1, RolloutState.WAITING)
        assert sum(wave.written for wave in row.waves) == 2
        await other.close()


class DyingError(BaseException):
    """The process is gone."""


class Mortal:
    """A store of a process that dies after its n-th write; from then on nothing reaches it."""

    WRITES = frozenset(
        {"change_schedule", "keep_plan", "start_rollout", "plan_jobs", "advance", "order"}
    )

    def __init__(self, store: Any, dies_after: int | None, count: list[int]) -> None:
        self._store = store
        self._dies_after = dies_after
        self.count = count

    def __getattr__(self, name: str) -> Any:
        member = getattr(self._store, name)
        if name in {"rollouts", "schedules"}:
            return Mortal(member, self._dies_after, self.count)

        async def call(*args: Any, **kwargs: Any) -> Any:
            if self._dies_after is not None and self.count[0] >= self._dies_after:
                raise DyingError
            found = await member(*args, **kwargs)
            self.count[0] += name in self.WRITES
            return found

        return call


async def lived(desk: Desk, dies_after: int | None) -> int:
    """Let a worker fire the tick until it dies, and another take over; return its writes."""
    desk.clock.advance(61)
    mortal = Mortal(desk.store, dies_after, [0])
    first = await desk.scheduler(Planner(), mortal)
    try:
        for _ in range(3):
            await look(first)
    except* DyingError:
        pass
    await desk.store.leave(first._worker.worker)
    second = await desk.scheduler(Planner(plans=5))
    for _ in range(3):
        await look(second)
    return mortal.count[0]


async def test_a_kill_after_any_write_neither_loses_nor_doubles_the_tick(tmp_path: Path) -> None:
    """Fired, taken, planned, begun, its jobs written: whoever comes next goes on from there."""
    (tmp_path / "calm").mkdir()
    async with desk_in(tmp_path / "calm") as desk:
        writes = await lived(desk, None)
    assert writes >= 8

    for dies_after in range(writes):
        folder = tmp_path / str(dies_after)
        folder.mkdir()
        async with desk_in(folder) as desk:
            await lived(desk, dies_after)
            (row,) = await desk.rollouts()
            (tick,) = await desk.ticks()
            assert (tick.state, tick.rollout) == (TickState.STARTED, row.id), dies_after
            assert tick.plan == row.plan
            assert row.state is RolloutState.WAITING
            assert [wave.written for wave in row.waves] == [wave.tally.size for wave in row.waves]
            findings = await desk.store.check()
            assert [one for one in findings if not one.ok] == []


async def test_a_rollout_that_ended_before_its_tick_heard_of_it_is_not_begun_again(
    tmp_path: Path,
) -> None:
    """Its worker died behind the begin, others ran it to its end: the key tells that it was."""
    async with desk_in(tmp_path) as desk:
        desk.clock.advance(61)
        dying = await desk.scheduler(Planner(), Mortal(desk.store, 8, [0]))
        try:
            await look(dying)
        except* DyingError:
            pass
        (row,) = await desk.rollouts()
        assert (await desk.fates(), row.state) == ([TickState.DUE], RolloutState.WAITING)
        await desk.store.leave(dying._worker.worker)
        await order(desk.store, row.id, OrderKind.ABORT)
        conductor = Conductor(desk.store, desk.clock, Me(WorkerId(1)))
        await conductor.look()

        scheduler = await desk.scheduler()
        await look(scheduler)
        await look(scheduler)

        assert [one.state for one in await desk.rollouts()] == [RolloutState.ABORTED]
        assert await desk.fates() == [TickState.ENDED]


async def test_a_submission_repeated_by_its_key_writes_the_jobs_of_its_own_plan(
    tmp_path: Path,
) -> None:
    """Planned anew of another fleet, the second try finishes what the first one began."""
    async with desk_in(tmp_path) as desk:
        row, planner = await desk.row(), Planner()
        small, large = await planner.plan(row), await planner.plan(row)
        dying = Mortal(desk.store.rollouts, 2, [0])
        with pytest.raises(DyingError):
            await begin(dying, Submission(plan=small, word=ANA, key="k"), NOON_US)

        begun = await begin(desk.store.rollouts, Submission(plan=large, word=ANA, key="k"), NOON_US)

        assert (begun.again, begun.row.plan) == (True, small.digest)
        assert [wave.written for wave in begun.row.waves] == [2]


async def test_a_cloud_that_is_away_is_asked_again_within_the_grace(tmp_path: Path) -> None:
    """Two tries fail, the third plans: one rollout, and nothing is missed."""
    errors: list[Exception] = [CloudUnreachableError("no answer")] * 2
    async with desk_in(tmp_path) as desk:
        planner = Planner(errors)
        scheduler = await desk.scheduler(planner)
        desk.clock.advance(60)
        for _ in range(20):
            await look(scheduler)
            desk.clock.advance(2)

        assert await desk.fates() == [TickState.STARTED]
        assert (planner.plans, len(await desk.rollouts())) == (1, 1)
        assert await scheduler.rests()


async def test_a_cloud_that_stays_away_makes_a_missed_tick_with_its_reason(tmp_path: Path) -> None:
    """Five minutes of grace, waits that double: it is missed, and the next one has its turn."""
    errors: list[Exception] = [CloudUnreachableError("no answer from IAM")] * 40
    async with desk_in(tmp_path) as desk:
        planner = Planner(errors)
        scheduler = await desk.scheduler(planner)
        desk.clock.advance(60)
        with structlog.testing.capture_logs() as logs:
            for _ in range(375):
                await look(scheduler)
                desk.clock.advance(1)

        ticks = await desk.ticks()
        assert ticks[0].skipped is Skipped.MISSED
        assert ticks[0].why == "it could not be planned in time: no answer from IAM"
        assert [tick.skipped for tick in ticks[1:6]] == [Skipped.OVERLAP] * 5
        assert ticks[6].state is TickState.DUE
        assert 7 <= 40 - len(errors) <= 12
        told = {(one["event"], one.get("reason")) for one in logs}
        assert ("schedule.skipped", "missed") in told
        assert ("schedule.delayed", None) in told
        assert not await scheduler.rests()


@pytest.mark.parametrize(
    ("error", "state", "why"),
    [
        (NoPoolMatchedError("the targets mean none"), TickState.FAILED, "the targets mean none"),
        (ZeroDivisionError("a secret"), TickState.DUE, "this program failed on it"),
    ],
    ids=["no-pool", "a-bug"],
)
async def test_what_no_rollout_can_be_made_of_is_told(
    tmp_path: Path, error: Exception, state: TickState, why: str
) -> None:
    """A plan that cannot be is failed at once; a bug of ours is tried again, and not quoted."""
    async with desk_in(tmp_path) as desk:
        scheduler = await desk.scheduler(Planner([error]))
        desk.clock.advance(61)
        with structlog.testing.capture_logs():
            await look(scheduler)
            await look(scheduler)

        (tick,) = await desk.ticks()
        assert tick.state is state
        assert str(tick.why).startswith(why)
        assert "secret" not in str(tick.why)
        assert await desk.rollouts() == []


async def test_a_plan_beyond_the_limits_waits_and_begins_nothing(tmp_path: Path) -> None:
    """The plan is kept with its digest; a newer tick has a newer plan in its place."""
    async with desk_in(tmp_path, "autoApply: {poolsAtMost: 1}") as desk:
        scheduler = await desk.scheduler()
        for seconds in (61, 60):
            desk.clock.advance(seconds)
            await look(scheduler)

        assert await desk.fates() == [Skipped.SUPERSEDED, TickState.WAITING]
        assert await desk.rollouts() == []
        tick = (await desk.ticks())[1]
        assert tick.why == "3 pools would be changed, poolsAtMost is 1"
        assert tick.plan is not None
        assert await desk.store.rollouts.plan(tick.plan) is not None
        await look(scheduler)
        assert await scheduler.rests()


async def test_a_tick_of_another_account_is_left_to_those_who_have_it(tmp_path: Path) -> None:
    """A worker without the profile fires the tick and does not take it."""
    async with desk_in(tmp_path, profile="north") as desk:
        poor, rich = await desk.scheduler(), await desk.scheduler(Planner(profiles=("north",)))
        desk.clock.advance(61)
        await look(poor)
        await look(poor)
        assert await desk.fates() == [TickState.DUE]
        assert await poor.rests()
        assert not await rich.rests()
        await look(rich)
        assert await desk.fates() == [TickState.STARTED]


async def test_a_pause_while_it_is_planned_begins_nothing(tmp_path: Path) -> None:
    """The plan is made, the person was faster: the tick is a paused one."""
    async with desk_in(tmp_path) as desk:

        class Slow(Planner):
            async def plan(self, row: ScheduleRow) -> Plan:
                await schedule_orders.pause(desk.store, NAME, Word(by="ana", why="freeze"))
                return await super().plan(row)

        scheduler = await desk.scheduler(Slow())
        desk.clock.advance(61)
        await look(scheduler)
        await look(scheduler)

        assert await desk.fates() == [Skipped.PAUSED]
        assert await desk.rollouts() == []


async def test_what_fell_due_in_a_pause_stays_skipped_when_nobody_looked(tmp_path: Path) -> None:
    """Paused, no scheduler for two minutes, resumed: the two ticks are paused ones."""
    async with desk_in(tmp_path) as desk:
        await schedule_orders.pause(desk.store, NAME, ANA)
        desk.clock.advance(121)
        await schedule_orders.resume(desk.store, NAME)
        await look(await desk.scheduler())

        assert await desk.fates() == [Skipped.PAUSED] * 2


async def test_a_worker_that_leaves_lets_go_of_its_tick(tmp_path: Path) -> None:
    """Drained while it plans: the next worker need not wait until the hold is over."""
    async with desk_in(tmp_path) as desk:

        class Endless(Planner):
            async def plan(self, row: ScheduleRow) -> Plan:
                await anyio.sleep_forever()
                return await super().plan(row)

        scheduler = await desk.scheduler(Endless())
        desk.clock.advance(61)
        async with anyio.create_task_group() as tasks:
            await scheduler.look(tasks)
            while not (await desk.ticks())[0].holder:
                await anyio.lowlevel.checkpoint()
            tasks.cancel_scope.cancel()

        (tick,) = await desk.ticks()
        assert (tick.state, tick.holder) == (TickState.DUE, None)


async def test_a_hold_that_was_lost_ends_the_work(tmp_path: Path) -> None:
    """The schedule was removed while its tick was planned: nothing of it begins."""
    async with desk_in(tmp_path) as desk:

        class Removed(Planner):
            async def plan(self, row: ScheduleRow) -> Plan:
                await desk.store.schedules.remove_schedule(NAME)
                return await super().plan(row)

        scheduler = await desk.scheduler(Removed())
        desk.clock.advance(61)
        await look(scheduler)

        assert await desk.rollouts() == []
        assert await scheduler.rests()
