"""Run the rounds and write the result: `make bench`.

Each round measures the bare loop and plugwave one after the other against the same server,
pinned to one core where that is possible, so that a noisy machine spoils both alike.  The
figure is the ratio of CPU per job; its spread over the rounds is printed with it.
"""

import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

ROUNDS = 3
JOBS = 2000
RESULT = Path(__file__).with_name("RESULTS.md")


def run(*arguments: str) -> dict[str, float]:
    """Run one measurement in a process of its own, on the second core if there is one."""
    pin = (
        ["taskset", "-c", "1"]
        if (os.cpu_count() or 1) > 1 and Path("/usr/bin/taskset").exists()
        else []
    )
    done = subprocess.run(
        [*pin, sys.executable, "-m", *arguments], check=True, capture_output=True, text=True
    )
    told: dict[str, float] = json.loads(done.stdout)
    return told


def rounds(url: str, folder: str) -> dict[str, list[dict[str, float]]]:
    """Measure everything ROUNDS times, interleaved."""
    found: dict[str, list[dict[str, float]]] = {}
    for number in range(ROUNDS):
        for mode in ("full", "post"):
            mine = run("benchmarks.walk", url, str(JOBS), mode, folder)
            looks = round(mine["calls"] / JOBS) - (2 if mode == "full" else 1)
            bare = run("benchmarks.bare", url, str(JOBS), str(looks))
            mine["ratio"] = (mine["cpu"] / mine["calls"]) / (bare["cpu"] / (JOBS * (looks + 2)))
            mine["bare_cpu"] = bare["cpu"] / (JOBS * (looks + 2))
            found.setdefault(mode, []).append(mine)
            print(f"round {number + 1} {mode}: {mine['ratio']:.2f} x bare", file=sys.stderr)
    return found


def table(found: dict[str, list[dict[str, float]]]) -> str:
    """Return the figures as Markdown."""
    lines = [
        (
            "| Work | CPU a request ÷ bare aiohttp | spread | requests a job | CPU µs a request |"
            " bare µs | jobs/s | RSS MB |"
        ),
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    names = {"full": "read, send, look until proven", "post": "send without a read, look"}
    for mode, rows in found.items():
        ratios = sorted(row["ratio"] for row in rows)
        mine = median(row["cpu"] / row["calls"] for row in rows) * 1e6
        bare = median(row["bare_cpu"] for row in rows) * 1e6
        rate = median(JOBS / row["wall"] for row in rows)
        calls = median(row["calls"] for row in rows) / JOBS
        memory = max(row["rss_mb"] for row in rows)
        lines.append(
            f"| {names[mode]} | **{median(ratios):.2f}** | {ratios[0]:.2f} to {ratios[-1]:.2f} |"
            f" {calls:.1f} | {mine:.0f} | {bare:.0f} | {rate:.0f} | {memory:.0f} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure and write RESULTS.md."""
    with tempfile.TemporaryDirectory() as folder:
        port_file = Path(folder) / "port"
        server = subprocess.Popen([sys.executable, "-m", "benchmarks.server", str(port_file)])
        try:
            while not port_file.exists() or not port_file.read_text():
                time.sleep(0.02)
            found = rounds(f"http://127.0.0.1:{port_file.read_text()}", folder)
        finally:
            server.terminate()
            server.wait(10)
    text = (
        "# Results\n\n"
        f"{JOBS} jobs, SQLite store, one worker process, uvloop, Python "
        f"{platform.python_version()}, {ROUNDS} interleaved rounds, one core.\n"
        "The bare loop makes the same number of the same requests and parses each\n"
        "answer.  The worker's CPU includes\n"
        "the store's threads, claims, intents, history, logs and its start.  `make bench` makes\n"
        "this page.\n\n" + table(found)
    )
    RESULT.write_text(text)
    print(text)


if __name__ == "__main__":
    main()
