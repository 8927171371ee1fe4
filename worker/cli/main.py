"""Run one command line: the place where every error becomes text and an exit code.

A command returns its verdict as an exit code, or None for 0; whatever it raises is shown
by `faults` and leaves with the code of its class.
"""

import os
import sys
from typing import Any, Final

import click

from jobs.errors import PlugwaveError
from worker.cli import faults
from worker.cli.catalogue import COMMANDS
from worker.cli.choices import Choices, wanted_by
from worker.cli.lazy import LazyGroup

COMPLETE: Final = "_PLUGWAVE_COMPLETE"
"""Set by the shell's completion; its value says what is asked."""


def _print_version(ctx: click.Context, _param: click.Parameter, value: bool) -> None:  # noqa: FBT001 - click's signature
    if not value or ctx.resilient_parsing:
        return
    from worker.cli.version import installed_version  # noqa: PLC0415 - loaded when asked for

    sys.stdout.write(f"plugwave {installed_version()}\n")
    ctx.exit()


def root() -> LazyGroup:
    """Return the command `plugwave`."""
    version = click.Option(
        ["-V", "--version"],
        is_flag=True,
        is_eager=True,
        expose_value=False,
        callback=_print_version,
        help="Print the version.",
    )
    return LazyGroup(
        COMMANDS,
        name="plugwave",
        params=[version],
        help="Install and upgrade plug-ins on ModelArts resource pools, and prove what was done.",
        no_args_is_help=False,
        invoke_without_command=False,
    )


def run(arguments: list[str]) -> int:
    """Run the command line and return the exit code; never raises."""
    choices = Choices()
    _forgive_encodings()
    try:
        code = _invoke(arguments, choices)
        sys.stdout.flush()
    except BaseException as error:  # noqa: BLE001 - the one place that catches everything
        return _verdict(error, arguments, choices)
    return code


def _invoke(arguments: list[str], choices: Choices) -> int:
    command = root()
    if COMPLETE in os.environ:
        from click.shell_completion import shell_complete  # noqa: PLC0415 - loaded when asked for

        return shell_complete(command, {}, "plugwave", COMPLETE, os.environ[COMPLETE])
    if not arguments:
        arguments = ["--help"]
    with command.make_context("plugwave", list(arguments), obj=choices) as ctx:
        result: Any = command.invoke(ctx)
    return result if isinstance(result, int) else 0


def _verdict(raised: BaseException, arguments: list[str], choices: Choices) -> int:
    """Return the exit code for what was raised, after telling it."""
    error = faults.telling(raised)
    silent = _silent_verdict(error)
    if silent is not None:
        return silent
    if isinstance(error, click.ClickException):
        choices.output = wanted_by(arguments)
        error = faults.from_click(error)
    told = error if isinstance(error, PlugwaveError) else faults.from_bug(error)
    try:
        code = faults.show(told, choices, cause=raised)
        sys.stdout.flush()
    except BrokenPipeError:
        _silence_stdout()
        return told.exit_code
    return code


def _silent_verdict(error: BaseException) -> int | None:
    """Return the exit code of what needs no words, None for everything else."""
    match error:
        case click.exceptions.Exit():
            return error.exit_code
        case BrokenPipeError():
            _silence_stdout()
            return faults.PIPE_EXIT
        case KeyboardInterrupt() | click.Abort():
            return faults.INTERRUPTED_EXIT
        case SystemExit():
            return error.code if isinstance(error.code, int) else faults.BUG_EXIT
        case click.exceptions.NoArgsIsHelpError():
            sys.stderr.write(error.format_message() + "\n")
            return error.exit_code
        case _:
            return None


def _forgive_encodings() -> None:
    """Let a character the terminal cannot show become an escape instead of a crash."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")


def _silence_stdout() -> None:
    """Lead stdout nowhere, so that the flush at exit does not complain about the lost reader."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
