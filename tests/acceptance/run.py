"""Run the trials in full size and print what they showed.

    python -m tests.acceptance.run --jobs 2000 --kills 30 --rate 100

Exit code 0 when every promise was kept, 1 otherwise.  What each trial left behind (record,
logs, store) stays in the folder that is printed, for a look at a failure.
"""

import argparse
import signal
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import median
from typing import Final

from tests.acceptance import trials
from tests.acceptance.checker import Violation
from tests.acceptance.harness import HarnessError
from tests.acceptance.namespaces import missing
from tests.acceptance.storm import Weather, storm
from tests.acceptance.trials import Outcome, Size
from tests.acceptance.two_hosts import SIZE as TWO_HOSTS_SIZE
from tests.acceptance.two_hosts import two_hosts
from tests.postgres.server import PrivateServer

STORMS: Final[Mapping[str, Weather]] = {
    "postgres": Weather(workers=4, most_frozen=2, outages_s=(0.5, 8.0, 1.0)),
    "sqlite": Weather(workers=2),
    "postgres-recovery": Weather(
        workers=3,
        every_s=6.0,
        lease_s=20.0,
        most_frozen=0,
        most=10,
        first_after_s=20.0,
        found_within_s=3.0,
    ),
    "sqlite-recovery": Weather(
        workers=2, every_s=6.0, lease_s=20.0, most_frozen=0, most=10, found_within_s=1.0
    ),
}
"""Trials with several workers on one store.  The two about recovery only kill, and seldom, so that
somebody is there to notice; free locks prove a death only some time after the server's start."""

TWO_HOSTS: Final = "two-hosts"

TRIALS: Final = ("faults", "kills", "two-workers", "drain", *STORMS, TWO_HOSTS)
SHOWN: Final = 15
"""Violations that are printed of each trial."""


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tests.acceptance.run", description=__doc__)
    parser.add_argument("--jobs", type=int, default=2000, help="of the fault trial")
    parser.add_argument("--kill-jobs", type=int, default=500, help="of the kill trial")
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--rate", type=int, default=100, help="requests a second")
    parser.add_argument("--storm-jobs", type=int, default=5000, help="of postgres and sqlite")
    parser.add_argument("--storm-rate", type=int, default=200, help="requests a second there")
    parser.add_argument("--faults", type=float, default=0.2, help="share of requests, 0 to 1")
    parser.add_argument("--throttles", type=int, default=5, help="how many 429 are made up")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--within", type=float, default=900.0, help="seconds for one process")
    parser.add_argument("--only", choices=TRIALS, action="append", help="may be repeated")
    parser.add_argument("--folder", type=Path, help="where records and logs go")
    return parser.parse_args(arguments)


def _trials(told: argparse.Namespace) -> Mapping[str, Callable[[Path], Outcome]]:
    """Return each trial as a call that takes its folder."""

    def size(jobs: int, share: float = 1.0, slots: int = 256) -> Size:
        return Size(
            jobs=jobs,
            rate=told.rate,
            faults=told.faults * share,
            seed=told.seed,
            throttles=told.throttles,
            slots=slots,
            within_s=told.within,
        )

    # A life is so long that all kills fit into the work: about six requests for each job.
    work_s = told.kill_jobs * 6 / told.rate
    life_s = (0.02, max(0.1, 1.2 * work_s / max(1, told.kills)))
    after: dict[int, int] = {signal.SIGTERM: 2 * told.rate, signal.SIGINT: 2 * told.rate}
    return {
        "faults": lambda folder: trials.faults(folder, size(told.jobs)),
        "kills": lambda folder: trials.kills(
            folder, size(told.kill_jobs), count=told.kills, life_s=life_s
        ),
        "two-workers": lambda folder: trials.two_workers(
            folder, size(told.kill_jobs, slots=64), stop_s=8.0, after=4 * told.rate
        ),
        "drain": lambda folder: trials.drain(folder, size(told.kill_jobs, 0.0), after=after),
        **{name: partial(_storm, name, told) for name in STORMS},
        TWO_HOSTS: lambda folder: two_hosts(folder, replace(TWO_HOSTS_SIZE, seed=told.seed)),
    }


def _storm(name: str, told: argparse.Namespace, folder: Path) -> Outcome:
    """Let several workers on one store be killed and frozen; the database is on a disk."""
    seldom = name.endswith("-recovery")
    size = Size(
        jobs=told.storm_jobs // 3 if seldom else told.storm_jobs,
        rate=told.storm_rate // 2 if seldom else told.storm_rate,
        faults=told.faults,
        seed=told.seed,
        throttles=told.throttles,
        within_s=told.within,
    )
    if name.startswith("sqlite"):
        return storm(folder, name, size, STORMS[name])
    database = PrivateServer(in_memory=False)
    try:
        return storm(folder, name, size, STORMS[name], database)
    finally:
        database.remove()


def _table(outcome: Outcome, found: Sequence[Violation]) -> str:
    """Return the figures of a trial, one a line."""
    seen = outcome.figures()
    exits = sorted({code: outcome.exits.count(code) for code in outcome.exits}.items())
    rows = {
        "jobs": str(len(outcome.run.expected)),
        "results": str(len(outcome.run.results)),
        "took": f"{outcome.took_s:.1f} s",
        "requests": f"{seen.requests} ({seen.sends} sends, {seen.effects} took effect)",
        "faults": f"{seen.faults} ({seen.faults / max(1, seen.requests):.0%})",
        "answered 429": str(seen.throttled),
        "fullest window of 1 s": f"{seen.most_in_a_window} of {outcome.run.limit}",
        "fullest aligned second": f"{seen.most_in_an_aligned_second} of {outcome.run.limit}",
        "requests a second": f"{seen.requests / max(0.001, seen.busy_s):.1f}",
        "kills": str(outcome.run.kills),
        "exits": ", ".join(f"{code} ({count} times)" for code, count in exits),
    }
    if outcome.restarts:
        whole = [it.from_start_s for it in outcome.restarts]
        own = [it.from_first_line_s for it in outcome.restarts]
        rows["first request after"] = (
            f"start {median(whole):.2f} s (longest {max(whole):.2f} s),"
            f" first log line {median(own):.2f} s (longest {max(own):.2f} s)"
        )
    if outcome.drains_s:
        rows["drain"] = f"longest {max(outcome.drains_s):.2f} s"
    rows |= outcome.more
    rows["violations"] = str(len(found))
    lines = [f"{outcome.name}", *(f"  {name:<36}{value}" for name, value in rows.items())]
    lines += [f"    {violation}" for violation in found[:SHOWN]]
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the trials; return the exit code."""
    told = _arguments(arguments)
    folder = told.folder or Path(tempfile.mkdtemp(prefix="plugwave-acceptance-"))
    sys.stdout.write(f"seed {told.seed}, files in {folder}\n")
    broken = False
    for name, trial in _trials(told).items():
        if told.only and name not in told.only:
            continue
        reason = missing() if name == TWO_HOSTS else None
        if reason is not None:
            sys.stdout.write(f"{name}\n  skipped: {reason}\n")
            continue
        below = folder / name
        below.mkdir(parents=True)
        try:
            outcome = trial(below)
        except HarnessError as error:
            sys.stdout.write(f"{name}\n  {error}\n")
            broken = True
            continue
        found = outcome.violations()
        broken = broken or bool(found)
        sys.stdout.write(_table(outcome, found))
        sys.stdout.flush()
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
