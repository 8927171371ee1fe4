"""What is not on offer for a pool, and pools in workspaces that are not ours."""

from dataclasses import replace
from typing import Any, Final

import pytest

from tests.simulator.asking import DNS, QUICK, Client, asking
from worker.simulator.catalogue import CATALOGUE

GAPS: Final = replace(QUICK, pools=8, offer_gaps=0.5)
SPACES: Final = replace(QUICK, pools=6, workspaces=2)


async def offers(client: Client, pool: str | None = None) -> dict[str, list[str]]:
    """Return the versions on offer by name, newest first."""
    query = f"?poolName={pool}" if pool else ""
    told = (await client.get(f"/v2/{client.project}/plugintemplates{query}")).told
    return {
        one["metadata"]["name"]: [version["version"] for version in one["spec"]["versions"]]
        for one in told["items"]
    }


async def gaps(client: Client) -> dict[str, dict[str, list[str]]]:
    """Return the offers of every pool that has less than all."""
    everything = await offers(client)
    told = {pool: await offers(client, pool) for _, pool in client.cloud.targets}
    return {pool: one for pool, one in told.items() if one != everything}


async def test_a_fraction_of_the_pools_has_gaps() -> None:
    """Half of 8 pools are 4; without a pool everything is told, and so by default."""
    async with asking(GAPS) as client:
        some = await gaps(client)
        client.cloud.change(offer_gaps=0.0)
        none = await gaps(client)

    assert len(some) == 4
    assert none == {}
    for told in some.values():
        assert len(told) == 4  # of six, every third is not on offer
        assert any(
            versions[0] != CATALOGUE[name].newest
            for name, versions in told.items()
            if name != "log-agent"  # it has one version alone
        )


async def missing(client: Client) -> tuple[str, str]:
    """Return a pool and a plug-in that is not on offer there."""
    for pool, told in (await gaps(client)).items():
        for name in CATALOGUE:
            if name not in told:
                return pool, name
    raise AssertionError("there is no gap")


async def test_what_is_not_on_offer_cannot_be_installed() -> None:
    """400, and the list of templates of that pool does not have it, asked for by name or not."""
    async with asking(GAPS) as client:
        pool, name = await missing(client)
        got = await client.create(name, None, pool=pool)
        query = f"templateName={name}&poolName={pool}"
        told = (await client.get(f"/v2/{client.project}/plugintemplates?{query}")).told

    assert (got.status, got.error_code) == (400, "ModelArts.50004000")
    assert told["items"] == []
    assert client.cloud.installed(client.project, pool) == {}


async def test_the_newest_version_is_the_newest_on_offer() -> None:
    """A version that is left out is refused; without a version the newest offered is installed."""
    async with asking(GAPS) as client:
        pool, name = next(
            (pool, name)
            for pool, told in (await gaps(client)).items()
            for name, versions in told.items()
            if versions[0] != CATALOGUE[name].newest
        )
        refused = await client.create(name, CATALOGUE[name].newest, pool=pool)
        got = await client.create(name, None, pool=pool)
        best = (await offers(client, pool))[name][0]

    assert refused.status == 400
    assert got.told["spec"]["template"]["version"] == best


async def test_pools_of_another_workspace_are_listed_when_asked_for() -> None:
    """The label tells the workspace; workspace 0 is meant unless another is named."""
    async with asking(SPACES) as client:
        spaces = (await client.get("/_sim/fleet")).told["workspaces"]
        listed = [
            (await client.get(f"/v2/{client.project}/pools{query}")).told["items"]
            for query in ("", "?workspaceId=0", f"?workspaceId={spaces[1]}")
        ]

    assert spaces[0] == "0"
    assert [len(items) for items in listed] == [3, 3, 3]
    assert _names(listed[0]) == _names(listed[1])
    assert not _names(listed[0]) & _names(listed[2])
    assert {item["metadata"]["labels"]["os.modelarts/workspace.id"] for item in listed[2]} == {
        spaces[1]
    }


def _names(items: Any) -> set[str]:
    return {item["metadata"]["name"] for item in items}


async def test_a_pool_of_another_workspace_takes_no_plug_in() -> None:
    """403 ModelArts.0108: rights are given for each workspace; reading goes on."""
    async with asking(SPACES) as client:
        pool = client.cloud.targets[1][1]
        refused = await client.create(pool=pool)
        read = await client.get(client.plugins_path(pool))
        shown = await client.get(f"/v2/{client.project}/pools/{pool}")
        ours = await client.create()

    assert (refused.status, refused.error_code) == (403, "ModelArts.0108")
    assert [got.status for got in (read, shown, ours)] == [200, 200, 200]
    assert client.cloud.installed(client.project, pool) == {}


async def test_a_delete_needs_no_offer() -> None:
    """What is there can be removed, on offer or not."""
    async with asking(replace(GAPS, site="eu", offer_gaps=1.0)) as client:
        lacking = [pool for pool, told in (await gaps(client)).items() if DNS not in told]
        pool = lacking[0]
        client.cloud.change(offer_gaps=0.0)
        await client.create(pool=pool)
        client.clock.advance(20)
        client.cloud.change(offer_gaps=1.0)
        got = await client.ask("DELETE", f"{client.plugins_path(pool)}/{DNS}")

    assert got.status == 200


@pytest.mark.parametrize("number", [1, 2, 5])
async def test_there_are_as_many_workspaces_as_asked_for(number: int) -> None:
    """All of them are told, the first is 0."""
    async with asking(replace(QUICK, workspaces=number)) as client:
        spaces = (await client.get("/_sim/fleet")).told["workspaces"]

    assert len(set(spaces)) == number
    assert spaces[0] == "0"
