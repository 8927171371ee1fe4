"""`plugwave simulate` and `plugwave demo`: a cloud without an account, and a proof."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from jobs.report.results import Recap
from jobs.requests import parse_request
from jobs.states import JobState
from tests.cli.running import Cli
from worker.cli import simulator_options
from worker.cli.demo import Proof, proof_lines
from worker.cli.scenes import SCENES, cloud_options
from worker.cli.simulate import simulate
from worker.simulator import SimulatorOptions
from worker.simulator.fleet import Fleet

ROOT = Path(__file__).parents[2]


def test_every_option_of_the_simulator_is_a_flag_with_the_same_default() -> None:
    """What the library can do the command line can do."""
    params = {param.name: param for param in simulate.params}

    for field in dataclasses.fields(SimulatorOptions):
        assert params[field.name].default == field.default
    assert set(simulator_options._WORDS) == {
        field.name for field in dataclasses.fields(SimulatorOptions)
    }


def test_jobs_for_the_simulators_pools_are_ready_for_enqueue(cli: Cli) -> None:
    """One request for each pool, acceptable as it stands, the same for the same seed."""
    cli("simulate", "--listen", "nowhere:x", "--write-jobs", "jobs.jsonl")
    assert not Path("jobs.jsonl").exists()
    flags = ["--projects", "2", "--pools", "2", "--seed", "5", "--keys", "k", "--version", "1.15.8"]

    # An address that is in use ends the command after the file was written.
    cli("simulate", "--listen", "256.0.0.1:1", "--write-jobs", "jobs.jsonl", *flags)

    lines = [json.loads(line) for line in Path("jobs.jsonl").read_text().splitlines()]
    requests = [parse_request(line, source="test") for line in lines]
    fleet = Fleet(SimulatorOptions(projects=2, pools=2, seed=5))
    assert [(r.target.project_id, r.target.pool_name) for r in requests] == fleet.targets
    assert [r.idempotency_key for r in requests] == ["k-1", "k-2", "k-3", "k-4"]


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["--plugin", "no-such"], "offers no plug-in 'no-such'"),
        (["--version", "9.9"], "volcano has no version 9.9"),
    ],
)
def test_jobs_that_the_simulator_would_refuse_are_not_written(
    cli: Cli, flags: list[str], told: str
) -> None:
    """A typo is found before a thousand jobs fail of it."""
    ran = cli("simulate", "--write-jobs", "jobs.jsonl", *flags)

    assert ran.code == 2
    assert told in ran.err
    assert not Path("jobs.jsonl").exists()


@pytest.mark.parametrize("rates", [["--lost-after", "2"], ["--lost-after", "0.6", "--late", "0.6"]])
def test_rates_that_make_no_sense_are_refused(cli: Cli, rates: list[str]) -> None:
    """A wrong rate is a usage error, not a strange cloud."""
    assert cli("simulate", *rates).code == 2


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_simulator_says_how_to_use_it_and_ends_cleanly(number: signal.Signals) -> None:
    """The URL, two lines for the shell, and exit 0 when it is stopped."""
    process = subprocess.Popen(
        [sys.executable, "-m", "worker", "simulate", "--listen", "127.0.0.1:0", "-q"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONUNBUFFERED": ""},
        text=True,
    )
    assert process.stdout is not None
    try:
        url, *exports = [process.stdout.readline().rstrip("\n") for _ in range(3)]
        with urllib.request.urlopen(f"{url}/_sim/fleet", timeout=5) as answer:
            fleet = answer.read()
        process.send_signal(number)
        out, err = process.communicate(timeout=10)
    finally:
        process.kill()

    assert exports == [
        f"export PLUGWAVE_CLOUD__ENDPOINT={url}",
        "export PLUGWAVE_CLOUD__AUTH=none",
    ]
    assert json.loads(fleet)["projects"]
    assert (process.returncode, out, err) == (0, "", "")


@pytest.mark.parametrize("scene", list(SCENES))
def test_every_scene_is_a_possible_cloud(scene: str) -> None:
    """No scene of the demo is refused by the simulator."""
    options = cloud_options(SCENES[scene], projects=2, pools_each=3, speed=20.0)

    assert (options.projects, options.pools) == (2, 3)


def a_proof(**more: int) -> Proof:
    """Return the proof of a demo that went as planned."""
    facts = dict.fromkeys(
        ("sends", "effects", "changed_twice", "upgraded", "inputs_kept", "unplanned"), 0
    )
    return Proof(**{**facts, **more})


@pytest.mark.parametrize(
    ("broken", "holds"),
    [
        ({}, True),
        ({"changed_twice": 1}, False),
        ({"unplanned": 1}, False),
        ({"upgraded": 2, "inputs_kept": 1}, False),
    ],
)
def test_the_demo_admits_a_broken_promise(broken: dict[str, int], holds: bool) -> None:  # noqa: FBT001 - a column of the table
    """A pool changed twice, inputs lost or a job failed without reason: no success is claimed."""
    assert a_proof(**broken).holds is holds


def test_the_proof_is_told_in_sentences() -> None:
    """Sends and effects from the cloud's own journal, lost answers, inputs, planned failures."""
    recap = Recap(ended={JobState.FAILED: 2}, lost_answers=1)

    assert proof_lines(recap, a_proof(sends=64, effects=54, upgraded=18, inputs_kept=18)) == [
        "Proof, from the simulated cloud's own journal:",
        "  64 install requests had 54 effects; no pools changed twice",
        "  1 lost answer, settled by late reads before anything was sent again",
        "  18 of 18 upgraded pools kept every input of their own",
        "  2 failed jobs, all on pools that cannot pull the image: as planned",
    ]


@pytest.mark.slow
def test_a_demo_goes_as_planned_without_an_account(cli: Cli) -> None:
    """Lost answers, throttling, broken pools: every job ends, nothing is changed twice."""
    ran = cli("demo", "--pools", "6", "--projects", "2", "--speed", "100", "-o", "json", "-q")

    assert ran.code == 0, ran.out
    body = ran.document
    assert sum(body["ended"].values()) == 6
    assert (body["left"], body["proof"]["changed_twice"]) == (0, 0)
    assert body["proof"]["inputs_kept"] == body["proof"]["upgraded"] > 0
    assert list(cli.folder.iterdir()) == []
