"""A figure in half a minute, for somebody who tunes: CPU a request over the bare loop.

python -m benchmarks quick [--store sqlite|postgres] [--work post|send|walk] [--jobs N]
                           [--rounds N] [--profile]
"""

import argparse
from statistics import median

from benchmarks.rounds import Pair, bench, ours, pair
from benchmarks.works import WORKS


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what can be asked."""
    parser.add_argument("--store", choices=("sqlite", "postgres"), default="sqlite")
    parser.add_argument("--work", choices=WORKS, default="walk")
    parser.add_argument("--jobs", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--profile", action="store_true", help="also say where the CPU went")


def line(number: int, one: Pair) -> str:
    """Return one round in one line."""
    mine = one.mine
    return (
        f"round {number}: {one.ratio:5.2f} x bare   {one.cpu_us:5.0f} µs a request"
        f" (bare {one.bare_us:.0f})   {one.cpu_us * mine['requests']:5.0f} µs a job"
        f"   {mine['requests']:.2f} requests a job   {one.jobs / mine['wall']:5.0f} jobs/s"
        f"   {mine['rss_mb']:.0f} MB   server busy {mine['server_busy']:.0%}"
        f" (bare {one.loop['server_busy']:.0%})"
    )


def main(asked: argparse.Namespace) -> None:
    """Measure and print."""
    work = WORKS[asked.work]
    print(f"{work.title}; {asked.store}; {asked.jobs} jobs")
    with bench() as place:
        pairs = []
        for number in range(1, asked.rounds + 1):
            pairs.append(pair(place, asked.jobs, work, asked.store))
            print(line(number, pairs[-1]), flush=True)
        ratios = sorted(one.ratio for one in pairs)
        print(f"ratio: {ratios[0]:.2f} - {median(ratios):.2f} - {ratios[-1]:.2f}")
        if asked.profile:
            told = ours(place, asked.jobs, work, asked.store, "--profile")
            counted = ours(place, asked.jobs, work, asked.store, "--count")["counts"]
            for part, seconds in sorted(told["parts"].items(), key=lambda one: -one[1]):
                print(f"  {part:10} {seconds / asked.jobs * 1e6:7.0f} µs a job")
            for name, count in counted.items():
                print(f"  {name:10} {count / asked.jobs:7.2f} a job")
