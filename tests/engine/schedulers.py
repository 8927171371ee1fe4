"""Schedulers for tests: a planner that says what it is told to, and looks of several at once."""

from dataclasses import dataclass, field
from typing import Any

import anyio

from jobs.clock import Clock
from jobs.model import WorkerId
from jobs.rollouts.plan import Plan
from jobs.rollouts.planning import make_plan
from jobs.rollouts.recurrence import recurrence_of_row
from jobs.store.protocol import Store, WorkerInfo
from jobs.store.schedules import ScheduleRow
from tests.rollouts.building import TERMS, a_pool
from worker.scheduler import Scheduler


@dataclass
class Me:
    """A worker with its id."""

    worker: WorkerId


@dataclass
class Planner:
    """Plans for two pools that have an old version; says what it is told to say instead."""

    errors: list[Exception] = field(default_factory=list)
    plans: int = 0
    offers: tuple[str, ...] = ("2.0", "1.0")
    profiles: tuple[str | None, ...] = (None,)

    def serves(self, profile: str | None) -> bool:
        """Whether it has the account."""
        return profile in self.profiles

    async def plan(self, row: ScheduleRow) -> Plan:
        """Return a plan of the fleet, which is another one each time."""
        if self.errors:
            raise self.errors.pop(0)
        self.plans += 1
        pools = [
            a_pool(number, installed="1.0", offers=self.offers) for number in range(self.plans + 1)
        ]
        return make_plan(recurrence_of_row(row).manifest, pools, TERMS)


async def a_scheduler(
    store: Store, clock: Clock, planner: Planner, through: Any = None
) -> Scheduler:
    """Register a worker and return its scheduler, which reaches the store *through* another."""
    info = WorkerInfo(name="one", host="here", pid=1)
    me = Me(await store.register(info, lease_s=36_000))
    return Scheduler(through or store, clock, planner, me)


async def look(*schedulers: Scheduler) -> None:
    """Let all look at once, and serve what they took."""
    async with anyio.create_task_group() as tasks:

        async def one(scheduler: Scheduler) -> None:
            async with anyio.create_task_group() as served:
                await scheduler.look(served)

        for scheduler in schedulers:
            tasks.start_soon(one, scheduler)
