"""Records that were not taken in, written so that they can be mended and handed in again.

JSONL: the line stands unchanged but for a first field ``_problem``, which intake passes over;
a line that is no JSON object becomes ``{"_problem": …, "_raw": …}``, which intake refuses
until it has been mended.  CSV: the same columns and a last one, ``problem``.  A row that is
no CSV becomes one cell; it has too few cells and is refused until it has been mended.
"""

import csv
import io
import re
from collections.abc import Sequence
from typing import BinaryIO, Final

import orjson

from jobs.intake.lines import Record
from jobs.intake.records import FileFormat
from jobs.intake.rows import PROBLEM_COLUMN, cells_of
from jobs.requests import PROBLEM_KEY, RAW_KEY, Problem
from jobs.requests.strictjson import JsonError, loads

_OLD_PROBLEM: Final = re.compile(
    rb'\s*+\{\s*+"' + PROBLEM_KEY.encode() + rb'"\s*+:\s*+"(?:[^"\\]|\\.)*+"\s*+,?+'
)

_REASON: Final = re.compile(r"line \d+: ")


class RejectWriter:
    """Writes rejects to an open file, in the format of the file they came from.

    The file may hold rejects of an earlier run; a CSV header is written only at its start,
    and only when there is a first reject.
    """

    def __init__(self, file: BinaryIO, file_format: FileFormat, header: Sequence[str] = ()) -> None:
        """Take the open *file* and the *header* of the CSV file the records come from."""
        self._file = file
        self._format = file_format
        self._header = tuple(header)
        self._fresh = not file.seekable() or file.tell() == 0

    def write(self, record: Record, problems: Sequence[Problem]) -> None:
        """Write one record and why it was not taken in; it is with the system on return."""
        reason = f"line {record.line}: " + "; ".join(str(problem) for problem in problems)
        if self._format is FileFormat.CSV:
            self._file.write(self._csv(record, reason))
        else:
            self._file.write(_jsonl(record, reason))
        self._file.flush()

    def _csv(self, record: Record, reason: str) -> bytes:
        rows = [self._cells(record, reason)]
        if self._fresh:
            self._fresh = False
            columns = [column for column in self._header if column != PROBLEM_COLUMN]
            rows.insert(0, [*columns, PROBLEM_COLUMN])
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(rows)
        return text.getvalue().encode()

    def _cells(self, record: Record, reason: str) -> list[str]:
        try:
            cells = cells_of(record.raw) if record.whole else None
        except ValueError:
            cells = None
        if cells is None:
            return [_text(record.raw), reason]
        if PROBLEM_COLUMN in self._header:
            if len(cells) == len(self._header):
                del cells[self._header.index(PROBLEM_COLUMN)]
            elif cells and _REASON.match(cells[-1]):
                # Else a row that is too short would grow, run by run, until it fits.
                del cells[-1]
        return [*cells, reason]


def _jsonl(record: Record, reason: str) -> bytes:
    rest = _members(record)
    if rest is None:
        return orjson.dumps({PROBLEM_KEY: reason, RAW_KEY: _text(record.raw)}) + b"\n"
    comma = b"" if rest.lstrip().startswith(b"}") else b","
    return b'{"%b":%b%b%b\n' % (PROBLEM_KEY.encode(), orjson.dumps(reason), comma, rest)


def _members(record: Record) -> bytes | None:
    """Return the object's text behind its brace, without an old problem; None for no object.

    The text is cut, not written again, because 1.10 would come back as 1.1.
    """
    try:
        value = loads(record.raw) if record.whole else None
    except JsonError:
        return None
    if not isinstance(value, dict):
        return None
    if PROBLEM_KEY not in value:
        return record.raw.lstrip()[1:]
    old = _OLD_PROBLEM.match(record.raw)
    if old is not None:
        return record.raw[old.end() :]
    del value[PROBLEM_KEY]  # another program has moved it, and so written all of it again
    return orjson.dumps(value)[1:]


def _text(raw: bytes) -> str:
    return raw.decode(errors="backslashreplace")
