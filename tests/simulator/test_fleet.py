"""The fleet: names that follow from the seed, pools that cost nothing until somebody asks."""

import hashlib
import re
from dataclasses import replace

import pytest

from tests.simulator.asking import QUICK, asking
from worker.simulator import SimulatorOptions
from worker.simulator.fleet import Condition, Fleet


def test_names_follow_from_the_seed_as_documented() -> None:
    """Anybody can compute them: SHA-256 of the seed and the place."""
    fleet = Fleet(SimulatorOptions(projects=2, pools=3, seed=42))

    project = hashlib.sha256(b"42/project/1").hexdigest()[:32]
    pool = "pool-" + hashlib.sha256(b"42/pool/1/2").hexdigest()[:32]
    assert fleet.targets[5] == (project, pool)


def test_the_same_seed_gives_the_same_fleet_and_another_seed_another() -> None:
    """Names, sizes and oddities alike."""

    def portrait(seed: int) -> list[object]:
        options = SimulatorOptions(seed=seed, pools=30, odd_pools=0.3, installed=0.5)
        fleet = Fleet(options)
        pools = [fleet.find(*target) for target in fleet.targets]
        return [
            (pool.name, pool.nodes, pool.condition, sorted(pool.plugins))
            for pool in pools
            if pool is not None
        ]

    assert portrait(1) == portrait(1)
    assert portrait(1) != portrait(2)


def test_more_pools_leave_the_first_ones_their_names() -> None:
    """A test that grows keeps its targets."""
    small = Fleet(SimulatorOptions(projects=2, pools=3))
    large = Fleet(SimulatorOptions(projects=3, pools=5))

    assert set(small.targets) <= set(large.targets)


def test_ids_look_like_real_ones() -> None:
    """32 hex digits for a project; a pool starts with a letter and has 36 to 63 characters."""
    for project, pool in Fleet(SimulatorOptions()).targets:
        assert re.fullmatch("[0-9a-f]{32}", project)
        assert re.fullmatch("[a-z][a-z0-9-]{34,61}[a-z0-9]", pool)


@pytest.mark.parametrize(("fraction", "count"), [(0.0, 0), (0.1, 2), (0.25, 5), (1.0, 20)])
def test_a_fraction_of_the_pools_is_exactly_that_many(fraction: float, count: int) -> None:
    """10 % of 20 pools are two pools."""
    fleet = Fleet(SimulatorOptions(projects=2, pools=10, odd_pools=fraction))
    pools = [fleet.find(*target) for target in fleet.targets]

    odd = [pool for pool in pools if pool and pool.condition is not Condition.ORDINARY]
    assert len(odd) == count


def test_a_pool_nobody_spoke_of_is_only_a_name() -> None:
    """A fleet of 100,000 pools has no pools in it until they are met."""
    fleet = Fleet(SimulatorOptions(projects=10, pools=100, installed=1.0))
    fleet.find(*fleet.targets[7])

    assert len(fleet.targets) == 1000
    assert [pool.name for pool in fleet.met] == [fleet.targets[7][1]]


async def test_an_unknown_pool_is_not_found() -> None:
    """404 as documented, for reading and for writing."""
    async with asking(QUICK) as client:
        read = await client.get(client.plugins_path("pool-unknown"))
        write = await client.create(pool="pool-unknown")

    for got in (read, write):
        assert (got.status, got.error_code) == (404, "ModelArts.50015001")
        assert got.told["error_msg"] == "Pool pool-unknown not found."


async def test_an_open_fleet_makes_what_is_asked_for() -> None:
    """Any plain project and pool exists from the first contact on."""
    options = SimulatorOptions(projects=0, pools=0, open_fleet=True)
    async with asking(options) as client:
        empty = await client.get(client.plugins_path("pool-x"))
        written = await client.create(pool="pool-x")
        pools = await client.get(f"/v2/{client.project}/pools")

    assert (empty.status, written.status) == (200, 200)
    assert [pool["metadata"]["name"] for pool in pools.told["items"]] == ["pool-x"]


@pytest.mark.parametrize("name", ["%2e%2e", "..", "a%2fb", "a%00b", "%20", "-x", "a" * 129])
async def test_an_open_fleet_refuses_names_that_are_not_plain(name: str) -> None:
    """A path that escapes is not found, and the journal shows it as it was sent."""
    options = SimulatorOptions(projects=0, pools=0, open_fleet=True)
    async with asking(options) as client:
        got = await client.get(client.plugins_path(name))

    assert (got.status, got.error_code) == (404, "ModelArts.50015001")
    assert client.journal[-1]["path"] == client.plugins_path(name)


async def test_a_creating_pool_asks_to_wait_and_is_ready_later() -> None:
    """400 ModelArts.6355 until its time has come."""
    async with asking(replace(QUICK, pools=3, odd_pools=1.0, creating_s=300.0)) as client:
        pool = next(
            pool
            for project, pool in client.cloud.targets
            if (one := client.cloud.fleet.find(project, pool))
            and one.condition is Condition.CREATING
        )
        early = await client.create(pool=pool)
        phase = (await client.get(f"/v2/{client.project}/pools/{pool}")).told["status"]["phase"]
        client.clock.advance(300)
        late = await client.create(pool=pool)

    assert (early.status, early.error_code, phase) == (400, "ModelArts.6355", "Creating")
    assert late.status == 200


@pytest.mark.parametrize(
    ("condition", "code"),
    [(Condition.ABNORMAL, "ModelArts.2887"), (Condition.FROZEN, "ModelArts.50004000")],
)
async def test_an_abnormal_or_frozen_pool_takes_no_plug_in(condition: Condition, code: str) -> None:
    """The write is refused; the pool says in phase or controlMode why."""
    async with asking(replace(QUICK, pools=3, odd_pools=1.0)) as client:
        pool = next(
            pool
            for project, pool in client.cloud.targets
            if (one := client.cloud.fleet.find(project, pool)) and one.condition is condition
        )
        got = await client.create(pool=pool)
        shown = (await client.get(f"/v2/{client.project}/pools/{pool}")).told

    assert (got.status, got.error_code) == (400, code)
    assert (shown["status"]["phase"], shown["spec"]["controlMode"]) in [
        ("Abnormal", 0),
        ("Running", 8),
    ]
