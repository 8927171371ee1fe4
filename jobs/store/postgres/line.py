"""The whole line: one order that stops every start, of every rollout and every other job.

Whoever commits an intent to send shares the lock of the line's row, and an order takes it.
"""

from typing import Final

from jobs.store.postgres.transaction import Transaction
from jobs.store.postgres.wire import Wire
from jobs.store.rollout_rows import line_value
from jobs.store.rollout_values import told_by
from jobs.store.rollouts import LineOrdered, LineStop, Word
from jobs.store.schema import json_text
from jobs.store.steering import line_ordered

_LINE: Final = "SELECT stopped, at_us, word FROM plugwave.line"
_SHARE: Final = f"{_LINE} FOR SHARE"
_LOCK: Final = f"{_LINE} FOR UPDATE"
_SET: Final = "UPDATE plugwave.line SET stopped = $1, at_us = $2, word = $3"
_BEGIN_ANEW: Final = """
UPDATE plugwave.jobs SET started_us = NULL, deadline_us = NULL
 WHERE place = 1 AND started_us IS NOT NULL
"""


async def line(wire: Wire) -> LineStop:
    """See `RolloutStore.line`."""
    return await _read(wire, _LINE)


async def shared(wire: Wire) -> LineStop:
    """Return the line as it is until the end of the transaction."""
    return await _read(wire, _SHARE)


async def _read(wire: Wire, sql: str) -> LineStop:
    row = await wire.row(sql)
    assert row is not None
    return line_value(row)


async def order_line(transaction: Transaction, word: Word, *, stopped: bool) -> LineOrdered:
    """See `RolloutStore.order_line`."""
    wire = transaction.wire
    before = await _read(wire, _LOCK)
    answer = line_ordered(before, word, stopped=stopped, now_us=transaction.now_us)
    if not answer.already:
        await wire.rows(_SET, stopped, transaction.now_us, json_text(told_by(word)))
        if not stopped:
            await wire.rows(_BEGIN_ANEW)
        transaction.announce()
    return answer
