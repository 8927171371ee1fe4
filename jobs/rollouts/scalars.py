"""What a plain scalar means by the core schema of YAML 1.2."""

import math
import re
from dataclasses import dataclass
from typing import Final

_SMALLEST: Final = -(2**63)
_LARGEST: Final = 2**64 - 1
_LONGEST_DIGITS: Final = 24  # of a 64 bit number in octal, with sign and prefix
_NULL: Final = frozenset({"", "~", "null", "Null", "NULL"})
_BOOL: Final = {
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
}  # fmt: skip
_INT: Final = re.compile(r"[-+]?[0-9]+", re.ASCII)
_BASED: Final = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+", re.ASCII)
_FLOAT: Final = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?", re.ASCII)
_NOT_FINITE: Final = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)", re.ASCII)


@dataclass(frozen=True, slots=True)
class Refused:
    """A scalar that is no value here, and why."""

    why: str


def plain(text: str) -> str | float | bool | Refused | None:
    """Return what a plain scalar means by the core schema."""
    if text in _NULL:
        return None
    if text in _BOOL:
        return _BOOL[text]
    if _NOT_FINITE.fullmatch(text):
        return Refused("NaN and infinity are no values here")
    return _number(text)


def _number(text: str) -> str | float | Refused:
    """Return the number that *text* writes, or *text* itself."""
    if _INT.fullmatch(text) or _BASED.fullmatch(text):
        # The length is looked at first, because int() has a limit of its own.
        fits = len(text) <= _LONGEST_DIGITS
        number = int(text, 0 if text.startswith(("0o", "0x")) else 10) if fits else 0
        if fits and _SMALLEST <= number <= _LARGEST:
            return number
        return Refused("a whole number does not fit into 64 bits")
    if _FLOAT.fullmatch(text):
        value = float(text)
        return value if math.isfinite(value) else Refused("a number is too large")
    return text


def kind_of(value: object) -> str:
    """Return the name of a scalar's kind, as YAML's tags have it."""
    kinds: dict[type, str] = {str: "str", bool: "bool", int: "int", float: "float"}
    return kinds.get(value.__class__, "null")
