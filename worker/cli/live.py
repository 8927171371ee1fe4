"""The redrawn view of a running worker: pure lines, and the one place that draws them.

It redraws at most four times a second, never grows beyond the terminal, and log lines
never pass through it: they are taken by a `Feed` and the latest stand in the view.
"""

import io
import json
from collections import deque
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

from jobs.clock import Clock
from jobs.durations import format_duration
from jobs.report.results import FINAL_ORDER
from jobs.states import JobState
from worker.cli.console import Console, counted
from worker.cli.printing import fitted
from worker.cli.screen import redrawn
from worker.cli.symbols import Symbols
from worker.statistics import InHand, WorkerStatistics

REDRAW_S: Final = 0.25
LATEST: Final = 3
"""Log lines that the view shows."""

BAR: Final = 20
"""Cells of the progress bar."""


class Feed(io.StringIO):
    """Takes JSON log lines and keeps the latest as short lines for a person.

    With *say* each short line is also told at once; a view does without.
    """

    def __init__(
        self, symbols: Symbols, say: Callable[[str], None] | None = None, *, local: bool = False
    ) -> None:
        super().__init__()
        self._symbols = symbols
        self._say = say
        self._local = local
        self.latest: deque[str] = deque(maxlen=LATEST)

    def write(self, text: str) -> int:
        """Take one or more finished lines."""
        for line in text.splitlines():
            try:
                entry = json.loads(line)
            except ValueError:
                continue
            told = self._told(entry)
            if told is not None:
                self.latest.append(told)
                if self._say is not None:
                    self._say(told)
        return len(text)

    def _told(self, entry: dict[str, Any]) -> str | None:
        """Return a line for results and for what is at least a warning, None for the rest."""
        time = self._time(str(entry.get("ts", "")))
        if entry.get("event") != "job.result":
            if entry.get("level") not in {"warning", "error", "critical"}:
                return None
            what = str(entry.get("event", "")).replace(".", " ").replace("_", " ")
            subject = entry.get("job") or entry.get("detail") or ""
            return f"{time} ! {what} {subject}".rstrip()
        state = JobState(entry["outcome"])
        took = entry.get("run_s")
        text = f"{time} {self._symbols.states[state]} {entry['pool_name']} {state}"
        if took is not None:
            text += f" in {format_duration(took)}"
        return text + (f": {entry['cause']}" if entry.get("cause") else "")

    def _time(self, stamp: str) -> str:
        """Return the time of day: local where a person looks on, UTC with Z elsewhere."""
        if not self._local:
            return stamp[11:19] + "Z"
        return datetime.fromisoformat(stamp).astimezone().strftime("%H:%M:%S")


def live_lines(
    figures: WorkerStatistics, latest: list[str], symbols: Symbols, *, width: int, height: int
) -> list[str]:
    """Return the view: at most *height* lines of at most *width* columns."""
    state = "draining" if figures.draining else "running"
    held = len(figures.in_hand)
    head = f"{figures.worker}   {state}   {format_duration(figures.running_s)} so far"
    lines = [f"{head}   {held} of {figures.slots} slots in use", _bar(figures, symbols)]
    tail = _tail(figures, latest)
    room = max(1, height - len(lines) - len(tail) - 2)
    lines += _in_hand(figures.in_hand, symbols, width, room)
    lines += tail
    return [fitted(line, width, symbols.more) for line in lines[:height]]


def _bar(figures: WorkerStatistics, symbols: Symbols) -> str:
    done = sum(figures.ended.values())
    total = done + figures.open_jobs
    filled = BAR if not total else BAR * done // total
    counts = "  ".join(
        f"{symbols.states[state]} {figures.ended[state]} {state}"
        for state in FINAL_ORDER
        if figures.ended.get(state)
    )
    bar = symbols.full * filled + symbols.empty * (BAR - filled)
    return f"  {bar}  {done} done, {figures.open_jobs} open   {counts}".rstrip()


def _in_hand(jobs: tuple[InHand, ...], symbols: Symbols, width: int, room: int) -> list[str]:
    """Return a title and one line for each job, as many as there is room for."""
    if not jobs:
        return []
    wide = max(10, width - 42)
    shown = jobs if len(jobs) <= room else jobs[: max(1, room - 1)]
    lines = [f"  {'Running now':<{wide}}  {'Step':<20} {'For':>8}  {'Try':>3}"]
    for job in shown:
        change = f"{job.version_from} {symbols.arrow} " if job.version_from else ""
        what = f"{symbols.states[job.state]} {job.pool_name}  {change}{job.version_to or 'newest'}"
        step = job.state.value + (f": {job.phase}" if job.phase else "")
        since = format_duration(job.since_s)
        cut = fitted(what, wide, symbols.more)
        lines.append(f"  {cut:<{wide}}  {step:<20.20} {since:>8}  {job.attempt:>3}")
    if len(shown) < len(jobs):
        lines.append(f"  and {len(jobs) - len(shown)} more")
    return lines


def _tail(figures: WorkerStatistics, latest: list[str]) -> list[str]:
    lines = []
    if latest:
        lines = ["  Latest", *(f"  {line}" for line in latest)]
    if figures.waiting:
        told = ", ".join(f"{count} {reason}" for reason, count in figures.waiting.items())
        lines.append(f"  Waiting  {told}")
    lines.append(
        f"  Cloud {figures.rate:.1f} of {figures.rate_limit:g} calls/s, "
        f"{counted(figures.throttled, 'slow-down')} (429), "
        f"{counted(figures.lost_answers, 'lost answer')}"
    )
    if figures.trouble:
        lines.append(f"  ! {figures.trouble}")
    hint = "Ctrl-C again leaves now" if figures.draining else "Ctrl-C drains"
    return [*lines, f"  {hint}"]


async def draw(
    console: Console, figures: Callable[[], WorkerStatistics], feed: Feed, clock: Clock
) -> None:
    """Redraw until cancelled; what stands then is taken away, the recap follows."""
    with redrawn() as show:
        while True:
            show(
                lambda width, height: live_lines(
                    figures(), list(feed.latest), console.symbols, width=width, height=height
                )
            )
            await clock.sleep(REDRAW_S)
