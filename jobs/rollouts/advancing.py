"""What a rollout does next: one look at it becomes moves, jobs that start, and what holds.

A pure function: the same plan, row, jobs and time always give the same decision, so that any
worker may take it, a rehearsal runs the same rules, and a resume is a replay.  It never waits,
reads or writes; `worker.conductor` does.

Waves go on in their order.  Rules are looked at first: what trips stops the rollout with its
name and numbers in the record, whatever else was due.  Nothing is cut short; what is in flight
ends by itself.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from jobs.clock import seconds_to_us
from jobs.rollout_states import (
    LIVE_ROLLOUTS,
    STARTING_ROLLOUTS,
    RolloutEvent,
    RolloutState,
    WaveEvent,
    WaveState,
    next_rollout_state,
    next_wave_state,
)
from jobs.rollouts.admitting import RAMP, Admission, admit
from jobs.rollouts.course import Course, WaveCourse
from jobs.rollouts.gates import (
    SUBMITTER,
    GateAnswer,
    GateLook,
    Hold,
    approvals_of,
    bake_holds,
    glass_is_broken,
    glass_text,
    line_hold,
    look_at_gates,
)
from jobs.rollouts.halts import drift_facts, stop_facts
from jobs.rollouts.sight import (
    ACCEPTED,
    THROUGH,
    Counts,
    Sight,
    accepted_now,
    counts,
    in_hand,
    turn,
    turned_bad,
)
from jobs.rollouts.stopping import verdict
from jobs.states import WaitReason
from jobs.store.rollouts import GLASS, MOST_CANCELLED, Advance, RolloutKind, WaveMove, WaveRow

STOPPED: Final = "stop"
"""Under this fact: the rule that stopped the rollout, until a person resumes it."""

ENDING: Final = "ending"
"""Under this fact: why it is being wound up, when no person ordered that."""

UNDO: Final = "undo"
"""Under this fact: that the rollout is to be undone once nothing of it is in flight."""

EXPIRED: Final = "expired"
SUPERSEDED: Final = "superseded"
"""Why: its time is over, or a newer rollout takes its place."""

_ENDS_BY: Final = {EXPIRED: RolloutEvent.LAPSED, SUPERSEDED: RolloutEvent.REPLACED}
RULE: Final = "rule"
ASKED: Final = "asked_us"
ENDED: Final = "ended_us"


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What one look decided.

    Attributes:
        change: What is to be written; None when nothing moves.
        holds: What holds the rollout now, the first thing first.
        again_us: When to look again although nothing changes; None for never.
        short: Whether jobs further back in the line might have had room.
        undo: Whether the rollout's undoing is to be there before the change is made.
        loud: What everybody must hear of once this is written; None for nothing.
    """

    change: Advance | None = None
    holds: tuple[Hold, ...] = ()
    again_us: int | None = None
    short: bool = False
    undo: bool = False
    loud: str | None = None


def decide(course: Course, sight: Sight) -> Decision:
    """Say what the rollout does next."""
    state = sight.row.state
    if state not in LIVE_ROLLOUTS:
        return Decision()
    if state is RolloutState.ABORTING:
        return _winding_up(sight)
    look = _Look(course, sight)
    lapses_us = _lapses_us(sight)
    if lapses_us is not None and sight.now_us >= lapses_us:
        look.expire("its time is over")
    elif state is RolloutState.PAUSING:
        if not any(in_hand(job) for job in sight.flying):
            look.move(RolloutEvent.DRAINED)
    elif state in STARTING_ROLLOUTS:
        look.go_on()
    return look.decision(lapses_us)


def _lapses_us(sight: Sight) -> int | None:
    """Return when the rollout expires: as a whole, or as a pause that nobody ends."""
    ends = [sight.row.expires_us]
    stop = sight.row.facts.get(STOPPED)
    if stop is not None and sight.row.state is RolloutState.PAUSED:
        ends.append(stop["until_us"])
    return min((one for one in ends if one is not None), default=None)


def _winding_up(sight: Sight) -> Decision:
    """Cancel what has not started, and end when nothing is in flight any more."""
    row = sight.row
    idle = len(sight.line) + sum(not in_hand(job) for job in sight.flying)
    if idle:
        cancel = min(idle, MOST_CANCELLED)
        return Decision(change=Advance(rollout=row.id, rev=row.rev, cancel=cancel))
    if sight.flying:
        text = f"{len(sight.flying)} jobs under way end; the cloud cannot take them back"
        return Decision(holds=(Hold(reason=WaitReason.PAUSED, text=text),))
    waves = [WaveMove(wave=one.n, event=event) for one in row.waves for event in _closing(one)]
    event = _ENDS_BY.get(str(row.facts.get(ENDING)), RolloutEvent.DRAINED)
    if event is RolloutEvent.LAPSED and row.kind is RolloutKind.ROLLBACK:
        event = RolloutEvent.RESTORED_PARTLY
    change = Advance(rollout=row.id, rev=row.rev, waves=waves, moves=[(event, {})])
    return Decision(change=change, undo=UNDO in row.facts)


def _closing(wave: WaveRow) -> Sequence[WaveEvent]:
    """Return the move of a wave whose rollout ends before it is through."""
    if wave.state in {WaveState.PENDING, WaveState.GATED}:
        return [WaveEvent.EMPTIED]
    if wave.state in {WaveState.RUNNING, WaveState.BAKING}:
        return [WaveEvent.BROKEN]
    return []


@dataclass(slots=True)
class _WaveNow:
    """A wave as it is after the moves so far."""

    state: WaveState
    facts: dict[str, Any] = field(default_factory=dict)


class _Look:
    """One look at a rollout that may start jobs, taken apart into its steps."""

    def __init__(self, course: Course, sight: Sight) -> None:
        self._course = course
        self._sight = sight
        self._now_us = sight.now_us
        self._state = sight.row.state
        self._waves = [_WaveNow(one.state, dict(one.facts)) for one in sight.row.waves]
        self._facts: dict[str, Any] = dict(sight.row.facts)
        self._moves: list[tuple[RolloutEvent, Mapping[str, Any]]] = []
        self._wave_moves: list[WaveMove] = []
        self._holds: list[Hold] = []
        self._again: list[int] = []
        self._admission = Admission()
        self._loud: str | None = None

    def move(self, event: RolloutEvent, data: Mapping[str, Any] | None = None) -> None:
        """Move the rollout."""
        self._state = next_rollout_state(self._state, event)
        self._moves.append((event, data or {}))

    def _move_wave(self, n: int, event: WaveEvent, facts: Mapping[str, Any] | None = None) -> None:
        """Move a wave; *facts* are kept beside those it has."""
        wave = self._waves[n]
        wave.state = next_wave_state(wave.state, event)
        wave.facts = {**wave.facts, **(facts or {})}
        self._wave_moves.append(WaveMove(wave=n, event=event, facts=wave.facts))

    def expire(self, why: str) -> None:
        """End the rollout: what has not started never does."""
        self._facts[ENDING] = EXPIRED
        self._undo()
        self.move(RolloutEvent.ABORTED, {"by": "the plan", "why": why})

    def go_on(self) -> None:
        """Take the rollout as far as it goes now."""
        self._accept()
        self._tell_glass()
        first = turn(self._sight.row)
        if first is not None:
            counted = counts(self._course, self._sight, first.n, self._facts)
            stop = verdict(self._course.waves[first.n].rules, counted.wave, counted.rollout)
            if stop is not None:
                self._stop(first.n, stop_facts(stop, self._course.waves[first.n], self._now_us))
                return
            drifted = turned_bad(self._sight.row, self._facts)
            if drifted is not None:
                told = drift_facts(self._course.waves[drifted.n], drifted, self._now_us)
                self._stop(first.n, told, pauses=True)
                return
        if self._through_waves():
            self._finish()

    def _tell_glass(self) -> None:
        """Let it be told once, and loudly, that windows and freezes hold the rollout no longer."""
        if glass_is_broken(self._facts) and not self._facts[GLASS].get("told"):
            self._loud = glass_text(self._facts)
            self._facts[GLASS] = {**self._facts[GLASS], "told": True}

    def _accept(self) -> None:
        """After a stop that a person has resumed: count anew, and reopen the broken wave."""
        if self._facts.pop(STOPPED, None) is not None:
            self._facts[ACCEPTED] = accepted_now(self._sight.row)
        for n, wave in enumerate(self._waves):
            if wave.state is WaveState.FAILED:
                self._move_wave(n, WaveEvent.REOPENED)

    def _stop(self, wave: int, told: dict[str, Any], *, pauses: bool = False) -> None:
        until_us = self._now_us + seconds_to_us(self._course.on_stop.expires)
        self._facts[STOPPED] = {**told, "until_us": until_us}
        if pauses:  # no rule of the manifest: nothing that it asks for follows
            self.move(RolloutEvent.PAUSED, told)
            return
        if self._waves[wave].state in {WaveState.RUNNING, WaveState.BAKING}:
            self._move_wave(wave, WaveEvent.BROKEN, {RULE: told})
        self._undo()
        if UNDO in self._facts or self._course.on_stop.do == "abort":
            self.move(RolloutEvent.ABORTED, told)
        else:
            self.move(RolloutEvent.PAUSED, told)

    def _undo(self) -> None:
        """Note that what was done is undone, where the manifest says so; an undoing never is."""
        started = any(one.tally.admitted for one in self._sight.row.waves)
        if self._course.undoes and started and self._sight.row.kind is RolloutKind.ROLLOUT:
            self._facts[UNDO] = True

    def _through_waves(self) -> bool:
        """Take each wave as far as it goes; return whether all are through."""
        for wave, now in zip(self._course.waves, self._waves, strict=True):
            if now.state in THROUGH:
                continue
            if not self._through(wave):
                return False
        return True

    def _through(self, wave: WaveCourse) -> bool:
        """Take one wave as far as it goes; return whether the next one has its turn."""
        now = self._waves[wave.n]
        if now.state is WaveState.PENDING:
            if not self._sight.row.waves[wave.n].tally.size:
                self._move_wave(wave.n, WaveEvent.EMPTIED)
                return True
            self._move_wave(wave.n, WaveEvent.REACHED, {ASKED: self._sight.now_us})
        if now.state is WaveState.GATED and not self._opens(wave):
            return False
        if now.state is WaveState.RUNNING and not self._runs_out(wave):
            return False
        return self._bakes_out(wave)

    def _gates(
        self, wave: WaveCourse, asked_us: int, *, after: bool, asks: bool = True
    ) -> GateAnswer:
        look = GateLook(
            wave=wave,
            asked_us=asked_us,
            approvals=approvals_of(wave, self._sight.row.waves[wave.n], after=after),
            submitter=self._facts.get(SUBMITTER),
            now_us=self._sight.now_us,
            asks=asks,
        )
        return look_at_gates(look, wave.after if after else wave.before)

    def _opens(self, wave: WaveCourse) -> bool:
        asked_us = self._waves[wave.n].facts.get(ASKED, self._sight.now_us)
        answer = self._gates(wave, asked_us, after=False)
        if not answer.holds:
            self._move_wave(wave.n, WaveEvent.OPENED)
            return True
        self._wait(answer.holds, answer.lapses_us)
        return False

    def _runs_out(self, wave: WaveCourse) -> bool:
        """Let jobs of the running wave start; return whether its last one has ended."""
        sight = self._sight
        tally = sight.row.waves[wave.n].tally
        flies = any(job.wave == wave.n for job in sight.flying)
        if tally.ended >= tally.size and not flies:
            ended_us = sight.row.waves[wave.n].ended_us or sight.now_us
            self._move_wave(wave.n, WaveEvent.ENDED, {ENDED: ended_us})
            return True
        first = turn(sight.row)
        if first is None or first.n != wave.n:
            self._again.append(sight.now_us)  # its line was not read
            self._open()
            return False
        self._start(wave, counts(self._course, sight, wave.n, self._facts))
        return False

    def _start(self, wave: WaveCourse, counted: Counts) -> None:
        if self._sight.line_stop.stopped:
            self._wait((line_hold(self._sight.line_stop),), None)
            return
        found = admit(self._course, self._sight, wave, counted, self._facts.get(RAMP))
        self._admission = found
        if found.ramp is not None and (found.jobs or RAMP not in self._facts):
            self._facts[RAMP] = dict(found.ramp)
        self._holds += found.holds
        if found.closed:
            self._wait((), None)
        else:
            self._open()

    def _bakes_out(self, wave: WaveCourse) -> bool:
        row = self._sight.row
        facts = self._waves[wave.n].facts
        ended_us = facts.get(ENDED) or row.waves[wave.n].ended_us or self._sight.now_us
        ended = sum(one.tally.ended for one in row.waves)
        holds = bake_holds(wave, ended_us=ended_us, ended=ended, now_us=self._sight.now_us)
        # A person is asked once there is nothing more to see, or nothing but time is left.
        asks = all(hold.until_us is not None for hold in holds)
        answer = self._gates(wave, ended_us, after=True, asks=asks)
        if not holds and not answer.holds:
            self._move_wave(wave.n, WaveEvent.BAKED)
            return True
        self._wait((*holds, *answer.holds), answer.lapses_us)
        return False

    def _open(self) -> None:
        if self._state is RolloutState.WAITING:
            self.move(RolloutEvent.OPENED)

    def _wait(self, holds: Sequence[Hold], lapses_us: int | None) -> None:
        self._holds += holds
        if lapses_us is not None:
            self._again.append(lapses_us)
            if self._sight.now_us >= lapses_us:
                self.expire("an approval was not given in time")
                return
        if self._state is RolloutState.RUNNING:
            told = [{"reason": one.reason.value, "text": one.text} for one in self._holds]
            self.move(RolloutEvent.HELD, {"holds": told})

    def _finish(self) -> None:
        tallies = [one.tally for one in self._sight.row.waves]
        bad = (one.failed + one.unresolved + one.cancelled + one.late for one in tallies)
        whole = not any(bad)
        if self._sight.row.kind is RolloutKind.ROLLBACK:
            whole = whole and not any(one.skipped for one in tallies)  # changed by others since
            self.move(RolloutEvent.RESTORED if whole else RolloutEvent.RESTORED_PARTLY)
        else:
            self.move(RolloutEvent.FINISHED if whole else RolloutEvent.FINISHED_DAMAGED)

    def decision(self, lapses_us: int | None) -> Decision:
        """Return what was decided."""
        row = self._sight.row
        jobs = tuple(self._admission.jobs)
        facts = self._facts if self._facts != row.facts else None
        change = None
        if self._moves or self._wave_moves or jobs or facts is not None:
            change = Advance(
                rollout=row.id,
                rev=row.rev,
                waves=tuple(self._wave_moves),
                moves=tuple(self._moves),
                admit=jobs,
                facts=facts,
            )
        again = [one.until_us for one in self._holds if one.until_us is not None]
        again += self._again
        if lapses_us is not None:
            again.append(lapses_us)
        return Decision(
            change=change,
            holds=tuple(self._holds),
            again_us=min(again, default=None),
            short=self._admission.short,
            loud=self._loud,
        )
