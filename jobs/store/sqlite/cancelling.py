"""Cancel jobs that have not sent; ask those that are in hand to stop before they send."""

from dataclasses import dataclass
from typing import Any, Final

from jobs.errors import NothingMatchedError
from jobs.model import Job, JobId, WorkerId, job_name
from jobs.states import HistoryNote, JobEvent, JobState, next_state
from jobs.store.schema import STATE_CODES, STATES, json_text
from jobs.store.sqlite import rows
from jobs.store.sqlite.pools import free
from jobs.store.sqlite.recording import add_results
from jobs.store.sqlite.tallies import count_end
from jobs.store.sqlite.transaction import Transaction

IDLE: Final = "id, state, reason, pool, rollout, wave, left_us"
"""The columns of an `Idle`."""

_ROW: Final = f"SELECT {IDLE} FROM jobs WHERE id = ?"  # noqa: S608 - made of constants only
_CANCEL: Final = """
UPDATE jobs SET state = ?, reason = 0, run_at_us = NULL, finished_us = ?, open = 0 WHERE id = ?
"""
_LEAVE_LINE: Final = "UPDATE jobs SET left_us = ? WHERE id = ?"
_ASK_TO_CANCEL: Final = "UPDATE jobs SET cancel_asked = 1 WHERE id = ? AND cancel_asked = 0"
_JOB: Final = f"{rows.JOBS} WHERE j.id = ?"

_NOT_BEGUN: Final = frozenset({JobState.WAITING, JobState.READY})


@dataclass(frozen=True, slots=True)
class Idle:
    """A job that may be cancelled at once, if nobody has it in hand."""

    job: int
    code: int
    reason: int
    pool: int
    rollout: int | None
    wave: int | None
    left_us: int | None


def cancel(transaction: Transaction, job: JobId, by: str) -> Job:
    """See `OperatorStore.cancel`.

    Raises:
        NothingMatchedError: If there is no such job.
    """
    row = transaction.row(_ROW, (job,))
    if row is None:
        raise NothingMatchedError(f"there is no {job_name(job)}", job=job)
    idle = Idle(*row)
    state = STATES[idle.code]
    if state in _NOT_BEGUN:
        end_idle(transaction, idle, {"by": by})
    elif state is JobState.CHECKING and transaction.change(_ASK_TO_CANCEL, (job,)):
        transaction.happened(job, HistoryNote.CANCEL_ASKED, state, json_text({"by": by}))
    now = transaction.row(_JOB, (job,))
    assert now is not None
    return rows.job(now)


def end_idle(
    transaction: Transaction, idle: Idle, data: dict[str, Any], worker: WorkerId | None = None
) -> None:
    """End a WAITING or READY job as CANCELLED.

    Args:
        transaction: The present one.
        idle: The job.
        data: For its history.
        worker: In whose row of results it stands, if the caller does not tell it himself.
    """
    new = next_state(STATES[idle.code], JobEvent.CANCELLED)
    transaction.change(_CANCEL, (STATE_CODES[new], transaction.now_us, idle.job))
    if idle.rollout is not None and idle.wave is not None:
        in_line = idle.left_us is None
        if in_line:
            transaction.change(_LEAVE_LINE, (transaction.now_us, idle.job))
        count_end(transaction, idle.rollout, idle.wave, new, in_line=in_line)
    if worker is not None:
        add_results(transaction, worker, [idle.job])
    transaction.moved((idle.code, idle.reason), (STATE_CODES[new], 0))
    transaction.happened(idle.job, JobEvent.CANCELLED, new, json_text(data))
    free(transaction, [(idle.pool, idle.job)])
