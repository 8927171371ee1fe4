"""Take large calls in side by side, so that the server works while this process prepares.

Small calls gather in one queue: many of them in one transaction cost less than each in its own.
A large call needs no company.  Two of them at a time keep the server busy while the other's
rows are being made here: twice as many jobs a second with 1,000 in a call.  They are to each
other like the calls of two processes, and locks are taken in one order everywhere.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Final, final

from jobs.store.postgres.grouping import Grouped
from jobs.store.postgres.intake import MOST_REQUESTS, Batch
from jobs.store.protocol import Enqueued

LARGE: Final = 500
"""Requests in one call that make it large."""

Answers = Sequence[Enqueued]
Serve = Callable[[Sequence[Batch], Callable[[], None]], Awaitable[Sequence[Answers | Exception]]]


@final
class Lanes:
    """Two queues of calls."""

    def __init__(self, serve: Serve) -> None:
        self._lanes: list[Grouped[Batch, Answers]] = [
            Grouped(serve, most=MOST_REQUESTS) for _ in range(2)
        ]
        self._loads = [0, 0]

    async def enqueue(self, batch: Batch) -> Answers:
        """Have *batch* taken in; see `IntakeStore.enqueue`."""
        many = max(1, len(batch.wanted))
        lane = int(many >= LARGE and self._loads[1] < self._loads[0])
        self._loads[lane] += many
        try:
            return await self._lanes[lane].run(batch, weight=many)
        finally:
            self._loads[lane] -= many
