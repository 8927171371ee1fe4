"""The journal tells the truth about what was asked and what it did."""

import hashlib
from dataclasses import replace
from pathlib import Path

import orjson
import pytest

from tests.simulator.asking import DNS, QUICK, asking
from worker.simulator import Journal


async def test_a_line_tells_everything_about_an_applied_write() -> None:
    """Times, names, digest of the inputs, fault, answer and effect, in one line."""
    inputs = {"custom": {"search": "secret.example", "ndots": "8"}}
    canonical = b'{"custom":{"ndots":"8","search":"secret.example"}}'
    async with asking(QUICK) as client:
        got = await client.create(inputs=inputs)
        line = client.journal[-1]
        now_us = client.clock.now_us()

    assert line == {
        "seq": 1,
        "kind": "request",
        "of": None,
        "received_us": now_us,
        "effect_us": now_us,
        "answered_us": now_us,
        "method": "POST",
        "path": client.plugins_path(),
        "credential": "anonymous",
        "request_id": got.headers["X-Request-Id"],
        "project_id": client.project,
        "pool_name": client.pool,
        "plugin": DNS,
        "version": "1.6.36",
        "inputs_sha256": hashlib.sha256(canonical).hexdigest(),
        "fault": None,
        "status": 200,
        "applied": True,
        "overlap": False,
    }


async def test_inputs_and_tokens_are_never_written(tmp_path: Path) -> None:
    """Only their digests are; both may be secret."""
    file = tmp_path / "journal.jsonl"
    async with asking(QUICK, journal=file) as client:
        await client.create(
            inputs={"custom": {"password": "hunter2-input"}},
            headers={"X-Auth-Token": "hunter2-token"},
        )

    assert b"hunter2" not in file.read_bytes()
    assert client.journal[-1]["credential"].startswith("token-")


async def test_the_version_of_an_applied_write_is_the_resolved_one() -> None:
    """A checker compares it with what is installed later."""
    async with asking(QUICK) as client:
        await client.create(version=None)

    assert client.journal[-1]["version"] == "1.6.64"


async def test_every_request_has_a_line_also_refused_ones() -> None:
    """Reads, unknown paths, bad bodies and throttled requests count like any other."""
    async with asking(replace(QUICK, limit=3)) as client:
        await client.get(client.plugins_path())
        await client.get("/v2/nowhere?x=1")
        await client.ask("POST", client.plugins_path(), b"{")
        await client.create()
        lines = client.journal

    assert [line["seq"] for line in lines] == [1, 2, 3, 4]
    assert [line["status"] for line in lines] == [200, 404, 400, 429]
    assert not any(line["applied"] for line in lines)
    assert lines[1]["path"] == "/v2/nowhere?x=1"


async def test_lines_are_on_the_file_before_their_answer_leaves(tmp_path: Path) -> None:
    """Whoever holds an answer finds its line, without waiting for the simulator to end."""
    file = tmp_path / "journal.jsonl"
    async with asking(QUICK, journal=file) as client:
        got = await client.create()
        written = [orjson.loads(line) for line in file.read_bytes().splitlines()]

    assert [line["request_id"] for line in written] == [got.headers["X-Request-Id"]]
    assert written == client.journal


async def test_a_late_effect_that_never_came_due_is_not_claimed(tmp_path: Path) -> None:
    """When the simulator stops first, there was no effect, and the journal says none."""
    file = tmp_path / "journal.jsonl"
    async with asking(replace(QUICK, late=1.0, late_s=60.0), journal=file) as client:
        with pytest.raises(OSError, match="reset"):
            await client.create()
    lines = [orjson.loads(line) for line in file.read_bytes().splitlines()]

    assert [line["applied"] for line in lines] == [False]


def test_without_a_file_only_the_latest_lines_are_kept() -> None:
    """Memory stays bounded."""
    journal = Journal(kept=3)
    for number in range(10):
        journal.append({"n": number})

    assert [line["seq"] for line in journal.entries()] == [8, 9, 10]
    assert [line["n"] for line in journal.entries(after=9)] == [9]


def test_with_a_file_every_line_can_be_read_back(tmp_path: Path) -> None:
    """What memory has forgotten is read from the file, once each and in order."""
    journal = Journal(tmp_path / "journal.jsonl", kept=3)
    for number in range(10):
        journal.append({"n": number})

    assert [line["n"] for line in journal.entries()] == list(range(10))
    assert [line["n"] for line in journal.entries(after=4)] == list(range(4, 10))
    journal.close()


def test_a_journal_goes_on_where_an_earlier_run_stopped(tmp_path: Path) -> None:
    """Numbers go on, old lines stay, and a line cut by a kill does not spoil the next."""
    file = tmp_path / "journal.jsonl"
    first = Journal(file)
    first.append({"n": 1})
    first.append({"n": 2})
    first.close()
    with file.open("ab") as cut:
        cut.write(b'{"seq":3,"n":')

    second = Journal(file)
    second.append({"n": 3})
    second.close()
    third = Journal(file)
    third.close()

    assert [(line["seq"], line["n"]) for line in third.entries()[:2]] == [(1, 1), (2, 2)]
    assert orjson.loads(file.read_bytes().splitlines()[-1]) == {"seq": 3, "n": 3}
    assert third.last_seq == 3
