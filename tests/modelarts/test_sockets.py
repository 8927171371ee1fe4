"""Connections that are cut: nothing unsent leaves, and a closed one is no trouble."""

import asyncio
import socket
from collections.abc import Callable

import anyio
import pytest
import uvloop

from worker.modelarts.sockets import discard


@pytest.mark.parametrize(
    "loops", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"]
)
def test_a_connection_that_the_other_side_has_reset_may_be_cut_again(
    loops: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    """Cutting comes after every lost answer, also when there is no socket left to cut."""
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        asyncio.Runner(loop_factory=loops) as runner,
    ):

        async def reset() -> bool:
            gone = anyio.Event()

            class Waits(asyncio.Protocol):
                def connection_lost(self, exc: Exception | None) -> None:
                    gone.set()

            loop = asyncio.get_running_loop()
            transport, _ = await loop.create_connection(Waits, *server.getsockname())
            peer, _ = server.accept()
            discard(transport)
            await gone.wait()
            peer.close()
            discard(transport)
            return transport.is_closing()

        assert runner.run(reset())
