"""`why`, `store`, `config`, `schema`: answers about what is there."""

import json

import apsw
import pytest

from jobs.requests import parse_request
from jobs.states import JobEvent
from tests.builders import PROJECT, a_request
from tests.cli.running import Cli


def test_why_answers_for_a_job(cli: Cli) -> None:
    """A sentence, numbered reasons, what to do."""
    cli.add(a_request())

    ran = cli("why", "1")

    assert ran.code == 0
    assert ran.lines == [
        "job-1 (node-local-dns 1.6.36 on pool-a) is ready, but no worker takes it.",
        "  1. No worker is running, so nothing moves.",
        "Do:  plugwave work",
    ]


@pytest.mark.parametrize("subject", ["pool-a", f"{PROJECT}/pool-a"])
def test_why_answers_for_a_pool_with_its_whole_line(cli: Cli, subject: str) -> None:
    """The job that holds the pool first, then the others in their order."""
    cli.add(a_request(), a_request(version="2"), a_request("pool-b"))

    ran = cli("why", subject, "-o", "json")

    assert [answer["job"] for answer in ran.document["answers"]] == ["job-1", "job-2"]
    assert ran.document["answers"][1]["reasons"][0]["job"] == "job-1"


def test_why_of_an_idle_pool_is_about_its_latest_job(cli: Cli) -> None:
    """What happened last is what one wants to know."""
    cli.add(a_request())
    cli.end(JobEvent.REFUSED, cause="not-found", detail="no such pool\x1b[2J")

    ran = cli("why", "pool-a")

    assert " failed " in ran.lines[0]
    assert "\x1b" not in ran.out
    assert ran.lines[-1] == "     plugwave jobs retry job-1"


@pytest.mark.parametrize("subject", ["job-99", "99", "no-such-pool", "x/pool-a", "r/x/pool-a"])
def test_why_of_nothing_leaves_with_6(cli: Cli, subject: str) -> None:
    """An unknown job or pool is told as such."""
    cli.add(a_request())

    assert cli("why", subject).code == 6


def test_a_sound_store_passes_its_check(cli: Cli) -> None:
    """Every finding is told, and the exit code is the verdict."""
    cli.add(a_request())

    ran = cli("store", "check")

    assert ran.code == 0
    assert all(line.startswith("ok  ") for line in ran.lines)
    assert cli("store", "check", "-o", "json").document["ok"] is True


def test_a_damaged_store_leaves_with_9(cli: Cli) -> None:
    """Damage is never told as success, and json stays one document."""
    cli.add(a_request())
    connection = apsw.Connection(str(cli.store_path))
    connection.execute("UPDATE pools SET head_job = 99")
    connection.close()

    ran = cli("store", "check", "-o", "json")

    assert ran.code == 9
    assert ran.document["ok"] is False
    assert "WRONG" in cli("store", "check").out


def test_stats_count_what_the_store_holds(cli: Cli) -> None:
    """Jobs by state, reasons to wait, workers."""
    cli.add(a_request(), a_request(version="2"))

    body = cli("store", "stats", "-o", "json").document

    assert body["jobs"] == {"waiting": 1, "ready": 1}
    assert (body["open"], body["waiting"], body["workers"]) == (2, {"pool-busy": 1}, [])
    assert "jobs     1 waiting, 1 ready" in cli("store", "stats").out


def test_migrate_makes_a_store_and_may_be_repeated(cli: Cli) -> None:
    """Set-up scripts call it every time."""
    assert [cli("store", "migrate").code, cli("store", "migrate").code] == [0, 0]
    assert cli.store_path.exists()


def test_config_show_tells_every_setting_and_where_it_comes_from(cli: Cli) -> None:
    """Whoever wonders about a value finds its place."""
    (cli.folder / "plugwave.toml").write_text("[cloud]\nrate = 3\n")

    ran = cli("config", "show", "--origin")

    rows = {line.split()[0]: line.split()[1:] for line in ran.lines}
    assert rows["cloud.rate"][0] == "3"
    assert rows["cloud.rate"][1].endswith("plugwave.toml:2")
    assert rows["store.url"][1] == "PLUGWAVE_STORE__URL"
    assert rows["worker.slots"] == ["256", "default"]


def test_a_wrong_setting_leaves_with_2_and_names_its_place(cli: Cli) -> None:
    """Every command refuses settings it does not understand."""
    (cli.folder / "plugwave.toml").write_text("[cloud]\nrat = 3\n")

    ran = cli("jobs", "list")

    assert ran.code == 2
    assert ran.err.startswith("error[CONF-02]: ")
    assert "plugwave.toml:2" in ran.err


def test_a_settings_file_can_be_named(cli: Cli) -> None:
    """--config wins over the file in the folder."""
    (cli.folder / "other.toml").write_text("[worker]\nslots = 7\n")

    rows = cli("config", "show", "--config", "other.toml", "-o", "json").document["settings"]

    assert {"key": "worker.slots", "value": "7", "origin": "other.toml:2"} in rows


def test_the_schema_of_a_job_is_json_schema(cli: Cli) -> None:
    """Editors and other programs can check a line before it is handed in."""
    body = json.loads(cli("schema", "job").out)

    assert body["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert body["required"] == ["project_id", "pool_name", "plugin"]
    assert body["additionalProperties"] is False
    smallest = {"project_id": "p", "pool_name": "a", "plugin": {"name": "v"}}
    assert set(smallest) == set(body["required"])
    assert parse_request(smallest, source="test").target.pool_name == "a"
