"""Which job of a pool is at its head, and who follows.

The head is the one job that is READY or in hand, or that waits in the middle of its work.
All others of the pool wait behind it, so a claim never meets a job whose pool is busy:
a thousand jobs on one busy pool cost the others nothing.

The pool's row is the lock for all of that: who changes its head, or what waits behind it,
holds the row, and looks at the jobs only in a later statement, which sees what others have
committed before.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from jobs.states import JobEvent, JobState, WaitReason, next_state
from jobs.store.postgres import lines
from jobs.store.postgres.transaction import Transaction, columns, numbers
from jobs.store.schema import REASON_CODES, STATE_CODES, json_text

READY: Final = (STATE_CODES[JobState.READY], 0)
BEHIND: Final = (STATE_CODES[JobState.WAITING], REASON_CODES[WaitReason.POOL_BUSY])
"""(state, reason) of jobs that may be claimed, and of those that wait for their pool."""

MOST_DUE: Final = 1_000
"""Due jobs moved on in one claim; the rest follows with the next."""

RANK: Final = "(greatest(created_us, not_before_us) - priority * 600000000::bigint)"
"""Who goes first: who waits longest, with ten minutes for each point of priority.  The indexes
have this very expression; `jobs.model.AGING_S` says the same."""

_LOCK_OF_JOBS: Final = """
SELECT id FROM plugwave.pools
 WHERE id = ANY(ARRAY(SELECT pool FROM plugwave.jobs WHERE id = ANY($1::bigint[])))
 ORDER BY id FOR NO KEY UPDATE
"""
# Pools whose head is another job are left alone: the job did not hold them.
_FREE: Final = f"""
WITH freed AS (
  UPDATE plugwave.pools p
     SET head_job = (SELECT j.id FROM plugwave.jobs j WHERE j.pool = p.id AND j.place = 3
                      ORDER BY {RANK}, j.id LIMIT 1)
    FROM unnest($1::text::bigint[], $2::text::bigint[]) AS u(pool, job)
   WHERE p.id = u.pool AND p.head_job = u.job
  RETURNING p.head_job
)
UPDATE plugwave.jobs j SET state = 2, place = 1, reason = 0
  FROM freed WHERE j.id = freed.head_job
RETURNING j.id, j.project
"""  # noqa: S608 - made of constants only

DUE: Final = """
SELECT id, pool FROM plugwave.jobs
 WHERE place = 2 AND run_at_us <= $1 ORDER BY run_at_us LIMIT $2
"""
# Somebody at work in a pool moves its due jobs on, or the next claim does.
_LOCK_FREE_ONES: Final = """
SELECT id, head_job FROM plugwave.pools
 WHERE id = ANY($1::bigint[]) ORDER BY id FOR NO KEY UPDATE SKIP LOCKED
"""
_STILL_DUE: Final = f"""
SELECT id, pool, reason, priority, project FROM plugwave.jobs
 WHERE id = ANY($1::bigint[]) AND pool = ANY($2::bigint[]) AND place = 2 AND run_at_us <= $3
 ORDER BY {RANK}, id
"""  # noqa: S608 - made of constants only
_SET_HEADS: Final = """
UPDATE plugwave.pools p SET head_job = u.job
  FROM unnest($1::bigint[], $2::bigint[]) AS u(pool, job) WHERE p.id = u.pool
"""
_MOVE_ON: Final = """
UPDATE plugwave.jobs j SET state = u.state, place = u.place, reason = u.reason, run_at_us = NULL
  FROM unnest($1::bigint[], $2::smallint[], $3::smallint[], $4::smallint[])
       AS u(id, state, place, reason)
 WHERE j.id = u.id
"""
_QUEUED: Final = json_text({"reason": WaitReason.POOL_BUSY})


async def lock_pools_of(transaction: Transaction, jobs: Sequence[int]) -> None:
    """Lock the pools of these jobs, before the jobs themselves are locked."""
    await transaction.wire.rows(_LOCK_OF_JOBS, jobs)


async def free(transaction: Transaction, pools: Sequence[tuple[int, int]]) -> None:
    """Free each (pool, job) if the job holds the pool, and let the next one become READY.

    The pools must be locked, and the jobs must have left them already.
    """
    if not pools:
        return
    state = next_state(JobState.WAITING, JobEvent.DUE)
    for job, project in await transaction.wire.rows(_FREE, *map(numbers, columns(pools, 2))):
        transaction.moved(BEHIND, READY)
        transaction.happened(job, project, JobEvent.DUE, state)


async def set_heads(transaction: Transaction, heads: Iterable[tuple[int, int]]) -> None:
    """Write the head of each (pool, job)."""
    told = sorted(heads)
    if told:
        await transaction.wire.rows(_SET_HEADS, *columns(told, 2))


async def move_due_on(transaction: Transaction) -> None:
    """Move WAITING jobs whose time has come: to READY, or behind the head of their pool."""
    wire, now_us = transaction.wire, transaction.now_us
    due = await wire.rows(DUE, now_us, MOST_DUE)
    if not due:
        return
    found = await wire.rows(_LOCK_FREE_ONES, sorted({pool for _, pool in due}))
    heads: dict[int, int | None] = {row[0]: row[1] for row in found}
    still = await wire.rows(_STILL_DUE, [job for job, _ in due], list(heads), now_us)
    moves, taken = [], {}
    for job, pool, reason, _, project in still:
        old = (STATE_CODES[JobState.WAITING], reason)
        if heads[pool] in {None, job}:
            heads[pool] = taken[pool] = job
            moves.append((job, READY[0], lines.READY, READY[1]))
            transaction.moved(old, READY)
            state = next_state(JobState.WAITING, JobEvent.DUE)
            transaction.happened(job, project, JobEvent.DUE, state)
        else:
            moves.append((job, BEHIND[0], lines.BEHIND, BEHIND[1]))
            transaction.moved(old, BEHIND)
            state = next_state(JobState.WAITING, JobEvent.QUEUED_BEHIND)
            transaction.happened(job, project, JobEvent.QUEUED_BEHIND, state, _QUEUED)
    await set_heads(transaction, taken.items())
    if moves:
        await wire.rows(_MOVE_ON, *columns(moves, 4))
