"""What moved in the fleet since a plan was made, in words; pure."""

from collections.abc import Iterator
from typing import Final

from jobs.rollouts.plan import Plan, PlanRow

NAMED: Final = 10
"""Pools that are named; further ones are counted."""

_TOLD: Final = ("action", "version_to", "before_sha256", "after_sha256", "why")
"""What tells two rows apart; the places of all shift when one pool comes or goes."""


def moved(old: Plan, new: Plan) -> list[str]:
    """Return how *new*, made of the same manifest now, differs from *old*."""
    found = list(_rows(old, new))
    if not found and old.down != new.down:
        found.append(f"{new.down} pools are not Running; {old.down} were")
    if not found and old.calendars != new.calendars:
        found.append("a calendar file of its freezes has changed")
    if not found:
        found.append("labels or names have changed, so the waves are others")
    more = len(found) - NAMED
    return [*found[:NAMED], *([f"and {more} more"] if more > 0 else [])]


def _rows(old: Plan, new: Plan) -> Iterator[str]:
    before = {row.target.pool: row for row in old.rows}
    after = {row.target.pool: row for row in new.rows}
    for key, row in after.items():
        was = before.get(key)
        if was is None:
            yield f"{row.pool_name} is new"
        elif was.version_from != row.version_from:
            yield f"{row.pool_name} is now {row.version_from or 'without the plug-in'}"
        elif any(getattr(was, name) != getattr(row, name) for name in _TOLD):
            yield _otherwise(was, row)
    for key, row in before.items():
        if key not in after:
            yield f"{row.pool_name} is gone"


def _otherwise(was: PlanRow, row: PlanRow) -> str:
    if was.action is not row.action:
        why = f" ({row.why})" if row.why else ""
        return f"{row.pool_name} is {row.action.value} now{why}; it was {was.action.value}"
    if was.before_sha256 != row.before_sha256:
        return f"{row.pool_name} has other inputs now"
    return f"{row.pool_name} would be done otherwise"
