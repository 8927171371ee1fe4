"""Plans and circumstances for rehearsals."""

from typing import Any

from jobs.decide import Rules
from jobs.pacing import Limit, Pace
from jobs.rollouts.course import course_of
from jobs.rollouts.manifest import PRESETS
from jobs.rollouts.plan import Plan
from jobs.rollouts.planning import make_plan
from tests.builders import NOON_US
from tests.rollouts.building import TERMS, a_manifest
from tests.rollouts.running import three_regions
from worker.rehearsal.fates import Fates
from worker.rehearsal.one_run import Circumstances, Ending, run_once

CAREFUL: dict[str, Any] = dict(PRESETS["careful"])


def capped(cap: int, **spec: Any) -> dict[str, Any]:
    """Return the careful preset with a hard cap of failures."""
    rule = {"name": "hard-cap", "failures": cap}
    return {**CAREFUL, "stop": [rule, *CAREFUL["stop"]], **spec}


def planned(pools: int, **spec: Any) -> Plan:
    """Return the plan that changes *pools* pools of three regions."""
    return make_plan(a_manifest(**spec), three_regions(pools), TERMS)


def around(plan: Plan, **more: Any) -> Circumstances:
    """Return the circumstances of a rehearsal with the usual settings."""
    facts: dict[str, Any] = {
        "rules": Rules(),
        "pace": Pace(limit=Limit(count=5)),
        "start_us": NOON_US,
        **more,
    }
    return Circumstances(plan=plan, course=course_of(plan), **facts)


def ended(plan: Plan, *, rate: float = 0.0, seed: int = 1, **more: Any) -> Ending:
    """Rehearse once; changes take about half a minute."""
    fates = Fates(seed=seed, rate=rate, successes_s=(25.0, 28.0, 30.0, 32.0, 35.0))
    return run_once(around(plan, **more), fates)
