"""`plugwave schedules run|pause|resume|delete`, and what `apply` does with a schedule."""

import sys
from collections.abc import Iterator

import click

from jobs.clock import iso
from jobs.errors import ManifestContradictionError, UsageError
from jobs.rollouts.fleetfile import read_fleet
from jobs.rollouts.manifest import Spec
from jobs.rollouts.recurrence import new_schedule, recurrence_of
from jobs.rollouts.recurring import ScheduleManifest, rollout_of
from jobs.rollouts.unserved import unserved
from jobs.schedule_states import TickState
from worker import schedule_orders
from worker.cli.choices import Choices
from worker.cli.console import Console
from worker.cli.lazy import PlugwaveCommand
from worker.cli.planning import fleet_content
from worker.cli.printing import document
from worker.cli.rollouts import my_word, someone_works
from worker.cli.schedules import schedule_fields
from worker.cli.session import loaded_settings, run_async, writing
from worker.cli.terminal import is_terminal
from worker.cli.ticks_shown import next_ticks, times_in_words

NOBODY: str = "No worker is alive, so nothing fires yet: plugwave work"


async def apply_schedule(
    choices: Choices, schedule: ScheduleManifest, file: str, reason: str | None
) -> None:
    """Write a schedule down, or replace the one of its name; nothing starts now.

    Raises:
        ManifestContradictionError: If its rollout relies on what nobody would do.
        ManifestError: If its fleet file is not acceptable.
    """
    manifest = rollout_of(schedule)
    found = [*unserved(manifest.spec), *_files(manifest.spec)]
    if found:
        raise ManifestContradictionError(
            "this version does not do all that the manifest asks for:\n" + "\n".join(found),
            do="change these fields; nothing was kept",
            fields=found,
        )
    listed = fleet_content(manifest, file)
    if listed is not None:
        read_fleet(listed, manifest.spec.targets.file or "")
    fleet = None if listed is None else listed.decode("utf-8-sig")
    profile = loaded_settings(choices).settings.cloud.profile
    new = new_schedule(schedule, my_word(reason), fleet=fleet, profile=profile)
    async with writing(choices) as store:
        put = await store.schedules.put_schedule(new)
        alive = await someone_works(store)
    console = Console(choices)
    recurrence = recurrence_of(schedule)
    if console.structured:
        document(console, {**schedule_fields(put.row, recurrence, ()), "outcome": put.outcome})
    elif choices.output == "name":
        console.out(put.row.name)
    else:
        console.out(f"schedule {put.row.name}: {put.outcome}; {times_in_words(recurrence)}")
        for moment in next_ticks(recurrence, put.row.last_us, 1):
            console.out(f"Next: {moment.fields()['local']}, {iso(moment.at_us)}")
        if put.row.paused is not None:
            console.out(f"It is paused: plugwave schedules resume {put.row.name}")
    if not alive:
        console.say(NOBODY)


@click.command(cls=PlugwaveCommand)
@click.argument("schedule")
@click.option("--reason", help="Why; kept in the rollout's record.")
@click.pass_obj
def run(choices: Choices, schedule: str, reason: str | None) -> None:
    """Let a schedule run now, once, also while it is paused; a worker begins it."""
    run_async(_run, choices, schedule, reason)


async def _run(choices: Choices, name: str, reason: str | None) -> None:
    console = Console(choices)
    async with writing(choices) as store:
        row, tick = await schedule_orders.run(store, name, my_word(reason))
        alive = await someone_works(store)
    if console.structured:
        document(console, {"schedule": row.name, "tick": iso(tick.at_us), "state": tick.state})
    elif choices.output == "name":
        console.out(row.name)
    else:
        behind = ", behind the run before it" if tick.state is TickState.QUEUED else ""
        console.out(f"{row.name} runs{behind}; look: plugwave schedules show {row.name}")
    if not alive:
        console.say(NOBODY)


@click.command(cls=PlugwaveCommand)
@click.argument("schedule")
@click.option("--reason", help="Why; shown with every tick that is skipped.")
@click.pass_obj
def pause(choices: Choices, schedule: str, reason: str | None) -> None:
    """Let a schedule begin nothing more; its ticks are skipped, what was begun goes on."""
    run_async(_pause, choices, schedule, reason)


@click.command(cls=PlugwaveCommand)
@click.argument("schedule")
@click.pass_obj
def resume(choices: Choices, schedule: str) -> None:
    """Let a paused schedule tick again; its failures are counted anew."""
    run_async(_resume, choices, schedule)


async def _pause(choices: Choices, name: str, reason: str | None) -> None:
    async with writing(choices) as store:
        answer = await schedule_orders.pause(store, name, my_word(reason))
    _tell_order(Console(choices), answer, "paused")


async def _resume(choices: Choices, name: str) -> None:
    async with writing(choices) as store:
        answer = await schedule_orders.resume(store, name)
    _tell_order(Console(choices), answer, "resumed")


def _tell_order(console: Console, answer: schedule_orders.Answer, word: str) -> None:
    row = answer.row
    if console.structured:
        told = {"schedule": row.name, "paused": row.paused is not None}
        document(console, {**told, "already": answer.already})
    elif console.choices.output == "name":
        console.out(row.name)
    elif answer.already and row.paused is not None:
        when = console.moment(row.paused_us)
        console.out(f"{row.name}: already paused by {row.paused.by} at {when}")
    else:
        console.out(f"{row.name}: {'already ' if answer.already else ''}{word}")


@click.command(cls=PlugwaveCommand)
@click.argument("schedule")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
def delete(choices: Choices, schedule: str, yes: bool) -> None:  # noqa: FBT001 - click hands over flags by name
    """Remove a schedule and what is known of its ticks; its rollouts go on."""
    if not yes:
        if not is_terminal(sys.stdin):
            raise UsageError("nobody can be asked here", do="give --yes")
        click.confirm(f"Remove schedule {schedule}?", abort=True, err=True)
    run_async(_delete, choices, schedule)


async def _delete(choices: Choices, name: str) -> None:
    console = Console(choices)
    async with writing(choices) as store:
        row = await store.schedules.remove_schedule(name)
    if console.structured:
        document(console, {"schedule": row.name, "removed": True})
    else:
        console.out(row.name if choices.output == "name" else f"{row.name}: removed")


def _files(spec: Spec) -> Iterator[str]:
    """Yield the files that the ticks would need and a schedule does not keep."""
    for place, freeze in enumerate(spec.freezes):
        if freeze.ics is not None:
            yield (
                f"spec.freezes[{place}].ics: a schedule outlives the file, which may change;"
                " write from, until and timeZone"
            )
