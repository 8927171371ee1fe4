"""Processes of a measurement: who runs on which core, and what CPU others used meanwhile.

What is measured runs alone on the last core; the server, the databases and this runner share
the others.  CPU of other processes is read from /proc before and after, whole trees at a time,
so that a database's own work is a figure of its own.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

TICKS: Final = os.sysconf("SC_CLK_TCK")
ROOT: Final = Path(__file__).resolve().parents[1]

Figures = dict[str, Any]
"""What a measurement told: names and numbers."""


def cores() -> tuple[set[int], set[int]]:
    """Return the core that is measured on, and those for everything else."""
    mine = sorted(os.sched_getaffinity(0))
    return {mine[-1]}, set(mine[:-1]) or {mine[-1]}


_MEASURED: Final = cores()[0]  # taken before `stay_aside`


def on_measured_core() -> None:
    """Move this process to the measured core; for ``preexec_fn``."""
    os.sched_setaffinity(0, _MEASURED)


def peak_mb() -> float:
    """Return the most memory this process has had, in MB.

    From /proc, because ``ru_maxrss`` also remembers the process that started this one.
    """
    status = Path("/proc/self/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) / 1024


def stay_aside() -> None:
    """Keep this process and all it starts off the measured core."""
    os.sched_setaffinity(0, cores()[1])


_COMPILED: Final = {"PYTHONDONTWRITEBYTECODE": ""}
"""Modules are compiled once, as where they are installed, and not in each measurement."""


class MeasurementError(Exception):
    """A measured process failed; its last words are the message."""


def measured(python: str, *arguments: str, env: Mapping[str, str] | None = None) -> Figures:
    """Run ``python -m ARGUMENTS`` alone on the measured core and return the JSON it printed.

    Raises:
        MeasurementError: If it failed or printed none.
    """
    done = subprocess.run(
        [python, "-m", *arguments],
        check=False,
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, **_COMPILED, **(env or {})},
        preexec_fn=on_measured_core,
        timeout=1800,
    )
    lines = done.stdout.strip().splitlines()
    if done.returncode != 0 or not lines:
        raise MeasurementError(f"{' '.join(arguments)}: {done.stderr.strip()[-2000:]}")
    told: Figures = json.loads(lines[-1])
    return told


def _stat(pid: int) -> tuple[int, float] | None:
    """Return a process's parent, and its CPU seconds with those of children that ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return int(fields[1]), sum(map(int, fields[11:15])) / TICKS


def tree_cpu(root: int) -> float:
    """Return the CPU seconds of a process and all its descendants, ended ones included."""
    known = {
        int(entry.name): found
        for entry in Path("/proc").iterdir()
        if entry.name.isdigit() and (found := _stat(int(entry.name))) is not None
    }
    tree, size = {root}, 0
    while len(tree) != size:
        size = len(tree)
        tree |= {pid for pid, (parent, _) in known.items() if parent in tree}
    return sum(known[pid][1] for pid in tree if pid in known)


@dataclass(slots=True)
class Meter:
    """CPU that other processes used during a measurement."""

    pids: Mapping[str, int]

    @contextmanager
    def reading(self, into: Figures) -> Iterator[None]:
        """Write the CPU seconds of each process tree, as ``NAME_cpu``, into *into*."""
        before = {name: tree_cpu(pid) for name, pid in self.pids.items()}
        yield
        for name, pid in self.pids.items():
            into[f"{name}_cpu"] = tree_cpu(pid) - before[name]


@contextmanager
def server(folder: Path) -> Iterator[tuple[str, int]]:
    """Run the cloud beside the measured core; yield its address and process id."""
    port_file = folder / f"port-{time.monotonic_ns()}"
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.server", str(port_file)], cwd=ROOT
    )
    try:
        while not port_file.exists() or not port_file.read_text():
            if process.poll() is not None:
                raise MeasurementError("the server did not start")
            time.sleep(0.02)
        yield f"http://127.0.0.1:{port_file.read_text()}", process.pid
    finally:
        process.terminate()
        process.wait(10)
