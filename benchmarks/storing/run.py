"""The whole store benchmark: every subject grown, then whole workers on what they left."""

import argparse
import json
import sys
from functools import partial
from importlib.util import find_spec
from typing import Any, Final

import anyio

from benchmarks.figures import short
from benchmarks.full import made
from benchmarks.processes import MeasurementError, measured
from benchmarks.rounds import Bench, bench
from benchmarks.services import MissingError
from benchmarks.storing import lives, pages

SUBJECTS: Final = (
    ("plugwave", "sqlite"),
    ("bare", "sqlite"),
    ("plugwave", "postgres"),
    ("pgqueuer", "postgres"),
)
KILLS: Final = 3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what can be asked."""
    parser.add_argument("--limit", type=int, default=1_000_000, help="largest queue")


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _grown(place: Bench, subject: str, engine: str, limit: int) -> tuple[str, dict[str, Any]]:
    """Grow one subject in a new store; return the store's address and the figures."""
    if find_spec(subject) is None and subject == "pgqueuer":
        raise MissingError("pgqueuer's package is not installed (make bench-store installs it)")
    address = place.store(engine)
    server = place.postgres().pid if engine == "postgres" else 0
    common = (subject, address, str(limit), str(server))
    return address, measured(sys.executable, "benchmarks.storing.growing", *common)


def _lives(place: Bench, engine: str, full: str, queued: int) -> dict[str, Any]:
    """Measure whole workers: memory on the store that is full, recovery in one of its own."""
    told: dict[str, Any] = {"queued": queued}
    told |= measured(sys.executable, "benchmarks.storing.lives", "memory", full, place.url)
    return told | anyio.run(partial(lives.recoveries, place.store(engine), place.url, KILLS))


def measure(asked: argparse.Namespace) -> dict[str, Any]:
    """Measure everything and return the figures."""
    told: dict[str, Any] = {"made": made(1), "grown": {}, "lives": {}, "missing": []}
    with bench() as place:
        for subject, engine in SUBJECTS:
            name = f"{subject}/{engine}"
            try:
                address, grown = _grown(place, subject, engine, asked.limit)
                told["grown"][name] = grown
                _say(f"{name}: {grown['stored']:,} stored in {grown['store_s']:.1f} s")
                if subject == "plugwave":
                    told["lives"][engine] = _lives(place, engine, address, grown["left"])
                    _say(f"  {told['lives'][engine]}")
            except (MissingError, MeasurementError) as error:
                line = f"{pages.TITLES[name]} was left out: {str(error).splitlines()[-1]}"
                told["missing"].append(line)
                _say(line)
    return told


def main(asked: argparse.Namespace) -> None:
    """Measure, write store.json and STORE.md, and print the page."""
    told = measure(asked)
    pages.FIGURES.write_text(json.dumps(short(told), indent=1) + "\n")
    pages.PAGE.write_text(pages.page(pages.load()))
    print(pages.PAGE.read_text())
