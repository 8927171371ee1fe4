"""The figures of a run, as they are kept: `results.json` holds them, every page is made from it."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, Final

FOLDER: Final = Path(__file__).parent
RESULTS: Final = FOLDER / "results.json"

OURS: Final = {"sqlite": "plugwave, SQLite", "postgres": "plugwave, PostgreSQL"}
PEERS: Final = {
    "pgqueuer": "pgqueuer, PostgreSQL",
    "taskiq_nats": "taskiq, NATS JetStream",
    "dramatiq": "dramatiq, Redis",
    "arq": "arq, Redis",
    "saq": "saq, Redis",
    "procrastinate": "procrastinate, PostgreSQL",
}


@dataclass(slots=True)
class Row:
    """One worker on one kind of work: a list has one figure for each round.

    Attributes:
        who: The worker.
        work: The kind of work, a key of `works.WORKS`.
        jobs: How many jobs a round had.
        requests: Requests a job made.
        ratio: CPU a request, the worker's over the bare loop's of the same round.
        cpu_us: The worker's CPU in microseconds a job.
        bare_us: The bare loop's CPU in microseconds for the same requests.
        rate: Jobs a second.
        enqueue: Jobs a second stored beforehand.
        rss_mb: Most memory, in MB.
        service_us: CPU of the database or broker, in microseconds a job; empty without one.
        server_busy: Share of a core that the cloud used.
    """

    who: str
    work: str
    jobs: int
    requests: list[float] = field(default_factory=list)
    ratio: list[float] = field(default_factory=list)
    cpu_us: list[float] = field(default_factory=list)
    bare_us: list[float] = field(default_factory=list)
    rate: list[float] = field(default_factory=list)
    enqueue: list[float] = field(default_factory=list)
    rss_mb: list[float] = field(default_factory=list)
    service_us: list[float] = field(default_factory=list)
    server_busy: list[float] = field(default_factory=list)


@dataclass(slots=True)
class Results:
    """A whole run.

    Attributes:
        made: Where and how: Python, cores, rounds, load before, date.
        rows: The figures.
        parts: By ``WORK/ENGINE``: microseconds of CPU a job by part of the worker.
        counts: By ``WORK/ENGINE``: requests by kind, statements, commits, late turns a job.
        settling: Of jobs whose plug-ins settle late: ``jobs``, ``reads``, ``sends`` and ``looks``
            a job, ``sooner_s``, ``late_s``, ``later_s`` and ``latest_s``: the quartiles and
            the most of the seconds from settled to the last look.
        missing: One line for each peer that was left out.
    """

    made: dict[str, Any]
    rows: list[Row] = field(default_factory=list)
    parts: dict[str, dict[str, float]] = field(default_factory=dict)
    counts: dict[str, dict[str, float]] = field(default_factory=dict)
    settling: dict[str, float] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)

    def row(self, who: str, work: str) -> Row | None:
        """Return the row of one worker on one kind of work; None when it was not measured."""
        return next((row for row in self.rows if (row.who, row.work) == (who, work)), None)

    def save(self, path: Path = RESULTS) -> None:
        """Write them down."""
        path.write_text(json.dumps(short(asdict(self)), indent=1) + "\n")


def load(path: Path = RESULTS) -> Results:
    """Return the figures of the run that is committed."""
    told = json.loads(path.read_text())
    rows = [Row(**row) for row in told.pop("rows")]
    return Results(rows=rows, **told)


def middle(values: Sequence[float]) -> float:
    """Return the median."""
    return float(median(values))


def spread(values: Sequence[float], digits: int = 2) -> str:
    """Return least, median and most."""
    three = (min(values), middle(values), max(values))
    return " / ".join(f"{one:.{digits}f}" for one in three)


def short(value: Any) -> Any:  # noqa: ANN401 - any JSON
    """Return the value with its numbers cut to what was measured."""
    if isinstance(value, float):
        return float(f"{value:.4g}")
    if isinstance(value, dict):
        return {key: short(one) for key, one in value.items()}
    return [short(one) for one in value] if isinstance(value, list) else value
