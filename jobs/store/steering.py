"""What an advance or a retry makes of a rollout: rules over values, for every engine.

Each takes the rollout as the engine has read it under its lock, and returns it as it is to be
written, with the lines of its record.  Nothing here reads or writes.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from jobs.errors import (
    BadRequestError,
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
from jobs.store.rollout_values import told_by
from jobs.store.rollouts import (
    MOST_CANCELLED,
    Advance,
    LineOrdered,
    LineStop,
    PlannedJob,
    RolloutRow,
    WaveRow,
    Word,
)

PLANNED: Final = "planned"
RETRIED: Final = "retried"
JOINED: Final = "joined"
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
        waves[step.wave] = _moved(wave_of(waves, step.wave), step.event, now_us, step.facts)
        lines.append(Line(event=step.event, wave=step.wave, data=step.facts))
    for event, data in change.moves:
        row = turned(row, event, now_us)
        lines.append(Line(event=event, data=data))
    facts = row.facts if change.facts is None else change.facts
    row = replace(row, facts=facts, rev=row.rev + 1, waves=tuple(waves.values()))
    if change.admit and row.state not in STARTING_ROLLOUTS:
        raise IllegalTransitionError(
            f"{rollout_name(row.id)} admits no job while it is {row.state}", state=row.state
        )
    lines += _joining(row, waves, change.join)
    touched = {step.wave for step in change.waves}
    return Steered(row=row, waves=[waves[n] for n in sorted(touched)], lines=lines)


_JOINABLE: Final = frozenset({WaveState.PENDING, WaveState.GATED, WaveState.RUNNING})


def _joining(
    row: RolloutRow, waves: Mapping[int, WaveRow], jobs: Sequence[PlannedJob]
) -> Sequence[Line]:
    """Return the lines about jobs that join; each stands behind the last one of its wave."""
    joined: Counter[int] = Counter()
    for job in jobs:
        wave = wave_of(waves, job.wave)
        if wave.state not in _JOINABLE or row.state not in STARTING_ROLLOUTS:
            raise IllegalTransitionError(
                f"nothing joins wave {wave.n} of {rollout_name(row.id)}: it is {wave.state}",
                wave=wave.n,
            )
        if job.rank != wave.tally.size + joined[wave.n]:
            raise BadRequestError(f"who joins wave {wave.n} stands behind its last job")
        joined[wave.n] += 1
    return [Line(event=JOINED, wave=n, data={"jobs": joined[n]}) for n in sorted(joined)]


def _check_cancelling(change: Advance) -> None:
    if not 0 <= change.cancel <= MOST_CANCELLED:
        raise ValueError(f"cancel is a number up to {MOST_CANCELLED}")
    if change.cancel and change.worker is None:
        raise ValueError("who cancels jobs names the worker that writes their result lines")


def wave_of(waves: Mapping[int, WaveRow], n: int | None) -> WaveRow:
    """Return one wave.

    Raises:
        NothingMatchedError: If it is not there.
    """
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


def turned(row: RolloutRow, event: RolloutEvent, now_us: int) -> RolloutRow:
    """Return the rollout after one event of its own."""
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


def check_digest(beginning: str) -> None:
    """Refuse the beginning of a digest that is too short to mean anything.

    Raises:
        BadRequestError: If it is.
    """
    if len(beginning) < SHORTEST_DIGEST:
        raise BadRequestError(f"name a plan by at least {SHORTEST_DIGEST} characters of its digest")


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
        row = turned(row, RolloutEvent.RESUMED, now_us)
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
