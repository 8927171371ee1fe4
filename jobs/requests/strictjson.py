r"""JSON as we accept it: one document, nothing silently dropped, nothing silently changed.

Refused, besides broken syntax: duplicate keys, NaN and Infinity, numbers that do not fit,
half surrogate pairs, invalid UTF-8 and deep nesting.

orjson parses.  It keeps the last of two equal keys and turns integers beyond 64 bits into
floats, so two exact checks follow.

* Duplicates: the value is written again and its colons are counted.  Every colon of a JSON
  text is either the one of a member or stands inside a string; strings that are kept keep
  theirs, and no other part of JSON has any.  A dropped member takes at least its own colon
  with it, so the counts are equal exactly when nothing was dropped.  The one way to gain a
  colon is the escape ``\u003a``; a text that has it is judged by `_judge`.
* Integers: one beyond 64 bits has 19 digits in a row or more.  A text with such a row is
  judged by `_judge`, too.

`_judge` is the standard library's parser with hooks that see every member and every
integer.  Where a problem stands is found by `jobs.requests.jsonscan`, which runs only for
texts that are refused.
"""

import json
from typing import Final

import orjson

from jobs.requests.jsonscan import (
    LARGEST_INTEGER,
    SMALLEST_INTEGER,
    JsonError,
    JsonProblem,
    first_problem,
    member_places,
)

__all__ = ["MAX_DEPTH", "JsonError", "JsonProblem", "depth_exceeds", "loads", "locate"]

MAX_DEPTH: Final = 22
"""Levels of a whole job request: itself, its plug-in, and 20 of the plug-in's inputs."""

SCAN_LIMIT_BYTES: Final = 1024 * 1024
"""A larger text is refused without looking for the exact place, which would take seconds."""

_DIGITS_TO_ZERO: Final = bytes(48 if 48 <= byte <= 57 else byte for byte in range(256))
_LONG_ZEROS: Final = b"0" * 19
_COLON_ESCAPE: Final = b"\\u003"


def loads(data: bytes, *, max_depth: int = MAX_DEPTH) -> object:
    """Return the value of one JSON document.

    Args:
        data: UTF-8, without a byte order mark.
        max_depth: How many objects and lists may stand inside each other; at most 250, which
            is what orjson can write.

    Raises:
        JsonError: If it is not acceptable; never RecursionError.
    """
    try:
        value: object = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        reason, position = error.msg, error.pos
    else:
        if data.count(b"{") + data.count(b"[") > max_depth and depth_exceeds(value, max_depth):
            reason = f"more than {max_depth} levels of objects and lists"
            raise _refusal(data, max_depth, reason)
        colons = data.count(b":")
        if (
            _COLON_ESCAPE in data
            or orjson.dumps(value).count(b":") != colons
            or _LONG_ZEROS in data.translate(_DIGITS_TO_ZERO)  # six times faster than re
        ):
            _judge(data, max_depth)
        return value
    # Outside the handler: the foreign error holds the whole text, inputs included.
    raise _refusal(data, max_depth, reason, position)


def depth_exceeds(value: object, max_depth: int) -> bool:
    """Whether more than *max_depth* objects and lists stand inside each other in *value*."""
    level = [value] if isinstance(value, dict | list) else []
    for _ in range(max_depth):
        if not level:
            return False
        level = [
            child
            for item in level
            for child in (item.values() if isinstance(item, dict) else item)
            if isinstance(child, dict | list)
        ]
    return bool(level)


def locate(data: bytes, paths: frozenset[str]) -> dict[str, int]:
    """Return the column, counting from 1, at which each member named in *paths* begins.

    A path is the keys from the outermost object joined by dots.  What is not found is left
    out, and so is everything when *data* is too large or not JSON.
    """
    if len(data) > SCAN_LIMIT_BYTES or not paths:
        return {}
    try:
        return member_places(data.decode(), paths)
    except (UnicodeDecodeError, JsonError):
        return {}


class _RefusedError(Exception):
    """A hook of `_judge` saw what may not be; the argument is the reason."""


def _judge(data: bytes, max_depth: int) -> None:
    """Refuse duplicates and large integers exactly; the text is known to be JSON and flat."""
    try:
        json.loads(data, object_pairs_hook=_members, parse_int=_integer)
    except _RefusedError as error:
        reason = str(error)
    else:
        return
    raise _refusal(data, max_depth, reason)


def _members(pairs: list[tuple[str, object]]) -> None:
    if len({key for key, _ in pairs}) != len(pairs):
        raise _RefusedError("a field is there twice")


def _integer(digits: str) -> None:
    if len(digits) > 20 or not SMALLEST_INTEGER <= int(digits) <= LARGEST_INTEGER:
        raise _RefusedError("a whole number does not fit into 64 bits")


def _refusal(data: bytes, max_depth: int, reason: str, position: int = 0) -> JsonError:
    """Return the error for a text known to be bad, with the exact place where that is cheap."""
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        text, wrong = data[: error.start].decode(), data[error.start]
        message = f"byte {error.start + 1} (0x{wrong:02X}) is not UTF-8"
        return JsonError(JsonProblem.at(text, len(text), message, "save the text as UTF-8"))
    found = first_problem(text, max_depth) if len(data) <= SCAN_LIMIT_BYTES else None
    return JsonError(found or JsonProblem.at(text, position, reason))
