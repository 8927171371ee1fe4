"""`plugwave workers`: who works on this queue; also a container's health check."""

import socket
from collections.abc import Sequence

import click

from jobs.durations import format_duration
from jobs.errors import NothingMatchedError
from jobs.report.results import seconds_between
from jobs.store.protocol import WorkerRow
from worker.cli.choices import Choices
from worker.cli.console import Console
from worker.cli.lazy import PlugwaveCommand
from worker.cli.printing import Column, Table, document
from worker.cli.session import reading, run_async
from worker.telling.workers import worker_fields


@click.command(cls=PlugwaveCommand)
@click.option("--here", is_flag=True, help="Only workers of this host.")
@click.pass_obj
def workers(choices: Choices, here: bool) -> None:  # noqa: FBT001 - click hands over flags by name
    """List the workers of this queue; leaves with 6 when none is alive."""
    run_async(_workers, choices, here)


async def _workers(choices: Choices, here: bool) -> None:  # noqa: FBT001 - handed on from the command
    console = Console(choices)
    async with reading(choices) as store:
        rows = await store.workers()
        now_us = await store.now_us()
    if here:
        rows = [row for row in rows if row.info.host == socket.gethostname()]
    if choices.output == "name":
        for row in rows:
            console.out(row.info.name)
    elif console.structured:
        document(console, {"workers": [worker_fields(row) for row in rows]})
    else:
        worker_table(console, rows, now_us)
    if not any(row.alive and row.lease_until_us > now_us for row in rows):
        raise NothingMatchedError("no worker is alive", do="plugwave work")


def worker_table(console: Console, rows: Sequence[WorkerRow], now_us: int) -> None:
    """Print the workers as a table."""
    table = Table(
        console,
        [
            Column(title="WORKER"),
            Column(title="STATE"),
            Column(title="JOBS", right=True),
            Column(title="RUNNING", right=True),
            Column(title="HEARTBEAT", right=True),
        ],
    )
    for row in rows:
        since = seconds_between(row.started_us, now_us) or 0.0
        beat = seconds_between(row.heartbeat_us, now_us) or 0.0
        alive = "alive" if row.alive else "gone"
        table.row(
            [row.info.name, alive, str(row.jobs), format_duration(since), format_duration(beat)]
        )
    table.close()
