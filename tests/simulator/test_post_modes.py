"""What a POST on an installed plug-in does: the question no documentation answers."""

from dataclasses import replace
from typing import Literal

import pytest

from tests.simulator.asking import QUICK, asking

PostMode = Literal["upsert", "conflict-409", "conflict-400", "no-op"]


@pytest.mark.parametrize("mode", ["upsert", "conflict-409", "conflict-400", "no-op"])
async def test_an_absent_plug_in_is_installed_in_every_mode(mode: PostMode) -> None:
    """The modes differ only where something is there already."""
    async with asking(replace(QUICK, post_mode=mode)) as client:
        got = await client.create()

    assert got.status == 200
    assert client.posts[-1]["applied"]


async def test_upsert_upgrades() -> None:
    """The POST is accepted and changes the plug-in."""
    async with asking(replace(QUICK, post_mode="upsert")) as client:
        await client.settled("1.6.36")
        got = await client.create(version="1.6.64")
        phase = await client.phase()

    assert (got.status, phase) == (200, "Updating")


@pytest.mark.parametrize(
    ("mode", "status", "code"),
    [("conflict-409", 409, "ModelArts.50015000"), ("conflict-400", 400, "ModelArts.50004000")],
)
async def test_a_conflict_mode_refuses_and_changes_nothing(
    mode: PostMode, status: int, code: str
) -> None:
    """The refusal says that the plug-in exists."""
    async with asking(replace(QUICK, post_mode=mode)) as client:
        await client.settled("1.6.36")
        got = await client.create(version="1.6.64")
        client.clock.advance(60)
        seen = client.cloud.installed(client.project, client.pool)["node-local-dns"]

    assert (got.status, got.error_code) == (status, code)
    assert "node-local-dns already exists" in got.told["error_msg"]
    assert (seen.phase, seen.version) == ("Running", "1.6.36")
    assert not client.posts[-1]["applied"]


async def test_no_op_looks_accepted_and_changes_nothing() -> None:
    """The answer repeats what was asked; the plug-in stays what it was."""
    async with asking(replace(QUICK, post_mode="no-op")) as client:
        await client.settled("1.6.36")
        got = await client.create(version="1.6.64")
        client.clock.advance(60)
        seen = client.cloud.installed(client.project, client.pool)["node-local-dns"]

    assert got.status == 200
    assert got.told["spec"]["template"]["version"] == "1.6.64"
    assert seen.version == "1.6.36"
    assert not client.posts[-1]["applied"]


async def test_a_post_while_the_plug_in_is_changing_is_refused_as_busy() -> None:
    """Pending or Updating answers 409, and the change goes on undisturbed."""
    async with asking(QUICK) as client:
        await client.create(version="1.6.36")
        pending = await client.create(version="1.6.64")
        client.clock.advance(20)
        await client.create(version="1.6.63")
        updating = await client.create(version="1.6.64")
        client.clock.advance(30)
        seen = client.cloud.installed(client.project, client.pool)["node-local-dns"]

    assert (pending.status, pending.error_code) == (409, "ModelArts.5044")
    assert updating.status == 409
    assert (seen.phase, seen.version) == ("Running", "1.6.63")


async def test_a_second_post_inside_the_lag_is_accepted_and_counted_as_overlap() -> None:
    """Nothing stops a client that sends twice while the old Running shows; the journal tells."""
    async with asking(replace(QUICK, lag_s=5.0)) as client:
        await client.settled("1.6.36")
        first = await client.create(version="1.6.63")
        second = await client.create(version="1.6.64")

    assert (first.status, second.status) == (200, 200)
    assert [line["overlap"] for line in client.posts] == [False, False, True]
    assert [pool.overlaps for pool in client.cloud.fleet.met] == [1]


async def test_two_plug_ins_changing_on_one_pool_overlap() -> None:
    """Another plug-in of the same pool is accepted, and counted as overlap."""
    async with asking(QUICK) as client:
        await client.create()
        got = await client.create("volcano", "1.15.8")
        elsewhere = await client.create(pool=client.cloud.targets[1][1])

    assert (got.status, elsewhere.status) == (200, 200)
    assert [line["overlap"] for line in client.posts] == [False, True, False]


@pytest.mark.parametrize("status", [200, 201, 202])
async def test_an_accepted_create_has_the_chosen_status(status: Literal[200, 201, 202]) -> None:
    """Clients should take any of them."""
    async with asking(replace(QUICK, answer_status=status)) as client:
        got = await client.create()

    assert got.status == status


async def test_a_full_answer_tells_metadata_and_status() -> None:
    """The table of the documentation lists them although its example leaves them out."""
    async with asking(replace(QUICK, answer_shape="full")) as client:
        got = await client.create()

    assert got.told["metadata"]["name"] == f"{client.pool}-node-local-dns"
    assert got.told["status"]["phase"] == "Pending"


async def test_patch_upgrades_and_answers_with_the_spec_alone() -> None:
    """The European site's own call for a change."""
    async with asking(replace(QUICK, site="eu", post_mode="conflict-409")) as client:
        await client.settled("1.6.36")
        got = await client.patch({"version": "1.6.64"}, "application/merge-patch+json")
        client.clock.advance(30)
        seen = client.cloud.installed(client.project, client.pool)["node-local-dns"]

    assert got.status == 200
    assert set(got.told) == {"spec"}
    assert got.told["spec"]["template"]["version"] == "1.6.64"
    assert (seen.phase, seen.version) == ("Running", "1.6.64")


async def test_patch_without_a_version_keeps_the_installed_one() -> None:
    """A merge patch changes what it names."""
    async with asking(replace(QUICK, site="eu")) as client:
        await client.settled("1.6.36")
        inputs = {"custom": {"ndots": "7"}}
        got = await client.patch({"inputs": inputs}, "application/merge-patch+json")

    assert got.told["spec"]["template"]["version"] == "1.6.36"
    assert got.told["spec"]["template"]["inputs"]["custom"]["ndots"] == "7"


async def test_patch_with_plain_json_is_refused() -> None:
    """Only a merge patch is taken."""
    async with asking(replace(QUICK, site="eu")) as client:
        await client.settled("1.6.36")
        got = await client.patch({"version": "1.6.64"}, "application/json")

    assert (got.status, got.error_code) == (400, "ModelArts.50004100")
    assert not client.journal[-1]["applied"]


async def test_patch_of_an_absent_plug_in_is_not_found() -> None:
    """There is nothing to change."""
    async with asking(replace(QUICK, site="eu")) as client:
        got = await client.patch({"version": "1.6.64"}, "application/merge-patch+json")

    assert got.status == 404


@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE"])
async def test_the_chinese_site_has_no_calls_on_one_plug_in(method: str) -> None:
    """Show, patch and delete are not published there."""
    async with asking(QUICK) as client:
        await client.settled()
        got = await client.ask(method, f"{client.plugins_path()}/node-local-dns", b"{}")

    assert (got.status, got.error_code) == (404, "APIG.0101")
