"""Lines of a file of job requests in constant memory, and the record a reader makes of them."""

import codecs
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO, Final

from jobs.errors import InputFileError
from jobs.requests import Problem

RECORD_LIMIT_BYTES: Final = 256 * 1024
"""A longer line, or CSV record, is one invalid record."""

RAW_SHOWN_BYTES: Final = 1024
"""What is kept of a record that is too long."""

_CHUNK_BYTES: Final = RECORD_LIMIT_BYTES + 2  # a line of the limit fits in with its CRLF
_FOREIGN: Final = {
    codecs.BOM_UTF16_LE: ("UTF-16", "save it as UTF-8"),
    codecs.BOM_UTF16_BE: ("UTF-16", "save it as UTF-8"),
    b"\x1f\x8b": ("compressed with gzip", "unpack it: gunzip -c FILE | plugwave enqueue -"),
    b"PK\x03\x04": ("a ZIP archive or a spreadsheet", "export it as CSV in UTF-8"),
}
"""First bytes of what people hand in by mistake; every line of it would be invalid."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One record of a file.

    Attributes:
        number: Counts records from 1.
        line: Where the record begins; counts lines from 1.
        raw: The bytes as they stand in the file, without the line's end.  They may hold
            secrets.
        value: What was read; None when nothing could be, and without the broken cells when a
            row of CSV has some.
        problems: Why it could not be read, or not all of it.
        whole: Whether ``raw`` is all of it; only the beginning of a too long one is kept.
    """

    number: int
    line: int
    raw: bytes = field(repr=False)
    value: object = field(default=None, repr=False)
    problems: tuple[Problem, ...] = ()
    whole: bool = True


def chunks_of(file: BinaryIO) -> Iterator[tuple[int, bytes, bool]]:
    """Yield line number, bytes with the line's end, and whether the line ends with them.

    Only a line beyond the limit comes in several chunks.  A UTF-8 byte order mark at the
    beginning is left out.

    Raises:
        InputFileError: If the first bytes show that this is no UTF-8 text.
    """
    number = 1
    chunk = _without_mark(file.readline(_CHUNK_BYTES))
    while chunk:
        ends = len(chunk) < _CHUNK_BYTES or chunk.endswith(b"\n")
        yield number, chunk, ends
        number += ends
        chunk = file.readline(_CHUNK_BYTES)


def without_end(line: bytes) -> bytes:
    """Return the line without its LF or CRLF."""
    return line.removesuffix(b"\n").removesuffix(b"\r")


def too_long(number: int, line: int, raw: bytes) -> Record:
    """Return the invalid record for one that goes beyond the limit."""
    message = f"the record is longer than {RECORD_LIMIT_BYTES // 1024} KiB"
    return Record(
        number=number,
        line=line,
        raw=raw[:RAW_SHOWN_BYTES],
        problems=(Problem(path="", message=message),),
        whole=False,
    )


def _without_mark(first: bytes) -> bytes:
    for mark, (what, do) in _FOREIGN.items():
        if first.startswith(mark):
            raise InputFileError(f"the file is {what}, not UTF-8 text", do=do)
    return first.removeprefix(codecs.BOM_UTF8)
