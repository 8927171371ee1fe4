"""What it costs to watch ten thousand pools: memory, CPU between looks, and requests a round.

    python -m benchmarks.watched [POOLS]

Each pool gets a send that the cloud accepts and that never comes to its end, so one worker
watches all of them and looks at each once in INTERVAL_S.  Measured are a quiet stretch, in
which no look is due, and then one whole round of looks.
"""

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

import anyio

from benchmarks.ours import BATCH, requests, settings_for
from benchmarks.processes import Figures, measured, peak_mb
from benchmarks.rounds import bench
from benchmarks.works import SEND
from config.logs import configure
from config.settings import Settings
from jobs.model import JobRequest
from jobs.states import JobState
from worker.app import Work
from worker.stores import opened_store

POOLS: Final = 10_000
INTERVAL_S: Final = 60.0
QUIET_S: Final = 15.0
MOST_START_S: Final = 40.0
"""All sends must be done in this time, so that a quiet stretch is left before the first look."""


def _settings(store: str, url: str, pools: int) -> Settings:
    made = settings_for(store, SEND, url)
    looks = {"poll_first": INTERVAL_S, "poll_factor": 1.0, "poll_max": INTERVAL_S}
    cloud = made.cloud.model_copy(update={**looks, "rate": 2_000.0})
    worker = made.worker.model_copy(update={"slots": pools})
    return made.model_copy(update={"cloud": cloud, "worker": worker})


def _never_reached(first: int, last: int, run: str) -> list[JobRequest]:
    """Return jobs whose wanted version the server never shows."""
    return requests(SEND, first, last, run, version="1.6.37")


async def _measure(settings: Settings, pools: int) -> dict[str, Any]:
    async with opened_store(settings.store) as store:
        for first in range(0, pools, BATCH):
            await store.enqueue(_never_reached(first, min(first + BATCH, pools), "watched"))
    worker = Work(settings, slots=None, until_empty=False)
    told: dict[str, Any] = {"pools": pools}
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(worker.run)
        began = time.monotonic()
        for _ in range(round(MOST_START_S)):
            if worker.statistics().calls >= pools:
                break
            await anyio.sleep(1.0)
        sent_s = time.monotonic() - began
        await anyio.sleep(1.0)
        quiet = await _stretch(worker, QUIET_S)
        assert quiet["calls"] == 0, "a look fell into the quiet stretch"
        await anyio.sleep(max(0.0, began + INTERVAL_S - 1.0 - time.monotonic()))
        looks = await _stretch(worker, sent_s + 6.0)
        states = {one.state for one in worker.statistics().in_hand}
        assert states == {JobState.WATCHING}, states
        told |= {
            "sent_s": sent_s,
            "quiet_cpu": quiet["cpu"] / QUIET_S,
            "calls_a_round": looks["calls"],
            "look_cpu_us": looks["cpu"] / max(looks["calls"], 1) * 1e6,
            "rss_mb": peak_mb(),
        }
        worker.kill()
    return told


async def _stretch(worker: Work, seconds: float) -> dict[str, float]:
    """Return the requests and the CPU seconds of a stretch of time."""
    calls, cpu = worker.statistics().calls, time.process_time()
    await anyio.sleep(seconds)
    used = time.process_time() - cpu  # before the statistics, which sort ten thousand
    return {"calls": worker.statistics().calls - calls, "cpu": used}


async def _work(store: str, url: str, pools: int) -> None:
    settings = _settings(store, url, pools)
    with tempfile.TemporaryDirectory() as folder, (Path(folder) / "log").open("w") as log:
        configure(settings.logs, stream=log)
        print(json.dumps(await _measure(settings, pools)))


def line(told: Figures) -> str:
    """Return the figures as a line for people."""
    return (
        f"{told['pools']} pools watched: {told['quiet_cpu']:.1%} of a core between looks, "
        f"{told['calls_a_round'] / told['pools']:.2f} list requests a pool and round, "
        f"{told['look_cpu_us']:.0f} µs CPU a look, {told['rss_mb']:.0f} MB"
    )


def main() -> None:
    """Measure and print."""
    if sys.argv[1:2] == ["work"]:
        store, url, count = sys.argv[2:]
        anyio.run(_work, store, url, int(count), backend_options={"use_uvloop": True})
        return
    pools = int(sys.argv[1]) if len(sys.argv) > 1 else POOLS
    with bench() as place:
        store = place.store("sqlite")
        print(
            line(
                measured(sys.executable, "benchmarks.watched", "work", store, place.url, str(pools))
            )
        )


if __name__ == "__main__":
    main()
