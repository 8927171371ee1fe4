"""Lend out a few connections, and find the way back after the server was away.

A process needs few: whoever waits for a connection waits for a transaction of some
milliseconds.  The one used last is lent first, so a quiet process holds one or two.

While the server is away, who asks waits: tries follow each other at random distances that
grow up to BACKOFF_S, so that a restarted server is not met by everybody at once.
"""

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final, final

import anyio

from jobs.clock import Clock
from jobs.errors import StoreError
from jobs.store.postgres.address import Address
from jobs.store.postgres.troubles import TROUBLES, is_lost, store_error
from jobs.store.postgres.wire import Wire, connect

BACKOFF_S: Final = 5.0
"""Longest wait between two tries to connect."""

FIRST_BACKOFF_S: Final = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long this process waits for what, in seconds.

    Attributes:
        reconnect_s: For a server that is away, before a call fails with StoreError.
        connect_s: For one connection.
        answer_s: For one statement; then the connection counts as lost.
        confirm_death_s: A worker's lock must have been free for this long before its death
            counts as proven: it may just be connecting anew.
        trust_after_s: After the server's start and after every loss of our own connection,
            free locks prove nothing for this long: everybody is just connecting anew.
        hint_every_s: Shortest time between two NOTIFY of one process.
        poll_s: `changed` says yes at least this often, whatever was heard.
    """

    reconnect_s: float = 30.0
    connect_s: float = 5.0
    answer_s: float = 60.0
    confirm_death_s: float = 1.0
    trust_after_s: float = 15.0
    hint_every_s: float = 0.2
    poll_s: float = 1.0


def backoff_s(tries: int, rng: random.Random) -> float:
    """Return the wait after that many tries that failed (full jitter); none after none."""
    if tries == 0:
        return 0.0
    return rng.uniform(0.0, min(BACKOFF_S, FIRST_BACKOFF_S * 2 ** min(tries, 10)))


@final
class Connections:
    """Up to *most* connections to one database."""

    def __init__(
        self, address: Address, clock: Clock, patience: Patience, rng: random.Random, *, most: int
    ) -> None:
        self.address = address
        self.patience = patience
        self.clock = clock
        self._rng = rng
        self._idle: list[Wire] = []
        self._lendable = anyio.Semaphore(most, fast_acquire=True)
        self._server_pids: set[int] = set()
        self._closed = False

    def is_ours(self, server_pid: int) -> bool:
        """Whether that process of the server serves one of these connections."""
        return server_pid in self._server_pids

    @asynccontextmanager
    async def lent(self, *, until: float | None = None) -> AsyncIterator[Wire]:
        """Lend a connection that stands in no transaction.

        Args:
            until: When to give up waiting for the server, on the clock's `monotonic`;
                None for the usual patience from now on.

        Raises:
            StoreError: If there is none in time, or the server refuses us.
        """
        async with self._lendable:
            wire = self._take_idle() or await self._connected(until)
            try:
                yield wire
            finally:
                self._take_back(wire)

    def _take_idle(self) -> Wire | None:
        if self._closed:
            raise StoreError("the store is closed", do="open it again")
        while self._idle:
            wire = self._idle.pop()
            if wire.is_usable():
                return wire
            self._drop(wire)
        return None

    async def _connected(self, until: float | None) -> Wire:
        if until is None:
            until = self.clock.monotonic() + self.patience.reconnect_s
        tries = 0
        while True:
            try:
                wire = await self.connect_once()
            except TROUBLES as error:
                told = store_error(error, self.address.place)
                if not is_lost(error):
                    raise told from None
                tries += 1
                if self.clock.monotonic() >= until:
                    raise told from None
                await self.pause(tries)
            else:
                self._server_pids.add(wire.server_pid)
                return wire

    async def pause(self, tries: int) -> None:
        """Wait after that many tries that failed."""
        await self.clock.sleep(backoff_s(tries, self._rng))

    async def connect_once(self) -> Wire:
        """Open one connection that nobody lends or takes back."""
        patience = self.patience
        return await connect(self.address, connect_s=patience.connect_s, answer_s=patience.answer_s)

    def _take_back(self, wire: Wire) -> None:
        if wire.is_usable() and not self._closed:
            self._idle.append(wire)
        else:
            # Also what a cancelled caller left in the middle: the server rolls it back.
            self._drop(wire)

    def _drop(self, wire: Wire) -> None:
        self._server_pids.discard(wire.server_pid)
        wire.terminate()

    async def close(self) -> None:
        """Close what is idle; what is lent is closed when it comes back."""
        self._closed = True
        while self._idle:
            await self._idle.pop().close()
