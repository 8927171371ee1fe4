"""How far an intake is: a bar that redraws on a terminal, a line now and then elsewhere."""

import os
import sys
from typing import Final

from jobs.clock import Clock
from worker.cli.console import Console
from worker.cli.terminal import is_terminal

REDRAW_S: Final = 0.25
HEARTBEAT_S: Final = 10.0
BAR: Final = 20


class IntakeProgress:
    """Counts records and bytes, and tells of them on stderr.

    The bar needs stderr to itself: where stdout is the same terminal, the results scroll
    by and are progress enough.
    """

    def __init__(self, console: Console, clock: Clock, total_bytes: int | None) -> None:
        self._console = console
        self._clock = clock
        self._total = total_bytes
        self._bytes = 0
        self._records = 0
        self._started = clock.monotonic()
        both = is_terminal(sys.stderr) and is_terminal(sys.stdout)
        alone = is_terminal(sys.stderr) and not both and os.environ.get("TERM") != "dumb"
        self._bar = alone and not os.environ.get("CI") and not console.choices.quiet
        self._silent = both or console.choices.quiet
        self._next = self._started + (REDRAW_S if self._bar else HEARTBEAT_S)
        self._drawn = False

    @property
    def elapsed_s(self) -> float:
        """Seconds since it began."""
        return self._clock.monotonic() - self._started

    def advance(self, size_bytes: int) -> None:
        """Count one record of that size."""
        self._records += 1
        self._bytes += size_bytes + 1  # its line end
        if self._silent:
            return
        now = self._clock.monotonic()
        if now < self._next:
            return
        if self._bar:
            self._next = now + REDRAW_S
            sys.stderr.write(f"\r{self._words()}\x1b[K")
            sys.stderr.flush()
            self._drawn = True
        else:
            self._next = now + HEARTBEAT_S
            self._console.say(f"still taking in: {self._words()}")

    def finish(self) -> None:
        """Take the bar away."""
        if self._drawn:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
            self._drawn = False

    def _words(self) -> str:
        rate = self._records / max(self.elapsed_s, 0.001)
        words = f"{self._records} records, {rate:.0f} a second"
        if not self._total:
            return words
        share = min(1.0, self._bytes / self._total)
        if not self._bar:
            return f"{words}, {share:.0%}"
        filled = int(BAR * share)
        symbols = self._console.symbols
        return f"{symbols.full * filled}{symbols.empty * (BAR - filled)} {share:4.0%}  {words}"
