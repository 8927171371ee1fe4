"""CSV files of job requests: a header that names fields, and rows that are read or refused."""

import csv
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.errors import InputFileError
from jobs.intake.records import (
    RECORD_LIMIT_BYTES,
    FileFormat,
    Record,
    RecordFile,
)
from jobs.intake.rows import CsvTable, _Quotes, cells_of

KIB = 1024


BOM = b"\xef\xbb\xbf"


HEADER = b"project_id,pool_name,plugin,version,inputs,priority,labels.team,labels\n"


def from_csv(data: bytes) -> list[Record]:
    """Read CSV."""
    return list(CsvTable(io.BytesIO(data)).records())


def shape(records: list[Record]) -> list[tuple[int, int, object]]:
    """Return number, line and value of each; None for one with problems."""
    return [
        (record.number, record.line, None if record.problems else record.value)
        for record in records
    ]


def test_a_csv_row_becomes_a_job_request() -> None:
    """Each column goes to its field; an empty cell is left out."""
    data = (
        b"project_id,pool_name,region,plugin,version,inputs,base,idempotency_key,priority,"
        b"not_before,deadline,labels.team,labels,problem\r\n"
        b'p,x,cn-north-4,volcano,1.10,"{""a"":{""b"":1}}",empty,k-1,-5,2026-11-24T01:00:00Z,45m,'
        b'infra,"{""change"":""CHG""}",old reason\r\n'
        b"p,y,,volcano,,,,,,,,,,\r\n"
    )

    assert shape(from_csv(BOM + data)) == [
        (
            1,
            2,
            {
                "project_id": "p",
                "pool_name": "x",
                "region": "cn-north-4",
                "plugin": {
                    "name": "volcano",
                    "version": "1.10",
                    "inputs": {"a": {"b": 1}},
                    "base": "empty",
                },
                "idempotency_key": "k-1",
                "priority": -5,
                "not_before": "2026-11-24T01:00:00Z",
                "deadline": "45m",
                "labels": {"change": "CHG", "team": "infra"},
            },
        ),
        (2, 3, {"project_id": "p", "pool_name": "y", "plugin": {"name": "volcano"}}),
    ]


@pytest.mark.parametrize("column", ["plugin", "plugin.name", "name", " name "])
def test_the_plugin_column_has_several_names(column: str) -> None:
    """A person who writes plugin, name or plugin.name is understood."""
    [record] = from_csv(f"project_id,pool_name,{column}\np,x,volcano\n".encode())

    assert record.value == {"project_id": "p", "pool_name": "x", "plugin": {"name": "volcano"}}


def test_quoted_cells_may_hold_line_breaks() -> None:
    """A record is where it begins, and the lines in its cells are counted."""
    data = HEADER + b'p,x,v,1,"{\n""a"":\n1}",,,\n\np,y,v,"1",,,"a ""b"", c",\n'

    first, second = from_csv(data)

    assert (first.line, second.line) == (2, 6)
    assert isinstance(second.value, dict)
    assert second.value["labels"] == {"team": 'a "b", c'}


@pytest.mark.parametrize(
    ("row", "path", "fragment"),
    [
        (b"p,x,v", "", "the row has 3 cells, but the header has 8"),
        (b"p,x,v,,,,,,", "", "the row has 9 cells"),
        (b"p,x,v,1,{bad,,,", "plugin.inputs", "character 2 of the cell: a field name must"),
        (b'p,x,v,1,"{""a"":1,""a"":2}",,,', "plugin.inputs", "the field 'a' is there twice"),
        (b'p,x,v,1,"{\n""a"" 1}",,,', "plugin.inputs", "character 5 of line 2 of the cell"),
        (b"p,x,v,1,NaN,,,", "plugin.inputs", "NaN is not a JSON value"),
        (b"p,x,v,1,,,,{", "labels", "a '}' is missing"),
        (b"p,x,v,1,,,infra,[]", "labels", "must be an object of texts"),
        (b'p,x,v,1,,,infra,"{""team"":""x""}"', "labels.team", "given in two columns"),
        (b"p,\xff,v,1,,,,", "", "byte 3 of the row (0xFF) is not UTF-8"),
        (b'p,"x"y,v,1,,,,', "", "the row is not CSV"),
        (b"p,x\ry,v,1,,,,", "", "the row is not CSV"),
    ],
)
def test_a_bad_row_is_one_invalid_record(row: bytes, path: str, fragment: str) -> None:
    """A row that cannot be read says why, and the next one is read."""
    first, second = from_csv(HEADER + row + b"\np,y,v,,,,,\n")

    [problem] = first.problems
    assert problem.path == path
    assert fragment in problem.message
    assert not second.problems
    assert second.number == 2


def test_a_quote_that_is_never_closed_is_told() -> None:
    """A forgotten quote swallows the rest, and the record says where it began."""
    first, last = from_csv(HEADER + b'p,x,v,,,,,\np,"y,v,,,,,\np,z,v,,,,,\n')

    assert not first.problems
    assert (last.number, last.line) == (2, 3)
    assert "is not closed before the file ends" in last.problems[0].message


def test_what_is_inside_too_long_quotes_never_becomes_a_job() -> None:
    """Lines within a huge quoted cell are content, whatever they look like."""
    inner = b"p,evil,v,,,,,\n" * (RECORD_LIMIT_BYTES // 10)
    data = HEADER + b'p,x,v,,"' + inner + b'",,,\np,y,v,,,,,\n'

    first, second = from_csv(data)

    assert not first.whole
    assert isinstance(second.value, dict)
    assert second.value["pool_name"] == "y"
    assert second.line == 2 + inner.count(b"\n") + 1


@pytest.mark.parametrize(
    ("header", "fragments"),
    [
        (b"project_id,pool_name", ["the column 'plugin' is missing"]),
        (b"plugin", ["'project_id' is missing", "'pool_name' is missing"]),
        (
            b"project_id,poolname,plugin",
            ["unknown column 'poolname' (did you mean 'pool_name'?)"],
        ),
        (b"Project_ID,pool_name,plugin", ["did you mean 'project_id'?"]),
        (b"project_id,pool_name,plugin,frobnicate", ["unknown column 'frobnicate'"]),
        (b"project_id,pool_name,plugin,", ["column 4 has no name"]),
        (b"project_id,pool_name,plugin,labels.", ["unknown column 'labels.'"]),
        (b"project_id,pool_name,plugin,name", ["'plugin' and 'name' both mean plugin.name"]),
        (b"project_id,pool_name,plugin,problem,problem", ["both mean problem"]),
        (b"project_id;pool_name;plugin", ["not separated by commas"]),
        (b"project_id\tpool_name\tplugin", ["not separated by commas"]),
        (b"project_id,pool_name,\xff", ["line 1: byte 22 of the row (0xFF) is not UTF-8"]),
        (b'project_id,"pool_name', ["line 1: a quote that is opened"]),
        (b'{"project_id": "p"}', ['unknown column \'{"project_id": "p"}\'']),
        (b"x" * 300 * KIB, ["the header is longer than 256 KiB"]),
        (b"\xff\xfep\x00", ["the file is UTF-16"]),
        (b"\x1f\x8b\x08", ["compressed with gzip"]),
        (b"PK\x03\x04", ["a spreadsheet"]),
    ],
)
def test_a_header_that_is_not_understood_stops_everything(
    header: bytes, fragments: list[str]
) -> None:
    """Rows under a wrong header would all be read wrongly, so none is."""
    with pytest.raises(InputFileError) as caught:
        RecordFile(io.BytesIO(header + b"\n"), "jobs.csv", FileFormat.CSV)

    assert str(caught.value).startswith("jobs.csv: ")
    for fragment in fragments:
        assert fragment in str(caught.value)
    assert len(str(caught.value)) < 600


def test_a_wrong_header_lists_the_known_columns() -> None:
    """The remedy for an unknown column is the list of known ones; a near miss counts once."""
    with pytest.raises(InputFileError) as caught:
        CsvTable(io.BytesIO(b"project_id,poolname,plugin_name\n"))

    assert "known columns: project_id, pool_name, region, plugin," in caught.value.do
    assert "labels.NAME" in caught.value.do
    assert "is missing" not in str(caught.value)


CELLS = st.text(st.sampled_from('ab",\n\r\u00e9 '), max_size=6)


@settings(deadline=None, max_examples=40)
@given(
    st.lists(st.lists(CELLS, min_size=8, max_size=8), max_size=6), st.sampled_from(["\n", "\r\n"])
)
def test_rows_written_by_another_program_are_read_back(rows: list[list[str]], end: str) -> None:
    """Whatever a CSV writer quotes, the rows come out as they went in."""
    text = io.StringIO()
    csv.writer(text, lineterminator=end, quoting=csv.QUOTE_ALL).writerows(rows)

    records = from_csv(HEADER + text.getvalue().encode())

    assert [cells_of(record.raw) for record in records] == rows


CSV_TEXTS = st.text(st.sampled_from('a",\n'), max_size=30)


@settings(deadline=None)
@given(CSV_TEXTS)
def test_rows_end_where_the_standard_reader_ends_them(text: str) -> None:
    """Quotes that are opened, doubled, closed or stray never move the border of a row."""
    expected = [row for row in csv.reader(io.StringIO(text, newline="")) if "".join(row).strip()]
    header = b"project_id,pool_name,plugin\n"

    rows = [record.raw.decode() for record in from_csv(header + text.encode())]

    read = [next(csv.reader([row])) for row in rows]
    assert [row for row in read if "".join(row).strip()] == expected


@settings(deadline=None)
@given(CSV_TEXTS, st.lists(st.integers(1, 5)))
def test_a_row_is_the_same_however_it_is_read(text: str, sizes: list[int]) -> None:
    """A quote is seen also when the border of two reads falls beside it."""
    data, pieces, quotes = text.replace("\n", "x").encode(), [], _Quotes()
    for size in [*sizes, len(data) + 1]:
        pieces.append(data[:size])
        data = data[size:]

    in_pieces = [quotes.is_open_after(piece) for piece in pieces][-1]

    assert in_pieces == _Quotes().is_open_after(b"".join(pieces))
