"""Read a calendar file (iCalendar, RFC 5545) as freezes; what is not understood is an error.

A freeze that is misread is a change in the one week in which nothing may change.  So this
reads events with a beginning and an end, all-day or by the clock, once or again by a simple
rule, in UTC or an IANA zone; properties that cannot change when an event takes place are
passed over, and everything else is refused with its line.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time
from types import MappingProxyType
from typing import Any, Final
from zoneinfo import ZoneInfo

from jobs.clock import MICROSECONDS
from jobs.rollouts.days import DAY_CODES
from jobs.rollouts.fields import zone_of
from jobs.rollouts.icsevents import Event, Every
from jobs.rollouts.icslines import CODE, Parts, Property, RefusedError, parts_of
from jobs.rollouts.marks import Finding
from jobs.rollouts.reading import decoded, refusal
from jobs.rollouts.windows import instant_us

MAX_BYTES: Final = 1024 * 1024
MAX_EVENTS: Final = 2_000
UNNAMED: Final = "an event without a name"

_DATE: Final = re.compile(r"\d{8}", re.ASCII)
_MOMENT: Final = re.compile(r"\d{8}T\d{6}Z?", re.ASCII)
_DURATION: Final = re.compile(
    r"\+?P(?:(\d+)W|(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?)?)", re.ASCII
)
_EVERY: Final[Mapping[str, Every]] = MappingProxyType(
    {"DAILY": "day", "WEEKLY": "week", "MONTHLY": "month", "YEARLY": "year"}
)
_MEANS_NOTHING: Final = frozenset(
    {
        *("UID", "DTSTAMP", "CREATED", "LAST-MODIFIED", "SEQUENCE", "CLASS", "PRIORITY", "TRANSP"),
        *("DESCRIPTION", "LOCATION", "GEO", "CATEGORIES", "COMMENT", "CONTACT", "URL", "ATTACH"),
        *("ORGANIZER", "ATTENDEE", "RESOURCES", "RELATED-TO", "REQUEST-STATUS", "COLOR", "IMAGE"),
    }
)
"""Properties of an event that do not change when it takes place."""

_TIMED: Final = frozenset({"DTSTART", "DTEND", "DURATION", "RRULE", "EXDATE", "SUMMARY", "STATUS"})
_OF_CALENDAR: Final = frozenset(
    {
        *("VERSION", "PRODID", "CALSCALE", "METHOD", "NAME", "DESCRIPTION", "UID", "URL", "SOURCE"),
        *("LAST-MODIFIED", "REFRESH-INTERVAL", "CATEGORIES", "COLOR", "IMAGE"),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class IcsFile:
    """What a calendar file says, and the SHA-256 (hex) of its bytes."""

    sha256: str
    events: tuple[Event, ...]


@dataclass(frozen=True, slots=True)
class _Moment:
    """A wall clock of a zone; *zone* is None for the file's own, *day* for a date alone."""

    local: datetime
    zone: str | None
    day: bool


def read_ics(data: bytes, name: str, zone: str | None = None) -> IcsFile:
    """Return the events of a calendar file.

    Args:
        data: Its bytes.
        name: How messages call it.
        zone: The IANA zone of days and times that have none; without it the file's own
            ``X-WR-TIMEZONE``.

    Raises:
        ManifestError: With the line of everything that is not understood.
    """
    if len(data) > MAX_BYTES:
        message = f"the file has {len(data):,} bytes; at most {MAX_BYTES:,} are read"
        raise refusal([Finding(code=CODE, message=message)], name, ())
    text = decoded(data, name).removeprefix("\ufeff")
    try:
        events = tuple(_events(parts_of(text), zone))
    except RefusedError as error:
        raise refusal([error.finding], name, text.splitlines()) from None
    return IcsFile(sha256=hashlib.sha256(data).hexdigest(), events=events)


def _events(parts: Parts, zone: str | None) -> Iterator[Event]:
    named = [found for one in parts.calendar if (found := _of_calendar(one)) is not None]
    own = zone or next(iter(named), None)
    for number, lines in enumerate(parts.events, start=1):
        if number > MAX_EVENTS:
            raise RefusedError(lines[0].line, f"there are more than {MAX_EVENTS} events")
        event = _event(lines, own)
        if event is not None:
            yield event


def _of_calendar(one: Property) -> str | None:
    """Return the zone that the calendar names for what has none."""
    if one.name == "X-WR-TIMEZONE":
        return _zone(one, one.value)
    if one.name == "CALSCALE" and one.value.upper() != "GREGORIAN":
        raise RefusedError(one.line, f"CALSCALE {one.value[:40]} is not understood here")
    if one.name not in _OF_CALENDAR and not one.name.startswith("X-"):
        raise RefusedError(one.line, f"{one.name} is not understood here")
    return None


def _given(lines: Sequence[Property]) -> dict[str, Property]:
    """Return the properties that say when and what, without EXDATE; refuse strange ones."""
    given: dict[str, Property] = {}
    for one in lines:
        if one.name in _TIMED:
            if one.name in given:
                raise RefusedError(one.line, f"{one.name} is there twice")
            given[one.name] = one
        elif one.name not in {"EXDATE", *_MEANS_NOTHING} and not one.name.startswith("X-"):
            do = "write the event as it takes place, without moved or added times"
            raise RefusedError(one.line, f"{one.name} is not understood here", do)
    return given


def _event(lines: Sequence[Property], zone: str | None) -> Event | None:
    """Return the event of *lines*, the first of which is its BEGIN; None when it is cancelled."""
    given = _given(lines[1:])
    without = [one for one in lines if one.name == "EXDATE"]
    if "STATUS" in given and given["STATUS"].value.upper() == "CANCELLED":
        return None
    if "DTSTART" not in given:
        raise RefusedError(lines[0].line, "the event has no DTSTART")
    start = _moment(given["DTSTART"], given["DTSTART"].value)
    name = start.zone or zone
    if name is None:
        do = "write timeZone beside ics, or X-WR-TIMEZONE in the file"
        raise RefusedError(given["DTSTART"].line, "nothing says in which time zone this is", do)
    days, seconds = _length(given, start, name, lines[0].line)
    summary = _text(given["SUMMARY"].value) if "SUMMARY" in given else UNNAMED
    event = Event(
        line=lines[0].line,
        summary=summary or UNNAMED,
        zone=name,
        start=start.local.isoformat(),
        days=days,
        seconds=seconds,
        without=tuple(_without(one, start, name) for one in without for one in _each(one)),
    )
    return _repeated(event, given["RRULE"], start) if "RRULE" in given else event


def _each(one: Property) -> list[Property]:
    return [replace(one, value=value) for value in one.value.split(",")]


def _without(one: Property, start: _Moment, zone: str) -> str:
    left = _moment(one, one.value)
    if left.day is not start.day:
        raise RefusedError(one.line, "EXDATE is not written as DTSTART is")
    return _in_zone(left, zone).isoformat()


def _in_zone(moment: _Moment, zone: str) -> datetime:
    """Return the wall clock of *moment* in *zone*."""
    if moment.zone in {None, zone}:
        return moment.local
    there = moment.local.replace(tzinfo=ZoneInfo(moment.zone or zone))
    return there.astimezone(ZoneInfo(zone)).replace(tzinfo=None)


def _moment(one: Property, text: str) -> _Moment:
    """Return the day or moment that *text* of a property writes."""
    strange = one.parameters.keys() - {"TZID", "VALUE"}
    strange = {name for name in strange if not name.startswith("X-")}
    kind = one.parameters.get("VALUE", "").upper()
    if strange or kind not in {"", "DATE", "DATE-TIME"}:
        what = min(strange) if strange else f"VALUE={kind[:40]}"
        raise RefusedError(one.line, f"{what} is not understood here")
    named = one.parameters.get("TZID")
    try:
        if _DATE.fullmatch(text) and kind != "DATE-TIME":
            day = datetime.combine(date.fromisoformat(text), time())
            return _Moment(day, None if named is None else _zone(one, named), day=True)
        if _MOMENT.fullmatch(text) and kind != "DATE":
            local = datetime.strptime(text.rstrip("Z"), "%Y%m%dT%H%M%S")  # noqa: DTZ007 - a wall clock
            if text.endswith("Z"):
                return _Moment(local, "UTC", day=False)
            return _Moment(local, None if named is None else _zone(one, named), day=False)
    except ValueError:
        pass
    raise RefusedError(
        one.line,
        f"{one.name} {text[:40]!r} is no day and no moment",
        "write 20270125, 20270125T010000Z or 20270125T010000 with TZID",
    )


def _zone(one: Property, name: str) -> str:
    try:
        zone_of(name)
    except ValueError:
        do = "write an IANA zone, such as Asia/Shanghai"
        raise RefusedError(one.line, f"there is no time zone {name[:60]!r}", do) from None
    return name


def _length(given: Mapping[str, Property], start: _Moment, zone: str, line: int) -> tuple[int, int]:
    """Return the length of an event: days of the calendar, and seconds."""
    end, duration = given.get("DTEND"), given.get("DURATION")
    if end is not None and duration is not None:
        raise RefusedError(duration.line, "the event has DTEND and DURATION")
    if duration is not None:
        return _duration(duration, start)
    if end is None:
        if start.day:
            return 1, 0
        raise RefusedError(line, "the event has no end", "write DTEND or DURATION")
    last = _moment(end, end.value)
    if last.day is not start.day:
        raise RefusedError(end.line, "DTEND is not written as DTSTART is")
    if start.day:
        days = (last.local - start.local).days
        length = (days, 0)
    else:
        begins = instant_us(start.local, ZoneInfo(zone))
        ends = instant_us(last.local, ZoneInfo(last.zone or zone))
        length = (0, (ends - begins) // MICROSECONDS)
    if max(length) <= 0:
        raise RefusedError(end.line, "the event ends before it begins")
    return length


def _duration(one: Property, start: _Moment) -> tuple[int, int]:
    match = _DURATION.fullmatch(one.value.upper())
    numbers = [] if match is None else [int(part or 0) for part in match.groups()]
    if not any(numbers) or max(numbers) > 10_000_000:
        raise RefusedError(one.line, f"DURATION {one.value[:40]!r} is none", "such as P1D or PT4H")
    weeks, days, hours, minutes, seconds = numbers
    rest = (hours * 60 + minutes) * 60 + seconds
    if start.day and rest:
        raise RefusedError(one.line, "an all-day event lasts whole days")
    return 7 * weeks + days, rest


def _repeated(event: Event, one: Property, start: _Moment) -> Event:
    """Return *event* as its rule lets it come again; a rule that is not clear is refused."""
    parts = [part.partition("=") for part in one.value.upper().split(";")]
    rule = {name: value for name, _, value in parts}
    if len(rule) != len(parts) or rule.get("FREQ") not in _EVERY:
        raise RefusedError(one.line, f"RRULE {one.value[:60]!r} is not understood here")
    every = _EVERY[rule.pop("FREQ")]
    changes: dict[str, Any] = {"every": every}
    for name, value in rule.items():
        changes |= _rule_part(event, one, start, (every, name, value))
    if every == "year" and "BYMONTHDAY" in rule and "BYMONTH" not in rule:
        raise RefusedError(one.line, "RRULE with BYMONTHDAY and no BYMONTH means every month")
    if "count" in changes and "until" in changes:
        raise RefusedError(one.line, "RRULE has COUNT and UNTIL")
    if changes.get("weekdays") and start.local.weekday() not in changes["weekdays"]:
        raise RefusedError(one.line, "DTSTART is on none of the days of BYDAY")
    return replace(event, **changes)


def _rule_part(
    event: Event, one: Property, start: _Moment, part: tuple[Every, str, str]
) -> dict[str, Any]:
    every, name, value = part
    if name in {"INTERVAL", "COUNT"} and value.isascii() and value.isdigit():
        if 1 <= int(value) <= 10_000:
            return {name.lower(): int(value)}
    elif name == "UNTIL":
        until = _moment(replace(one, parameters={}), value)
        if until.day and not start.day:
            until = replace(until, local=datetime.combine(until.local, time.max))
        return {"until": _in_zone(until, event.zone).isoformat()}
    elif name == "WKST" and (value == "MO" or every != "week"):
        return {}
    elif name == "BYDAY" and every == "week" and set(value.split(",")) <= set(DAY_CODES):
        return {"weekdays": tuple(sorted({DAY_CODES.index(day) for day in value.split(",")}))}
    elif (name, value) == ("BYMONTHDAY", str(start.local.day)) and every in {"month", "year"}:
        return {}  # as DTSTART says it; calendars write it all the same
    elif (name, value) == ("BYMONTH", str(start.local.month)) and every == "year":
        return {}
    raise RefusedError(
        one.line,
        f"{name}={value[:40]} of RRULE is not understood here",
        "write the days as events of their own",
    )


def _text(value: str) -> str:
    """Return a text without its escapes, in one line."""
    plain = value.replace("\\n", " ").replace("\\N", " ")
    plain = re.sub(r"\\([\\;,])", r"\1", plain)
    return " ".join("".join(c if c.isprintable() else " " for c in plain).split())[:200]
