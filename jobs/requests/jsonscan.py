"""Where in a JSON text something stands: the first problem, or the members asked for.

A scanner without recursion and without values, for texts that `jobs.requests.strictjson`
refuses and for the columns in messages.  It is some fifty times slower
than orjson, which is why nothing that is accepted ever passes through here.
"""

import json
import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

SMALLEST_INTEGER: Final = -(2**63)
LARGEST_INTEGER: Final = 2**64 - 1

_SPACE: Final = re.compile(r"[ \t\n\r]*+")
_STRING_BODY: Final = r'"(?:[^"\\\x00-\x1f]++|\\(?:["\\/bfnrt]|u[0-9A-Fa-f]{4}))*+'
_OPEN_STRING: Final = re.compile(_STRING_BODY)
_TOKEN: Final = re.compile(
    rf'(?P<string>{_STRING_BODY}")'
    r"|(?P<number>-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?+(?:[eE][+-]?[0-9]++)?+)(?![0-9A-Za-z_.+])"
    r"|(?P<word>-?[A-Za-z_$][A-Za-z0-9_$]*+)"
    r"|(?P<mark>[\[\]{},:])"
)
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_WORDS: Final = frozenset({"true", "false", "null"})
_FOREIGN: Final = {
    "NaN": "leave the field out",
    "Infinity": "leave the field out",
    "-Infinity": "leave the field out",
    "undefined": "leave the field out",
    "True": "write true",
    "False": "write false",
    "None": "write null",
}
"""Words of other languages.  No other is repeated in a message: it may be a secret."""

_SHOWN: Final = 40  # characters of a field's name in a message


@dataclass(frozen=True, slots=True, kw_only=True)
class JsonProblem:
    """What is wrong with a JSON text, and where; line and column count from 1, in characters."""

    message: str
    line: int
    column: int
    suggestion: str | None = None

    @classmethod
    def at(
        cls, text: str, offset: int, message: str, suggestion: str | None = None
    ) -> "JsonProblem":
        """Return the problem at *offset* characters into *text*."""
        before = text[:offset]
        return cls(
            message=message,
            line=before.count("\n") + 1,
            column=offset - before.rfind("\n"),
            suggestion=suggestion,
        )


class JsonError(ValueError):
    """A text is not acceptable JSON; translated into a `Problem` where it enters the house."""

    def __init__(self, problem: JsonProblem) -> None:
        super().__init__(f"line {problem.line}, column {problem.column}: {problem.message}")
        self.problem = problem


def first_problem(text: str, max_depth: int) -> JsonProblem | None:
    """Return the first thing in *text* that makes it unacceptable, or None."""
    try:
        _Scan(text, max_depth, frozenset()).run()
    except JsonError as error:
        return error.problem
    return None


def member_places(text: str, paths: frozenset[str]) -> dict[str, int]:
    """Return the column at which each member in *paths* begins.

    Raises:
        JsonError: If the text is not acceptable.
    """
    scan = _Scan(text, len(text), paths)
    scan.run()
    return {path: offset - text.rfind("\n", 0, offset) for path, offset in scan.found.items()}


@dataclass(slots=True)
class _Level:
    """One open object or list: the path to it, and for an object the keys so far."""

    closer: str
    path: str
    keys: set[str] = field(default_factory=set)


class _Scan:
    """One pass; each method is what may come next, and says what comes after it."""

    def __init__(self, text: str, max_depth: int, wanted: frozenset[str]) -> None:
        self.text = text
        self.max_depth = max_depth
        self.wanted = wanted
        self.found: dict[str, int] = {}
        self.levels: list[_Level] = []
        self.path = ""
        self.next: Callable[[str, str, int], None] = self.value

    def run(self) -> None:
        """Read the whole text."""
        text = self.text
        at = _SPACE.match(text).end()  # type: ignore[union-attr]  # it matches nothing, too
        while at < len(text):
            match = _TOKEN.match(text, at)
            if match is None:
                raise self.error(*_lexical_problem(text, at))
            kind = match.lastgroup or ""
            self.next(kind, match[0], at)
            at = _SPACE.match(text, match.end()).end()  # type: ignore[union-attr]  # as above
        if self.levels:
            level = self.levels[-1]
            raise self.error(len(text), f"the text ends, and a {level.closer!r} is missing")
        if self.next != self.nothing:
            raise self.error(len(text), "the text ends before a value")

    def error(self, offset: int, message: str, suggestion: str | None = None) -> JsonError:
        return JsonError(JsonProblem.at(self.text, offset, message, suggestion))

    def value(self, kind: str, part: str, at: int) -> None:
        if kind == "mark":
            if part not in "{[":
                raise self.error(at, f"a value is missing before {part!r}")
            self.open(part, at)
            return
        if kind == "string":
            self.decoded(part, at)
        elif kind == "number":
            self.check_number(part, at)
        elif part not in _WORDS:
            shown = part if part in _FOREIGN else "a word without quotes"
            hint = _FOREIGN.get(part, "text stands in double quotes")
            raise self.error(at, f"{shown} is not a JSON value", hint)
        self.after_value()

    def open(self, part: str, at: int) -> None:
        if len(self.levels) >= self.max_depth:
            message = f"more than {self.max_depth} levels of objects and lists"
            raise self.error(at, message)
        self.levels.append(_Level("}" if part == "{" else "]", self.path))
        self.next = self.key_or_end if part == "{" else self.value_or_end

    def close(self) -> None:
        self.levels.pop()
        self.after_value()

    def after_value(self) -> None:
        self.next = self.more if self.levels else self.nothing

    def value_or_end(self, kind: str, part: str, at: int) -> None:
        if part == "]":
            self.close()
        else:
            self.value(kind, part, at)

    def key_or_end(self, kind: str, part: str, at: int) -> None:
        if part == "}":
            self.close()
        else:
            self.key(kind, part, at)

    def key(self, kind: str, part: str, at: int) -> None:
        if kind != "string":
            if part == "}":
                raise self.error(at, "a comma stands before '}'", "remove the comma")
            raise self.error(at, "a field name must stand here", "write it in double quotes")
        name = self.decoded(part, at)
        level = self.levels[-1]
        if name in level.keys:
            raise self.error(at, f"the field {name[:_SHOWN]!r} is there twice", "keep one of them")
        level.keys.add(name)
        self.path = f"{level.path}.{name}" if level.path else name
        if self.path in self.wanted:
            self.found.setdefault(self.path, at)
        self.next = self.colon

    def colon(self, _kind: str, part: str, at: int) -> None:
        if part != ":":
            raise self.error(at, "a ':' is missing after the field name")
        self.next = self.value

    def more(self, _kind: str, part: str, at: int) -> None:
        level = self.levels[-1]
        if part == level.closer:
            self.close()
        elif part != ",":
            raise self.error(at, f"a ',' or {level.closer!r} is missing")
        else:
            self.next = self.key if level.closer == "}" else self.item

    def item(self, kind: str, part: str, at: int) -> None:
        if part == "]":
            raise self.error(at, "a comma stands before ']'", "remove the comma")
        self.value(kind, part, at)

    def nothing(self, _kind: str, _token: str, at: int) -> None:
        raise self.error(at, "something follows after the end of the value")

    def decoded(self, part: str, at: int) -> str:
        if "\\" not in part:
            return part[1:-1]
        text: str = json.loads(part)
        if _SURROGATE.search(text):
            raise self.error(at, "the text holds half of a surrogate pair")
        return text

    def check_number(self, part: str, at: int) -> None:
        if part.lstrip("-").isdigit():
            fits = len(part) <= 20 and SMALLEST_INTEGER <= int(part) <= LARGEST_INTEGER
            if not fits:
                message = "a whole number does not fit into 64 bits"
                raise self.error(at, message, "write it as text, in double quotes")
        elif math.isinf(float(part)):
            raise self.error(at, "a number is too large")


def _lexical_problem(text: str, at: int) -> tuple[int, str, str | None]:
    """Say why nothing can be read at *at*: offset, message, suggestion."""
    char = text[at]
    if char == '"':
        return _string_problem(text, at)
    if char in "'‘’“”":  # noqa: RUF001 - the quotes that word processors put in
        return at, f"{char} is not a quote in JSON", 'write "'
    if char in "-+.0123456789":
        return at, "this is not how JSON writes a number", "write it as 10, -0.5 or 1e3"
    if char in "/#":
        return at, "JSON has no comments", "remove it"
    shown = char if char.isprintable() else f"the character U+{ord(char):04X}"
    return at, f"{shown} may not stand here", None


def _string_problem(text: str, at: int) -> tuple[int, str, str | None]:
    end = _OPEN_STRING.match(text, at).end()  # type: ignore[union-attr]  # begins with a quote
    if end == len(text):
        return at, "the text that begins here is not closed", 'end it with "'
    if text[end] == "\\":
        shown = repr(text[end : end + 2])[1:-1].replace("\\\\", "\\")
        return end, f"{shown} is no escape in JSON", "write a backslash as \\\\"
    return end, f"the control character U+{ord(text[end]):04X} stands in a text", "escape it"
