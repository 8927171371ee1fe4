"""Start, ready, stop: what the command runs."""

import socket
from pathlib import Path

import aiohttp
import anyio
import pytest

from jobs.errors import ConfigError
from worker.simulator import Simulator, SimulatorOptions, serve


async def test_serve_says_when_it_is_ready_and_stops_when_told(tmp_path: Path) -> None:
    """The URL works until `stop` is set; a second later the port is free."""
    stop, ready = anyio.Event(), anyio.Event()
    urls: list[str] = []

    def on_ready(url: str) -> None:
        urls.append(url)
        ready.set()

    async def run() -> None:
        file = tmp_path / "journal.jsonl"
        simulator = Simulator(SimulatorOptions(), journal=file)
        await serve(simulator, "127.0.0.1", 0, stop=stop, on_ready=on_ready)

    with anyio.fail_after(2):
        async with anyio.create_task_group() as group, aiohttp.ClientSession() as session:
            group.start_soon(run)
            await ready.wait()
            async with session.get(f"{urls[0]}/_sim/fleet") as answer:
                status = answer.status
            stop.set()
    port = int(urls[0].rsplit(":", 1)[1])
    with socket.socket() as again:
        again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        again.bind(("127.0.0.1", port))

    assert status == 200


async def test_a_port_in_use_is_a_clear_error() -> None:
    """It names the address; nothing is left open."""
    async with Simulator() as first:
        port = int(first.url.rsplit(":", 1)[1])
        second = Simulator()
        with pytest.raises(ConfigError, match=f"cannot listen on 127.0.0.1:{port}"):
            await second.start("127.0.0.1", port)
        await second.stop()


async def test_a_wildcard_address_is_told_as_one_that_can_be_used() -> None:
    """Nobody can connect to 0.0.0.0."""
    simulator = Simulator()
    await simulator.start("0.0.0.0")
    await simulator.stop()

    assert simulator.url.startswith("http://127.0.0.1:")


async def test_stop_ends_idle_connections_at_once() -> None:
    """A client that keeps its connection open does not hold it up."""
    async with aiohttp.ClientSession() as session:
        simulator = Simulator()
        await simulator.start()
        async with session.get(f"{simulator.url}/_sim/fleet") as answer:
            await answer.read()

        with anyio.fail_after(1):
            await simulator.stop()


@pytest.mark.slow
async def test_stop_ends_a_request_that_never_becomes_complete() -> None:
    """Half a request does not hold it up either; 1 s at most."""
    simulator = Simulator()
    await simulator.start()
    port = int(simulator.url.rsplit(":", 1)[1])
    stream = await anyio.connect_tcp("127.0.0.1", port)
    async with stream:
        await stream.send(b"POST /v2/x HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n12")

        with anyio.fail_after(1):
            await simulator.stop()


async def test_stop_may_be_repeated() -> None:
    """The second one has nothing to do."""
    simulator = Simulator()
    await simulator.start()
    await simulator.stop()
    await simulator.stop()

    assert simulator.journal.entries() == []
