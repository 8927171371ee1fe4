"""From an event with fields to one finished log line, as JSON or for people.

Nothing a line carries is trusted: each value is made harmless (`config.masking`), objects
of unknown kinds are named and not shown, because their `repr` may hold headers or inputs,
and tracebacks are printed without local variables.  The finished line is searched once
more for the secrets that are known.

The work is ordered by what is usual: a plain short value costs three cheap checks.
"""

import re
import sys
import traceback
from collections.abc import Callable, Collection, Mapping
from datetime import date
from enum import Enum
from functools import lru_cache
from itertools import islice
from pathlib import PurePath
from typing import Any, Final
from uuid import UUID

import orjson
from structlog.typing import EventDict, WrappedLogger

from config.masking import MASK, Redactor, clean_text, is_secret_key, mask_text
from jobs.clock import MICROSECONDS, Clock, iso

VALUE_LIMIT: Final = 1_000
"""Characters of one value."""

TRACEBACK_LIMIT: Final = 16_000
"""Characters of a traceback; of a longer one the beginning and the end are kept."""

ITEMS_LIMIT: Final = 200
"""Items of one list or mapping."""

DEPTH_LIMIT: Final = 8

MOST_WHOLE: Final = 2**63
"""JSON readers take whole numbers of 64 bits."""

HIDDEN_FIELDS: Final = frozenset({"inputs", "body", "headers"})
"""Never logged, whatever is in them."""

Rendered = Callable[[str, Mapping[str, Any], str | None], bytes]
"""A renderer: level, harmless fields (``ts`` and ``event`` among them), traceback text."""


class LinePipeline:
    """The last structlog processor: takes the event's fields, returns the finished line."""

    def __init__(self, *, redactor: Redactor, clock: Clock, render: Rendered) -> None:
        self._redactor = redactor
        self._clock = clock
        self._render = render
        self._second = (-1, "")

    def __call__(self, _logger: WrappedLogger, method: str, fields: EventDict) -> bytes:
        """Return the line for one event that was logged with *method*, a level's name."""
        # Popped even when there is none: exc_info=False is a usual way to say so.
        trace = self._traceback(fields.pop("exc_info", None))
        event = str(fields.pop("event", ""))
        line: dict[str, Any] = {
            "ts": self._stamp(),
            "level": method,
            "event": event if _is_plain(event) else self._text(event),
        }
        for name, value in fields.items():
            key, hidden = _shown_key(name)
            kind = type(value)
            if value is None:
                line[key] = None
            elif hidden:
                line[key] = MASK
            elif kind is str:
                line[key] = value if _is_plain(value) else self._text(value)
            elif kind is float or (kind is int and -MOST_WHOLE <= value < MOST_WHOLE):
                line[key] = value
            else:
                line[key] = self._value(value, 0)
        rendered = self._render(method, line, trace)
        if self._redactor.finds(rendered):
            # Only now the slow way: a value in a key, a number, or torn apart by cleaning.
            rendered = self._render(method, self._without_known(line), trace)
        return rendered

    def _stamp(self) -> str:
        """Return the time as RFC 3339 in UTC; the part down to the second is kept for reuse."""
        second, micros = divmod(self._clock.wall_us(), MICROSECONDS)
        kept, prefix = self._second
        if kept != second:
            prefix = (iso(second * MICROSECONDS) or "")[:20]
            self._second = (second, prefix)
        return f"{prefix}{micros // 1000:03d}Z"

    def _text(self, text: str) -> str:
        return clean_text(self._redactor.text(text), VALUE_LIMIT)

    def _value(self, value: object, depth: int) -> object:
        """Return *value* as plain JSON data; what is usual comes first."""
        if isinstance(value, Enum):
            value = value.value
        if value is None or isinstance(value, float):
            return value
        if isinstance(value, int):
            return value if -MOST_WHOLE <= value < MOST_WHOLE else str(value)
        if isinstance(value, str):
            return value if _is_plain(value) else self._text(value)
        if depth < DEPTH_LIMIT and isinstance(value, Mapping | list | tuple | set | frozenset):
            return self._container(value, depth + 1)
        return self._described(value)

    def _container(
        self, value: Mapping[Any, Any] | Collection[object], depth: int
    ) -> dict[str, object] | list[object]:
        if isinstance(value, Mapping):
            pairs = islice(value.items(), ITEMS_LIMIT)
            shown = [(_shown_key(str(key)), item) for key, item in pairs]
            return {
                key: MASK if hidden else self._value(item, depth) for (key, hidden), item in shown
            }
        return [self._value(item, depth) for item in islice(value, ITEMS_LIMIT)]

    def _described(self, value: object) -> str:
        """Return the text of a value of a known kind, only the kind of any other."""
        if isinstance(value, BaseException):
            # Unlike str(), this survives an exception whose own text fails.
            return self._text("".join(traceback.format_exception_only(value)))
        if isinstance(value, date | UUID | PurePath):
            return self._text(str(value))
        return _kind(value)

    def _traceback(self, info: object) -> str | None:
        """Return the traceback that *info* names in structlog's ways, without local variables."""
        if not info:
            return None
        if info is True:
            info = sys.exc_info()
        error = info[1] if isinstance(info, tuple) else info
        if not isinstance(error, BaseException):
            return None
        text = self._redactor.text("".join(traceback.format_exception(error)))
        if len(text) > TRACEBACK_LIMIT:
            half = TRACEBACK_LIMIT // 2
            text = f"{text[:half]}\n[...]\n{text[-half:]}"
        lines = text.split("\n")
        return "\n".join(_indented(line) for line in lines if line)

    def _without_known(self, line: Mapping[str, Any]) -> dict[str, Any]:
        fixed = {key: line[key] for key in ("ts", "level", "event")}
        rest = {key: item for key, item in line.items() if key not in fixed}
        return fixed | {self._redactor.exact(key): self._cleared(rest[key]) for key in rest}

    def _cleared(self, value: object) -> object:
        if isinstance(value, dict):
            return {self._redactor.exact(key): self._cleared(value[key]) for key in value}
        if isinstance(value, list):
            return [self._cleared(item) for item in value]
        if isinstance(value, str):
            return self._redactor.exact(value)
        text = str(value)
        return value if self._redactor.exact(text) == text else MASK


@lru_cache(maxsize=1024)
def _shown_key(name: str) -> tuple[str, bool]:
    """Return the key as it may stand in a line, and whether what it holds is hidden."""
    key = name if name.isidentifier() else clean_text(mask_text(name))
    return key, name in HIDDEN_FIELDS or is_secret_key(name)


def _is_plain(text: str) -> bool:
    """Whether *text* is short, harmless, and has nothing in it that could be a secret's frame."""
    return len(text) <= VALUE_LIMIT and text.isprintable() and "=" not in text and ":" not in text


def _indented(line: str) -> str:
    """Return one line of a traceback, harmless, with its indentation."""
    text = line.lstrip(" ")
    return " " * min(len(line) - len(text), 40) + clean_text(text, VALUE_LIMIT)


_JSON: Final = orjson.OPT_APPEND_NEWLINE | orjson.OPT_PASSTHROUGH_DATACLASS


def json_line(_level: str, fields: Mapping[str, Any], trace: str | None) -> bytes:
    """Return the line as JSON."""
    whole = fields if trace is None else {**fields, "exception": trace}
    return orjson.dumps(whole, default=_kind, option=_JSON)


_COLOURS: Final = {"debug": "2", "warning": "33", "error": "31", "critical": "1;31"}


def pretty_line(
    level: str, fields: Mapping[str, Any], trace: str | None, *, colour: bool = False
) -> bytes:
    """Return the line for people: time (UTC), level, the event as words, then the fields.

    Empty fields are left out.  A traceback follows on lines of its own, each marked with a
    bar, so that no text in it can pass for a log line.
    """
    word = f"{level:<7}"
    if colour and level in _COLOURS:
        word = f"\x1b[{_COLOURS[level]}m{word}\x1b[0m"
    words = str(fields["event"]).replace(".", " ").replace("_", " ")
    told = [
        f"{key}={_shown(value)}"
        for key, value in fields.items()
        if key not in _LEADING and value not in _NOTHING
    ]
    text = " ".join([str(fields["ts"])[11:], word, f"{words:<18}", *told]).rstrip()
    if trace:
        text += "".join(f"\n    | {line}" for line in trace.split("\n"))
    return f"{text}\n".encode()


_LEADING: Final = frozenset({"ts", "level", "event"})
_QUOTED: Final = re.compile(r'[\s"=]')
_NOTHING: Final[tuple[object, ...]] = (None, "", [], {})


def _shown(value: object) -> str:
    if isinstance(value, str) and not _QUOTED.search(value):
        return value
    return orjson.dumps(value, default=_kind).decode()


def _kind(value: object) -> str:
    """Return the type of what JSON has no form for; never its `repr`."""
    return f"<{type(value).__name__}>"
