"""One simulated worker process: everything a real one has, on a shared store and any cloud."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio

from jobs.clock import Clock
from jobs.decide import Rules
from jobs.fairness import Weights
from jobs.pacing import Limit, Pace
from jobs.store.protocol import Result, WorkerInfo
from tests.engine.virtual import OneProcess, VirtualLoop
from worker.calls import CallCounts, Calls
from worker.cloud import Cloud
from worker.conductor import Conductor
from worker.executor import Executor
from worker.guard import KeyGuard
from worker.lease import WorkerLease
from worker.limiter import Limiter
from worker.patrol import Patrol
from worker.prospects import Prospects
from worker.reporting import Reporter
from worker.runner import Runner, RunnerLimits
from worker.scheduler import Scheduler
from worker.ticking import Planner
from worker.troubles import Troubles


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """How long a worker waits for what, in seconds."""

    lease_s: float = 5.0
    heartbeat_s: float = 1.25
    fence_after_s: float = 3.0
    request_s: float = 2.0


HASTY = Times()
"""Short, so that a killed worker's jobs come free soon."""

USUAL = Times(lease_s=20.0, heartbeat_s=5.0, fence_after_s=12.0, request_s=30.0)
"""As the settings have them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """Where workers run: the loop, its clock, the store they share, and how many may ask."""

    loop: VirtualLoop
    clock: Clock
    store: Any
    folder: Path
    limit: int
    slots: int = 32
    auto: bool = False
    weights: Weights = field(default_factory=dict)
    planner: Planner | None = None
    """Plans the ticks of schedules; without one nobody looks at them."""


class OneWorker:
    """One simulated worker process; a second one on the same stage is a second process."""

    def __init__(
        self,
        stage: Stage,
        cloud: Cloud,
        rules: Rules,
        *,
        times: Times = HASTY,
        until_empty: bool = True,
        told: Callable[[Result], None] = lambda _: None,
    ) -> None:
        clock = stage.clock
        self.store = OneProcess(stage.store, stage.loop)
        self.results: list[int] = []
        self.scope = anyio.CancelScope()
        self._told = told
        self._troubles = Troubles(clock)
        self._counts = CallCounts(self._troubles)
        self._lease = WorkerLease(
            self.store,
            clock,
            lease_s=times.lease_s,
            heartbeat_s=times.heartbeat_s,
            fence_after_s=times.fence_after_s,
        )
        pace = Pace(limit=Limit(count=stage.limit), auto=stage.auto)
        self._limiter = Limiter(
            "model",
            pace,
            store=self.store,
            clock=clock,
            max_in_flight=64,
            weights=stage.weights,
        )
        guard = KeyGuard("model", None, store=self.store, clock=clock)
        self._calls = Calls(
            cloud,
            self._limiter,
            guard,
            self._lease,
            self._counts,
            timeout_s=times.request_s,
        )
        limits = RunnerLimits(
            slots=stage.slots,
            lease_s=times.lease_s,
            deadline_s=2700.0,
            drain_s=60.0,
            rescue_grace_s=times.request_s,
            until_empty=until_empty,
            weights=stage.weights,
        )
        self._reporter = Reporter(self.store, stage.folder, self._result)
        conductor = Conductor(self.store, clock, self._lease, ended=self._reporter.wake)
        patrol = Patrol(self.store, clock, lambda _job: self._calls)
        duties = [conductor.run, patrol.run]
        if stage.planner is not None:
            scheduler = Scheduler(self.store, clock, stage.planner, self._lease)
            duties.append(scheduler.run)
        self.runner = Runner(
            self.store,
            Executor(self.store, clock, rules),
            self._lease,
            self._reporter,
            limits,
            clock=clock,
            info=WorkerInfo(name="virtual", host="here", pid=1),
            prospects=Prospects(
                self.store,
                self._troubles,
                {None: "model"},
                unreachable_after_s=60.0,
                rests=(conductor.rests,),
                halted=conductor.halted,
            ),
            calls_for=lambda _job: self._calls,
            close_turns=self._limiter.close,
            rate=lambda: self._limiter.limit_per_s,
            duties=duties,
        )

    def _result(self, result: Result) -> None:
        self.results.append(result.job.id)
        self._told(result)

    async def run(self) -> None:
        """Work until the queue is empty, or until killed."""
        with self.scope:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._limiter.run)
                await self.runner.run()
                tasks.cancel_scope.cancel()

    def kill(self) -> None:
        """Kill -9: nothing more of it reaches the store or the cloud; its file locks end."""
        self.store.kill()
        self.scope.cancel()
        self._reporter.abandon()
