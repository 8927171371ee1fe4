"""A report as Markdown, for a change ticket."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from jobs.durations import format_duration

BAD_SHOWN: Final = 100
"""Pools that did not end well and are named; a ticket has its limits, the CSV has all."""

_SPECIAL: Final = str.maketrans({**{sign: f"\\{sign}" for sign in "\\|`*_[]#~!"}, "<": "&lt;"})


def markdown(facts: dict[str, Any]) -> str:
    """Return the report; no text from outside can break out of its cell."""
    return "\n".join(_lines(facts))


def _lines(facts: dict[str, Any]) -> Iterator[str]:
    counts = facts["counts"]
    yield f"## Rollout {_plain(facts['name'])}: {facts['state']}"
    yield ""
    yield (
        f"{_plain(facts['plugin'])} {_plain(facts['version'])} on {counts['jobs']} of "
        f"{counts['included']} pools: {counts['succeeded'] + counts['unchanged']} well, "
        f"{counts['broken']} broken, {counts['cancelled']} not changed, "
        f"{counts['open']} open."
    )
    yield ""
    if facts["stopped_by"]:
        yield f"**Stopped:** {_plain(facts['stopped_by'])}"
        yield ""
    yield from _table(("What", "Value"), _head(facts))
    yield from _table(
        ("Wave", "State", "Pools", "Well", "Failed", "Opened", "Ended", "Stops at", "Verdict"),
        (_wave(wave) for wave in facts["waves"]),
    )
    yield from _causes(facts["causes"])
    yield from _restored(facts["restoring"])
    yield "### Record"
    yield ""
    yield from _table(
        ("At", "Wave", "What", "By", "Why"),
        (
            (line["at"], line["wave"] or "", line["what"], line["by"] or "", _told(line))
            for line in facts["record"]
        ),
    )
    yield from _not_well(facts["pools"])


def _head(facts: dict[str, Any]) -> Iterator[tuple[str, str]]:
    said = facts["started_by"]
    yield "Submitted by", f"{said['by'] or 'unknown'} on {said['where'] or 'unknown'}"
    yield "Why", said["why"] or "-"
    for key, value in facts["labels"].items():
        yield f"Label {key}", value
    yield "Plan", facts["plan"]
    yield "From", facts["created_at"]
    yield "Until", facts["finished_at"] or "not over"
    yield "Took", format_duration(facts["took_s"] or 0.0)


def _wave(wave: dict[str, Any]) -> tuple[str, ...]:
    names = ", ".join(one["by"] for one in wave["approvals"])
    approved = f"approved by {names}" if names else ""
    return (
        wave["name"],
        wave["state"],
        str(wave["size"]),
        str(wave["succeeded"] + wave["unchanged"]),
        str(wave["failed"] + wave["unresolved"]),
        wave["opened_at"] or "-",
        wave["ended_at"] or "-",
        "; ".join(wave["stops"]),
        "; ".join(part for part in (wave["evidence"], approved) if part),
    )


def _causes(causes: Sequence[dict[str, Any]]) -> Iterator[str]:
    if not causes:
        return
    yield "### Failures by cause"
    yield ""
    yield from _table(
        ("Cause", "Pools", "Cloud", "Likely", "Do"),
        (
            (
                f"{one['id']} {one['title']}",
                f"{one['pools']}: {', '.join(one['pool_names'])}",
                one["cloud"] or "-",
                one["likely"],
                one["do"],
            )
            for one in causes
        ),
    )


def _restored(restoring: Sequence[dict[str, Any]]) -> Iterator[str]:
    for one in restoring:
        yield (
            f"Rolled back by {one['rollout']}: {one['restored']} of {one['pools']} pools "
            f"restored, {one['failed']} failed; {one['state']}."
        )
        yield ""


def _told(line: dict[str, Any]) -> str:
    return "; ".join(part for part in (line["why"], *line["holds"]) if part)


def _not_well(pools: Sequence[dict[str, Any]]) -> Iterator[str]:
    bad = [pool for pool in pools if not pool["ok"] and pool["outcome"] != "no-op"]
    if not bad:
        return
    yield "### Pools that were not changed well"
    yield ""
    yield from _table(
        ("Pool", "Wave", "Version", "Outcome", "Why", "Attempts"),
        (
            (
                f"{pool['region'] or '-'}/{pool['project_id']}/{pool['pool_name']}",
                pool["wave"] or "-",
                f"{pool['version_from'] or 'none'} → {pool['version_to'] or '?'}",
                pool["outcome"],
                pool["why"] or "-",
                str(pool["attempts"] or 0),
            )
            for pool in bad[:BAD_SHOWN]
        ),
    )
    if len(bad) > BAD_SHOWN:
        yield f"and {len(bad) - BAD_SHOWN} more; `--format csv` has all"
        yield ""


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(heads)} |"
    yield f"| {' | '.join('---' for _ in heads)} |"
    for row in rows:
        yield f"| {' | '.join(_plain(text) for text in row)} |"
    yield ""


def _plain(text: str) -> str:
    return text.translate(_SPECIAL)
