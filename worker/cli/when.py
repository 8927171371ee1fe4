"""`plugwave when` and `schedules next`: the next ticks of a schedule, the next openings."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from config.masking import clean_text
from jobs.clock import SystemClock, iso
from jobs.errors import NothingMatchedError
from jobs.rollouts.course import calendar_of, freezes_of
from jobs.rollouts.manifest import Manifest, Spec
from jobs.rollouts.plan import kept_plan
from jobs.rollouts.recurrence import Recurrence, recurrence_of, recurrence_of_row
from jobs.rollouts.recurring import ScheduleManifest, rollout_of, schedule_of
from jobs.rollouts.windows import Calendar, Freeze
from jobs.store.protocol import Store
from worker.cli.choices import Choices
from worker.cli.console import Console
from worker.cli.lazy import PlugwaveCommand
from worker.cli.planning import calendars_of, document_in
from worker.cli.printing import document, no_names
from worker.cli.session import reading, run_async
from worker.cli.ticks_shown import (
    SEVEN,
    Moment,
    next_openings,
    next_ticks,
    numbered,
    times_in_words,
)
from worker.schedule_orders import existing
from worker.sighting import RolloutReader


@click.command("next", cls=PlugwaveCommand)
@click.argument("schedule")
@click.option("--count", type=click.IntRange(1, 100), default=5, show_default=True, help="Ticks.")
@click.pass_obj
def next_(choices: Choices, schedule: str, count: int) -> None:
    """Print when a schedule ticks next, local and UTC."""
    run_async(_next, choices, schedule, count)


async def _next(choices: Choices, name: str, count: int) -> None:
    console = Console(choices)
    no_names(console)
    async with reading(choices) as store:
        row = await existing(store, name)
        now_us = await store.now_us()
    recurrence = recurrence_of_row(row)
    _tell_ticks(console, recurrence, next_ticks(recurrence, row.last_us, count), now_us, {})


def _tell_ticks(
    console: Console,
    recurrence: Recurrence,
    coming: Sequence[Moment],
    now_us: int,
    openings: dict[str, list[Moment]],
) -> None:
    if console.structured:
        told = {"schedule": recurrence.name, "words": times_in_words(recurrence)}
        ticks = [one.fields() for one in coming]
        document(console, {**told, "ticks": ticks, "openings": _opening_fields(openings)})
        return
    console.out(f"{recurrence.name}   {times_in_words(recurrence)}")
    for line in numbered(coming, now_us):
        console.out(line)
    _tell_openings(console, openings, now_us)


def _opening_fields(openings: dict[str, list[Moment]]) -> list[dict[str, Any]]:
    return [
        {"region": region or None, "openings": [one.fields() for one in found]}
        for region, found in openings.items()
    ]


def _tell_openings(console: Console, openings: dict[str, list[Moment]], now_us: int) -> None:
    for region, found in openings.items():
        where = f"region {region}" if region else "every region"
        console.out(f"Jobs may start in {where}:" if found else f"Jobs never start in {where}")
        for line in numbered(found, now_us):
            console.out(line)


@click.command(cls=PlugwaveCommand)
@click.argument("what", metavar="SCHEDULE|ROLLOUT|FILE")
@click.option(
    "--count", type=click.IntRange(1, 100), default=SEVEN, show_default=True, help="Times."
)
@click.pass_obj
def when(choices: Choices, what: str, count: int) -> None:
    """Print when a schedule ticks, or when the windows of a rollout or a manifest open.

    Each with its local time and UTC; a change of the clock is told.
    """
    console = Console(choices)
    no_names(console)
    if Path(what).is_file():
        _when_file(console, document_in(what, {}), what, count)
    else:
        run_async(_when, console, what, count)


async def _when(console: Console, what: str, count: int) -> None:
    async with reading(console.choices) as store:
        now_us = await store.now_us()
        row = await store.schedules.schedule(what)
        if row is not None:
            recurrence = recurrence_of_row(row)
            openings = _openings_of(recurrence.manifest.spec, now_us, count)
            coming = next_ticks(recurrence, row.last_us, count)
            _tell_ticks(console, recurrence, coming, now_us, openings)
            return
        rollout = await store.rollouts.rollout(what)
        if rollout is None:
            raise NothingMatchedError(
                f"there is no schedule, rollout or file '{clean_text(what, 80)}'",
                do="list them: plugwave schedules list, plugwave status",
            )
        reader = RolloutReader(store, SystemClock())
        course = await reader.course(rollout)
        regions = await _regions(store, rollout.plan)
    _when_open(console, rollout.name, _openings(course.calendar, regions, now_us, count), now_us)


def _when_file(console: Console, found: Manifest | ScheduleManifest, file: str, count: int) -> None:
    now_us = SystemClock().now_us()
    schedule = found if isinstance(found, ScheduleManifest) else schedule_of(found)
    manifest = rollout_of(found) if isinstance(found, ScheduleManifest) else found
    filed = [
        freeze
        for name, calendar in calendars_of(manifest, file).items()
        for freeze in freezes_of(name, calendar.events, manifest.spec.expires, now_us)
    ]
    openings = _openings_of(manifest.spec, now_us, count, filed)
    if schedule is None:
        _when_open(console, manifest.metadata.name, openings, now_us)
        return
    recurrence = recurrence_of(schedule)
    _tell_ticks(console, recurrence, next_ticks(recurrence, now_us, count), now_us, openings)


def _when_open(console: Console, name: str, openings: dict[str, list[Moment]], now_us: int) -> None:
    if console.structured:
        document(console, {"rollout": name, "openings": _opening_fields(openings)})
        return
    if not openings:
        console.out(f"{name} has no windows and no freezes: its jobs may start at any time")
    _tell_openings(console, openings, now_us)


async def _regions(store: Store, digest: str) -> list[str]:
    kept = await store.rollouts.plan(digest)
    assert kept is not None
    plan = kept_plan(kept.body, kept.digest, iso(kept.made_us) or "")
    return sorted({row.region for row in plan.acting if row.region is not None})


def _openings_of(
    spec: Spec, now_us: int, count: int, filed: Sequence[Freeze] = ()
) -> dict[str, list[Moment]]:
    named = {region for one in spec.targets.include for region in one.regions or ()}
    return _openings(calendar_of(spec, filed), sorted(named), now_us, count)


def _openings(
    calendar: Calendar, regions: Sequence[str], now_us: int, count: int
) -> dict[str, list[Moment]]:
    """Return the openings by region; under an empty name those of every region."""
    if not calendar.windows and not calendar.freezes:
        return {}
    named = {region for window in calendar.windows for region in window.regions}
    named |= {region for freeze in calendar.freezes for region in freeze.regions}
    found = sorted(named | set(regions)) if named else [""]
    return {region: next_openings(calendar, region, now_us, count) for region in found}
