"""The two servers that are compared, each in a process of its own.

    python -m benchmarks.intake.doors bare|plugwave STORE PORT_FILE

*bare* is an aiohttp handler that reads a body, parses it as JSON and answers 202: what no
server on aiohttp is faster than.  *plugwave* does what `plugwave serve` does.  Each ends with
SIGTERM and prints the CPU that it has used and how many calls it answered.
"""

import itertools
import json
import resource
import signal
import sys
from functools import partial
from pathlib import Path
from typing import Final

import anyio
import orjson
from aiohttp import web

from benchmarks.processes import peak_mb
from config.logs import configure
from config.settings import LogSettings, Settings
from jobs.clock import SystemClock
from jobs.requests import NO_DEFAULTS
from worker.api.serving import rooms_of, serving
from worker.contact import discovering
from worker.garbage import collected_rarely
from worker.stores import opened_store

ANSWER: Final = orjson.dumps({"job": "job-1", "deduplicated": False})


async def _bare(request: web.BaseRequest) -> web.StreamResponse:
    orjson.loads(await request.read())
    return web.Response(status=202, body=ANSWER, content_type="application/json")


async def _until_told() -> None:
    with anyio.open_signal_receiver(signal.SIGTERM) as received:
        async for _ in received:
            return


async def bare(port_file: Path) -> None:
    """Serve the bare handler."""
    runner = web.ServerRunner(web.Server(_bare, access_log=None))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, backlog=1024).start()
    port_file.write_text(str(runner.addresses[0][1]))
    await _until_told()
    await runner.cleanup()


async def plugwave(store_url: str, port_file: Path) -> None:
    """Serve the interface as `plugwave serve` does."""
    settings = Settings.model_validate(
        {
            "store": {"url": store_url},
            "server": {"listen": "127.0.0.1:0", "connections_per_address": 1000},
        }
    )
    clock = SystemClock()
    with collected_rarely():
        async with opened_store(settings.store, clock) as store:
            rooms = rooms_of(
                settings,
                store,
                clock,
                defaults=NO_DEFAULTS,
                contact=partial(discovering, settings, store, clock),
                version="0",
            )
            numbers = itertools.count()
            async with serving(rooms, lambda: f"{next(numbers):016x}") as server:
                port_file.write_text(server.url.rpartition(":")[2])
                await _until_told()


def main() -> None:
    """Serve until SIGTERM, then tell."""
    subject, store_url, port_file = sys.argv[1], sys.argv[2], Path(sys.argv[3])
    ours = partial(plugwave, store_url, port_file)
    serve = partial(bare, port_file) if subject == "bare" else ours
    configure(LogSettings(), stream=sys.stderr)
    anyio.run(serve, backend_options={"use_uvloop": True})
    used = resource.getrusage(resource.RUSAGE_SELF)
    print(json.dumps({"cpu_s": used.ru_utime + used.ru_stime, "peak_mb": peak_mb()}))


if __name__ == "__main__":
    main()
