"""Files of job requests: every record is found, whole or with the reason why not."""

import hashlib
import io
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.errors import InputFileError
from jobs.intake.lines import RAW_SHOWN_BYTES
from jobs.intake.records import (
    RECORD_LIMIT_BYTES,
    FileFormat,
    Record,
    RecordFile,
    jsonl_records,
    open_records,
)
from jobs.intake.rows import CsvTable

KIB = 1024


BOM = b"\xef\xbb\xbf"


HEADER = b"project_id,pool_name,plugin,version,inputs,priority,labels.team,labels\n"


def from_jsonl(data: bytes) -> list[Record]:
    """Read JSONL."""
    return list(jsonl_records(io.BytesIO(data)))


def from_csv(data: bytes) -> list[Record]:
    """Read CSV."""
    return list(CsvTable(io.BytesIO(data)).records())


def shape(records: list[Record]) -> list[tuple[int, int, object]]:
    """Return number, line and value of each; None for one with problems."""
    return [
        (record.number, record.line, None if record.problems else record.value)
        for record in records
    ]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", []),
        (BOM, []),
        (b"\n\r\n  \n\t\n", []),
        (b"1", [(1, 1, 1)]),
        (b"1\n", [(1, 1, 1)]),
        (b"1\r\n2\r\n", [(1, 1, 1), (2, 2, 2)]),
        (BOM + b"1\n" + BOM + b"2\n", [(1, 1, 1), (2, 2, None)]),
        (b"\n\n1\n\n2", [(1, 3, 1), (2, 5, 2)]),
        (b"nope\n2\n", [(1, 1, None), (2, 2, 2)]),
        (b"\xff\n2\n", [(1, 1, None), (2, 2, 2)]),
        (b"1 \r\r\n2\n", [(1, 1, 1), (2, 2, 2)]),
        (b"\x00\n2\n", [(1, 1, None), (2, 2, 2)]),
    ],
)
def test_jsonl_lines_become_records(data: bytes, expected: list[Any]) -> None:
    """Each line that is not empty is one record, whatever its end and whatever is in it."""
    assert shape(from_jsonl(data)) == expected


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b""])
@pytest.mark.parametrize("extra", [-1, 0, 1])
def test_a_line_may_be_as_long_as_the_limit(end: bytes, extra: int) -> None:
    """A line of 256 KiB is read, one byte more is one invalid record, and reading goes on."""
    line = b'"' + b"x" * (RECORD_LIMIT_BYTES - 2 + extra) + b'"'

    first, *others = from_jsonl(line + end + (b"2\n" if end else b""))

    assert bool(first.problems) == (extra > 0)
    assert first.whole == (extra <= 0)
    assert shape(others) == ([(2, 2, 2)] if end else [])


@pytest.mark.parametrize("name", ["jsonl", "csv"])
def test_a_very_long_line_is_one_invalid_record(name: str) -> None:
    """Ten megabytes without a line's end cost one record, and nearly no memory is kept of it."""
    long = b"x" * (10 * KIB * KIB)
    good = b"p,x,v,,,,,\n" if name == "csv" else b"2\n"
    records = from_csv(HEADER + long + b"\n" + good) if name == "csv" else from_jsonl(long + b"\n2")

    first, second = records
    assert "longer than 256 KiB" in first.problems[0].message
    assert len(first.raw) <= RAW_SHOWN_BYTES
    assert not second.problems


class OneLine(io.RawIOBase):
    """A file of one line that never ends, made while it is read."""

    def __init__(self, start: bytes, size: int) -> None:
        self._start = start
        self._left = size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]  # as io calls it
        piece = self._start or b"x" * min(len(buffer), self._left)
        self._left -= 0 if self._start else len(piece)
        self._start = b""
        buffer[: len(piece)] = piece
        return len(piece)


@pytest.mark.parametrize("quote", [b"", b'"'])
@pytest.mark.parametrize("name", ["jsonl", "csv"])
def test_a_line_without_end_does_not_fill_the_memory(name: str, quote: bytes) -> None:
    """Thirty megabytes without a line's end need less than three while they are passed over."""
    file = io.BufferedReader(OneLine((HEADER if name == "csv" else b"") + quote, 30 * KIB * KIB))
    tracemalloc.start()
    try:
        records = CsvTable(file).records() if name == "csv" else jsonl_records(file)
        [record] = list(records)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert not record.whole
    assert peak < 3 * KIB * KIB


def test_the_raw_line_is_kept_as_it_stands() -> None:
    """What is written to the rejects is what was in the file."""
    assert [record.raw for record in from_jsonl(b' {"a" : 1.10} \r\n\xff\n')] == [
        b' {"a" : 1.10} ',
        b"\xff",
    ]


def test_a_record_does_not_show_its_content() -> None:
    """A record that is printed by accident shows no inputs."""
    assert "hunter2" not in repr(from_jsonl(b'{"password": "hunter2"}')[0])


def test_a_list_over_many_lines_gets_a_hint() -> None:
    """Who hands in one JSON list instead of lines is told how to turn it into lines."""
    [first, *_] = from_jsonl(b'[\n{"a":1},\n{"a":2}\n]\n')

    assert "jq -c" in (first.problems[0].suggestion or "")


@pytest.mark.parametrize("data", [b"", BOM, b"\n\n", HEADER, HEADER.strip(), HEADER + b"\n \r\n"])
def test_a_file_without_rows_has_no_records(data: bytes) -> None:
    """An empty file is no mistake."""
    assert from_csv(data) == []
    assert from_jsonl(b"") == []


FOREIGN_STARTS = {b"\xff\xfe", b"\xfe\xff", b"\x1f\x8b", b"PK"}


@settings(deadline=None)
@given(
    st.binary(max_size=400)
    | st.text(st.sampled_from('ab",\n\r:{}[]1'), max_size=80).map(str.encode)
)
def test_any_bytes_are_records(data: bytes) -> None:
    """Whatever stands in a file, records are numbered without gaps and lines only grow."""
    for read, whole in ((from_jsonl, data), (from_csv, HEADER + data)):
        try:
            records = read(whole)
        except InputFileError:
            assert data[:2] in FOREIGN_STARTS
            continue

        assert [record.number for record in records] == list(range(1, len(records) + 1))
        lines = [record.line for record in records]
        assert lines == sorted(set(lines))
        assert all(record.problems or record.value is not None for record in records) or (
            b"null" in data
        )


class OneByOne(io.BytesIO):
    """A stream that cannot be read twice."""

    def seekable(self) -> bool:
        return False


def test_a_file_is_opened_by_its_suffix(tmp_path: Path) -> None:
    """The name says the format; what is unknown is taken as JSONL."""
    row = b"project_id,pool_name,plugin\np,x,v\n"
    for name, expected in [
        ("a.csv", FileFormat.CSV),
        ("a.CSV", FileFormat.CSV),
        ("a.jsonl", FileFormat.JSONL),
        ("a.ndjson", FileFormat.JSONL),
        ("a.txt", FileFormat.JSONL),
    ]:
        path = tmp_path / name
        path.write_bytes(row)
        with open_records(path) as file:
            assert file.format is expected
            assert file.digest == hashlib.sha256(row).hexdigest()
            assert file.header == (
                ("project_id", "pool_name", "plugin") if expected is FileFormat.CSV else ()
            )
            assert len(list(file.records())) == (1 if expected is FileFormat.CSV else 2)

    with open_records(tmp_path / "a.txt", FileFormat.CSV) as file:
        assert file.format is FileFormat.CSV


def test_standard_input_is_read_and_left_open() -> None:
    """A dash means the standard input; a pipe has no digest, because it cannot be read twice."""
    stdin = OneByOne(b"1\n2\n")
    with open_records("-", stdin=stdin) as file:
        assert file.digest is None
        assert len(list(file.records())) == 2
    assert not stdin.closed

    redirected = io.BytesIO(b"1\n2\n")
    redirected.read(2)
    with open_records("-", stdin=redirected) as file:
        assert file.digest == hashlib.sha256(b"2\n").hexdigest()
        assert [record.value for record in file.records()] == [2]


def test_a_path_that_is_no_file_is_told(tmp_path: Path) -> None:
    """Missing, a folder, unreadable, impossible: each says what it is."""
    paths: list[tuple[str | Path, str]] = [
        (tmp_path / "missing.jsonl", "there is no such file"),
        (tmp_path, "this is a folder"),
        ("a\0b", "cannot be read"),
        ("x" * 300, "cannot be read"),
    ]
    for path, fragment in paths:
        with pytest.raises(InputFileError, match=fragment):
            open_records(path)


def test_a_file_without_the_right_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that may not be read says so (root may read everything, so the answer is faked)."""

    def refuse(*_args: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(InputFileError, match="the file may not be read"):
        open_records("jobs.jsonl")


class BrokenDisk(OneByOne):
    """Fails after the first line."""

    def readline(self, size: int | None = -1, /) -> bytes:
        if self.tell() > 0:
            raise OSError(5, "Input/output error")
        return super().readline(size)


def test_a_file_that_breaks_off_is_told() -> None:
    """A disk that fails in the middle ends the reading with the file's name."""
    records = RecordFile(BrokenDisk(b"1\n2\n"), "jobs.jsonl", FileFormat.JSONL).records()
    assert next(records).value == 1

    with pytest.raises(InputFileError, match=r"jobs\.jsonl: .*Input/output error"):
        next(records)


def test_a_foreign_file_is_recognised(tmp_path: Path) -> None:
    """A UTF-16 export or an archive is one clear error, not a thousand invalid lines."""
    for first, fragment in [("x".encode("utf-16"), "UTF-16"), (b"\x1f\x8b", "gunzip")]:
        path = tmp_path / "jobs.jsonl"
        path.write_bytes(first)
        with open_records(path) as file, pytest.raises(InputFileError) as caught:
            list(file.records())
        assert fragment in f"{caught.value} {caught.value.do}"
