"""Whole workers: how much memory one takes, and how soon a killed one is missed.

    python -m benchmarks.storing.lives memory|work STORE URL

`memory` works until it watches WATCHED jobs (or for MOST_S) and prints its memory; `work` works
until it is killed.  `recoveries` kills workers and watches the store from outside: the time from
the kill until no job is in the dead one's hands any more.
"""

import io
import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Final

import anyio

from benchmarks.ours import BATCH, requests, settings_for
from benchmarks.processes import ROOT, on_measured_core, peak_mb
from benchmarks.works import SEND
from config.logs import configure
from config.settings import Settings
from jobs.states import JobState
from jobs.store.protocol import Store
from worker.app import Work
from worker.stores import opened_store

WATCHED: Final = 10_000
MOST_S: Final = 90.0
KILLED_WITH: Final = 300
"""Jobs that a worker must have in hand before it is killed."""

KEPT_BUSY: Final = 2_000
"""Jobs for each worker that is killed."""

PATIENCE_S: Final = 60.0


def _settings(store: str, url: str) -> Settings:
    """Return settings with which jobs are watched long and many at a time."""
    made = settings_for(store, SEND, url)
    cloud = made.cloud.model_copy(update={"poll_first": 300.0, "poll_max": 300.0})
    worker = made.worker.model_copy(update={"slots": WATCHED})
    return made.model_copy(update={"cloud": cloud, "worker": worker})


async def memory(store: str, url: str) -> dict[str, float]:
    """Work until WATCHED jobs are watched, or all there are, and say what that took."""
    worker = Work(_settings(store, url), slots=None, until_empty=False)
    until = time.monotonic() + MOST_S
    watched, wanted = 0, WATCHED
    async with opened_store(_settings(store, url).store) as opened:
        wanted = min(WATCHED, await opened.open_jobs())
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(worker.run)
        while watched < wanted and time.monotonic() < until:
            await anyio.sleep(1.0)
            states = [one.state for one in worker.statistics().in_hand]
            watched = states.count(JobState.WATCHING)
        told = {"watched": watched, "rss_mb": peak_mb()}
        worker.kill()
    return told


@contextmanager
def working(store: str, url: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a worker process; it is killed at the end if nobody did so before."""
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.storing.lives", "work", store, url],
        cwd=ROOT,
        preexec_fn=on_measured_core,  # noqa: PLW1509 - it makes one system call
        stderr=subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


async def _in_hands(store: Store, pid: int) -> int:
    name = f"{socket.gethostname()}-{pid}"
    return sum(row.jobs for row in await store.workers() if row.info.name == name)


async def _until(store: Store, pid: int, *, few: int, many: int) -> float:
    """Wait until the worker has between *few* and *many* jobs; return the seconds it took."""
    begun = time.monotonic()
    while not few <= await _in_hands(store, pid) <= many:
        if time.monotonic() - begun > PATIENCE_S:
            raise TimeoutError(f"a worker never had {few} to {many} jobs in hand")
        await anyio.sleep(0.01)
    return time.monotonic() - begun


async def recoveries(address: str, url: str, times: int) -> dict[str, list[float]]:
    """Kill a worker again and again; return the seconds until its jobs were freed.

    ``standby``: another worker runs all the while.  ``restart``: none does, and a new process is
    started at once; its start is part of the time.  Each has jobs of its own, because a worker
    that takes another's jobs over looks at once and so may end them.
    """
    found: dict[str, list[float]] = {"standby": [], "restart": []}
    async with opened_store(_settings(address, url).store) as store:
        for _ in range(times):
            async with _busy(store, address, url) as victim, _standby(store, address, url):
                victim.send_signal(signal.SIGKILL)
                found["standby"].append(await _until(store, victim.pid, few=0, many=0))
            async with _busy(store, address, url) as victim:
                victim.send_signal(signal.SIGKILL)
                victim.wait()
                with working(address, url):
                    found["restart"].append(await _until(store, victim.pid, few=0, many=0))
    return found


@asynccontextmanager
async def _busy(store: Store, address: str, url: str) -> AsyncIterator[subprocess.Popen[bytes]]:
    """Run a worker that has new jobs in hand."""
    run = str(time.monotonic_ns())
    for first in range(0, KEPT_BUSY, BATCH):
        await store.enqueue(requests(SEND, first, first + BATCH, run))
    with working(address, url) as worker:
        await _until(store, worker.pid, few=KILLED_WITH, many=WATCHED)
        yield worker


@asynccontextmanager
async def _standby(store: Store, address: str, url: str) -> AsyncIterator[None]:
    """Run another worker that finds nothing to do."""
    with working(address, url) as other:
        await _registered(store, other.pid)
        yield


async def _registered(store: Store, pid: int) -> None:
    """Wait until a worker has introduced itself; it does so in another process."""
    name, registered = f"{socket.gethostname()}-{pid}", False
    with anyio.fail_after(PATIENCE_S):
        while not registered:
            registered = name in {row.info.name for row in await store.workers()}
            await anyio.sleep(0.01)


class _Nowhere(io.StringIO):
    """Takes log lines and keeps none, so that they are no memory of the worker."""

    def write(self, text: str) -> int:
        return len(text)


async def main(what: str, store: str, url: str) -> None:
    """Be a worker, and print the figures where there are some."""
    settings = _settings(store, url)
    configure(settings.logs, stream=_Nowhere())
    if what == "memory":
        print(json.dumps(await memory(store, url)))
    else:
        await Work(settings, slots=None, until_empty=False).run()


if __name__ == "__main__":
    anyio.run(main, sys.argv[1], sys.argv[2], sys.argv[3], backend_options={"use_uvloop": True})
