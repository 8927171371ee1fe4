"""The limiter's rows of one process alone, for where there is no store yet."""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import anyio.lowlevel

from jobs.clock import Clock
from jobs.pacing import Bucket

T = TypeVar("T")


class RowsInMemory:
    """A `jobs.store.protocol.LimitStore` that nobody shares and nothing outlives."""

    def __init__(self, clock: Clock) -> None:
        """Begin without rows; *clock* is the store's time."""
        self._clock = clock
        self._rows: dict[str, Bucket] = {}

    async def update_buckets(
        self,
        keys: Sequence[str],
        change: Callable[[Mapping[str, Bucket], int], tuple[Mapping[str, Bucket], T]],
    ) -> T:
        """See `LimitStore.update_buckets`."""
        await anyio.lowlevel.checkpoint()
        found = {key: self._rows[key] for key in keys if key in self._rows}
        changed, answer = change(found, self._clock.now_us())
        self._rows.update(changed)
        return answer
