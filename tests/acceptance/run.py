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
from pathlib import Path
from statistics import median
from typing import Final

from tests.acceptance import trials
from tests.acceptance.harness import HarnessError
from tests.acceptance.trials import Outcome, Size

TRIALS: Final = ("faults", "kills", "two-workers", "drain")
SHOWN: Final = 15
"""Violations that are printed of each trial."""


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tests.acceptance.run", description=__doc__)
    parser.add_argument("--jobs", type=int, default=2000, help="of the fault trial")
    parser.add_argument("--kill-jobs", type=int, default=500, help="of the kill trial")
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--rate", type=int, default=100, help="requests a second")
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
    }


def _table(outcome: Outcome, told: argparse.Namespace) -> str:
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
        "fullest window of 1 s": f"{seen.most_in_a_window} of {told.rate}",
        "fullest aligned second": f"{seen.most_in_an_aligned_second} of {told.rate}",
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
    found = outcome.violations()
    rows["violations"] = str(len(found))
    lines = [f"{outcome.name}", *(f"  {name:<26}{value}" for name, value in rows.items())]
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
        below = folder / name
        below.mkdir(parents=True)
        try:
            outcome = trial(below)
        except HarnessError as error:
            sys.stdout.write(f"{name}\n  {error}\n")
            broken = True
            continue
        broken = broken or bool(outcome.violations())
        sys.stdout.write(_table(outcome, told))
        sys.stdout.flush()
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
