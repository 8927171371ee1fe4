"""The whole line: one order that stops every start, of every rollout and every other job."""

from typing import Final

from jobs.store.rollout_rows import line_value
from jobs.store.rollout_values import told_by
from jobs.store.rollouts import LineOrdered, LineStop, Word
from jobs.store.schema import json_text
from jobs.store.sqlite.transaction import Snapshot, Transaction
from jobs.store.steering import check_line, line_ordered

_LINE: Final = "SELECT stopped, at_us, word FROM line"
_SET: Final = "UPDATE line SET stopped = ?, at_us = ?, word = ?"
_BEGIN_ANEW: Final = """
UPDATE jobs SET started_us = NULL, deadline_us = NULL WHERE state = 2 AND started_us IS NOT NULL
"""


def line(snapshot: Snapshot) -> LineStop:
    """See `RolloutStore.line`."""
    return line_value(snapshot.rows(_LINE)[0])


def is_stopped(transaction: Transaction) -> bool:
    """Whether nothing may start now."""
    return _now(transaction).stopped


def check(transaction: Transaction) -> None:
    """Refuse an intent to send while the line is stopped.

    Raises:
        LineStoppedError: If it is.
    """
    check_line(_now(transaction))


def _now(transaction: Transaction) -> LineStop:
    row = transaction.row(_LINE)
    assert row is not None
    return line_value(row)


def order_line(transaction: Transaction, word: Word, *, stopped: bool) -> LineOrdered:
    """See `RolloutStore.order_line`."""
    answer = line_ordered(_now(transaction), word, stopped=stopped, now_us=transaction.now_us)
    if not answer.already:
        told = json_text(told_by(word))
        transaction.change(_SET, (int(stopped), transaction.now_us, told))
        if not stopped:
            transaction.change(_BEGIN_ANEW, ())
    return answer
