"""Events of a calendar file, and when they happen: once, or again and again by a small rule.

An event is kept as it was written, by wall clock and zone, so that a plan holds the same
whenever it is made.  Its length is days by the calendar and seconds by elapsed time, as in
RFC 5545: an all-day event lasts to a midnight, one of four hours lasts four hours also in
the night in which the clock moves.
"""

import calendar
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final, Literal
from zoneinfo import ZoneInfo

from jobs.clock import MICROSECONDS
from jobs.rollouts.windows import HORIZON_DAYS, Span, instant_us

Every = Literal["once", "day", "week", "month", "year"]

MOST_STEPS: Final = 200_000
"""Steps of one rule that are counted through; a daily one takes 547 years for that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One event.

    Attributes:
        line: Where it begins in its file, counting from 1.
        summary: What it is called.
        zone: IANA name.
        start: Wall clock of the first time, ``2027-01-25T00:00:00``.
        days: Its length in days of the calendar, beside ``seconds`` of elapsed time.
        every: How it comes again.
        interval: Every how many days, weeks, months or years.
        weekdays: Of a week, 0 is Monday; empty means that of the first time.
        count: How many times in all; None for no limit.
        until: Wall clock of the last moment at which it may begin; None for no limit.
        without: Wall clocks of times that do not take place.
    """

    line: int
    summary: str
    zone: str
    start: str
    days: int = 0
    seconds: int = 0
    every: Every = "once"
    interval: int = 1
    weekdays: tuple[int, ...] = ()
    count: int | None = None
    until: str | None = None
    without: tuple[str, ...] = ()


def looked_ahead(begun_us: int, expires_s: float) -> Span:
    """Return the time for which a rollout must know its freezes.

    From when it begins until what waits in its last moment could open.
    """
    ahead = timedelta(days=HORIZON_DAYS, seconds=expires_s)
    return begun_us, begun_us + ahead // timedelta(microseconds=1)


def spans(event: Event, from_us: int, until_us: int) -> Iterator[Span]:
    """Yield when *event* takes place, in order, as far as it touches [from_us, until_us)."""
    zone = ZoneInfo(event.zone)
    for start in _starts(event):
        begin = instant_us(start, zone)
        if begin >= until_us:
            return
        end = instant_us(start + timedelta(days=event.days), zone) + event.seconds * MICROSECONDS
        if end > from_us:
            yield (begin, end)


def _starts(event: Event) -> Iterator[datetime]:
    """Yield the wall clocks at which it begins; those that are left out count, as RFC 5545 says."""
    last = None if event.until is None else datetime.fromisoformat(event.until)
    without = {datetime.fromisoformat(one) for one in event.without}
    for number, start in enumerate(_candidates(event), start=1):
        if last is not None and start > last:
            return
        if start not in without:
            yield start
        if number == event.count:
            return


def _candidates(event: Event) -> Iterator[datetime]:
    first = datetime.fromisoformat(event.start)
    if event.every == "once":
        yield first
        return
    for step in range(MOST_STEPS):
        try:
            yield from _of_step(event, first, step * event.interval)
        except OverflowError:  # the end of the calendar
            return


def _of_step(event: Event, first: datetime, number: int) -> Iterator[datetime]:
    """Yield the starts of the day, week, month or year that is *number* after the first one."""
    if event.every == "day":
        yield first + timedelta(days=number)
    elif event.every == "week":
        monday = first - timedelta(days=first.weekday())
        for weekday in sorted(event.weekdays or (first.weekday(),)):
            start = monday + timedelta(weeks=number, days=weekday)
            if start >= first:
                yield start
    else:
        months = number if event.every == "month" else 12 * number
        year, month = divmod(first.year * 12 + first.month - 1 + months, 12)
        if year > date.max.year:
            raise OverflowError
        # A day that a month does not have is passed over: RFC 5545, section 3.3.10.
        if first.day <= calendar.monthrange(year, month + 1)[1]:
            yield first.replace(year=year, month=month + 1)
