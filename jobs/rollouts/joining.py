"""Pools that come to the fleet while a rollout is under way: who they are, and what they join.

A pool that the plan knows is no joiner, whatever became of its labels: it keeps its wave, or
stays out.  A joiner goes to the end of the last wave's line and needs room in every budget
like everybody else; the resolved limits of the stop rules stay as the plan has them.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from jobs.model import Target
from jobs.rollout_states import WaveState
from jobs.rollouts.actions import ACTING
from jobs.rollouts.course import manifest_of, request_for
from jobs.rollouts.observed import Observed
from jobs.rollouts.plan import Plan
from jobs.rollouts.planning import decision_on
from jobs.rollouts.targets import included
from jobs.rollouts.versions import CONSISTENT
from jobs.store.rollouts import Advance, PlannedJob, RolloutRow

MEMBERS: Final = "members"
"""Under this fact: pools that ``joined``, that are ``held``, and when was ``looked_us``."""

PROFILE: Final = "profile"
"""Under this fact: the account that the rollout's jobs are sent as."""

MOST_JOINERS: Final = 1_000
"""Pools that one rollout takes or names beside its plan."""

_OPEN: Final = frozenset({WaveState.PENDING, WaveState.GATED, WaveState.RUNNING})


@dataclass(frozen=True, slots=True, kw_only=True)
class Joiner:
    """A pool that came later, with the version it is to get."""

    target: Target
    version: str | None


def joiners(plan: Plan, row: RolloutRow, pools: Iterable[Observed]) -> Sequence[Joiner]:
    """Return the pools that the plan does not know and on which something is to be done."""
    manifest = manifest_of(plan)
    known = {one.target.pool for one in plan.rows}
    known |= {tuple(one) for kind in ("joined", "held") for one in members(row).get(kind, ())}
    common = None
    if manifest.spec.plugin.version == CONSISTENT:
        common = next((one.version_to for one in plan.acting), None)
        if common is None:
            return []
    found = []
    for pool in included(manifest.spec.targets, pools):
        if pool.key in known or pool.trouble is not None:
            continue
        decision = decision_on(manifest, pool, common)
        if decision.action in ACTING:
            found.append(Joiner(target=pool.target, version=decision.version))
    room = MOST_JOINERS + len(plan.rows) - len(known)
    return found[: max(0, room)]


def members(row: RolloutRow) -> Mapping[str, Any]:
    """Return what is known of joiners."""
    found: Mapping[str, Any] = row.facts.get(MEMBERS, {})
    return found


def member_words(row: RolloutRow) -> Sequence[str]:
    """Return what a person should know of pools that came later."""
    found = []
    came = members(row)
    if came.get("joined"):
        found.append(f"{len(came['joined'])} pools came later and joined the last wave")
    if came.get("held"):
        names = ", ".join(name for _, _, name in came["held"][:5])
        more = "" if len(came["held"]) <= 5 else ", ..."
        told = f"{len(came['held'])} pools came later and are held ({names}{more})"
        found.append(f"{told}; plan them in a rollout of their own")
    return found


def looked(row: RolloutRow, now_us: int) -> Advance:
    """Return the change by which one worker takes the turn to look."""
    facts = {**row.facts, MEMBERS: {**members(row), "looked_us": now_us}}
    return Advance(rollout=row.id, rev=row.rev, facts=facts)


def joined(
    plan: Plan, row: RolloutRow, found: Sequence[Joiner], *, profile: str | None
) -> Advance | None:
    """Return the change by which *found* join, or are held; None when there is nothing to do."""
    manifest = manifest_of(plan)
    last = row.waves[-1]
    kind = "joined" if manifest.spec.targets.on_join == "last-wave" else "held"
    if not found or (kind == "joined" and last.state not in _OPEN):
        return None
    keys = [*members(row).get(kind, ()), *(list(one.target.pool) for one in found)]
    facts = {**row.facts, MEMBERS: {**members(row), kind: keys}}
    change = Advance(rollout=row.id, rev=row.rev, facts=facts)
    if kind == "held":
        return change
    jobs = [
        PlannedJob(
            wave=last.n,
            rank=last.tally.size + place,
            request=request_for(one.target, one.version, manifest, profile),
        )
        for place, one in enumerate(found)
    ]
    return replace(change, join=jobs)
