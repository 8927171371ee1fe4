"""What is out there, asked of a simulated cloud over real HTTP."""

from pathlib import Path
from typing import Any

import anyio
import pytest

from config.settings import Settings
from jobs.model import PoolRead, Target
from jobs.outcomes import Answer, Outcome
from tests.discovery.seen import looking, places, settings
from tests.modelarts.scripted import cloud as scripted
from tests.modelarts.scripted import http, known
from worker.discovery import Discovery, Fleet, Place, PluginShown, newer_offer, region_of
from worker.modelarts.templates import PluginTemplate, TemplateVersion
from worker.simulator import Simulator, SimulatorOptions, StaticToken
from worker.simulator.fleet import Condition

CN, EU = SimulatorOptions(projects=2, pools=3), SimulatorOptions(projects=1, pools=2, site="eu")


def targets(fleet: Fleet) -> list[tuple[str, str]]:
    """Return (project, pool) of every pool that was found."""
    return [(one.target.project_id, one.target.pool_name) for one in fleet.pools]


def the_target(cloud: Simulator, number: int = 0) -> Target:
    """Return one pool of the fleet."""
    project_id, pool_name = cloud.targets[number]
    return Target(project_id=project_id, pool_name=pool_name)


def asked(cloud: Simulator, part: str) -> int:
    """Return how many requests had *part* in their path."""
    return sum(part in entry["path"] for entry in cloud.journal.entries())


async def own_places(discovery: Discovery, region: str | None = None) -> list[Place]:
    """Return the places that IAM tells."""
    found = await discovery.places(region)
    assert not isinstance(found, Answer)
    return list(found)


@pytest.mark.parametrize("site", ["cn", "eu"])
async def test_every_pool_of_every_project_is_found(site: Any, tmp_path: Path) -> None:
    """Nobody has to know the projects: IAM tells them, and each tells its pools."""
    options = SimulatorOptions(projects=3, pools=4, site=site)
    async with Simulator(options) as cloud, looking(settings(cloud.url, tmp_path)) as discovery:
        found = await own_places(discovery, options.region)
        fleet = await discovery.pools(found)

    assert [one.project_id for one in found] == cloud.fleet.projects
    assert targets(fleet) == cloud.targets
    assert {one.target.region for one in fleet.pools} == {options.region}
    assert (fleet.troubles, fleet.absent, fleet.asked) == ((), (), 3)


async def test_a_project_of_a_region_without_modelarts_is_left_out(tmp_path: Path) -> None:
    """IAM has a project for each region; one that nobody named is no trouble when it is empty."""
    async with Simulator(CN) as cloud, looking(settings(cloud.url, tmp_path)) as discovery:
        found = await own_places(discovery)
        fleet = await discovery.pools(found)

    assert {one.region for one in found} == {"cn-north-4", "cn-east-3"}
    assert [one.place.region for one in fleet.absent] == ["cn-east-3"]
    assert fleet.troubles == ()
    assert len(fleet.pools) == 6


async def test_a_project_that_fails_does_not_hide_the_others(tmp_path: Path) -> None:
    """What a person named and the cloud does not know is told, beside what it knows."""
    async with Simulator(CN) as cloud, looking(settings(cloud.url, tmp_path)) as discovery:
        fleet = await discovery.pools([Place(project_id="nobody"), *places(cloud)])

    [trouble] = fleet.troubles
    assert (trouble.place.project_id, trouble.answer.outcome) == ("nobody", Outcome.NOT_FOUND)
    assert targets(fleet) == cloud.targets


async def test_odd_pools_are_blocked_with_their_reason(tmp_path: Path) -> None:
    """Pools that the cloud would refuse are known before anything is sent."""
    options = SimulatorOptions(projects=1, pools=6, odd_pools=1.0)
    async with Simulator(options) as cloud, looking(settings(cloud.url, tmp_path)) as discovery:
        fleet = await discovery.pools(places(cloud))
        conditions = [cloud.fleet.find(*target) for target in cloud.targets]

    reasons = {
        Condition.CREATING: "the pool is still being created",
        Condition.ABNORMAL: "the pool is Abnormal",
        Condition.FROZEN: "the pool is frozen",
    }
    assert [one.blocked for one in fleet.pools] == [
        reasons[pool.condition] for pool in conditions if pool is not None
    ]


async def test_pools_of_other_workspaces_are_seen_when_they_are_asked_for(tmp_path: Path) -> None:
    """The cloud shows one workspace at a time; what was asked for is not blocked for it."""
    options = SimulatorOptions(projects=1, pools=6, workspaces=2)
    async with Simulator(options) as cloud, looking(settings(cloud.url, tmp_path)) as discovery:
        default = await discovery.pools(places(cloud))
        both = await discovery.pools(places(cloud), cloud.fleet.workspaces)

    assert len(default.pools) == 3
    assert {one.pool.workspace for one in default.pools} == {"0"}
    assert sorted(targets(both)) == sorted(cloud.targets)
    assert {one.blocked for one in both.pools} == {None}


async def test_plug_ins_and_offers_of_many_pools(tmp_path: Path) -> None:
    """For each pool: what is installed and what may be, in the order of the pools."""
    options = SimulatorOptions(projects=2, pools=3, installed=1.0, offer_gaps=1.0)
    async with Simulator(options) as cloud, looking(settings(cloud.url, tmp_path)) as discovery:
        fleet = await discovery.pools(places(cloud))
        surveys = await discovery.surveys([one.target for one in fleet.pools])

    assert [(one.target.project_id, one.target.pool_name) for one in surveys] == cloud.targets
    for one in surveys:
        assert isinstance(one.plugins, PoolRead)
        assert one.plugins.plugins["volcano"].version == "1.13.5"
    offered = [one.offers for one in surveys if not isinstance(one.offers, Answer)]
    assert len({tuple(template.name for template in offers) for offers in offered}) > 1


async def test_a_plug_in_is_shown_with_what_it_runs_as_where_the_site_tells(
    tmp_path: Path,
) -> None:
    """Europe has a call for it."""
    options = SimulatorOptions(projects=1, pools=1, site="eu", installed=1.0)
    async with Simulator(options) as cloud, looking(settings(cloud.url, tmp_path)) as discovery:
        shown = await discovery.plugin(the_target(cloud), "volcano")
        absent = await discovery.plugin(the_target(cloud), "log-agent")

    assert isinstance(shown, PluginShown)
    assert shown.seen.version == "1.13.5"
    assert [one.kind for one in shown.resources or ()] == ["DaemonSet", "Deployment"]
    assert absent is None


async def test_elsewhere_the_list_tells_and_the_missing_call_is_tried_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A site without the call is asked for it once, and that is no trouble worth a line."""
    options = SimulatorOptions(projects=1, pools=2, installed=1.0)
    async with Simulator(options) as cloud, looking(settings(cloud.url, tmp_path)) as discovery:
        first = await discovery.plugin(the_target(cloud, 0), "volcano")
        second = await discovery.plugin(the_target(cloud, 1), "volcano")
        tried = asked(cloud, "/plugins/volcano")

    assert isinstance(first, PluginShown)
    assert isinstance(second, PluginShown)
    assert (first.resources, first.seen.version) == (None, "1.13.5")
    assert tried == 1
    assert "unreachable" not in "".join(capsys.readouterr())


@pytest.mark.parametrize("options", [CN, EU], ids=["cn", "eu"])
async def test_a_plug_in_of_no_pool_is_not_the_same_as_no_plug_in(
    options: SimulatorOptions, tmp_path: Path
) -> None:
    """An unknown pool is told as such on both sites."""
    async with Simulator(options) as cloud, looking(settings(cloud.url, tmp_path)) as discovery:
        target = Target(project_id=cloud.targets[0][0], pool_name="pool-nobody")
        shown = await discovery.plugin(target, "volcano")

    assert isinstance(shown, Answer)
    assert (shown.outcome, shown.error_code) == (Outcome.NOT_FOUND, "ModelArts.50015001")


async def test_nothing_on_offer_of_that_name_is_an_empty_answer(tmp_path: Path) -> None:
    """The cloud answers 404 for an unknown template; for a person that is "none"."""
    async with Simulator(CN) as cloud, looking(settings(cloud.url, tmp_path)) as discovery:
        assert await discovery.offers(the_target(cloud), "no-such") == ()


@pytest.mark.slow
async def test_hiccups_of_the_cloud_do_not_leave_gaps(tmp_path: Path) -> None:
    """With every fourth read answered 500, reset or cut, nothing is missing."""
    # One project, so that the order of requests and with it the faults are always the same.
    options = SimulatorOptions(projects=1, pools=12, read_faults=0.25, installed=1.0)
    async with Simulator(options) as cloud, looking(settings(cloud.url, tmp_path)) as discovery:
        fleet = await discovery.pools(places(cloud))
        surveys = await discovery.surveys([one.target for one in fleet.pools])

    assert targets(fleet) == cloud.targets
    assert all(isinstance(one.plugins, PoolRead) for one in surveys)


async def test_a_list_without_pages_may_be_long(tmp_path: Path) -> None:
    """Pools have no pages; a project of a thousand is read whole."""
    options = SimulatorOptions(projects=1, pools=1000)
    async with Simulator(options) as cloud, looking(settings(cloud.url, tmp_path)) as discovery:
        fleet = await discovery.pools(places(cloud))

    assert len(fleet.pools) == 1000
    assert fleet.troubles == ()


@pytest.mark.slow
async def test_two_who_look_share_one_limit_with_each_other_and_the_workers(
    tmp_path: Path,
) -> None:
    """Every request takes its turn from the rows in the store: nobody is throttled."""
    options = SimulatorOptions(projects=1, pools=20, limit=25)
    async with Simulator(options) as cloud:
        told = settings(cloud.url, tmp_path, rate=25)

        async def look() -> None:
            async with looking(told) as discovery:
                await discovery.surveys([the_target(cloud, number) for number in range(10)])

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(look)
            tasks.start_soon(look)
        statuses = [entry["status"] for entry in cloud.journal.entries()]

    assert statuses == [200] * 40


async def test_a_wrong_credential_is_shown_to_the_cloud_once(tmp_path: Path) -> None:
    """Nobody's key is locked because somebody wanted to see a list."""
    options = SimulatorOptions(projects=8, pools=1)
    async with Simulator(options, authenticator=StaticToken(["right-token"])) as cloud:
        told = settings(cloud.url, tmp_path, auth="token", token="wrong-token")
        async with looking(told) as discovery:
            fleet = await discovery.pools(places(cloud))
        statuses = [entry["status"] for entry in cloud.journal.entries()]

    assert {one.answer.outcome for one in fleet.troubles} == {Outcome.UNAUTHENTICATED}
    assert len(fleet.troubles) == 8
    assert statuses == [401]


async def test_without_the_simple_call_the_projects_come_in_pages(tmp_path: Path) -> None:
    """Where one call of IAM is refused the other is asked, to its last page."""
    many = [{"id": f"p{number}", "name": f"cn-north-4_{number}"} for number in range(1000)]
    others = [
        {"id": "moss", "name": "MOS"},
        {"id": "east", "name": "cn-east-3"},
        {"id": "off", "name": "cn-north-4", "enabled": False},
        {"id": "last", "name": "cn-north-4"},
    ]
    replies = known(403, "IAM.0003"), *(http(200, {"projects": one}) for one in (many, others))
    async with (
        scripted(*replies) as served,
        looking(settings(served.endpoint, tmp_path)) as discovery,
    ):
        found = await own_places(discovery, "cn-north-4")

    assert [raw.split(b" ")[1] for raw in served.requests] == [
        b"/v3/auth/projects",
        b"/v3/projects?page=1&per_page=1000",
        b"/v3/projects?page=2&per_page=1000",
    ]
    assert [one.project_id for one in found] == [*(one["id"] for one in many), "last"]


async def test_a_server_that_has_pages_of_pools_is_read_to_its_last_page(tmp_path: Path) -> None:
    """Should the cloud ever page its pools, none is missed."""
    first = {"items": [{"metadata": {"name": "a"}}], "metadata": {"continue": "next"}}
    last = {"items": [{"metadata": {"name": "b"}}]}
    async with (
        scripted(http(200, first), http(200, last)) as served,
        looking(settings(served.endpoint, tmp_path)) as discovery,
    ):
        fleet = await discovery.pools([Place(project_id="p")])

    assert [one.pool.name for one in fleet.pools] == ["a", "b"]


async def test_nodes_are_counted_where_the_pool_does_not_tell(tmp_path: Path) -> None:
    """Without a sum the nodes are counted one by one, over all pages."""
    nodes = [{"metadata": {"name": f"n{number}"}} for number in range(3)]
    replies = (
        http(200, {"metadata": {"name": "a"}, "status": {"phase": "Running"}}),
        http(200, {"items": nodes[:2], "metadata": {"continue": "2"}}),
        http(200, {"items": nodes[2:]}),
    )
    async with (
        scripted(*replies) as served,
        looking(settings(served.endpoint, tmp_path)) as discovery,
    ):
        seen = await discovery.pool(Target(project_id="p", pool_name="a"))

    assert not isinstance(seen, Answer)
    assert seen.nodes == 3


async def test_without_an_endpoint_nothing_is_sent(tmp_path: Path) -> None:
    """A region that is not known is told, not guessed."""
    told = Settings.model_validate(
        {
            "store": {"url": f"sqlite:///{tmp_path / 'store.db'}"},
            "cloud": {"auth": "token", "token": "some-token"},
        }
    )
    async with looking(told) as discovery:
        fleet = await discovery.pools([Place(project_id="p")])
        shown = await discovery.plugin(Target(project_id="p", pool_name="a"), "volcano")

    assert [one.answer.outcome for one in fleet.troubles] == [Outcome.NOT_SENDABLE]
    assert isinstance(shown, Answer)
    assert shown.outcome is Outcome.NOT_SENDABLE


@pytest.mark.parametrize(
    ("name", "region"),
    [
        ("cn-north-4", "cn-north-4"),
        ("cn-north-4_ana", "cn-north-4"),
        ("eu-west-101", "eu-west-101"),
        ("MOS", None),
        ("default", None),
        ("My-Team-7", None),
        ("", None),
    ],
)
def test_a_projects_name_tells_its_region(name: str, region: str | None) -> None:
    """A region's own project is named like it, sub-projects begin so."""
    assert region_of(name) == region


def test_newer_is_only_what_the_list_proves() -> None:
    """Versions are free text: only their place in the list says which is newer."""
    template = PluginTemplate(
        name="volcano", versions=tuple(TemplateVersion(version=one) for one in ("3", "2", "1"))
    )

    assert newer_offer(template, "1") == "3"
    assert newer_offer(template, "3") is None
    assert newer_offer(template, "0.9") is None
    assert newer_offer(template, None) is None
    assert newer_offer(None, "1") is None
