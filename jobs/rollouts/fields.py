"""The kinds of values a manifest is made of: durations, percents, zones, times, names.

Each is checked with a message in our own words and written back as a person would write
it, so that the expanded manifest in a plan can be read and used again.
"""

import re
from collections.abc import Sequence
from datetime import datetime
from fractions import Fraction
from functools import lru_cache
from typing import Annotated, Any, Final
from zoneinfo import ZoneInfo, available_timezones

from pydantic import AfterValidator, BaseModel, ConfigDict, PlainSerializer, PlainValidator
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

from jobs.durations import parse_duration
from jobs.names import is_name, is_project, is_region
from jobs.requests import did_you_mean, quoted
from jobs.rollouts.days import parse_days
from jobs.rollouts.ticks import checked_cron

LONGEST_S: Final = 366 * 86_400.0
WEEKDAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

_PERCENT: Final = re.compile(r"([0-9]{1,3}(?:\.[0-9]{1,6})?) ?%", re.ASCII)
_CLOCK: Final = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]", re.ASCII)
_LOCAL: Final = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d)?", re.ASCII)
_GLOB: Final = re.compile(r"[A-Za-z0-9*?\[][A-Za-z0-9._*?\[\]!-]{0,127}", re.ASCII)
_LABEL: Final = re.compile(r"[\x21-\x7e\u00a1-\uffff][^\x00-\x1f\x7f]{0,127}")
_SECRET_PLACE: Final = re.compile(r"(env|file):[^\s\x00-\x1f]{1,500}", re.ASCII)


def wrong(message: str, do: str | None = None, *at: str | int) -> PydanticCustomError:
    """Return a finding in our own words, *at* the field of a model that is meant."""
    return PydanticCustomError(
        "complaint", "not acceptable", {"message": message, "suggestion": do, "at": at}
    )


class Closed(BaseModel):
    """A part of a manifest: unknown fields are errors, keys are written in camelCase."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        alias_generator=to_camel,
        hide_input_in_errors=True,
        use_attribute_docstrings=True,
    )


def _shown(value: object) -> str:
    return quoted(value) if isinstance(value, str) else str(value)[:40]


def _duration(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise wrong("must be a duration", "write it as 45m, 90s or 1h30m")
    if not isinstance(value, str):
        if value == 0:
            return 0.0
        raise wrong(f"{value} has no unit", f"write {value}s, {value}m or {value}h")
    try:
        seconds = parse_duration(value)
    except ValueError as error:
        raise wrong(str(error)) from None
    if seconds > LONGEST_S:
        raise wrong(f"{_shown(value)} is longer than 366 days")
    return seconds


def duration_text(seconds: float) -> str:
    """Return *seconds* exactly, as a manifest writes them: ``1h30m``, ``45s``."""
    millis = round(seconds * 1000)
    parts = []
    for unit, size in (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)):
        amount, millis = divmod(millis, size)
        if amount:
            parts.append(f"{amount}{unit}")
    return "".join(parts) or "0s"


def _percent(value: object) -> Fraction:
    match = _PERCENT.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        shown = isinstance(value, int | float) and not isinstance(value, bool)
        part = shown and 0 < float(value) < 1  # type: ignore[arg-type] # a number, as was asked
        hint = "write it as 15%" if not shown else f"write {value}%"
        if part:
            hint = f"write {float(value) * 100:g}%"  # type: ignore[arg-type] # a number
        raise wrong("must be a percentage with its sign", hint)
    share = Fraction(match[1]) / 100
    if not 0 < share <= 1:
        raise wrong(f"{_shown(value)} is out of range; it is more than 0% and at most 100%")
    return share


def percent_text(share: Fraction) -> str:
    """Return a share of 1 as ``15%``."""
    return f"{float(share * 100):g}%"


def _share_of_fleet(value: object) -> Fraction:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _percent(f"{value}%")
    return _percent(value)


def _amount(value: object) -> int | Fraction:
    if isinstance(value, int) and not isinstance(value, bool):
        if value < 0:
            raise wrong(f"{value} is negative")
        return value
    if isinstance(value, str):
        return _percent(value)
    raise wrong("must be a whole number or a percentage", "write it as 3 or 5%")


def amount_text(amount: int | Fraction) -> int | str:
    """Return a number as it is, a share as ``5%``."""
    return amount if isinstance(amount, int) else percent_text(amount)


@lru_cache(maxsize=64)
def zone_of(name: str) -> ZoneInfo:
    """Return the time zone of that name.

    Raises:
        ValueError: If there is none; ZoneInfo itself raises a KeyError, and others.
    """
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise ValueError(f"there is no time zone {quoted(name)}") from None


def _zone(name: str) -> str:
    try:
        zone_of(name)
    except ValueError as error:
        near = _near_zone(name)
        hint = f"did you mean '{near}'?" if near else "write it as Asia/Shanghai"
        raise wrong(str(error), hint) from None
    return name


def _near_zone(name: str) -> str | None:
    zones = _zones()
    ends = [zone for zone in zones if zone.rpartition("/")[2].lower() == name.lower()]
    return ends[0] if ends else did_you_mean(name, zones)


@lru_cache(maxsize=1)
def _zones() -> tuple[str, ...]:
    return tuple(sorted(available_timezones()))


def _clock(value: object) -> str:
    if isinstance(value, str) and _CLOCK.fullmatch(value):
        return value
    do = 'write it in quotes: "22:00"'
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 24 * 60:
        minutes = f"{value // 60:02d}:{value % 60:02d}"
        raise wrong(
            f"the number {value} is no time of day",
            f'if a YAML 1.1 program made it from {minutes}, write "{minutes}"',
        )
    shown = f"{_shown(value)} is no time of day" if isinstance(value, str) else "is no time of day"
    raise wrong(shown, do)


def _local(value: object) -> str:
    if not isinstance(value, str) or not _LOCAL.fullmatch(value):
        raise wrong(
            "must be a date and time without offset",
            'write "2027-01-25T00:00"; timeZone says where',
        )
    try:
        datetime.fromisoformat(value)
    except ValueError:
        raise wrong(f"there is no {_shown(value)} in the calendar") from None
    return value


def _cron(text: str) -> str:
    try:
        return checked_cron(text)
    except ValueError as error:
        raise wrong(str(error), 'such as "0 3 * * SUN"') from None


def _recurrence(text: str) -> str:
    try:
        parse_days(text)
    except ValueError as error:
        do = 'such as "FREQ=WEEKLY;BYDAY=TU,WE,TH" or "FREQ=MONTHLY;BYDAY=1TU"'
        raise wrong(f"{_shown(text)} {error}", do) from None
    return text


def _named(word: str, accepts: Any, rule: str) -> AfterValidator:  # noqa: ANN401 - a predicate
    def check(text: str) -> str:
        if not accepts(text):
            raise wrong(f"{quoted(text)} is no {word}", rule)
        return text

    return AfterValidator(check)


def _one_or_more(value: object) -> Sequence[object]:
    """Take one text for a list of one."""
    return [value] if isinstance(value, str) else value  # type: ignore[return-value] # pydantic says no to others


def _is_title(text: str) -> bool:
    return is_name(text) and len(text) <= 63


def _is_beside(text: str) -> bool:
    return _is_line(text) and not text.startswith(("/", "~")) and ".." not in text.split("/")


def _is_line(text: str) -> bool:
    return 0 < len(text) <= 300 and text.isprintable()


Duration = Annotated[
    float,
    PlainValidator(_duration, json_schema_input_type=str),
    PlainSerializer(duration_text, return_type=str),
]
Percent = Annotated[
    Fraction,
    PlainValidator(_percent, json_schema_input_type=str),
    PlainSerializer(percent_text, return_type=str),
]
FleetShare = Annotated[
    Fraction,
    PlainValidator(_share_of_fleet, json_schema_input_type=str | float),
    PlainSerializer(percent_text, return_type=str),
]
Amount = Annotated[
    int | Fraction,
    PlainValidator(_amount, json_schema_input_type=int | str),
    PlainSerializer(amount_text, return_type=int | str),
]
Zone = Annotated[str, AfterValidator(_zone)]
ClockTime = Annotated[str, PlainValidator(_clock, json_schema_input_type=str)]
LocalTime = Annotated[str, PlainValidator(_local, json_schema_input_type=str)]
CronLine = Annotated[str, AfterValidator(_cron)]
Recurrence = Annotated[str, AfterValidator(_recurrence)]
Title = Annotated[
    str, _named("name", _is_title, "a name is 1 to 63 letters, digits, '.', '_' and '-'")
]
PluginName = Annotated[
    str, _named("plug-in", is_name, "write its template name, such as node-local-dns")
]
RegionName = Annotated[str, _named("region", is_region, "write it as cn-north-4")]
ProjectId = Annotated[str, _named("project id", is_project, "write its id, 32 hex digits")]
PoolName = Annotated[str, _named("pool", is_name, "write its id, not its display name")]
PoolGlob = Annotated[
    str, _named("pool", lambda text: bool(_GLOB.fullmatch(text)), "write an id, * or ? for parts")
]
LabelKey = Annotated[
    str, _named("label", lambda text: bool(_LABEL.fullmatch(text)), "1 to 128 characters")
]
Line = Annotated[str, _named("single line", _is_line, "1 to 300 characters in one line")]
FileBeside = Annotated[
    str,
    _named(
        "file beside the manifest",
        _is_beside,
        "a relative path without '..': what is wrong in a file is quoted, so none from elsewhere",
    ),
]
SecretPlace = Annotated[
    str,
    _named(
        "place of an address",
        lambda text: bool(_SECRET_PLACE.fullmatch(text)),
        "an address may hold a token: write env:NAME or file:PATH, where it stands",
    ),
]
