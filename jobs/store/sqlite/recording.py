"""Apply what a worker says about a job it holds, and nothing once it holds it no more."""

from collections.abc import Mapping
from typing import Any, Final

from jobs.errors import LeaseLostError
from jobs.model import Job, JobId, JobRequest, Lease, Progress, RolloutId, WorkerId, job_name
from jobs.states import (
    FINAL_STATES,
    HELD_STATES,
    HistoryNote,
    JobEvent,
    JobState,
    WaitReason,
    next_state,
)
from jobs.store.protocol import Change
from jobs.store.rollout_rows import was_rejected
from jobs.store.schema import (
    POOL_KEEPING,
    REASON_CODES,
    STATE_CODES,
    STATES,
    json_text,
    progress_text,
)
from jobs.store.sqlite import rows
from jobs.store.sqlite.pools import free
from jobs.store.sqlite.tallies import check_may_start, count_end
from jobs.store.sqlite.transaction import Transaction

_HELD_ROW: Final = """
SELECT state, pool, cancel_asked, created_us, started_us, deadline_us, rollout, wave FROM jobs
 WHERE id = ? AND worker = ? AND fence = ?
"""
# Three statements, because SQLite rewrites every index that names a column it sets.
_STAY: Final = "UPDATE jobs SET state = ?, progress = ? WHERE id = ?"
_LEAVE: Final = """
UPDATE jobs
   SET state = ?, progress = ?, reason = ?, run_at_us = ?, worker = NULL, holds = ?
 WHERE id = ?
"""
_FINISH: Final = """
UPDATE jobs SET state = ?, progress = ?, finished_us = ?, open = 0, holds = 0, worker = NULL
 WHERE id = ?
"""
ADD_RESULT: Final = """
INSERT INTO results(worker, seq, job)
SELECT ?1, coalesce(max(seq), 0) + 1, ?2 FROM results WHERE worker = ?1
RETURNING seq
"""
# A number comes back when it turned out that nothing had been sent.
_OPEN_ATTEMPT: Final = """
INSERT INTO attempts(job, n, fence, worker, intended_us, sent_us, not_before_us, before, inputs)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE
   SET fence = excluded.fence, worker = excluded.worker, intended_us = excluded.intended_us,
       sent_us = excluded.sent_us, not_before_us = excluded.not_before_us,
       before = excluded.before, inputs = excluded.inputs,
       ended_us = NULL, outcome = NULL, http_status = NULL, request_id = NULL
"""
_CLOSE_ATTEMPT: Final = """
UPDATE attempts SET ended_us = ?, outcome = ?, http_status = ?, request_id = ?
 WHERE job = ? AND outcome IS NULL
"""
_NOTE: Final = """
UPDATE jobs SET progress = ? WHERE id = ? AND worker = ? AND fence = ? RETURNING state, rollout
"""
_JOB: Final = f"{rows.JOBS} WHERE j.id = ?"
_IN_HAND_OF: Final = "SELECT id, state, pool FROM jobs WHERE worker = ? ORDER BY id"
_LET_GO: Final = "UPDATE jobs SET state = ?, worker = NULL, holds = ? WHERE id = ?"

LEAVING: Final = frozenset({JobEvent.HANDED_BACK, JobEvent.LEASE_LOST})
"""Events after which the worker has the job no longer, though its state may be the same."""


def _request_of(transaction: Transaction, job: int) -> JobRequest:
    known = transaction.memory.requests
    if job not in known:
        row = transaction.row(_JOB, (job,))
        assert row is not None
        known[job] = rows.request(row)
    return known[job]


def _lease_lost(lease: Lease) -> LeaseLostError:
    return LeaseLostError(
        f"worker {lease.worker} holds {job_name(lease.job)} no longer",
        job=lease.job,
        worker=lease.worker,
    )


def record(transaction: Transaction, change: Change) -> tuple[Job, int | None]:
    """See `WorkStore.record`; also return the number of the result, when the job ended."""
    lease, event, progress = change.lease, change.event, change.progress
    row = transaction.row(_HELD_ROW, (lease.job, lease.worker, lease.fence))
    if row is None:
        raise _lease_lost(lease)
    old = STATES[row[0]]
    new = next_state(old, event)
    if event is JobEvent.INTENDED:
        check_may_start(transaction, row[6])
    reason, run_at_us = _wait(change) if new is JobState.WAITING else (None, None)
    stays = new not in FINAL_STATES and new not in _OUT_OF_HAND and event not in LEAVING
    request = _request_of(transaction, lease.job)
    final = new in FINAL_STATES
    seq = _write_move(transaction, change, new, reason, run_at_us)
    _write_attempt(transaction, change, old)
    code, reason_code = STATE_CODES[new], REASON_CODES[reason]
    transaction.moved((row[0], 0), (code, reason_code))
    transaction.happened(lease.job, event, new, _told(change, reason))
    if not stays:
        transaction.memory.requests.pop(lease.job, None)
    if final and row[6] is not None:
        count_end(transaction, row[6], row[7], new, rejected=was_rejected(event, progress))
    if final or (new is JobState.WAITING and reason not in POOL_KEEPING):
        free(transaction, row[1], lease.job)
    job = Job(
        id=lease.job,
        request=request,
        state=new,
        created_us=row[3],
        reason=reason,
        run_at_us=run_at_us,
        started_us=row[4],
        deadline_us=row[5],
        finished_us=transaction.now_us if final else None,
        fence=lease.fence,
        worker=lease.worker if stays else None,
        cancel_asked=bool(row[2]),
        progress=progress,
        rollout=None if row[6] is None else RolloutId(row[6]),
        wave=row[7],
    )
    return job, seq


_OUT_OF_HAND: Final = frozenset({JobState.WAITING, JobState.READY})


def _wait(change: Change) -> tuple[WaitReason, int | None]:
    """Return why and until when the job waits.

    Raises:
        ValueError: If nobody could ever tell why it waits, or nothing would wake it.
    """
    if change.reason is None:
        raise ValueError("a move to waiting needs a reason")
    if change.reason in POOL_KEEPING and change.run_at_us is None:
        raise ValueError(f"a wait for {change.reason} keeps the pool and so needs an end")
    return change.reason, change.run_at_us


def _write_move(
    transaction: Transaction,
    change: Change,
    new: JobState,
    reason: WaitReason | None,
    run_at_us: int | None,
) -> int | None:
    job, code, progress = change.lease.job, STATE_CODES[new], progress_text(change.progress)
    if new in FINAL_STATES:
        transaction.change(_FINISH, (code, progress, transaction.now_us, job))
        added = transaction.row(ADD_RESULT, (change.lease.worker, job))
        return None if added is None else int(added[0])
    if new in _OUT_OF_HAND or change.event in LEAVING:
        place = (code, progress, REASON_CODES[reason], run_at_us, new in HELD_STATES)
        transaction.change(_LEAVE, (*place, job))
    else:
        transaction.change(_STAY, (code, progress, job))
    return None


def _write_attempt(transaction: Transaction, change: Change, old: JobState) -> None:
    lease, progress = change.lease, change.progress
    if change.event is JobEvent.INTENDED:
        before = None if progress.before is None else json_text(progress.before)
        inputs = None if progress.inputs is None else json_text(progress.inputs)
        who = (lease.job, progress.sends, lease.fence, lease.worker, transaction.now_us)
        sent = (progress.sent_us, progress.not_before_us, before, inputs)
        transaction.change(_OPEN_ATTEMPT, (*who, *sent))
    elif old is JobState.SENDING:
        answer = (progress.http_status, progress.cloud_request_id)
        ended = (transaction.now_us, change.event, *answer, lease.job)
        transaction.change(_CLOSE_ATTEMPT, ended)


def _told(change: Change, reason: WaitReason | None) -> str | None:
    """Return what the history says beside the event; a wait always says why and until when."""
    if reason is None:
        return json_text(change.data) if change.data else None
    return json_text({"reason": reason, "run_at_us": change.run_at_us, **change.data})


def note(
    transaction: Transaction, lease: Lease, progress: Progress, data: Mapping[str, Any]
) -> None:
    """See `WorkStore.note`."""
    bindings = (progress_text(progress), lease.job, lease.worker, lease.fence)
    row = transaction.row(_NOTE, bindings)
    if row is None:
        raise _lease_lost(lease)
    state = STATES[row[0]]
    if state is JobState.SENDING:  # an intent that is renewed is an intent
        check_may_start(transaction, row[1])
    transaction.happened(lease.job, HistoryNote.SEEN, state, json_text(data) if data else None)


def let_go(transaction: Transaction, worker: WorkerId) -> list[JobId]:
    """Free what a worker that has gone held; see `WorkStore.rescue`."""
    freed = []
    data = json_text({"worker": worker})
    for job, code, _ in list(transaction.rows(_IN_HAND_OF, (worker,))):
        old = STATES[code]
        new = next_state(old, JobEvent.LEASE_LOST)
        transaction.change(_LET_GO, (STATE_CODES[new], new in HELD_STATES, job))
        if old is JobState.SENDING:
            ended = (transaction.now_us, JobEvent.LEASE_LOST, None, None, job)
            transaction.change(_CLOSE_ATTEMPT, ended)
        transaction.moved((code, 0), (STATE_CODES[new], 0))
        transaction.happened(job, JobEvent.LEASE_LOST, new, data)
        transaction.memory.requests.pop(job, None)
        freed.append(JobId(job))
    return freed
