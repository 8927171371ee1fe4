"""A plan as Markdown, for a pull request or a change ticket."""

from collections.abc import Iterable, Iterator, Sequence

from config.masking import clean_text, mask_text
from jobs.rollouts.actions import ACTING, Action
from jobs.rollouts.plan import Plan


def markdown(plan: Plan) -> str:
    """Return the plan as Markdown; no text of the cloud can break out of its cell."""
    return "\n".join(_lines(plan))


def _lines(plan: Plan) -> Iterator[str]:
    yield f"### Plan `{plan.digest[:12]}` for rollout `{plan.name}`"
    yield ""
    yield f"{plan.included} pools, plug-in `{plan.plugin}` {_cell(plan.version)}."
    yield ""
    counts = [(action.value, str(len(plan.of(action)))) for action in Action if plan.of(action)]
    yield from _table(("Action", "Pools"), counts)
    if plan.acting:
        yield from _table(
            ("Wave", "Pools", "At once", "Stops at", "Then"),
            (
                (w.name, str(w.pools), str(w.at_once), "; ".join(w.stops), ", ".join(w.then))
                for w in plan.waves
            ),
        )
        stops = "; ".join(plan.stops)
        yield f"Any wave stops at: {_cell(stops)}." if stops else "No rule counts over all waves."
        yield ""
        yield f"At most **{plan.most_broken} of {len(plan.acting)}** pools can break."
        yield ""
    left_out = [row for row in plan.rows if row.action not in ACTING | {Action.NO_OP}]
    if left_out:
        yield from _table(("Left out", "Why"), ((row.pool_name, row.why or "") for row in left_out))
    changes = [
        (row.pool_name, c.path, c.before, c.after) for row in plan.acting for c in row.inputs
    ]
    if changes:
        yield from _table(("Pool", "Input", "Before", "After"), changes)
    for warning in plan.warnings:
        yield f"> **Warning** {_cell(warning)}"
        yield ""
    yield "Nothing was changed."


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(heads)} |"
    yield f"| {' | '.join('---' for _ in heads)} |"
    for row in rows:
        yield f"| {' | '.join(_cell(text) for text in row)} |"
    yield ""


def _cell(text: str) -> str:
    cleaned = clean_text(mask_text(text))
    for sign in ("\\", "|", "<", "`", "*", "[", "]"):
        cleaned = cleaned.replace(sign, f"\\{sign}" if sign != "<" else "&lt;")
    return cleaned
