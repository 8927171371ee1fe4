"""What may be asked of a store, and what it promises.

A store speaks of jobs, never of rows.  Every method is one transaction: it happens whole
or not at all, also when the caller is cancelled while it waits; when it has returned, what
it wrote survives kill -9 and power loss.  A method that changes a job under a lease writes
nothing when the lease no longer holds.

Split by consumer: each sees only what it needs.  Each promise below has a test in
`tests/contract`, run against every engine.
"""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol, TypeVar

from jobs.changing import swift
from jobs.fairness import NO_WEIGHTS, Weights
from jobs.model import Job, JobId, JobRequest, Lease, Progress, Target, WorkerId
from jobs.pacing import Bucket
from jobs.states import JobEvent, JobState, WaitReason
from jobs.store.access import AccessStore
from jobs.store.cursor import EventCursor
from jobs.store.facts import Figure, Finding, StoreFacts
from jobs.store.inbox import InboxStore
from jobs.store.keeping import KeepingStore
from jobs.store.schedules import WaveStore
from jobs.store.sinks import SinkStore

T = TypeVar("T")


class Verdict(StrEnum):
    """What intake did with one request."""

    CREATED = "created"
    DUPLICATE = "duplicate"  # same key and content, or an equal open job
    CONFLICT = "conflict"  # same key, other content: nothing was stored


@dataclass(frozen=True, slots=True, kw_only=True)
class Enqueued:
    """The answer for one request: *job* is the new one, or the one that was there first."""

    verdict: Verdict
    job: JobId


@dataclass(frozen=True, slots=True, kw_only=True)
class IntakePosition:
    """How far one file has been taken in: *records* lines of the file with that SHA-256."""

    source: str
    digest: str
    records: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerInfo:
    """A worker as it introduces itself."""

    name: str
    host: str
    pid: int
    profiles: Sequence[str] = ()
    """The profiles whose jobs it can take besides those of jobs that name none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerRow:
    """A worker as the store knows it."""

    id: WorkerId
    info: WorkerInfo
    started_us: int
    heartbeat_us: int
    lease_until_us: int
    alive: bool
    jobs: int
    """How many jobs it has in hand."""


@swift
@dataclass(frozen=True, kw_only=True)  # no slots: see jobs.changing
class Change:
    """One move of one job under its lease.

    ``reason`` and ``run_at_us`` go with a move to WAITING.  ``data`` is written to the
    history beside the event; it holds no inputs and no secrets.
    """

    lease: Lease
    event: JobEvent
    progress: Progress
    reason: WaitReason | None = None
    run_at_us: int | None = None
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One line of a job's history, in order of ``seq``."""

    seq: int
    at_us: int
    job: JobId
    event: str
    state: JobState
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFilter:
    """Which jobs; an empty filter means all."""

    states: frozenset[JobState] = frozenset()
    project_id: str | None = None
    pool_name: str | None = None
    plugin: str | None = None
    cause: str | None = None
    source: str | None = None
    since_us: int | None = None


@swift
@dataclass(frozen=True, kw_only=True)  # no slots: see jobs.changing
class Result:
    """A job that ended, with its place in the row of this worker's results (counting from 1)."""

    seq: int
    job: Job
    worker_name: str


class IntakeStore(Protocol):
    """Where accepted requests go."""

    async def enqueue(
        self, requests: Sequence[JobRequest], *, position: IntakePosition | None = None
    ) -> Sequence[Enqueued]:
        """Store the requests, and the file position with them, in one transaction.

        With a key: new key → created; same (source, key) and fingerprint → duplicate of the
        first job, in whatever state; other fingerprint → conflict, nothing stored for it.
        Without one: an open job with the same natural key → duplicate, else created.
        Requests of one call see each other in order.  A new job is WAITING(not-before) when
        its ``not_before_us`` lies ahead, WAITING(pool-busy) when its pool already has a job
        that is ready or in hand or holds the pool while it waits, else READY.
        """
        ...

    async def intake_position(self, source: str, digest: str) -> int:
        """Return how many records of that file were taken in; 0 when none."""
        ...


class WorkStore(Protocol):
    """What a worker needs."""

    async def register(self, info: WorkerInfo, *, lease_s: float) -> WorkerId:
        """Introduce a worker and start its lease; ids are never used twice."""
        ...

    async def heartbeat(self, worker: WorkerId, *, lease_s: float) -> None:
        """Push the worker's lease out.

        Raises:
            WorkerFencedError: If it was declared dead; nothing is written.
        """
        ...

    async def leave(self, worker: WorkerId) -> None:
        """End the worker's lease itself; what it still holds is treated as in `rescue`."""
        ...

    async def rescue(self, *, grace_s: float) -> Sequence[JobId]:
        """Declare dead workers dead and free what they held, in one transaction each.

        A worker is dead when the engine can prove it (its process has gone), or when its
        lease ended more than *grace_s* ago.  Its jobs take the event LEASE_LOST: CHECKING
        becomes READY, SENDING becomes UNKNOWN with the ``not_before`` that was persisted,
        UNKNOWN and WATCHING stay; the pool stays held by the job.  Returns the jobs.
        """
        ...

    async def claim(
        self, worker: WorkerId, *, limit: int, deadline_s: float, weights: Weights = NO_WEIGHTS
    ) -> Sequence[tuple[Job, Lease]]:
        """Take up to *limit* jobs: freed UNKNOWN and WATCHING ones first, then READY ones.

        Due WAITING jobs are moved on first: to READY, or to WAITING(pool-busy) when another
        job holds their pool.  READY ones are taken in turn over the projects that have some, by
        *weights*; within a project who waits longest, with AGING_S for each point of priority.
        A job that names a profile is given only to a worker that was registered with it, at no
        cost to other claims.  No job is given twice, and no two jobs of one pool are in hand at
        a time.  Each claim raises the pool's fence.  The first claim of a job sets
        ``started_us`` and ``deadline_us``: now + the request's own deadline, else *deadline_s*.

        Raises:
            WorkerFencedError: If the worker was declared dead; nothing is written.
        """
        ...

    async def record(self, change: Change) -> Job:
        """Apply the change and append it to the job's history; return the job as it is now.

        INTENDED also opens the attempt ``progress.sends``; every other event from SENDING
        closes it.  A final state frees the pool and lets its next WAITING(pool-busy) job (in
        the same order) become READY in the same transaction.  WAITING keeps
        the pool when reason is BACKOFF, RATE_LIMIT or BREAKER and frees it otherwise; either
        way the job leaves the worker's hands.  HANDED_BACK also leaves them.

        Raises:
            LeaseLostError: If the lease no longer holds; nothing is written.
            IllegalTransitionError: If the state does not allow the event; nothing is written.
            RolloutHeldError: If the event is INTENDED and the job's rollout lets nothing be
                sent now (LineStoppedError: the whole line is stopped); nothing is written.
        """
        ...

    async def note(self, lease: Lease, progress: Progress, data: Mapping[str, Any]) -> None:
        """Save where the job stands without a move, with an event ``seen`` in its history.

        In SENDING that renews the intent, and is refused as in `record`.

        Raises:
            LeaseLostError: If the lease no longer holds; nothing is written.
        """
        ...

    async def results_after(self, worker: WorkerId, seq: int) -> Sequence[Result]:
        """Return the jobs that ended in this worker's hands after *seq*, in order."""
        ...

    async def reported(self, worker: WorkerId, seq: int) -> None:
        """Say that the lines of this worker's results up to *seq* are written.

        Only such results may ever be removed.  Late or repeated calls take nothing back.
        """
        ...

    async def next_due_us(self) -> int | None:
        """Return the earliest ``run_at_us`` of a WAITING job that nobody holds; None when none."""
        ...

    async def open_jobs(self) -> int:
        """Return how many jobs are not final."""
        ...

    async def left_by_profile(self) -> Mapping[str | None, int]:
        """Return how many jobs are not final and may still come to this worker by themselves.

        Left out are those that wait for their ``not_before``, lie in the line of a wave, or
        were set aside (paused): somebody or something else lets them go on, if ever.  Whoever
        must wait for rollouts, too, looks at those that live.
        By profile, None for jobs that name none; zeros are left out.  One that waits behind
        another job of its pool counts for the other's profile: it cannot go on before that.
        """
        ...

    def changed(self) -> bool:
        """Whether anything may have been written since the last call, by any process; cheap."""
        ...


class LimitStore(Protocol):
    """The shared rows of the limiter."""

    async def update_buckets(
        self,
        keys: Sequence[str],
        change: Callable[[Mapping[str, Bucket], int], tuple[Mapping[str, Bucket], T]],
    ) -> T:
        """Read the rows, apply *change* to them and the store's time, write what it returns.

        One transaction under the rows' locks, so two workers never get the same slot.
        *change* is pure and may be called again if the transaction must be repeated.
        Returns the second part of what *change* returned.
        """
        ...


class EventStore(Protocol):
    """The history of all jobs in one row: the outbox that webhooks and sinks read."""

    async def events_after(
        self, cursor: EventCursor, *, limit: int = 1_000
    ) -> tuple[Sequence[Event], EventCursor]:
        """Return the next events of all jobs, up to *limit*, and the cursor after them.

        Events of one job come in their order.  Nothing ever appears before a cursor that was
        returned, however transactions overlap: what would is withheld until it cannot any more.
        No event means that there is none yet.
        """
        ...

    async def event_cursor(self, *, since_us: int | None = None) -> EventCursor:
        """Return the cursor before the first event of *since_us* or later; None: after all.

        A store's clock may have been set back, so single events around that instant may be
        missing or too old; a cursor is exact, an instant is not.
        """
        ...

    def changed(self) -> bool:
        """See `WorkStore.changed`."""
        ...


class OperatorStore(Protocol):
    """What commands and pages ask."""

    async def job(self, job: JobId) -> Job | None:
        """Return one job."""
        ...

    def jobs(
        self, matching: JobFilter, *, newest_first: bool = True, after: JobId | None = None
    ) -> AsyncIterator[Job]:
        """Yield the jobs that match, by id, in constant memory; those that follow *after*."""
        ...

    async def history(self, job: JobId) -> Sequence[Event]:
        """Return the job's events in order."""
        ...

    async def pool_jobs(self, target: Target) -> Sequence[Job]:
        """Return the open jobs of a pool, the one that holds it first, then in their order."""
        ...

    async def counts(self) -> Mapping[JobState, int]:
        """Return how many jobs are in each state, zeros left out."""
        ...

    async def waiting_counts(self) -> Mapping[WaitReason, int]:
        """Return how many jobs wait for each reason, zeros left out."""
        ...

    async def workers(self) -> Sequence[WorkerRow]:
        """Return the workers that are alive or still have jobs."""
        ...

    async def buckets(self) -> Mapping[str, Bucket]:
        """Return every limiter row."""
        ...

    async def cancel(self, job: JobId, *, by: str) -> Job:
        """Cancel a job that has not sent; ask one that is in hand to stop before it sends.

        WAITING and READY → CANCELLED at once.  CHECKING → ``cancel_asked`` is set and its
        worker stops before sending.  Later states and final ones are returned as they are.
        """
        ...

    async def now_us(self) -> int:
        """Return the store's time."""
        ...

    async def facts(self) -> StoreFacts:
        """Return where and what the store is; cheap, whatever it holds."""
        ...

    async def figures(self) -> Sequence[Figure]:
        """Return how large, how old and how fast the store is; it may look for a second."""
        ...

    async def check(self) -> Sequence[Finding]:
        """Look for damage: the file, live workers for held jobs, counters, pools, versions."""
        ...


class Store(
    IntakeStore, WorkStore, LimitStore, KeepingStore, EventStore, OperatorStore, WaveStore, Protocol
):
    """All of it; what an engine provides."""

    @property
    def inbox(self) -> InboxStore:
        """What other programs ask for by SQL."""
        ...

    @property
    def sinks(self) -> SinkStore:
        """How far each receiver of events is."""
        ...

    @property
    def access(self) -> AccessStore:
        """Who may ask over the network, and what keyed calls were answered."""
        ...

    async def close(self) -> None:
        """Finish what was accepted and let go of the files; harmless when repeated."""
        ...
