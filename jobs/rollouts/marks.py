"""Where something stands in a text, what is wrong there, and the excerpt that shows it.

Plug-in inputs may hold secrets, so an excerpt never shows what stands under ``inputs``.
"""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

Path = tuple[str | int, ...]
"""The keys and places that lead to a value from the top of a document."""

_WIDTH: Final = 84
"""Columns of a quoted line; with number and margin it stays below 100."""

_INPUTS: Final = re.compile(r"""^(?P<head>.*?["']?\binputs\b["']?\s*(?::|$))""")
_ENTRIES: Final = re.compile(r"^[ -]*")
_HIDDEN: Final = " (not shown: inputs may hold secrets)"


@dataclass(frozen=True, slots=True)
class Mark:
    """Line and column, both from 1, and how many characters are meant; *raw* as it is written."""

    line: int
    column: int
    length: int = 1
    raw: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is wrong with a file.

    Attributes:
        code: What kind of thing, see `jobs.errors`.
        message: What is wrong, complete in itself.
        do: What to do about it; None when the message leaves nothing open.
        path: The field as ``spec.waves[1].bake``; empty when the whole file is meant.
        mark: Where it stands; None when it stands nowhere.
    """

    code: str
    message: str
    do: str | None = None
    path: str = ""
    mark: Mark | None = None

    def place(self, name: str) -> str:
        """Return ``rollout.yaml:9:7``, as editors and terminals understand it."""
        return name if self.mark is None else f"{name}:{self.mark.line}:{self.mark.column}"


def dotted(path: Path) -> str:
    """Return a path as people write it: ``spec.waves[1].bake``, counted from 0."""
    parts = (f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return "".join(parts).lstrip(".")


def excerpt(lines: Sequence[str], mark: Mark | None) -> list[str]:
    """Return the line before, the line that is meant, and carets under the characters meant."""
    if mark is None or not 0 < mark.line <= len(lines):
        return []
    shown = _without_inputs(lines, mark.line)
    margin = len(str(mark.line))
    bar = "|"
    told = []
    first, begin = _window(shown[mark.line - 1], mark)
    if mark.line > 1 and shown[mark.line - 2].strip():
        before = _flat(shown[mark.line - 2])[begin : begin + _WIDTH]
        told.append(f"{mark.line - 1:>{margin}} {bar} {before}".rstrip())
    told.append(f"{mark.line:>{margin}} {bar} {first}".rstrip())
    column = mark.column - 1 - begin
    if column <= len(first):
        under = _cells(first[:column])
        carets = max(1, min(_cells(first[column : column + mark.length]), _WIDTH - under))
        told.append(f"{'':>{margin}} {bar} {' ' * under}{'^' * carets}")
    return told


def _window(line: str, mark: Mark) -> tuple[str, int]:
    """Return the part of a line that has the mark in it, and the column it begins with."""
    flat = _flat(line)
    begin = 0 if mark.column <= _WIDTH - 10 else mark.column - _WIDTH // 2
    return flat[begin : begin + _WIDTH], begin


def _flat(line: str) -> str:
    """Return the line with a space for each character that has no width of its own."""
    return "".join(char if char.isprintable() else " " for char in line)


def _cells(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text)


def _without_inputs(lines: Sequence[str], last: int) -> list[str]:
    """Return the first *last* lines with everything that stands under ``inputs`` hidden.

    What is hidden is judged by the indentation alone, because a text that is no YAML is
    shown too.  In a text that begins like JSON, or writes keys with a question mark,
    indentation says nothing, so all that follows is hidden.
    """
    shown: list[str] = []
    flow = next((line for line in lines if line.strip()), "").lstrip().startswith("{")
    flow = flow or any(_ENTRIES.sub("", line).startswith("?") for line in lines)
    within: int | None = None
    for line in lines[:last]:
        indent = _indent(line)
        if within is not None and (flow or not line.strip() or indent > within):
            shown.append(" " * indent + _HIDDEN.strip() if line.strip() else "")
            continue
        within = None
        match = _INPUTS.match(line)
        if match is None:
            shown.append(line)
            continue
        within = indent
        rest = line[match.end() :].strip()
        shown.append(match["head"] + (_HIDDEN if rest and not rest.startswith("#") else ""))
    return shown


def _indent(line: str) -> int:
    match = _ENTRIES.match(line)
    return 0 if match is None else match.end()
