"""The history of all jobs in one row.

One process writes at a time, and numbers are given out under the write lock, so the order of
``seq`` is the order of commits and a cursor needs nothing else.
"""

from collections.abc import Sequence
from typing import Final

from jobs.store.cursor import EventCursor
from jobs.store.protocol import (
    Event,
)
from jobs.store.rows import event
from jobs.store.sqlite import rows
from jobs.store.sqlite.transaction import Snapshot

_AFTER: Final = f"{rows.EVENTS} WHERE seq > ? ORDER BY seq LIMIT ?"
_LAST: Final = "SELECT last FROM sequences WHERE name = 'events'"
_FIRST_SEQ: Final = "SELECT min(seq) FROM events"
_AT: Final = "SELECT seq, at_us FROM events WHERE seq >= ? ORDER BY seq LIMIT 1"


def after(
    snapshot: Snapshot, cursor: EventCursor, limit: int
) -> tuple[Sequence[Event], EventCursor]:
    """See `EventStore.events_after`."""
    found = [event(row) for row in snapshot.rows(_AFTER, (cursor.seq, limit))]
    return found, EventCursor(seq=found[-1].seq) if found else cursor


def cursor_at(snapshot: Snapshot, since_us: int | None) -> EventCursor:
    """See `EventStore.event_cursor`; found by halving, because times have no index."""
    high = (snapshot.number(_LAST) or 0) + 1
    low = high if since_us is None else snapshot.number(_FIRST_SEQ) or high
    while low < high:
        middle = (low + high) // 2
        # Numbers of events that were removed are passed over.
        row = snapshot.rows(_AT, (middle,))
        if not row or row[0][1] >= (since_us or 0):
            high = middle
        else:
            low = row[0][0] + 1
    return EventCursor(seq=low - 1)
