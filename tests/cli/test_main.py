"""Errors and exit codes: one form, one place, a code for every verdict."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pytest

from jobs.errors import PlugwaveError, StoreLockedError, UsageError
from tests.cli.running import Cli
from worker.cli import main
from worker.cli.catalogue import EXIT_CODES
from worker.cli.choices import Choices
from worker.cli.faults import human

ROOT = Path(__file__).parents[2]


def all_errors(base: type[PlugwaveError] = PlugwaveError) -> Iterator[type[PlugwaveError]]:
    """Yield every error class of the house."""
    yield base
    for one in base.__subclasses__():
        yield from all_errors(one)


def raising(error: BaseException) -> Callable[[list[str], Choices], int]:
    """Return a command line that does nothing but raise."""

    def invoke(arguments: list[str], choices: Choices) -> int:
        choices.verbose = arguments.count("-vv") * 2
        choices.output = "json" if "json" in arguments else "table"
        raise error

    return invoke


@pytest.mark.parametrize("error", list(all_errors()), ids=lambda one: one.__name__)
def test_every_error_is_told_with_code_why_do_and_proof(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, error: type[PlugwaveError]
) -> None:
    """What happened, why, what to do, what was seen; the exit code is the class's."""
    raised = error("it went wrong", why="the moon", do="wait for the sun", proof="a shadow")
    monkeypatch.setattr(main, "_invoke", raising(raised))

    ran = cli()

    assert ran.code == error.exit_code
    assert ran.out == ""
    assert ran.err == (
        f"error[{error.code}]: it went wrong\n"
        "  why    the moon\n"
        "  do     wait for the sun\n"
        "  proof  a shadow\n"
    )


@pytest.mark.parametrize("error", list(all_errors()), ids=lambda one: one.__name__)
def test_every_exit_code_of_an_error_stands_in_the_help(error: type[PlugwaveError]) -> None:
    """A code that scripts branch on is documented where they look for it."""
    assert error.exit_code in EXIT_CODES


def test_the_help_prints_the_table_of_exit_codes(cli: Cli) -> None:
    """`plugwave --help` is the reference for scripts."""
    ran = cli("--help")

    assert ran.code == 0
    for code, meaning in EXIT_CODES.items():
        assert any(line.split(None, 1) == [str(code), meaning] for line in ran.lines)


def test_an_error_is_one_json_document_on_stdout_when_json_is_asked_for(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Programs read the error where they read the result; people still see it on stderr."""
    monkeypatch.setattr(main, "_invoke", raising(StoreLockedError("locked", path="/x")))

    ran = cli("-o", "json")

    assert ran.document == {
        "schema": "plugwave/v1",
        "error": {
            "code": "STORE-04",
            "message": "locked",
            "do": StoreLockedError.do,
            "path": "/x",
        },
    }
    assert ran.err.startswith("error[STORE-04]: locked\n")


def test_an_unexpected_error_is_a_bug_without_a_traceback(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bug leaves with 1, is cleaned, and says how to see more."""
    monkeypatch.setattr(main, "_invoke", raising(ValueError("bad\x1b[31m token=abcdefgh")))

    ran = cli()

    assert ran.code == 1
    assert ran.err.startswith("error[BUG-01]: ValueError: bad token=***\n")
    assert "-vv" in ran.err
    assert "Traceback" not in ran.err


def test_a_traceback_is_shown_with_vv_and_never_with_locals(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody who asks sees where it happened, and still no secret that was in scope."""

    def invoke(arguments: list[str], choices: Choices) -> int:
        password = f"s3cret-{len(arguments)}"
        choices.verbose = 2 if password else 0
        raise ValueError("broken")

    monkeypatch.setattr(main, "_invoke", invoke)

    ran = cli("-vv")

    assert "Traceback" in ran.err
    assert "s3cret-1" not in ran.err


def test_of_a_group_the_error_raised_on_purpose_is_told(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tasks that fail together do not hide the reason."""
    group = ExceptionGroup("tasks", [ValueError("x"), ExceptionGroup("y", [UsageError("no")])])
    monkeypatch.setattr(main, "_invoke", raising(group))

    ran = cli()

    assert (ran.code, ran.err.splitlines()[0]) == (2, "error[CONF-01]: no")


@pytest.mark.parametrize("error", [KeyboardInterrupt(), click.Abort()])
def test_ctrl_c_leaves_with_130_and_no_words(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    """Stopping a command is not an error."""
    monkeypatch.setattr(main, "_invoke", raising(error))

    assert (cli().code, cli().err) == (130, "")


@pytest.mark.slow
def test_a_reader_that_goes_away_ends_the_command_quietly() -> None:
    """`plugwave … | head` prints no complaint, and its code says that not all was done."""
    process = subprocess.Popen(
        [sys.executable, "-m", "worker", "--help"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=ROOT,
        env={**os.environ, "PYTHONUNBUFFERED": ""},  # what is left in the buffer is the point
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    said = process.stderr.read()
    process.stderr.close()

    assert (process.wait(timeout=20), said) == (141, b"")


def test_text_from_elsewhere_cannot_drive_the_terminal() -> None:
    """Escape sequences and line breaks inside a proof are taken out."""
    told = human(UsageError("what", proof="a\x1b]0;title\x07b\rc\u202e"))

    assert told.splitlines()[-1] == "  proof  ab c"


def test_an_error_of_several_lines_keeps_them_apart() -> None:
    """A list of problems stays readable."""
    assert human(UsageError("one\ntwo", do="d")) == (
        "error[CONF-01]: one\n         two\n  do     d\n"
    )


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["enqeue"], "no such command 'enqeue'; did you mean 'enqueue'?"),
        (["jobs", "lits"], "no such command 'lits'; did you mean 'list'?"),
        (["version", "--bla"], "no such option '--bla'"),
        (["jobs", "show", "job-x"], "'job-x' is not a job; write job-42 or 42"),
        (["jobs", "list", "--state", "runing"], "there is no state 'runing'"),
        (["jobs", "list", "--since", "yesterday"], "is not a duration"),
        (["-o", "yaml", "version"], "this version prints no YAML"),
        (["-o", "xml", "version"], "there is no output form 'xml'"),
    ],
)
def test_a_wrong_command_line_leaves_with_2_and_says_what_is_wrong(
    cli: Cli, arguments: list[str], told: str
) -> None:
    """Usage errors look like every other error."""
    ran = cli(*arguments)

    assert ran.code == 2
    assert ran.err.startswith("error[CONF-01]: ")
    assert told in ran.err


def test_a_wrong_command_line_is_json_where_json_is_asked_for_behind_the_mistake(cli: Cli) -> None:
    """The form that was asked for counts even if the line could not be read to its end."""
    assert cli("version", "--bla", "-o", "json").document["error"]["code"] == "CONF-01"


def test_global_flags_count_before_and_after_the_command(cli: Cli) -> None:
    """Nobody has to remember where a flag belongs."""
    before, after = cli("-o", "json", "version"), cli("version", "-o", "json")

    assert before.out == after.out
    assert json.loads(before.out)["schema"] == "plugwave/v1"


def test_a_group_without_a_command_shows_its_help_and_leaves_with_2(cli: Cli) -> None:
    """`plugwave jobs` alone says what there is."""
    ran = cli("jobs")

    assert (ran.code, ran.out) == (2, "")
    assert "timeline" in ran.err


def test_plugwave_alone_shows_its_help(cli: Cli) -> None:
    """The first call teaches."""
    ran = cli()

    assert ran.code == 0
    assert ran.lines[0].startswith("Usage: plugwave")


def test_the_version_has_three_ways_and_one_answer(cli: Cli) -> None:
    """`--version`, `version` and JSON agree."""
    number = cli("version", "-o", "json").document["version"]

    assert cli("--version").out == f"plugwave {number}\n"
    assert cli("version").out == f"plugwave {number}\n"
    assert cli("version", "-o", "name").out == f"{number}\n"
