"""The lines of a calendar file (iCalendar, RFC 5545): unfolded, parted, sorted into components.

What might be a freeze and is no event is refused here; what an event means is
`jobs.rollouts.icsfile`'s.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from jobs.rollouts.marks import Finding, Mark

CODE: Final = "MAN-11"

_LINE: Final = re.compile(
    r'([A-Za-z0-9-]+)((?:;[A-Za-z0-9-]+=(?:"[^"]*"|[^";:]*))*):(.*)', re.DOTALL
)
_PARAMETER: Final = re.compile(r';([A-Za-z0-9-]+)=("[^"]*"|[^";:]*)')
_CALENDAR: Final = ("VCALENDAR",)
_EVENT: Final = ("VCALENDAR", "VEVENT")
_KNOWN: Final = frozenset(
    {
        _CALENDAR,
        _EVENT,
        (*_EVENT, "VALARM"),
        *((*_CALENDAR, "VTIMEZONE", *part) for part in ((), ("STANDARD",), ("DAYLIGHT",))),
    }
)
"""Components that a freeze file may have; times are taken from the zone's own data."""


class RefusedError(Exception):
    """What is wrong, and with which line; `icsfile` makes a manifest's error of it."""

    def __init__(self, line: int, message: str, do: str | None = None) -> None:
        super().__init__(message)
        self.finding = Finding(code=CODE, message=message, do=do, mark=Mark(line, 1))


@dataclass(frozen=True, slots=True, kw_only=True)
class Property:
    """One property; *line* is where it begins, counting from 1."""

    line: int
    name: str
    value: str = field(repr=False)
    parameters: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Parts:
    """The properties of the calendar itself, and of each event after its BEGIN."""

    calendar: list[Property] = field(default_factory=list)
    events: list[list[Property]] = field(default_factory=list)


def parts_of(text: str) -> Parts:
    """Return the parts of a calendar file.

    Raises:
        RefusedError: If it is none, or has something that is not understood.
    """
    lines = list(_properties(text))
    if not lines or (lines[0].name, lines[0].value.upper()) != ("BEGIN", "VCALENDAR"):
        raise RefusedError(1, "is no calendar file", "it begins with BEGIN:VCALENDAR")
    found = Parts()
    path: tuple[str, ...] = ()
    for one in lines:
        path = _sorted_in(found, path, one)
    if path:
        raise RefusedError(lines[-1].line, f"{path[-1]} does not end", "is the file whole?")
    return found


def _sorted_in(found: Parts, path: tuple[str, ...], one: Property) -> tuple[str, ...]:
    """Put a line where it belongs; return the components that are open after it."""
    if one.name == "BEGIN":
        path = (*path, one.value.upper())
        if path not in _KNOWN:
            do = "write freezes as VEVENT"
            raise RefusedError(one.line, f"{one.value[:40]} is not understood here", do)
        if path == _EVENT:
            found.events.append([one])
    elif one.name == "END":
        if path[-1:] != (one.value.upper(),):
            raise RefusedError(one.line, f"END:{one.value[:40]} ends nothing that began")
        path = path[:-1]
    elif path == _CALENDAR:
        found.calendar.append(one)
    elif path == _EVENT:
        found.events[-1].append(one)
    elif not path:
        raise RefusedError(one.line, "stands outside of the calendar")
    return path


def _properties(text: str) -> Iterator[Property]:
    """Yield the content lines, unfolded (RFC 5545, section 3.1), each at its first line."""
    held: tuple[int, str] | None = None
    for number, line in enumerate(re.split(r"\r\n|\n|\r", text), start=1):
        if line[:1] in {" ", "\t"} and held is not None:
            held = (held[0], held[1] + line[1:])
            continue
        if held is not None:
            yield _property(*held)
        held = (number, line) if line.strip() else None
    if held is not None:
        yield _property(*held)


def _property(line: int, text: str) -> Property:
    match = _LINE.fullmatch(text)
    if match is None:
        raise RefusedError(line, "is no line of a calendar file", "write NAME:VALUE")
    parameters = {one[1].upper(): one[2].strip('"') for one in _PARAMETER.finditer(match[2])}
    return Property(line=line, name=match[1].upper(), value=match[3], parameters=parameters)
