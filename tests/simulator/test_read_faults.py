"""Reads that fail: 500, a reset, or half an answer."""

from dataclasses import replace

import aiohttp

from tests.simulator.asking import QUICK, Client, asking


async def _ending(client: Client, pool: str) -> str:
    try:
        got = await client.get(client.plugins_path(pool))
    except aiohttp.ClientPayloadError:
        return "cut"
    except aiohttp.ClientOSError:
        return "reset"
    return str(got.status)


async def test_every_read_fails_in_one_of_three_ways() -> None:
    """With a rate of 1 no read succeeds, and each way occurs."""
    async with asking(replace(QUICK, pools=30, read_faults=1.0)) as client:
        ended = {await _ending(client, pool) for _, pool in client.cloud.targets}

    assert ended == {"500", "reset", "cut"}
    assert {line["fault"] for line in client.journal} == {"read_error", "read_reset", "read_cut"}


async def test_a_rate_of_one_half_fails_about_half_of_the_reads() -> None:
    """And the other half is whole."""
    async with asking(replace(QUICK, pools=60, read_faults=0.5)) as client:
        ended = [await _ending(client, pool) for _, pool in client.cloud.targets]

    assert 15 <= ended.count("200") <= 45


async def test_the_same_read_asked_again_may_succeed() -> None:
    """A failed read is no state: asking again is drawn again."""
    async with asking(replace(QUICK, read_faults=0.5)) as client:
        ended = {await _ending(client, client.pool) for _ in range(20)}

    assert "200" in ended
    assert len(ended) > 1


async def test_writes_are_spared_by_read_faults() -> None:
    """Only the rates for writes touch writes."""
    async with asking(replace(QUICK, read_faults=1.0)) as client:
        got = await client.create()

    assert got.status == 200
