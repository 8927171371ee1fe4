"""What an advance, an order or a retry makes of a rollout: rules over values, for every engine.

Each takes the rollout as the engine has read it under its lock, and returns it as it is to be
written, with the lines of its record.  Nothing here reads or writes.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from jobs.errors import (
    BadRequestError,
    ConflictError,
    IllegalTransitionError,
    LineStoppedError,
    NothingMatchedError,
    RolloutHeldError,
    StaleRevisionError,
)
from jobs.model import RolloutId, rollout_name
from jobs.rollout_states import (
    LIVE_ROLLOUTS,
    STARTING_ROLLOUTS,
    WAVE_TRANSITIONS,
    RolloutEvent,
    RolloutState,
    WaveEvent,
    WaveState,
    next_rollout_state,
    next_wave_state,
)
from jobs.store.rollouts import (
    MOST_CANCELLED,
    Advance,
    LineOrdered,
    LineStop,
    Order,
    Ordered,
    OrderKind,
    RecordEntry,
    RolloutRow,
    WaveRow,
    Word,
)

PLANNED: Final = "planned"
APPROVED: Final = "approved"
RETRIED: Final = "retried"
"""Words of the record beside the events of the tables."""

SHORTEST_DIGEST: Final = 6

_WHOLE: Final = frozenset(
    {
        RolloutEvent.FINISHED,
        RolloutEvent.FINISHED_DAMAGED,
        RolloutEvent.RESTORED,
        RolloutEvent.RESTORED_PARTLY,
    }
)
"""Events that say something about every job."""

_EVENT_OF: Final[Mapping[OrderKind, RolloutEvent]] = {
    OrderKind.PAUSE: RolloutEvent.PAUSED,
    OrderKind.RESUME: RolloutEvent.RESUMED,
    OrderKind.ABORT: RolloutEvent.ABORTED,
}
_DONE_IN: Final[Mapping[OrderKind, frozenset[RolloutState]]] = {
    OrderKind.PAUSE: frozenset({RolloutState.PAUSING, RolloutState.PAUSED}),
    OrderKind.RESUME: STARTING_ROLLOUTS,
    OrderKind.ABORT: frozenset({RolloutState.ABORTING, RolloutState.ABORTED}),
}
"""The states in which an order has nothing left to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line for the record, before it has its number."""

    event: str
    wave: int | None = None
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Steered:
    """A rollout as it is to be written; ``waves`` are those of its waves that changed."""

    row: RolloutRow
    waves: Sequence[WaveRow] = ()
    lines: Sequence[Line] = ()


def told_by(word: Word) -> dict[str, str]:
    """Return a word as the record has it; what was not said is left out."""
    told = {"by": word.by, "why": word.why, "where": word.where}
    return {name: value for name, value in told.items() if value is not None}


def check_may_send(rollout: RolloutId, state: RolloutState) -> None:
    """Refuse the intent to send of a job whose rollout is in *state*.

    Raises:
        RolloutHeldError: If it is paused or aborting, or has ended.
    """
    if state not in STARTING_ROLLOUTS:
        raise RolloutHeldError(
            f"{rollout_name(rollout)} is {state}",
            resumable=state in {RolloutState.PAUSING, RolloutState.PAUSED},
            rollout=rollout,
            state=state,
        )


def check_line(line: LineStop) -> None:
    """Refuse any intent to send while the line is stopped.

    Raises:
        LineStoppedError: If it is.
    """
    if line.stopped:
        by = line.word.by if line.word is not None else "somebody"
        raise LineStoppedError(f"the line was stopped by {by}", by=by)


def line_ordered(line: LineStop, word: Word, *, stopped: bool, now_us: int) -> LineOrdered:
    """Return the line after an order; one that was never stopped goes on already."""
    if line.stopped is stopped:
        return LineOrdered(line=line, already=True)
    return LineOrdered(line=LineStop(stopped=stopped, word=word, at_us=now_us), already=False)


def advanced(row: RolloutRow, change: Advance, now_us: int) -> Steered:
    """Return the rollout after *change*; who is admitted or cancelled is the engine's part.

    Raises:
        StaleRevisionError: If it has another revision.
        IllegalTransitionError: If a table has no such move, or it comes too early.
        NothingMatchedError: If it has no such wave.
        ValueError: If the change itself makes no sense.
    """
    if change.rev != row.rev:
        name = rollout_name(row.id)
        raise StaleRevisionError(
            f"{name} is at revision {row.rev}, not {change.rev}", rollout=row.id, rev=row.rev
        )
    _check_cancelling(change)
    waves = {wave.n: wave for wave in row.waves}
    lines: list[Line] = []
    for step in change.waves:
        waves[step.wave] = _moved(_wave(waves, step.wave), step.event, now_us, step.facts)
        lines.append(Line(event=step.event, wave=step.wave, data=step.facts))
    for event, data in change.moves:
        row = _turned(row, event, now_us)
        lines.append(Line(event=event, data=data))
    facts = row.facts if change.facts is None else change.facts
    row = replace(row, facts=facts, rev=row.rev + 1, waves=tuple(waves.values()))
    if change.admit and row.state not in STARTING_ROLLOUTS:
        raise IllegalTransitionError(
            f"{rollout_name(row.id)} admits no job while it is {row.state}", state=row.state
        )
    touched = {step.wave for step in change.waves}
    return Steered(row=row, waves=[waves[n] for n in sorted(touched)], lines=lines)


def _check_cancelling(change: Advance) -> None:
    if not 0 <= change.cancel <= MOST_CANCELLED:
        raise ValueError(f"cancel is a number up to {MOST_CANCELLED}")
    if change.cancel and change.worker is None:
        raise ValueError("who cancels jobs names the worker that writes their result lines")


def _wave(waves: Mapping[int, WaveRow], n: int | None) -> WaveRow:
    if n is None or n not in waves:
        raise NothingMatchedError(
            f"the rollout has no wave {n}", do=f"name a wave from 0 to {len(waves) - 1}", wave=n
        )
    return waves[n]


def _moved(wave: WaveRow, event: WaveEvent, now_us: int, facts: Mapping[str, Any]) -> WaveRow:
    state = next_wave_state(wave.state, event)
    opened_us = wave.opened_us
    if state is WaveState.RUNNING and opened_us is None:
        opened_us = now_us
    return replace(wave, state=state, opened_us=opened_us, facts=facts)


def _turned(row: RolloutRow, event: RolloutEvent, now_us: int) -> RolloutRow:
    state = next_rollout_state(row.state, event)
    if event is RolloutEvent.APPLIED:
        _check_written(row)
    started_us = row.started_us
    if state is RolloutState.RUNNING and started_us is None:
        started_us = now_us
    finished_us = None if state in LIVE_ROLLOUTS else now_us
    return replace(row, state=state, started_us=started_us, finished_us=finished_us)


def _check_written(row: RolloutRow) -> None:
    written = sum(wave.written for wave in row.waves)
    size = sum(wave.tally.size for wave in row.waves)
    if written != size:
        raise IllegalTransitionError(
            f"only {written} of {size} jobs of {rollout_name(row.id)} are written down",
            state=row.state,
        )


def check_end(change: Advance, row: RolloutRow, *, idle: bool) -> None:
    """Refuse an end that comes too early.

    Args:
        change: What was asked for.
        row: The rollout as it would be, with the tallies as they are now.
        idle: Whether jobs of it are left that nobody has in hand.

    Raises:
        IllegalTransitionError: If jobs would be left behind for which nobody cares.
    """
    if row.state in LIVE_ROLLOUTS or not change.moves:
        return
    ended = all(wave.tally.ended == wave.written for wave in row.waves)
    if idle or (not ended and any(event in _WHOLE for event, _ in change.moves)):
        raise IllegalTransitionError(
            f"{rollout_name(row.id)} cannot be {row.state}: some of its jobs have not ended",
            state=row.state,
        )


def check_admitted(row: RolloutRow, waves: Collection[int]) -> None:
    """Refuse to admit jobs of waves that do not run.

    Raises:
        IllegalTransitionError: If one of *waves* may not start jobs.
    """
    running = {wave.n for wave in row.waves if wave.state is WaveState.RUNNING}
    closed = sorted(set(waves) - running)
    if closed:
        raise IllegalTransitionError(
            f"wave {closed[0]} of {rollout_name(row.id)} admits no job: it does not run",
            wave=closed[0],
        )


def ordered(row: RolloutRow, order: Order, now_us: int) -> Steered | None:
    """Return the rollout after *order*, None when it was ordered before.

    Raises:
        IllegalTransitionError: If its state does not allow it.
        NothingMatchedError: If an approval names a wave that is not there.
        ConflictError: If an approval names another plan.
        BadRequestError: If an approval names no wave, or too short a digest.
    """
    if order.kind is OrderKind.APPROVE:
        return _approved(row, order, now_us)
    if row.state in _DONE_IN[order.kind]:
        return None
    _check_live(row, order.kind)
    event = _EVENT_OF[order.kind]
    row = _asked(_turned(row, event, now_us), order, now_us)
    return Steered(row=row, lines=[Line(event=event, data=told_by(order.word))])


def _check_live(row: RolloutRow, kind: OrderKind) -> None:
    if row.state not in LIVE_ROLLOUTS:
        raise IllegalTransitionError(
            f"{rollout_name(row.id)} has ended as {row.state}: nothing is left to {kind}",
            state=row.state,
        )


def _asked(row: RolloutRow, order: Order, now_us: int) -> RolloutRow:
    asked = {"asked": order.word, "asked_kind": order.kind, "asked_us": now_us}
    return replace(row, rev=row.rev + 1, **asked)  # type: ignore[arg-type]  # three fields by name


def _approved(row: RolloutRow, order: Order, now_us: int) -> Steered | None:
    if order.wave is None:
        raise BadRequestError("an approval names the wave that may go on")
    waves = {wave.n: wave for wave in row.waves}
    wave = _wave(waves, order.wave)
    _check_live(row, order.kind)
    if order.digest is not None:
        check_digest(order.digest)
        if not row.plan.startswith(order.digest):
            raise ConflictError(
                f"{rollout_name(row.id)} has another plan than the one that is approved",
                do="look at the plan of the rollout, and approve that one",
                plan=row.plan,
            )
    if wave.approved is not None:
        return None
    wave = replace(wave, approved=order.word, approved_us=now_us)
    waves[wave.n] = wave
    row = _asked(replace(row, waves=tuple(waves.values())), order, now_us)
    told = {**told_by(order.word), "plan": row.plan}
    return Steered(row=row, waves=[wave], lines=[Line(event=APPROVED, wave=wave.n, data=told)])


def check_digest(beginning: str) -> None:
    """Refuse the beginning of a digest that is too short to mean anything.

    Raises:
        BadRequestError: If it is.
    """
    if len(beginning) < SHORTEST_DIGEST:
        raise BadRequestError(f"name a plan by at least {SHORTEST_DIGEST} characters of its digest")


def ordered_before(row: RolloutRow, order: Order, record: Sequence[RecordEntry]) -> Ordered:
    """Return the answer to an order that has nothing left to do."""
    if order.kind is OrderKind.APPROVE:
        wave = next(wave for wave in row.waves if wave.n == order.wave)
        return Ordered(row=row, already=wave.approved, already_us=wave.approved_us)
    event = _EVENT_OF[order.kind]
    said = [entry for entry in record if entry.event == event and entry.wave is None]
    if not said:
        return Ordered(row=row)
    data = said[-1].data
    why, where = (None if data.get(name) is None else str(data[name]) for name in ("why", "where"))
    word = Word(by=str(data.get("by") or rollout_name(row.id)), why=why, where=where)
    return Ordered(row=row, already=word, already_us=said[-1].at_us)


def retried(row: RolloutRow, jobs: Mapping[int, int], word: Word, now_us: int) -> Steered:
    """Return the rollout whose waves get *jobs* (how many, by wave) into their lines again.

    Raises:
        IllegalTransitionError: If its state does not allow it.
    """
    lines = [
        Line(event=RETRIED, wave=n, data={**told_by(word), "jobs": count})
        for n, count in sorted(jobs.items())
    ]
    if row.state in {RolloutState.PLANNED, RolloutState.ABORTING}:
        raise IllegalTransitionError(
            f"nothing of {rollout_name(row.id)} is tried again while it is {row.state}",
            state=row.state,
        )
    if row.state not in LIVE_ROLLOUTS:
        row = _turned(row, RolloutEvent.RESUMED, now_us)
        lines.append(Line(event=RolloutEvent.RESUMED, data=told_by(word)))
    waves = {wave.n: wave for wave in row.waves}
    changed = []
    for n in sorted(jobs):
        if WaveEvent.REOPENED in WAVE_TRANSITIONS[waves[n].state]:
            waves[n] = _moved(waves[n], WaveEvent.REOPENED, now_us, waves[n].facts)
            changed.append(waves[n])
            lines.append(Line(event=WaveEvent.REOPENED, wave=n))
    row = replace(row, rev=row.rev + 1, waves=tuple(waves.values()))
    return Steered(row=row, waves=changed, lines=lines)
