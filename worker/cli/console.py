"""Where words go and how they look: streams, colours, symbols, widths, times.

stdout carries the result; progress, hints and logs go to stderr.  Nothing that came from
a store, a file or the cloud is printed before `config.masking.clean_text` took its control
characters, so that no data can move the cursor or change colours.
"""

import os
import sys
from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Final

from jobs.clock import MICROSECONDS, iso
from jobs.durations import format_duration
from jobs.states import JobState
from worker.cli.choices import Choices
from worker.cli.symbols import ASCII, UNICODE, Symbols
from worker.cli.terminal import is_terminal, painted, takes_colour

COLOUR_OF: Final[Mapping[JobState, str]] = MappingProxyType(
    {
        JobState.SUCCEEDED: "green",
        JobState.UNCHANGED: "green",
        JobState.FAILED: "red",
        JobState.UNRESOLVED: "red",
        JobState.UNKNOWN: "yellow",
        JobState.WAITING: "dim",
        JobState.SKIPPED: "dim",
        JobState.CANCELLED: "dim",
    }
)


class Console:
    """The two streams of one run, with what the flags and the environment say about them."""

    def __init__(self, choices: Choices, environ: Mapping[str, str] | None = None) -> None:
        self.choices = choices
        self._environ = os.environ if environ is None else environ

    @property
    def structured(self) -> bool:
        """Whether stdout carries JSON."""
        return self.choices.output in {"json", "ndjson"}

    @property
    def symbols(self) -> Symbols:
        """The set this terminal can show."""
        encoding = (sys.stdout.encoding or "ascii").lower().replace("-", "")
        return ASCII if self.choices.ascii or not encoding.startswith("utf") else UNICODE

    @property
    def live(self) -> bool:
        """Whether a redrawn view is wanted: two terminals, no CI, and a person who wants it."""
        return (
            is_terminal(sys.stdout)
            and is_terminal(sys.stderr)
            and self._environ.get("TERM") not in {None, "", "dumb"}
            and not self._environ.get("CI")
            and not self.choices.quiet
            and not self.structured
            # Whoever asks for more logs, or for logs in a form, wants to see the lines.
            and not self.choices.verbose
            and self.choices.log_format is None
        )

    def out(self, text: str = "") -> None:
        """Write one line of the result."""
        sys.stdout.write(text + "\n")

    def flush(self) -> None:
        """Hand on what was written so far: somebody may be waiting for it at a pipe."""
        sys.stdout.flush()

    def say(self, text: str = "") -> None:
        """Write one line for the person beside the result; nothing with ``-q``."""
        if not self.choices.quiet:
            self.tell(text)

    def tell(self, text: str) -> None:
        """Write one line to stderr in any case."""
        self.flush()  # so that both streams keep their order on one terminal
        sys.stderr.write(text + "\n")
        sys.stderr.flush()

    def paint(self, text: str, colour: str | None, *, stderr: bool = False) -> str:
        """Return *text* in a colour, plain where the stream takes none."""
        if colour is None:
            return text
        stream = sys.stderr if stderr else sys.stdout
        return painted(text, colour) if takes_colour(stream, self.choices, self._environ) else text

    def state(self, state: JobState) -> str:
        """Return a state with its symbol: never a symbol without its word."""
        return f"{self.symbols.states[state]} {state.value}"

    def moment(self, instant_us: int | None) -> str:
        """Return an instant: local with offset on a terminal, UTC otherwise."""
        if instant_us is None:
            return "-"
        if not is_terminal(sys.stdout):
            return iso(instant_us) or "-"
        return local_time(instant_us)


def local_time(instant_us: int) -> str:
    """Return ``2026-11-24 20:00:00 +08:00`` in this machine's zone."""
    there = datetime.fromtimestamp(instant_us / MICROSECONDS).astimezone()
    offset = there.strftime("%z")
    return f"{there.strftime('%Y-%m-%d %H:%M:%S')} {offset[:3]}:{offset[3:5]}"


def age(instant_us: int | None, now_us: int) -> str:
    """Return how long ago an instant was, ``-`` when there is none."""
    if instant_us is None:
        return "-"
    return format_duration(max(0, now_us - instant_us) / MICROSECONDS)


def counted(number: int, noun: str) -> str:
    """Return ``1 call``, ``2 calls``, ``no calls``."""
    return f"{number} {noun}" if number == 1 else f"{number or 'no'} {noun}s"
