"""Everything that can go wrong with a write, each with its effect done or not done."""

import errno
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from typing import Any

import aiohttp
import anyio
import anyio.lowlevel
import orjson
import pytest

from tests.simulator.asking import DNS, QUICK, Client, asking
from worker.simulator import SimulatorOptions

SERVER_ERRORS = {500, 502, 503, 504}


@asynccontextmanager
async def failing(**rates: Any) -> AsyncIterator[Client]:
    """Yield a client of 40 pools at which that much goes wrong."""
    async with asking(replace(QUICK, pools=40, **rates)) as client:
        yield client


async def each_pool(client: Client) -> list[Any]:
    """Send one create to each pool; return its answer or the error in its place."""
    ended: list[Any] = []
    for _, pool in client.cloud.targets:
        try:
            ended.append(await client.create(pool=pool))
        except aiohttp.ClientError as error:
            ended.append(error)
    return ended


def has_plugin(client: Client, pool: str) -> bool:
    """Whether the pool has the plug-in, in any phase."""
    return DNS in client.cloud.installed(client.project, pool)


async def sleeping(client: Client) -> None:
    """Return once the simulator waits for its clock."""
    with anyio.fail_after(5):
        while not client.clock.sleepers:
            await anyio.lowlevel.checkpoint()


async def test_lost_before_resets_the_connection_without_effect() -> None:
    """The client sees a reset; nothing was installed."""
    async with failing(lost_before=1.0) as client:
        with pytest.raises(aiohttp.ClientOSError) as caught:
            await client.create()
        line = client.journal[-1]

        assert caught.value.errno == errno.ECONNRESET
        assert not has_plugin(client, client.pool)
        assert (line["fault"], line["applied"], line["status"]) == ("lost_before", False, None)
        assert line["answered_us"] is None


async def test_lost_after_resets_the_connection_after_the_effect() -> None:
    """The client sees the same reset; the plug-in is being installed."""
    async with failing(lost_after=1.0) as client:
        with pytest.raises(aiohttp.ClientOSError) as caught:
            await client.create()
        line = client.journal[-1]

        assert caught.value.errno == errno.ECONNRESET
        assert has_plugin(client, client.pool)
        assert (line["fault"], line["applied"], line["status"]) == ("lost_after", True, None)


async def test_a_late_effect_comes_after_the_connection_is_long_gone() -> None:
    """A read at once shows nothing; one after `late_s` shows the plug-in."""
    async with failing(late=1.0, late_s=5.0) as client:
        with pytest.raises(aiohttp.ClientOSError):
            await client.create()
        at_once = await client.listed()
        client.clock.advance(5)
        later = await client.listed()
        request, effect = (line for line in client.journal if line["fault"] == "late")

    assert at_once is None
    assert later["status"]["phase"] == "Pending"
    assert (request["kind"], request["applied"]) == ("request", False)
    assert (effect["kind"], effect["applied"]) == ("late-effect", True)
    assert effect["of"] == request["request_id"]
    assert 0 < effect["effect_us"] - request["received_us"] < 5_000_000


async def test_a_late_effect_counts_from_its_own_moment() -> None:
    """However late somebody looks, the install began when the effect came."""
    async with failing(late=1.0, late_s=5.0) as client:
        with pytest.raises(aiohttp.ClientOSError):
            await client.create()
        client.clock.advance(25)
        phase = await client.phase()

    assert phase == "Running"


async def test_a_late_effect_meets_what_happened_meanwhile() -> None:
    """A second send finds the pool free and is done; the late first one is then refused as busy."""
    async with failing(late=1.0, late_s=5.0) as client:
        with pytest.raises(aiohttp.ClientOSError):
            await client.create(version="1.6.36")
        client.cloud.change(late=0.0)
        await client.create(version="1.6.64")
        client.clock.advance(5)
        await client.listed()
        effect = next(line for line in client.journal if line["kind"] == "late-effect")

    assert (effect["applied"], effect["version"]) == (False, "1.6.36")
    assert client.cloud.installed(client.project, client.pool)[DNS].version == "1.6.64"


async def test_error_before_answers_5xx_without_effect() -> None:
    """All four statuses occur, and no pool has the plug-in."""
    async with failing(error_before=1.0) as client:
        ended = await each_pool(client)
        present = [has_plugin(client, pool) for _, pool in client.cloud.targets]

    assert {got.status for got in ended} == SERVER_ERRORS
    assert not any(present)


async def test_error_after_answers_5xx_with_effect() -> None:
    """All four statuses occur, and every pool has the plug-in."""
    async with failing(error_after=1.0) as client:
        ended = await each_pool(client)
        present = [has_plugin(client, pool) for _, pool in client.cloud.targets]

    assert {got.status for got in ended} == SERVER_ERRORS
    assert all(present)


async def test_gateway_errors_tell_a_request_id_in_the_body_and_modelarts_errors_do_not() -> None:
    """500 is the service's own; 502, 503 and 504 come from the gateway in front of it."""
    async with failing(error_before=1.0) as client:
        ended = await each_pool(client)

    for got in ended:
        from_gateway = got.error_code.startswith("APIG.")
        assert from_gateway == (got.status != 500)
        assert ("request_id" in got.told) == from_gateway


async def test_html_comes_with_200_or_502_with_and_without_effect() -> None:
    """A proxy's page proves nothing; all four combinations occur."""
    async with failing(html=1.0) as client:
        ended = await each_pool(client)
        present = [has_plugin(client, pool) for _, pool in client.cloud.targets]

    assert all(got.headers["Content-Type"] == "text/html" for got in ended)
    assert all(got.body.startswith(b"<html>") for got in ended)
    combinations = {(got.status, done) for got, done in zip(ended, present, strict=True)}
    assert combinations == {(200, True), (200, False), (502, True), (502, False)}


async def test_a_truncated_answer_breaks_off_after_the_effect() -> None:
    """The head promises more body than comes."""
    async with failing(truncated=1.0) as client:
        with pytest.raises(aiohttp.ClientPayloadError):
            await client.create()

        assert has_plugin(client, client.pool)
        assert client.journal[-1]["status"] == 200


async def test_an_empty_answer_is_200_without_a_body_after_the_effect() -> None:
    """Success, and nothing to read."""
    async with failing(empty=1.0) as client:
        got = await client.create()

        assert (got.status, got.body) == (200, b"")
        assert has_plugin(client, client.pool)


async def test_wrong_types_are_json_that_is_no_plug_in() -> None:
    """Lists, strings, null and objects of the wrong inside, all 200 and all with effect."""
    async with failing(wrong_type=1.0) as client:
        ended = await each_pool(client)
        present = [has_plugin(client, pool) for _, pool in client.cloud.targets]

    assert {got.status for got in ended} == {200}
    assert {type(got.told) for got in ended} == {list, str, type(None), dict}
    assert all(present)


async def test_a_slow_answer_comes_after_the_effect() -> None:
    """Whoever gives up waiting finds the plug-in being installed."""
    async with failing(slow=1.0, slow_s=3.0) as client:
        done = anyio.Event()

        async def create() -> None:
            got = await client.create()
            assert got.status == 200
            done.set()

        async with anyio.create_task_group() as group:
            group.start_soon(create)
            await sleeping(client)
            before = (has_plugin(client, client.pool), done.is_set())
            client.clock.advance(3)
            await done.wait()

    assert before == (True, False)


async def test_stop_ends_a_slow_answer_within_a_second() -> None:
    """The connection is reset; nobody waits for the hour."""
    async with failing(slow=1.0, slow_s=3600.0) as client:

        async def create() -> None:
            with pytest.raises(aiohttp.ClientError):
                await client.create()

        with anyio.fail_after(1):
            async with anyio.create_task_group() as group:
                group.start_soon(create)
                await sleeping(client)
                await client.cloud.stop()


@pytest.mark.parametrize("rate", ["empty", "wrong_type"])
async def test_a_refusal_is_not_made_into_a_success(rate: str) -> None:
    """What pretends success does so only where there was one."""
    async with failing(**{rate: 1.0}) as client:
        ended = [
            await client.create("no-such-plugin", pool=pool) for _, pool in client.cloud.targets
        ]

    assert {got.status for got in ended} == {404}


async def test_no_fault_comes_without_being_asked_for() -> None:
    """All rates are zero until somebody raises one."""
    async with failing() as client:
        ended = await each_pool(client)

    assert {got.status for got in ended} == {200}
    assert {line["fault"] for line in client.journal} == {None}


async def test_the_same_seed_meets_the_same_faults_in_any_order() -> None:
    """What happens to the n-th write of a pool does not depend on what else is sent when."""
    options = replace(QUICK, pools=30, seed=7, lost_before=0.2, error_after=0.3, empty=0.2)

    async def faults(order: int, seed: int) -> dict[int, Any]:
        async with asking(replace(options, seed=seed)) as client:
            for _, pool in client.cloud.targets[::order]:
                with suppress(aiohttp.ClientError):
                    await client.create(pool=pool)
            targets = client.cloud.targets
            place = {pool: number for number, (_, pool) in enumerate(targets)}
            return {place[line["pool_name"]]: line["fault"] for line in client.posts}

    forward, backward, other = await faults(1, 7), await faults(-1, 7), await faults(1, 8)

    assert forward == backward
    assert set(forward.values()) == {None, "lost_before", "error_after", "empty"}
    assert forward != other


async def test_a_repeated_write_draws_again() -> None:
    """A rate of one half does not doom half of the pools for ever."""
    options = SimulatorOptions(projects=1, pools=10, error_before=0.5)
    async with asking(options) as client:
        for _ in range(16):
            await each_pool(client)
        applied = {line["pool_name"] for line in client.posts if line["applied"]}

    assert len(applied) == 10


async def test_reads_are_spared_by_write_faults() -> None:
    """Only the rate for reads touches reads."""
    async with failing(lost_before=1.0) as client:
        got = await client.get(client.plugins_path())

    assert orjson.loads(got.body)["items"] == []


async def test_patch_and_delete_are_writes_too() -> None:
    """The other two calls that change something lose their answers in the same way."""
    async with failing(site="eu") as client:
        await client.settled("1.6.36")
        client.cloud.change(lost_after=1.0)
        with pytest.raises(aiohttp.ClientOSError):
            await client.patch({"version": "1.6.64"}, "application/merge-patch+json")
        client.clock.advance(30)
        patched = client.cloud.installed(client.project, client.pool)[DNS].version
        with pytest.raises(aiohttp.ClientOSError):
            await client.ask("DELETE", f"{client.plugins_path()}/{DNS}")
        deleting = client.cloud.installed(client.project, client.pool)[DNS].phase

    assert (patched, deleting) == ("1.6.64", "Deleting")
