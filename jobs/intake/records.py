"""Files of job requests, read as a stream of records in constant memory.

JSONL: one JSON object on each line; empty lines are passed over.  CSV: see `jobs.intake.rows`.
A record that cannot be read carries its problems and the stream goes on behind it; only what
makes the whole file unreadable raises.
"""

import hashlib
import sys
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Final, Self

from jobs.errors import InputFileError
from jobs.intake.lines import RECORD_LIMIT_BYTES, Record, chunks_of, too_long, without_end
from jobs.intake.rows import CsvTable
from jobs.requests import Problem
from jobs.requests.strictjson import JsonError, loads

__all__ = [
    "RECORD_LIMIT_BYTES",
    "FileFormat",
    "Record",
    "RecordFile",
    "jsonl_records",
    "open_records",
]

STANDARD_INPUT: Final = "-"
_PIECE_BYTES: Final = 1024 * 1024


class FileFormat(StrEnum):
    """How a file of job requests is written."""

    JSONL = "jsonl"
    CSV = "csv"


_SUFFIXES: Final = {
    ".jsonl": FileFormat.JSONL,
    ".ndjson": FileFormat.JSONL,
    ".csv": FileFormat.CSV,
}


def jsonl_records(file: BinaryIO) -> Iterator[Record]:
    """Yield the records of a JSONL file; a byte order mark and CRLF do no harm."""
    number = 0
    inside_long_line = False
    for line, chunk, ends in chunks_of(file):
        if inside_long_line:
            inside_long_line = not ends
            continue
        raw = without_end(chunk)
        if ends and (not raw or raw.isspace()):
            continue
        number += 1
        inside_long_line = not ends
        if len(raw) > RECORD_LIMIT_BYTES:
            yield too_long(number, line, raw)
        else:
            yield _jsonl_record(number, line, raw)


def _jsonl_record(number: int, line: int, raw: bytes) -> Record:
    try:
        return Record(number=number, line=line, raw=raw, value=loads(raw))
    except JsonError as error:
        found = error.problem
    hint = found.suggestion
    if raw.strip() in {b"[", b"{"}:
        hint = "write each request whole on one line; for one JSON list: jq -c '.[]' FILE"
    problem = Problem(path="", message=found.message, suggestion=hint, column=found.column)
    return Record(number=number, line=line, raw=raw, problems=(problem,))


class RecordFile:
    """An open file of job requests; a context manager that closes it.

    Attributes:
        name: The path, or ``standard input``.
        format: How it is written.
        digest: SHA-256 (hex) of the file's bytes, by which a later run finds its place; None
            when the input cannot be read twice.
    """

    def __init__(
        self, file: BinaryIO, name: str, file_format: FileFormat, *, closes: bool = True
    ) -> None:
        """Read the file once for its digest, and the header of a CSV file.

        Raises:
            InputFileError: If the file cannot be read, or its header not be understood.
        """
        self.name = name
        self.format = file_format
        self._file = file
        self._closes = closes
        try:
            self.digest = _digest(file)
            self._table = CsvTable(file) if file_format is FileFormat.CSV else None
        except (OSError, InputFileError) as error:
            self.close()
            raise _about(name, error) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file, unless it is the standard input."""
        if self._closes:
            self._file.close()

    @property
    def header(self) -> tuple[str, ...]:
        """The columns of a CSV file as they stand; empty for JSONL."""
        return self._table.header if self._table else ()

    def records(self) -> Iterator[Record]:
        """Yield the records; to be called once.

        Raises:
            InputFileError: If the file cannot be read on.
        """
        try:
            yield from self._table.records() if self._table else jsonl_records(self._file)
        except (OSError, InputFileError) as error:
            raise _about(self.name, error) from error


def open_records(
    path: str | Path, file_format: FileFormat | None = None, *, stdin: BinaryIO | None = None
) -> RecordFile:
    """Open a file of job requests.

    Args:
        path: The file; ``-`` is the standard input.
        file_format: How it is written; None goes by the suffix (``.jsonl``, ``.ndjson``,
            ``.csv``) and takes JSONL for any other.
        stdin: Instead of the process's own standard input.

    Raises:
        InputFileError: If there is no such file, or it may not be read, or it is no file, or
            the header of a CSV file is wrong.
    """
    if str(path) == STANDARD_INPUT:
        chosen = file_format or FileFormat.JSONL
        return RecordFile(stdin or sys.stdin.buffer, "standard input", chosen, closes=False)
    chosen = file_format or _SUFFIXES.get(Path(path).suffix.lower(), FileFormat.JSONL)
    try:
        file = Path(path).open("rb")  # noqa: SIM115 - RecordFile closes it
    except (OSError, ValueError) as error:  # ValueError: a null byte in the path
        raise _about(str(path), error) from error
    return RecordFile(file, str(path), chosen)


def _digest(file: BinaryIO) -> str | None:
    """Return the digest of what is left of the file, which is then read from the same place."""
    if not file.seekable():
        return None
    start = file.tell()
    digest = hashlib.sha256()
    while piece := file.read(_PIECE_BYTES):
        digest.update(piece)
    file.seek(start)
    return digest.hexdigest()


def _about(name: str, error: OSError | ValueError | InputFileError) -> InputFileError:
    """Return the error for a person, naming the file."""
    if isinstance(error, InputFileError):
        facts: dict[str, Any] = {"file": name, **error.facts}
        return InputFileError(f"{name}: {error}", why=error.why, do=error.do, **facts)
    match error:
        case FileNotFoundError():
            what, do = "there is no such file", "check the path"
        case IsADirectoryError():
            what, do = "this is a folder, not a file", "name one of the files in it"
        case PermissionError():
            what, do = "the file may not be read", "give this user the right to read it"
        case _:
            told = error.strerror if isinstance(error, OSError) else None
            what, do = f"the file cannot be read: {told or error}", "check the path"
    return InputFileError(f"{name}: {what}", do=do, file=name)
