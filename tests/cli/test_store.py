"""`plugwave store` and `plugwave events`: look after the store, and read what happens."""

import stat
from pathlib import Path

import anyio
import apsw
import orjson
import pytest

from jobs.clock import SystemClock
from jobs.model import InputsBase, JobRequest
from jobs.requests import parse_request
from jobs.requests.writing import request_body
from jobs.states import JobEvent
from jobs.store.cursor import EventCursor
from jobs.store.protocol import (
    Store,
)
from jobs.store.sqlite import open_sqlite
from jobs.store.sqlite.migrating import schema_version
from tests.builders import a_request
from tests.cli.running import Cli
from worker.cli.events import read_on

SECRET = {"custom": {"ndots": "5"}, "dbPassword": "hunter2-hunter2"}


def old(cli: Cli) -> None:
    """Make everything in the store two months older."""
    connection = apsw.Connection(str(cli.store_path))
    connection.execute("UPDATE jobs SET created_us = created_us - 5184000000000")
    connection.execute("UPDATE jobs SET finished_us = finished_us - 5184000000000")
    connection.execute("UPDATE workers SET reported = 1000")
    connection.close()


# prune


def test_prune_removes_what_has_ended_long_ago(cli: Cli) -> None:
    """A dry run tells and changes nothing; then it is done; open jobs stay."""
    cli.add(a_request("a", key="k"))
    cli.end(JobEvent.ALREADY)
    cli.add(a_request("b"))
    old(cli)

    would = cli("store", "prune", "--dry-run")
    done = cli("store", "prune", "-o", "json")
    again = cli("store", "prune")

    assert (would.code, done.code, again.code) == (0, 0, 0)
    assert "1 job and 1 key would go" in would.out
    assert "1 job kept: open" in would.out
    assert (done.document["jobs"], done.document["keys"]) == (1, 1)
    assert done.document["kept"] == {"open": 1}
    assert "no jobs and no keys removed" in again.out
    assert cli("jobs", "show", "job-1").code == 6
    assert cli("store", "check").code == 0


def test_prune_says_when_everything_is_kept(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """Zero is for ever, and the command says so."""
    monkeypatch.setenv("PLUGWAVE_STORE__KEEP_FINISHED", "0")
    cli.add(a_request("a"))
    cli.end(JobEvent.ALREADY)
    old(cli)

    ran = cli("store", "prune")

    assert "no jobs and no keys removed" in ran.out
    assert "for ever" in ran.err


def test_results_of_machines_that_never_come_back_may_be_given_up(cli: Cli) -> None:
    """A job without a written result line stays until an operator says otherwise."""
    cli.add(a_request("a"))
    cli.end(JobEvent.ALREADY)
    old(cli)
    connection = apsw.Connection(str(cli.store_path))
    connection.execute("UPDATE workers SET reported = 0")
    connection.close()

    kept = cli("store", "prune")
    gone = cli("store", "prune", "--unreported")

    assert "1 job kept: without a written result line" in kept.out
    assert "1 job and no keys removed" in gone.out


# export


def test_an_export_masks_secrets_and_cannot_be_enqueued_by_mistake(cli: Cli) -> None:
    """One line for each job with result and history; a masked value never becomes an input."""
    cli.add(a_request("a", inputs=SECRET), a_request("b"))
    cli.end(JobEvent.ALREADY)

    ran = cli("store", "export")
    lines = [orjson.loads(line) for line in ran.lines]

    assert ran.code == 0
    assert [line["job"] for line in lines] == ["job-1", "job-2"]
    assert "hunter2" not in ran.out
    assert lines[0]["inputs"] == {"custom": {"ndots": "5"}, "dbPassword": "***"}
    assert [event["event"] for event in lines[0]["history"]] == ["created", "claimed", "already"]
    assert "request" not in lines[0]
    assert "2 jobs exported; the last is job-2" in ran.err
    assert cli("enqueue", "-", stdin=ran.out.encode()).code == 2


def test_an_export_with_inputs_can_be_enqueued_elsewhere(cli: Cli) -> None:
    """`request` is what `enqueue` takes; the file belongs to its owner alone."""
    cli.add(
        a_request("a", inputs=SECRET, key="k", priority=3, deadline_s=60.5, labels={"change": "C"})
    )
    file = cli.folder / "out.jsonl"

    ran = cli("store", "export", "--with-inputs", "--to", str(file))
    [line] = [orjson.loads(line) for line in file.read_text().splitlines()]
    elsewhere = {"PLUGWAVE_STORE__URL": f"sqlite:///{cli.folder / 'other.db'}"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(*next(iter(elsewhere.items())))
        taken = cli("enqueue", "-", stdin=orjson.dumps(line["request"]))
        there = cli("jobs", "show", "job-1", "-o", "json").document

    assert (ran.code, taken.code) == (0, 0)
    assert line["inputs"] == SECRET
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert (there["idempotency_key"], there["priority"], there["deadline_s"]) == ("k", 3, 60.5)


@pytest.mark.parametrize(
    "wanted",
    [
        a_request("a", "0" * 32),
        a_request("a", "0" * 32, version=None, region="cn-north-4", base=InputsBase.EMPTY),
        a_request("a", "0" * 32, inputs={"a": [1, None, {"b": 1.5}]}, not_before_us=10**15 + 7),
        a_request(
            "a", "0" * 32, inputs={}, priority=-4, labels={"x": "y"}, deadline_s=90.0, profile="b"
        ),
    ],
    ids=["plain", "region", "inputs", "terms"],
)
def test_a_written_request_reads_as_the_same_one(wanted: JobRequest) -> None:
    """What is exported and read again asks for the same, and has the same fingerprint."""
    first = parse_request(request_body(wanted), source="test")
    second = parse_request(request_body(first), source="test")

    assert first == second
    assert (first.target, first.plugin) == (wanted.target, wanted.plugin)
    assert first.not_before_us == wanted.not_before_us


def test_an_export_goes_on_after_a_job(cli: Cli) -> None:
    """An export that broke off is continued in the same file."""
    cli.add(*[a_request(f"pool-{n}") for n in range(4)])
    file = str(cli.folder / "out.jsonl")

    cli("store", "export", "--to", file, "--after", "job-2")
    cli("store", "export", "--to", file, "--after", "job-3", "-o", "ndjson")

    jobs = [orjson.loads(line)["job"] for line in Path(file).read_text().splitlines()]
    assert jobs == ["job-3", "job-4", "job-4"]
    assert cli("store", "export", "-o", "json").code == 2


def test_an_export_may_be_of_ended_jobs_only(cli: Cli) -> None:
    """Open jobs are left out, because their line would not be the last word."""
    cli.add(a_request("a"))
    cli.end(JobEvent.ALREADY)
    cli.add(a_request("b"))

    ran = cli("store", "export", "--ended")

    assert [orjson.loads(line)["job"] for line in ran.lines] == ["job-1"]
    assert cli("store", "export", "--ended", "--state", "ready").code == 2


# migrate, stats


def test_an_administrator_may_make_the_file(cli: Cli) -> None:
    """What is printed makes the store, and then there is nothing more to print."""
    sql = cli("store", "migrate", "--print-sql")
    there = cli.store_path.exists()
    connection = apsw.Connection(str(cli.store_path))
    connection.execute(sql.out)
    connection.close()
    cli.add(a_request("a"))
    nothing = cli("store", "migrate", "--print-sql")
    whole = cli("store", "migrate", "--print-sql", "--from", "0")

    assert not there
    assert (nothing.out, nothing.code) == ("", 0)
    assert "up to date" in nothing.err
    assert whole.out == sql.out
    assert cli("store", "check").code == 0
    assert cli("store", "migrate", "--print-sql", "--from", str(schema_version())).out == ""
    assert cli("store", "migrate", "--from", "0").code == 2


def test_stats_tell_sizes_and_rates(cli: Cli) -> None:
    """How large the file is, how old the oldest open job, how fast it goes."""
    cli.add(a_request("a"), a_request("b"))

    figures = {one["name"]: one for one in cli("store", "stats", "-o", "json").document["figures"]}
    shown = cli("store", "stats").out

    assert figures["file"]["unit"] == "bytes"
    assert figures["file"]["value"] > 4096
    assert figures["events"]["value"] == 2
    assert "oldest open job" in figures
    assert "KiB" in shown


# events


def test_events_come_in_order_and_go_on_after_a_cursor(cli: Cli) -> None:
    """Every word of every job; whoever goes on after a line's cursor misses nothing."""
    cli.add(a_request("a"))
    first = cli("events", "-o", "ndjson")
    cursor = orjson.loads(first.lines[-1])["cursor"]
    cli.end(JobEvent.ALREADY)
    rest = [orjson.loads(line) for line in cli("events", "-o", "ndjson", "--after", cursor).lines]

    assert [line["event"] for line in rest] == ["claimed", "already"]
    assert [line["job"] for line in rest] == ["job-1"] * 2
    assert "created" in cli("events").out
    assert len(cli("events", "-o", "json").document["items"]) == 3
    assert len(cli("events", "--since", "1h").lines) == 3
    assert cli("events", "--since", "0s").out == ""


@pytest.mark.parametrize(
    "words",
    [
        ("--since", "1h", "--after", "0-1"),
        ("--follow", "-o", "json"),
        ("-o", "name"),
        ("--after", "x"),
    ],
    ids="".join,
)
def test_events_refuse_what_makes_no_sense(cli: Cli, words: tuple[str, ...]) -> None:
    """Two beginnings, an endless document, names, and what is no cursor."""
    cli.add(a_request("a"))

    assert cli("events", *words).code == 2


async def test_a_follower_hears_what_others_write(tmp_path: Path) -> None:
    """It begins where it is told and goes on with what another process adds."""
    clock = SystemClock()
    store: Store = await open_sqlite(tmp_path / "state.db", clock)
    other: Store = await open_sqlite(tmp_path / "state.db", clock)
    await store.enqueue([a_request("a")])
    seen: list[int] = []

    with anyio.fail_after(10):
        async for found, _, _ in read_on(store, EventCursor(), clock, follow=True):
            seen += [event.job for event in found]
            if len(seen) == 3:
                break
            await other.enqueue([a_request(f"pool-{len(seen)}")])

    assert seen == [1, 2, 3]
    await other.close()
    await store.close()
