"""`plan`, `init` and `schema`: what would be done, as a person and as a program see it."""

import json
import stat
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from anyio.from_thread import start_blocking_portal

from jobs.rollouts.plan import read_plan
from jobs.rollouts.reading import read_manifest
from tests.cli.running import Cli, Ran
from worker.simulator import Simulator, SimulatorOptions

Start = Callable[..., Simulator]
EXAMPLES = Path(__file__).resolve().parents[2] / "examples"

MANIFEST = """\
apiVersion: plugwave/v1
kind: Rollout
metadata: {name: ndots}
spec:
  plugin:
    name: node-local-dns
    version: "1.6.63"
    inputs: {merge: {custom: {ndots: "5"}, dbPassword: planted-secret}}
  targets: {ifAbsent: install}
  waves:
    - {name: canary, pick: {count: 1}, tolerate: 0}
    - {name: rest, pick: {rest: true}}
  stop: [{name: cap, failures: 2}]
"""


@pytest.fixture
def start(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Start a simulated cloud in a thread of its own, and point the settings at it."""
    del cli
    with ExitStack() as stack:
        portal = stack.enter_context(start_blocking_portal())

        def started(**options: Any) -> Simulator:
            simulator = Simulator(
                SimulatorOptions(**{"projects": 2, "pools": 3, "installed": 0.5, **options})
            )
            cloud = stack.enter_context(portal.wrap_async_context_manager(simulator))
            monkeypatch.setenv("PLUGWAVE_CLOUD__ENDPOINT", cloud.url)
            monkeypatch.setenv("PLUGWAVE_CLOUD__AUTH", "none")
            monkeypatch.setenv("PLUGWAVE_CLOUD__RATE", "2000")
            monkeypatch.setenv("PLUGWAVE_CLOUD__BURST", "16")
            return cloud

        yield started


def plan(cli: Cli, *more: str, text: str = MANIFEST) -> Ran:
    """Plan a manifest."""
    (cli.folder / "r.yaml").write_text(text)
    return cli("plan", "r.yaml", *more)


def calls(cloud: Simulator) -> list[tuple[str, str]]:
    """Return method and path of every request the cloud got."""
    return [(str(one["method"]), str(one["path"])) for one in cloud.journal.entries()]


@pytest.mark.slow
def test_the_summary_comes_first_and_nothing_is_changed(cli: Cli, start: Start) -> None:
    """Actions, waves, inputs, time and risk; every request was a read."""
    cloud = start()

    ran = plan(cli)

    assert ran.code == 0
    assert ran.lines[0].startswith("Plan ")
    assert "6 pools" in ran.lines[0]
    assert ran.lines[-1] == "Nothing was changed."
    assert any("upgrade" in line and "1.6.36" in line for line in ran.lines)
    assert any("install" in line for line in ran.lines)
    assert any("at most 3 of 6 pools can break" in line for line in ran.lines)
    assert {method for method, _ in calls(cloud)} == {"GET"}


@pytest.mark.parametrize(
    "flags", [(), ("--ascii",), ("--detail",), ("--detail", "--ascii")], ids=str
)
def test_no_line_is_wider_than_a_hundred_columns(
    cli: Cli, start: Start, flags: tuple[str, ...]
) -> None:
    """Long names and reasons are cut; with --ascii nothing else is printed."""
    start(odd_pools=0.5, offer_gaps=0.5, pools=6)

    ran = plan(cli, *flags, text=MANIFEST.replace("name: ndots", f"name: {'n' * 63}"))

    assert ran.code == 0
    assert max(len(line) for line in ran.lines) <= 100
    assert ran.out.isascii() or "--ascii" not in flags


@pytest.mark.slow
def test_secrets_are_in_no_output_and_the_file_is_its_owners(cli: Cli, start: Start) -> None:
    """Only the plan file holds the inputs, and only its owner may read it."""
    start()
    shown = [plan(cli, *flags) for flags in ((), ("--detail",), ("-o", "json"), ("--format", "md"))]
    ran = plan(cli, "--out", "p.json")

    assert all(one.code == 0 for one in [*shown, ran])
    assert not any("planted-secret" in one.out + one.err for one in [*shown, ran])
    path = cli.folder / "p.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert b"planted-secret" in path.read_bytes()
    assert read_plan(path.read_bytes(), "p.json").digest in ran.err


def test_programs_read_json(cli: Cli, start: Start) -> None:
    """One document with every row; -o name is the digest, the same each time."""
    start()

    body = plan(cli, "-o", "json").document
    name = plan(cli, "-o", "name")

    assert (body["schema"], body["kind"], body["included"]) == ("plugwave/v1", "Plan", 6)
    assert body["counts"]["upgrade"] + body["counts"]["install"] == 6
    assert name.lines == [body["digest"]]
    assert {row["wave"] for row in body["rows"]} == {"canary", "rest"}
    assert body["manifest"]["spec"]["plugin"]["inputs"]["merge"]["dbPassword"] == "***"


@pytest.mark.slow
def test_exit_codes_tell_what_there_is_to_do(cli: Cli, start: Start) -> None:
    """10 for changes on request, 0 for none, 6 for no pool, 2 for a wrong file."""
    start(installed=0.0)

    nothing = MANIFEST.replace("ifAbsent: install", "ifAbsent: skip")
    nowhere = MANIFEST.replace("ifAbsent: install", "include: [{pools: nowhere}]")

    assert plan(cli, "--detailed-exitcode").code == 10
    assert plan(cli, "--detailed-exitcode", text=nothing).code == 0
    assert plan(cli, text=nowhere).code == 6
    assert plan(cli, text=MANIFEST.replace("kind", "knd")).code == 2
    leftover = plan(cli, text=MANIFEST.replace("rest: true", "count: 1"))
    assert leftover.code == 2
    assert "no wave takes 4 of the pools" in leftover.err


def test_a_wrong_manifest_is_told_before_the_cloud_is_asked(cli: Cli, start: Start) -> None:
    """With carets under the word, as it stands in the file, and as JSON for programs."""
    cloud = start()
    text = MANIFEST.replace("tolerate", "tolrate").replace("failures", "failres")

    ran = plan(cli, text=text)
    body = plan(cli, "-o", "json", text=text).document

    assert "error[MAN-07]: r.yaml:11:40: unknown field 'tolrate'" in ran.err
    quoted, carets = ran.err.splitlines()[2:4]
    assert quoted.index("tolrate") == carets.index("^^^^^^^")
    assert [one["path"] for one in body["error"]["problems"]] == [
        "spec.waves[0].tolrate", "spec.stop[0].failres",
    ]  # fmt: skip
    assert calls(cloud) == []


@pytest.mark.slow
def test_nobody_there_is_nine(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cloud that cannot be reached is no plan."""
    monkeypatch.setenv("PLUGWAVE_CLOUD__ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setenv("PLUGWAVE_CLOUD__AUTH", "none")

    assert plan(cli).code == 9


@pytest.mark.parametrize("name", ["missing.yaml", "."], ids=["missing", "folder"])
def test_a_file_that_cannot_be_opened_is_told(cli: Cli, name: str) -> None:
    """Exit 2 with the path."""
    ran = cli("plan", name)

    assert ran.code == 2
    assert f"{name}:" in ran.err


def test_a_manifest_can_come_from_standard_input(cli: Cli, start: Start) -> None:
    """- reads it, --set changes it."""
    start()

    ran = cli("plan", "-", "--set", "metadata.name=piped", stdin=MANIFEST.encode())

    assert ran.code == 0
    assert "for rollout piped" in ran.lines[0]
    assert cli("plan", "-", "--set", "nothing", stdin=b"").code == 2
    assert cli("plan", "-", "--set", "spec.plugin.inputs.a=b", stdin=MANIFEST.encode()).code == 2


def test_a_fleet_file_names_the_pools_and_their_rings(cli: Cli, start: Start) -> None:
    """Only listed pools are asked; one that is not there is unknown, with the reason."""
    cloud = start()
    (project, pool), *_ = cloud.targets
    listed = f"project_id,pool_name,labels.ring\n{project},{pool},canary\n{project},pool-gone,\n"
    (cli.folder / "fleet.csv").write_text(listed)
    text = MANIFEST.replace("ifAbsent: install", "ifAbsent: install, file: fleet.csv")
    text = text.replace("count: 1", "labels: {ring: canary}")

    body = plan(cli, "-o", "json", text=text).document

    rows = {row["pool_name"]: (row["action"], row["wave"]) for row in body["rows"]}
    assert rows["pool-gone"] == ("unknown", None)
    assert rows[pool] in {("install", "canary"), ("upgrade", "canary")}
    assert len(rows) == 2
    asked = {path for _, path in calls(cloud)}
    assert not any(other in path for path in asked for _, other in cloud.targets[1:])
    assert plan(cli, text=text.replace("fleet.csv", "other.csv")).code == 2


def test_a_pool_that_cannot_be_read_is_left_out_and_told(cli: Cli, start: Start) -> None:
    """The others are planned; the command leaves with 3."""
    cloud = start()
    project, _ = cloud.targets[0]
    gone = "0" * 32
    include = f"include: [{{projects: ['{project}', '{gone}']}}], ifAbsent: install"

    ran = plan(cli, text=MANIFEST.replace("ifAbsent: install", include))

    assert ran.code == 3
    assert "3 pools" in ran.lines[0]
    assert gone in ran.err


def test_requests_are_few(cli: Cli, start: Start) -> None:
    """One for each project, two for each pool on which something is done, none for others."""
    cloud = start(pools=10, odd_pools=0.3)

    body = plan(cli, "-o", "json").document
    asked = [path for _, path in calls(cloud)]
    blocked = body["counts"]["blocked"]

    assert blocked
    lists = [path for path in asked if path.endswith("/pools")]
    assert len(lists) <= 3
    assert len([path for path in asked if "/pools/pool-" in path]) <= 2 * (20 - blocked)
    assert len(asked) <= 1 + 3 + 2 * (20 - blocked)


@pytest.mark.soak
@pytest.mark.timeout(300)
def test_two_thousand_pools_are_planned(cli: Cli, start: Start) -> None:
    """The whole fleet in one plan; two requests for each pool."""
    cloud = start(projects=20, pools=100)

    body = plan(cli, "-o", "json").document

    assert body["included"] == 2_000
    assert len(calls(cloud)) <= 1 + 21 + 2 * 2_000


def test_markdown_is_for_a_pull_request(cli: Cli, start: Start) -> None:
    """Tables; no text of the cloud or the manifest breaks out of a cell."""
    start()

    ran = plan(cli, "--format", "md")

    assert ran.lines[0].startswith("### Plan `")
    assert "| canary | 1 | 1 | any failure | next wave |" in ran.lines
    assert cli("plan", "r.yaml", "--format", "md", "-o", "json").code == 2


@pytest.mark.parametrize(("use", "kind"), [("fleet", "rollout"), ("cron", "schedule")])
def test_what_init_writes_can_be_planned(cli: Cli, start: Start, use: str, kind: str) -> None:
    """A first manifest with a schema beside it for the editor; nothing there is touched."""
    start()

    ran = cli("init", "--for", use)
    name = f"{use}.{kind}.yaml"

    assert ran.code == 0
    assert (cli.folder / name).read_text().startswith("# yaml-language-server: $schema=")
    schema = json.loads((cli.folder / f"{kind}.schema.json").read_text())
    assert schema["$defs"]["Spec"]["required"] == ["plugin"]
    assert cli("plan", name).code == 0
    assert cli("init", "--for", use).code == 2
    assert f"plugwave plan {name}" in ran.err


def test_init_for_a_service_writes_jobs(cli: Cli) -> None:
    """A file of jobs that can be queued, and settings that can be read."""
    ran = cli("init", "--for", "service", "-o", "name")

    assert ran.lines == ["service.jobs.jsonl", "plugwave.toml"]
    assert cli("enqueue", "service.jobs.jsonl").code == 0


@pytest.mark.parametrize("name", ["rollout", "job", "fleet", "plan"])
def test_schemas_are_for_editors_and_programs(cli: Cli, name: str) -> None:
    """Each is a JSON Schema document of its own."""
    body = cli("schema", name).document

    assert body["$schema"].endswith("2020-12/schema")
    assert body["properties"]


@pytest.mark.parametrize(
    "path", sorted(EXAMPLES.glob("*.rollout.yaml")), ids=lambda path: path.name
)
def test_every_example_can_be_planned(cli: Cli, start: Start, path: Path) -> None:
    """What we show works, against the simulated cloud."""
    start(pools=8)
    for other in EXAMPLES.iterdir():
        (cli.folder / other.name).write_bytes(other.read_bytes())

    read_manifest(path.read_bytes(), path.name)
    ran = cli("plan", path.name)

    assert ran.code in {0, 6}, ran.err
