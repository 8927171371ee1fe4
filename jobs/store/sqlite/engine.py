"""Two threads own the connections: one writes with group commit, one reads.

Calls are queued from the event loop.  The writer takes whatever is waiting, up to
MOST_CALLS, runs it inside one transaction and commits once; while one commit waits for
the disk, the next group gathers.  Only when many ask at once does it leave them a moment to
gather.

    event loop          writer
    call 1 ──┐
    call 2 ──┼──▶ queue ──▶ BEGIN IMMEDIATE
    call 3 ──┘               call 1, call 2, call 3
       ◀── one wake-up ──── COMMIT

Calls that follow each other and have the same work to do, each on a thing of its own, are run
as one: a statement for many rows costs a third of one for each row.

A call that fails fails alone.  Nearly all look before they write, so there is nothing to
undo; when one has written before it failed, the group is rolled back and run again with a
savepoint around each call.  Calls are functions of the store, so running one again is
harmless, and the calls of every other group are spared the savepoints.

A caller that is cancelled while it waits has no say any more: its call happens whole.
When COMMIT fails, nothing of the group happened and every caller is told.
"""

import asyncio
import contextlib
import queue
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar, final

import apsw

from jobs.clock import Clock
from jobs.errors import StoreError
from jobs.store.sqlite.connection import is_everyones, store_error
from jobs.store.sqlite.transaction import Memory, Snapshot, Transaction

T = TypeVar("T")
C = TypeVar("C")

MOST_CALLS: Final = 500
"""Calls in one group: bounds how long the write lock is held (some 30 ms)."""

GATHER_S: Final = 0.005
"""How long calls gather after a group that was LARGE; half as many commits then, and each one
costs its pages and a wait for the disk."""

LARGE: Final = 8
"""Calls in one group that show that many ask at once.  Who asks alone is never held up."""

LAST_CHECKPOINT_MS: Final = 1_000
"""How long closing waits for other processes' readers before it leaves the WAL to them."""


@dataclass(slots=True)
class _Call:
    """One queued call and, later, what became of it.

    ``thing`` is what it has to be done to; None for work that is done by itself.
    """

    work: Callable[..., Any]
    future: asyncio.Future[Any]
    thing: Any = None
    value: Any = None
    error: BaseException | None = None


class _NeedsSavepointsError(Exception):
    """A call failed after it had written: the group must run again, each call undoable."""


def _together(group: Sequence[_Call]) -> Iterator[Sequence[_Call]]:
    """Split a group into what is run as one; the order holds."""
    first = 0
    for place in range(1, len(group) + 1):
        before = group[place - 1]
        if place < len(group) and before.thing is not None and group[place].work is before.work:
            continue
        yield group[first:place]
        first = place


def _run(transaction: Transaction, calls: Sequence[_Call]) -> None:
    """Run what is run as one, and put down the outcome of each call."""
    work = calls[0].work
    if calls[0].thing is None:
        calls[0].value = work(transaction)
        return
    outcomes = work(transaction, [call.thing for call in calls])
    for call, outcome in zip(calls, outcomes, strict=True):
        if isinstance(outcome, Exception):
            call.error = outcome
        else:
            call.value = outcome


def _tell(calls: list[_Call]) -> None:
    """Wake the callers; runs on the event loop.  Cancelled ones have gone."""
    for call in calls:
        if call.future.done():
            continue
        if call.error is not None:
            call.future.set_exception(call.error)
        else:
            call.future.set_result(call.value)


@final
class _Lane:
    """A thread that serves groups of calls in order until it is stopped."""

    def __init__(
        self,
        name: str,
        serve: Callable[[list[_Call]], None],
        at_end: Callable[[], None],
        *,
        most: int,
        gather_s: float = 0.0,
    ) -> None:
        self._serve = serve
        self._at_end = at_end
        self._most = most
        self._gather_s = gather_s
        self._was_large = False
        self._ended_at = 0.0
        self._gathered: list[_Call] = []
        self._calls: queue.SimpleQueue[list[_Call] | None] = queue.SimpleQueue()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ended: asyncio.Future[None] | None = None
        self._thread = threading.Thread(target=self._main, name=name, daemon=True)
        self._thread.start()

    def run(self, work: Callable[..., Any], thing: object = None) -> asyncio.Future[Any]:
        """Queue *work*; the future has its outcome."""
        if self._ended is not None:
            raise StoreError("the store is closed", do="open it again")
        self._loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = self._loop.create_future()
        self._gathered.append(_Call(work, future, thing))
        if len(self._gathered) == 1:
            # What one turn of the loop asks for is handed over together: each time the thread
            # is woken costs two switches between threads.
            self._loop.call_soon(self._hand_over)
        return future

    def _hand_over(self) -> None:
        gathered, self._gathered = self._gathered, []
        if gathered:
            self._calls.put(gathered)

    async def stop(self) -> None:
        """Finish what is queued and end the thread; harmless when repeated."""
        if self._ended is None:
            self._loop = asyncio.get_running_loop()
            self._ended = self._loop.create_future()
            self._hand_over()
            self._calls.put(None)
        # Waited for in turns, so that one cancelled caller does not end the wait of another.
        while not self._ended.done():
            await asyncio.wait([self._ended])
        self._thread.join()  # it has nothing left to do

    def _take(self) -> tuple[list[_Call], bool]:
        """Wait for calls, then take what else is there; say whether more may come."""
        gathered = self._calls.get()
        if gathered is None:
            return [], False
        self._let_gather()
        group = gathered
        while len(group) < self._most:
            try:
                gathered = self._calls.get_nowait()
            except queue.Empty:
                break
            if gathered is None:
                return group, False
            group = group + gathered
        return group, True

    def _let_gather(self) -> None:
        """While many ask, leave them some milliseconds to gather."""
        if self._was_large:
            left_s = self._ended_at + self._gather_s - time.monotonic()
            if left_s > 0:
                time.sleep(left_s)

    def _main(self) -> None:
        more = True
        while more:
            group, more = self._take()
            for first in range(0, len(group), self._most):
                some = group[first : first + self._most]
                self._serve(some)
                self._on_loop(_tell, some)
            self._was_large = len(group) >= LARGE
            self._ended_at = time.monotonic()
        self._at_end()
        assert self._ended is not None
        self._on_loop(self._ended.set_result, None)

    def _on_loop(self, callback: Callable[[Any], None], argument: object) -> None:
        assert self._loop is not None
        try:
            self._loop.call_soon_threadsafe(callback, argument)
        except RuntimeError:
            return  # the loop has ended, and with it everybody who waited


@final
class Writer:
    """The one connection of this process that writes."""

    def __init__(self, connection: apsw.Connection, path: Path, clock: Clock) -> None:
        self._connection = connection
        self._path = path
        self._clock = clock
        self._memory = Memory()
        self.commits = 0
        """Groups committed so far."""
        self._lane = _Lane(
            "plugwave store writer", self._serve, self._close, most=MOST_CALLS, gather_s=GATHER_S
        )

    def run(self, work: Callable[[Transaction], T]) -> Awaitable[T]:
        """Run *work* in the next group; its value comes once it is on the disk."""
        return self._lane.run(work)

    def run_with_others(
        self, work: Callable[[Transaction, Sequence[C]], Sequence[T | Exception]], thing: C
    ) -> Awaitable[T]:
        """Run *work* in the next group, for all things that come for it together.

        Args:
            work: Returns one outcome for each thing, in order.  A thing whose outcome is an
                exception must have changed nothing.
            thing: What this call is about; not None.
        """
        return self._lane.run(work, thing)

    async def stop(self) -> None:
        """Finish what was accepted, fold the WAL into the file and close."""
        await self._lane.stop()

    def _close(self) -> None:
        with contextlib.suppress(apsw.Error):  # others still read: the last one folds it in
            self._connection.set_busy_timeout(LAST_CHECKPOINT_MS)
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        self._connection.close()

    def _serve(self, group: list[_Call]) -> None:
        try:
            try:
                self._commit(group, savepoints=False)
            except _NeedsSavepointsError:
                self._roll_back()
                self._commit(group, savepoints=True)
        except Exception as error:  # noqa: BLE001 - whatever it is, the callers must hear of it and the thread must live
            self._fail(group, error)
        self._memory.bound()

    def _commit(self, group: list[_Call], *, savepoints: bool) -> None:
        self._connection.execute("BEGIN IMMEDIATE")
        transaction = Transaction(self._connection, self._memory)
        if savepoints:
            for call in group:
                self._run_in_savepoint(transaction, call)
        else:
            for calls in _together(group):
                self._run_plain(transaction, calls)
        transaction.flush()
        self._connection.execute("COMMIT")
        self.commits += 1

    def _run_plain(self, transaction: Transaction, calls: Sequence[_Call]) -> None:
        """Run calls as one; if it fails, it must be one call that has not written."""
        transaction.begin_call(self._clock.now_us())
        before = self._connection.total_changes()
        try:
            _run(transaction, calls)
        except Exception as error:
            if self._is_everyones(error):
                raise
            if len(calls) > 1 or self._connection.total_changes() != before:
                raise _NeedsSavepointsError from error
            calls[0].error = self._translated(error)
        else:
            transaction.end_call()

    def _run_in_savepoint(self, transaction: Transaction, call: _Call) -> None:
        """Run one call; if it fails, undo what it has written."""
        transaction.begin_call(self._clock.now_us())
        self._connection.execute("SAVEPOINT call")
        call.error = None
        try:
            _run(transaction, [call])
        except Exception as error:
            if self._is_everyones(error):
                raise
            call.error = self._translated(error)
            self._memory.doubt()
            self._connection.execute("ROLLBACK TO call")
        else:
            transaction.end_call()
        self._connection.execute("RELEASE call")

    def _is_everyones(self, error: Exception) -> bool:
        return is_everyones(error) or not self._connection.in_transaction

    def _roll_back(self) -> None:
        self._memory.doubt()
        with contextlib.suppress(apsw.Error):  # SQLite may have rolled back by itself
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")

    def _fail(self, group: list[_Call], error: Exception) -> None:
        """Undo the whole group and tell each of its callers why."""
        self._roll_back()
        for call in group:
            call.error = self._translated(error)

    def _translated(self, error: Exception) -> Exception:
        if not isinstance(error, apsw.Error):
            return error
        told = store_error(error, self._path)
        told.__cause__ = error
        return told


@final
class Reader:
    """A read-only connection, so that questions never wait for the writer."""

    def __init__(self, connection: apsw.Connection, path: Path) -> None:
        self._connection = connection
        self._path = path
        self._lane = _Lane("plugwave store reader", self._serve, connection.close, most=1)

    def run(self, work: Callable[[Snapshot], T]) -> Awaitable[T]:
        """Run *work* on one snapshot of the store."""
        return self._lane.run(work)

    async def stop(self) -> None:
        """Answer what was asked and close."""
        await self._lane.stop()

    def _serve(self, group: list[_Call]) -> None:
        for call in group:
            try:
                self._connection.execute("BEGIN")
                try:
                    call.value = call.work(Snapshot(self._connection))
                finally:
                    self._connection.execute("COMMIT")
            except apsw.Error as error:
                call.error = store_error(error, self._path)
                call.error.__cause__ = error
            except Exception as error:  # noqa: BLE001 - the asker must hear of it and the thread must live
                call.error = error


@final
class Watcher:
    """Tells cheaply whether anybody has written, by SQLite's own change counter."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self._seen = self._version()

    def _version(self) -> int | None:
        try:
            row = self._connection.execute("PRAGMA data_version").fetchone()
        except apsw.BusyError:
            return None  # somebody is at it this instant
        assert row is not None
        return int(row[0])

    def changed(self) -> bool:
        """Whether another connection has committed since the last call; some 5 µs."""
        version = self._version()
        changed = version is None or version != self._seen
        self._seen = version
        return changed

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()
