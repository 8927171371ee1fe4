"""Serve one tick of a schedule: take it, plan it, begin its rollout.

Each step is written down before the next: taken, its plan, its rollout.  Whoever comes after a
worker that died goes on at the last of them.  A tick with a plan is begun with that plan and
under its own key, so that however often it is taken up there is one rollout.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Final, Protocol

import anyio
import structlog

from jobs.clock import Clock, iso, seconds_to_us
from jobs.errors import (
    ClockError,
    CloudUnreachableError,
    ConfigError,
    CredentialsRefusedError,
    PlugwaveError,
    StaleRevisionError,
    StateError,
    StoreError,
)
from jobs.model import WorkerId, rollout_name
from jobs.rollouts.plan import Plan, kept_plan
from jobs.rollouts.recurrence import beyond, recurrence_of_row, tick_key
from jobs.schedule_states import Skipped, TickEvent, TickState, next_tick_state
from jobs.store.protocol import WorkerRow
from jobs.store.rollouts import Word
from jobs.store.schedules import ScheduleChange, ScheduleId, ScheduleRow, TickRow, WaveStore
from worker.applying import Submission, begin, insist_served, stored

log = structlog.get_logger()

HOLD_S: Final = 60.0
RENEW_S: Final = 20.0
"""How long a tick is kept from others, and how often that is pushed out while it is planned."""

FIRST_RETRY_S: Final = 5.0
LONGEST_RETRY_S: Final = 300.0
"""Waits between tries double from the one to the other, within the schedule's grace."""

HAND_BACK_S: Final = 5.0
"""How long a worker that leaves may take to let go of a tick."""

AWAY: Final = (CloudUnreachableError, CredentialsRefusedError, ClockError, ConfigError, StateError)
"""Troubles that may pass, or that another worker may not have: the tick is tried again."""

Rule = Callable[[ScheduleRow, TickRow], TickRow]
"""What becomes of a tick, seen at one revision of its schedule."""


class Named(Protocol):
    """Whoever has a worker's id; see `worker.lease.WorkerLease`."""

    worker: WorkerId


class Planner(Protocol):
    """Makes the plan of a schedule's rollout."""

    def serves(self, profile: str | None) -> bool:
        """Whether it has the account."""
        ...

    async def plan(self, row: ScheduleRow) -> Plan:
        """Return the plan for the fleet as it is now.

        Raises:
            PlugwaveError: If none can be made now.
        """
        ...


class SchedulingStore(WaveStore, Protocol):
    """What a scheduler needs of a store."""

    async def now_us(self) -> int:
        """Return the store's time."""
        ...

    async def workers(self) -> Sequence[WorkerRow]:
        """Return the workers that are alive or still have jobs."""
        ...


class LostError(Exception):
    """The tick is not ours any more: dropped, taken by another, or its schedule is gone."""


class TickService:
    """One tick in the hands of one worker."""

    def __init__(self, store: SchedulingStore, clock: Clock, planner: Planner, holder: str) -> None:
        """Take the store, the clock, who plans, and the id of the worker."""
        self._store = store
        self._clock = clock
        self._planner = planner
        self._holder = holder

    async def serve(self, schedule: ScheduleId, at_us: int) -> None:
        """Take the tick if it is free, and bring it as far as it goes now.

        Raises:
            StoreError: When the store cannot be read or written any more.
        """
        try:
            # Written, it is ours: whoever stops us in between would leave it held.
            with anyio.fail_after(HAND_BACK_S, shield=True):
                row, tick = await self._take(schedule, at_us)
        except (LostError, TimeoutError):
            return
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._keep, schedule, at_us, tasks.cancel_scope)
                await self._attempt(row, tick)
                tasks.cancel_scope.cancel()
        except anyio.get_cancelled_exc_class():
            with anyio.move_on_after(HAND_BACK_S, shield=True):
                await self._let_go(schedule, at_us)
            raise

    # Whose it is.

    async def _take(self, schedule: ScheduleId, at_us: int) -> tuple[ScheduleRow, TickRow]:
        now_us = await self._store.now_us()
        alive = {str(one.id) for one in await self._store.workers() if one.alive}

        def taken(_: ScheduleRow, tick: TickRow) -> TickRow:
            others = tick.holder in alive - {self._holder} and tick.held_at(now_us)
            if others or tick.state is not TickState.DUE or now_us < tick.next_us:
                raise LostError
            until_us = now_us + seconds_to_us(HOLD_S)
            return replace(tick, holder=self._holder, held_until_us=until_us)

        return await self._change(schedule, at_us, taken, mine=False)

    async def _keep(self, schedule: ScheduleId, at_us: int, scope: anyio.CancelScope) -> None:
        """Push the hold out; end the work once the tick is somebody else's."""
        while True:
            await self._clock.sleep(RENEW_S)
            until_us = await self._store.now_us() + seconds_to_us(HOLD_S)
            try:
                await self._change(schedule, at_us, _held_until(until_us))
            except LostError:
                scope.cancel()
                return

    async def _let_go(self, schedule: ScheduleId, at_us: int) -> None:
        try:
            await self._change(
                schedule, at_us, lambda _, tick: replace(tick, holder=None, held_until_us=0)
            )
        except (LostError, StoreError):
            return  # it is free once the hold is over, or this worker is known to be dead

    async def _change(
        self, schedule: ScheduleId, at_us: int, rule: Rule, *, mine: bool = True
    ) -> tuple[ScheduleRow, TickRow]:
        """Write what *rule* makes of the tick, whatever else changes of its schedule meanwhile.

        Raises:
            LostError: If it is not ours any more.
        """
        while True:
            found = await self._store.schedules.schedule_sight(schedule)
            row, ticks = (None, ()) if found is None else found
            tick = next((one for one in ticks if one.at_us == at_us), None)
            if row is None or tick is None or (mine and tick.holder != self._holder):
                raise LostError
            wanted = rule(row, tick)
            try:
                changed = await self._store.schedules.change_schedule(
                    ScheduleChange(row=row, ticks=[wanted])
                )
            except StaleRevisionError:
                await self._clock.sleep(0)
                continue
            return changed, wanted

    async def _move(
        self,
        row: ScheduleRow,
        tick: TickRow,
        event: TickEvent,
        **facts: Any,  # noqa: ANN401 - fields by name
    ) -> None:
        def moved(_: ScheduleRow, now: TickRow) -> TickRow:
            state = next_tick_state(now.state, event)
            return replace(now, state=state, holder=None, held_until_us=0, **facts)

        await self._change(row.id, tick.at_us, moved)

    # What is done with it.

    async def _attempt(self, row: ScheduleRow, tick: TickRow) -> None:
        """Go on with the tick; what stops it is written beside it."""
        try:
            await self._go_on(row, tick)
        except LostError:
            return
        except StoreError:
            raise
        except Exception as error:  # noqa: BLE001 - one bad tick must not stop the worker
            try:
                await self._troubled(row, tick, error)
            except LostError:
                return

    async def _go_on(self, row: ScheduleRow, tick: TickRow) -> None:
        plan = await self._planned(row, tick)
        if plan is None:
            return
        submission = Submission(
            plan=plan,
            word=tick.manual or Word(by=f"schedule {row.name}", why=f"tick {iso(tick.at_us)}"),
            key=tick_key(row, tick.at_us),
            profile=row.profile,
        )
        begun = await begin(self._store.rollouts, submission, await self._store.now_us())
        await self._move(row, tick, TickEvent.BEGUN, rollout=begun.row.id, why=None)
        log.info(
            "schedule.began",
            schedule=row.name, tick=iso(tick.at_us), rollout=rollout_name(begun.row.id),
        )  # fmt: skip

    async def _planned(self, row: ScheduleRow, tick: TickRow) -> Plan | None:
        """Return the plan that is to be begun; None when there is none."""
        if tick.plan is not None:
            kept = await self._store.rollouts.plan(tick.plan)
            assert kept is not None, "a plan is kept before a tick names it"
            return kept_plan(kept.body, kept.digest, iso(kept.made_us) or "")
        plan = await self._planner.plan(row)
        insist_served(plan)
        if not plan.acting:
            why = f"none of {plan.included} pools would be changed"
            await self._move(row, tick, TickEvent.IDLE, why=why)
            log.info("schedule.idle", schedule=row.name, tick=iso(tick.at_us), why=why)
            return None
        await self._store.rollouts.keep_plan(stored(plan))
        excess = beyond(recurrence_of_row(row).limits, plan)
        if excess:
            why = "; ".join(excess)
            await self._move(row, tick, TickEvent.EXCEEDED, plan=plan.digest, why=why)
            log.warning(
                "schedule.waits",
                schedule=row.name, tick=iso(tick.at_us), plan=plan.digest, why=why,
            )  # fmt: skip
            return None
        _, frozen = await self._change(row.id, tick.at_us, _frozen(plan))
        return plan if frozen.state is TickState.DUE else None

    async def _troubled(self, row: ScheduleRow, tick: TickRow, error: Exception) -> None:
        """Write down why it did not go on: for good, or until the next try."""
        told = {"schedule": row.name, "tick": iso(tick.at_us)}
        own = isinstance(error, PlugwaveError)
        if own and not isinstance(error, AWAY):
            why = f"{error}"
            await self._move(row, tick, TickEvent.REFUSED, why=why)
            log.error("schedule.failed", **told, error=why)
            return
        wait_s = min(FIRST_RETRY_S * 2**tick.tries, LONGEST_RETRY_S)
        next_us = await self._store.now_us() + seconds_to_us(wait_s)
        why = str(error) if own else "this program failed on it; its log has more"

        def later(_: ScheduleRow, now: TickRow) -> TickRow:
            facts = {"tries": now.tries + 1, "next_us": next_us, "why": why}
            return replace(now, holder=None, held_until_us=0, **facts)  # type: ignore[arg-type]  # fields by name

        await self._change(row.id, tick.at_us, later)
        if own:
            log.warning("schedule.delayed", **told, error=why, retry_in_s=wait_s)
        else:
            log.error("schedule.crashed", **told, exc_info=error)


def _held_until(until_us: int) -> Rule:
    """Return the rule that keeps a tick from others until then."""
    return lambda _, tick: replace(tick, held_until_us=until_us)


def _frozen(plan: Plan) -> Rule:
    """Return the rule that binds a tick to its plan; of a schedule paused meanwhile, drops it."""

    def rule(row: ScheduleRow, tick: TickRow) -> TickRow:
        if row.paused is None or tick.manual is not None:
            return replace(tick, plan=plan.digest, why=None)
        why = f"the schedule was paused by {row.paused.by} while it was planned"
        state = next_tick_state(tick.state, TickEvent.DROPPED)
        return replace(tick, state=state, skipped=Skipped.PAUSED, why=why, holder=None)

    return rule
