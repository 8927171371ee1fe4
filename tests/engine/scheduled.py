"""A schedule on virtual time: real store, real workers, and a fleet that a planner can see."""

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import pytest

from jobs.decide import Rules
from jobs.model import PluginSeen, PoolSeen, Target
from jobs.rollouts.observed import Observed, Offer
from jobs.rollouts.plan import Plan
from jobs.rollouts.planning import make_plan
from jobs.rollouts.reading import read_document
from jobs.rollouts.recurrence import new_schedule, recurrence_of_row
from jobs.rollouts.recurring import ScheduleManifest
from jobs.store.rollouts import RolloutRow, Word
from jobs.store.schedules import ScheduleRow, TickRow
from jobs.store.sqlite import open_sqlite
from tests.builders import PROJECT
from tests.engine.model_cloud import Faults
from tests.engine.one_worker import USUAL, OneWorker, Stage
from tests.engine.test_rollouts import BreakingCloud
from tests.engine.virtual import OneProcess, VirtualClock, VirtualLoop, on_virtual_time
from tests.rollouts.building import TERMS

ANA = Word(by="ana")
NAME = "weekly"

MANIFEST = """\
apiVersion: plugwave/v1
kind: Schedule
metadata: {name: weekly}
spec:
  cron: "* * * * *"
  timeZone: Asia/Shanghai
  misfireGrace: 5m
  MORE
  rollout:
    plugin: {name: dns, version: latest}
    waves: [{name: all, pick: {rest: true}, bake: BAKE, tolerate: 0}]
    stop: []
    job: {verify: {settle: 0s, poll: {first: 1s, max: 2s}}}
"""


def a_schedule(
    more: str = "overlap: skip", bake: str = "0s", cron: str = "* * * * *"
) -> ScheduleManifest:
    """Return a schedule of every minute whose rollout lasts a little longer than *bake*."""
    text = MANIFEST.replace("MORE", more).replace("BAKE", bake)
    text = text.replace("* * * * *", cron).replace(
        "  misfireGrace: 5m\n" * ("misfireGrace" in more), ""
    )
    found = read_document(text.encode(), "s.yaml")
    assert isinstance(found, ScheduleManifest)
    return found


class SeenFleet:
    """Plans as the product does, of what the model cloud has; every tick a newer version is out."""

    def __init__(self, cloud: BreakingCloud, clock: VirtualClock, pools: int) -> None:
        self._cloud = cloud
        self._clock = clock
        self.pools = pools
        self.version = 2
        self.planned: list[str] = []

    def serves(self, profile: str | None) -> bool:
        """Every worker here has no account but its own."""
        return profile is None

    async def plan(self, row: ScheduleRow) -> Plan:
        """Return the plan for the fleet as it is now."""
        await self._clock.sleep(2.0)
        offers = (Offer(version=f"{self.version}.0"), Offer(version="1.0"))
        self.version += 1
        seen = [self._observed(number, offers) for number in range(self.pools)]
        plan = make_plan(recurrence_of_row(row).manifest, seen, TERMS)
        self.planned.append(plan.digest)
        return plan

    def _observed(self, number: int, offers: tuple[Offer, ...]) -> Observed:
        name = f"pool-{number:03d}"
        target = Target(project_id=PROJECT, pool_name=name, region="cn-north-4")
        version, _ = self._cloud.final()[name]
        return Observed(
            target=target,
            pool=PoolSeen(name=name, phase="Running", labels={}),
            plugin=PluginSeen(name="dns", version=version, phase="Running", inputs={}),
            looked=True,
            offers=offers,
        )


@dataclass
class Stand:
    """A schedule that is kept, and how to start workers."""

    loop: VirtualLoop
    clock: VirtualClock
    cloud: BreakingCloud
    fleet: SeenFleet
    store: Any
    stage: Stage
    tasks: Any = None
    workers: list[OneWorker] = field(default_factory=list)

    def worker(self) -> OneWorker:
        """Start one more worker process."""
        rules = Rules(settle_s=4.0, poll_first_s=1.0, abnormal_grace_s=2.0, rng=random.Random(1))
        worker = OneWorker(self.stage, self.cloud, rules, until_empty=False, times=USUAL)
        self.workers.append(worker)
        self.tasks.start_soon(worker.run)
        return worker

    async def row(self) -> ScheduleRow:
        """Return the schedule as the store has it."""
        row: ScheduleRow | None = await self.store.schedules.schedule(NAME)
        assert row is not None
        return row

    async def ticks(self) -> list[TickRow]:
        """Return every tick, oldest first."""
        found = await self.store.schedules.ticks((await self.row()).id)
        return list(reversed(found))

    async def rollouts(self) -> list[RolloutRow]:
        """Return every rollout, oldest first."""
        return list(reversed(await self.store.rollouts.rollouts()))

    async def fates(self) -> list[str]:
        """Return what became of every tick: its state, or why it was skipped."""
        return [tick.skipped or tick.state for tick in await self.ticks()]


def staged(
    folder: Path,
    schedule: ScheduleManifest,
    play: Callable[[Stand], Awaitable[None]],
    *,
    pools: int = 2,
) -> Stand:
    """Keep the schedule and let *play* run it; it is 08:00, and the first tick is at 08:01."""

    async def main(loop: VirtualLoop, clock: VirtualClock) -> Stand:
        cloud = BreakingCloud(clock, random.Random(1), Faults(), limit=20, takes=4.0)
        for number in range(pools):
            target = Target(project_id=PROJECT, pool_name=f"pool-{number:03d}", region="cn-north-4")
            pool = cloud.pool(target)
            pool.version, pool.inputs = "1.0", {}
        with loop.real():
            store = await open_sqlite(folder / "jobs.db", clock)
        fleet = SeenFleet(cloud, clock, pools)
        stage = Stage(
            loop=loop, clock=clock, store=store, folder=folder / "results", limit=20,
            planner=fleet,
        )  # fmt: skip
        stand = Stand(loop, clock, cloud, fleet, OneProcess(store, loop), stage)
        await stand.store.schedules.put_schedule(new_schedule(schedule, ANA))
        async with anyio.create_task_group() as tasks:
            stand.tasks = tasks
            await play(stand)
            tasks.cancel_scope.cancel()
        assert cloud.violations == []
        with loop.real():
            await store.close()
        return stand

    with pytest.MonkeyPatch.context() as patched:
        # Minutes pass in which nobody has anything to do: let idle workers look less often.
        patched.setattr("worker.runner.IDLE_TICK_S", 1.0)
        patched.setattr("worker.runner.IDLE_POLL_S", 5.0)
        patched.setattr("worker.runner.RESCUE_EVERY_S", 5.0)
        patched.setattr("worker.conductor.LOOK_EVERY_S", 2.0)
        return on_virtual_time(main)
