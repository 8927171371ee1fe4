"""`plugwave store check`, `stats` and `migrate`."""

from typing import Any, Final

import click

from config.masking import clean_text
from jobs.states import OPEN_STATES, JobState
from jobs.store.protocol import Finding, Store
from worker.cli.choices import Choices
from worker.cli.console import Console
from worker.cli.lazy import PlugwaveCommand
from worker.cli.printing import document, no_names
from worker.cli.session import loaded_settings, reading, run_async, store_place, writing
from worker.cli.workers import worker_fields, worker_table

EXIT_DAMAGED: Final = 9


@click.command(cls=PlugwaveCommand)
@click.pass_obj
def check(choices: Choices) -> int:
    """Look for damage; leaves with 9 when something is wrong."""
    no_names(Console(choices))
    return run_async(_check, choices)


async def _check(choices: Choices) -> int:
    console = Console(choices)
    async with reading(choices) as store:
        findings = await store.check()
    wrong = [finding for finding in findings if not finding.ok]
    if console.structured:
        document(console, {"ok": not wrong, "findings": [_finding(one) for one in findings]})
    else:
        width = max((len(finding.name) for finding in findings), default=0)
        for finding in findings:
            word = console.paint("ok   ", "green") if finding.ok else console.paint("WRONG", "red")
            console.out(f"{word}  {finding.name:<{width}}  {clean_text(finding.detail)}")
    if wrong:
        console.tell(
            f"{len(wrong)} of {len(findings)} checks found something; keep the files, stop"
        )
        console.tell("the workers, and restore a backup or report it")
    return EXIT_DAMAGED if wrong else 0


def _finding(finding: Finding) -> dict[str, Any]:
    return {"name": finding.name, "ok": finding.ok, "detail": finding.detail}


@click.command(cls=PlugwaveCommand)
@click.pass_obj
def stats(choices: Choices) -> None:
    """Count what the store holds."""
    no_names(Console(choices))
    run_async(_stats, choices)


async def _stats(choices: Choices) -> None:
    console = Console(choices)
    async with reading(choices) as store:
        body = await _counted(store)
        workers = await store.workers()
        now_us = await store.now_us()
    body = {
        "store": store_place(loaded_settings(choices).settings.store),
        **body,
        "workers": [worker_fields(row) for row in workers],
    }
    if console.structured:
        document(console, body)
        return
    console.out(f"store    {clean_text(str(body['store']))}")
    console.out(f"jobs     {_counts(body['jobs']) or 'none'}")
    console.out(f"open     {body['open']}")
    console.out(f"waiting  {_counts(body['waiting']) or 'none'}")
    alive = [row for row in workers if row.alive]
    console.out(f"workers  {len(alive)} alive")
    worker_table(console, workers, now_us)


async def _counted(store: Store) -> dict[str, Any]:
    counts = await store.counts()
    return {
        "jobs": {state.value: counts[state] for state in JobState if counts.get(state)},
        "open": sum(counts.get(state, 0) for state in OPEN_STATES),
        "waiting": {reason.value: n for reason, n in (await store.waiting_counts()).items()},
    }


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{number} {name}" for name, number in counts.items())


@click.command(cls=PlugwaveCommand)
@click.pass_obj
def migrate(choices: Choices) -> None:
    """Create the store or bring it up to date; repeatable."""
    no_names(Console(choices))
    run_async(_migrate, choices)


async def _migrate(choices: Choices) -> None:
    console = Console(choices)
    async with writing(choices):
        place = store_place(loaded_settings(choices).settings.store)
    if console.structured:
        document(console, {"store": place, "ready": True})
    else:
        console.out(f"{clean_text(place)} is up to date")
