"""Which days a window opens on: the part of RFC 5545's RRULE that names days, and no more.

    FREQ=DAILY                        every day; BYDAY narrows it
    FREQ=WEEKLY;BYDAY=TU,WE           these weekdays
    FREQ=MONTHLY;BYDAY=1TU,-1FR       the first Tuesday and the last Friday of each month
    FREQ=MONTHLY;BYMONTHDAY=1,-1      the first and the last day of each month

With BYDAY and BYMONTHDAY both must hold, as RFC 5545 has it: Friday the 13th.
"""

import calendar
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Final

DAY_CODES: Final = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
"""Weekdays by their number, 0 is Monday."""

EVERY: Final = 0
"""In the place of a number: each such weekday."""

_PART: Final = re.compile(r"([A-Z]+)=([A-Z0-9,+-]+)", re.ASCII)
_WEEKDAY: Final = re.compile(r"([+-]?[1-5])?(MO|TU|WE|TH|FR|SA|SU)", re.ASCII)
_MONTH_DAY: Final = re.compile(r"[+-]?([1-9]|[12][0-9]|3[01])", re.ASCII)
_MAY_HAVE: Final[Mapping[str, frozenset[str]]] = {
    "DAILY": frozenset({"BYDAY"}),
    "WEEKLY": frozenset({"BYDAY"}),
    "MONTHLY": frozenset({"BYDAY", "BYMONTHDAY"}),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Days:
    """Days by their weekday, with its number in the month, and by their number in the month.

    Numbers below zero count from the month's end; what is empty narrows nothing.
    """

    weekdays: frozenset[tuple[int, int]] = frozenset()
    """(number or EVERY, weekday)."""

    month_days: frozenset[int] = frozenset()

    def holds(self, day: date) -> bool:
        """Whether *day* is one of them."""
        length = calendar.monthrange(day.year, day.month)[1]
        if self.month_days and not self.month_days & {day.day, day.day - length - 1}:
            return False
        if not self.weekdays:
            return True
        first, last = (day.day - 1) // 7 + 1, -((length - day.day) // 7 + 1)
        weekday = day.weekday()
        return not self.weekdays.isdisjoint({(n, weekday) for n in (EVERY, first, last)})


def on_weekdays(weekdays: Iterable[int]) -> Days:
    """Return every day that is one of *weekdays*."""
    return Days(weekdays=frozenset((EVERY, one) for one in weekdays))


def parse_days(text: str) -> Days:
    """Return the days that a rule names.

    Raises:
        ValueError: If it is none, with what is wrong with it.
    """
    parts = [_PART.fullmatch(part) for part in text.split(";")]
    rule = {part[1]: part[2] for part in parts if part is not None}
    frequency = rule.get("FREQ", "")
    if None in parts or len(rule) != len(parts) or frequency not in _MAY_HAVE:
        raise ValueError("is no rule for days")
    strange = sorted(rule.keys() - {"FREQ"} - _MAY_HAVE[frequency])
    if strange:
        raise ValueError(f"has {strange[0]}, which means nothing with FREQ={frequency} here")
    if frequency != "DAILY" and len(rule) == 1:
        raise ValueError("names no day")
    return Days(
        weekdays=_weekdays(rule.get("BYDAY"), numbered=frequency == "MONTHLY"),
        month_days=_month_days(rule.get("BYMONTHDAY")),
    )


def _weekdays(text: str | None, *, numbered: bool) -> frozenset[tuple[int, int]]:
    found = set()
    for one in () if text is None else text.split(","):
        match = _WEEKDAY.fullmatch(one)
        if match is None or (match[1] and not numbered):
            known = "days are MO TU WE TH FR SA SU"
            why = "1TU is a day of FREQ=MONTHLY alone" if match else known
            raise ValueError(f"has BYDAY={one}: {why}")
        found.add((int(match[1] or EVERY), DAY_CODES.index(match[2])))
    return frozenset(found)


def _month_days(text: str | None) -> frozenset[int]:
    found = set()
    for one in () if text is None else text.split(","):
        if _MONTH_DAY.fullmatch(one) is None:
            raise ValueError(f"has BYMONTHDAY={one}: days are 1 to 31, or -1 to -31 from the end")
        found.add(int(one))
    return frozenset(found)
