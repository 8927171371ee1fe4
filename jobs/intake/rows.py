"""CSV files of job requests: a header that names fields, one request on each row.

Columns are separated by commas and quoted as in RFC 4180; quoted cells may hold line breaks.
An empty cell means that the field is left out.  ``inputs`` and ``labels`` are JSON, and a
column ``labels.change`` is one label.  The last column may be ``problem``, as `jobs.intake.rejects`
writes it; it is passed over.

A header that cannot be understood makes the whole file unreadable, because every row would
be read wrongly.  A row that cannot be read is one invalid record.
"""

import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO, Final

from jobs.errors import InputFileError
from jobs.intake.lines import (
    RAW_SHOWN_BYTES,
    RECORD_LIMIT_BYTES,
    Record,
    chunks_of,
    too_long,
    without_end,
)
from jobs.requests import Problem, did_you_mean, quoted
from jobs.requests.strictjson import JsonError, loads

PROBLEM_COLUMN: Final = "problem"
LABEL_PREFIX: Final = "labels."

COLUMNS: Final = {
    "project_id": "project_id",
    "pool_name": "pool_name",
    "region": "region",
    "plugin": "plugin.name",
    "plugin.name": "plugin.name",
    "name": "plugin.name",
    "version": "plugin.version",
    "plugin.version": "plugin.version",
    "inputs": "plugin.inputs",
    "plugin.inputs": "plugin.inputs",
    "base": "plugin.base",
    "plugin.base": "plugin.base",
    "idempotency_key": "idempotency_key",
    "priority": "priority",
    "not_before": "not_before",
    "deadline": "deadline",
    "profile": "profile",
    "labels": "labels",
}
"""Header to field of the job request; beside these there are ``labels.NAME`` and ``problem``."""

_REQUIRED: Final = {"project_id": "project_id", "pool_name": "pool_name", "plugin.name": "plugin"}
_JSON_FIELDS: Final = frozenset({"plugin.inputs", "labels"})
_WHOLE_NUMBER: Final = re.compile(r"[+-]?[0-9]{1,6}")
_QUOTE: Final = ord('"')


class _Quotes:
    """Whether a line break is inside quotes; exact for every way a text is cut into chunks."""

    def __init__(self) -> None:
        self.state = "start"  # of a cell; else: plain, quoted, quote (a quote inside quotes)

    def is_open_after(self, chunk: bytes) -> bool:
        """Take in the next bytes; say whether the cell they end in is still quoted."""
        at = 0
        while at < len(chunk):
            if self.state == "plain":
                found = chunk.find(b',"', at)
                if found < 0:
                    self.state = "start" if chunk.endswith(b",") else "plain"
                    return False
                self.state, at = "quoted", found + 2
            elif self.state == "quoted":
                found = chunk.find(b'"', at)
                if found < 0:
                    return True
                self.state, at = "quote", found + 1
            elif chunk[at] == _QUOTE:  # opens the cell, or is doubled and stands for itself
                self.state, at = "quoted", at + 1
            else:
                self.state = "plain"
        return self.state == "quoted"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Raw:
    """The bytes of one row; ``open`` when the file ended inside quotes."""

    line: int
    raw: bytes
    whole: bool = True
    open: bool = False


def _raw_rows(file: BinaryIO) -> Iterator[_Raw]:
    """Cut the file into rows; empty lines between them are left out."""
    quotes, start, kept, size, is_open = _Quotes(), 0, bytearray(), 0, False
    for line, chunk, ends in chunks_of(file):
        start = start or line
        is_open = quotes.is_open_after(chunk)
        size += len(without_end(chunk)) if ends and not is_open else len(chunk)
        if size <= RECORD_LIMIT_BYTES:
            kept += chunk
        else:
            kept = (kept + chunk[:RAW_SHOWN_BYTES])[:RAW_SHOWN_BYTES]
        if ends and not is_open:
            whole = size <= RECORD_LIMIT_BYTES
            raw = without_end(bytes(kept)) if whole else bytes(kept)
            if raw and not raw.isspace():
                yield _Raw(line=start, raw=raw, whole=whole)
            quotes, start, kept, size = _Quotes(), 0, bytearray(), 0
    if is_open:
        yield _Raw(line=start, raw=bytes(kept), whole=size <= RECORD_LIMIT_BYTES, open=True)


class RowError(ValueError):
    """A row cannot be cut into cells."""

    def __init__(self, message: str, suggestion: str | None = None) -> None:
        super().__init__(message)
        self.problem = Problem(path="", message=message, suggestion=suggestion)


def cells_of(raw: bytes, *, is_open: bool = False) -> list[str]:
    """Return the cells of one row.

    Args:
        raw: The row without its line's end.
        is_open: Whether the file ended inside its quotes.

    Raises:
        RowError: If it is no row of CSV in UTF-8.
    """
    try:
        return next(csv.reader([raw.decode()], strict=True))
    except UnicodeDecodeError as error:
        message = f"byte {error.start + 1} of the row (0x{raw[error.start]:02X}) is not UTF-8"
        raise RowError(message, "save the file as UTF-8") from None
    except csv.Error as error:
        if is_open:
            message = "a quote that is opened in this row is not closed before the file ends"
            raise RowError(message, 'close it with "') from None
        raise RowError(f"the row is not CSV: {error}", 'double a " inside quotes') from None


class CsvTable:
    """The rows of one CSV file, read once.

    Attributes:
        header: The columns as they stand in the file; empty when the file is empty.
    """

    def __init__(self, file: BinaryIO) -> None:
        """Read the header.

        Raises:
            InputFileError: If a column is unknown, doubled or missing.
        """
        self._rows = _raw_rows(file)
        first = next(self._rows, None)
        self.header = () if first is None else _header_cells(first)
        self._fields = _fields(self.header) if self.header else ()

    def records(self) -> Iterator[Record]:
        """Yield the records behind the header."""
        for number, row in enumerate(self._rows, start=1):
            if not row.whole:
                yield too_long(number, row.line, row.raw)
                continue
            value: dict[str, Any] | None = None
            try:
                value, problems = self._value(cells_of(row.raw, is_open=row.open))
            except RowError as error:
                problems = [error.problem]
            yield Record(
                number=number, line=row.line, raw=row.raw, value=value, problems=tuple(problems)
            )

    def _value(self, cells: Sequence[str]) -> tuple[dict[str, Any], list[Problem]]:
        """Build the job request; a cell that is no JSON is a problem, all else is checked later."""
        if len(cells) != len(self._fields):
            message = f"the row has {len(cells)} cells, but the header has {len(self._fields)}"
            raise RowError(message, "put cells with commas in quotes")
        plugin: dict[str, Any] = {}
        value: dict[str, Any] = {"plugin": plugin}
        labels: dict[str, str] = {}
        problems: list[Problem] = []
        for name, cell in zip(self._fields, cells, strict=True):
            if not cell or name == PROBLEM_COLUMN:
                continue
            if name.startswith(LABEL_PREFIX):
                labels[name.removeprefix(LABEL_PREFIX)] = cell
                continue
            try:
                read = _cell_value(name, cell)
            except JsonError as error:
                problems.append(_cell_problem(name, error))
                continue
            if name.startswith("plugin."):
                plugin[name.removeprefix("plugin.")] = read
            else:
                value[name] = read
        problems.extend(_add_labels(value, labels))
        return value, problems


def _header_cells(row: _Raw) -> tuple[str, ...]:
    if not row.whole:
        message = f"the header is longer than {RECORD_LIMIT_BYTES // 1024} KiB"
        raise InputFileError(message, do='look for a " that is not closed', line=row.line)
    try:
        return tuple(cell.strip() for cell in cells_of(row.raw, is_open=row.open))
    except RowError as error:
        message = f"line {row.line}: {error.problem.message}"
        raise InputFileError(message, do=error.problem.suggestion, line=row.line) from None


def _fields(header: Sequence[str]) -> tuple[str, ...]:
    """Return the field of each column.

    Raises:
        InputFileError: With everything that is wrong with the header.
    """
    fields = tuple(_field(column) for column in header)
    problems = [
        _unknown_column(number, column)
        for number, (column, name) in enumerate(zip(header, fields, strict=True), start=1)
        if not name
    ]
    seen: dict[str, str] = {}
    for column, name in zip(header, fields, strict=True):
        if name and name in seen:
            message = f"the columns {quoted(seen[name])} and {quoted(column)} both mean {name}"
            problems.append(Problem(path=name, message=message, suggestion="keep one of them"))
        seen[name] = column
    meant = {problem.path for problem in problems}
    for name, column in _REQUIRED.items():
        if name not in seen and name not in meant:
            problems.append(Problem(path=name, message=f"the column '{column}' is missing"))
    if problems:
        raise _header_error(header, problems)
    return fields


def _field(column: str) -> str:
    if column == PROBLEM_COLUMN or (column.startswith(LABEL_PREFIX) and column != LABEL_PREFIX):
        return column
    return COLUMNS.get(column, "")


def _unknown_column(number: int, column: str) -> Problem:
    if not column:
        return Problem(path="", message=f"column {number} has no name")
    likely = did_you_mean(column.lower(), (*COLUMNS, PROBLEM_COLUMN))
    hint = f"did you mean '{likely}'?" if likely else None
    path = COLUMNS.get(likely or "", "")
    return Problem(path=path, message=f"unknown column {quoted(column)}", suggestion=hint)


def _header_error(header: Sequence[str], problems: Sequence[Problem]) -> InputFileError:
    if len(header) == 1 and re.search(r"[;\t|]", header[0]):
        message = "the columns of the header are not separated by commas"
        return InputFileError(message, do="save the file with commas between the columns")
    told = "; ".join(str(problem) for problem in problems[:8])
    more = f"; and {len(problems) - 8} more" if len(problems) > 8 else ""
    known = ", ".join((*COLUMNS, f"{LABEL_PREFIX}NAME"))
    return InputFileError(
        f"the header cannot be understood: {told}{more}",
        why="every row would be read wrongly, so nothing was taken in",
        do=f"correct the first line; known columns: {known}",
        problems=tuple(problems),
    )


def _cell_value(name: str, cell: str) -> object:
    if name in _JSON_FIELDS:
        return loads(cell.encode())
    if name == "priority" and _WHOLE_NUMBER.fullmatch(cell):
        return int(cell)
    return cell


def _cell_problem(name: str, error: JsonError) -> Problem:
    found = error.problem
    place = f"character {found.column}" + (f" of line {found.line}" if found.line > 1 else "")
    message = f"{name} is not JSON: {place} of the cell: {found.message}"
    return Problem(path=name, message=message, suggestion=found.suggestion)


def _add_labels(value: dict[str, Any], labels: dict[str, str]) -> Iterator[Problem]:
    """Put the single label columns beside those of the ``labels`` column."""
    if not labels:
        return
    together = value.setdefault("labels", {})
    if not isinstance(together, dict):
        yield Problem(path="labels", message="labels must be an object of texts")
        return
    for key, text in labels.items():
        if key in together:
            message = f"the label {quoted(key)} is given in two columns"
            yield Problem(path=f"{LABEL_PREFIX}{key}", message=message)
        together[key] = text
