"""What a schedule does next: one look at it becomes ticks with their fates, and what to do now.

A pure function: the same schedule, ticks, rollouts and time always give the same decision, so
that any worker may take it.  It never waits, reads or writes; `worker.scheduler` does.

A schedule has at most one tick that is DUE or STARTED; others wait behind it, by its policy.
A plan that waits for a person is no run yet: a newer tick, whose plan is fresher, takes its
place under every policy.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from jobs.clock import seconds_to_us
from jobs.model import RolloutId, rollout_name
from jobs.rollout_states import LIVE_ROLLOUTS, RolloutState
from jobs.rollouts.recurrence import Recurrence
from jobs.rollouts.ticks import Overlap, due_ticks, due_us, next_due_us
from jobs.rollouts.verdicts import stopped_by
from jobs.schedule_states import Skipped, TickEvent, TickState, next_tick_state
from jobs.store.rollouts import RolloutRow, Word
from jobs.store.schedules import ScheduleChange, ScheduleRow, TickRow

WELL: Final = frozenset({RolloutState.SUCCEEDED, RolloutState.SUPERSEDED})
"""Ends that are no failure: of one that was replaced nobody knows how it would have ended."""

MINUTE_US: Final = 60_000_000
ALIVE: Final = frozenset({TickState.QUEUED, TickState.DUE, TickState.STARTED})
RUNS: Final = frozenset({TickState.DUE, TickState.STARTED})


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleLook:
    """A schedule as it is now.

    Attributes:
        ticks: Those that have still a future, oldest first.
        runs: The rollouts of the started ones.
        newest: The newest rollout that has the schedule's name; whose plan it has tells
            whether a person applied what waits.
    """

    row: ScheduleRow
    ticks: Sequence[TickRow]
    runs: Mapping[RolloutId, RolloutRow]
    newest: RolloutRow | None
    now_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Firing:
    """What one look decided.

    Attributes:
        change: What is to be written; None when nothing moves.
        paused: The schedule paused itself with this change.
        take: Ticks that nobody works on and somebody should, by their time.
        replace: The rollout that a newer tick takes over from.
        again_us: When to look again although nothing changes; None for never.
        follows: Whether something is under way that ends without telling the schedule.
    """

    change: ScheduleChange | None = None
    paused: bool = False
    take: tuple[int, ...] = ()
    replace: RolloutId | None = None
    again_us: int | None = None
    follows: bool = False


def fire(recurrence: Recurrence, look: ScheduleLook) -> Firing:
    """Say what the schedule does next."""
    now = _Now(recurrence, look)
    now.settle()
    now.let_tick()
    now.drop()
    now.turn()
    return now.firing()


def run_now(recurrence: Recurrence, look: ScheduleLook, word: Word) -> ScheduleChange:
    """Return the tick that a person asks for at this moment; a pause does not hold it."""
    now = _Now(recurrence, look)
    taken = [tick.at_us for tick in look.ticks]
    # Never the instant of a tick of the clock, which are whole minutes.
    now_us = look.now_us + (look.now_us % MINUTE_US == 0)
    at_us = max([now_us, *(one + 1 for one in taken)])
    grace_us = seconds_to_us(recurrence.timing.misfire_grace_s)
    now.meet(TickRow(at_us=at_us, state=TickState.DUE, until_us=at_us + grace_us, manual=word))
    change = now.firing().change
    assert change is not None
    return change


def paused_by(row: ScheduleRow, word: Word, now_us: int) -> ScheduleRow:
    """Return the schedule as a person pauses it."""
    return replace(row, paused=word, paused_us=now_us)


def resumed(row: ScheduleRow) -> ScheduleRow:
    """Return the schedule as a person resumes it: failures are counted anew."""
    return replace(row, paused=None, paused_us=None, failures=0)


@dataclass(slots=True)
class _Changes:
    fresh: dict[int, TickRow] = field(default_factory=dict)
    known: dict[int, TickRow] = field(default_factory=dict)


class _Now:
    """One look, taken apart into its steps."""

    def __init__(self, recurrence: Recurrence, look: ScheduleLook) -> None:
        self._recurrence = recurrence
        self._look = look
        self._row = look.row
        self._ticks = {tick.at_us: tick for tick in look.ticks}
        self._changes = _Changes()
        self._late: int | None = None

    def _in(self, *states: TickState) -> list[TickRow]:
        return [tick for tick in self._ticks.values() if tick.state in states]

    def _set(self, tick: TickRow, event: TickEvent, **facts: Any) -> None:  # noqa: ANN401 - fields by name
        state = next_tick_state(tick.state, event)
        self._keep(replace(tick, state=state, holder=None, held_until_us=0, **facts))

    def _keep(self, tick: TickRow) -> None:
        is_fresh = tick.at_us not in {one.at_us for one in self._look.ticks}
        changes = self._changes.fresh if is_fresh else self._changes.known
        changes[tick.at_us] = self._ticks[tick.at_us] = tick

    # What became of the runs.

    def settle(self) -> None:
        """See which runs are over, which have failed, and which a person has begun."""
        for tick in self._in(TickState.STARTED):
            assert tick.rollout is not None
            run = self._look.runs.get(tick.rollout)
            if run is None or run.state not in LIVE_ROLLOUTS:
                self._over(tick, run)
            elif stopped_by(run) is not None and not tick.bad:
                self._failed(f"{rollout_name(run.id)} was stopped: {stopped_by(run)}")
                self._keep(replace(tick, bad=True))
        newest = self._look.newest
        for tick in self._in(TickState.WAITING):
            if newest is not None and newest.plan == tick.plan and newest.created_us >= tick.at_us:
                self._set(tick, TickEvent.BEGUN, rollout=newest.id, why=None)

    def _over(self, tick: TickRow, run: RolloutRow | None) -> None:
        state = None if run is None else run.state
        bad = state is not None and state not in WELL
        if state is RolloutState.SUCCEEDED:
            self._row = replace(self._row, failures=0)
        elif bad and not tick.bad:
            assert run is not None
            self._failed(f"{rollout_name(run.id)} ended {run.state}")
        why = "its rollout is not there any more" if state is None else state.value
        self._set(tick, TickEvent.OVER, why=why, bad=bad or tick.bad)

    def _failed(self, what: str) -> None:
        failures = self._row.failures + 1
        self._row = replace(self._row, failures=failures)
        limit = self._recurrence.pause_after
        if limit is not None and failures >= limit and self._row.paused is None:
            many = "" if failures == 1 else f"; {failures} in a row ended badly"
            word = Word(by=f"schedule {self._row.name}", why=f"{what}{many}")
            self._row = paused_by(self._row, word, self._look.now_us)

    # What the clock says.

    def let_tick(self) -> None:
        """Give every tick that is due its fate."""
        timing, name = self._recurrence.timing, self._row.name
        due = due_ticks(timing, name, last_us=self._row.last_us, now_us=self._look.now_us)
        for one in due:
            fires_us = due_us(timing, name, one.at_us)
            until_us = fires_us + seconds_to_us(timing.misfire_grace_s)
            tick = TickRow(at_us=one.at_us, state=TickState.DUE, until_us=until_us, late=one.late)
            if self._row.paused is not None:
                self._drop(tick, Skipped.PAUSED, paused_words(self._row))
            elif one.skipped is not None:
                self._drop(tick, one.skipped, _MISSED_WORDS[one.skipped])
            else:
                self.meet(tick)
        if due:
            self._row = replace(self._row, last_us=due[-1].at_us)

    def meet(self, tick: TickRow) -> None:
        """Let a tick meet what is there of those before it."""
        for waiting in self._in(TickState.WAITING):
            self._drop(waiting, Skipped.SUPERSEDED, "a newer tick has a newer plan")
        alive = self._in(*ALIVE)
        overlap = self._recurrence.overlap
        if not alive:
            self._keep(tick)
        elif tick.late and (overlap is not Overlap.SKIP or all(one.late for one in alive)):
            self._keep(replace(tick, state=TickState.QUEUED))
        elif overlap is Overlap.SKIP:
            self._drop(tick, Skipped.OVERLAP, _alive_words(alive[0]))
        else:
            for queued in self._in(TickState.QUEUED):
                if overlap is Overlap.REPLACE or not queued.late:
                    self._drop(queued, Skipped.SUPERSEDED, "a newer tick took its place")
            self._keep(replace(tick, state=TickState.QUEUED))

    def _drop(self, tick: TickRow, why: Skipped, text: str) -> None:
        self._set(tick, TickEvent.DROPPED, skipped=why, why=text)

    # What nobody has begun.

    def drop(self) -> None:
        """Drop what may not, or can no longer, be begun; a tick that has its plan is begun."""
        if self._row.paused is not None:
            idle = [*self._in(TickState.QUEUED), *self._unplanned()]
            for tick in idle:
                if tick.manual is None:
                    self._drop(tick, Skipped.PAUSED, paused_words(self._row))
        for tick in self._unplanned():
            if self._look.now_us > tick.until_us:
                why = tick.why or "no worker took it up"
                self._drop(tick, Skipped.MISSED, f"it could not be planned in time: {why}")

    def _unplanned(self) -> list[TickRow]:
        return [
            tick
            for tick in self._in(TickState.DUE)
            if tick.plan is None and not tick.held_at(self._look.now_us)
        ]

    def turn(self) -> None:
        """Let the first in the queue go on when the run before it is over."""
        queue = sorted(self._in(TickState.QUEUED), key=lambda tick: tick.at_us)
        if queue and not self._in(*RUNS):
            grace_us = seconds_to_us(self._recurrence.timing.misfire_grace_s)
            self._set(queue[0], TickEvent.TURNED, until_us=self._look.now_us + grace_us)

    # What follows.

    def firing(self) -> Firing:
        """Return what was decided."""
        before, row = self._look.row, self._row
        changes = self._changes
        change = None
        if changes.fresh or changes.known or row != before:
            change = ScheduleChange(
                row=row, ticks=tuple(changes.known.values()), fresh=tuple(changes.fresh.values())
            )
        due = self._in(TickState.DUE)
        free = [
            tick.at_us
            for tick in due
            if not tick.held_at(self._look.now_us) and tick.next_us <= self._look.now_us
        ]
        return Firing(
            change=change,
            paused=row.paused is not None and before.paused is None,
            take=tuple(free),
            replace=self._replaced(),
            again_us=self._again_us(due),
            follows=bool(self._in(TickState.STARTED, TickState.WAITING)),
        )

    def _replaced(self) -> RolloutId | None:
        newer = any(not tick.late for tick in self._in(TickState.QUEUED))
        if self._recurrence.overlap is not Overlap.REPLACE or not newer:
            return None
        for tick in self._in(TickState.STARTED):
            run = None if tick.rollout is None else self._look.runs.get(tick.rollout)
            if run is not None and run.state in LIVE_ROLLOUTS - {RolloutState.ABORTING}:
                return run.id
        return None

    def _again_us(self, due: Sequence[TickRow]) -> int | None:
        again = [next_due_us(self._recurrence.timing, self._row.name, last_us=self._row.last_us)]
        for tick in due:
            if tick.held_at(self._look.now_us):
                again.append(tick.held_until_us)
            else:
                again.append(max(tick.next_us, self._look.now_us))
        return min((one for one in again if one is not None), default=None)


_MISSED_WORDS: Final = {
    Skipped.MISSED: "no scheduler was there in time",
    Skipped.CAUGHT_UP: "a newer missed tick is run instead",
}


def paused_words(row: ScheduleRow) -> str:
    """Return who paused the schedule, and why."""
    assert row.paused is not None
    why = "" if row.paused.why is None else f": {row.paused.why}"
    return f"the schedule was paused by {row.paused.by}{why}"


def _alive_words(tick: TickRow) -> str:
    if tick.rollout is None:
        return "the tick before it has not ended"
    return f"{rollout_name(tick.rollout)} of the tick before it has not ended"
