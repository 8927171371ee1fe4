"""What a job of a rollout asks of it and tells it: may I send, I left the line, I have ended."""

from typing import Final

from jobs.model import RolloutId
from jobs.rollout_states import RolloutState
from jobs.states import JobState
from jobs.store.rollout_rows import TALLY, ended_as
from jobs.store.sqlite import line
from jobs.store.sqlite.transaction import Transaction
from jobs.store.steering import check_may_send

_STATE: Final = "SELECT state FROM rollouts WHERE id = ?"
_ADD: Final = f"""
UPDATE waves
   SET {", ".join(f"{name} = {name} + ?" for name in TALLY)}, changes = changes + 1
 WHERE rollout = ? AND n = ?
"""  # noqa: S608 - made of constants only
_ENDED: Final = "UPDATE waves SET last_us = ? WHERE rollout = ? AND n = ?"


def check_may_start(transaction: Transaction, rollout: int | None) -> None:
    """Refuse the intent to send of a job while the line is stopped, or its rollout is held.

    Raises:
        LineStoppedError: If nothing may start.
        RolloutHeldError: If its rollout is paused or aborting, or has ended.
    """
    line.check(transaction)
    if rollout is None:
        return
    row = transaction.row(_STATE, (rollout,))
    assert row is not None
    check_may_send(RolloutId(rollout), RolloutState(row[0]))


def count_end(
    transaction: Transaction,
    rollout: int,
    wave: int,
    state: JobState,
    *,
    in_line: bool = False,
    rejected: bool = False,
) -> None:
    """Count a job of the wave that ended; with *in_line* it leaves its line by that."""
    count(transaction, rollout, wave, ended_as(state, rejected=rejected))
    if in_line:
        count_admitted(transaction, rollout, wave, 1)
    transaction.change(_ENDED, (transaction.now_us, rollout, wave))


def count_admitted(transaction: Transaction, rollout: int, wave: int, jobs: int) -> None:
    """Count jobs that left the line of the wave; a negative number goes back into it."""
    count(transaction, rollout, wave, tuple(jobs * (name == "admitted") for name in TALLY))


def count(transaction: Transaction, rollout: int, wave: int, change: tuple[int, ...]) -> None:
    """Add *change* to the columns of TALLY."""
    transaction.change(_ADD, (*change, rollout, wave))
