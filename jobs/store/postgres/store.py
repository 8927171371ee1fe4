"""The PostgreSQL engine as the house sees it: each method is one transaction or one question.

Nothing is decided here.  What a method does stands in the module named after the duty:
`intake`, `claiming`, `recording`, `cancelling`, `workers`, `reading`, `checking`.

The store's time is the database's.  Instants that a worker writes from its own clock
(``not_before_us``, ``run_at_us``) are compared with it, so a worker should set its clock by
`PostgresStore.now_us` when it opens the store.
"""

import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final, TypeVar, final

import anyio

from jobs.clock import Clock, seconds_to_us
from jobs.errors import BadRequestError, StoreError
from jobs.model import Job, JobId, JobRequest, Lease, Progress, Target, WorkerId
from jobs.pacing import Bucket
from jobs.states import JobState, WaitReason
from jobs.store.postgres import (
    address,
    buckets,
    cancelling,
    checking,
    claiming,
    intake,
    migrating,
    reading,
    workers,
)
from jobs.store.postgres.connections import Connections, Patience
from jobs.store.postgres.grouping import Grouped
from jobs.store.postgres.hints import Hints
from jobs.store.postgres.presence import Presence
from jobs.store.postgres.reading import EventCursor
from jobs.store.postgres.recording import Call, Note, record
from jobs.store.postgres.transaction import NOW, SLOTS, Memory, Transaction
from jobs.store.postgres.transactions import Transactions
from jobs.store.postgres.troubles import RefusedValuesError, is_lost, store_error
from jobs.store.postgres.wire import Wire
from jobs.store.protocol import (
    Change,
    Enqueued,
    Event,
    Finding,
    IntakePosition,
    JobFilter,
    Result,
    WorkerInfo,
    WorkerRow,
)

T = TypeVar("T")
C = TypeVar("C")
V = TypeVar("V")

MOST_CONNECTIONS: Final = 4
"""For transactions and questions of one process; one more stands for hints and locks."""

MOST_REQUESTS: Final = 5_000
"""Requests in one group of intake calls."""


@final
class PostgresStore:
    """A `jobs.store.protocol.Store` in one database, for any number of processes and machines."""

    def __init__(
        self, connections: Connections, hints: Hints, memory: Memory, fixed: Clock | None
    ) -> None:
        self._connections = connections
        self._hints = hints
        self._fixed = fixed
        self._transactions = Transactions(connections, memory, hints, fixed)
        self._presence = Presence(connections, hints, connections.clock)
        self._records: Grouped[Call, Job] = Grouped(self._in_groups(record))
        self._intake: Grouped[intake.Batch, Sequence[Enqueued]] = Grouped(
            self._in_groups(intake.enqueue), most=MOST_REQUESTS
        )
        self._unlocked: dict[WorkerId, float] = {}
        """Since when workers were seen without their lock."""
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

    # How calls run.

    def _in_groups(
        self, work: Callable[[Transaction, Sequence[C]], Awaitable[Sequence[V | Exception]]]
    ) -> Callable[[Sequence[C], Callable[[], None]], Awaitable[Sequence[V | Exception]]]:
        """Return what serves a group of calls with *work*, in one transaction if possible."""

        async def serve(calls: Sequence[C], begin: Callable[[], None]) -> Sequence[V | Exception]:
            async def whole(transaction: Transaction) -> Sequence[V | Exception]:
                begin()
                return await work(transaction, calls)

            try:
                return await self._transactions.run(whole, shielded=True)
            except RefusedValuesError as error:
                if len(calls) == 1:
                    return [error]
            # One of them cannot be written: each for itself, so that it fails alone.
            return [outcome for call in calls for outcome in await serve([call], begin)]

        return serve

    async def _run(self, call: Awaitable[T]) -> T:
        """Await a call so that closing waits for it."""
        self._calls += 1
        try:
            return await call
        finally:
            self._calls -= 1
            if self._calls == 0:
                self._idle.set()

    def _check_open(self) -> None:
        if self._closed:
            raise StoreError("the store is closed", do="open it again")

    async def _write(self, work: Callable[[Transaction], Awaitable[T]]) -> T:
        self._check_open()
        return await self._run(self._transactions.run(work))

    async def _read(self, question: Callable[[Wire], Awaitable[T]]) -> T:
        self._check_open()
        return await self._run(self._ask(question))

    async def _ask(self, question: Callable[[Wire], Awaitable[T]]) -> T:
        """Ask, and ask again when the connection was lost meanwhile."""
        clock, pooler = self._connections.clock, self._connections.address.pooler
        until = clock.monotonic() + self._connections.patience.reconnect_s
        tries = 0
        while True:
            try:
                async with self._connections.lent(until=until) as wire:
                    if not pooler or question.func is checking.check:
                        return await question(wire)
                    return await _within_transaction(wire, question)
            except Exception as error:
                if not is_lost(error) or clock.monotonic() > until:
                    raise store_error(error, self._connections.address.place) from None
            tries += 1
            await self._connections.pause(tries)
