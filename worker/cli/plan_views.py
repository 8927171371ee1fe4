"""A plan as a person reads it, the summary first, and as JSON.

Texts of the cloud are cleaned, inputs are masked, and no line is wider than 100 columns.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from types import MappingProxyType
from typing import Final

from config.masking import clean_text, mask_text
from jobs.durations import format_duration
from jobs.rollouts.actions import Action, Undo
from jobs.rollouts.plan import SHORT_DIGEST, Plan, PlanRow
from worker.cli.printing import cells, fitted
from worker.cli.symbols import ASCII, Symbols

WIDTH: Final = 100
SHOWN: Final = 10
"""Pools that are named in a section; --detail names all."""

FEW: Final = 3
"""Pools with the same change that are named one by one."""

SIGNS: Final = MappingProxyType(
    {
        Action.INSTALL: "+",
        Action.UPGRADE: "^",
        Action.DOWNGRADE: "v",
        Action.RECONFIGURE: "~",
        Action.NO_OP: "=",
        Action.BLOCKED: "!",
        Action.UNKNOWN: "?",
    }
)


def plan_lines(plan: Plan, symbols: Symbols, *, detail: bool = False) -> Iterator[str]:
    """Yield the lines of a plan."""
    shown = None if detail else SHOWN
    for line in _lines(plan, symbols, shown):
        yield fitted(line.rstrip(), WIDTH, symbols.more)


def _lines(plan: Plan, symbols: Symbols, shown: int | None) -> Iterator[str]:
    yield from _head(plan, symbols).split("\n")
    yield ""
    yield from _actions(plan, symbols)
    yield from _waves(plan, symbols)
    yield from _inputs(plan, symbols, shown)
    yield from _left_out("Blocked", plan.of(Action.BLOCKED), "!", shown)
    yield from _left_out("Unknown", plan.of(Action.UNKNOWN), "?", shown)
    if shown is None:
        yield from _every_pool(plan, symbols)
    for one in plan.calendars:
        digest = one.sha256[:SHORT_DIGEST]
        words = f"{one.freeze}: {_counted(len(one.events), 'event')} of {one.file} ({digest})"
        yield from _wrapped("Freezes", words)
    for warning in plan.warnings:
        yield from _wrapped("Warning", warning)
    if plan.acting:
        yield from _wrapped("Undo", _undo_words(plan))
        yield from _wrapped("Time", _time_words(plan))
        yield from _wrapped("Risk", _risk_words(plan))
    yield "Nothing was changed." if plan.acting else "Nothing to do. Nothing was changed."


def _head(plan: Plan, symbols: Symbols) -> str:
    dot = "-" if symbols is ASCII else "·"
    regions = {row.region for row in plan.rows}
    projects = {(row.region, row.project_id) for row in plan.rows}
    facts = (
        _counted(plan.included, "pool"),
        _counted(len(regions), "region"),
        _counted(len(projects), "project"),
    )
    head = f"Plan {plan.digest[:SHORT_DIGEST]} for rollout {plan.name}   " + f" {dot} ".join(facts)
    return f"{head}\nplug-in {plan.plugin} {plan.version}"


def _actions(plan: Plan, symbols: Symbols) -> Iterator[str]:
    rows = [("", "Action", "Pools", "Version")]
    for action in Action:
        found = plan.of(action)
        if found:
            versions = _versions(found, action, symbols)
            rows.append((SIGNS[action], action.value, str(len(found)), versions))
    yield from _grid(rows, right={2})
    yield ""


def _versions(rows: Sequence[PlanRow], action: Action, symbols: Symbols) -> str:
    if action in {Action.BLOCKED, Action.UNKNOWN}:
        return "left out, see below"
    if action is Action.NO_OP:
        counts = Counter(row.why or "" for row in rows)
    else:
        arrow = symbols.arrow
        counts = Counter(
            f"{row.version_from or 'none'} {arrow} {row.version_to}"
            if row.version_from != row.version_to
            else f"{row.version_to}, other inputs"
            for row in rows
        )
    told = [clean_text(words) + (f" ({number})" if len(counts) > 1 else "")
            for words, number in counts.most_common(4)]  # fmt: skip
    more = len(counts) - len(told)
    return "   ".join(told) + (f"   and {more} more" if more else "")


def _waves(plan: Plan, symbols: Symbols) -> Iterator[str]:
    if not plan.acting:
        return
    rows = [("", "Wave", "Pools", "At once", "Stops at", "Then")]
    for number, wave in enumerate(plan.waves, start=1):
        stops = "; ".join(wave.stops) or "see below"
        then = ", ".join(wave.then)
        rows.append((str(number), wave.name, str(wave.pools), str(wave.at_once), stops, then))
    yield from _grid(rows, right={2, 3})
    for stop in plan.stops:
        yield fitted(f"  {'':<11}  any wave stops at: {stop}", WIDTH, symbols.more)
    yield ""


def _inputs(plan: Plan, symbols: Symbols, shown: int | None) -> Iterator[str]:
    changed = [row for row in plan.acting if row.inputs]
    base = plan.manifest["spec"]["plugin"]["inputs"]["base"]
    kept = {
        "current": "installed inputs are kept, the manifest's laid over them",
        "template": "inputs begin with the template's defaults",
        "empty": "exactly the manifest's inputs are sent",
    }
    if not plan.acting:
        return
    others = sum(row.version_from is not None for row in plan.acting)
    words = f"{kept[base]}; that changes {len(changed)} of {others} installed"
    yield from _wrapped("Inputs", words)
    pools: dict[tuple[str, str], list[str]] = {}
    for row in changed:
        for change in row.inputs:
            words = f"{change.before} {symbols.arrow} {change.after}"
            names = pools.setdefault((clean_text(change.path, 40), words), [])
            names.append(row.display_name or row.pool_name)
    listed = list(pools.items())[:shown]
    for (path, change_words), names in listed:
        yield from _wrapped("", f"{path}  {change_words}  in {_named(names, shown)}")
    if len(pools) > len(listed):
        yield from _wrapped("", f"and {len(pools) - len(listed)} other changes; --detail shows all")
    yield ""


def _named(names: Sequence[str], shown: int | None) -> str:
    """Return a few names as they are, many as their number."""
    if shown is None or len(names) <= FEW:
        return " ".join(clean_text(name, 40) for name in names)
    return _counted(len(names), "pool")


def _left_out(title: str, rows: Sequence[PlanRow], sign: str, shown: int | None) -> Iterator[str]:
    """Yield the pools that are left out, those with the same reason together."""
    if not rows:
        return
    yield f"  {title:<11}  these pools are left out"
    reasons: dict[str, list[PlanRow]] = {}
    for row in rows:
        reasons.setdefault(_clean(row.why or ""), []).append(row)
    for why, same in sorted(reasons.items(), key=lambda one: -len(one[1])):
        yield f"  {sign} {len(same)}: {why}"
        names = [row.display_name or row.pool_name for row in same]
        listed = names[:shown]
        more = f" and {len(names) - len(listed)} more" if len(names) > len(listed) else ""
        yield from _packed(listed, more, indent="      ")
    yield ""


def _every_pool(plan: Plan, symbols: Symbols) -> Iterator[str]:
    rows = [("", "Pool", "Name", "Wave", "Version", "Note")]
    for row in plan.rows:
        change = f"{row.version_from or 'none'} {symbols.arrow} {row.version_to or '-'}"
        note = _clean(row.why or row.note or row.rollback_why or "")
        rows.append(
            (
                SIGNS[row.action],
                row.pool_name,
                clean_text(row.display_name or "-", 24),
                row.wave or "-",
                change if row.acts else row.version_from or "-",
                note,
            )
        )
    yield from _grid(rows)
    yield ""


def _undo_words(plan: Plan) -> str:
    counts = Counter(row.rollback for row in plan.acting)
    why: Counter[str] = Counter(
        row.rollback_why for row in plan.acting if row.rollback_why is not None
    )
    told = [f"{word.value} {counts[word]}" for word in Undo if counts[word]]
    reasons = ", ".join(f"{words} {number}" for words, number in why.most_common(3))
    return f"rollback {', '.join(told)}" + (f" ({reasons})" if reasons else "")


def _time_words(plan: Plan) -> str:
    guess = plan.estimate
    quick, slow = format_duration(guess.quick_s), format_duration(guess.slow_s)
    bakes = f", {format_duration(guess.bake_s)} of it bakes" if guess.bake_s else ""
    return (
        f"about {quick} to {slow}{bakes}, without approvals and windows, if one pool takes "
        f"1m to 4m; about {guess.calls} API calls"
    )


def _risk_words(plan: Plan) -> str:
    acting = len(plan.acting)
    if plan.most_broken >= acting:
        return f"all {acting} pools can break before a rule acts"
    return (
        f"at most {plan.most_broken} of {acting} pools can break before the stop rules act "
        "(stop rules + pools in flight)"
    )


def _wrapped(title: str, words: str) -> Iterator[str]:
    """Yield words under a title, broken at spaces."""
    head = f"  {title:<11}  "
    yield from _packed(_clean(words).split(" "), "", indent=head, hang=" " * len(head))


def _packed(
    words: Iterable[str], more: str, *, indent: str, hang: str | None = None
) -> Iterator[str]:
    line, empty = indent, True
    for word in [*words, *([more.strip()] if more else [])]:
        if not empty and cells(line) + 1 + cells(word) > WIDTH:
            yield line
            line, empty = hang if hang is not None else indent, True
        line += word if empty else f" {word}"
        empty = False
    yield line


def _grid(
    rows: Sequence[Sequence[str]], *, right: Iterable[int] = (), indent: str = "  "
) -> Iterator[str]:
    """Yield rows in aligned columns."""
    if not rows:
        return
    widths = [max(cells(row[place]) for row in rows) for place in range(len(rows[0]))]
    for row in rows:
        parts = []
        for place, text in enumerate(row):
            space = " " * (widths[place] - cells(text))
            parts.append(space + text if place in set(right) else text + space)
        yield (indent + "  ".join(parts)).rstrip()


def _clean(text: str) -> str:
    return clean_text(mask_text(text))


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
