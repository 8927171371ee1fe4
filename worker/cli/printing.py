"""The forms of a result: one JSON document, JSON lines, names, a table.

A document carries ``"schema": "plugwave/v1"``; within v1 fields are only added.  Long
lists are streamed: a document with a million items needs no memory for them.
"""

import json
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from config.masking import clean_text
from jobs.errors import PlugwaveError, UsageError
from worker.cli.console import Console

SCHEMA: Final = "plugwave/v1"
SAMPLE_ROWS: Final = 200
"""Rows that are looked at before a table's widths are fixed; later ones are cut to fit."""


def as_json(body: Mapping[str, Any], *, indent: int | None = None) -> str:
    """Return *body* as JSON in ASCII, so that no terminal and no encoding can spoil it."""
    return json.dumps(body, indent=indent, default=str)


def document(console: Console, body: Mapping[str, Any]) -> None:
    """Print one document: readable with json, on one line with ndjson."""
    indent = 2 if console.choices.output == "json" else None
    console.out(as_json({"schema": SCHEMA, **body}, indent=indent))


def no_names(console: Console) -> None:
    """Refuse ``-o name`` for a result that has none.

    Raises:
        UsageError: If it was asked for.
    """
    if console.choices.output == "name":
        raise UsageError("this command's result has no names", do="leave out -o name")


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column of a table; *width* is the most it takes, None for no limit."""

    title: str
    width: int | None = None
    right: bool = False


def cells(text: str) -> int:
    """Return how many columns *text* takes on a terminal."""
    return sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text)


def fitted(text: str, width: int, mark: str) -> str:
    """Return *text* cut to *width* columns, with *mark* at the cut."""
    if cells(text) <= width:
        return text
    kept = text[: max(0, width - len(mark))]
    while kept and cells(kept) + len(mark) > width:
        kept = kept[:-1]
    return kept + mark


class Table:
    """Rows in aligned columns; the first SAMPLE_ROWS decide the widths."""

    def __init__(self, console: Console, columns: Sequence[Column]) -> None:
        self._console = console
        self._columns = columns
        self._held: list[tuple[Sequence[str], str | None]] = []
        self._widths: list[int] | None = None

    def row(self, texts: Sequence[str], *, colour: str | None = None) -> None:
        """Add one row."""
        cleaned = [clean_text(text) for text in texts]
        if self._widths is not None:
            self._write(cleaned, colour)
            return
        self._held.append((cleaned, colour))
        if len(self._held) >= SAMPLE_ROWS:
            self.close()

    def close(self) -> None:
        """Write what is held; harmless when repeated."""
        if self._widths is not None or not self._held:
            return
        self._widths = [self._width(number) for number in range(len(self._columns))]
        self._write([column.title for column in self._columns], "bold")
        for texts, colour in self._held:
            self._write(texts, colour)
        self._held.clear()

    def _width(self, number: int) -> int:
        column = self._columns[number]
        widest = max(cells(texts[number]) for texts, _ in self._held)
        widest = max(widest, len(column.title))
        return widest if column.width is None else min(widest, column.width)

    def _write(self, texts: Sequence[str], colour: str | None) -> None:
        assert self._widths is not None
        parts = []
        for column, text, width in zip(self._columns, texts, self._widths, strict=True):
            cut = fitted(text, width, self._console.symbols.more)
            space = " " * (width - cells(cut))
            parts.append(space + cut if column.right else cut + space)
        self._console.out(self._console.paint("  ".join(parts).rstrip(), colour))


@contextmanager
def streamed(
    console: Console, kind: str, key: str
) -> Iterator[Callable[[Mapping[str, Any]], None]]:
    """Print items one by one as JSON; yield what prints one.

    With json the items are the list *key* of one document, with ndjson each is one line.
    When an error ends it, the document is closed with the error in it.
    """
    if console.choices.output == "ndjson":
        yield lambda item: console.out(as_json({"schema": SCHEMA, **item}))
        return
    first = True

    def write(item: Mapping[str, Any]) -> None:
        nonlocal first
        console.out(("" if first else ",") + as_json(item))
        first = False

    console.out(f'{{"schema": "{SCHEMA}", "kind": "{kind}", "{key}": [')
    try:
        yield write
    except PlugwaveError as error:
        console.choices.told = True
        console.out(f'], "error": {as_json(error.as_dict())}}}')
        raise
    console.out("]}")
