"""When something happens next, for people: local and UTC, how long until then, clock changes."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import Any, Final
from zoneinfo import ZoneInfo

from jobs.clock import MICROSECONDS, iso
from jobs.durations import format_duration
from jobs.rollouts.recurrence import Recurrence
from jobs.rollouts.ticks import due_us, in_words, ticks
from jobs.rollouts.windows import FOREVER_US, Calendar, open_spans

SEVEN: Final = 7
UTC_ZONE: Final = ZoneInfo("UTC")


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """One tick, or one opening with its end; *note* tells of a change of the clock."""

    at_us: int
    zone: ZoneInfo
    until_us: int | None = None
    note: str | None = None

    def fields(self) -> dict[str, Any]:
        """Return it as JSON shows it."""
        told = {"at": iso(self.at_us), "local": local(self.at_us, self.zone), "note": self.note}
        if self.until_us is not None:
            told["until"] = None if self.until_us >= FOREVER_US else iso(self.until_us)
        return told

    def line(self, now_us: int) -> str:
        """Return it as a terminal shows it."""
        away_s = (self.at_us - now_us) / MICROSECONDS
        when = "now" if away_s <= 0 else f"in {format_duration(away_s)}"
        end = ""
        if self.until_us is not None:
            ends = "ever" if self.until_us >= FOREVER_US else local(self.until_us, self.zone)
            end = f"  until {ends}"
        note = "" if self.note is None else f"  ({self.note})"
        return f"{local(self.at_us, self.zone)}  {iso(self.at_us)}{end}  {when}{note}"


def local(at_us: int, zone: ZoneInfo) -> str:
    """Return ``Sun 2026-11-29 03:00 +08:00``."""
    there = datetime.fromtimestamp(at_us // MICROSECONDS, tz=UTC).astimezone(zone)
    offset = there.strftime("%z")
    return f"{there.strftime('%a %Y-%m-%d %H:%M')} {offset[:3]}:{offset[3:5]}"


def next_ticks(recurrence: Recurrence, last_us: int, count: int = SEVEN) -> list[Moment]:
    """Return the next ticks of a schedule with their jitter, after *last_us*."""
    timing = recurrence.timing
    times = islice(ticks(timing, last_us), count)
    found = [due_us(timing, recurrence.name, at_us) for at_us in times]
    return [
        Moment(at_us=at_us, zone=timing.zone, note=note)
        for at_us, note in zip(found, _notes(found, timing.zone, last_us), strict=True)
    ]


def next_openings(calendar: Calendar, region: str, now_us: int, count: int = SEVEN) -> list[Moment]:
    """Return when pools of a region may be started next, the present opening first."""
    zone = next((one.zone for one in calendar.windows), UTC_ZONE)
    spans = list(islice(open_spans(calendar, region, now_us), count))
    begins = [max(begin, now_us) for begin, _ in spans]
    return [
        Moment(at_us=at_us, until_us=end, zone=zone, note=note)
        for at_us, (_, end), note in zip(begins, spans, _notes(begins, zone, now_us), strict=True)
    ]


def _notes(times: Sequence[int], zone: ZoneInfo, before_us: int) -> Iterator[str | None]:
    """Tell for each instant by how much the clock was set since the one before."""
    last = _offset_s(before_us, zone)
    for at_us in times:
        now = _offset_s(at_us, zone)
        step = now - last
        way = "forward" if step > 0 else "back"
        yield f"the clock goes {way} {format_duration(abs(step))} before this" if step else None
        last = now


def _offset_s(at_us: int, zone: ZoneInfo) -> float:
    there = datetime.fromtimestamp(at_us // MICROSECONDS, tz=UTC).astimezone(zone)
    offset = there.utcoffset()
    assert offset is not None
    return offset.total_seconds()


def times_in_words(recurrence: Recurrence) -> str:
    """Return when a schedule ticks: ``At 03:00 on Sunday, Asia/Shanghai``."""
    return f"{in_words(recurrence.timing.cron)}, {recurrence.timing.zone.key}"


def numbered(moments: Iterable[Moment], now_us: int) -> list[str]:
    """Return the lines of a list."""
    return [f"  {n}. {one.line(now_us)}" for n, one in enumerate(moments, start=1)]
