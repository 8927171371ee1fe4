"""`plugwave rehearse`: what a rollout would come to, without a cloud and without a store."""

from pathlib import Path

import pytest

from config.masking import masked_inputs
from jobs.rollouts.plan import plan_bytes
from jobs.rollouts.planning import Terms, make_plan
from jobs.rollouts.reading import read_manifest
from tests.builders import NOON_US
from tests.cli.running import Cli
from worker.rehearsal.invented import invented_pools

MANIFEST = """\
apiVersion: plugwave/v1
kind: Rollout
metadata: {name: volcano-1-15-8}
spec:
  plugin:
    name: volcano
    version: "1.15.8"
    inputs: {merge: {adminPassword: planted-secret}}
  targets: {include: [{regions: [cn-east-3, cn-north-4], labels: {env: prod}}]}
  waves:
    - {name: canary, pick: {labels: {ring: canary}, count: 2}, tolerate: 0}
    - {name: rest, pick: {rest: true}}
  stop: [{name: cap, failures: 2}]
"""


@pytest.fixture
def manifest(cli: Cli) -> str:
    """Write the manifest, and let no cloud be configured."""
    path = cli.folder / "volcano.rollout.yaml"
    path.write_text(MANIFEST, encoding="utf-8")
    return str(path)


def test_invented_pools_need_neither_cloud_nor_store(cli: Cli, manifest: str) -> None:
    """Its finish and its curve are told; nothing is read, written or sent."""
    ran = cli("rehearse", manifest, "--pools", "12", "--runs", "2")

    assert (ran.code, ran.err) == (0, "")
    assert ran.lines[0].startswith("Rehearsal of volcano-1-15-8   12 pools in 2 waves   plan ")
    assert "2 runs for each rate (seeds 1 to 2)" in ran.out
    assert "Finish" in ran.out
    assert "chance to finish" in ran.out
    assert ran.lines[-1] == "Nothing was changed."
    assert all(len(line) <= 100 for line in ran.lines)
    assert not cli.store_path.exists()


def test_json_has_every_number(cli: Cli, manifest: str) -> None:
    """A script finds the seeds, the range of the finish, and a point for each rate."""
    told = cli("rehearse", manifest, "--pools", "6", "--runs", "1", "-o", "json").document

    assert (told["kind"], told["schema"]) == ("rehearsal", "plugwave/v1")
    assert told["seeds"] == [1, 1]
    assert told["durations"] == "assumed"
    assert told["finish"]["p10"] <= told["finish"]["p50"] <= told["finish"]["p90"]
    rates = [point["failure_rate"] for point in told["curve"]]
    assert rates == [0.005, 0.02, 0.05, 0.1, 0.3, 1.0]
    assert told["curve"][-1]["stops"] == {"canary tolerates 0": 1}


def test_the_same_seed_tells_the_same_and_another_one_is_told(cli: Cli, manifest: str) -> None:
    """A colleague gets the same numbers; only the clock differs."""

    def curve(seed: str) -> object:
        asked = ("rehearse", manifest, "--pools", "6", "--runs", "1", "--seed", seed)
        return cli(*asked, "-o", "json").document["curve"]

    assert curve("4") == curve("4")
    assert cli("rehearse", manifest, "--pools", "6", "--runs", "1", "--seed", "4").out.count(
        "seed 4"
    )


def test_a_fleet_file_is_rehearsed_as_it_stands(cli: Cli, manifest: str) -> None:
    """Its labels decide about the waves, as in a plan."""
    fleet = cli.folder / "fleet.csv"
    project = "0" * 31 + "1"
    rows = [f"{project},pool-{n},cn-north-4,prod,{'canary' if n < 3 else ''}" for n in range(8)]
    head = "project_id,pool_name,region,labels.env,labels.ring"
    fleet.write_text("\n".join([head, *rows]) + "\n", encoding="utf-8")

    told = cli("rehearse", manifest, "--fleet", str(fleet), "--runs", "1", "-o", "json")

    assert told.document["pools"] == 8


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--pools", "3", "--fleet", "f.csv"], "--pools and --fleet exclude each other"),
        (["--pools", "3", "--failure-rate", "2"], "write a percentage from 0% to 100%"),
        (["--pools", "3", "--set", 'spec.plugin.version=">=9.9"'], "nothing to rehearse"),
    ],
    ids=["two-fleets", "no-percent", "nothing-to-do"],
)
def test_what_makes_no_sense_is_refused(
    cli: Cli, manifest: str, more: list[str], words: str
) -> None:
    """Nothing is rehearsed then; the message says what to write."""
    ran = cli("rehearse", manifest, *more)

    assert ran.code == 2
    assert words in ran.err


def test_no_step_of_a_rehearsal_is_logged_as_if_it_were_real(cli: Cli, manifest: str) -> None:
    """Not even with -v, where steps of real jobs are; and no input is shown anywhere."""
    ran = cli("-v", "rehearse", manifest, "--pools", "6", "--runs", "1", "-o", "json")

    assert ran.code == 0
    assert "job.sending" not in ran.err
    assert "planted-secret" not in ran.out + ran.err


def test_a_plan_file_is_rehearsed_offline(cli: Cli, manifest: str) -> None:
    """What `plan --out` wrote needs nothing else, and takes no changes."""
    read = read_manifest(MANIFEST.encode(), "a.yaml")
    plan = make_plan(read, invented_pools(read, 5), Terms(now_us=NOON_US, mask=masked_inputs))
    file = Path(manifest).with_name("plan.json")
    file.write_bytes(plan_bytes(plan))

    told = cli("rehearse", str(file), "--runs", "1", "-o", "json").document

    assert (told["plan"], told["pools"]) == (plan.digest, 5)
    assert cli("rehearse", str(file), "--pools", "3").code == 2
