"""The simulator's own pages: look into it and change it, from this machine only."""

from dataclasses import replace

import aiohttp
import orjson
import pytest

from tests.simulator.asking import DNS, QUICK, asking
from worker.simulator.admin import is_local


async def test_the_options_can_be_read_and_switched() -> None:
    """A fault switched on is met by the next write."""
    async with asking(QUICK) as client:
        before = (await client.get("/_sim/options")).told
        switched = await client.ask(
            "POST", "/_sim/options", b'{"error_after": 1.0, "upgrade_s": [1, 2], "limit": 9}'
        )
        got = await client.create()

    assert before["error_after"] == 0.0
    assert switched.told["limit"] == 9
    assert switched.told["upgrade_s"] == [1, 2]
    assert got.status >= 500


@pytest.mark.parametrize(
    "body", [b"", b"[]", b'{"error_aftr":1}', b'{"limit":0}', b'{"pools":3}', b'{"site":["cn"]}']
)
async def test_options_that_make_no_sense_are_refused(body: bytes) -> None:
    """400 says why, and nothing changes."""
    async with asking(QUICK) as client:
        got = await client.ask("POST", "/_sim/options", body)

    assert got.status == 400
    assert got.told["error"]
    assert client.cloud.options == QUICK


async def test_the_fleet_tells_projects_and_pools() -> None:
    """The same as `targets`."""
    async with asking(replace(QUICK, projects=2)) as client:
        told = (await client.get("/_sim/fleet")).told

    assert told["region"] == "cn-north-4"
    assert [
        (project["project_id"], pool) for project in told["projects"] for pool in project["pools"]
    ] == client.cloud.targets


async def test_the_state_tells_plug_ins_and_operations() -> None:
    """Of the pools that were met, or of all."""
    async with asking(QUICK) as client:
        await client.settled("1.6.36")
        await client.create(version="1.6.64")
        met = (await client.get("/_sim/state")).told["pools"]
        everything = (await client.get("/_sim/state?all=true")).told["pools"]

    assert met == [
        {
            "project_id": client.project,
            "pool_name": client.pool,
            "operations": 2,
            "overlaps": 0,
            "plugins": {
                DNS: {"version": "1.6.36", "phase": "Updating", "reason": "", "operations": 2}
            },
        }
    ]
    assert len(everything) == 2


async def test_the_journal_can_be_followed() -> None:
    """Lines above a number, one JSON object each."""
    async with asking(QUICK) as client:
        await client.create()
        await client.get(client.plugins_path())
        everything = await client.get("/_sim/journal")
        rest = await client.get("/_sim/journal?after=1")
        nonsense = await client.get("/_sim/journal?after=x")

    lines = [orjson.loads(line) for line in everything.body.splitlines()]
    assert lines == client.journal
    assert [orjson.loads(line)["seq"] for line in rest.body.splitlines()] == [2]
    assert nonsense.status == 400


async def test_the_journal_page_carries_out_late_effects_first() -> None:
    """Whoever follows it from outside sees an effect once its moment has passed."""
    async with asking(replace(QUICK, late=1.0, late_s=5.0)) as client:
        with pytest.raises(aiohttp.ClientOSError):
            await client.create()
        client.clock.advance(5)
        got = await client.get("/_sim/journal")

    kinds = [orjson.loads(line)["kind"] for line in got.body.splitlines()]
    assert kinds == ["request", "late-effect"]


async def test_jobs_are_ready_for_the_queue() -> None:
    """One request a pool; keys are counted, so that the same page gives the same keys."""
    async with asking(QUICK) as client:
        keyed = await client.get(f"/_sim/jobs?plugin={DNS}&version=1.6.64&keys=wave")
        plain = await client.get(f"/_sim/jobs?plugin={DNS}")

    (project, pool) = client.cloud.targets[1]
    assert orjson.loads(keyed.body.splitlines()[1]) == {
        "project_id": project,
        "pool_name": pool,
        "region": "cn-north-4",
        "plugin": {"name": DNS, "version": "1.6.64"},
        "idempotency_key": "wave-2",
    }
    assert orjson.loads(plain.body.splitlines()[0]) == {
        "project_id": client.project,
        "pool_name": client.pool,
        "region": "cn-north-4",
        "plugin": {"name": DNS},
    }


@pytest.mark.parametrize("query", ["", "plugin=no-such-plugin", f"plugin={DNS}&version=9"])
async def test_jobs_for_what_is_not_on_offer_are_refused(query: str) -> None:
    """Better here than a thousand times later."""
    async with asking(QUICK) as client:
        got = await client.get(f"/_sim/jobs?{query}")

    assert got.status == 400


async def test_the_pages_are_outside_of_the_simulation() -> None:
    """They are not throttled, not faulted and not in the journal."""
    async with asking(replace(QUICK, limit=1, read_faults=1.0)) as client:
        seen = [(await client.get("/_sim/fleet")).status for _ in range(5)]
        unknown = await client.get("/_sim/nothing")

    assert seen == [200] * 5
    assert unknown.status == 404
    assert client.journal == []


@pytest.mark.parametrize("name", ["X-Forwarded-For", "Forwarded", "X-Real-IP"])
async def test_a_request_through_a_proxy_is_refused(name: str) -> None:
    """A proxy on this machine speaks for somebody elsewhere."""
    async with asking(QUICK) as client:
        looked = await client.ask("GET", "/_sim/fleet", headers={name: "127.0.0.1"})
        switched = await client.ask("POST", "/_sim/options", b'{"limit":1}', {name: "x"})

    assert (looked.status, switched.status) == (403, 403)
    assert client.cloud.options == QUICK


@pytest.mark.parametrize(
    ("peer", "local"),
    [
        (("127.0.0.1", 5000), True),
        (("127.8.8.8", 5000), True),
        (("::1", 5000, 0, 0), True),
        (("::ffff:127.0.0.1", 5000, 0, 0), True),
        (("::ffff:10.0.0.1", 5000, 0, 0), False),
        (("10.0.0.1", 5000), False),
        (("192.0.2.7", 5000), False),
        (("fe80::1%eth0", 5000, 0, 2), False),
        (("not an address", 5000), False),
        ("", False),
        (None, False),
        ((), False),
    ],
    ids=str,
)
def test_only_a_loopback_peer_is_local(peer: object, local: bool) -> None:  # noqa: FBT001 - a claim
    """Any other address is refused, and so is one that cannot be read."""
    assert is_local(peer, {}) is local
