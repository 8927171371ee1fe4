"""A rollout in the store of a house, begun as `apply` begins one."""

from jobs.rollouts.plan import Plan
from jobs.rollouts.planning import make_plan
from jobs.store.rollouts import Word
from tests.api.calling import House
from tests.rollouts.building import TERMS, a_manifest, a_pool
from worker.applying import Submission, begin

WAVES = [
    {"name": "canary", "pick": {"count": 1}, "before": [{"approval": {}}]},
    {"name": "rest", "pick": {"rest": True}},
]


def a_plan() -> Plan:
    """Return a plan for three pools in two waves, of which the first wants an approval."""
    return make_plan(a_manifest(waves=WAVES), [a_pool(number) for number in range(3)], TERMS)


async def with_rollout(house: House) -> Plan:
    """Begin one and return its plan."""
    plan = a_plan()
    asked = Submission(plan=plan, word=Word(by="test"))
    await begin(house.store.rollouts, asked, house.clock.now_us())
    return plan
