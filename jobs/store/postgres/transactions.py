"""Run a transaction so that its outcome is always known.

A transaction that was the victim of another (deadlock, serialization) is run again.  One whose
connection was lost before COMMIT has not happened and is run again.  One whose answer to
COMMIT was lost is looked up:

    each transaction first writes its number, an even one, into the row of its connection in
    `commits`.  After a lost answer a new connection tries to write the odd number after it,
    unless the even one is there.  That waits for the old transaction if it still runs.  Then
    the row tells: the even number, it was committed; the odd one, it was not and never can be.

So nothing is lost and nothing happens twice, and nobody guesses.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeVar, final
from uuid import UUID

import anyio
import structlog

from jobs.clock import Clock
from jobs.errors import StoreError
from jobs.store.postgres.connections import Connections
from jobs.store.postgres.hints import Hints
from jobs.store.postgres.transaction import NOW, Memory, Transaction
from jobs.store.postgres.troubles import (
    TROUBLES,
    AgainError,
    RefusedValuesError,
    is_again,
    is_lost,
    store_error,
)
from jobs.store.postgres.wire import Wire

log = structlog.get_logger()

T = TypeVar("T")
C = TypeVar("C")
V = TypeVar("V")
Work = Callable[[Transaction], Awaitable[T]]

# No row: the number is there already, or a later one.
_MARK: Final = f"""
INSERT INTO plugwave.commits AS c (writer, last, at_us) VALUES ($1, $2, coalesce($3::bigint, {NOW}))
ON CONFLICT (writer) DO UPDATE SET last = excluded.last, at_us = excluded.at_us
 WHERE c.last < excluded.last
RETURNING at_us
"""  # noqa: S608 - made of constants only
_MAKE_VOID: Final = f"""
INSERT INTO plugwave.commits AS c (writer, last, at_us) VALUES ($1, $2 + 1, {NOW})
ON CONFLICT (writer) DO UPDATE SET last = excluded.last WHERE c.last < $2
"""  # noqa: S608 - made of constants only
# A statement of its own: the first one may have waited for what this one must see.
_LAST: Final = "SELECT last FROM plugwave.commits WHERE writer = $1"

MOST_TRIES: Final = 20
"""Times a transaction is run again because others were faster."""

AGAIN_SOON: Final = 3
"""The pause before that stays as short as after so many tries to connect."""


class _LostError(Exception):
    """The connection was lost; nothing of the transaction has happened."""

    def __init__(self, why: Exception) -> None:
        super().__init__()
        self.why = why


@final
class Transactions:
    """Runs calls, each in a transaction of its own."""

    def __init__(
        self, connections: Connections, memory: Memory, hints: Hints, fixed: Clock | None
    ) -> None:
        self._connections = connections
        self._memory = memory
        self._hints = hints
        self._fixed = fixed
        self.commits = 0
        """Transactions committed so far."""
        self.looked_up = 0
        """How many commits were looked up because the answer had been lost."""

    async def run(self, work: Work[T], *, shielded: bool = False) -> T:
        """Run *work* in one transaction; it is called again if that must be repeated.

        Args:
            work: Reads and writes; what it returns comes back once it is on the disk.
            shielded: Whether a cancelled caller must not disturb a transaction that has
                begun, because others depend on it.  Waiting for the server never is.

        Raises:
            StoreError: If the server stays away, or refuses.
        """
        clock = self._connections.clock
        until = clock.monotonic() + self._connections.patience.reconnect_s
        tries = 0
        while True:
            try:
                return await self._once(work, until, shielded=shielded)
            except _LostError as lost:
                if clock.monotonic() > until:
                    raise self._told(lost.why) from None
            except TROUBLES as error:
                if not is_again(error) or tries >= MOST_TRIES:
                    raise self._told(error) from None
            tries += 1
            await self._connections.pause(min(tries, AGAIN_SOON))

    def in_groups(
        self, work: Callable[[Transaction, Sequence[C]], Awaitable[Sequence[V | Exception]]]
    ) -> Callable[[Sequence[C], Callable[[], None]], Awaitable[Sequence[V | Exception]]]:
        """Return what serves a group of calls with *work*, in one transaction if possible."""

        async def serve(calls: Sequence[C], begin: Callable[[], None]) -> Sequence[V | Exception]:
            async def whole(transaction: Transaction) -> Sequence[V | Exception]:
                begin()
                return await work(transaction, calls)

            try:
                return await self.run(whole, shielded=True)
            except RefusedValuesError as error:
                if len(calls) == 1:
                    return [error]
            # One of them cannot be written: each for itself, so that it fails alone.
            return [outcome for call in calls for outcome in await serve([call], begin)]

        return serve

    def _told(self, error: Exception) -> Exception:
        return store_error(error, self._connections.address.place)

    async def _once(self, work: Work[T], until: float, *, shielded: bool) -> T:
        connections = self._connections
        async with connections.lent(until=until) as wire:
            with anyio.CancelScope(shield=shielded):
                try:
                    value, transaction = await self._up_to_commit(wire, work)
                except Exception as error:
                    await _roll_back(wire)
                    if is_lost(error):
                        raise _LostError(error) from None
                    raise
                name, number = wire.writer, wire.number
                answered = await self._commit(wire, transaction)
                if transaction.has_news:
                    self._hints.wrote()
        if not answered:
            # Its callers may have been told nothing yet, so the question outlives them.
            with anyio.CancelScope(shield=True):
                await self._look_up(name, number)
        self.commits += 1
        transaction.committed()
        return value

    async def _up_to_commit(self, wire: Wire, work: Work[T]) -> tuple[T, Transaction]:
        wire.number += 2
        fixed_us = None if self._fixed is None else self._fixed.now_us()
        await wire.script("BEGIN")
        now_us = await wire.value(_MARK, wire.writer, wire.number, fixed_us)
        assert now_us is not None  # nobody looks up a number that is still to come
        transaction = Transaction(wire, self._memory, int(now_us), self._fixed)
        value = await work(transaction)
        await transaction.flush()
        return value, transaction

    async def _commit(self, wire: Wire, transaction: Transaction) -> bool:
        """Commit; return False when the answer was lost."""
        commit = "COMMIT"
        if transaction.has_news:
            commit = self._hints.with_notice(commit)
        try:
            tag = await wire.script(commit)
        except Exception as error:
            if not is_lost(error):
                raise
            wire.terminate()
            return False
        if tag != "COMMIT":
            raise AgainError  # the server rolled back, whatever it was
        return True

    async def _look_up(self, writer: UUID, number: int) -> None:
        """Find out whether a transaction was committed whose answer is lost.

        Raises:
            _LostError: If it was not: it may be run again.
            StoreError: If the server stays away for so long that nobody can know.
        """
        clock, patience = self._connections.clock, self._connections.patience
        until = clock.monotonic() + patience.reconnect_s
        last: int | None = None
        tries = 0
        while last is None:
            await self._connections.pause(tries)
            tries += 1
            try:
                async with self._connections.lent(until=until) as wire:
                    await wire.rows(_MAKE_VOID, writer, number)
                    last = await wire.value(_LAST, writer)
            except (StoreError, *TROUBLES) as error:
                if not is_lost(error) or clock.monotonic() > until:
                    raise StoreError(
                        f"the outcome of a commit at {self._connections.address.place} is unknown",
                        why="the connection broke during the commit and could not be made again",
                        do="the next worker sees what was committed; nothing is half done",
                    ) from None
        log.warning("store.commit_looked_up", committed=last == number)
        self.looked_up += 1
        if last != number:
            raise _LostError(TimeoutError())


async def _roll_back(wire: Wire) -> None:
    """Leave the transaction; a connection that cannot is thrown away by its lender."""
    try:
        await wire.script("ROLLBACK")
    except Exception as error:  # noqa: BLE001 - the first error is the one that is told
        log.debug("store.rollback_failed", error=type(error).__name__)
        wire.terminate()
