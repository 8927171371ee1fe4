"""`pools` and `plugins`: the fleet as a person and as a program see it, on a simulated cloud."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from anyio.from_thread import start_blocking_portal

from jobs.model import Target
from jobs.requests import parse_request
from tests.builders import a_request
from tests.cli.running import Cli, Ran
from worker.simulator import Simulator, SimulatorOptions, StaticToken
from worker.simulator.credentials import Authenticator

Start = Callable[..., Simulator]
NOWHERE = "http://127.0.0.1:1"


@pytest.fixture
def start(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Start a simulated cloud in a thread of its own, and point the settings at it."""
    del cli
    with ExitStack() as stack:
        portal = stack.enter_context(start_blocking_portal())

        def started(authenticator: Authenticator | None = None, **options: Any) -> Simulator:
            simulator = Simulator(
                SimulatorOptions(**{"projects": 1, "pools": 3, **options}),
                authenticator=authenticator,
            )
            cloud = stack.enter_context(portal.wrap_async_context_manager(simulator))
            point_at(monkeypatch, cloud.url)
            return cloud

        yield started


def point_at(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """Say in the environment where the cloud is."""
    monkeypatch.setenv("PLUGWAVE_CLOUD__ENDPOINT", url)
    monkeypatch.setenv("PLUGWAVE_CLOUD__AUTH", "none")
    monkeypatch.setenv("PLUGWAVE_CLOUD__RATE", "1000")


def path_of(cloud: Simulator, number: int = 0) -> str:
    """Return a pool as PROJECT/POOL."""
    return "/".join(cloud.targets[number])


def items(ran: Ran) -> list[dict[str, Any]]:
    """Return the lines of JSON on stdout."""
    return [json.loads(line) for line in ran.lines]


def test_the_list_shows_every_pool_and_why_some_are_blocked(cli: Cli, start: Start) -> None:
    """One line for each pool, with its display name, phase and nodes; three of three are odd."""
    cloud = start(odd_pools=1.0)

    ran = cli("pools", "list", "--region", "cn-north-4")

    heads, *rows = ran.lines
    assert ran.code == 0
    assert heads.split() == ["POOL", "NAME", "PROJECT", "PHASE", "NODES", "LABELS", "BLOCKED"]
    assert [row.split()[0] for row in rows] == [pool for _, pool in cloud.targets]
    assert [row.split()[1] for row in rows] == [f"cn-north-4-00{n}" for n in (1, 2, 3)]
    assert sorted(row.split("  ")[-1].strip() for row in rows) == [
        "the pool is Abnormal",
        "the pool is frozen",
        "the pool is still being created",
    ]


@pytest.mark.slow
def test_each_form_of_output_has_all_pools(cli: Cli, start: Start) -> None:
    """Programs read JSON, shells read names that other commands take."""
    cloud = start(projects=2)
    pools = [pool for _, pool in cloud.targets]

    whole = cli("pools", "list", "-o", "json")
    lines = cli("pools", "list", "-o", "ndjson")
    names = cli("pools", "list", "-o", "name")

    assert [one["pool_name"] for one in whole.document["items"]] == pools
    assert whole.document["errors"] == []
    assert [one["pool_name"] for one in items(lines)] == pools
    assert {one["schema"] for one in items(lines)} == {"plugwave/v1"}
    assert names.lines == [f"cn-north-4/{path_of(cloud, n)}" for n in range(6)]
    assert cli("pools", "show", names.lines[0], "-o", "name").lines == names.lines[:1]


@pytest.mark.slow
def test_the_list_can_be_narrowed(cli: Cli, start: Start) -> None:
    """By project, by label, to blocked ones; what narrows to nothing is told with 6."""
    cloud = start(projects=2, pools=2, odd_pools=0.5)
    project, pool = cloud.targets[3]
    label = "os.modelarts/name=cn-north-4-004"

    assert len(cli("pools", "list", "--project", project, "-o", "name").lines) == 2
    assert cli("pools", "list", "--label", label, "-o", "name").lines[0].endswith(pool)
    blocked = items(cli("pools", "list", "--blocked", "-o", "ndjson"))
    assert len(blocked) == 2
    assert all(one["blocked"] for one in blocked)
    assert cli("pools", "list", "--label", "tier=gold").code == 6


@pytest.mark.slow
def test_other_workspaces_are_shown_on_request(cli: Cli, start: Start) -> None:
    """The cloud shows the default workspace; another one is named by its id."""
    cloud = start(pools=4, workspaces=2)
    other = cloud.fleet.workspaces[1]

    found = items(cli("pools", "list", "--workspace", other, "-o", "ndjson"))

    assert [one["pool_name"] for one in found] == [cloud.targets[n][1] for n in (1, 3)]
    assert {one["workspace"] for one in found} == {other}
    assert {one["blocked"] for one in found} == {None}
    path = path_of(cloud, 1)
    assert "which was not asked for" in cli("pools", "show", path, "-o", "json").document["blocked"]
    assert not cli("pools", "show", path, "--workspace", other, "-o", "json").document["blocked"]


@pytest.mark.slow
def test_a_list_becomes_jobs(cli: Cli, start: Start) -> None:
    """One acceptable request for each pool that can take it, ready for `enqueue -`."""
    cloud = start(pools=6, odd_pools=0.5)
    flags = ["--as-jobs", "--plugin", "volcano", "--version", "1.15.8"]

    ran = cli("pools", "list", *flags)
    queued = cli("enqueue", "-", stdin=ran.out.encode())

    requests = [parse_request(one, source="test") for one in items(ran)]
    fit = [one for one in items(cli("pools", "list", "-o", "ndjson")) if not one["blocked"]]
    assert [one.target.pool_name for one in requests] == [one["pool_name"] for one in fit]
    assert {(one.plugin.name, one.plugin.version) for one in requests} == {("volcano", "1.15.8")}
    assert {one.target.region for one in requests} == {cloud.options.region}
    assert "3 pools left out as blocked" in ran.err
    assert (ran.code, queued.code) == (0, 0)
    assert "version" not in items(cli("pools", "list", *flags[:3]))[0]["plugin"]


def test_no_pool_that_can_take_a_job_is_told(cli: Cli, start: Start) -> None:
    """A script does not go on with an empty file."""
    start(odd_pools=1.0)

    ran = cli("pools", "list", "--as-jobs", "--plugin", "volcano")

    assert (ran.code, ran.out) == (6, "")


@pytest.mark.parametrize(
    "flags",
    [
        ["--as-jobs"],
        ["--plugin", "volcano"],
        ["--version", "1"],
        ["--as-jobs", "--plugin", "volcano", "--blocked"],
        ["--as-jobs", "--plugin", "a/b"],
        ["--as-jobs", "--plugin", "volcano", "--version", "a b"],
        ["--project", "../x"],
        ["--region", "evil.example/x"],
        ["--workspace", "a&b"],
        ["--label", "tier"],
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_is_asked(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, flags: list[str]
) -> None:
    """A slip of the pen costs no request."""
    point_at(monkeypatch, NOWHERE)

    assert cli("pools", "list", *flags).code == 2
    assert not cli.store_path.exists()


def test_a_part_that_cannot_be_read_is_told_beside_the_rest(cli: Cli, start: Start) -> None:
    """What was found is printed, what failed is named, and 3 says that something is missing."""
    cloud = start()
    flags = ["--project", "nobody", "--project", cloud.targets[0][0]]

    ran = cli("pools", "list", *flags, "-o", "json")

    assert ran.code == 3
    assert len(ran.document["items"]) == 3
    [error] = ran.document["errors"]
    assert (error["project_id"], error["code"]) == ("nobody", "JOB-06")
    assert "ModelArts.2786" in error["proof"]
    assert "the pools of nobody could not be read" in ran.err


@pytest.mark.parametrize("command", [["list", "--project", "nobody"], ["show", "nobody/pool-a"]])
def test_what_the_cloud_does_not_know_is_6(cli: Cli, start: Start, command: list[str]) -> None:
    """An unknown project or pool is no empty result."""
    start()

    assert cli("pools", *command).code == 6


@pytest.mark.slow
@pytest.mark.parametrize(
    "command",
    [
        ["pools", "list"],
        ["plugins", "show", "volcano", "--pool", "p/a"],
    ],
    ids=" ".join,
)
def test_a_cloud_that_does_not_answer_is_9(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    """Every command says so, and what was tried."""
    point_at(monkeypatch, NOWHERE)

    ran = cli(*command, "-o", "json")

    assert ran.code == 9
    assert ran.document["error"]["code"] == "CLOUD-01"


def test_a_refused_credential_is_4_and_not_shown(
    cli: Cli, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One request finds out; the token is in no output."""
    cloud = start(StaticToken(["right-token"]))
    monkeypatch.setenv("PLUGWAVE_CLOUD__AUTH", "token")
    monkeypatch.setenv("PLUGWAVE_CLOUD__TOKEN", "wrong-token")

    ran = cli("pools", "list", "--project", cloud.targets[0][0], "-vv")

    assert ran.code == 4
    assert "error[AUTH-01]" in ran.err
    assert "wrong-token" not in ran.out + ran.err
    assert len(cloud.journal.entries()) == 1


def test_a_token_is_not_shown_to_regions_it_is_not_for(
    cli: Cli, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Asked of another region the cloud would call it ended, and every worker would stop."""
    cloud = start(StaticToken(["right-token"]))
    monkeypatch.setenv("PLUGWAVE_CLOUD__AUTH", "token")
    monkeypatch.setenv("PLUGWAVE_CLOUD__TOKEN", "right-token")

    anywhere = cli("pools", "list")
    asked = [entry["path"] for entry in cloud.journal.entries()]

    assert anywhere.code == 2
    assert "--region R" in anywhere.err
    assert asked == ["/v3/auth/projects"]
    assert len(cli("pools", "list", "--region", "cn-north-4", "-o", "name").lines) == 3


def test_the_project_may_be_in_the_profile(cli: Cli, start: Start) -> None:
    """Who works as one account every day does not name its project every time."""
    cloud = start(projects=2)
    project, pool = cloud.targets[0]
    text = f'[cloud]\nprofile = "me"\n[profiles.me]\nproject = "{project}"\nregion = "cn-north-4"\n'
    (cli.folder / "plugwave.toml").write_text(text)

    assert len(cli("pools", "list", "-o", "name").lines) == 3
    shown = cli("pools", "show", pool, "-o", "json").document
    assert (shown["project_id"], shown["region"]) == (project, "cn-north-4")


@pytest.mark.parametrize("pool", ["pool-a", "a/b/c/d", "p/..", "p/", "/pool-a", "P Q/pool-a"])
def test_a_pool_without_a_project_or_name_is_refused(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, pool: str
) -> None:
    """It is said how a pool is written."""
    point_at(monkeypatch, NOWHERE)

    ran = cli("pools", "show", pool)

    assert ran.code == 2
    assert "PROJECT/POOL" in ran.err


def test_a_pool_is_shown_with_all_that_helps_to_decide(cli: Cli, start: Start) -> None:
    """Facts, plug-ins with newer versions, what is on offer, and the jobs that wait for it."""
    cloud = start(installed=1.0)
    project, pool = cloud.targets[0]
    cli.add(
        a_request(pool, project, "volcano", "1.15.8"),
        a_request(pool, project, "gpu-beta", "2.0.48", region="cn-north-4"),
        a_request(pool, project, "log-agent", "1.7.3", region="eu-west-101"),
    )

    ran = cli("pools", "show", pool, "--project", project, "--region", "cn-north-4")
    body = cli("pools", "show", f"cn-north-4/{project}/{pool}", "-o", "json").document

    assert ran.code == 0
    assert f"pool_name     {pool}" in ran.lines
    volcano = next(line for line in ran.lines if line.startswith("volcano"))
    assert volcano.split()[:4] == ["volcano", "1.13.5", "Running", "1.18.3"]
    assert any(line.startswith("log-agent") and line.endswith("1.7.3") for line in ran.lines)
    assert [job["plugin"] for job in body["jobs"]] == ["volcano", "gpu-beta"]
    assert sum(line.startswith("job-") for line in ran.lines) == 2
    newer = {one["plugin"]: one["newer"] for one in body["plugins"]}
    assert newer["volcano"] == "1.18.3"
    assert (body["blocked"], body["errors"]) == (None, [])


def test_a_blocked_pool_says_so(cli: Cli, start: Start) -> None:
    """Whoever looks at a pool sees at once that nothing can be done with it now."""
    cloud = start(odd_pools=1.0)

    ran = cli("pools", "show", path_of(cloud))

    assert ran.code == 0
    assert any(line.startswith("blocked ") for line in ran.lines)
    assert "This pool gets no job now: the pool is " in ran.err


@pytest.mark.slow
def test_plug_ins_of_a_pool(cli: Cli, start: Start) -> None:
    """Installed ones only, each with its newest version where it is newer."""
    cloud = start(installed=0.3)
    project, full = next(one for one in cloud.targets if cloud.installed(*one))
    _, empty = next(one for one in cloud.targets if not cloud.installed(*one))

    ran = cli("plugins", "list", "--pool", full, "--project", project)
    lines = items(cli("plugins", "list", "--pool", f"{project}/{full}", "-o", "ndjson"))
    nothing = cli("plugins", "list", "--pool", f"{project}/{empty}")

    assert ran.lines[0].split() == ["NAME", "VERSION", "PHASE", "NEWER", "REASON"]
    assert {one["plugin"] for one in lines} == set(cloud.installed(project, full))
    assert {one["pool_name"] for one in lines} == {full}
    assert "inputs" not in lines[0]
    assert (nothing.code, nothing.out) == (0, "")


@pytest.mark.parametrize("site", ["cn", "eu"])
def test_a_plug_in_is_shown_with_its_inputs_and_offers(cli: Cli, start: Start, site: str) -> None:
    """Version, phase, reason, inputs and every version on offer with its default inputs."""
    cloud = start(site=site, installed=1.0)

    ran = cli("plugins", "show", "node-local-dns", "--pool", path_of(cloud))
    body = cli("plugins", "show", "node-local-dns", "--pool", path_of(cloud), "-o", "json").document

    assert ran.code == 0
    assert (body["version"], body["phase"], body["newer"]) == ("1.6.36", "Running", "1.6.64")
    assert body["inputs"]["custom"]["nameserver"] == "135.0.0.1"
    assert [one["version"] for one in body["offers"]] == ["1.6.64", "1.6.63", "1.6.36"]
    assert body["offers"][0]["default_inputs"]["custom"]["ndots"] == "5"
    assert (body["resources"] is None) == (site == "cn")
    assert any("kube-system/node-local-dns" in line for line in ran.lines) == (site == "eu")
    assert ran.out.count("as above") == 2


def test_secrets_in_inputs_are_masked(cli: Cli, start: Start) -> None:
    """What looks like a secret is shown by no form of output, though the pool has it."""
    cloud = start(site="eu", installed=1.0)
    project, pool = cloud.targets[0]
    plugin = cloud.fleet.find(project, pool).plugins["os-node-agent"]  # type: ignore[union-attr] # it is there
    plugin.inputs["configs"]["metric_config"]["prometheus"]["accessCode"] = "planted-secret"

    table = cli("plugins", "show", "os-node-agent", "--pool", path_of(cloud), "-vv")
    body = cli("plugins", "show", "os-node-agent", "--pool", path_of(cloud), "-o", "json")

    prometheus = body.document["inputs"]["configs"]["metric_config"]["prometheus"]
    assert prometheus["accessCode"] == "***"
    assert "planted-secret" not in table.out + table.err + body.out + body.err


def test_what_is_not_installed_but_on_offer_is_shown_as_that(cli: Cli, start: Start) -> None:
    """A person sees what they could have; what exists nowhere is 6."""
    cloud = start()

    body = cli("plugins", "show", "volcano", "--pool", path_of(cloud), "-o", "json").document
    nowhere = cli("plugins", "show", "no-such", "--pool", path_of(cloud))

    assert (body["installed"], body["version"], body["newest_offered"]) == (False, None, "1.18.3")
    assert nowhere.code == 6


def test_inputs_that_the_cloud_does_not_tell_are_said_to_be_unknown(cli: Cli, start: Start) -> None:
    """Not told is not the same as none: an upgrade could reset them."""
    cloud = start(installed=1.0, hide_inputs=True)

    ran = cli("plugins", "show", "volcano", "--pool", path_of(cloud))

    assert "could reset them" in ran.err
    assert not any(line.startswith("inputs ") for line in ran.lines)


def test_looking_leaves_the_store_as_it_was(cli: Cli, start: Start) -> None:
    """The store lends its limiter; no worker appears in it, and no job changes."""
    cloud = start()
    project, pool = cloud.targets[0]
    cli.add(a_request(pool, project))

    cli("pools", "list")

    body = cli("store", "stats", "-o", "json").document
    assert (body["jobs"], body["workers"]) == ({"ready": 1}, [])
    target = Target(project_id=project, pool_name=pool)
    assert len(cli.with_store(lambda store: store.pool_jobs(target))) == 1
