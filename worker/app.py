"""The one place where parts are put together: settings in, a running worker out.

Nothing here decides anything.  Every other module takes what it needs as arguments, so that
tests and rehearsals can put the same parts together differently.
"""

import os
import random
import socket
from collections.abc import Awaitable, Callable, Collection, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import anyio

from config.addresses import StoreEngine
from config.choices import ReadFirst
from config.settings import Settings
from jobs.clock import SystemClock
from jobs.decide import Rules, UpgradeCall
from jobs.states import HELD_STATES
from jobs.store.protocol import Store, WorkerInfo
from jobs.usual import UsualTimes
from worker.accounts import Accounts, note_refusals
from worker.brokers.inbox import InboxDuty
from worker.calls import CallCounts
from worker.conductor import Conductor
from worker.contact import discovering, first_of, new_wallet, opened_wires
from worker.credentials.chain import choose
from worker.credentials.defaults import request_defaults
from worker.credentials.sources import Surroundings
from worker.executor import Executor
from worker.garbage import collected_rarely
from worker.lease import WorkerLease
from worker.membership import FleetReader, Membership
from worker.modelarts.transport import ANSWER_LIMIT_BYTES
from worker.patrol import Patrol
from worker.prospects import Prospects
from worker.reporting import Reporter, report_folder
from worker.runner import Runner, RunnerLimits
from worker.scheduler import Scheduler
from worker.statistics import InHand, WorkerStatistics
from worker.stores import opened_store
from worker.switchboard import Account, Switchboard
from worker.tick_plans import TickPlans
from worker.troubles import Troubles
from worker.upkeep import Upkeep

LOOK_EVERY_S = 0.5
"""How often the figures that live in the store are read anew for progress lines."""


def rules_of(settings: Settings, rng: random.Random) -> Rules:
    """Return the patience that the settings describe."""
    cloud = settings.cloud
    return Rules(
        settle_s=cloud.settle,
        poll_first_s=cloud.poll_first,
        poll_factor=cloud.poll_factor,
        poll_max_s=cloud.poll_max,
        usual=UsualTimes() if cloud.poll_learned else None,
        usual_max_s=cloud.poll_learned,
        stale_after_s=cloud.stale_after,
        missing_after_s=cloud.missing_after,
        abnormal_grace_s=cloud.abnormal_grace,
        breaker_s=cloud.breaker,
        attempts=settings.jobs.attempts,
        upgrade=UpgradeCall(cloud.upgrade.value),
        read_first=cloud.read_first is ReadFirst.ALWAYS,
        rng=rng,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Duties:
    """What a worker does beside its jobs.

    Attributes:
        conductor: Moves rollouts on.
        scheduler: Fires schedules.
        rests: Each tells whether its duty would bring no job now by itself.
        runs: All of them, each until it is cancelled.
    """

    conductor: Conductor
    scheduler: Scheduler
    rests: Sequence[Callable[[], Awaitable[bool]]]
    runs: Sequence[Callable[[], Coroutine[Any, Any, None]]]


class Work:
    """One worker process: `run` works until drained or empty, `statistics` tells how it goes."""

    def __init__(self, settings: Settings, *, slots: int | None, until_empty: bool) -> None:
        """Take the settings; *slots* overrides ``worker.slots``.

        Raises:
            ConfigError: If no credential is configured.
        """
        self._settings = settings
        self._slots = slots or settings.worker.slots
        self._until_empty = until_empty
        self._clock = SystemClock()
        choose(settings, Surroundings.of(os.environ))  # says now that there is no credential
        self._troubles = Troubles(self._clock)
        self._counts = CallCounts(self._troubles)
        self._started = self._clock.monotonic()
        self._runner: Runner | None = None
        self._executor: Executor | None = None
        self._switchboard: Switchboard | None = None
        self._scope: anyio.CancelScope | None = None
        self._figures = WorkerStatistics(
            worker=self.name, running_s=0.0, slots=self._slots, open_jobs=0
        )
        self._stop_asked = False

    @property
    def name(self) -> str:
        """What this worker is called."""
        return self._settings.worker.name or f"{socket.gethostname()}-{os.getpid()}"

    def stop(self) -> None:
        """Drain: finish the requests on the wire, hand everything back, leave."""
        self._stop_asked = True
        if self._runner is not None:
            self._runner.stop()

    def kill(self) -> None:
        """Leave at once; what was sent and not answered is read by the next worker."""
        if self._scope is not None:
            self._scope.cancel()

    async def run(self) -> None:
        """Work until drained, or until the queue is empty when that was asked for.

        Raises:
            PlugwaveError: What ended the work early; jobs stay safe in the store.
        """
        try:
            with collected_rarely(), anyio.CancelScope() as scope:
                self._scope = scope
                async with opened_store(self._settings.store, self._clock) as store:
                    if self._settings.store.engine is not StoreEngine.SQLITE:
                        # Leases, send times and settle times are the store's: so is our clock.
                        self._clock.anchor(await store.now_us())
                    await self._run(store)
        except BaseExceptionGroup as group:
            raise first_of(group) from None

    async def _run(self, store: Store) -> None:
        settings = self._settings
        opened = opened_wires(settings.cloud, self._clock, ANSWER_LIMIT_BYTES)
        async with opened as wires, anyio.create_task_group() as tasks:
            wallet = new_wallet(settings, wires, self._counts, store, tasks)
            accounts = Accounts(settings, wallet, wires.outward, store=store, clock=self._clock)
            served = accounts.all()
            lease = self._new_lease(store)
            share = settings.fairness.weights
            self._switchboard = Switchboard(
                served, settings.cloud, lease, self._counts, store=store, tasks=tasks, weights=share
            )
            rng = random.Random()  # noqa: S311 - jitter, not a secret
            self._executor = Executor(store, self._clock, rules_of(self._settings, rng))
            self._runner = self._new_runner(store, lease, served, self._switchboard)
            if self._stop_asked:
                self._runner.stop()
            if self._until_empty:
                await note_refusals(served, self._troubles)
            tasks.start_soon(self._look_at_store, store, name="figures")
            await self._runner.run()
            await self._refresh(store)
            tasks.cancel_scope.cancel()

    def _new_lease(self, store: Store) -> WorkerLease:
        worker = self._settings.worker
        return WorkerLease(
            store,
            self._clock,
            lease_s=worker.lease,
            heartbeat_s=worker.effective_heartbeat,
            fence_after_s=worker.self_fence_after,
        )

    def _new_runner(
        self,
        store: Store,
        lease: WorkerLease,
        served: Mapping[str | None, Account],
        switchboard: Switchboard,
    ) -> Runner:
        settings = self._settings
        assert self._executor is not None
        profiles = tuple(profile for profile in served if profile is not None)
        info = WorkerInfo(
            name=self.name, host=socket.gethostname(), pid=os.getpid(), profiles=profiles
        )
        credentials = {profile: account.credential for profile, account in served.items()}
        kept = settings.store
        folder = report_folder(kept.sqlite_path, kept.url.get_secret_value())
        reporter = Reporter(store, folder)
        duties = self._duties(store, lease, reporter, switchboard, tuple(served))

        def close() -> None:
            switchboard.close()
            duties.conductor.stop()
            duties.scheduler.stop()

        return Runner(
            store,
            self._executor,
            lease,
            reporter,
            self._limits(),
            clock=self._clock,
            info=info,
            prospects=Prospects(
                store,
                self._troubles,
                credentials,
                unreachable_after_s=settings.cloud.unreachable_after,
                rests=duties.rests,
                halted=duties.conductor.halted,
            ),
            calls_for=switchboard.calls_for,
            close_turns=close,
            rate=switchboard.rate,
            duties=duties.runs,
        )

    def _duties(
        self,
        store: Store,
        lease: WorkerLease,
        reporter: Reporter,
        switchboard: Switchboard,
        served: Collection[str | None],
    ) -> Duties:
        """Return what this worker does beside its jobs, for all workers of the store."""
        settings, clock = self._settings, self._clock
        defaults = request_defaults(settings, Surroundings.of(os.environ))
        inbox = InboxDuty(store, clock, defaults=defaults)
        scheduler = Scheduler(store, clock, TickPlans(settings, store, clock), lease)
        conductor = Conductor(store, clock, lease, ended=reporter.wake)
        patrol = Patrol(store, clock, switchboard.calls_for)
        fleet = FleetReader(settings, store, clock, discovering)
        members = Membership(store.rollouts, clock, fleet, served)
        kept = settings.store
        upkeep = Upkeep(store, reporter, kept.retention, clock, every_s=kept.prune_every)
        return Duties(
            conductor=conductor,
            scheduler=scheduler,
            rests=(inbox.rests, scheduler.rests, conductor.rests),
            runs=(
                upkeep.run,
                conductor.run,
                members.run,
                inbox.run,
                patrol.run,
                scheduler.run,
            ),
        )

    def _limits(self) -> RunnerLimits:
        settings = self._settings
        return RunnerLimits(
            slots=self._slots,
            lease_s=settings.worker.lease,
            deadline_s=settings.jobs.deadline,
            drain_s=settings.worker.drain,
            # Others may still have a request on the wire until its time-out.
            rescue_grace_s=settings.cloud.request_timeout,
            until_empty=self._until_empty,
            weights=settings.fairness.weights,
        )

    async def _look_at_store(self, store: Store) -> None:
        while True:
            await self._refresh(store)
            await self._clock.sleep(LOOK_EVERY_S)

    async def _refresh(self, store: Store) -> None:
        open_jobs = await store.open_jobs()
        waiting = await store.waiting_counts()
        self._figures = WorkerStatistics(
            worker=self.name,
            running_s=0.0,
            slots=self._slots,
            open_jobs=open_jobs,
            waiting=waiting,
        )

    def statistics(self) -> WorkerStatistics:
        """Return the figures of this worker as they are now."""
        runner, executor, board = self._runner, self._executor, self._switchboard
        now = self._clock.monotonic()
        limiters = board.limiters if board is not None else []
        held = list(runner.hand) if runner is not None else []
        in_hand = tuple(
            InHand(
                job=one.job.id,
                pool_name=one.job.request.target.pool_name,
                plugin=one.job.request.plugin.name,
                version_from=one.job.progress.version_from,
                version_to=one.job.progress.version or one.job.request.plugin.version,
                state=one.job.state,
                phase=one.job.progress.phase,
                since_s=now - one.claimed_at,
                attempt=one.job.progress.sends,
            )
            for one in sorted(held, key=lambda one: one.claimed_at)
            if one.job.state in HELD_STATES
        )
        return WorkerStatistics(
            worker=self.name,
            running_s=now - self._started,
            slots=self._slots,
            in_hand=in_hand,
            ended=dict(runner.ended) if runner is not None else {},
            open_jobs=self._figures.open_jobs,
            waiting=self._figures.waiting,
            calls=self._counts.calls,
            throttled=self._counts.throttled,
            lost_answers=executor.lost_answers if executor is not None else 0,
            rate=sum(limiter.rate_per_s() for limiter in limiters),
            rate_limit=sum(limiter.limit_per_s for limiter in limiters),
            draining=runner.draining if runner is not None else self._stop_asked,
            trouble=self._troubles.sentence(),
        )
