"""Rounds of both servers under the same load, and what they come to.

    python -m benchmarks api [--calls N] [--rounds N]

The server is alone on the measured core; the callers run on the other ones.  In each round
both are measured, so that whatever else the machine does meets both.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any, Final

import uvloop

from benchmarks.intake.callers import load
from benchmarks.processes import ROOT, on_measured_core, stay_aside, tree_cpu

SUBJECTS: Final = ("bare", "plugwave")
CONNECTIONS: Final = 64


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what can be asked."""
    parser.add_argument("--calls", type=int, default=20_000, help="jobs in a round")
    parser.add_argument("--rounds", type=int, default=3)


def _served(subject: str, folder: Path, calls: int) -> dict[str, Any]:
    """Start one server in a folder of its own, load it, stop it, and return the figures."""
    port_file = folder / "port"
    command = [sys.executable, "-m", "benchmarks.intake.doors", subject]
    command += [f"sqlite:///{folder / 'jobs.db'}", str(port_file)]
    with subprocess.Popen(
        command,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        preexec_fn=on_measured_core,  # noqa: PLW1509 - this process has no threads
    ) as server:
        while not (port_file.exists() and port_file.read_text()):
            time.sleep(0.05)
        port = int(port_file.read_text())
        uvloop.run(load(port, 500, CONNECTIONS))  # warm; the keys of the load are met again
        before = tree_cpu(server.pid)
        told = uvloop.run(load(port, calls, CONNECTIONS))
        used_s = tree_cpu(server.pid) - before
        server.terminate()
        told |= json.loads(server.communicate(timeout=30)[0].strip().splitlines()[-1])
    return told | {"cpu_us": 1e6 * used_s / calls, "per_core_s": calls / used_s}


def measure(asked: argparse.Namespace) -> dict[str, Any]:
    """Run the rounds."""
    stay_aside()
    rounds: list[dict[str, dict[str, Any]]] = []
    for number in range(asked.rounds):
        told = {}
        for subject in SUBJECTS:
            with tempfile.TemporaryDirectory(prefix="plugwave-bench-") as folder:
                told[subject] = _served(subject, Path(folder), asked.calls)
        rounds.append(told)
        print(f"round {number + 1}: {_line(told)}", file=sys.stderr, flush=True)
    return {"calls": asked.calls, "connections": CONNECTIONS, "rounds": rounds}


def _line(told: dict[str, dict[str, Any]]) -> str:
    return "  ".join(
        f"{subject} {one['per_s']:.0f}/s, {one['cpu_us']:.0f} µs CPU, p99 {one['p99_ms']:.0f} ms"
        for subject, one in told.items()
    )


def main(asked: argparse.Namespace) -> None:
    """Measure and print what it comes to."""
    rounds = measure(asked)["rounds"]
    middle = {
        subject: {
            name: median(one[subject][name] for one in rounds)
            for name in ("per_s", "per_core_s", "cpu_us", "p50_ms", "p99_ms")
        }
        for subject in SUBJECTS
    }
    ratios = [one["plugwave"]["cpu_us"] / one["bare"]["cpu_us"] for one in rounds]
    print(json.dumps({"middle": middle, "cpu_ratio": median(ratios), "rounds": rounds}, indent=1))
