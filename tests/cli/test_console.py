"""Colours, symbols, control codes: what a terminal gets, and what nobody else gets."""

import io
import sys

import pytest

from jobs.clock import iso
from jobs.states import JobState
from tests.builders import NOON_US
from worker.cli.choices import Choices
from worker.cli.console import Console, counted, local_time
from worker.cli.symbols import ASCII, UNICODE
from worker.cli.terminal import takes_colour


class Stream(io.StringIO):
    """A stream that says whether it is a terminal."""

    def __init__(self, *, terminal: bool, encoding: str = "utf-8") -> None:
        super().__init__()
        self._terminal = terminal
        self._encoding = encoding

    def isatty(self) -> bool:
        return self._terminal

    @property
    def encoding(self) -> str:  # type: ignore[override]  # a plain attribute in typeshed
        return self._encoding


@pytest.mark.parametrize(
    ("terminal", "environ", "no_color", "wanted"),
    [
        (True, {}, False, True),
        (False, {}, False, False),
        (True, {"TERM": "dumb"}, False, False),
        (True, {"NO_COLOR": "1"}, False, False),
        (True, {"NO_COLOR": ""}, False, True),
        (True, {"PLUGWAVE_NO_COLOR": "1"}, False, False),
        (False, {"FORCE_COLOR": "1"}, False, True),
        (False, {"FORCE_COLOR": "1", "NO_COLOR": "1"}, False, False),
        (True, {"FORCE_COLOR": "1"}, True, False),
    ],
)
def test_colour_is_decided_by_flag_then_variables_then_terminal(
    terminal: bool,  # noqa: FBT001 - a column of the table
    environ: dict[str, str],
    no_color: bool,  # noqa: FBT001 - a column of the table
    wanted: bool,  # noqa: FBT001 - a column of the table
) -> None:
    """The flag wins, then NO_COLOR, then FORCE_COLOR; else a terminal takes colours."""
    choices = Choices(no_color=no_color)

    assert takes_colour(Stream(terminal=terminal), choices, environ) is wanted


@pytest.mark.parametrize(
    ("stdout", "stderr", "environ", "choices", "live"),
    [
        (True, True, {"TERM": "xterm"}, Choices(), True),
        (False, True, {"TERM": "xterm"}, Choices(), False),
        (True, False, {"TERM": "xterm"}, Choices(), False),
        (True, True, {"TERM": "dumb"}, Choices(), False),
        (True, True, {}, Choices(), False),
        (True, True, {"TERM": "xterm", "CI": "true"}, Choices(), False),
        (True, True, {"TERM": "xterm"}, Choices(quiet=True), False),
        (True, True, {"TERM": "xterm"}, Choices(output="json"), False),
        (True, True, {"TERM": "xterm"}, Choices(verbose=1), False),
        (True, True, {"TERM": "xterm"}, Choices(log_format="json"), False),
    ],
)
def test_a_view_is_redrawn_only_where_a_person_looks_on(
    monkeypatch: pytest.MonkeyPatch,
    stdout: bool,  # noqa: FBT001 - a column of the table
    stderr: bool,  # noqa: FBT001 - a column of the table
    environ: dict[str, str],
    choices: Choices,
    live: bool,  # noqa: FBT001 - a column of the table
) -> None:
    """Two terminals, a TERM that can, no CI, and a result for a person."""
    monkeypatch.setattr(sys, "stdout", Stream(terminal=stdout))
    monkeypatch.setattr(sys, "stderr", Stream(terminal=stderr))

    assert Console(choices, environ).live is live


@pytest.mark.parametrize(
    ("encoding", "ascii_only", "symbols"),
    [
        ("utf-8", False, UNICODE),
        ("UTF8", False, UNICODE),
        ("ascii", False, ASCII),
        ("utf-8", True, ASCII),
    ],
)
def test_symbols_are_plain_where_the_terminal_is(
    monkeypatch: pytest.MonkeyPatch,
    encoding: str,
    ascii_only: bool,  # noqa: FBT001 - a column of the table
    symbols: object,
) -> None:
    """No terminal gets a character it cannot show."""
    monkeypatch.setattr(sys, "stdout", Stream(terminal=True, encoding=encoding))

    assert Console(Choices(ascii=ascii_only), {}).symbols is symbols


@pytest.mark.parametrize("state", list(JobState))
def test_a_symbol_never_stands_without_its_word(state: JobState) -> None:
    """Status is readable without colours and without knowing the signs."""
    assert Console(Choices(ascii=True), {}).state(state) == f"{ASCII.states[state]} {state}"
    assert ASCII.states[state].isascii()
    assert UNICODE.states[state]


def test_times_are_local_with_offset_on_a_terminal_and_utc_elsewhere(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A person reads the own clock; a file is read anywhere."""
    console = Console(Choices(), {})
    monkeypatch.setattr(sys, "stdout", Stream(terminal=True))
    on_terminal = console.moment(NOON_US)
    monkeypatch.setattr(sys, "stdout", Stream(terminal=False))

    assert on_terminal == local_time(NOON_US)
    assert on_terminal[-6] in "+-"
    assert console.moment(NOON_US) == iso(NOON_US)
    assert console.moment(None) == "-"


def test_numbers_are_told_with_their_noun() -> None:
    """One, many and none."""
    assert [counted(number, "call") for number in (0, 1, 2)] == ["no calls", "1 call", "2 calls"]


def test_quiet_silences_hints_but_not_results(capsys: pytest.CaptureFixture[str]) -> None:
    """With -q stdout stays the same and stderr has errors only."""
    console = Console(Choices(quiet=True), {})

    console.out("result")
    console.say("hint")
    console.tell("must be heard")

    assert capsys.readouterr() == ("result\n", "must be heard\n")
