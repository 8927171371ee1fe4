"""Move rollouts on: what was decided about one, and what a person orders.

The rollout's row is locked first, then the pools of all jobs that move, then those jobs; so
what was read of them before is read again.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Final

from jobs.model import rollout_name
from jobs.states import JobEvent, JobState, WaitReason, next_state
from jobs.store.ordering import ordered, ordered_before
from jobs.store.postgres import lines
from jobs.store.postgres.cancelling import ADMITTED, IDLE, Idle, end_idle
from jobs.store.postgres.intake import LATER
from jobs.store.postgres.pools import BEHIND, READY, lock_pools_of, set_heads
from jobs.store.postgres.rollout_reading import record_of, rollout_of
from jobs.store.postgres.rollout_writing import existing, join, write
from jobs.store.postgres.transaction import Transaction, columns
from jobs.store.postgres.wire import Row
from jobs.store.rollouts import Advance, Order, Ordered, RolloutRow
from jobs.store.schema import REASON_CODES, STATE_CODES, json_text
from jobs.store.steering import advanced, check_admitted, check_end

WAITING_ONES: Final = """
SELECT j.id, j.pool, j.reason, j.wave, j.left_us, j.not_before_us, j.project, p.head_job
  FROM plugwave.jobs j JOIN plugwave.pools p ON p.id = j.pool AND p.project = j.project
 WHERE j.id = ANY($1::bigint[]) AND j.rollout = $2 AND j.state = 1
   AND (j.left_us IS NULL OR j.reason = $3 AND j.run_at_us IS NULL)
 ORDER BY j.id FOR NO KEY UPDATE OF j
"""
_ADMIT: Final = """
UPDATE plugwave.jobs j
   SET state = u.state, place = u.place, reason = u.reason, run_at_us = u.run_at_us,
       left_us = coalesce(j.left_us, $1), started_us = NULL, deadline_us = NULL
  FROM unnest($2::bigint[], $3::smallint[], $4::smallint[], $5::smallint[], $6::bigint[])
       AS u(id, state, place, reason, run_at_us)
 WHERE j.id = u.id
"""
ADMITTED_IDLE: Final = """
SELECT id FROM plugwave.jobs
 WHERE rollout = $1 AND left_us IS NOT NULL AND place < 6 AND state IN (1, 2)
 ORDER BY wave, rank LIMIT $2
"""
IN_LINE: Final = """
SELECT id FROM plugwave.jobs WHERE rollout = $1 AND left_us IS NULL ORDER BY wave, rank LIMIT $2
"""
_STILL_IDLE: Final = f"""
SELECT {IDLE} FROM plugwave.jobs
 WHERE id = ANY($1::bigint[]) AND state IN (1, 2) ORDER BY id FOR NO KEY UPDATE
"""  # noqa: S608 - made of constants only

_PAUSED: Final = REASON_CODES[WaitReason.PAUSED]
_WAITING: Final = STATE_CODES[JobState.WAITING]
_QUEUED: Final = json_text({"reason": WaitReason.POOL_BUSY})


async def advance(transaction: Transaction, change: Advance) -> RolloutRow:
    """See `RolloutStore.advance`."""
    wire = transaction.wire
    before = await existing(transaction, change.rollout)
    steered = advanced(before, change, transaction.now_us)
    await write(transaction, steered)
    await join(transaction, change.rollout, change.join)
    ending = await _idle(transaction, change.rollout, change.cancel)
    if change.admit or ending:
        await lock_pools_of(transaction, [*change.admit, *ending])
    await _cancel(transaction, change, steered.row, ending)
    await _admit(transaction, change, steered.row)
    await transaction.flush_tallies()
    row = await rollout_of(wire, change.rollout)
    assert row is not None
    check_end(change, row, idle=bool(await _idle(transaction, change.rollout, 1)))
    return row


async def _idle(transaction: Transaction, rollout: int, limit: int) -> list[int]:
    """Return jobs that nobody has in hand, those that were admitted first."""
    if not limit:
        return []
    found = [job for (job,) in await transaction.wire.rows(ADMITTED_IDLE, rollout, limit)]
    rest = await transaction.wire.rows(IN_LINE, rollout, limit - len(found))
    return found + [job for (job,) in rest]


async def _cancel(
    transaction: Transaction, change: Advance, row: RolloutRow, ending: Sequence[int]
) -> None:
    if not ending:
        return
    place = {job: number for number, job in enumerate(ending)}
    found = [Idle(*cells) for cells in await transaction.wire.rows(_STILL_IDLE, ending)]
    data = {"by": rollout_name(row.id), "why": f"the rollout is {row.state}"}
    found.sort(key=lambda idle: place[idle.job])
    await end_idle(transaction, found, data, change.worker)


async def _admit(transaction: Transaction, change: Advance, row: RolloutRow) -> None:
    if not change.admit:
        return
    wire = transaction.wire
    found = await wire.rows(WAITING_ONES, list(change.admit), row.id, _PAUSED)
    waiting = {cells[0]: cells for cells in found}
    check_admitted(row, {cells[3] for cells in found})
    heads = {cells[1]: cells[7] for cells in found}
    taken: dict[int, int] = {}
    moves = [
        _let_in(transaction, waiting[job], heads, taken)
        for job in dict.fromkeys(change.admit)
        if job in waiting
    ]
    await set_heads(transaction, taken.items())
    if moves:
        await wire.rows(_ADMIT, transaction.now_us, *columns(moves, 5))
    left = Counter(cells[3] for cells in found if cells[4] is None)
    for wave, jobs in left.items():
        transaction.tallied(row.id, wave, [jobs * one for one in ADMITTED])


def _let_in(
    transaction: Transaction, cells: Row, heads: dict[int, int | None], taken: dict[int, int]
) -> Row:
    """Return where an admitted job goes: to READY, behind its pool's head, or to its own time."""
    job, pool, reason, _, _, not_before_us, project, _ = cells
    old = (_WAITING, reason)
    if not_before_us is not None and not_before_us > transaction.now_us:
        state = next_state(JobState.WAITING, JobEvent.QUEUED_BEHIND)
        told = json_text({"reason": WaitReason.NOT_BEFORE, "run_at_us": not_before_us})
        transaction.moved(old, LATER)
        transaction.happened(job, project, JobEvent.QUEUED_BEHIND, state, told)
        return (job, LATER[0], lines.TIMED, LATER[1], not_before_us)
    if heads[pool] in {None, job}:
        heads[pool] = taken[pool] = job
        state = next_state(JobState.WAITING, JobEvent.DUE)
        transaction.moved(old, READY)
        transaction.happened(job, project, JobEvent.DUE, state)
        return (job, READY[0], lines.READY, READY[1], None)
    state = next_state(JobState.WAITING, JobEvent.QUEUED_BEHIND)
    transaction.moved(old, BEHIND)
    transaction.happened(job, project, JobEvent.QUEUED_BEHIND, state, _QUEUED)
    return (job, BEHIND[0], lines.BEHIND, BEHIND[1], None)


async def order(transaction: Transaction, wanted: Order) -> Ordered:
    """See `RolloutStore.order`."""
    row = await existing(transaction, wanted.rollout)
    steered = ordered(row, wanted, transaction.now_us)
    if steered is None:
        return ordered_before(row, wanted, await record_of(transaction.wire, row.id))
    await write(transaction, steered)
    return Ordered(row=steered.row)
