"""How schedules and ticks are written down, the same way in every engine.

States are the words that every surface shows.  What no query looks into is JSON.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from jobs.errors import NothingMatchedError, StaleRevisionError
from jobs.model import RolloutId
from jobs.schedule_states import Skipped, TickState
from jobs.store.rollouts import Word
from jobs.store.schedules import NewSchedule, Put, ScheduleChange, ScheduleId, ScheduleRow, TickRow
from jobs.store.schema import json_text, json_value

Cells = Sequence[Any]

SCHEDULE: Final = (
    "id, name, rev, created_us, changed_us, last_us, failures, timing, body, fleet, profile,"
    " word, paused"
)
"""The columns that `schedule_value` reads."""

TICK: Final = "at_us, state, rollout, data"
"""The columns that `tick_value` reads."""


def _said(word: Word, at_us: int | None = None) -> dict[str, Any]:
    told = {"by": word.by, "why": word.why, "where": word.where, "at_us": at_us}
    return {name: value for name, value in told.items() if value is not None}


def _word(told: Mapping[str, Any]) -> Word:
    return Word(by=told["by"], why=told.get("why"), where=told.get("where"))


def schedule_value(row: Cells) -> ScheduleRow:
    """Return the schedule of one row of SCHEDULE."""
    paused = json_value(row[12])
    return ScheduleRow(
        id=ScheduleId(row[0]),
        name=row[1],
        rev=row[2],
        created_us=row[3],
        changed_us=row[4],
        last_us=row[5],
        failures=row[6],
        timing=row[7],
        body=row[8],
        fleet=row[9],
        profile=row[10],
        word=_word(json_value(row[11]) or {"by": "?"}),
        paused=None if paused is None else _word(paused),
        paused_us=None if paused is None else paused.get("at_us"),
    )


def schedule_cells(row: ScheduleRow) -> tuple[Any, ...]:
    """Return what an advance may change: rev, last, failures, paused."""
    paused = None if row.paused is None else json_text(_said(row.paused, row.paused_us))
    return (row.rev, row.last_us, row.failures, paused)


def content_cells(new: NewSchedule) -> tuple[Any, ...]:
    """Return what a person wrote: timing, body, fleet, profile, word."""
    return (new.timing, new.body, new.fleet, new.profile, json_text(_said(new.word)))


def tick_value(row: Cells) -> TickRow:
    """Return the tick of one row of TICK."""
    data = json_value(row[3]) or {}
    skipped, manual = data.pop("skipped", None), data.pop("manual", None)
    return TickRow(
        at_us=row[0],
        state=TickState(row[1]),
        rollout=None if row[2] is None else RolloutId(row[2]),
        skipped=None if skipped is None else Skipped(skipped),
        manual=None if manual is None else _word(manual),
        **data,
    )


def tick_cells(tick: TickRow) -> tuple[Any, ...]:
    """Return the cells of TICK, and before them whether it is open."""
    data = {
        "until_us": tick.until_us,
        "manual": None if tick.manual is None else _said(tick.manual),
        "late": tick.late,
        "next_us": tick.next_us,
        "tries": tick.tries,
        "holder": tick.holder,
        "held_until_us": tick.held_until_us,
        "plan": tick.plan,
        "bad": tick.bad,
        "skipped": tick.skipped,
        "why": tick.why,
    }
    told = {name: value for name, value in data.items() if value or name == "until_us"}
    return (int(tick.is_open), tick.at_us, tick.state.value, tick.rollout, json_text(told))


def put_on(row: ScheduleRow, new: NewSchedule, now_us: int) -> Put:
    """Return what applying *new* makes of a schedule that is there."""
    said = (new.body, new.fleet, new.profile)
    if said == (row.body, row.fleet, row.profile):
        return Put(outcome="unchanged", row=row)
    last_us = row.last_us if new.timing == row.timing else max(row.last_us, now_us)
    changed = replace(
        row,
        body=new.body,
        fleet=new.fleet,
        profile=new.profile,
        timing=new.timing,
        word=new.word,
        changed_us=now_us,
        last_us=last_us,
        rev=row.rev + 1,
    )
    return Put(outcome="replaced", row=changed)


def changed(row: ScheduleRow | None, change: ScheduleChange) -> ScheduleRow:
    """Return the schedule as *change* leaves it; *row* is what the engine holds locked.

    Raises:
        StaleRevisionError: If it has another revision, or is gone.
        ValueError: If ticks that were decided on would come again.
    """
    wanted = change.row
    if row is None or row.id != wanted.id or row.rev != wanted.rev:
        now = "gone" if row is None else f"at revision {row.rev}, not {wanted.rev}"
        raise StaleRevisionError(f"schedule '{wanted.name}' is {now}", schedule=wanted.name)
    if wanted.last_us < row.last_us:
        raise ValueError("what was decided about a tick is not decided again")
    return replace(
        row,
        rev=row.rev + 1,
        last_us=wanted.last_us,
        failures=wanted.failures,
        paused=wanted.paused,
        paused_us=wanted.paused_us,
    )


def no_schedule(name: str) -> NothingMatchedError:
    """Return the error for a schedule that is not there."""
    return NothingMatchedError(
        f"there is no schedule '{name}' in this store", do="list them: plugwave schedules list"
    )
