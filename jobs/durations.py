"""Durations as people write and read them: ``45m``, ``1h30m``, ``3m 58s``.

Inside the house a duration is a float of seconds; only settings, job requests and surfaces
see the text.
"""

import functools
import math
import re
from typing import Final

_UNITS: Final = {"d": 86_400.0, "h": 3_600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_PLAIN: Final = re.compile(r"\d+(?:\.\d+)?", re.ASCII)
_PARTS: Final = re.compile(
    r"(?:(\d+(?:\.\d+)?)d)?\s*(?:(\d+(?:\.\d+)?)h)?\s*(?:(\d+(?:\.\d+)?)m)?\s*"
    r"(?:(\d+(?:\.\d+)?)s)?\s*(?:(\d+(?:\.\d+)?)ms)?",
    re.ASCII,
)
_LONGEST_TEXT: Final = 64  # characters; keeps the pattern's work and the message short


def parse_duration(text: str | float) -> float:
    """Return the seconds that *text* means.

    Units are ``d``, ``h``, ``m``, ``s`` and ``ms``, from large to small, each at most once,
    as in ``45m``, ``1h30m``, ``3m 58s``, ``0.5s`` or ``200ms``.  A plain number, as text or
    not, means seconds.

    Raises:
        ValueError: If it is no duration, negative, or not finite.
    """
    if isinstance(text, bool):
        raise ValueError(f"{text} is not a duration")  # noqa: TRY004 - promised above
    if isinstance(text, int | float):
        return _checked_number(text)
    return _parse_text(text)


@functools.lru_cache(maxsize=256)  # a file of jobs repeats the same few durations
def _parse_text(text: str) -> float:
    cleaned = text.strip()
    if _PLAIN.fullmatch(cleaned):
        return _checked_number(float(cleaned))
    match = _PARTS.fullmatch(cleaned) if 0 < len(cleaned) <= _LONGEST_TEXT else None
    if match is None:
        shown = repr(cleaned[:_LONGEST_TEXT])
        raise ValueError(f"{shown} is not a duration; write it as 45m, 90s or 1h30m")
    parts = zip(match.groups(), _UNITS.values(), strict=True)
    return _checked_number(math.fsum(float(part) * unit for part, unit in parts if part))


def _checked_number(seconds: float) -> float:
    try:
        value = float(seconds)
    except OverflowError:
        raise ValueError("a duration must be finite") from None
    if not math.isfinite(value):
        raise ValueError("a duration must be finite")
    if value < 0:
        raise ValueError(f"{value:g} s is negative; a duration is zero or more")
    return value


def format_duration(seconds: float) -> str:
    """Return *seconds* as people read them, with at most two units: ``3m 58s``.

    Under ten seconds one decimal is kept, under one second milliseconds are shown.
    """
    if seconds < 0:
        return f"-{format_duration(-seconds)}"
    if round(seconds) >= 60:
        return _long(seconds)
    if round(seconds, 1) >= 10:
        return f"{round(seconds)}s"
    if seconds >= 0.9995 or seconds == 0:
        return f"{round(seconds, 1):g}s"
    return f"{round(seconds * 1000)}ms"


def _long(seconds: float) -> str:
    """Round to the smaller of the two units first, so that no ``60s`` can come out."""
    if (whole := round(seconds)) < 3_600:
        return _two_units(whole, 60, "m", "s")
    if (minutes := round(seconds / 60)) < 24 * 60:
        return _two_units(minutes, 60, "h", "m")
    return _two_units(round(seconds / 3_600), 24, "d", "h")


def _two_units(amount: int, size: int, large: str, small: str) -> str:
    first, rest = divmod(amount, size)
    return f"{first}{large} {rest:02d}{small}" if rest else f"{first}{large}"
