"""Whether the rollouts of jobs let them send, under locks that make an order a barrier."""

from collections.abc import Mapping, Sequence
from typing import Final

from jobs.model import RolloutId
from jobs.rollout_states import RolloutState
from jobs.store.postgres.transaction import Transaction

States = Mapping[RolloutId, RolloutState]
"""Rollouts by id, as they are until the end of the transaction."""

_ROLLOUTS_OF: Final = """
SELECT DISTINCT rollout FROM plugwave.jobs WHERE id = ANY($1::bigint[]) AND rollout IS NOT NULL
"""
_LOCK: Final = """
SELECT id, state FROM plugwave.rollouts WHERE id = ANY($1::bigint[]) ORDER BY id FOR SHARE
"""


async def lock_states(transaction: Transaction, jobs: Sequence[int]) -> States:
    """Share the locks of the rollouts of these jobs; costs nothing for jobs of none.

    Whoever pauses a rollout waits for those who have the lock, and they see what it did.
    """
    memory = transaction.memory.held
    rollouts = {memory[job].rollout for job in jobs if job in memory}
    unknown = [job for job in jobs if job not in memory]
    if unknown:
        rollouts |= {row[0] for row in await transaction.wire.rows(_ROLLOUTS_OF, unknown)}
    wanted = sorted(rollout for rollout in rollouts if rollout is not None)
    if not wanted:
        return {}
    found = await transaction.wire.rows(_LOCK, wanted)
    return {RolloutId(rollout): RolloutState(state) for rollout, state in found}
