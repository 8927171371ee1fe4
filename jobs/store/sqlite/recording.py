"""Apply what workers say about jobs they hold, and nothing once they hold them no more.

Calls that arrive together are applied together, a statement for all of them at a time: read
how their jobs stand, decide about each by itself, write.  Nobody else writes meanwhile, so what
was read is true until COMMIT, and a call that is late or makes no sense fails alone.
"""

from collections.abc import Sequence
from functools import cache, partial
from typing import Final

from jobs.changing import changed
from jobs.model import Job, JobId, WorkerId
from jobs.states import HELD_STATES, HistoryNote, JobEvent, JobState, next_state
from jobs.store.moving import Call, Move, decide, intent, lease_lost, rounds
from jobs.store.schema import REASON_CODES, STATE_CODES, STATES, json_text
from jobs.store.sqlite import rows
from jobs.store.sqlite.pools import free
from jobs.store.sqlite.tallies import check_may_start, count_end
from jobs.store.sqlite.transaction import Cells, Transaction

# The jobs in one look, which costs a quarter of a look for each.
_STAND: Final = """
SELECT j.id, j.worker, j.fence, j.state, j.cancel_asked, j.pool
  FROM json_each(?) u CROSS JOIN jobs j ON j.id = u.value
"""
_JOB: Final = f"{rows.JOBS} WHERE j.id = ?"
# Four statements, because SQLite rewrites every index that names a column it sets.
_SEE: Final = "UPDATE jobs SET progress = ? WHERE id = ?"
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
_LAST_RESULT: Final = "SELECT max(seq) FROM results WHERE worker = ?"
_ADD_RESULT: Final = "INSERT INTO results(worker, seq, job) VALUES (?, ?, ?)"
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
_IN_HAND_OF: Final = "SELECT id, state, pool FROM jobs WHERE worker = ? ORDER BY id"
_LET_GO: Final = "UPDATE jobs SET state = ?, worker = NULL, holds = ? WHERE id = ?"

Outcome = tuple[Job, int | None] | Exception
"""The job as it is then, and the number of its result if it ended; or why nothing was written."""


def record(transaction: Transaction, calls: Sequence[Call]) -> list[Outcome]:
    """Apply each call; see `WorkStore.record` and `WorkStore.note`."""
    outcomes: list[Outcome] = [LookupError()] * len(calls)
    for places in rounds(calls):
        told = _record_round(transaction, [calls[place] for place in places])
        for place, outcome in zip(places, told, strict=True):
            outcomes[place] = outcome
    return outcomes


def _record_round(transaction: Transaction, calls: Sequence[Call]) -> list[Outcome]:
    ids = json_text([call.lease.job for call in calls])
    stand = {row[0]: row for row in transaction.rows(_STAND, (ids,))}
    # Nobody else writes meanwhile, so one look for each rollout is enough.
    may_send = cache(partial(check_may_start, transaction))
    failed: dict[int, Exception] = {}
    moves: dict[int, Move] = {}
    for call in calls:
        lease = call.lease
        row = stand.get(lease.job)
        if row is None or row[1] != lease.worker or row[2] != lease.fence:
            failed[lease.job] = lease_lost(lease)
            continue
        job = _as_it_stands(transaction, row)
        try:
            moves[lease.job] = decide(transaction.now_us, call, job, may_send)
        except Exception as error:  # noqa: BLE001 - a call that makes no sense fails alone
            failed[lease.job] = error
    numbers = _write(transaction, list(moves.values()))
    pools = [(stand[job][5], job) for job, move in moves.items() if move.frees]
    free(transaction, pools)
    return [
        failed.get(job) or (moves[job].job, numbers.get(job))
        for job in (call.lease.job for call in calls)
    ]


def _as_it_stands(transaction: Transaction, row: Cells) -> Job:
    """Return the job of a row of _STAND, from memory where it is known."""
    job = transaction.memory.held.get(row[0])
    if job is None or job.fence != row[2]:
        whole = transaction.row(_JOB, (row[0],))
        assert whole is not None
        return rows.job(whole)
    state, asked = STATES[row[3]], bool(row[4])
    if job.state is not state or job.cancel_asked is not asked:
        job = changed(job, state=state, cancel_asked=asked)
    return job


def _write(transaction: Transaction, moves: Sequence[Move]) -> dict[int, int]:
    """Write moves of different jobs; return the numbers of the results of those that ended."""
    written: dict[str, list[Cells]] = {}
    ended: dict[WorkerId, list[int]] = {}
    held = transaction.memory.held
    for move in moves:
        job, lease = move.job, move.call.lease
        sql, cells = _cells(move)
        written.setdefault(sql, []).append(cells)
        if move.opens:
            attempt = _opened(transaction.now_us, move)
            written.setdefault(_OPEN_ATTEMPT, []).append(attempt)
        elif move.closes:
            answer = (job.progress.http_status, job.progress.cloud_request_id)
            closed = (transaction.now_us, move.event, *answer, job.id)
            written.setdefault(_CLOSE_ATTEMPT, []).append(closed)
        if move.event is not HistoryNote.SEEN:
            transaction.moved((STATE_CODES[move.old], 0), move.place)
        transaction.happened(job.id, move.event, job.state, move.told)
        if move.stays:
            held[job.id] = job
            continue
        held.pop(job.id, None)
        if move.ends:
            ended.setdefault(lease.worker, []).append(job.id)
            if job.rollout is not None and job.wave is not None:
                count_end(transaction, job.rollout, job.wave, job.state, rejected=move.rejected)
    for sql, bindings in written.items():
        transaction.each(sql, bindings)
    numbers: dict[int, int] = {}
    for worker, jobs in ended.items():
        numbers |= add_results(transaction, worker, jobs)
    return numbers


def _cells(move: Move) -> tuple[str, Cells]:
    """Return the statement that writes the job of a move, and its values."""
    job, code = move.job, STATE_CODES[move.job.state]
    if move.event is HistoryNote.SEEN:
        return _SEE, (move.progress, job.id)
    if move.stays:
        return _STAY, (code, move.progress, job.id)
    if move.ends:
        return _FINISH, (code, move.progress, job.finished_us, job.id)
    where = (REASON_CODES[job.reason], job.run_at_us, job.state in HELD_STATES)
    return _LEAVE, (code, move.progress, *where, job.id)


def _opened(now_us: int, move: Move) -> Cells:
    """Return the attempt that an intent to send opens."""
    job, lease = move.job, move.call.lease
    who = (job.id, job.progress.sends, lease.fence, lease.worker, now_us)
    return (*who, *intent(job.progress))


def add_results(transaction: Transaction, worker: WorkerId, jobs: Sequence[int]) -> dict[int, int]:
    """Append jobs to the row of the worker's results; return the number of each."""
    last = transaction.row(_LAST_RESULT, (worker,))
    first = 1 + (last[0] if last is not None and last[0] is not None else 0)
    numbers = {job: number for number, job in enumerate(jobs, first)}
    transaction.each(_ADD_RESULT, ((worker, number, job) for job, number in numbers.items()))
    return numbers


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
        transaction.memory.held.pop(job, None)
        freed.append(JobId(job))
    return freed
