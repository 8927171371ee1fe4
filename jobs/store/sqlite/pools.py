"""Which job of a pool is at its head, and who follows.

The head is the one job that is READY or in hand, or that waits in the middle of its work.
All others of the pool wait behind it, so a claim never meets a job whose pool is busy:
a thousand jobs on one busy pool cost the others nothing.
"""

from collections.abc import Sequence
from typing import Final

from jobs.states import JobEvent, JobState, WaitReason, next_state
from jobs.store.schema import REASON_CODES, STATE_CODES, json_text
from jobs.store.sqlite.transaction import Transaction

READY: Final = (STATE_CODES[JobState.READY], 0)
BEHIND: Final = (STATE_CODES[JobState.WAITING], REASON_CODES[WaitReason.POOL_BUSY])
"""(state, reason) of jobs that may be claimed, and of those that wait for their pool."""

MOST_DUE: Final = 1_000
"""Due jobs moved on in one claim; the rest follows with the next."""

RANK: Final = "(max(created_us, ifnull(not_before_us, 0)) - priority * 600000000)"
"""Who goes first: who waits longest, with ten minutes for each point of priority.  The indexes
have this very expression; `jobs.model.AGING_S` says the same."""

# The next of the pool becomes its head in the statement that frees it, so the pool is
# never seen free while somebody waits.  No row: the job did not hold the pool.
_FREE: Final = f"""
UPDATE pools
   SET head_job = (SELECT id FROM jobs
                    WHERE pool = pools.id AND state = 1 AND reason = 9 AND run_at_us IS NULL
                    ORDER BY {RANK}, id LIMIT 1)
 WHERE id = ? AND head_job = ?
RETURNING head_job
"""  # noqa: S608 - made of constants only
_MAKE_READY: Final = "UPDATE jobs SET state = 2, reason = 0, run_at_us = NULL WHERE id = ?"
_MAKE_WAIT: Final = "UPDATE jobs SET reason = 9, run_at_us = NULL WHERE id = ?"

DUE: Final = f"""
SELECT id, pool, reason, {RANK} FROM jobs
 WHERE state = 1 AND run_at_us IS NOT NULL AND run_at_us <= ?
 ORDER BY run_at_us LIMIT ?
"""  # noqa: S608 - made of constants only
# No row: another job holds the pool.
_TAKE_HEAD: Final = """
UPDATE pools SET head_job = ?2 WHERE id = ?1 AND (head_job IS NULL OR head_job = ?2)
RETURNING id
"""


def free(transaction: Transaction, pools: Sequence[tuple[int, int]]) -> None:
    """Free each (pool, job) if the job holds the pool, and let its next job become READY."""
    heads = [head for (head,) in transaction.each(_FREE, pools) if head is not None]
    transaction.each(_MAKE_READY, ((head,) for head in heads))
    state = next_state(JobState.WAITING, JobEvent.DUE)
    for head in heads:
        transaction.moved(BEHIND, READY)
        transaction.happened(head, JobEvent.DUE, state)


def move_due_on(transaction: Transaction) -> None:
    """Move WAITING jobs whose time has come: to READY, or behind the head of their pool."""
    due = list(transaction.rows(DUE, (transaction.now_us, MOST_DUE)))
    for job, pool, reason, _ in sorted(due, key=lambda row: (row[3], row[0])):
        move_on(transaction, job, pool, reason)


def move_on(transaction: Transaction, job: int, pool: int, reason: int) -> None:
    """Move one WAITING job on: to READY, or behind the head of its pool."""
    old = (STATE_CODES[JobState.WAITING], reason)
    if transaction.row(_TAKE_HEAD, (pool, job)) is not None:
        transaction.change(_MAKE_READY, (job,))
        transaction.moved(old, READY)
        state = next_state(JobState.WAITING, JobEvent.DUE)
        transaction.happened(job, JobEvent.DUE, state)
    else:
        transaction.change(_MAKE_WAIT, (job,))
        transaction.moved(old, BEHIND)
        state = next_state(JobState.WAITING, JobEvent.QUEUED_BEHIND)
        data = json_text({"reason": WaitReason.POOL_BUSY})
        transaction.happened(job, JobEvent.QUEUED_BEHIND, state, data)
