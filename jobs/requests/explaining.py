"""What the model's complaints mean for the person who wrote the request.

pydantic finds; this module says which field, what was expected, and what was most likely
meant.  A missing field that a misspelt one explains is not reported twice.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from pydantic_core import ErrorDetails

from jobs.model import InputsBase
from jobs.requests.body import EXPECTED, PLUGIN_FIELDS, TOP_FIELDS
from jobs.requests.problems import Problem, did_you_mean, kind, quoted

RAW_KEY: Final = "_raw"
"""Where `jobs.intake.rejects` puts a line that is no JSON object."""

MAX_PROBLEMS: Final = 20
"""More than these are counted, not described; the rest is rarely worth the reading."""

_PLUGIN: Final = "plugin."
_PATH_LIMIT: Final = 200  # characters; the longest label's path is shorter


def explained(details: Sequence[ErrorDetails], document: Mapping[str, Any]) -> list[Problem]:
    """Return the findings as problems, missing fields last."""
    if RAW_KEY in document:
        hint = "mend the line and write it in place of the whole object"
        message = "this line was set aside because it is not a JSON object"
        return [Problem(path=RAW_KEY, message=message, suggestion=hint)]
    meant: set[str] = set()
    found: list[Problem] = []
    for detail in sorted(details, key=_is_missing)[:MAX_PROBLEMS]:
        path = _path(detail)
        if detail["type"] == "extra_forbidden":
            problem, likely = _unknown_field(path, document)
            meant.add(likely)
            found.append(problem)
        elif not _is_missing(detail):
            found.append(_wrong_value(path, detail))
        elif path not in meant:
            found.append(Problem(path=path, message=f"{path} is missing"))
    if len(details) > MAX_PROBLEMS:
        rest = len(details) - MAX_PROBLEMS
        found.append(Problem(path="", message=f"{rest} more problems are not listed"))
    return found


def _path(detail: ErrorDetails) -> str:
    """Return the dotted path; a foreign name in it that is long or invisible is made harmless."""
    path = ".".join(str(part) for part in detail["loc"] if part != "[key]")
    harmless = path.isprintable() and len(path) <= _PATH_LIMIT
    return path if harmless else quoted(path)[1:-1]


def _is_missing(detail: ErrorDetails) -> bool:
    return detail["type"] == "missing"


def _unknown_field(path: str, document: Mapping[str, Any]) -> tuple[Problem, str]:
    """Return the problem, and the path that was most likely meant or the empty text."""
    name = path.removeprefix(_PLUGIN)
    if path.startswith(_PLUGIN):
        where, misplaced, likely = " in plugin", name in TOP_FIELDS, _meant_in_plugin(name)
    else:
        where, misplaced, likely = "", name in PLUGIN_FIELDS, _meant_on_top(name, document)
    if misplaced:
        side = "outside of" if where else "inside"
        message = f"the field {quoted(name)} belongs {side} plugin"
        return Problem(path=path, message=message, suggestion="move it there"), likely
    shown = likely.removeprefix(_PLUGIN) if where else likely
    hint_text = f"did you mean '{shown}'?" if likely else None
    message = f"unknown field {quoted(name)}{where}"
    return Problem(path=path, message=message, suggestion=hint_text), likely


def _meant_in_plugin(name: str) -> str:
    if name in TOP_FIELDS:
        return name
    likely = did_you_mean(name, PLUGIN_FIELDS)
    return f"{_PLUGIN}{likely}" if likely else ""


def _meant_on_top(name: str, document: Mapping[str, Any]) -> str:
    if name in PLUGIN_FIELDS:
        return f"{_PLUGIN}{name}"
    absent = [field for field in TOP_FIELDS if field not in document]
    likely = did_you_mean(name, absent) or did_you_mean(name, TOP_FIELDS)
    if likely:
        return likely
    inner = did_you_mean(name, PLUGIN_FIELDS)
    return f"{_PLUGIN}{inner}" if inner else ""


def _wrong_value(path: str, detail: ErrorDetails) -> Problem:
    if detail["type"] == "complaint":
        facts = detail["ctx"]
        return Problem(path=path, message=facts["message"], suggestion=facts["suggestion"])
    if detail["type"] == "string_unicode":
        return Problem(path=path, message=f"{path or 'a name'} holds half of a surrogate pair")
    value = detail["input"]
    if path == "plugin.version" and isinstance(value, int | float) and not isinstance(value, bool):
        message = "plugin.version must be text, not a number"
        hint = f'write it in quotes, as "{value}"; the numbers 1.10 and 1.1 are the same'
        return Problem(path=path, message=message, suggestion=hint)
    expected = EXPECTED.get(path, "text")
    if path == "plugin.base" and isinstance(value, str):
        likely = did_you_mean(value.lower(), list(InputsBase))
        hint_text = f"did you mean '{likely}'?" if likely else None
        message = f"plugin.base must be {expected}, not {quoted(value)}"
        return Problem(path=path, message=message, suggestion=hint_text)
    shown = path if path in EXPECTED else quoted(path)
    return Problem(path=path, message=f"{shown} must be {expected}, not {kind(value)}")
