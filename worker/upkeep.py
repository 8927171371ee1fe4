"""Keep the store small and in order, beside the work: the duties that one worker does for all.

Any worker may; the store gives the turn to one at a time.  Each step is a short transaction,
and after each the store has a multiple of that time for the work.  A duty that fails is left
for its next turn: it is never worth a job.
"""

from dataclasses import dataclass, field
from typing import Final, Protocol

import structlog

from jobs.clock import Clock
from jobs.errors import StoreError
from jobs.model import JobId
from jobs.retention import DAY_S, Kept, Retention
from jobs.store.keeping import KeepingStore

log = structlog.get_logger()

TELL_EVERY_S: Final = 5.0
"""How often the store hears how far the result lines are written."""

ASK_EVERY_S: Final = 60.0
"""Longest time between two questions whether a duty is due."""

HISTORY_EVERY_S: Final = DAY_S
"""How often history is given back: weeks of it go at once."""

REST: Final = 9
"""After each step, so many times as long as it took belongs to the work."""

LEAST_REST_S: Final = 0.01


class Told(Protocol):
    """Whoever writes the result lines."""

    async def tell(self) -> None:
        """Tell the store how far they are written."""
        ...


@dataclass(slots=True)
class Removed:
    """What a pass removed, and how many jobs it left, by why."""

    jobs: int = 0
    keys: int = 0
    workers: int = 0
    weeks: int = 0
    contents: int = 0
    kept: dict[Kept, int] = field(default_factory=dict)

    @property
    def something(self) -> bool:
        """Whether anything went."""
        return bool(self.jobs or self.keys or self.workers or self.weeks or self.contents)


async def prune(
    store: KeepingStore,
    retention: Retention,
    clock: Clock,
    *,
    unreported: bool = False,
    dry_run: bool = False,
) -> Removed:
    """Remove what is old enough, from the oldest on, in short steps with rests between them."""
    removed = Removed()
    after: JobId | None = None
    while True:
        began = clock.monotonic()
        step = await store.prune(retention, after=after, unreported=unreported, dry_run=dry_run)
        removed.jobs += step.jobs
        removed.keys += step.keys
        for why, number in step.kept.items():
            removed.kept[why] = removed.kept.get(why, 0) + number
        after = step.next
        if after is None:
            break
        await _rest(clock, began)
    if not dry_run:
        await _tidy(store, retention, clock, removed)
    return removed


async def _tidy(store: KeepingStore, retention: Retention, clock: Clock, removed: Removed) -> None:
    more = True
    while more:
        began = clock.monotonic()
        step = await store.tidy(retention)
        removed.keys += step.keys
        removed.workers += step.workers
        more = step.more
        await _rest(clock, began)


async def _rest(clock: Clock, began: float) -> None:
    await clock.sleep(max(LEAST_REST_S, REST * (clock.monotonic() - began)))


async def forget(store: KeepingStore, retention: Retention, removed: Removed) -> None:
    """Remove what is left of jobs that have gone, and add it to *removed*."""
    forgotten = await store.forget(retention)
    removed.weeks += forgotten.weeks
    removed.contents += forgotten.contents


class Upkeep:
    """The duties of one worker process."""

    def __init__(
        self,
        store: KeepingStore,
        reporter: Told,
        retention: Retention,
        clock: Clock,
        *,
        every_s: float,
    ) -> None:
        self._store = store
        self._reporter = reporter
        self._retention = retention
        self._clock = clock
        self._every_s = every_s
        self._ask_at = clock.monotonic()

    async def run(self) -> None:
        """Do what is due, until cancelled."""
        while True:
            await self._clock.sleep(TELL_EVERY_S)
            try:
                await self._do()
            except StoreError as error:
                log.warning("store.trouble", error=str(error), doing="upkeep")

    async def _do(self) -> None:
        await self._reporter.tell()
        if self._clock.monotonic() < self._ask_at:
            return
        self._ask_at = self._clock.monotonic() + min(ASK_EVERY_S, self._every_s)
        if not await self._store.take_turn("prune", every_s=self._every_s):
            return
        began = self._clock.monotonic()
        removed = await prune(self._store, self._retention, self._clock)
        if await self._store.take_turn("history", every_s=HISTORY_EVERY_S):
            await forget(self._store, self._retention, removed)
        if removed.something:
            log.info(
                "store.pruned",
                jobs=removed.jobs,
                keys=removed.keys,
                workers=removed.workers,
                weeks=removed.weeks,
                contents=removed.contents,
                kept=removed.kept,
                took_s=round(self._clock.monotonic() - began, 1),
            )
