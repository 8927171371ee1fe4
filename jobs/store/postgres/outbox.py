"""The history of all jobs in an order that is final.

The order of ``seq`` is not the order of commits: a slower transaction commits smaller numbers
later, and a reader that remembers the last number alone would pass them by.  So each event
carries its transaction, and a reader sees only what lies below the oldest transaction that
still runs: nothing can appear there any more.
"""

from collections.abc import Sequence
from typing import Final

from jobs.store.cursor import EventCursor
from jobs.store.postgres.wire import Wire
from jobs.store.protocol import (
    Event,
)
from jobs.store.rows import event

_AFTER: Final = """
SELECT seq, at_us, job, event, state, data, xid::text::bigint
  FROM plugwave.events
 WHERE (xid, seq) > ($1::text::xid8, $2::bigint)
   AND xid < pg_snapshot_xmin(pg_current_snapshot())
 ORDER BY xid, seq LIMIT $3
"""
_SINCE: Final = """
SELECT xid::text::bigint, seq FROM plugwave.events
 WHERE at_us >= $1 AND xid < pg_snapshot_xmin(pg_current_snapshot())
 ORDER BY xid, seq LIMIT 1
"""
_END: Final = "SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint - 1"
LAST_SEQ: Final = 10**18 - 1
"""Larger than every number of an event."""


async def after(wire: Wire, cursor: EventCursor, limit: int) -> tuple[Sequence[Event], EventCursor]:
    """See `EventStore.events_after`."""
    found = await wire.rows(_AFTER, str(cursor.xid), cursor.seq, limit)
    if found:
        cursor = EventCursor(xid=found[-1][6], seq=found[-1][0])
    return [event(row) for row in found], cursor


async def cursor_at(wire: Wire, since_us: int | None) -> EventCursor:
    """See `EventStore.event_cursor`."""
    if since_us is not None:
        row = await wire.row(_SINCE, since_us)
        if row is not None:
            return EventCursor(xid=row[0], seq=row[1] - 1)
    return EventCursor(xid=int(await wire.value(_END)), seq=LAST_SEQ)
