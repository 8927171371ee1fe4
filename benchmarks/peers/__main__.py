"""One phase of one peer: `python -m benchmarks.peers NAME enqueue|work ADDRESS JOBS URL`.

Prints JSON: CPU and wall seconds, memory; for `work` the wall ends with the last answer, the CPU
with the worker.
"""

import json
import sys
import time
from importlib import import_module

import anyio

from benchmarks.peers.posting import Poster
from benchmarks.processes import peak_mb


async def main(name: str, phase: str, address: str, jobs: int, url: str) -> None:
    """Run the phase and print its figures."""
    peer = import_module(f"benchmarks.peers.on_{name}")
    poster = Poster(url, jobs)
    before, cpu = time.monotonic(), time.process_time()
    if phase == "enqueue":
        await peer.enqueue(address, jobs)
    else:
        await peer.work(address, poster)
        assert poster.done, "jobs were left"
    told = {
        "cpu": time.process_time() - cpu,
        "wall": poster.wall or time.monotonic() - before,
        "rss_mb": peak_mb(),
    }
    print(json.dumps(told), flush=True)


if __name__ == "__main__":
    anyio.run(
        main,
        sys.argv[1],
        sys.argv[2],
        sys.argv[3],
        int(sys.argv[4]),
        sys.argv[5],
        backend_options={"use_uvloop": True},
    )
