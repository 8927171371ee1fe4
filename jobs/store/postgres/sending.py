"""Whether the line and their rollouts let jobs send, under locks that make an order a barrier."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from jobs.model import RolloutId
from jobs.rollout_states import RolloutState
from jobs.store.postgres.line import shared
from jobs.store.postgres.transaction import Transaction
from jobs.store.rollouts import GOES_ON, LineStop
from jobs.store.steering import check_line, check_may_send


@dataclass(frozen=True, slots=True)
class States:
    """The line and rollouts by id, as they are until the end of the transaction."""

    line: LineStop
    rollouts: Mapping[RolloutId, RolloutState]

    def check(self, rollout: RolloutId | None) -> None:
        """Refuse an intent to send of a job of this rollout, or of none.

        Raises:
            LineStoppedError: If nothing may start.
            RolloutHeldError: If its rollout is paused or aborting, or has ended.
        """
        check_line(self.line)
        if rollout is not None:
            check_may_send(rollout, self.rollouts[rollout])


FREE: Final = States(GOES_ON, {})
"""What nobody asks: no call of the transaction is an intent."""


_ROLLOUTS_OF: Final = """
SELECT DISTINCT rollout FROM plugwave.jobs WHERE id = ANY($1::bigint[]) AND rollout IS NOT NULL
"""
_LOCK: Final = """
SELECT id, state FROM plugwave.rollouts WHERE id = ANY($1::bigint[]) ORDER BY id FOR SHARE
"""


async def lock_states(transaction: Transaction, jobs: Sequence[int]) -> States:
    """Share the locks of the line and of the rollouts of these jobs.

    Whoever stops the line or pauses a rollout waits for those who have the lock, and they see
    what it did.
    """
    if not jobs:
        return FREE
    line = await shared(transaction.wire)
    memory = transaction.memory.held
    rollouts = {memory[job].job.rollout for job in jobs if job in memory}
    unknown = [job for job in jobs if job not in memory]
    if unknown:
        rollouts |= {row[0] for row in await transaction.wire.rows(_ROLLOUTS_OF, unknown)}
    wanted = sorted(rollout for rollout in rollouts if rollout is not None)
    if not wanted:
        return States(line, {})
    found = await transaction.wire.rows(_LOCK, wanted)
    return States(line, {RolloutId(rollout): RolloutState(state) for rollout, state in found})
