"""plugwave on the same work: enqueue, then one worker process until the queue is empty.

    python -m benchmarks.walk URL JOBS full|post FOLDER

`full` reads, sends and looks; `post` has an empty base and reads only when unsure, and each
job still looks until it has proof: there is no mode in which plugwave does not verify.
Prints JSON: CPU seconds (all threads), wall seconds, requests, memory in MB.
"""

import json
import resource
import sys
import time
from pathlib import Path

import anyio

from config.logs import configure
from config.settings import Settings
from jobs.model import InputsBase
from jobs.requests import parse_request
from worker.app import Work
from worker.stores import opened_store


async def main(base: str, jobs: int, mode: str, folder: str) -> None:
    """Queue the jobs, then measure the worker alone."""
    name = f"{mode}-{time.monotonic_ns()}"
    settings = Settings.model_validate(
        {
            "store": {"url": f"sqlite:///{folder}/{name}.db"},
            "cloud": {
                "endpoint": base,
                "auth": "none",
                "rate": 10_000,
                "max_in_flight": 64,
                "poll_first": "0.2s",
                "read_first": "always" if mode == "full" else "when-unsure",
            },
            "worker": {"slots": 2048},
        }
    )
    log = (Path(folder) / f"{name}.log").open("w")
    configure(settings.logs, stream=log)
    start = "current" if mode == "full" else InputsBase.EMPTY.value
    async with opened_store(settings.store) as store:
        for first in range(0, jobs, 1000):
            await store.enqueue(
                [
                    parse_request(
                        {
                            "project_id": f"{number % 10:032x}",
                            "pool_name": f"{name}-{number}",
                            "plugin": {
                                "name": "node-local-dns",
                                "version": "1.6.36",
                                "base": start,
                            },
                            "idempotency_key": f"{name}-{number}",
                        },
                        source="benchmark",
                    )
                    for number in range(first, min(first + 1000, jobs))
                ]
            )
    work = Work(settings, slots=None, until_empty=True)
    before, cpu = time.monotonic(), time.process_time()
    await work.run()
    told = work.statistics()
    assert sum(told.ended.values()) == jobs, told.ended
    print(
        json.dumps(
            {
                "cpu": time.process_time() - cpu,
                "wall": time.monotonic() - before,
                "calls": told.calls,
                "rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            }
        )
    )
    log.close()


if __name__ == "__main__":
    anyio.run(
        main,
        sys.argv[1],
        int(sys.argv[2]),
        sys.argv[3],
        sys.argv[4],
        backend_options={"use_uvloop": True},
    )
