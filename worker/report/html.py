"""A report as one page that needs nothing else: no script, no network, printable.

Jinja escapes every value; drawings are made here as numbers, so that no text reaches them
unescaped either.
"""

from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from jobs.durations import format_duration

BAR: Final = 240
"""Width of a wave's bar, in pixels."""

SPAN: Final = 640
"""Width of the line of time."""

SEGMENTS: Final = (
    ("good", ("succeeded", "unchanged")),
    ("bad", ("failed", "unresolved")),
    ("none", ("cancelled",)),
)


@cache
def _template() -> Template:
    pages = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    pages.filters["duration"] = lambda seconds: format_duration(seconds or 0.0)
    return pages.get_template("page.html.jinja")


def html(facts: dict[str, Any]) -> str:
    """Return the report as a page."""
    bars = [_bar(wave) for wave in facts["waves"]]
    return _template().render(facts=facts, bars=bars, bar=BAR, span=SPAN, times=_times(facts))


def _bar(wave: dict[str, Any]) -> list[tuple[str, float, float]]:
    """Return the parts of a wave's bar: how it ended, from where, how wide."""
    found = []
    begins = 0.0
    for kind, names in SEGMENTS:
        width = BAR * sum(wave[name] for name in names) / max(1, wave["size"])
        found.append((kind, round(begins, 1), round(width, 1)))
        begins += width
    return found


def _times(facts: dict[str, Any]) -> list[tuple[str, float, float]]:
    """Return when each wave ran, on the line of time: its name, from where, how wide."""
    begin, end = facts["created_at"], facts["finished_at"] or facts["generated_at"]
    whole_s = max(1.0, _seconds(begin, end))
    found = []
    for wave in facts["waves"]:
        if wave["opened_at"] is None:
            continue
        from_s = _seconds(begin, wave["opened_at"])
        ran_s = _seconds(wave["opened_at"], wave["ended_at"] or end)
        width = max(2.0, SPAN * ran_s / whole_s)
        found.append((wave["name"], round(SPAN * from_s / whole_s, 1), round(width, 1)))
    return found


def _seconds(begin: str, end: str) -> float:
    return (datetime.fromisoformat(end) - datetime.fromisoformat(begin)).total_seconds()
