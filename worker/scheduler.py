"""Fire schedules: look, ask the rules, write; plan what is due and begin its rollout.

A duty of every worker.  Nobody is appointed to it: any worker may look at any moment, and the
store lets exactly one decision of each revision through.  A tick is first written down, then
somebody takes it for a while, plans it, writes the plan beside it, and begins the rollout of
that plan under the tick's key.  Whoever dies in between leaves a tick that the next one takes
up where it stands; a tick with a plan is begun with that plan and no other.

What is decided, and why, is `jobs.rollouts.firing`'s.
"""

from dataclasses import dataclass, field, replace
from typing import Final

import anyio
import structlog
from anyio.abc import TaskGroup

from jobs.clock import Clock, iso, seconds_to_us
from jobs.errors import IllegalTransitionError, StaleRevisionError, StoreError
from jobs.model import RolloutId, rollout_name
from jobs.rollout_states import RolloutEvent
from jobs.rollouts.advancing import ENDING, SUPERSEDED
from jobs.rollouts.firing import Firing, ScheduleLook, fire
from jobs.rollouts.recurrence import Recurrence, recurrence_of_row
from jobs.schedule_states import TickState
from jobs.store.rollouts import Advance, RolloutRow
from jobs.store.schedules import ScheduleId, ScheduleRow, TickRow
from worker.ticking import Named, Planner, SchedulingStore, TickService

log = structlog.get_logger()

LOOK_EVERY_S: Final = 1.0
"""How often is asked whether a schedule has changed; one question, whatever their number."""

FOLLOW_S: Final = 2.0
"""A schedule with a rollout under way, or with one that a person may begin, is looked at this
often: neither tells the schedule."""

TROUBLE_S: Final = 30.0
"""A schedule on which our own code failed is left alone for this long."""


@dataclass(slots=True)
class _Seen:
    """What this worker remembers of one schedule."""

    rev: int | None = None
    again_us: int | None = None
    recurrence: tuple[str, Recurrence] | None = None
    working: set[int] = field(default_factory=set)
    rests: bool = False


class Scheduler:
    """Looks at every schedule when it has changed, or when its time has come."""

    def __init__(
        self, store: SchedulingStore, clock: Clock, planner: Planner, worker: Named
    ) -> None:
        """Take the store, the clock, who plans, and whose hands ticks are in."""
        self._store = store
        self._clock = clock
        self._planner = planner
        self._worker = worker
        self._seen: dict[ScheduleId, _Seen] = {}
        self._stopped = False
        self._wake = anyio.Event()

    def stop(self) -> None:
        """Take nothing more up: this worker drains."""
        self._stopped = True

    async def run(self) -> None:
        """Look and serve until stopped; a tick that is cut off is left to others at once.

        Raises:
            StoreError: When the store cannot be read or written any more.
        """
        async with anyio.create_task_group() as tasks:
            while not self._stopped:
                # Made before the look, so that a tick that is through meanwhile is not missed.
                self._wake = anyio.Event()
                await self.look(tasks)
                with anyio.move_on_after(LOOK_EVERY_S):
                    await self._wake.wait()

    async def rests(self) -> bool:
        """Whether no schedule has anything to do now, as far as it was looked at."""
        revisions = await self._store.schedules.schedule_revisions()
        return all(
            (seen := self._seen.get(schedule)) is not None and seen.rests and seen.rev == rev
            for schedule, rev in revisions.items()
        )

    async def look(self, tasks: TaskGroup) -> None:
        """Look once at every schedule that has changed or is due; serve what is due in *tasks*."""
        revisions = await self._store.schedules.schedule_revisions()
        for gone in self._seen.keys() - revisions.keys():
            del self._seen[gone]
        for schedule, rev in revisions.items():
            seen = self._seen.setdefault(schedule, _Seen())
            due = seen.again_us is not None and self._clock.now_us() >= seen.again_us
            if seen.rev != rev or due:
                seen.rev = rev
                await self._safely(schedule, seen, tasks)

    async def _safely(self, schedule: ScheduleId, seen: _Seen, tasks: TaskGroup) -> None:
        """Decide about one schedule; a bug in it stops neither the others nor the jobs."""
        try:
            await self._decide(schedule, seen, tasks)
        except StaleRevisionError:
            seen.rev = None  # somebody else has decided
        except StoreError:
            raise
        except Exception:
            log.exception("schedule.crashed", schedule=schedule)
            seen.again_us = self._clock.now_us() + seconds_to_us(TROUBLE_S)
            seen.rests = True

    async def _decide(self, schedule: ScheduleId, seen: _Seen, tasks: TaskGroup) -> None:
        """Look, decide and write, until nothing more is to be done at this instant."""
        while not self._stopped:
            sight = await sight_of(self._store, schedule)
            if sight is None:
                seen.rev = None
                return
            recurrence = _recurrence(seen, sight.row)
            decided = fire(recurrence, sight)
            if decided.change is not None:
                row = await self._store.schedules.change_schedule(decided.change)
                seen.rev = row.rev
                tell(decided)
                continue
            if decided.replace is not None:
                await self._replace(sight.runs[decided.replace], sight.row)
            seen.rev = sight.row.rev
            self._remember(seen, sight, decided)
            self._start(sight.row, seen, decided, tasks)
            return

    def _remember(self, seen: _Seen, sight: ScheduleLook, decided: Firing) -> None:
        again = [] if decided.again_us is None else [decided.again_us]
        if decided.follows:
            again.append(sight.now_us + seconds_to_us(FOLLOW_S))
        # The store's time and ours may differ: what counts is how long is left.
        left_us = None if not again else max(0, min(again) - sight.now_us)
        seen.again_us = None if left_us is None else self._clock.now_us() + left_us
        mine = self._planner.serves(sight.row.profile)
        due = any(tick.state is TickState.DUE for tick in sight.ticks)
        # A run that was begun is the conductor's to know of.
        seen.rests = not (due and mine)

    def _start(self, row: ScheduleRow, seen: _Seen, decided: Firing, tasks: TaskGroup) -> None:
        if not self._planner.serves(row.profile):
            return
        for at_us in decided.take:
            if at_us not in seen.working:
                seen.working.add(at_us)
                tasks.start_soon(self._serve, row.id, at_us, seen, name=f"tick of {row.name}")

    async def _replace(self, run: RolloutRow, row: ScheduleRow) -> None:
        """Wind a run up; what it has in flight ends, then the newer tick goes on."""
        word = {"by": f"schedule {row.name}", "why": "a newer tick takes its place"}
        facts = {**run.facts, ENDING: SUPERSEDED}
        change = Advance(
            rollout=run.id, rev=run.rev, moves=[(RolloutEvent.ABORTED, word)], facts=facts
        )
        try:
            await self._store.rollouts.advance(change)
        except (StaleRevisionError, IllegalTransitionError):
            return  # it has moved on; the next look sees how
        log.info("schedule.replaced", schedule=row.name, rollout=rollout_name(run.id))

    async def _serve(self, schedule: ScheduleId, at_us: int, seen: _Seen) -> None:
        try:
            holder = str(self._worker.worker)
            service = TickService(self._store, self._clock, self._planner, holder)
            await service.serve(schedule, at_us)
        finally:
            seen.working.discard(at_us)
            seen.rev = None
            self._wake.set()


async def sight_of(store: SchedulingStore, schedule: ScheduleId) -> ScheduleLook | None:
    """Return the schedule as its rules need to see it; None when it is gone."""
    found = await store.schedules.schedule_sight(schedule)
    if found is None:
        return None
    row, ticks = found
    if any(tick.holder is not None for tick in ticks):
        alive = {str(one.id) for one in await store.workers() if one.alive}
        # What a dead worker held is free at once.
        ticks = [one if one.holder in alive else replace(one, held_until_us=0) for one in ticks]
    runs: dict[RolloutId, RolloutRow] = {}
    for tick in ticks:
        if tick.rollout is not None:
            run = await store.rollouts.rollout(rollout_name(tick.rollout))
            if run is not None:
                runs[run.id] = run
    waits = any(tick.state is TickState.WAITING for tick in ticks)
    newest = await store.rollouts.rollout(row.name) if waits else None
    return ScheduleLook(row=row, ticks=ticks, runs=runs, newest=newest, now_us=await store.now_us())


def _recurrence(seen: _Seen, row: ScheduleRow) -> Recurrence:
    if seen.recurrence is None or seen.recurrence[0] != row.body:
        seen.recurrence = (row.body, recurrence_of_row(row))
    return seen.recurrence[1]


def tell(decided: Firing) -> None:
    """Log what the store has let through: this process alone says it."""
    change = decided.change
    assert change is not None
    name = change.row.name
    skipped: dict[tuple[str, str], list[TickRow]] = {}
    for tick in (*change.fresh, *change.ticks):
        if tick.skipped is not None:
            skipped.setdefault((tick.skipped.value, tick.why or ""), []).append(tick)
        elif tick.state is TickState.ENDED:
            log.info("schedule.ended", schedule=name, tick=iso(tick.at_us), state=tick.why)
        elif tick.state in {TickState.DUE, TickState.QUEUED}:
            log.info("schedule.fired", schedule=name, tick=iso(tick.at_us), state=tick.state)
    for (reason, why), ticks in skipped.items():
        first, last = iso(ticks[0].at_us), iso(ticks[-1].at_us)
        log.warning(
            "schedule.skipped",
            schedule=name, reason=reason, why=why, ticks=len(ticks), first=first, last=last,
        )  # fmt: skip
    if decided.paused:
        assert change.row.paused is not None
        log.error("schedule.paused", schedule=name, why=change.row.paused.why)
