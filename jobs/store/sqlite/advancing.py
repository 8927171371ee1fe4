"""Move rollouts on: what was decided about one, and what a person orders."""

from collections import Counter
from typing import Final

from jobs.model import rollout_name
from jobs.states import JobEvent, JobState, WaitReason, next_state
from jobs.store.ordering import ordered, ordered_before
from jobs.store.rollouts import Advance, Order, Ordered, RolloutRow
from jobs.store.schema import REASON_CODES, STATE_CODES, json_text
from jobs.store.sqlite.cancelling import IDLE, Idle, end_idle
from jobs.store.sqlite.intake import LATER
from jobs.store.sqlite.pools import move_on
from jobs.store.sqlite.rollout_reading import record_of
from jobs.store.sqlite.rollout_writing import existing, join, write
from jobs.store.sqlite.tallies import count_admitted
from jobs.store.sqlite.transaction import Transaction
from jobs.store.steering import advanced, check_admitted, check_end

WAITING_ONE: Final = """
SELECT id, pool, reason, wave, left_us, not_before_us FROM jobs
 WHERE id = ? AND rollout = ? AND state = 1
   AND (left_us IS NULL OR reason = ? AND run_at_us IS NULL)
"""
_LEAVE_LINE: Final = "UPDATE jobs SET left_us = ? WHERE id = ?"
_BEGIN_ANEW: Final = "UPDATE jobs SET started_us = NULL, deadline_us = NULL WHERE id = ?"
_WAIT_LONGER: Final = "UPDATE jobs SET reason = ?, run_at_us = ? WHERE id = ?"
ADMITTED_IDLE: Final = f"""
SELECT {IDLE} FROM jobs
 WHERE rollout = ? AND left_us IS NOT NULL AND open = 1 AND state IN (1, 2)
 ORDER BY wave, rank LIMIT ?
"""  # noqa: S608 - made of constants only
IN_LINE: Final = f"""
SELECT {IDLE} FROM jobs WHERE rollout = ? AND left_us IS NULL ORDER BY wave, rank LIMIT ?
"""  # noqa: S608 - made of constants only

_PAUSED: Final = REASON_CODES[WaitReason.PAUSED]


def advance(transaction: Transaction, change: Advance) -> RolloutRow:
    """See `RolloutStore.advance`."""
    before = existing(transaction, change.rollout)
    steered = advanced(before, change, transaction.now_us)
    write(transaction, steered)
    join(transaction, change.rollout, change.join)
    _cancel(transaction, change, steered.row)
    _admit(transaction, change, steered.row)
    row = existing(transaction, change.rollout)
    check_end(change, row, idle=bool(_idle(transaction, change.rollout, 1)))
    return row


def _idle(transaction: Transaction, rollout: int, limit: int) -> list[Idle]:
    """Return jobs that nobody has in hand, those that were admitted first."""
    found = [Idle(*row) for row in transaction.rows(ADMITTED_IDLE, (rollout, limit))]
    rest = (rollout, limit - len(found))
    return found + [Idle(*row) for row in transaction.rows(IN_LINE, rest)]


def _cancel(transaction: Transaction, change: Advance, row: RolloutRow) -> None:
    data = {"by": rollout_name(row.id), "why": f"the rollout is {row.state}"}
    for idle in _idle(transaction, row.id, change.cancel):
        end_idle(transaction, idle, data, change.worker)


def _admit(transaction: Transaction, change: Advance, row: RolloutRow) -> None:
    left: Counter[int] = Counter()
    waves: set[int] = set()
    for wanted in dict.fromkeys(change.admit):
        found = transaction.row(WAITING_ONE, (wanted, row.id, _PAUSED))
        if found is None:
            continue
        job, pool, reason, wave, left_us, not_before_us = found
        waves.add(wave)
        if left_us is None:
            transaction.change(_LEAVE_LINE, (transaction.now_us, job))
            left[wave] += 1
        else:
            transaction.change(_BEGIN_ANEW, (job,))
        if not_before_us is not None and not_before_us > transaction.now_us:
            _let_wait(transaction, job, reason, not_before_us)
        else:
            move_on(transaction, job, pool, reason)
    check_admitted(row, waves)
    for wave, jobs in left.items():
        count_admitted(transaction, row.id, wave, jobs)


def _let_wait(transaction: Transaction, job: int, reason: int, until_us: int) -> None:
    """Let a job wait for its own time, as it would have done outside of a rollout."""
    transaction.change(_WAIT_LONGER, (LATER[1], until_us, job))
    transaction.moved((STATE_CODES[JobState.WAITING], reason), LATER)
    state = next_state(JobState.WAITING, JobEvent.QUEUED_BEHIND)
    data = json_text({"reason": WaitReason.NOT_BEFORE, "run_at_us": until_us})
    transaction.happened(job, JobEvent.QUEUED_BEHIND, state, data)


def order(transaction: Transaction, wanted: Order) -> Ordered:
    """See `RolloutStore.order`."""
    row = existing(transaction, wanted.rollout)
    steered = ordered(row, wanted, transaction.now_us)
    if steered is None:
        return ordered_before(row, wanted, record_of(transaction, row.id))
    write(transaction, steered)
    return Ordered(row=steered.row)
