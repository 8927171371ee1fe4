"""How long the queue is, as well as intake needs to know it before it takes more in."""

from typing import Final

from jobs.clock import Clock
from jobs.refusals import QueueFullError
from jobs.store.protocol import WorkStore

FRESH_S: Final = 1.0
"""How old the count may be; what came in here since is added to it."""


class Queue:
    """Refuses more when there is too much."""

    def __init__(self, store: WorkStore, clock: Clock, most: int) -> None:
        """Take the *most* open jobs that are allowed; 0 is no limit."""
        self._store = store
        self._clock = clock
        self._most = most
        self._open = 0
        self._counted_at: float | None = None

    async def make_room(self, jobs: int) -> None:
        """Say that so many jobs come in.

        Raises:
            QueueFullError: If that would be too many.
        """
        if not self._most:
            return
        now = self._clock.monotonic()
        if self._counted_at is None or now - self._counted_at >= FRESH_S:
            self._counted_at = now  # first: others go on with the old count meanwhile
            self._open = await self._store.open_jobs()
        if self._open + jobs > self._most:
            raise QueueFullError(
                f"{self._open} jobs are open, and at most {self._most} may be",
                retry_after_s=5,
            )
        self._open += jobs
