"""plugwave on a kind of work: `enqueue` the jobs, then `work` until the queue is empty.

    python -m benchmarks.ours enqueue|work STORE_URL JOBS WORK URL [--profile] [--count]

Each phase is a process of its own, so that the worker's memory and CPU are the worker's alone.
`work` measures from before the store is opened until everything is recorded and reported: all
threads, claims, intents, history, limiter, logs.  With ``--profile`` it also says where the CPU
went (`profiling`), with ``--count`` what the store was asked (`counting`); both cost time
themselves, so those runs give no other figures.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import anyio

from benchmarks.counting import counted
from benchmarks.processes import peak_mb
from benchmarks.profiling import sampled
from benchmarks.works import ALL, BODY, PROJECT, Work
from config.logs import configure
from config.settings import Settings
from jobs.model import JobRequest
from jobs.requests import parse_request
from worker import app
from worker.stores import opened_store

BATCH = 1000
PROJECTS = 10


def settings_for(store: str, work: Work, base: str) -> Settings:
    """Return the settings: the defaults but for speed, endpoint and how soon to look.

    The limiter runs with a rate that does not bind and without the allowance for a network.
    """
    return Settings.model_validate(
        {
            "store": {"url": store},
            "cloud": {
                "endpoint": base,
                "auth": "none",
                "rate": 10_000,
                "jitter": 0,
                "max_in_flight": 64,
                "poll_first": work.poll_first,
                "poll_max": "30s",
                "read_first": work.read_first,
            },
            "worker": {"slots": 20_000},
        }
    )


def requests(
    work: Work, first: int, last: int, run: str, *, version: str | None = None
) -> list[JobRequest]:
    """Return the job requests *first* to *last* of one run; *version*: another than the usual."""
    template: dict[str, Any] = json.loads(BODY)["spec"]["template"]
    template["version"] = version or template["version"]
    return [
        parse_request(
            {
                "project_id": f"{PROJECT[:-1]}{number % PROJECTS}",
                "pool_name": f"{work.pool}-{run}-{number}",
                "plugin": {**template, "base": work.base},
                "idempotency_key": f"{run}-{number}",
            },
            source="benchmark",
        )
        for number in range(first, last)
    ]


async def enqueue(settings: Settings, jobs: int, work: Work) -> dict[str, float]:
    """Store the jobs in batches of BATCH."""
    run = str(time.monotonic_ns())
    before, cpu = time.monotonic(), time.process_time()
    async with opened_store(settings.store) as store:
        for first in range(0, jobs, BATCH):
            await store.enqueue(requests(work, first, min(first + BATCH, jobs), run))
    return {"cpu": time.process_time() - cpu, "wall": time.monotonic() - before}


async def work_off(settings: Settings, jobs: int) -> dict[str, float]:
    """Work until the queue is empty."""
    worker = app.Work(settings, slots=None, until_empty=True)
    before, cpu = time.monotonic(), time.process_time()
    await worker.run()
    told = worker.statistics()
    assert sum(told.ended.values()) == jobs, told.ended
    return {
        "cpu": time.process_time() - cpu,
        "wall": time.monotonic() - before,
        "calls": told.calls,
        "rss_mb": peak_mb(),
    }


async def main(asked: argparse.Namespace) -> None:
    """Do what was asked and print the figures as JSON."""
    work = ALL[asked.work]
    settings = settings_for(asked.store, work, asked.url)
    if asked.phase == "enqueue":
        print(json.dumps(await enqueue(settings, asked.jobs, work)))
        return
    with tempfile.TemporaryDirectory() as folder, (Path(folder) / "log").open("w") as log:
        configure(settings.logs, stream=log)
        told: dict[str, Any] = {}
        with sampled(asked.profile) as parts, counted(asked.count) as counts:
            told |= await work_off(settings, asked.jobs)
        told["parts"], told["counts"] = parts, counts
    print(json.dumps(told))


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("phase", choices=("enqueue", "work"))
    parser.add_argument("store")
    parser.add_argument("jobs", type=int)
    parser.add_argument("work", choices=ALL)
    parser.add_argument("url")
    parser.add_argument("--profile", action="store_true")
    parser.add_argument("--count", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    anyio.run(main, arguments(), backend_options={"use_uvloop": True})
