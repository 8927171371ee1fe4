"""Take live rollouts further: look, ask the rules, write down what they decide.

A duty of every worker.  Nobody is appointed to it: any worker may look at any moment, and the
store lets exactly one decision of each revision through, so a worker that dies here leaves
nothing behind.  What is decided, and why, is `jobs.rollouts.advancing`'s; nothing is kept in
memory but when to look again.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol

import structlog

from jobs.clock import Clock, seconds_to_us
from jobs.errors import IllegalTransitionError, PlugwaveError, StaleRevisionError, StoreError
from jobs.model import RolloutId, WorkerId, rollout_name
from jobs.rollout_states import LIVE_ROLLOUTS, RolloutEvent, RolloutState, WaveEvent
from jobs.rollouts.advancing import Decision, decide
from jobs.rollouts.course import Course
from jobs.rollouts.sight import Sight
from jobs.store.protocol import Store
from jobs.store.rollouts import Advance, LineStop, RolloutKind, RolloutRow
from worker.sighting import LINE, RolloutReader
from worker.undoing import carry_on, undo_by_itself

log = structlog.get_logger()

LOOK_EVERY_S: Final = 0.5
"""How often is asked whether a rollout has changed; one question, whatever their number."""

AGAIN_S: Final = 2.0
"""A rollout with jobs under way is looked at this often: a job that came back unsent changes no
tally, and is to be let go on or cancelled all the same."""

TROUBLE_S: Final = 30.0
"""A rollout on which our own code failed is left alone for this long."""


class Named(Protocol):
    """Whoever has a worker's id; see `worker.lease.WorkerLease`."""

    worker: WorkerId


@dataclass(slots=True)
class _Seen:
    """What this worker remembers of one rollout."""

    stamp: int | None = None
    again_us: int | None = None
    line: int = LINE
    rests: bool = False


class Conductor:
    """Looks at every live rollout when it has changed, or when its time has come."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        worker: Named,
        *,
        ended: Callable[[int], None] = lambda _: None,
    ) -> None:
        """Take the store, the clock, and whose id is written beside what is cancelled.

        *ended* hears of results in that name, so that their lines are written at once.
        """
        self._ended = ended
        self._store = store
        self._clock = clock
        self._worker = worker
        self._seen: dict[RolloutId, _Seen] = {}
        self._reader = RolloutReader(store, clock)
        self._stopped = False
        self._line: LineStop | None = None

    def stop(self) -> None:
        """Admit nothing more: this worker drains, and what it admits it would not claim."""
        self._stopped = True

    async def run(self) -> None:
        """Look until stopped.

        Raises:
            StoreError: When the store cannot be read or written any more.
        """
        while not self._stopped:
            await self.look()
            await self._clock.sleep(LOOK_EVERY_S)

    def halted(self) -> bool:
        """Whether somebody has stopped the whole line, as far as was looked."""
        return self._line is not None and self._line.stopped

    async def rests(self) -> bool:
        """Whether no live rollout would start a job now by itself, as far as it was looked at."""
        live = await self._store.rollouts.live_revisions()
        return all(
            (seen := self._seen.get(rollout)) is not None and seen.rests and seen.stamp == stamp
            for rollout, stamp in live.items()
        )

    async def look(self) -> None:
        """Look once at every live rollout that has changed or is due."""
        live = await self._store.rollouts.live_revisions()
        line = await self._store.rollouts.line()
        if line != self._line:
            self._line = line
            for seen in self._seen.values():
                seen.stamp = None
        for gone in self._seen.keys() - live.keys():
            del self._seen[gone]
        for rollout, stamp in live.items():
            seen = self._seen.setdefault(rollout, _Seen())
            now_us = self._clock.now_us()
            due = seen.again_us is not None and now_us >= seen.again_us
            if seen.stamp != stamp or due:
                seen.stamp = stamp
                await self._safely(rollout, seen)

    async def _safely(self, rollout: RolloutId, seen: _Seen) -> None:
        """Conduct one rollout; a bug in it stops neither the others nor the jobs."""
        try:
            await self._conduct(rollout, seen)
        except StaleRevisionError:
            seen.stamp = None  # somebody else has moved it on
        except StoreError:
            raise
        except Exception as error:
            if isinstance(error, PlugwaveError) and not isinstance(error, IllegalTransitionError):
                log.warning("rollout.troubled", rollout=rollout_name(rollout), error=str(error))
            else:
                log.exception("rollout.crashed", rollout=rollout_name(rollout))
            seen.again_us = self._clock.now_us() + seconds_to_us(TROUBLE_S)
            seen.rests = True

    async def _conduct(self, rollout: RolloutId, seen: _Seen) -> None:
        """Look, decide and write, until nothing more is to be done at this instant."""
        while not self._stopped:
            read = await self._reader.sight(rollout, seen.line)
            if read is None:
                seen.stamp = None
                return
            course, sight = read
            if await self._undoes_further(sight.row):
                continue
            decision = decide(course, sight)
            if decision.undo:
                await undo_by_itself(self._store.rollouts, sight.row, sight.now_us)
            if decision.change is not None:
                row = await self._store.rollouts.advance(self._signed(decision.change))
                if decision.change.cancel:
                    self._ended(decision.change.cancel)
                _tell(course, row, decision.change)
                if decision.loud is not None:
                    name = rollout_name(row.id)
                    log.error("rollout.glass_broken", rollout=name, what=decision.loud)
                if row.state not in LIVE_ROLLOUTS:
                    return
                continue
            if decision.short and len(sight.line) >= seen.line:
                seen.line *= 10
                continue
            self._remember(seen, sight, decision)
            return

    async def _undoes_further(self, row: RolloutRow) -> bool:
        """Take an undoing further that has no jobs yet; return whether it has them now."""
        if row.kind is not RolloutKind.ROLLBACK or row.state is not RolloutState.PLANNED:
            return False
        return (await carry_on(self._store.rollouts, row)).state is not RolloutState.PLANNED

    def _signed(self, change: Advance) -> Advance:
        return replace(change, worker=self._worker.worker) if change.cancel else change

    def _remember(self, seen: _Seen, sight: Sight, decision: Decision) -> None:
        again = [] if decision.again_us is None else [decision.again_us]
        planned = sight.row.state is RolloutState.PLANNED
        waits_for_another = planned and sight.row.kind is RolloutKind.ROLLBACK
        if sight.flying or waits_for_another:
            again.append(sight.now_us + seconds_to_us(AGAIN_S))
        seen.again_us = min(again, default=None)
        waits = {RolloutState.PLANNED, RolloutState.WAITING, RolloutState.PAUSED}
        seen.rests = sight.row.state in waits and not sight.flying and not waits_for_another


def _tell(course: Course, row: RolloutRow, change: Advance) -> None:
    """Log what the store has let through: this worker alone says it."""
    rollout = rollout_name(row.id)
    for step in change.waves:
        _tell_wave(rollout, course.waves[step.wave].name, step.event)
    for event, data in change.moves:
        _tell_move(rollout, row, event, data)
    if change.admit:
        log.debug("rollout.admitted", rollout=rollout, jobs=len(change.admit))


def _tell_wave(rollout: str, wave: str, event: WaveEvent) -> None:
    match event:
        case WaveEvent.OPENED | WaveEvent.REOPENED:
            log.info("wave.opened", rollout=rollout, wave=wave)
        case WaveEvent.ENDED:
            log.info("wave.ended", rollout=rollout, wave=wave)
        case WaveEvent.BAKED:
            log.info("wave.passed", rollout=rollout, wave=wave)
        case WaveEvent.BROKEN:
            log.error("wave.failed", rollout=rollout, wave=wave)
        case WaveEvent.EMPTIED:
            log.info("wave.skipped", rollout=rollout, wave=wave)
        case WaveEvent.REACHED:
            log.debug("wave.reached", rollout=rollout, wave=wave)


def _tell_move(rollout: str, row: RolloutRow, event: RolloutEvent, data: Mapping[str, Any]) -> None:
    match event:
        case RolloutEvent.OPENED:
            log.info("rollout.opened", rollout=rollout)
        case RolloutEvent.HELD:
            reasons = [hold["text"] for hold in data["holds"]]
            log.info("rollout.held", rollout=rollout, reasons=reasons)
        case RolloutEvent.PAUSED | RolloutEvent.ABORTED:
            log.error("rollout.stopped", rollout=rollout, by=data.get("by"), why=data.get("why"))
        case RolloutEvent.DRAINED if row.state is RolloutState.PAUSED:
            log.info("rollout.drained", rollout=rollout)
        case _:
            failed = sum(one.tally.failed + one.tally.unresolved for one in row.waves)
            ended = sum(one.tally.ended for one in row.waves)
            log.info("rollout.ended", rollout=rollout, state=row.state, jobs=ended, failed=failed)
