"""Workers come, say that they live, and go; who cannot say so is declared dead."""

from typing import Final

from jobs.clock import seconds_to_us
from jobs.errors import WorkerFencedError
from jobs.model import JobId, WorkerId
from jobs.states import JobEvent, JobState, next_state
from jobs.store.postgres import lines
from jobs.store.postgres.recording import close_attempts
from jobs.store.postgres.transaction import Transaction, columns
from jobs.store.postgres.wire import Row
from jobs.store.protocol import WorkerInfo
from jobs.store.schema import STATE_CODES, STATES, json_text, profiles_text

NEXT_ID: Final = "SELECT nextval('plugwave.worker_ids')"
_REGISTER: Final = """
INSERT INTO plugwave.workers(id, name, host, pid, started_us, heartbeat_us, lease_until_us,
                             has_lock, profiles, reported)
VALUES ($1, $2, $3, $4, $5, $5, $6, $7, $8, 0)
"""
# Rows of connections that nobody can ask about any more.
_FORGET_COMMITS: Final = "DELETE FROM plugwave.commits WHERE at_us < $1"
_HEARTBEAT: Final = """
UPDATE plugwave.workers SET heartbeat_us = $2, lease_until_us = $3
 WHERE id = $1 AND dead_us IS NULL RETURNING id
"""
_LEASE: Final = """
SELECT lease_until_us FROM plugwave.workers WHERE id = $1 AND dead_us IS NULL FOR UPDATE
"""
_BURY: Final = "UPDATE plugwave.workers SET dead_us = $2 WHERE id = $1"
_IN_HAND_OF: Final = """
SELECT id, state, project FROM plugwave.jobs
 WHERE place IN (4, 5) AND worker = $1 ORDER BY id FOR NO KEY UPDATE
"""
_LET_GO: Final = """
UPDATE plugwave.jobs j SET state = u.state, place = u.place, worker = NULL
  FROM unnest($1::bigint[], $2::smallint[], $3::smallint[]) AS u(id, state, place)
 WHERE j.id = u.id
"""

COMMITS_KEPT_S: Final = 86_400.0
"""How long the last transaction of a connection is remembered; minutes would do."""


async def register(
    transaction: Transaction, worker: int, info: WorkerInfo, lease_s: float, *, has_lock: bool
) -> WorkerId:
    """See `WorkStore.register`.

    The lock was taken before anybody can see the row, so nobody ever finds a worker whose
    lock is not held yet.
    """
    now_us = transaction.now_us
    until_us = now_us + seconds_to_us(lease_s)
    who = (worker, info.name, info.host, info.pid)
    profiles = profiles_text(info.profiles)
    await transaction.wire.rows(_REGISTER, *who, now_us, until_us, has_lock, profiles)
    old_us = now_us - seconds_to_us(COMMITS_KEPT_S)
    await transaction.wire.rows(_FORGET_COMMITS, old_us)
    return WorkerId(worker)


async def heartbeat(transaction: Transaction, worker: WorkerId, lease_s: float) -> None:
    """See `WorkStore.heartbeat`."""
    now_us = transaction.now_us
    until_us = now_us + seconds_to_us(lease_s)
    if await transaction.wire.row(_HEARTBEAT, worker, now_us, until_us) is None:
        raise WorkerFencedError(f"worker {worker} was declared dead", worker=worker)


async def bury(
    transaction: Transaction, worker: WorkerId, *, unless_alive_within_us: int | None = None
) -> list[JobId] | None:
    """Declare a worker dead and free its jobs; return them, or None if it was left alone.

    Args:
        transaction: The present one.
        worker: Who; one that is dead already is left as it is.
        unless_alive_within_us: The grace to look once more at its lease, when only the
            lease spoke against it; None when its end is certain.
    """
    row = await transaction.wire.row(_LEASE, worker)
    if row is None:
        return None
    if unless_alive_within_us is not None and row[0] + unless_alive_within_us >= transaction.now_us:
        return None
    await transaction.wire.rows(_BURY, worker, transaction.now_us)
    return await _let_go(transaction, worker)


async def _let_go(transaction: Transaction, worker: WorkerId) -> list[JobId]:
    """Free what a worker that has gone held; see `WorkStore.rescue`."""
    moves: list[Row] = []
    closed: list[Row] = []
    data = json_text({"worker": worker})
    for job, code, project in await transaction.wire.rows(_IN_HAND_OF, worker):
        old = STATES[code]
        new = next_state(old, JobEvent.LEASE_LOST)
        moves.append((job, STATE_CODES[new], lines.line_of(new)))
        if old is JobState.SENDING:
            closed.append((job, JobEvent.LEASE_LOST, None, None))
        transaction.moved((code, 0), (STATE_CODES[new], 0))
        transaction.happened(job, project, JobEvent.LEASE_LOST, new, data)
        transaction.memory.held.pop(job, None)
    if moves:
        await transaction.wire.rows(_LET_GO, *columns(moves, 3))
    await close_attempts(transaction, closed)
    return [JobId(move[0]) for move in moves]
