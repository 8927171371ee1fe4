"""One round: the bare loop and one worker, one after the other, against the same server.

Whatever spoils the machine in that minute spoils both, so figures are compared within a round
and only the ratios of several rounds are put together.
"""

import json
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.request import urlopen

from benchmarks.processes import Figures, Meter, measured, server, stay_aside
from benchmarks.services import Postgres, postgres
from benchmarks.works import Work


@dataclass(slots=True)
class Bench:
    """The servers of a run."""

    url: str
    meter: Meter
    folder: Path
    stack: ExitStack
    database: Postgres | None = None
    made: int = 0
    pids: dict[str, int] = field(default_factory=dict)

    def postgres(self) -> Postgres:
        """Return the run's PostgreSQL, started when it is first asked for.

        Raises:
            MissingError: If there is none.
        """
        if self.database is None:
            self.database = self.stack.enter_context(postgres())
            self.pids["postgres"] = self.database.pid
        return self.database

    def store(self, engine: str) -> str:
        """Return the address of a new, empty store."""
        if engine == "postgres":
            return self.postgres().database()
        self.made += 1
        return f"sqlite:///{self.folder}/store-{self.made}.db"


@contextmanager
def bench() -> Iterator[Bench]:
    """Start the server beside the measured core."""
    stay_aside()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pwbench-")))
        url, pid = stack.enter_context(server(folder))
        pids = {"server": pid}
        yield Bench(url, Meter(pids), folder, stack, pids=pids)


def book(place: Bench) -> Figures:
    """Return what the cloud was asked since the last time, by its own count."""
    with urlopen(f"{place.url}/book") as answer:
        told: Figures = json.load(answer)
        return told


def bare(place: Bench, jobs: int, work: Work, pattern: str | None = None) -> Figures:
    """Measure the bare loop; CPU a request and how busy the server was are added."""
    told: Figures = {}
    asked = pattern or work.pattern
    with place.meter.reading(told):
        told |= measured(sys.executable, "benchmarks.bare", place.url, str(jobs), asked, work.pool)
    told["requests"] = len(asked)
    told["server_busy"] = told["server_cpu"] / told["wall"]
    return told


def ours(place: Bench, jobs: int, work: Work, engine: str, *options: str) -> Figures:
    """Measure plugwave: enqueue in one process, work in another."""
    store = place.store(engine)
    common = (store, str(jobs), work.name, place.url)
    filled = measured(sys.executable, "benchmarks.ours", "enqueue", *common)
    before = place.postgres().asked(store) if engine == "postgres" and "--count" in options else {}
    told: Figures = {"enqueue_wall": filled["wall"]}
    book(place)
    with place.meter.reading(told):
        told |= measured(sys.executable, "benchmarks.ours", "work", *common, *options)
    if before:
        after = place.postgres().asked(store)
        told["counts"] |= {key: after[key] - before[key] for key in before}
    told["requests"] = told["calls"] / jobs
    told["book"] = book(place)
    told["server_busy"] = told["server_cpu"] / told["wall"]
    return told


def pattern_of(work: Work, requests: float) -> str:
    """Return what the bare loop must ask when a job really made that many requests."""
    return (work.pattern + "G" * 20)[: max(1, round(requests))]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A worker and the bare loop of its round."""

    mine: Figures
    loop: Figures
    jobs: int

    @property
    def ratio(self) -> float:
        """CPU a request of the worker over that of the bare loop."""
        return self.cpu_us / self.bare_us

    @property
    def cpu_us(self) -> float:
        """The worker's CPU, in microseconds a request."""
        return float(self.mine["cpu"] / (self.jobs * self.mine["requests"]) * 1e6)

    @property
    def bare_us(self) -> float:
        """The bare loop's CPU, in microseconds a request."""
        return float(self.loop["cpu"] / (self.jobs * self.loop["requests"]) * 1e6)


def pair(place: Bench, jobs: int, work: Work, engine: str, *options: str) -> Pair:
    """Measure plugwave and the bare loop on the same requests."""
    mine = ours(place, jobs, work, engine, *options)
    loop = bare(place, jobs, work, pattern_of(work, mine["requests"]))
    time.sleep(0.1)
    return Pair(mine=mine, loop=loop, jobs=jobs)
