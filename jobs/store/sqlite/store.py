"""The SQLite engine as the house sees it: each method is one call to a thread of the store.

Nothing is decided here.  What a method does stands in the module named after the duty:
`intake`, `claiming`, `recording`, `workers`, `reading`, `checking`.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar, final

from jobs.clock import Clock, seconds_to_us
from jobs.errors import StoreReadOnlyError
from jobs.fairness import NO_WEIGHTS, Weights
from jobs.model import Job, JobId, JobRequest, Lease, Progress, Target, WorkerId
from jobs.pacing import Bucket
from jobs.retention import Retention
from jobs.states import JobState, WaitReason
from jobs.store.cursor import EventCursor
from jobs.store.facts import Figure, Finding, StoreFacts
from jobs.store.keeping import Forgotten, Pruned, Tidied
from jobs.store.moving import Note
from jobs.store.protocol import (
    Change,
    Enqueued,
    Event,
    IntakePosition,
    JobFilter,
    Result,
    WorkerInfo,
    WorkerRow,
)
from jobs.store.recent import RecentResults
from jobs.store.sqlite import (
    buckets,
    cancelling,
    checking,
    claiming,
    intake,
    measuring,
    outbox,
    pruning,
    reading,
    recording,
    workers,
)
from jobs.store.sqlite.access import SqliteAccess
from jobs.store.sqlite.engine import Reader, Watcher, Writer
from jobs.store.sqlite.inbox import SqliteInbox
from jobs.store.sqlite.liveness import WorkerLocks
from jobs.store.sqlite.rollouts import SqliteRollouts
from jobs.store.sqlite.schedules import SqliteSchedules
from jobs.store.sqlite.sinks import SqliteSinks
from jobs.store.sqlite.transaction import Transaction

T = TypeVar("T")


@final
class SqliteStore:
    """A `jobs.store.protocol.Store` in one file, for any number of processes of one machine."""

    def __init__(
        self, path: Path, clock: Clock, *, writer: Writer | None, reader: Reader, watcher: Watcher
    ) -> None:
        self.path = path
        self._clock = clock
        self._writer = writer
        self._reader = reader
        self._watcher = watcher
        self._locks = WorkerLocks(path)
        self._recent = RecentResults()
        self.rollouts = SqliteRollouts(self._write, reader)
        """Plans and rollouts."""
        self.inbox = SqliteInbox(self._write, reader)
        """What other programs ask for by SQL."""
        self.schedules = SqliteSchedules(self._write, reader)
        """What fires when."""
        self.sinks = SqliteSinks(self._write, reader)
        """How far each receiver of events is."""
        self.access = SqliteAccess(self._write, reader)
        """Who may ask over the network."""

    @property
    def commits(self) -> int:
        """Groups committed by this object so far."""
        return 0 if self._writer is None else self._writer.commits

    def _write(self, work: Callable[[Transaction], T]) -> Awaitable[T]:
        return self._writing.run(work)

    @property
    def _writing(self) -> Writer:
        if self._writer is None:
            raise StoreReadOnlyError(
                f"the store {self.path} was opened for reading only",
                do="run the command without --read-only",
                path=str(self.path),
            )
        return self._writer

    # Intake.

    async def enqueue(
        self, requests: Sequence[JobRequest], *, position: IntakePosition | None = None
    ) -> Sequence[Enqueued]:
        """See `IntakeStore.enqueue`."""
        return await self._write(partial(intake.enqueue, requests=requests, position=position))

    async def intake_position(self, source: str, digest: str) -> int:
        """See `IntakeStore.intake_position`."""
        work = partial(reading.intake_position, source=source, digest=digest)
        return await self._reader.run(work)

    # Work.

    async def register(self, info: WorkerInfo, *, lease_s: float) -> WorkerId:
        """See `WorkStore.register`."""
        work = partial(workers.register, locks=self._locks, info=info, lease_s=lease_s)
        worker = await self._write(work)
        self._recent.registered(worker, info.name)
        return worker

    async def heartbeat(self, worker: WorkerId, *, lease_s: float) -> None:
        """See `WorkStore.heartbeat`."""
        await self._write(partial(workers.heartbeat, worker=worker, lease_s=lease_s))

    async def leave(self, worker: WorkerId) -> None:
        """See `WorkStore.leave`."""
        await self._write(partial(workers.bury, worker=worker))
        self._locks.forget(worker)
        self._recent.left(worker)

    async def rescue(self, *, grace_s: float) -> Sequence[JobId]:
        """See `WorkStore.rescue`; the proof of death is the worker's file lock."""
        grace_us = seconds_to_us(grace_s)
        now_us = self._clock.now_us()
        look = partial(workers.suspects, locks=self._locks, now_us=now_us, grace_us=grace_us)
        freed: list[JobId] = []
        for worker, proven in await self._reader.run(look):
            within_us = None if proven else grace_us
            bury = partial(workers.bury, worker=worker, unless_alive_within_us=within_us)
            jobs = await self._write(bury)
            if jobs is not None:
                freed += jobs
                self._locks.forget(worker)
        return freed

    async def claim(
        self, worker: WorkerId, *, limit: int, deadline_s: float, weights: Weights = NO_WEIGHTS
    ) -> Sequence[tuple[Job, Lease]]:
        """See `WorkStore.claim`."""
        call = partial(claiming.claim, worker=worker, limit=limit, deadline_s=deadline_s)
        return await self._write(partial(call, weights=weights))

    async def record(self, change: Change) -> Job:
        """See `WorkStore.record`."""
        job, seq = await self._writing.run_with_others(recording.record, change)
        if seq is not None:
            self._recent.ended(change.lease.worker, seq, job)
        return job

    async def note(self, lease: Lease, progress: Progress, data: Mapping[str, Any]) -> None:
        """See `WorkStore.note`."""
        said = Note(lease=lease, progress=progress, data=data)
        await self._writing.run_with_others(recording.record, said)

    async def results_after(self, worker: WorkerId, seq: int) -> Sequence[Result]:
        """See `WorkStore.results_after`."""
        recent = self._recent.after(worker, seq)
        if recent:
            return recent
        return await self._reader.run(partial(reading.results_after, worker=worker, seq=seq))

    async def reported(self, worker: WorkerId, seq: int) -> None:
        """See `WorkStore.reported`."""
        await self._write(partial(workers.reported, worker=worker, seq=seq))

    async def next_due_us(self) -> int | None:
        """See `WorkStore.next_due_us`."""
        return await self._reader.run(reading.next_due_us)

    async def left_by_profile(self) -> Mapping[str | None, int]:
        """See `WorkStore.left_by_profile`."""
        return await self._reader.run(reading.left_by_profile)

    async def open_jobs(self) -> int:
        """See `WorkStore.open_jobs`."""
        return await self._reader.run(reading.open_jobs)

    def changed(self) -> bool:
        """See `WorkStore.changed`."""
        return self._watcher.changed()

    # Limiter.

    async def update_buckets(
        self,
        keys: Sequence[str],
        change: Callable[[Mapping[str, Bucket], int], tuple[Mapping[str, Bucket], T]],
    ) -> T:
        """See `LimitStore.update_buckets`."""
        return await self._write(lambda transaction: buckets.update(transaction, keys, change))

    # Keeping.

    async def take_turn(self, duty: str, *, every_s: float) -> bool:
        """See `KeepingStore.take_turn`."""
        return await self._write(partial(pruning.take_turn, duty=duty, every_s=every_s))

    async def prune(
        self,
        retention: Retention,
        *,
        after: JobId | None = None,
        unreported: bool = False,
        dry_run: bool = False,
    ) -> Pruned:
        """See `KeepingStore.prune`."""
        look = partial(
            pruning.look,
            retention=retention,
            now_us=self._clock.now_us(),
            after=after or 0,
            unreported=unreported,
        )
        going, found = await self._reader.run(look)
        if dry_run or not going:
            return found
        remove = partial(pruning.remove, going=going, retention=retention)
        jobs, keys = await self._write(remove)
        return replace(found, jobs=jobs, keys=keys)

    async def tidy(self, retention: Retention) -> Tidied:
        """See `KeepingStore.tidy`."""
        return await self._write(partial(pruning.tidy, retention=retention))

    async def forget(self, retention: Retention) -> Forgotten:
        """See `KeepingStore.forget`; here history goes with its job."""
        if retention.finished_s <= 0:
            return Forgotten()
        look = partial(pruning.unused, now_us=self._clock.now_us())
        specs = await self._reader.run(look)
        return await self._write(partial(pruning.forget, specs=specs))

    # Events.

    async def events_after(
        self, cursor: EventCursor, *, limit: int = 1_000
    ) -> tuple[Sequence[Event], EventCursor]:
        """See `EventStore.events_after`."""
        return await self._reader.run(partial(outbox.after, cursor=cursor, limit=limit))

    async def event_cursor(self, *, since_us: int | None = None) -> EventCursor:
        """See `EventStore.event_cursor`."""
        return await self._reader.run(partial(outbox.cursor_at, since_us=since_us))

    # Operator.

    async def job(self, job: JobId) -> Job | None:
        """See `OperatorStore.job`."""
        return await self._reader.run(partial(reading.job, wanted=job))

    async def jobs(
        self, matching: JobFilter, *, newest_first: bool = True, after: JobId | None = None
    ) -> AsyncIterator[Job]:
        """See `OperatorStore.jobs`."""
        place: int | None = after
        while True:
            page = partial(reading.page, matching=matching, newest_first=newest_first, after=place)
            found, place = await self._reader.run(page)
            for job in found:
                yield job
            if place is None:
                return

    async def history(self, job: JobId) -> Sequence[Event]:
        """See `OperatorStore.history`."""
        return await self._reader.run(partial(reading.history, wanted=job))

    async def pool_jobs(self, target: Target) -> Sequence[Job]:
        """See `OperatorStore.pool_jobs`."""
        return await self._reader.run(partial(reading.pool_jobs, target=target))

    async def counts(self) -> Mapping[JobState, int]:
        """See `OperatorStore.counts`."""
        return await self._reader.run(reading.counts)

    async def waiting_counts(self) -> Mapping[WaitReason, int]:
        """See `OperatorStore.waiting_counts`."""
        return await self._reader.run(reading.waiting_counts)

    async def workers(self) -> Sequence[WorkerRow]:
        """See `OperatorStore.workers`."""
        return await self._reader.run(reading.workers)

    async def buckets(self) -> Mapping[str, Bucket]:
        """See `OperatorStore.buckets`."""
        return await self._reader.run(buckets.buckets)

    async def cancel(self, job: JobId, *, by: str) -> Job:
        """See `OperatorStore.cancel`."""
        return await self._write(partial(cancelling.cancel, job=job, by=by))

    async def now_us(self) -> int:
        """See `OperatorStore.now_us`: one machine, so this machine's clock."""
        return self._clock.now_us()

    async def facts(self) -> StoreFacts:
        """See `OperatorStore.facts`."""
        return await self._reader.run(partial(checking.facts, place=str(self.path)))

    async def figures(self) -> Sequence[Figure]:
        """See `OperatorStore.figures`."""
        measure = partial(measuring.figures, path=self.path, now_us=self._clock.now_us())
        return await self._reader.run(measure)

    async def check(self) -> Sequence[Finding]:
        """See `OperatorStore.check`."""
        now_us = self._clock.now_us()
        return await self._reader.run(partial(checking.check, locks=self._locks, now_us=now_us))

    async def close(self) -> None:
        """See `Store.close`.  Workers that have not left are as good as dead from here on."""
        await self._reader.stop()
        self._watcher.close()
        if self._writer is not None:
            await self._writer.stop()
        self._locks.release_all()
