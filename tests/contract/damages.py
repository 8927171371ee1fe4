"""Damage to what is kept about rollouts, as each engine's own tests do it and look for it."""

from typing import Final

from jobs.model import RolloutId, WorkerId
from jobs.states import JobEvent
from jobs.store.protocol import Store
from tests.contract.rollout_steps import admit, end, in_hand, running

DAMAGES: Final = (
    ("tallies", "UPDATE {waves} SET failed = failed + 1"),
    ("tallies", "UPDATE {waves} SET admitted = admitted - 1"),
    ("tallies", "UPDATE {s}waves SET written = written - 1"),
    ("tallies", "UPDATE {s}jobs SET successor = 4711 WHERE id = 1"),
    ("lines", "UPDATE {s}jobs SET left_us = NULL WHERE id = 2"),
    ("lines", "UPDATE {s}jobs SET wave = 9 WHERE id = 1"),
    ("lines", "UPDATE {s}jobs SET rollout = NULL WHERE id = 1"),
    ("lines", "UPDATE {s}rollouts SET live = {no}, finished_us = 1"),
    ("rollouts", "UPDATE {s}rollouts SET state = 'aborted'"),
    ("rollouts", "UPDATE {s}rollouts SET finished_us = 1"),
    ("rollouts", "DELETE FROM {s}plans"),
)
"""(name of the finding, what is done to a rollout of three jobs)."""


async def a_rollout(store: Store, worker: WorkerId) -> RolloutId:
    """Make a rollout with a job that failed, one that is ready and one in line."""
    rollout = await running(store, 3)
    [lease] = await in_hand(store, worker, rollout)
    await end(store, lease, JobEvent.REFUSED)
    await admit(store, rollout)
    return rollout
