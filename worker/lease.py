"""A worker's right to live: a lease in the store, pushed out by a heartbeat.

Two clocks protect the cloud, which knows no fencing tokens.  The store's lease says when
others may take over; our own monotonic clock says, sooner, when we must stop sending
because we could not push the lease out (*self-fence*).  A worker that comes back from a
pause finds itself fenced before it has sent anything.
"""

from typing import Final, Protocol

import anyio
import structlog

from jobs.clock import Clock
from jobs.errors import StoreError, WorkerFencedError
from jobs.model import WorkerId
from jobs.store.protocol import WorkerInfo, WorkStore

log = structlog.get_logger()

RETRY_SHARE: Final = 0.25
"""A heartbeat that failed is tried again after this part of the normal interval."""


class Lease(Protocol):
    """Whoever may send tells so here."""

    def holds(self) -> bool:
        """Whether a request may leave now."""
        ...


class NoLease:
    """For what only reads and holds no job: nobody can take over from it."""

    def holds(self) -> bool:
        """Always, because there is nothing to lose."""
        return True


class WorkerLease:
    """One registration of this process; never used again once it is lost."""

    def __init__(
        self,
        store: WorkStore,
        clock: Clock,
        *,
        lease_s: float,
        heartbeat_s: float,
        fence_after_s: float,
    ) -> None:
        self._store = store
        self._clock = clock
        self._lease_s = lease_s
        self._heartbeat_s = heartbeat_s
        self._fence_after_s = fence_after_s
        self._renewed_at = clock.monotonic()
        self._lost = False
        self.worker = WorkerId(0)

    async def register(self, info: WorkerInfo) -> WorkerId:
        """Introduce the worker; its lease runs from now on."""
        asked_at = self._clock.monotonic()
        self.worker = await self._store.register(info, lease_s=self._lease_s)
        self._renewed_at = asked_at
        self._lost = False
        return self.worker

    def holds(self) -> bool:
        """Whether we may still send: the lease was pushed out recently enough."""
        return not self._lost and (self._clock.monotonic() - self._renewed_at < self._fence_after_s)

    async def keep(self) -> None:
        """Push the lease out until cancelled.

        Raises:
            WorkerFencedError: If the worker was declared dead; its jobs are others' now.
        """
        while True:
            await self._clock.sleep(self._heartbeat_s)
            while not await self._renew():
                await self._clock.sleep(self._heartbeat_s * RETRY_SHARE)

    async def _renew(self) -> bool:
        asked_at = self._clock.monotonic()
        try:
            with anyio.fail_after(self._lease_s):
                await self._store.heartbeat(self.worker, lease_s=self._lease_s)
        except WorkerFencedError:
            self._lost = True
            raise
        except (StoreError, TimeoutError) as error:
            log.warning("store.trouble", error=str(error), doing="heartbeat")
            return False
        # Counted from before the call: the store may have set the lease at any time since.
        self._renewed_at = asked_at
        return True
