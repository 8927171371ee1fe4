"""Run a simulator until told to stop; what ``plugwave simulate`` does."""

from collections.abc import Callable
from pathlib import Path

import anyio

from worker.simulator.options import SimulatorOptions
from worker.simulator.server import Simulator


async def serve(
    options: SimulatorOptions,
    host: str,
    port: int,
    *,
    journal: Path | None,
    stop: anyio.Event,
    on_ready: Callable[[str], None],
) -> None:
    """Listen on *host* and *port* until *stop* is set.

    Args:
        options: How the cloud behaves.
        host: Where to listen.
        port: The port; 0 takes a free one.
        journal: The file to write the journal to; None keeps it in memory.
        stop: Set it to end; the port is closed within a second.
        on_ready: Called once with the URL, when requests are taken.

    Raises:
        ConfigError: If nothing can listen there.
    """
    simulator = Simulator(options, journal=journal)
    try:
        await simulator.start(host, port)
        on_ready(simulator.url)
        await stop.wait()
    finally:
        # Bounded by the simulator's own grace.
        with anyio.CancelScope(shield=True):
            await simulator.stop()
