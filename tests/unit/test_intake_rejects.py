"""Rejects: what was not taken in can be mended and handed in again."""

import csv
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.intake.records import FileFormat, Record, RecordFile
from jobs.intake.rejects import RejectWriter
from jobs.requests import Problem, parse_request
from jobs.requests.strictjson import loads

NO = Problem(path="a", message="no", suggestion="do", column=7)
HEADER = b"project_id,pool_name,plugin,labels.a,labels.b\n"


def records_of(data: bytes, file_format: FileFormat) -> tuple[RecordFile, list[Record]]:
    """Read a file."""
    file = RecordFile(io.BytesIO(data), "jobs", file_format)
    return file, list(file.records())


def rejects(data: bytes, file_format: FileFormat = FileFormat.JSONL) -> bytes:
    """Reject every record of a file with the same problem."""
    file, records = records_of(data, file_format)
    out = io.BytesIO()
    writer = RejectWriter(out, file_format, file.header)
    for record in records:
        writer.write(record, record.problems or (NO,))
    return out.getvalue()


@pytest.mark.parametrize(
    ("line", "written"),
    [
        (b'{"a":1.10}', b'{"_problem":"line 1: column 7: no (do)","a":1.10}'),
        (b'  { "a" : 1 } \r', b'{"_problem":"line 1: column 7: no (do)", "a" : 1 } '),
        (b"{}", b'{"_problem":"line 1: column 7: no (do)"}'),
        (b"{ }", b'{"_problem":"line 1: column 7: no (do)" }'),
        (
            b'{"_problem":"old \\" ,","a":1.10}',
            b'{"_problem":"line 1: column 7: no (do)","a":1.10}',
        ),
        (b'{ "_problem" : "old" }', b'{"_problem":"line 1: column 7: no (do)"}'),
        (b'{"a":1,"_problem":"old"}', b'{"_problem":"line 1: column 7: no (do)","a":1}'),
        (b'{"_problem":["old"],"a":1}', b'{"_problem":"line 1: column 7: no (do)","a":1}'),
        (b"[1]", b'{"_problem":"line 1: column 7: no (do)","_raw":"[1]"}'),
        (b"null", b'{"_problem":"line 1: column 7: no (do)","_raw":"null"}'),
    ],
)
def test_a_json_line_is_kept_and_gets_its_problem(line: bytes, written: bytes) -> None:
    """The line stands as it was, with its reason in front; 1.10 does not become 1.1."""
    assert rejects(line) == written + b"\n"


@pytest.mark.parametrize(
    ("line", "raw"),
    [
        (b'{"a":1', '{"a":1'),
        (b"nope", "nope"),
        (b'{"a":1,"a":2}', '{"a":1,"a":2}'),
        (b'{"a":"\xff"}', '{"a":"\\xff"}'),
        (b'{"a":"' + b"x" * 300_000 + b'"}', '{"a":"' + "x" * 1018),
    ],
)
def test_a_line_that_is_no_object_is_wrapped(line: bytes, raw: str) -> None:
    """A broken line stands as text beside its reason, so that the file of rejects is JSONL."""
    value = loads(rejects(line).rstrip(b"\n"))

    assert isinstance(value, dict)
    assert value["_raw"] == raw
    assert value["_problem"].startswith("line 1: ")


def test_rejects_of_rejects_do_not_grow() -> None:
    """Handing the same rejects in again and again replaces the reason, nothing else."""
    first = rejects(b'nope\n{"a":1.10}\n{}\n')

    second = rejects(first)
    third = rejects(second)

    assert second == third
    assert len(second.splitlines()) == 3


def test_a_mended_line_is_the_request_it_would_have_been() -> None:
    """The reason that is left in a mended line makes no difference to its fingerprint."""
    good = b'{"project_id":"p","pool_name":"x","plugin":{"name":"v","version":"1.10"}}'

    mended = parse_request(loads(rejects(good).strip()), source="cli")

    assert mended == parse_request(loads(good), source="cli")


def test_csv_rejects_have_the_columns_and_a_problem() -> None:
    """A spreadsheet user sees the reason beside the row."""
    text = rejects(HEADER + b'p,"x,y",v,"a\n""b""",\np,z,v,,\n', FileFormat.CSV).decode()

    assert list(csv.reader(io.StringIO(text, newline=""))) == [
        ["project_id", "pool_name", "plugin", "labels.a", "labels.b", "problem"],
        ["p", "x,y", "v", 'a\n"b"', "", "line 2: column 7: no (do)"],
        ["p", "z", "v", "", "", "line 4: column 7: no (do)"],
    ]


def test_csv_rejects_can_be_handed_in_again() -> None:
    """The column with the reason is passed over, and replaced when the row is refused again."""
    first = rejects(HEADER + b"p,x,v,,\n", FileFormat.CSV)

    _, [record] = records_of(first, FileFormat.CSV)

    assert not record.problems
    assert record.value == {"project_id": "p", "pool_name": "x", "plugin": {"name": "v"}}
    assert rejects(first, FileFormat.CSV) == first


@pytest.mark.parametrize(
    "row", [b"p", b"p,x", b"p,x,v", b"p,x,v,a", b"p,x,v,a,b,c", b'"p', b"\xff", b"p\xff,x,v,a,b"]
)
def test_a_row_that_does_not_fit_never_comes_to_fit(row: bytes) -> None:
    """However often it is handed in, a broken row is not taken for a whole one."""
    data = HEADER + row + b"\n"
    for _ in range(8):
        _, [record] = records_of(data, FileFormat.CSV)
        assert record.problems
        data = rejects(data, FileFormat.CSV)


def test_rejects_are_added_to_an_earlier_file() -> None:
    """A resumed run writes on; the header stands once, and only when there is a reject."""
    file, [record] = records_of(HEADER + b"p,x,v,,\n", FileFormat.CSV)
    out = io.BytesIO()

    RejectWriter(out, FileFormat.CSV, file.header)
    assert out.getvalue() == b""
    for _ in range(2):
        RejectWriter(out, FileFormat.CSV, file.header).write(record, (NO,))

    assert out.getvalue().count(b"project_id") == 1
    assert out.getvalue().count(b"\n") == 3


@settings(deadline=None, max_examples=50)
@given(
    st.lists(
        st.binary(max_size=30) | st.sampled_from([b"{}", b'{"_problem":1}', b"{1}"]), max_size=5
    )
)
def test_any_rejects_are_records_again(lines: list[bytes]) -> None:
    """Each reject is one line of JSON, whatever stood in the file."""
    data = b"1\n" + b"\n".join(line.replace(b"\n", b"") for line in lines)
    _, records = records_of(data, FileFormat.JSONL)

    again = records_of(rejects(data), FileFormat.JSONL)[1]

    assert len(again) == len(records)
    assert not any(record.problems for record in again)
