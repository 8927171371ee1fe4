"""`plugwave deliver`: tell another system what became of its jobs, as a ``kind: Sink`` says."""

import os
import random
import signal
import socket
from pathlib import Path
from typing import Final

import anyio
import click

from jobs.clock import SystemClock
from jobs.intake.profile import read_closed
from jobs.outbox.profile import SinkProfile
from jobs.store.sinks import SinkRow
from worker.cli.choices import Choices
from worker.cli.console import Console
from worker.cli.intake import EXIT_OF_SIGNAL, file_bytes
from worker.cli.lazy import PlugwaveCommand
from worker.cli.printing import document
from worker.cli.session import configure_logs, loaded_settings, run_async
from worker.cli.sinks import row_fields, row_line
from worker.sinks.choosing import receiver_of
from worker.sinks.delivering import Delivering
from worker.stores import opened_store

STOPPED: Final = 5
LATE: Final = 8


@click.command(cls=PlugwaveCommand)
@click.argument("file", metavar="FILE", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--until-told", is_flag=True, help="Leave when everything so far was told.")
@click.pass_obj
def deliver(choices: Choices, /, *, file: Path, until_told: bool) -> int:
    """Tell another system what became of jobs: webhook, broker or file.

    Each sink keeps its own place in the store, so it may be stopped and started anywhere.
    With --until-told it leaves with 0 when all was told, with 5 when the sink is stopped, with
    8 when a try failed and the next one is due later.
    """
    return run_async(_deliver, choices, file, until_told, fast=True)


async def _deliver(choices: Choices, file: Path, until_told: bool) -> int:  # noqa: FBT001 - click's flag
    profile = read_closed(file_bytes(file), str(file), SinkProfile)
    loaded = loaded_settings(choices)
    configure_logs(choices, loaded)
    clock = SystemClock()
    receiver = receiver_of(profile, clock)
    dice = random.Random()  # noqa: S311 - it spreads retries, and keeps no secret
    owner = f"{socket.gethostname()}-{os.getpid()}"
    async with opened_store(loaded.settings.store) as store:
        running = Delivering(profile, receiver, store, clock, dice, owner=owner)
        ended = await _under_signals(running, until_told=until_told)
    if isinstance(ended, signal.Signals):
        return EXIT_OF_SIGNAL[ended]
    console = Console(choices)
    name = profile.metadata.name
    if console.structured:
        document(console, {"kind": "sink", **row_fields(name, ended)})
    else:
        console.say(row_line(console, name, ended))
    return _exit_code(ended)


def _exit_code(row: SinkRow) -> int:
    if row.stopped is not None:
        return STOPPED
    return LATE if row.next_us else 0


async def _under_signals(running: Delivering, *, until_told: bool) -> SinkRow | signal.Signals:
    """Deliver; a signal ends it at once, because the next run sends the same again."""
    met: list[signal.Signals] = []
    row = SinkRow()

    async def listen(scope: anyio.CancelScope) -> None:
        with anyio.open_signal_receiver(*EXIT_OF_SIGNAL) as numbers:
            async for number in numbers:
                met.append(number)
                scope.cancel()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(listen, tasks.cancel_scope)
        row = await running.run(until_told=until_told)
        tasks.cancel_scope.cancel()
    return met[0] if met else row
