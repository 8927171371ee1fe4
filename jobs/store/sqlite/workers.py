"""Workers come, say that they live, and go; who cannot say so is declared dead."""

from typing import Final

from jobs.clock import seconds_to_us
from jobs.errors import WorkerFencedError
from jobs.model import JobId, WorkerId
from jobs.store.protocol import WorkerInfo
from jobs.store.schema import profiles_text
from jobs.store.sqlite.liveness import WorkerLocks
from jobs.store.sqlite.recording import let_go
from jobs.store.sqlite.transaction import Snapshot, Transaction

_REGISTER: Final = """
INSERT INTO workers(name, host, pid, profiles, started_us, heartbeat_us, lease_until_us, reported)
VALUES (?1, ?2, ?3, ?4, ?5, ?5, ?6, 0) RETURNING id
"""
_HEARTBEAT: Final = """
UPDATE workers SET heartbeat_us = ?, lease_until_us = ? WHERE id = ? AND dead_us IS NULL
"""
_REPORTED: Final = "UPDATE workers SET reported = ?2 WHERE id = ?1 AND reported < ?2"
_BURY: Final = "UPDATE workers SET dead_us = ? WHERE id = ? AND dead_us IS NULL"
_LEASE: Final = "SELECT lease_until_us FROM workers WHERE id = ? AND dead_us IS NULL"
_ALIVE: Final = "SELECT id, lease_until_us FROM workers WHERE dead_us IS NULL ORDER BY id"


def register(
    transaction: Transaction, locks: WorkerLocks, info: WorkerInfo, lease_s: float
) -> WorkerId:
    """See `WorkStore.register`.

    The lock is taken before anybody can see the row, so nobody ever finds a worker
    whose lock is not held yet.
    """
    until_us = transaction.now_us + seconds_to_us(lease_s)
    who = (info.name, info.host, info.pid, profiles_text(info.profiles))
    row = transaction.row(_REGISTER, (*who, transaction.now_us, until_us))
    assert row is not None
    locks.hold(row[0])
    return WorkerId(row[0])


def heartbeat(transaction: Transaction, worker: WorkerId, lease_s: float) -> None:
    """See `WorkStore.heartbeat`."""
    now_us = transaction.now_us
    if not transaction.change(_HEARTBEAT, (now_us, now_us + seconds_to_us(lease_s), worker)):
        raise WorkerFencedError(f"worker {worker} was declared dead", worker=worker)


def reported(transaction: Transaction, worker: WorkerId, seq: int) -> None:
    """See `WorkStore.reported`."""
    transaction.change(_REPORTED, (worker, seq))


def suspects(
    snapshot: Snapshot, locks: WorkerLocks, now_us: int, grace_us: int
) -> list[tuple[WorkerId, bool]]:
    """Return the workers that look dead, each with whether that is proven."""
    found = []
    for worker, until_us in snapshot.rows(_ALIVE):
        proven = locks.has_gone(worker)
        if proven or until_us + grace_us < now_us:
            found.append((WorkerId(worker), proven))
    return found


def bury(
    transaction: Transaction, worker: WorkerId, *, unless_alive_within_us: int | None = None
) -> list[JobId] | None:
    """Declare a worker dead and free its jobs; return them, or None if it was left alone.

    Args:
        transaction: The present one.
        worker: Who; one that is dead already is left as it is.
        unless_alive_within_us: The grace to look once more at its lease, when only the
            lease spoke against it; None when its end is certain.
    """
    row = transaction.row(_LEASE, (worker,))
    if row is None:
        return None
    if unless_alive_within_us is not None and row[0] + unless_alive_within_us >= transaction.now_us:
        return None
    transaction.change(_BURY, (transaction.now_us, worker))
    return let_go(transaction, worker)
