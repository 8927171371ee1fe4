"""The pages that are made from the figures: RESULTS.md and the README's part."""

from collections.abc import Iterable, Sequence
from typing import Final

from benchmarks.figures import OURS, PEERS, Results, Row, middle, spread
from benchmarks.works import WORKS

BARE: Final = "bare aiohttp loop"
BEST_PEER: Final = PEERS["pgqueuer"]
BUSY: Final = 0.85
"""A server busier than this may have been waited for."""

GOALS: Final = {"post": 1.6, "walk": 1.25}
RATE_GOAL: Final = 1.5


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def whole(values: Sequence[float]) -> str:
    """Return the median without decimals; a dash when there is none."""
    return f"{middle(values):,.0f}" if values else "-"


def against_bare(results: Results) -> str:
    """Plugwave on every kind of work, against the bare loop on the same requests."""
    rows = [row for row in results.rows if row.who in OURS.values()]
    rows.sort(key=lambda row: (list(WORKS).index(row.work), row.who))
    return table(
        (
            "Work",
            "Store",
            "CPU ÷ bare (min / median / max)",
            "goal",
            "requests a job",
            "CPU µs a job",
            "bare µs",
            "database µs",
            "RSS MB",
        ),
        (
            (
                WORKS[row.work].title,
                row.who.removeprefix("plugwave, "),
                f"**{spread(row.ratio)}**",
                f"≤ {GOALS[row.work]}" if row.work in GOALS else "",
                f"{middle(row.requests):.2f}",
                whole(row.cpu_us),
                whole(row.bare_us),
                whole(row.service_us),
                f"{max(row.rss_mb):.0f}",
            )
            for row in rows
        ),
    )


def against_peers(results: Results) -> str:
    """Everybody on POST-only work, best first."""
    rows = sorted(post_only(results), key=lambda row: middle(row.ratio))
    return table(
        (
            "Worker",
            "CPU ÷ bare (min / median / max)",
            "CPU µs a job",
            "queue's server µs",
            "drain/s",
            "drain ÷ pgqueuer (min / median / max)",
            "enqueue/s",
            "RSS MB",
        ),
        (
            (
                f"**{row.who}**" if row.who in OURS.values() else row.who,
                spread(row.ratio) if row.who != BARE else "1",
                whole(row.cpu_us),
                whole(row.service_us),
                whole(row.rate),
                _over_pgqueuer(results, row),
                whole(row.enqueue),
                f"{max(row.rss_mb):.0f}",
            )
            for row in rows
        ),
    )


def post_only(results: Results) -> list[Row]:
    """Return the rows that can be compared with the peers."""
    return [row for row in results.rows if row.work == "post"]


def rates_over_pgqueuer(results: Results, row: Row) -> list[float]:
    """Return the drain rate over pgqueuer's of the same round, for each round."""
    best = results.row(BEST_PEER, "post")
    if best is None:
        return []
    return [mine / theirs for mine, theirs in zip(row.rate, best.rate, strict=False)]


def _over_pgqueuer(results: Results, row: Row) -> str:
    ratios = rates_over_pgqueuer(results, row)
    return spread(ratios) if ratios and row.who != BARE else "-"


def parts(results: Results) -> str:
    """Return where the CPU of a job goes, most first."""
    kinds = list(results.parts)
    names = sorted(
        {part for kind in kinds for part in results.parts[kind]},
        key=lambda part: -sum(results.parts[kind].get(part, 0.0) for kind in kinds),
    )
    return table(
        ("Part", *(_kind(kind) for kind in kinds)),
        (
            (part, *(f"{results.parts[kind].get(part, 0.0):.0f}" for kind in kinds))
            for part in names
        ),
    )


def counts(results: Results) -> str:
    """Return what a job asks of store and cloud."""
    kinds = list(results.counts)
    names = {"requests": "requests", "reads": "… reads before the send", "sends": "… sends"}
    names |= {"looks": "… looks after it", "statements": "statements", "commits": "commits"}
    names["late_turns"] = "turns that were late"
    return table(
        ("A job", *(_kind(kind) for kind in kinds)),
        (
            (title, *(f"{results.counts[kind].get(name, 0.0):.2f}" for kind in kinds))
            for name, title in names.items()
        ),
    )


def goals(results: Results) -> str:
    """Return what each part costs beside the whole goal, in CPU of the bare loop."""
    kinds = [kind for kind in results.parts if kind.partition("/")[0] in GOALS]
    heads, columns = ["Part, in bare loops"], []
    for kind in kinds:
        work, _, engine = kind.partition("/")
        row = results.row(OURS[engine], work)
        bare_us = middle(row.bare_us) if row is not None else 1.0
        heads.append(_kind(kind))
        columns.append({part: us / bare_us for part, us in results.parts[kind].items()})
    names = sorted(
        {part for column in columns for part in column},
        key=lambda part: -sum(column.get(part, 0.0) for column in columns),
    )
    lines = [(part, *(f"{column.get(part, 0.0):.2f}" for column in columns)) for part in names]
    lines.append(("**all**", *(f"**{sum(column.values()):.2f}**" for column in columns)))
    lines.append(("goal", *(f"{GOALS[kind.partition('/')[0]]}" for kind in kinds)))
    return table(heads, lines)


def settling(results: Results) -> str:
    """Say how often plug-ins that settle late are looked at, and how late their jobs end."""
    told = results.settling
    if not told:
        return "Not measured.\n"
    return (
        f"{told['jobs']:.0f} jobs with the default intervals on plug-ins that settle 3 to 20"
        f" seconds after their POST: a job asked {told['reads']:.2f} reads, {told['sends']:.2f}"
        f" sends and {told['looks']:.2f} looks, and was looked at for the last time"
        f" {told['late_s']:.1f} s after the plug-in had settled (median; quartiles"
        f" {told['sooner_s']:.1f} and {told['later_s']:.1f} s, most {told['latest_s']:.1f} s).\n"
    )


def _kind(kind: str) -> str:
    work, _, engine = kind.partition("/")
    return f"{WORKS[work].title} ({OURS[engine].removeprefix('plugwave, ')})"


def server(results: Results) -> str:
    """Say how busy the server was, and who may have waited for it."""
    loop = [row for row in results.rows if row.who == BARE]
    most = max((busy for row in loop for busy in row.server_busy), default=0.0)
    ours = [row for row in results.rows if row.who in OURS.values()]
    others = max((busy for row in ours for busy in row.server_busy), default=0.0)
    verdict = "nobody waited for it" if max(most, others) < BUSY else "it may have been waited for"
    return (
        f"The cloud's process used at most {most:.0%} of its core while the bare loop ran and"
        f" {others:.0%} while plugwave ran: {verdict}.\n"
    )


def page(results: Results) -> str:
    """Return RESULTS.md."""
    made = results.made
    rounds = len(next((row.ratio for row in results.rows), []))
    left_out = "".join(f"- {line}\n" for line in results.missing)
    return (
        "# Results\n\n"
        f"Made by `make bench` on {made['date']}: Python {made['python']}, {rounds} interleaved"
        f" rounds, the measured process alone on one of {made['cores']} cores, load"
        f" {made['load_before']:.1f} before the run. Trust the ratios; rates are of that machine.\n"
        "[README.md](README.md) says what is measured and how. Change nothing here by hand: a test"
        " compares this page with [results.json](results.json).\n\n"
        "![CPU a job over the bare loop](cpu.svg)\n\n"
        "## Against a bare aiohttp loop making the same requests\n\n"
        f"{against_bare(results)}\n"
        "## Against other queues, one POST a job\n\n"
        f"{against_peers(results)}\n"
        f"{left_out}{chr(10) if left_out else ''}"
        "## Where the CPU goes, in µs a job\n\n"
        "![CPU of a job by part](parts.svg)\n\n"
        f"{parts(results)}\n"
        "The same beside the goal; a profile is a run of its own and costs some time itself:\n\n"
        f"{goals(results)}\n"
        "## What a job asks\n\n"
        f"{counts(results)}\n"
        "## How soon a job knows\n\n"
        f"{settling(results)}\n"
        "## The server\n\n"
        f"{server(results)}"
    )


def readme(results: Results) -> str:
    """Return the part of the README that tells figures."""
    lines = [
        (
            WORKS[row.work].title,
            row.who.removeprefix("plugwave, "),
            f"**{middle(row.ratio):.2f}** ({min(row.ratio):.2f} to {max(row.ratio):.2f})",
            f"{middle(row.requests):.0f}",
            f"{max(row.rss_mb):.0f}",
        )
        for row in results.rows
        if row.who in OURS.values() and row.work in GOALS
    ]
    told = table(("A job", "Store", "CPU ÷ bare loop", "requests", "RSS MB"), lines)
    peers = ", ".join(
        f"{row.who.partition(',')[0]} {middle(row.ratio):.1f}"
        for row in sorted(post_only(results), key=lambda row: middle(row.ratio))
        if row.who in PEERS.values()
    )
    return f"{told}\nOther queues on one POST a job, CPU ÷ bare loop: {peers or 'not measured'}.\n"
