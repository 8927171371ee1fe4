"""`plugwave store prune`: do now what a worker does by itself, or say what it would do."""

from typing import Any

import click

from jobs.clock import SystemClock
from jobs.durations import format_duration
from jobs.retention import Kept, Retention
from worker.cli.choices import Choices
from worker.cli.console import Console, counted
from worker.cli.lazy import PlugwaveCommand
from worker.cli.printing import document, no_names
from worker.cli.session import loaded_settings, reading, run_async, writing
from worker.upkeep import Removed, forget
from worker.upkeep import prune as prune_store

KEPT_WORDS = {
    Kept.OPEN: "open",
    Kept.YOUNG: "not old enough",
    Kept.UNREPORTED: "without a written result line",
    Kept.LAST: "the last of a worker that lives",
    Kept.ROLLOUT: "of a rollout that lives",
}


@click.command(cls=PlugwaveCommand)
@click.option("--dry-run", is_flag=True, help="Say what would go, change nothing.")
@click.option(
    "--unreported",
    is_flag=True,
    help="Also jobs whose result line was never written, for machines that will not come back.",
)
@click.pass_obj
def prune(choices: Choices, dry_run: bool, unreported: bool) -> None:  # noqa: FBT001 - click hands over flags by name
    """Remove ended jobs that are older than the settings say; workers do so too.

    Open jobs stay, and so do jobs whose result line is not written.  It is done in short
    steps beside the work.
    """
    no_names(Console(choices))
    run_async(_prune, choices, dry_run, unreported)


async def _prune(choices: Choices, dry_run: bool, unreported: bool) -> None:  # noqa: FBT001 - handed on from the command
    console = Console(choices)
    retention = loaded_settings(choices).settings.store.retention
    clock = SystemClock()
    async with reading(choices) if dry_run else writing(choices) as store:
        removed = await prune_store(store, retention, clock, unreported=unreported, dry_run=dry_run)
        if not dry_run:
            await forget(store, retention, removed)
    if console.structured:
        document(console, {"dry_run": dry_run, **_fields(removed, retention)})
        return
    would = "would go" if dry_run else "removed"
    console.out(f"{counted(removed.jobs, 'job')} and {counted(removed.keys, 'key')} {would}")
    beside = {
        "worker row": removed.workers,
        "part of history": removed.weeks,
        "unused content": removed.contents,
    }
    for noun, number in beside.items():
        if number:
            console.out(f"{counted(number, noun)} removed")
    for why, number in removed.kept.items():
        console.out(f"{counted(number, 'job')} kept: {KEPT_WORDS[why]}")
    if not retention.finished_s:
        console.say("store.keep_finished is 0: everything is kept for ever")
    else:
        console.say(f"ended jobs are kept for {format_duration(retention.finished_s)}")


def _fields(removed: Removed, retention: Retention) -> dict[str, Any]:
    return {
        "jobs": removed.jobs,
        "keys": removed.keys,
        "workers": removed.workers,
        "history_parts": removed.weeks,
        "contents": removed.contents,
        "kept": {why.value: number for why, number in removed.kept.items()},
        "keep_finished_s": retention.finished_s,
        "keep_keys_s": retention.keys_s,
    }
