"""Tables and documents: aligned for people, one valid document for programs."""

import json

import pytest

from jobs.errors import StoreError, UsageError
from worker.cli.choices import Choices
from worker.cli.console import Console
from worker.cli.printing import (
    SAMPLE_ROWS,
    Column,
    Table,
    cells,
    document,
    fitted,
    no_names,
    streamed,
)

COLUMNS = (Column(title="JOB"), Column(title="POOL", width=8), Column(title="AGE", right=True))


def test_a_table_is_aligned_and_cut(capsys: pytest.CaptureFixture[str]) -> None:
    """Numbers stand right, long cells end in a mark, wide signs are counted as two."""
    table = Table(Console(Choices(ascii=True), {}), COLUMNS)
    table.row(["job-1", "pool-a", "3s"])
    table.row(["job-42", "pool-with-a-long-name", "12m"])
    table.row(["⏳", "x", "1s"])
    table.close()

    assert capsys.readouterr().out == (
        "JOB     POOL      AGE\n"
        "job-1   pool-a     3s\n"
        "job-42  pool-...  12m\n"
        "⏳      x          1s\n"
    )


def test_an_empty_table_prints_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """No header stands alone."""
    Table(Console(Choices(), {}), COLUMNS).close()

    assert capsys.readouterr().out == ""


def test_a_long_table_is_printed_as_it_grows(capsys: pytest.CaptureFixture[str]) -> None:
    """A million rows need the memory of the first few; later ones are cut to the same widths."""
    table = Table(Console(Choices(ascii=True), {}), COLUMNS)
    for number in range(SAMPLE_ROWS):
        table.row([f"job-{number}", "p", "1s"])
    printed = capsys.readouterr().out.splitlines()
    table.row(["job-1000000", "p", "1s"])

    assert len(printed) == SAMPLE_ROWS + 1
    assert capsys.readouterr().out == "job-...  p      1s\n"


def test_cells_of_a_table_cannot_drive_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """A pool name from elsewhere is shown, not obeyed."""
    table = Table(Console(Choices(), {}), COLUMNS)
    table.row(["a\x1b[2J", "b\nc", "d"])
    table.close()

    assert capsys.readouterr().out.splitlines()[1].split() == ["a", "b", "c", "d"]


def test_a_cut_never_exceeds_its_width() -> None:
    """Wide signs do not push a row over."""
    assert fitted("⏳⏳⏳", 4, "…") == "⏳…"
    assert cells(fitted("⏳⏳⏳", 4, "…")) == 3


@pytest.mark.parametrize("form", ["json", "ndjson"])
def test_streamed_items_are_one_document_or_one_object_a_line(
    capsys: pytest.CaptureFixture[str], form: str
) -> None:
    """A document is one however many items it has; JSON lines are one object each."""
    console = Console(Choices(output="json" if form == "json" else "ndjson"), {})
    with streamed(console, "things", "items") as write:
        write({"a": 1})
        write({"a": 2})
    out = capsys.readouterr().out

    if form == "json":
        assert json.loads(out) == {
            "schema": "plugwave/v1",
            "kind": "things",
            "items": [{"a": 1}, {"a": 2}],
        }
    else:
        assert [json.loads(line)["a"] for line in out.splitlines()] == [1, 2]
        assert all(json.loads(line)["schema"] == "plugwave/v1" for line in out.splitlines())


def test_a_document_that_breaks_off_is_still_one_document(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """What was done stands in it, and so does the error; no second document follows."""
    choices = Choices(output="json")

    def print_and_fail() -> None:
        with streamed(Console(choices, {}), "things", "items") as write:
            write({"a": 1})
            raise StoreError("gone")

    with pytest.raises(StoreError):
        print_and_fail()

    body = json.loads(capsys.readouterr().out)
    assert body["items"] == [{"a": 1}]
    assert body["error"]["code"] == "STORE-01"
    assert choices.told


def test_a_document_is_plain_ascii(capsys: pytest.CaptureFixture[str]) -> None:
    """No encoding and no terminal can spoil it."""
    document(Console(Choices(output="json"), {}), {"text": "é\x1b\u202e"})

    out = capsys.readouterr().out
    assert out.isascii()
    assert json.loads(out)["text"] == "é\x1b\u202e"


def test_names_are_refused_where_there_are_none() -> None:
    """-o name on a result without names is a mistake, not an empty answer."""
    with pytest.raises(UsageError):
        no_names(Console(Choices(output="name"), {}))
