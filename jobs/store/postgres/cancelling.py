"""Cancel a job that has not sent; ask one that is in hand to stop before it sends."""

from typing import Final

from jobs.errors import NothingMatchedError
from jobs.model import Job, JobId, job_name
from jobs.states import HistoryNote, JobEvent, JobState, next_state
from jobs.store.postgres.pools import free, lock_pools_of
from jobs.store.postgres.reading import job as job_of
from jobs.store.postgres.transaction import Transaction
from jobs.store.schema import STATE_CODES, STATES, json_text

_ROW: Final = """
SELECT state, reason, pool, project, cancel_asked FROM plugwave.jobs WHERE id = $1
   FOR NO KEY UPDATE
"""
_CANCEL: Final = """
UPDATE plugwave.jobs
   SET state = $2, place = 6, reason = 0, run_at_us = NULL, finished_us = $3 WHERE id = $1
"""
_ASK: Final = "UPDATE plugwave.jobs SET cancel_asked = true WHERE id = $1"

_NOT_BEGUN: Final = frozenset({JobState.WAITING, JobState.READY})


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
    code, reason, pool, project, asked = row
    state = STATES[code]
    data = json_text({"by": by})
    if state in _NOT_BEGUN:
        new = next_state(state, JobEvent.CANCELLED)
        await wire.rows(_CANCEL, job, STATE_CODES[new], transaction.now_us)
        transaction.moved((code, reason), (STATE_CODES[new], 0))
        transaction.happened(job, project, JobEvent.CANCELLED, new, data)
        await free(transaction, [(pool, job)])
    elif state is JobState.CHECKING and not asked:
        await wire.rows(_ASK, job)
        transaction.happened(job, project, HistoryNote.CANCEL_ASKED, state, data)
    now = await job_of(wire, job)
    assert now is not None
    return now
