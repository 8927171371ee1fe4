"""Cancel jobs that have not sent; ask those that are in hand to stop before they send."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from jobs.errors import NothingMatchedError
from jobs.model import Job, JobId, WorkerId, job_name
from jobs.states import HistoryNote, JobEvent, JobState, next_state
from jobs.store.postgres.pools import free, lock_pools_of
from jobs.store.postgres.reading import job as job_of
from jobs.store.postgres.recording import add_results
from jobs.store.postgres.transaction import Transaction
from jobs.store.rollout_rows import TALLY, ended_as
from jobs.store.schema import STATE_CODES, STATES, json_text

IDLE: Final = "id, state, reason, pool, project, rollout, wave, left_us"
"""The columns of an `Idle`."""

_ROW: Final = f"""
SELECT {IDLE}, cancel_asked FROM plugwave.jobs WHERE id = $1 FOR NO KEY UPDATE
"""  # noqa: S608 - made of constants only
_CANCEL: Final = """
UPDATE plugwave.jobs
   SET state = $2, place = 6, reason = 0, run_at_us = NULL, finished_us = $3,
       left_us = CASE WHEN rollout IS NOT NULL THEN coalesce(left_us, $3) END
 WHERE id = ANY($1::bigint[])
"""
_ASK: Final = "UPDATE plugwave.jobs SET cancel_asked = true WHERE id = $1"

_NOT_BEGUN: Final = frozenset({JobState.WAITING, JobState.READY})


@dataclass(frozen=True, slots=True)
class Idle:
    """A job that may be cancelled at once, if nobody has it in hand."""

    job: int
    code: int
    reason: int
    pool: int
    project: int
    rollout: int | None
    wave: int | None
    left_us: int | None


async def cancel(transaction: Transaction, job: JobId, by: str) -> Job:
    """See `OperatorStore.cancel`.

    Raises:
        NothingMatchedError: If there is no such job.
    """
    wire = transaction.wire
    await lock_pools_of(transaction, [job])
    row = await wire.row(_ROW, job)
    if row is None:
        raise NothingMatchedError(f"there is no {job_name(job)}", job=job)
    *cells, asked = row
    idle = Idle(*cells)
    state = STATES[idle.code]
    if state in _NOT_BEGUN:
        await end_idle(transaction, [idle], {"by": by})
    elif state is JobState.CHECKING and not asked:
        await wire.rows(_ASK, job)
        data = json_text({"by": by})
        transaction.happened(job, idle.project, HistoryNote.CANCEL_ASKED, state, data)
    now = await job_of(wire, job)
    assert now is not None
    return now


async def end_idle(
    transaction: Transaction,
    jobs: Sequence[Idle],
    data: Mapping[str, Any],
    worker: WorkerId | None = None,
) -> None:
    """End WAITING or READY jobs as CANCELLED; their pools are locked.

    Args:
        transaction: The present one.
        jobs: The jobs.
        data: For their history.
        worker: In whose row of results they stand, if the caller does not tell them himself.
    """
    if not jobs:
        return
    told = json_text(data)
    ids = sorted(idle.job for idle in jobs)
    new = JobState.CANCELLED
    await transaction.wire.rows(_CANCEL, ids, STATE_CODES[new], transaction.now_us)
    if worker is not None:
        ended = [(idle.job, idle.project) for idle in jobs]
        await add_results(transaction, worker, ended)
    for idle in jobs:
        state = next_state(STATES[idle.code], JobEvent.CANCELLED)
        transaction.moved((idle.code, idle.reason), (STATE_CODES[state], 0))
        transaction.happened(idle.job, idle.project, JobEvent.CANCELLED, state, told)
        if idle.rollout is not None and idle.wave is not None:
            transaction.tallied(idle.rollout, idle.wave, ended_as(state), ended=True)
            if idle.left_us is None:
                transaction.tallied(idle.rollout, idle.wave, ADMITTED)
    await free(transaction, sorted((idle.pool, idle.job) for idle in jobs))


ADMITTED: Final = tuple(int(name == "admitted") for name in TALLY)
"""What a job that leaves its line adds to a tally."""
