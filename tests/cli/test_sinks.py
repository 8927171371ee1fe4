"""`plugwave deliver` and `plugwave sinks` as a person uses them."""

import json
from pathlib import Path

import pytest

from jobs.states import JobEvent
from tests.builders import a_request
from tests.cli.running import Cli

FILE = """
apiVersion: plugwave/v1
kind: Sink
metadata: {name: tickets}
spec:
  to: {file: {path: told.jsonl}}
  batchWait: 0s
"""


@pytest.fixture
def sink(cli: Cli) -> str:
    """A file of a sink, which has taken its place."""
    (cli.folder / "sink.yaml").write_text(FILE)
    assert cli("deliver", "sink.yaml", "--until-told").code == 0
    return "sink.yaml"


def test_what_ended_is_told_and_the_place_is_kept(cli: Cli, sink: str) -> None:
    """Told once, listed, shown with its tries; told again only when that is asked for."""
    cli.add(a_request("pool-a"), a_request("pool-b"))
    cli.end(JobEvent.ALREADY)

    assert cli("deliver", sink, "--until-told").code == 0
    assert cli("deliver", sink, "--until-told").code == 0

    told = [json.loads(line) for line in (cli.folder / "told.jsonl").read_text().splitlines()]
    assert [event["subject"] for event in told] == ["job-1", "job-2"]
    assert cli("sinks", "list").out.startswith("tickets  2 delivered")
    assert cli("sinks", "list", "-o", "name").out == "tickets\n"
    shown = json.loads(cli("sinks", "show", "tickets", "-o", "json").out)
    assert (shown["delivered"], shown["stopped"], len(shown["log"])) == (2, None, 1)
    assert "2 events  delivered" in cli("sinks", "show", "tickets").out
    assert cli("sinks", "resume", "tickets", "--after", "0-0").code == 0
    assert cli("deliver", sink, "--until-told").code == 0
    assert len((cli.folder / "told.jsonl").read_text().splitlines()) == 4


def test_a_receiver_that_fails_leaves_with_8_and_says_when_it_is_tried(cli: Cli, sink: str) -> None:
    """The file is a folder: nothing is lost, and resuming tries at once."""
    cli.add(a_request("pool-a"))
    cli.end(JobEvent.ALREADY)
    place = cli.folder / "told.jsonl"
    place.mkdir()

    ran = cli("deliver", sink, "--until-told", "-o", "json")

    assert ran.code == 8
    assert json.loads(ran.out)["attempt"] == 1
    assert "try 2 at" in cli("sinks", "list").out
    place.rmdir()
    assert cli("sinks", "resume", "tickets").code == 0
    assert cli("deliver", sink, "--until-told").code == 0
    assert place.is_file()


@pytest.mark.parametrize("command", ["show", "resume"])
def test_a_sink_that_never_delivered_is_not_found(cli: Cli, command: str) -> None:
    """With what to do."""
    cli.add(a_request("pool-a"))

    ran = cli("sinks", command, "nobody")

    assert ran.code == 6
    assert "plugwave sinks list" in ran.err


@pytest.mark.parametrize(
    ("old", "new", "word"),
    [
        ("file: {path", "flie: {path", "did you mean"),
        ("  batchWait: 0s", "  batch: 0", "batch"),
        ("{file: {path: told.jsonl}}", "{}", "0 receivers"),
    ],
)
def test_a_wrong_file_is_told_with_its_place(cli: Cli, old: str, new: str, word: str) -> None:
    """File, line, column."""
    (cli.folder / "sink.yaml").write_text(FILE.replace(old, new))

    ran = cli("deliver", "sink.yaml", "--until-told")

    assert ran.code == 2
    assert "sink.yaml:" in ran.err
    assert word in ran.err


def test_the_example_is_acceptable(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """It asks for its secret and nothing else."""
    example = Path(__file__).parents[2] / "examples" / "tickets.sink.yaml"
    monkeypatch.delenv("HOOK_SECRET", raising=False)

    ran = cli("deliver", str(example), "--until-told")

    assert ran.code == 2
    assert "env:HOOK_SECRET" in ran.err
