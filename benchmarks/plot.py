"""Two plots as SVG, by hand: bars with their spread, and bars made of parts."""

from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import Final

from benchmarks.figures import OURS, Results, middle
from benchmarks.report import BARE, GOALS, post_only
from benchmarks.works import WORKS

WIDTH: Final = 860
LEFT: Final = 320
BAR: Final = 22
STEP: Final = 32
TOP: Final = 56

Draw = Callable[[Results], str]

STYLE: Final = (
    "<style>text{font:14px system-ui,sans-serif;fill:#1f2933}.head{font-size:17px;"
    "font-weight:600}.note{font-size:12px;fill:#52606d}.ours{fill:#2368b5}.peer{fill:#9aa5b1}"
    ".bare{fill:#cbd2d9}.line{stroke:#1f2933;stroke-width:1.5}.goal{stroke:#c2410c;"
    "stroke-width:1.5;stroke-dasharray:5 4}</style>"
)
COLOURS: Final = (
    "#2368b5",
    "#c2410c",
    "#2f855a",
    "#b7791f",
    "#6b46c1",
    "#0e7490",
    "#be185d",
    "#4d7c0f",
    "#7b8794",
    "#9f1239",
    "#1e3a8a",
)


def _svg(height: int, title: str, body: Sequence[str]) -> str:
    size = f'viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">'
    paper = f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>'
    return "\n".join((head, f"<title>{escape(title)}</title>", STYLE, paper, *body, "</svg>\n"))


def _text(x: float, y: float, text: str, kind: str = "", anchor: str = "start") -> str:
    known = f' class="{kind}"' if kind else ""
    return f'<text x="{x:.0f}" y="{y:.0f}"{known} text-anchor="{anchor}">{escape(text)}</text>'


def _line(kind: str, start: tuple[float, float], end: tuple[float, float]) -> str:
    ends = f'x1="{start[0]:.1f}" y1="{start[1]:.1f}" x2="{end[0]:.1f}" y2="{end[1]:.1f}"'
    return f'<line class="{kind}" {ends}/>'


def cpu(results: Results) -> str:
    """Return bars of CPU over the bare loop, POST-only, with the spread of the rounds."""
    rows = sorted(post_only(results), key=lambda row: middle(row.ratio))
    title = f"CPU of a job over a bare aiohttp loop: {WORKS['post'].title}"
    scale = (WIDTH - LEFT - 70) / max(max(row.ratio) for row in rows)
    body = [_text(16, 28, title, "head")]
    for place, row in enumerate(rows):
        y = TOP + place * STEP
        kind = "bare" if row.who == BARE else "ours" if row.who in OURS.values() else "peer"
        low, mid, high = min(row.ratio), middle(row.ratio), max(row.ratio)
        if row.who == BARE:
            low = mid = high = 1.0
        level = y + BAR / 2
        body += [
            _text(LEFT - 10, y + 16, row.who, anchor="end"),
            f'<rect class="{kind}" x="{LEFT}" y="{y}" width="{mid * scale:.1f}" height="{BAR}"/>',
            _line("line", (LEFT + low * scale, level), (LEFT + high * scale, level)),
            _text(LEFT + high * scale + 8, y + 16, f"{mid:.2f}"),
        ]
    bottom = TOP + len(rows) * STEP
    goal = LEFT + GOALS["post"] * scale
    body += [
        _line("goal", (goal, TOP - 8), (goal, bottom)),
        _text(goal, bottom + 14, f"goal {GOALS['post']}", "note", "middle"),
        _text(16, bottom + 34, "Bars are medians, thin lines the least and the most.", "note"),
    ]
    return _svg(bottom + 48, title, body)


def parts(results: Results) -> str:
    """Return one bar for each profile, made of the parts of the worker."""
    title = "Where the CPU of a job goes, in microseconds"
    totals = {kind: sum(found.values()) for kind, found in results.parts.items()}
    scale = (WIDTH - LEFT - 70) / max(totals.values(), default=1.0)
    names = sorted({part for found in results.parts.values() for part in found})
    colours = dict(zip(names, COLOURS, strict=False))
    body = [_text(16, 28, title, "head")]
    for place, (kind, found) in enumerate(results.parts.items()):
        y = TOP + place * STEP
        work, _, engine = kind.partition("/")
        where = OURS[engine].removeprefix("plugwave, ")
        body.append(_text(LEFT - 10, y + 16, f"{WORKS[work].title} ({where})", anchor="end"))
        body += _stacked(found, colours, y, scale)
        body.append(_text(LEFT + totals[kind] * scale + 8, y + 16, f"{totals[kind]:.0f}"))
    bottom = TOP + len(results.parts) * STEP + 12
    for place, name in enumerate(names):
        x, y = 16 + place % 6 * 140, bottom + place // 6 * 22
        body.append(f'<rect x="{x}" y="{y}" width="14" height="14" fill="{colours[name]}"/>')
        body.append(_text(x + 20, y + 12, name))
    return _svg(bottom + (len(names) // 6 + 1) * 22 + 12, title, body)


def _stacked(
    found: Mapping[str, float], colours: Mapping[str, str], y: float, scale: float
) -> list[str]:
    x, drawn = float(LEFT), []
    for part in sorted(found):
        width = found[part] * scale
        drawn.append(
            f'<rect x="{x:.1f}" y="{y}" width="{width:.1f}" height="{BAR}"'
            f' fill="{colours[part]}"><title>{part}: {found[part]:.0f} µs</title></rect>'
        )
        x += width
    return drawn
