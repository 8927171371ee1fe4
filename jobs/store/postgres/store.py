"""The PostgreSQL engine as the house sees it: each method is one transaction or one question.

Nothing is decided here.  What a method does stands in the module named after the duty:
`intake`, `claiming`, `recording`, `cancelling`, `workers`, `reading`, `checking`.

The store's time is the database's.  Instants that a worker writes from its own clock
(``not_before_us``, ``run_at_us``) are compared with it, so a worker should set its clock by
`PostgresStore.now_us` when it opens the store.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar, final

import anyio

from jobs.clock import Clock, seconds_to_us
from jobs.errors import BadRequestError, StoreError
from jobs.fairness import NO_WEIGHTS, Weights
from jobs.model import Job, JobId, JobRequest, Lease, Progress, Target, WorkerId
from jobs.pacing import Bucket
from jobs.retention import Retention
from jobs.states import JobState, WaitReason
from jobs.store.cursor import EventCursor
from jobs.store.facts import Figure, Finding, StoreFacts
from jobs.store.keeping import Forgotten, Pruned, Tidied
from jobs.store.moving import Note
from jobs.store.postgres import (
    buckets,
    cancelling,
    checking,
    claiming,
    intake,
    measuring,
    migrating,
    outbox,
    pruning,
    reading,
    workers,
)
from jobs.store.postgres.access import PostgresAccess
from jobs.store.postgres.connections import Connections
from jobs.store.postgres.hints import Hints
from jobs.store.postgres.inbox import PostgresInbox
from jobs.store.postgres.judging import Judge
from jobs.store.postgres.lanes import Lanes
from jobs.store.postgres.presence import Presence
from jobs.store.postgres.questions import Question, Questions
from jobs.store.postgres.rollouts import PostgresRollouts
from jobs.store.postgres.schedules import PostgresSchedules
from jobs.store.postgres.serving import Results
from jobs.store.postgres.sinks import PostgresSinks
from jobs.store.postgres.transaction import NOW, Memory, Transaction
from jobs.store.postgres.transactions import Transactions
from jobs.store.postgres.troubles import TROUBLES, RefusedValuesError, store_error
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

T = TypeVar("T")
C = TypeVar("C")
V = TypeVar("V")


@final
class PostgresStore:
    """A `jobs.store.protocol.Store` in one database, for any number of processes and machines."""

    def __init__(
        self, connections: Connections, hints: Hints, memory: Memory, fixed: Clock | None
    ) -> None:
        self._connections = connections
        self._hints = hints
        self._fixed = fixed
        self._memory = memory
        self._recent = RecentResults()
        self._transactions = Transactions(connections, memory, hints, fixed)
        self._questions = Questions(connections)
        self._presence = Presence(connections, hints, connections.clock)
        self._results = Results(self._transactions)
        self._intake = Lanes(self._transactions.in_groups(intake.enqueue))
        self._judge = Judge(self._presence, connections.patience, connections.clock)
        self.rollouts = PostgresRollouts(self._write, self._read, self._results, self._in_time)
        self.inbox = PostgresInbox(self._write, self._read)
        self.schedules = PostgresSchedules(self._write, self._read)
        self.sinks = PostgresSinks(self._write, self._read)
        self.access = PostgresAccess(self._write, self._read)
        self._calls = 0
        self._idle = anyio.Event()
        self._closed = False

    @property
    def commits(self) -> int:
        """Transactions committed by this object so far."""
        return self._transactions.commits

    @property
    def looked_up(self) -> int:
        """How many commits were looked up because their answer had been lost."""
        return self._transactions.looked_up

    async def begin(self, *, migrate: bool) -> None:
        """Meet the database for the first time.

        Raises:
            StoreError: Of the kind that fits, when it cannot be used.
        """
        place = self._connections.address.place
        async with self._connections.lent(until=self._connections.clock.monotonic()) as wire:
            try:
                await migrating.check_server(wire, place)
                await (migrating.migrate if migrate else migrating.check_current)(wire, place)
            except TROUBLES as error:
                raise store_error(error, place) from None
        await self._presence.mend()

    # How calls run.

    async def _in_time(self, call: Callable[[], Awaitable[T]]) -> T:
        """Make a call so that closing waits for it.

        Raises:
            StoreError: If the store is closed.
        """
        self._enter()
        try:
            return await call()
        finally:
            self._leave()

    def _enter(self) -> None:
        if self._closed:
            raise StoreError("the store is closed", do="open it again")
        self._calls += 1

    def _leave(self) -> None:
        self._calls -= 1
        if self._calls == 0:
            self._idle.set()

    async def _write(self, work: Callable[[Transaction], Awaitable[T]]) -> T:
        return await self._in_time(partial(self._transactions.run, work))

    async def _read(self, question: Question[T], *, snapshot: bool = False) -> T:
        return await self._in_time(partial(self._questions.ask, question, snapshot=snapshot))

    # Intake.

    async def enqueue(
        self, requests: Sequence[JobRequest], *, position: IntakePosition | None = None
    ) -> Sequence[Enqueued]:
        """See `IntakeStore.enqueue`."""
        batch = intake.prepare(requests, position)
        try:
            return await self._in_time(partial(self._intake.enqueue, batch))
        except RefusedValuesError:
            raise BadRequestError(intake.NOT_STORABLE) from None

    async def intake_position(self, source: str, digest: str) -> int:
        """See `IntakeStore.intake_position`."""
        return await self._read(partial(reading.intake_position, source=source, digest=digest))

    # Work.

    async def register(self, info: WorkerInfo, *, lease_s: float) -> WorkerId:
        """See `WorkStore.register`."""
        worker = int(await self._read(lambda wire: wire.value(workers.NEXT_ID)))
        has_lock = await self._in_time(partial(self._presence.hold, worker))
        work = partial(
            workers.register, worker=worker, info=info, lease_s=lease_s, has_lock=has_lock
        )
        registered = await self._write(work)
        self._recent.registered(registered, info.name)
        return registered

    async def heartbeat(self, worker: WorkerId, *, lease_s: float) -> None:
        """See `WorkStore.heartbeat`."""
        await self._write(partial(workers.heartbeat, worker=worker, lease_s=lease_s))
        await self._presence.mend()

    async def leave(self, worker: WorkerId) -> None:
        """See `WorkStore.leave`."""
        await self._write(partial(workers.bury, worker=worker))
        await self._presence.release(worker)
        self._recent.left(worker)

    async def rescue(self, *, grace_s: float) -> Sequence[JobId]:
        """See `WorkStore.rescue`; the proof of death is the worker's session lock."""
        await self._presence.mend()
        grace_us = seconds_to_us(grace_s)
        freed: list[JobId] = []
        look = partial(self._judge.suspects, grace_us=grace_us, fixed=self._fixed)
        for worker, proven in self._judge.verdicts(await self._read(look)):
            within_us = None if proven else grace_us
            bury = partial(workers.bury, worker=worker, unless_alive_within_us=within_us)
            jobs = await self._write(bury)
            if jobs is not None:
                freed += jobs
        return freed

    async def claim(
        self, worker: WorkerId, *, limit: int, deadline_s: float, weights: Weights = NO_WEIGHTS
    ) -> Sequence[tuple[Job, Lease]]:
        """See `WorkStore.claim`."""
        await self._presence.mend()
        call = partial(claiming.claim, worker=worker, limit=limit, deadline_s=deadline_s)
        return await self._write(partial(call, weights=weights))

    async def record(self, change: Change) -> Job:
        """See `WorkStore.record`."""
        self._enter()  # spelled out: nothing is called more often
        try:
            job = await self._results.record(change)
            seq = self._memory.numbers.pop(job.id, None)
            if seq is not None:
                self._recent.ended(change.lease.worker, seq, job)
            return job
        finally:
            self._leave()

    async def note(self, lease: Lease, progress: Progress, data: Mapping[str, Any]) -> None:
        """See `WorkStore.note`."""
        call = Note(lease=lease, progress=progress, data=data)
        await self._in_time(partial(self._results.record, call))

    async def results_after(self, worker: WorkerId, seq: int) -> Sequence[Result]:
        """See `WorkStore.results_after`."""
        recent = self._recent.after(worker, seq)
        if recent:
            return recent
        return await self._read(partial(reading.results_after, worker=worker, seq=seq))

    async def reported(self, worker: WorkerId, seq: int) -> None:
        """See `WorkStore.reported`."""
        await self._write(partial(pruning.reported, worker=worker, seq=seq))

    async def next_due_us(self) -> int | None:
        """See `WorkStore.next_due_us`."""
        return await self._read(reading.next_due_us)

    async def left_by_profile(self) -> Mapping[str | None, int]:
        """See `WorkStore.left_by_profile`."""
        return await self._read(reading.left_by_profile)

    async def open_jobs(self) -> int:
        """See `WorkStore.open_jobs`."""
        return await self._read(reading.open_jobs)

    def changed(self) -> bool:
        """See `WorkStore.changed`: what was heard, and yes once a second whatever was heard."""
        return self._hints.changed()

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
        after = after or JobId(0)
        look = partial(pruning.look, fixed=self._fixed, after=after, unreported=unreported)
        going, found = await self._read(partial(look, retention=retention))
        if dry_run or not going:
            return found
        remove = partial(pruning.remove, going=going, retention=retention)
        jobs, keys = await self._write(remove)
        return replace(found, jobs=jobs, keys=keys)

    async def tidy(self, retention: Retention) -> Tidied:
        """See `KeepingStore.tidy`."""
        tidied = await self._write(partial(pruning.tidy, retention=retention))
        await self._write(pruning.keep_weeks_ahead)
        return tidied

    async def forget(self, retention: Retention) -> Forgotten:
        """See `KeepingStore.forget`."""
        if retention.finished_s <= 0:
            return Forgotten()
        weeks = await self._write(partial(pruning.drop_weeks, retention=retention))
        specs = await self._read(pruning.unused)
        contents = await self._write(partial(pruning.forget_contents, specs=specs))
        return Forgotten(weeks=weeks, contents=contents)

    # Events.

    async def events_after(
        self, cursor: EventCursor, *, limit: int = 1_000
    ) -> tuple[Sequence[Event], EventCursor]:
        """See `EventStore.events_after`: withheld while an older transaction still runs."""
        return await self._read(partial(outbox.after, cursor=cursor, limit=limit))

    async def event_cursor(self, *, since_us: int | None = None) -> EventCursor:
        """See `EventStore.event_cursor`."""
        return await self._read(partial(outbox.cursor_at, since_us=since_us))

    # Operator.

    async def job(self, job: JobId) -> Job | None:
        """See `OperatorStore.job`."""
        return await self._read(partial(reading.job, wanted=job))

    async def jobs(
        self, matching: JobFilter, *, newest_first: bool = True, after: JobId | None = None
    ) -> AsyncIterator[Job]:
        """See `OperatorStore.jobs`."""
        place: int | None = after
        while True:
            page = partial(reading.page, matching=matching, newest_first=newest_first, after=place)
            found, place = await self._read(page)
            for job in found:
                yield job
            if place is None:
                return

    async def history(self, job: JobId) -> Sequence[Event]:
        """See `OperatorStore.history`."""
        return await self._read(partial(reading.history, wanted=job))

    async def pool_jobs(self, target: Target) -> Sequence[Job]:
        """See `OperatorStore.pool_jobs`."""
        return await self._read(partial(reading.pool_jobs, target=target))

    async def counts(self) -> Mapping[JobState, int]:
        """See `OperatorStore.counts`."""
        return await self._read(reading.counts)

    async def waiting_counts(self) -> Mapping[WaitReason, int]:
        """See `OperatorStore.waiting_counts`."""
        return await self._read(reading.waiting_counts)

    async def workers(self) -> Sequence[WorkerRow]:
        """See `OperatorStore.workers`."""
        return await self._read(reading.workers)

    async def buckets(self) -> Mapping[str, Bucket]:
        """See `OperatorStore.buckets`."""
        return await self._read(buckets.buckets)

    async def cancel(self, job: JobId, *, by: str) -> Job:
        """See `OperatorStore.cancel`."""
        return await self._write(partial(cancelling.cancel, job=job, by=by))

    async def now_us(self) -> int:
        """See `OperatorStore.now_us`: the database's clock."""
        if self._fixed is not None:
            return self._fixed.now_us()
        return int(await self._read(lambda wire: wire.value(f"SELECT {NOW}")))

    async def facts(self) -> StoreFacts:
        """See `OperatorStore.facts`."""
        place = self._connections.address.place
        return await self._read(partial(checking.facts, place=place))

    async def figures(self) -> Sequence[Figure]:
        """See `OperatorStore.figures`."""
        return await self._read(partial(measuring.figures, fixed=self._fixed))

    async def check(self) -> Sequence[Finding]:
        """See `OperatorStore.check`."""
        return await self._read(partial(checking.check, fixed=self._fixed), snapshot=True)

    async def close(self) -> None:
        """See `Store.close`.  Workers that have not left are as good as dead from here on."""
        self._closed = True
        while self._calls:
            self._idle = anyio.Event()
            await self._idle.wait()
        await self._presence.close()
        await self._connections.close()
