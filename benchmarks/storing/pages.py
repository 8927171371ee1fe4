"""STORE.md, made from store.json."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import median, quantiles
from typing import Any, Final

from benchmarks.figures import FOLDER
from benchmarks.report import table
from benchmarks.storing.parts import CALLERS

FIGURES: Final = FOLDER / "store.json"
PAGE: Final = FOLDER / "STORE.md"

TITLES: Final = {
    "plugwave/sqlite": "plugwave, SQLite",
    "bare/sqlite": "bare SQLite",
    "plugwave/postgres": "plugwave, PostgreSQL",
    "pgqueuer/postgres": "pgqueuer",
}
PEER_OF: Final = {"plugwave/sqlite": "bare/sqlite", "plugwave/postgres": "pgqueuer/postgres"}
ENQUEUE_GOAL_S: Final = {"plugwave/sqlite": 60, "plugwave/postgres": 40}
RECOVERY_GOAL_S: Final = {"sqlite": 1, "postgres": 3}

PARTS: Final = ("claim", "intent", "answer", "end", "report")

Store = dict[str, Any]


def load(path: Path = FIGURES) -> Store:
    """Return the figures of the run that is committed."""
    told: Store = json.loads(path.read_text())
    return told


def p99(values: Sequence[float]) -> float:
    """Return what all but one in a hundred stay below."""
    return quantiles(values, n=100, method="inclusive")[98]


def _ratio(mine: float, peer: float | None, digits: int = 1) -> str:
    return f"{mine / peer:.{digits}f}" if peer else "-"


def _beside(own_us: float, server_us: float | None) -> str:
    return f"{own_us:.0f}" + (f" + {server_us:.0f}" if server_us else "")


def enqueued(told: Store) -> str:
    """Enqueue of all jobs, with keys."""
    return table(
        (
            *("Store", "jobs", "stored in s", "goal for 10⁶", "jobs/s", "÷ peer's time"),
            *("CPU of a job, µs", "parsed in s"),
        ),
        (
            (
                TITLES[name],
                f"{found['stored']:,}",
                f"{found['store_s']:.1f}",
                f"≤ {ENQUEUE_GOAL_S[name]} s" if name in ENQUEUE_GOAL_S else "",
                f"{found['stored'] / found['store_s']:,.0f}",
                _ratio(found["store_s"], _peer(told, name, "store_s")),
                _beside(found["store_cpu_us"], found["store_server_us"]),
                f"{found['prepare_s']:.1f}",
            )
            for name, found in told["grown"].items()
        ),
    )


def _peer(told: Store, name: str, key: str) -> float | None:
    peer = told["grown"].get(PEER_OF.get(name, ""), {})
    value: float | None = peer.get(key)
    return value


def _sizes(told: Store) -> Iterable[int]:
    return sorted({one["size"] for found in told["grown"].values() for one in found["sizes"]})


def _at(told: Store, name: str, size: int) -> Store | None:
    sizes = told["grown"].get(name, {}).get("sizes", [])
    return next((one for one in sizes if one["size"] == size), None)


def _columns(told: Store) -> list[str]:
    return [name for name in TITLES if name in told["grown"]]


def claims(told: Store) -> str:
    """Claims of 500 at each size: p50 / p99, and the medians over the peer's."""
    names = _columns(told)
    pairs = [(mine, peer) for mine, peer in PEER_OF.items() if {mine, peer} <= set(names)]
    heads = [TITLES[one] for one in names] + [f"{TITLES[mine]} ÷ peer" for mine, _ in pairs]

    def cell(name: str, size: int) -> str:
        found = _at(told, name, size)
        if found is None:
            return "-"
        return f"{median(found['claims_ms']):.1f} / {p99(found['claims_ms']):.1f}"

    def over(mine: str, peer: str, size: int) -> str:
        both = _at(told, mine, size), _at(told, peer, size)
        if both[0] is None or both[1] is None:
            return "-"
        return _ratio(median(both[0]["claims_ms"]), median(both[1]["claims_ms"]))

    return table(
        ("Queued", *heads),
        (
            (
                f"{size:,}",
                *(cell(name, size) for name in names),
                *(over(mine, peer, size) for mine, peer in pairs),
            )
            for size in _sizes(told)
        ),
    )


def cpu(told: Store) -> str:
    """CPU of the store for one job's whole life at each size."""
    names = _columns(told)

    def cell(name: str, size: int) -> str:
        found = _at(told, name, size)
        if found is None:
            return "-"
        return _beside(found["cpu_us"], found.get("server_us"))

    def over(mine: str, size: int) -> str:
        both = _at(told, mine, size), _at(told, PEER_OF[mine], size)
        if both[0] is None or both[1] is None:
            return "-"
        costs = [one["cpu_us"] + one.get("server_us", 0.0) for one in both if one]
        return _ratio(costs[0], costs[1])

    mine = [name for name in PEER_OF if name in names]
    return table(
        ("Queued", *(TITLES[one] for one in names), *(f"{TITLES[one]} ÷ peer" for one in mine)),
        (
            (
                f"{size:,}",
                *(cell(name, size) for name in names),
                *(over(name, size) for name in mine),
            )
            for size in _sizes(told)
        ),
    )


def parts(told: Store) -> str:
    """CPU of this process by part, at the largest size."""
    names = [name for name in PEER_OF if told["grown"].get(name, {}).get("sizes")]
    last = {name: told["grown"][name]["sizes"][-1] for name in names}
    return table(
        ("Store", "queued", *PARTS, "callers, taken off"),
        (
            (
                TITLES[name],
                f"{last[name]['size']:,}",
                *(f"{last[name]['parts_us'][part]:.0f}" for part in PARTS),
                f"{last[name]['parts_us'][CALLERS]:.0f}",
            )
            for name in names
        ),
    )


def flatness(told: Store) -> str:
    """Say how much dearer a job is at the largest size than at the smallest."""
    lines = []
    for name in PEER_OF:
        sizes = told["grown"].get(name, {}).get("sizes", [])
        if len(sizes) > 1:
            growth = sizes[-1]["cpu_us"] / sizes[0]["cpu_us"]
            lines.append(
                f"- {TITLES[name]}: a job costs {growth:.2f} times at {sizes[-1]['size']:,} queued"
                f" what it costs at {sizes[0]['size']:,}.\n"
            )
    return "".join(lines)


def lives(told: Store) -> str:
    """Memory and recovery of whole workers."""
    return table(
        (
            "Store",
            "queued",
            "watched",
            "RSS MB (goal ≤ 250)",
            "recovery with a standby, s (median / most)",
            "with a restart, s (median / most)",
            "goal s",
        ),
        (
            (
                engine,
                f"{found['queued']:,}",
                f"{found['watched']:,}",
                f"{found['rss_mb']:.0f}",
                _seconds(found["standby"]),
                _seconds(found["restart"]),
                f"≤ {RECOVERY_GOAL_S[engine]}",
            )
            for engine, found in told["lives"].items()
        ),
    )


def _seconds(values: Sequence[float]) -> str:
    return f"{median(values):.2f} / {max(values):.2f}" if values else "-"


def page(told: Store) -> str:
    """Return STORE.md."""
    made = told["made"]
    left_out = "".join(f"- {line}\n" for line in told["missing"])
    return (
        "# The store\n\n"
        f"Made by `make bench-store` on {made['date']}: Python {made['python']}, the measured"
        f" process alone on one of {made['cores']} cores, load {made['load_before']:.1f} before."
        " SQLite syncs every commit to the disk; PostgreSQL's files lie in memory. Change nothing"
        " here by hand: a test compares this page with [store.json](store.json).\n\n"
        f"{left_out}{chr(10) if left_out else ''}"
        "## Enqueue with keys, 1,000 in a transaction, two callers\n\n"
        f"{enqueued(told)}\n"
        "Bare SQLite is one table filled by `executemany`: no idempotency answer, no pool, no"
        " history. pgqueuer keeps a key for each open job.\n\n"
        "## A claim of 500, in ms (p50 / p99)\n\n"
        f"{claims(told)}\n"
        "## CPU of a job, in µs: claim, intent, answer, result, history, counters\n\n"
        f"{cpu(told)}\n"
        "Behind the plus sign: the database's own processes. The goal is ≤ 150 µs, flat. The peers"
        " write no intent, no answer and no history: pgqueuer one log row, bare SQLite one"
        f" state.\n\n{flatness(told)}\n"
        f"The client's part of it, in µs:\n\n{parts(told)}\n"
        "*Callers* is what the same tasks cost that ask a store which does nothing; the sums above"
        " are without it, the parts with it.\n\n"
        "## Whole workers\n\n"
        f"{lives(told)}"
    )
