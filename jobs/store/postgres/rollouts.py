"""Plans and rollouts as the house sees them: each method is one transaction or one question."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TypeVar, final

from jobs.errors import BadRequestError
from jobs.model import JobId, RolloutId
from jobs.store.postgres import advancing, aftermath, line, rollout_reading, rollout_writing
from jobs.store.postgres.calling import InTime, Read, Write
from jobs.store.postgres.intake import NOT_STORABLE
from jobs.store.postgres.serving import Results
from jobs.store.postgres.troubles import RefusedValuesError
from jobs.store.rollouts import (
    Advance,
    Deed,
    LateFailure,
    LineOrdered,
    LineStop,
    NewRollout,
    Order,
    Ordered,
    PlannedJob,
    RecordEntry,
    RolloutJob,
    RolloutRow,
    Started,
    StoredPlan,
    Word,
)

T = TypeVar("T")


@final
class PostgresRollouts:
    """A `jobs.store.rollouts.RolloutStore` in the database of its store."""

    def __init__(self, write: Write, read: Read, results: Results, in_time: InTime) -> None:
        self._results = results
        self._in_time = in_time
        self._write = write
        self._read = read

    async def keep_plan(self, plan: StoredPlan) -> None:
        """See `RolloutStore.keep_plan`."""
        await self._write(partial(rollout_writing.keep_plan, plan=plan))

    async def plan(self, digest: str) -> StoredPlan | None:
        """See `RolloutStore.plan`."""
        return await self._read(partial(rollout_reading.plan, digest=digest))

    async def start_rollout(self, new: NewRollout) -> Started:
        """See `RolloutStore.start_rollout`."""
        return await self._write(partial(rollout_writing.start_rollout, new=new))

    async def plan_jobs(self, rollout: RolloutId, jobs: Sequence[PlannedJob]) -> int:
        """See `RolloutStore.plan_jobs`."""
        work = partial(rollout_writing.plan_jobs, rollout=rollout, jobs=jobs)
        try:
            return await self._write(work)
        except RefusedValuesError:
            raise BadRequestError(NOT_STORABLE) from None

    async def advance(self, change: Advance) -> RolloutRow:
        """See `RolloutStore.advance`."""
        return await self._in_time(partial(self._results.advance, change))

    async def order(self, order: Order) -> Ordered:
        """See `RolloutStore.order`."""
        return await self._write(partial(advancing.order, wanted=order))

    async def line(self) -> LineStop:
        """See `RolloutStore.line`."""
        return await self._read(line.line)

    async def order_line(self, word: Word, *, stopped: bool) -> LineOrdered:
        """See `RolloutStore.order_line`."""
        return await self._write(partial(line.order_line, word=word, stopped=stopped))

    async def rollout(self, name_or_id: str) -> RolloutRow | None:
        """See `RolloutStore.rollout`."""
        look = partial(rollout_reading.rollout, name_or_id=name_or_id)
        return await self._read(look, snapshot=True)

    async def rollouts(self, *, live: bool = False, limit: int = 100) -> Sequence[RolloutRow]:
        """See `RolloutStore.rollouts`."""
        look = partial(rollout_reading.rollouts, live=live, limit=limit)
        return await self._read(look, snapshot=True)

    async def live_revisions(self) -> Mapping[RolloutId, int]:
        """See `RolloutStore.live_revisions`."""
        return await self._read(rollout_reading.live_revisions)

    async def rollout_jobs(
        self, rollout: RolloutId, *, in_flight: bool, wave: int | None = None, limit: int = 1000
    ) -> Sequence[RolloutJob]:
        """See `RolloutStore.rollout_jobs`."""
        look = partial(rollout_reading.rollout_jobs, rollout=rollout, in_flight=in_flight)
        return await self._read(partial(look, wave=wave, limit=limit))

    async def record_of(self, rollout: RolloutId) -> Sequence[RecordEntry]:
        """See `RolloutStore.record_of`."""
        return await self._read(partial(rollout_reading.record_of, rollout=rollout))

    async def retry_jobs(self, rollout: RolloutId, jobs: Sequence[JobId], word: Word) -> int:
        """See `RolloutStore.retry_jobs`."""
        work = partial(rollout_writing.retry_jobs, rollout=rollout, jobs=jobs, word=word)
        return await self._write(work)

    async def deeds(
        self, rollout: RolloutId, *, since: tuple[int, int] = (0, 0), limit: int = 1000
    ) -> Sequence[Deed]:
        """See `RolloutStore.deeds`."""
        look = partial(aftermath.deeds, rollout=rollout, since=since, limit=limit)
        return await self._read(look, snapshot=True)

    async def take_looks(
        self, rollout: RolloutId, wave: int, *, every_s: float, most: int
    ) -> Sequence[Deed]:
        """See `RolloutStore.take_looks`."""
        work = partial(aftermath.take_looks, rollout=rollout, wave=wave)
        return await self._write(partial(work, every_s=every_s, most=most))

    async def late_failure(self, late: LateFailure) -> bool:
        """See `RolloutStore.late_failure`."""
        return await self._write(partial(aftermath.late_failure, late=late))
