"""`plugwave intake`: take jobs from a message broker, as a file of ``kind: Intake`` says."""

import os
import signal
from pathlib import Path
from typing import Final

import anyio
import anyio.abc
import click

from config.masking import clean_text
from jobs.clock import SystemClock
from jobs.errors import InputFileError
from jobs.intake.profile import IntakeProfile, read_profile, terms_of
from jobs.intake.taking import IntakeVerdict
from worker.brokers.choosing import broker_of
from worker.brokers.consuming import Intake, Taken
from worker.cli.choices import Choices
from worker.cli.console import Console
from worker.cli.lazy import PlugwaveCommand
from worker.cli.printing import document
from worker.cli.session import configure_logs, loaded_settings, run_async
from worker.credentials.defaults import request_defaults
from worker.credentials.sources import Surroundings
from worker.stores import opened_store

FILE_LIMIT_BYTES: Final = 256 * 1024
REPLAY_PAGE: Final = 500
EXIT_OF_SIGNAL: Final = {signal.SIGINT: 130, signal.SIGTERM: 143}
SOME_SET_ASIDE: Final = 3


@click.command(cls=PlugwaveCommand)
@click.argument("file", metavar="FILE", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--until-empty", is_flag=True, help="Leave when the broker has nothing more.")
@click.option(
    "--replay", is_flag=True, help="First put the messages of the dead-letter place back."
)
@click.pass_obj
def intake(choices: Choices, /, *, file: Path, until_empty: bool, replay: bool) -> int:
    """Take jobs from a message broker, each once.

    A message is acknowledged when its job is on disk; one that is no acceptable request goes
    to the dead-letter place with the reason.  A signal finishes what is in hand.  With
    --until-empty it leaves with 0, or with 3 when messages were set aside.
    """
    return run_async(_intake, choices, file, until_empty, replay, fast=True)


async def _intake(choices: Choices, file: Path, until_empty: bool, replay: bool) -> int:  # noqa: FBT001 - click's flags
    profile = _profile(file)
    loaded = loaded_settings(choices)
    configure_logs(choices, loaded)
    console = Console(choices)
    if replay:
        count = await _replay(profile)
        console.say(f"{count} messages put back")
    defaults = request_defaults(loaded.settings, Surroundings.of(os.environ))
    async with opened_store(loaded.settings.store) as store:
        terms = terms_of(profile)
        running = Intake(terms, broker_of(profile), store, SystemClock(), defaults=defaults)
        received = await _under_signals(running, until_empty=until_empty)
    _tell(console, profile, running.taken)
    if received is not None:
        return EXIT_OF_SIGNAL[received]
    return SOME_SET_ASIDE if running.taken.set_aside else 0


async def _under_signals(running: Intake, *, until_empty: bool) -> signal.Signals | None:
    """Consume; the first signal finishes what is in hand, the second leaves at once."""
    first: list[signal.Signals] = []

    async def listen(
        scope: anyio.CancelScope,
        *,
        task_status: anyio.abc.TaskStatus[None] = anyio.TASK_STATUS_IGNORED,
    ) -> None:
        with anyio.open_signal_receiver(*EXIT_OF_SIGNAL) as numbers:
            task_status.started()
            async for number in numbers:
                if first:
                    scope.cancel()
                first.append(number)
                running.stop()

    async with anyio.create_task_group() as tasks:
        await tasks.start(listen, tasks.cancel_scope)
        await running.run(until_empty=until_empty)
        tasks.cancel_scope.cancel()
    return first[0] if first else None


async def _replay(profile: IntakeProfile) -> int:
    broker, count = broker_of(profile), 0
    try:
        await broker.open()
        # As many as there are now: one that is set aside again meanwhile is not taken twice.
        while found := await broker.replay(REPLAY_PAGE):
            count += found
    finally:
        await broker.close()
    return count


def _profile(file: Path) -> IntakeProfile:
    return read_profile(file_bytes(file), str(file))


def file_bytes(file: Path) -> bytes:
    """Return the content of a file that a person wrote.

    Raises:
        InputFileError: If it cannot be read.
    """
    try:
        with file.open("rb") as opened:
            return opened.read(FILE_LIMIT_BYTES + 1)
    except (OSError, ValueError) as error:
        told = error.strerror if isinstance(error, OSError) else str(error)
        raise InputFileError(f"{file}: {told}", do="check the path") from None


def _tell(console: Console, profile: IntakeProfile, taken: Taken) -> None:
    fields = {verdict.value: taken.verdicts[verdict] for verdict in IntakeVerdict}
    if console.structured:
        document(console, {"kind": "intake", "intake": profile.metadata.name, **fields})
        return
    told = ", ".join(f"{count} {name}" for name, count in fields.items())
    console.say(f"{clean_text(profile.metadata.name)}: {told}")
