"""The whole comparison: interleaved rounds of the bare loop, plugwave and the peers.

In a round every worker runs once, one after the other, against the same server, and each is
compared with the bare loop that ran last before it.  Profiles and counts are runs of their own
at the end, because looking costs time.
"""

import argparse
import os
import platform
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec
from statistics import quantiles
from typing import Final

from benchmarks.figures import OURS, PEERS, Results, Row
from benchmarks.processes import Figures, MeasurementError, measured
from benchmarks.rounds import Bench, bare, bench, ours, pattern_of
from benchmarks.services import MissingError, nats, redis
from benchmarks.works import POST, SEND, SETTLE, WALK, Work

JOBS: Final = {"post": 3000, "send": 2000, "walk": 2000}
SETTLING_JOBS: Final = 500
LOOPS: Final = 3
"""The bare loop does so many times the jobs: it is much sooner done, and its noise is in every
ratio."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what can be asked."""
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--jobs", type=int, help="jobs of every kind of work, for a trial")
    parser.add_argument("--no-peers", action="store_true", help="plugwave and the bare loop alone")


@dataclass(slots=True)
class Run:
    """A run in progress."""

    place: Bench
    results: Results
    jobs: dict[str, int]
    bare_us: dict[str, float] = field(default_factory=dict)
    """What the bare loop needed last, by requests, in microseconds of CPU a job."""

    def say(self, text: str) -> None:
        """Tell how it goes."""
        print(text, file=sys.stderr, flush=True)

    def bare(self, work: Work, pattern: str) -> float:
        """Measure the bare loop on *pattern*, and remember it as this round's measure."""
        jobs = self.jobs[work.name]
        told = bare(self.place, LOOPS * jobs, work, pattern)
        told["cpu"] /= LOOPS
        told["wall"] /= LOOPS
        self.bare_us[f"{work.name} {pattern}"] = told["cpu"] / jobs * 1e6
        row = self._row("bare aiohttp loop", work, jobs)
        self._add(row, told, self.bare_us[f"{work.name} {pattern}"])
        return self.bare_us[f"{work.name} {pattern}"]

    def ours(self, work: Work, engine: str) -> None:
        """Measure plugwave on one engine, then the bare loop on what it really asked."""
        jobs = self.jobs[work.name]
        told = ours(self.place, jobs, work, engine)
        row = self._row(OURS[engine], work, jobs)
        self._add(row, told, self.bare(work, pattern_of(work, told["requests"])))
        self.say(f"  {row.who}, {work.title}: {row.ratio[-1]:.2f} x bare")

    def peer(self, name: str) -> None:
        """Measure a peer on POST-only work; leave it out with a line when it is not here."""
        if find_spec(name) is None:
            self._leave_out(name, "its package is not installed (make bench installs it)")
            return
        try:
            with ExitStack() as stack:
                told = self._peer(name, stack)
        except (MissingError, MeasurementError) as error:
            self._leave_out(name, str(error).splitlines()[-1])
            return
        row = self._row(PEERS[name], POST, self.jobs[POST.name])
        self._add(row, told, self.bare_us[f"{POST.name} {POST.pattern}"])
        self.say(f"  {row.who}: {row.ratio[-1]:.2f} x bare")

    def _peer(self, name: str, stack: ExitStack) -> Figures:
        needs: str = import_module(f"benchmarks.peers.on_{name}").NEEDS
        if needs == "postgres":
            address = self.place.postgres().database()
        else:
            port, pid = stack.enter_context(redis() if needs == "redis" else nats())
            self.place.pids[needs] = pid
            stack.callback(self.place.pids.pop, needs)
            address = f"{needs}://127.0.0.1:{port}"
        common = (address, str(self.jobs[POST.name]), self.place.url)
        filled = measured(sys.executable, "benchmarks.peers", name, "enqueue", *common)
        told: Figures = {"enqueue_wall": filled["wall"], "requests": 1}
        with self.place.meter.reading(told):
            told |= measured(sys.executable, "benchmarks.peers", name, "work", *common)
        told["server_busy"] = told["server_cpu"] / told["wall"]
        told["service_cpu"] = told[f"{needs}_cpu"]
        return told

    def _leave_out(self, name: str, why: str) -> None:
        line = f"{PEERS[name]} was left out: {why}"
        if line not in self.results.missing:
            self.results.missing.append(line)
            self.say(f"  {line}")

    def _row(self, who: str, work: Work, jobs: int) -> Row:
        row = self.results.row(who, work.name)
        if row is None:
            row = Row(who=who, work=work.name, jobs=jobs)
            self.results.rows.append(row)
        return row

    @staticmethod
    def _add(row: Row, told: Figures, bare_us: float) -> None:
        cpu_us = told["cpu"] / row.jobs * 1e6
        row.requests.append(told["requests"])
        row.cpu_us.append(cpu_us)
        row.bare_us.append(bare_us)
        row.ratio.append(cpu_us / bare_us)
        row.rate.append(row.jobs / told["wall"])
        row.rss_mb.append(told["rss_mb"])
        row.server_busy.append(told["server_busy"])
        if "enqueue_wall" in told:
            row.enqueue.append(row.jobs / told["enqueue_wall"])
        service = told.get(
            "service_cpu", told.get("postgres_cpu") if "PostgreSQL" in row.who else None
        )
        if service is not None:
            row.service_us.append(service / row.jobs * 1e6)

    def looked_into(self, work: Work, engine: str) -> None:
        """Say where plugwave's CPU goes and what its store is asked, in runs of their own."""
        jobs = self.jobs[work.name]
        key = f"{work.name}/{engine}"
        told = ours(self.place, jobs, work, engine, "--profile")
        self.results.parts[key] = {
            part: seconds / jobs * 1e6 for part, seconds in told["parts"].items()
        }
        told = ours(self.place, jobs, work, engine, "--count")
        self.results.counts[key] = {name: count / jobs for name, count in told["counts"].items()}
        self.results.counts[key]["requests"] = told["requests"]
        self.results.counts[key] |= {
            kind: told["book"][kind] / jobs for kind in ("reads", "sends", "looks")
        }
        self.say(f"  {key}: looked into")

    def settling(self, jobs: int) -> None:
        """Say how often plug-ins that settle late are looked at, and how late the last time."""
        book = ours(self.place, jobs, SETTLE, "sqlite")["book"]
        sooner_s, late_s, later_s = quantiles(book["late_s"].values(), n=4)
        self.results.settling = {
            "jobs": jobs,
            **{kind: book[kind] / jobs for kind in ("reads", "sends", "looks")},
            "sooner_s": sooner_s,
            "late_s": late_s,
            "later_s": later_s,
            "latest_s": max(book["late_s"].values()),
        }
        self.say("  watched plug-ins that settle late")


def engines(run: Run) -> list[str]:
    """Return the engines that can be measured here."""
    try:
        run.place.postgres()
    except MissingError as error:
        run.results.missing.append(f"{OURS['postgres']} was left out: {error}")
        return ["sqlite"]
    return ["sqlite", "postgres"]


def made(rounds: int) -> dict[str, object]:
    """Say where and how the run was made; no name of a machine."""
    return {
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "rounds": rounds,
        "load_before": os.getloadavg()[0],
        "date": time.strftime("%Y-%m-%d"),
    }


def measure(asked: argparse.Namespace) -> Results:
    """Run every round and return the figures."""
    results = Results(made=made(asked.rounds))
    jobs = dict.fromkeys(JOBS, asked.jobs) if asked.jobs else JOBS
    with bench() as place:
        run = Run(place, results, jobs)
        there = engines(run)
        for number in range(1, asked.rounds + 1):
            run.say(f"round {number} of {asked.rounds}")
            for work in (POST, SEND, WALK):
                for engine in there:
                    run.ours(work, engine)
            run.bare(POST, POST.pattern)
            for name in () if asked.no_peers else PEERS:
                run.peer(name)
        run.say("looking into it")
        for work in (POST, WALK):
            for engine in there:
                run.looked_into(work, engine)
        run.settling(asked.jobs or SETTLING_JOBS)
    return results
