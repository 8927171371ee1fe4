"""What a terminal is asked: is it one, and does it take colours.

Light on imports, because errors are printed with it before anything else is loaded.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, TextIO

from worker.cli.choices import Choices

_COLOURS: Final[Mapping[str, str]] = MappingProxyType(
    {"red": "31", "green": "32", "yellow": "33", "blue": "34", "dim": "2", "bold": "1"}
)


def is_terminal(stream: TextIO) -> bool:
    """Whether a person may be looking at *stream*; False for a closed one."""
    try:
        return stream.isatty()
    except ValueError:
        return False


def takes_colour(stream: TextIO, choices: Choices, environ: Mapping[str, str]) -> bool:
    """Whether *stream* takes colours: flag, then NO_COLOR and FORCE_COLOR, then terminal."""
    if choices.no_color or environ.get("NO_COLOR") or environ.get("PLUGWAVE_NO_COLOR"):
        return False
    if environ.get("FORCE_COLOR"):
        return True
    return is_terminal(stream) and environ.get("TERM") != "dumb"


def painted(text: str, colour: str) -> str:
    """Return *text* between the codes of a colour."""
    return f"\x1b[{_COLOURS[colour]}m{text}\x1b[0m"
