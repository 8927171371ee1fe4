"""Callers who wait for something to happen: counted, and not without end."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from jobs.refusals import TooManyCallsError
from worker.api.rooms import Rooms

MOST_WAITERS: Final = 500
"""Callers who may wait at a time; each holds a connection and some kilobytes."""


@contextmanager
def waiter(rooms: Rooms) -> Iterator[None]:
    """Count one more for as long as it waits.

    Raises:
        TooManyCallsError: If there are too many.
    """
    if rooms.standing.streams >= MOST_WAITERS:
        raise TooManyCallsError(f"{MOST_WAITERS} callers wait already", retry_after_s=5)
    rooms.standing.streams += 1
    try:
        yield
    finally:
        rooms.standing.streams -= 1
