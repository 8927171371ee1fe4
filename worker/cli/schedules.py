"""`plugwave schedules list|show`: what runs by the clock, and what became of its ticks."""

from collections.abc import Sequence
from typing import Any, Final

import click

from config.masking import clean_text
from jobs.clock import iso
from jobs.model import rollout_name
from jobs.rollouts.firing import paused_words
from jobs.rollouts.plan import SHORT_DIGEST
from jobs.rollouts.recurrence import Recurrence, recurrence_of_row
from jobs.schedule_states import TickState
from jobs.store.protocol import Store
from jobs.store.schedules import ScheduleRow, TickRow
from worker.cli.choices import Choices
from worker.cli.console import Console
from worker.cli.lazy import PlugwaveCommand
from worker.cli.printing import Column, Table, document, no_names
from worker.cli.session import reading, run_async
from worker.cli.ticks_shown import (
    next_ticks,
    numbered,
    times_in_words,
)
from worker.schedule_orders import existing

SHOWN: Final = 20
MOST: Final = 1000
TEXT: Final = 300

Seen = tuple[ScheduleRow, Recurrence, Sequence[TickRow]]
"""A schedule, how it is run, and its ticks that have a future."""

WORDS: Final = {
    TickState.DUE: "planning",
    TickState.QUEUED: "planning",
    TickState.STARTED: "running",
    TickState.WAITING: "waits for a person",
}


def state_of(row: ScheduleRow, ticks: Sequence[TickRow]) -> str:
    """Return what a schedule does, in a word or two; *ticks* are those with a future."""
    found = [WORDS[tick.state] for tick in ticks if tick.state in WORDS]
    if row.paused is not None:
        return "paused" if not found else f"paused, {found[0]}"
    return found[0] if found else "on"


def tick_fields(tick: TickRow) -> dict[str, Any]:
    """Return a tick as JSON shows it."""
    return {
        "tick": iso(tick.at_us),
        "state": tick.state.value,
        "skipped": None if tick.skipped is None else tick.skipped.value,
        "why": tick.why,
        "plan": tick.plan,
        "rollout": None if tick.rollout is None else rollout_name(tick.rollout),
        "by": None if tick.manual is None else tick.manual.by,
        "late": tick.late,
    }


def schedule_fields(
    row: ScheduleRow, recurrence: Recurrence, ticks: Sequence[TickRow]
) -> dict[str, Any]:
    """Return a schedule as JSON shows it; of its manifest the times alone."""
    (coming,) = next_ticks(recurrence, row.last_us, 1) or (None,)
    paused = None
    if row.paused is not None:
        paused = {"by": row.paused.by, "why": row.paused.why, "at": iso(row.paused_us)}
    return {
        "schedule": row.name,
        "state": state_of(row, ticks),
        "cron": recurrence.timing.cron,
        "time_zone": recurrence.timing.zone.key,
        "words": times_in_words(recurrence),
        "next": None if coming is None or row.paused is not None else iso(coming.at_us),
        "overlap": recurrence.overlap.value,
        "catch_up": recurrence.timing.catch_up.value,
        "failures": row.failures,
        "paused": paused,
        "profile": row.profile,
        "applied_by": row.word.by,
        "applied": iso(row.changed_us),
    }


def waiting_lines(row: ScheduleRow, ticks: Sequence[TickRow]) -> list[str]:
    """Return what a person has to do about a schedule."""
    told = []
    if row.paused is not None:
        told.append(f"{row.name}: {paused_words(row)}; go on: plugwave schedules resume {row.name}")
    for tick in ticks:
        if tick.state is TickState.WAITING and tick.plan is not None:
            apply = f"plugwave apply {tick.plan[:SHORT_DIGEST]}"
            if row.profile is not None:
                apply += f" --profile {row.profile}"
            told.append(f"{row.name} waits for a person: {tick.why}; {apply}")
    return [clean_text(line, TEXT) for line in told]


@click.command("list", cls=PlugwaveCommand)
@click.pass_obj
def list_schedules(choices: Choices) -> None:
    """List schedules: what each does, when it ticks next, and what waits for a person."""
    run_async(_list, choices)


async def _list(choices: Choices) -> None:
    console = Console(choices)
    async with reading(choices) as store:
        rows = await schedules_of(store)
    if choices.output == "name":
        for row, _, _ in rows:
            console.out(row.name)
        return
    if console.structured:
        document(console, {"schedules": [schedule_document(*one) for one in rows]})
        return
    table = Table(
        console,
        [
            Column(title="SCHEDULE", width=40),
            Column(title="STATE"),
            Column(title="WHEN", width=50),
            Column(title="NEXT"),
        ],
    )
    for row, recurrence, ticks in rows:
        coming = [] if row.paused is not None else next_ticks(recurrence, row.last_us, 1)
        following = console.moment(coming[0].at_us) if coming else "-"
        words = times_in_words(recurrence)
        table.row([row.name, state_of(row, ticks), words, following])
    table.close()
    for row, _, ticks in rows:
        for line in waiting_lines(row, ticks):
            console.out(line)


async def schedules_of(store: Store) -> list[Seen]:
    """Return every schedule, how it is run, and its ticks that have a future."""
    return [await _with_ticks(store, row) for row in await store.schedules.schedules()]


def schedule_document(
    row: ScheduleRow, recurrence: Recurrence, ticks: Sequence[TickRow]
) -> dict[str, Any]:
    """Return a schedule with its ticks that have a future, as JSON shows them."""
    return {**schedule_fields(row, recurrence, ticks), "open": [tick_fields(one) for one in ticks]}


def schedule_lines(schedules: Sequence[Seen], now_us: int) -> list[str]:
    """Return what `status` tells of schedules: what waits for a person, and what comes next."""
    told = [line for row, _, ticks in schedules for line in waiting_lines(row, ticks)]
    coming = [
        (moment, row.name)
        for row, recurrence, _ in schedules
        if row.paused is None
        for moment in next_ticks(recurrence, row.last_us, 1)
    ]
    if coming:
        moment, name = min(coming, key=lambda one: one[0].at_us)
        told.append(f"Next schedule: {name}, {moment.line(now_us)}")
    return told


async def _with_ticks(store: Store, row: ScheduleRow) -> Seen:
    found = await store.schedules.schedule_sight(row.id)
    row, ticks = (row, ()) if found is None else found
    return row, recurrence_of_row(row), ticks


@click.command(cls=PlugwaveCommand)
@click.argument("schedule")
@click.option("--all", "everything", is_flag=True, help="Every tick that is kept.")
@click.pass_obj
def show(choices: Choices, schedule: str, everything: bool) -> None:  # noqa: FBT001 - click hands over flags by name
    """Show a schedule and what became of its last ticks, each with the reason."""
    run_async(_show, choices, schedule, MOST if everything else SHOWN)


async def _show(choices: Choices, name: str, limit: int) -> None:
    console = Console(choices)
    no_names(console)
    async with reading(choices) as store:
        row, recurrence, ticks = await _with_ticks(store, await existing(store, name))
        past = await store.schedules.ticks(row.id, limit=limit)
        now_us = await store.now_us()
    if console.structured:
        told = [tick_fields(tick) for tick in past]
        document(console, {**schedule_fields(row, recurrence, ticks), "ticks": told})
        return
    console.out(f"{row.name}   {state_of(row, ticks)}   {times_in_words(recurrence)}")
    for line in numbered(next_ticks(recurrence, row.last_us, 3), now_us):
        console.out(line)
    table = Table(
        console,
        [
            Column(title="TICK"),
            Column(title="STATE"),
            Column(title="ROLLOUT"),
            Column(title="WHY", width=100),
        ],
    )
    for tick in past:
        rollout = "-" if tick.rollout is None else rollout_name(tick.rollout)
        state = tick.state.value if tick.skipped is None else f"{tick.state} ({tick.skipped})"
        why = clean_text(tick.why or "", TEXT)
        table.row([console.moment(tick.at_us), state, rollout, why])
    table.close()
    for line in waiting_lines(row, ticks):
        console.out(line)
