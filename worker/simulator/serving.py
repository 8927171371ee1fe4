"""Run a simulator until told to stop; what ``plugwave simulate`` does."""

from collections.abc import Callable

import anyio

from worker.simulator.server import Simulator


async def serve(
    simulator: Simulator,
    host: str,
    port: int,
    *,
    stop: anyio.Event,
    on_ready: Callable[[str], None],
) -> None:
    """Listen on *host* and *port* until *stop* is set.

    Args:
        simulator: How the cloud behaves, who may ask, and where its journal goes.
        host: Where to listen.
        port: The port; 0 takes a free one.
        stop: Set it to end; the port is closed within a second.
        on_ready: Called once with the URL, when requests are taken.

    Raises:
        ConfigError: If nothing can listen there.
    """
    try:
        await simulator.start(host, port)
        on_ready(simulator.url)
        await stop.wait()
    finally:
        # Bounded by the simulator's own grace.
        with anyio.CancelScope(shield=True):
            await simulator.stop()
