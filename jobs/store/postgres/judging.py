"""Judge which workers are dead: by their leases, and by locks that stay free."""

from collections.abc import Iterable, Sequence
from typing import Final, final

from jobs.clock import Clock, seconds_to_us
from jobs.model import WorkerId
from jobs.store.postgres.connections import Patience
from jobs.store.postgres.presence import FREE, Presence
from jobs.store.postgres.transaction import NOW
from jobs.store.postgres.wire import Wire

_ALIVE: Final = f"""
SELECT w.id, w.lease_until_us + $1 < coalesce($2::bigint, {NOW}), $3 AND w.has_lock AND {FREE},
       {NOW} - (extract(epoch FROM pg_postmaster_start_time()) * 1000000)::bigint
  FROM plugwave.workers w WHERE w.dead_us IS NULL ORDER BY w.id
"""  # noqa: S608 - made of constants only

Suspect = tuple[WorkerId, bool, bool]
"""Who; whether its lease ended longer ago than the grace; whether its lock is free."""


@final
class Judge:
    """Remembers since when locks have been free."""

    def __init__(self, presence: Presence, patience: Patience, clock: Clock) -> None:
        self._presence = presence
        self._patience = patience
        self._clock = clock
        self.unlocked: dict[WorkerId, float] = {}
        """Since when, on our own clock, workers have been seen without their lock."""

    async def suspects(self, wire: Wire, grace_us: int, fixed: Clock | None) -> list[Suspect]:
        """Return the workers that look dead."""
        fixed_us = None if fixed is None else fixed.now_us()
        trust_after_us = seconds_to_us(self._patience.trust_after_s)
        look = (grace_us, fixed_us, self._presence.may_judge())
        return [
            (WorkerId(worker), overdue, free and server_age_us >= trust_after_us)
            for worker, overdue, free, server_age_us in await wire.rows(_ALIVE, *look)
            if overdue or free
        ]

    def verdicts(self, suspects: Iterable[Suspect]) -> Sequence[tuple[WorkerId, bool]]:
        """Return whom to bury, each with whether its death is proven."""
        now = self._clock.monotonic()
        overdue = {worker: late for worker, late, _ in suspects}
        self.unlocked = {
            worker: self.unlocked.get(worker, now)
            for worker, _, free in suspects
            if free and not self._presence.is_ours(worker)
        }
        confirm_s = self._patience.confirm_death_s
        proven = {worker for worker, since in self.unlocked.items() if now - since >= confirm_s}
        return [
            (worker, worker in proven)
            for worker, late in overdue.items()
            if late or worker in proven
        ]
