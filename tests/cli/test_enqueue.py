"""`plugwave enqueue`: one result line for each record, and an exit code that says it all."""

import json
from typing import Any

import pytest

from jobs.intake.lines import Record
from jobs.intake.taking import IntakeResult, IntakeVerdict
from jobs.requests import Problem
from tests.cli.running import Cli
from worker.cli.enqueue import exit_code, result_line


def a_line(pool: str = "pool-a", key: str | None = None, **more: Any) -> str:
    """Return one line of a file."""
    request: dict[str, Any] = {
        "project_id": "p1",
        "pool_name": pool,
        "plugin": {"name": "volcano", "version": "1.15.8"},
        **more,
    }
    return json.dumps(request if key is None else {**request, "idempotency_key": key})


def write(cli: Cli, *lines: str, name: str = "jobs.jsonl") -> str:
    """Write a file of records and return its path."""
    path = cli.folder / name
    path.write_text("".join(f"{line}\n" for line in lines))
    return str(path)


MIXED = (
    a_line("pool-a", "k"),
    a_line("pool-a", "k"),
    a_line("pool-b", "k"),
    '{"project_id": "p1", "pool_nme": "x"}',
)


def test_each_record_has_one_line(cli: Cli) -> None:
    """Number, verdict, job, and what is wrong with the place of it."""
    ran = cli("enqueue", write(cli, *MIXED))

    assert ran.lines[:2] == ["1 created job-1", "2 duplicate job-1"]
    assert ran.lines[2] == (
        "3 conflict job-1 the idempotency key 'k' was used before with other content, by job-1 "
        "(use a new key for new content)"
    )
    assert ran.lines[3].startswith("4 invalid line 4:22: unknown field 'pool_nme'")
    assert "did you mean 'pool_name'?" in ran.lines[3]
    assert ran.code == 2
    assert "1 created, 1 duplicate, 1 conflict, 1 invalid" in ran.err
    assert "\x1b" not in ran.out + ran.err


@pytest.mark.parametrize(
    ("lines", "code"), [(MIXED[:2], 0), (MIXED[:3], 7), (MIXED, 2), ((MIXED[3],), 2), ((), 0)]
)
def test_the_exit_code_is_the_worst_that_happened(
    cli: Cli, lines: tuple[str, ...], code: int
) -> None:
    """Invalid goes before conflict; created and duplicate are both fine."""
    assert cli("enqueue", write(cli, *lines)).code == code


def test_no_records_at_all_are_no_failure() -> None:
    """An empty file leaves nothing to do."""
    assert exit_code({}) == 0


def test_json_is_one_document_without_the_records_themselves(cli: Cli) -> None:
    """Programs get every result; inputs, which may be secrets, are not repeated."""
    secret = a_line(plugin={"name": "volcano", "inputs": {"password": "s3cret-value"}})

    ran = cli("enqueue", write(cli, secret, MIXED[3]), "-o", "json")

    first, second = ran.document["results"]
    assert first == {"number": 1, "line": 1, "verdict": "created", "job": "job-1", "problems": []}
    assert (second["verdict"], second["problems"][0]["column"]) == ("invalid", 22)
    assert "s3cret-value" not in ran.out + ran.err


def test_ndjson_is_one_object_a_line(cli: Cli) -> None:
    """Results can be read while the file is being taken in."""
    ran = cli("enqueue", write(cli, a_line("a"), a_line("b")), "-o", "ndjson")

    assert [json.loads(line)["job"] for line in ran.lines] == ["job-1", "job-2"]


def test_name_prints_the_jobs_there_are(cli: Cli) -> None:
    """The output can be handed to the next command."""
    ran = cli("enqueue", write(cli, *MIXED), "-o", "name")

    assert ran.lines == ["job-1", "job-1"]


def test_records_come_from_standard_input_too(cli: Cli) -> None:
    """A dash reads the pipe."""
    ran = cli("enqueue", "-", stdin=a_line().encode())

    assert (ran.code, ran.lines) == (0, ["1 created job-1"])


def test_resume_goes_on_where_an_earlier_run_stopped(cli: Cli) -> None:
    """What was taken in is passed over, not queued again."""
    path = write(cli, a_line("a"), a_line("b"))
    cli("enqueue", path)

    ran = cli("enqueue", path, "--resume")

    assert ran.lines == []
    assert "2 taken in before" in ran.err


def test_resume_needs_a_file(cli: Cli) -> None:
    """A pipe has no place to go on from, and says so."""
    ran = cli("enqueue", "-", "--resume", pipe=a_line().encode())

    assert (ran.code, ran.err.splitlines()[0]) == (
        2,
        "error[CONF-01]: --resume needs a file that can be read twice",
    )


def test_a_file_that_is_not_there_leaves_with_2(cli: Cli) -> None:
    """A typo in the path makes no store and no job."""
    ran = cli("enqueue", "none.jsonl")

    assert (ran.code, ran.err.split("]")[0]) == (2, "error[JOB-01")
    assert not cli.store_path.exists()


def test_rejects_can_be_mended_and_handed_in_again(cli: Cli) -> None:
    """What was not taken in stands in a file of its own, readable for its owner alone."""
    rejects = cli.folder / "rejects.jsonl"

    cli("enqueue", write(cli, *MIXED), "--rejects", str(rejects))

    kept = [json.loads(line) for line in rejects.read_text().splitlines()]
    assert ["_problem" in one for one in kept] == [True, True]
    assert rejects.stat().st_mode & 0o777 == 0o600


def test_rejects_never_overwrite_the_file_that_is_read(cli: Cli) -> None:
    """A slip of the hand does not destroy the input."""
    path = write(cli, a_line())

    ran = cli("enqueue", path, "--rejects", path)

    assert ran.code == 2
    assert json.loads((cli.folder / "jobs.jsonl").read_text())


def test_csv_is_known_by_its_name(cli: Cli) -> None:
    """A table from a spreadsheet is taken as it is."""
    path = write(cli, "project_id,pool_name,plugin.name", "p1,pool-a,volcano", name="jobs.csv")

    assert cli("enqueue", path).lines == ["1 created job-1"]


def test_a_key_belongs_to_its_source(cli: Cli) -> None:
    """Two programs may use the same key for different things."""
    path = write(cli, a_line(key="k"))
    cli("enqueue", path, "--source", "one")

    assert cli("enqueue", path, "--source", "two").lines == ["1 created job-2"]


def test_problems_from_a_hostile_file_cannot_drive_the_terminal(cli: Cli) -> None:
    """A field name full of escape sequences is shown, not obeyed."""
    ran = cli("enqueue", write(cli, '{"\\u001b[2J": 1}'))

    assert ran.code == 2
    assert "\x1b" not in ran.out


def test_a_result_line_is_one_line_whatever_a_problem_says() -> None:
    """A message that somebody forgot to clean cannot forge a second result."""
    result = IntakeResult(
        record=Record(number=4, line=9, raw=b""),
        verdict=IntakeVerdict.INVALID,
        problems=(Problem(path="", message="no\n5 created job-5\x1b[1A", column=3),),
    )

    assert result_line(result) == "4 invalid line 9:3: no 5 created job-5"


PROFILES = """
[cloud]
region = "cn-north-4"
[profiles.sg]
region = "ap-southeast-3"
credentials = "env"
[profiles.cn]
credentials = "env"
"""


def places_of(cli: Cli) -> list[tuple[str | None, str | None]]:
    """Return profile and region of each job, in order."""
    jobs = cli("jobs", "list", "-o", "json").document["items"]
    return [(job["profile"], job["region"]) for job in reversed(jobs)]


def test_what_a_line_leaves_open_is_filled_in(cli: Cli) -> None:
    """The selected profile and its region become part of the job; what a line says stays."""
    cli.folder.joinpath("plugwave.toml").write_text(PROFILES)
    lines = (a_line("a"), a_line("b", region="cn-east-3"), a_line("c", profile="cn"))
    file = write(cli, *lines)

    assert cli("enqueue", file).code == 0
    assert cli("--profile", "sg", "enqueue", file).code == 0

    assert places_of(cli) == [
        (None, "cn-north-4"),
        (None, "cn-east-3"),
        ("cn", "cn-north-4"),
        ("sg", "ap-southeast-3"),
        ("sg", "cn-east-3"),
    ]


def test_a_line_with_its_region_and_one_without_are_the_same_job(cli: Cli) -> None:
    """With a key or without: both are of one pool, so both are one request."""
    cli.folder.joinpath("plugwave.toml").write_text(PROFILES)
    file = write(
        cli,
        a_line("a", "k"),
        a_line("a", "k", region="cn-north-4"),
        a_line("b"),
        a_line("b", region="cn-north-4"),
    )

    lines = cli("enqueue", file).lines
    assert [line.split()[1] for line in lines] == ["created", "duplicate"] * 2
    assert len({line.split()[2] for line in lines}) == 2


def test_a_key_does_not_stand_for_another_region_or_account(cli: Cli) -> None:
    """The same line means another pool once the configured region is another: a conflict."""
    file = write(cli, a_line("a", "k"))
    cli("enqueue", file)
    cli.folder.joinpath("plugwave.toml").write_text(PROFILES)

    assert cli("enqueue", file).lines[0].startswith("1 conflict job-1")


def test_a_job_shows_its_profile_and_why_waits_for_a_worker_with_it(cli: Cli) -> None:
    """Nobody here has the profile, and intake does not ask for it."""
    assert cli("enqueue", write(cli, a_line(profile="elsewhere"))).code == 0

    assert "profile       elsewhere" in cli("jobs", "show", "1").out
    [answer] = cli("why", "job-1", "-o", "json").document["answers"]
    [reason] = answer["reasons"]
    assert reason["kind"] == "no-worker"
    assert reason["text"].endswith("It needs one with profile elsewhere.")


def test_an_unknown_profile_is_a_usage_error_with_a_suggestion(cli: Cli) -> None:
    """Whichever command it is given to, before or after its name."""
    cli.folder.joinpath("plugwave.toml").write_text(PROFILES)
    for arguments in (("--profile", "sgp", "jobs", "list"), ("jobs", "list", "--profile", "sgp")):
        ran = cli(*arguments)

        assert ran.code == 2
        assert "did you mean 'sg'?" in ran.err
        assert "--profile" in ran.err


def test_config_show_names_the_option(cli: Cli) -> None:
    """Where the selected profile comes from is told like every origin."""
    cli.folder.joinpath("plugwave.toml").write_text(PROFILES)
    ran = cli("config", "show", "--origin", "--profile", "sg", "-o", "json")

    origins = {row["key"]: (row["value"], row["origin"]) for row in ran.document["settings"]}
    assert origins["cloud.profile"] == ("sg", "--profile")
