"""Files of job requests, read as a stream of records in constant memory.

JSONL: one JSON object on each line; empty lines are passed over.  CSV: see `jobs.csvrecords`.
A record that cannot be read carries its problems and the stream goes on behind it; only what
makes the whole file unreadable raises.  A line beyond LINE_LIMIT_BYTES is never held whole.
"""

import codecs
import hashlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Final, Self

from jobs.csvrecords import CsvTable
from jobs.errors import InputFileError
from jobs.linereading import LINE_LIMIT_BYTES, Line, lines_of
from jobs.requests import Problem, did_you_mean
from jobs.strictjson import JsonError, loads

__all__ = ["LINE_LIMIT_BYTES", "FileFormat", "Record", "RecordFile", "jsonl_records", "open_records"]

_RAW_SHOWN: Final = 1024  # bytes that are kept of a line that is too long


class FileFormat(StrEnum):
    """How a file of job requests is written."""

    JSONL = "jsonl"
    CSV = "csv"


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One record of a file.

    Attributes:
        number: Counts records from 1.
        line: Counts lines from 1; where the record begins.
        raw: The bytes as they stand in the file, without the line's end.  It may hold
            secrets.  Cut short when ``whole`` is False.
        value: What was read, when there are no problems.
        problems: Why it could not be read.
        whole: Whether ``raw`` is all of it.
    """

    number: int
    line: int
    raw: bytes = field(repr=False)
    value: object = field(default=None, repr=False)
    problems: tuple[Problem, ...] = ()
    whole: bool = True


def jsonl_records(file: BinaryIO) -> Iterator[Record]:
    """Yield the records of a JSONL file; a byte order mark and CRLF do no harm."""
    number = 0
    for line in lines_of(file):
        if line.whole and not line.raw.strip():
            continue
        number += 1
        yield _jsonl_record(number, line)


def _jsonl_record(number: int, line: Line) -> Record:
    if not line.whole:
        problem = Problem(path="", message=f"the line is longer than {LINE_LIMIT_BYTES} bytes")
        cut = line.raw[:_RAW_SHOWN]
        return Record(number=number, line=line.number, raw=cut, problems=(problem,), whole=False)
    try:
        value = loads(line.raw)
    except JsonError as error:
        found = error.problem
    else:
        return Record(number=number, line=line.number, raw=line.raw, value=value)
    hint = found.suggestion
    if line.raw.strip() in {b"[", b"{"}:
        hint = "write each request whole on one line: jq -c '.[]?' FILE"
    problem = Problem(path="", message=found.message, suggestion=hint, column=found.column)
    return Record(number=number, line=line.number, raw=line.raw, problems=(problem,))


class RecordFile:
    """An open file of job requests; a context manager.

    Attributes:
        name: The path, or ``standard input``.
        format: How it is written.
    """

    def __init__(self, file: BinaryIO, name: str, file_format: FileFormat) -> None:
        self.name = name
        self.format = file_format
        self._file = file
        self._table = CsvTable(file) if file_format is FileFormat.CSV else None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._file.close()

    @property
    def header(self) -> tuple[str, ...]:
        """The columns of a CSV file as they stand; empty for JSONL."""
        return self._table.header if self._table else ()

    def records(self) -> Iterator[Record]:
        """Yield the records, once.

        Raises:
            InputFileError: If the file cannot be read on.
        """
        try:
            if self._table is None:
                yield from jsonl_records(self._file)
                return
            for number, row in enumerate(self._table.rows(), start=1):
                yield Record(
                    number=number,
                    line=row.line,
                    raw=row.raw,
                    value=row.value,
                    problems=row.problems,
                    whole=row.whole,
                )
        except OSError as error:
            message = f"{self.name} cannot be read on: {error.strerror or error}"
            raise InputFileError(message, file=self.name) from error
