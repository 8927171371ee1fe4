"""This process's standing connection: it hears hints, and its end proves that we are dead.

For each of its workers the process holds a session lock on this one connection.  When the
process ends, however it ends, the kernel closes the connection and the server lets go of the
lock; whoever finds it free has the proof, long before the lease ends.

A connection can break while we live.  Then it is made anew at the next housekeeping (every
claim, heartbeat and rescue does it), and until others can tell the two apart, free locks
prove nothing: see `Patience.confirm_death_s` and `Patience.trust_after_s`.  Even a wrong proof
does no harm that fences do not stop; it costs the worker its jobs.

Behind a transaction pooler there is no such connection: leases and polling do it alone.
"""

from typing import Final, final

from jobs.clock import Clock
from jobs.store.postgres.connections import Connections
from jobs.store.postgres.hints import CHANNEL, NOTIFY, Hints
from jobs.store.postgres.wire import Wire

LOCK_CLASS: Final = 0x706C7776
"""``plwv``: the first key of our advisory locks; the second is the worker, 0 the migration."""

FREE: Final = f"pg_try_advisory_xact_lock_shared({LOCK_CLASS}, w.id::integer)"
"""Whether nobody holds the lock of worker ``w``; testers do not disturb each other."""

_LOCK: Final = f"SELECT pg_try_advisory_lock({LOCK_CLASS}, $1::bigint::integer)"
_UNLOCK: Final = f"SELECT pg_advisory_unlock({LOCK_CLASS}, $1::bigint::integer)"
_UNLOCK_ALL: Final = "SELECT pg_advisory_unlock_all()"

MEND_EVERY_S: Final = 0.5
"""Shortest time between two tries to make the connection anew."""


@final
class Presence:
    """The standing connection and the locks of this process's workers."""

    def __init__(self, connections: Connections, hints: Hints, clock: Clock) -> None:
        self._connections = connections
        self._hints = hints
        self._clock = clock
        self._wire: Wire | None = None
        self._held: dict[int, bool] = {}
        """The workers of this process, and whether this connection has their locks."""
        self._mending = False
        self._tried_at: float | None = None
        self._renewed_at: float | None = None
        self._closed = False

    async def hold(self, worker: int) -> bool:
        """Take *worker*'s lock for the life of this process; say whether it is held now."""
        if self._connections.address.pooler:
            return False
        self._held[worker] = False
        self._tried_at = None
        await self.mend()
        return self._held[worker]

    async def release(self, worker: int) -> None:
        """Let go of *worker*'s lock, if it is held here."""
        if self._held.pop(worker, False) and self._wire is not None:
            try:
                await self._wire.value(_UNLOCK, worker)
            except Exception:  # noqa: BLE001 - with the connection the lock has gone too
                self._drop()

    def is_ours(self, worker: int) -> bool:
        """Whether *worker* belongs to this process, so that its lock proves nothing to us."""
        return worker in self._held

    def may_judge(self) -> bool:
        """Whether our own connection has stood long enough to read anything from free locks."""
        if self._wire is None or not self._wire.is_open():
            return False
        if self._renewed_at is None:
            return True
        trust_after_s = self._connections.patience.trust_after_s
        return self._clock.monotonic() - self._renewed_at >= trust_after_s

    async def mend(self) -> None:
        """Make the connection anew if it has gone, take missing locks, send a held-back hint.

        It never fails: what cannot be done now is done the next time.
        """
        if self._mending or self._closed or self._connections.address.pooler:
            return
        self._mending = True
        try:
            await self._mend()
        except Exception:  # noqa: BLE001 - leases and polling carry on without it
            self._drop()
        except BaseException:
            self._drop()
            raise
        finally:
            self._mending = False

    async def _mend(self) -> None:
        if self._wire is None or not self._wire.is_open():
            now = self._clock.monotonic()
            if self._tried_at is not None and now - self._tried_at < MEND_EVERY_S:
                return
            self._tried_at = now
            await self._connect()
        assert self._wire is not None
        for worker, held in list(self._held.items()):
            if not held:
                # Free, or still held by our old connection, whose end the server has not seen.
                self._held[worker] = bool(await self._wire.value(_LOCK, worker))
        if self._hints.owes():
            await self._wire.script(NOTIFY)
            self._hints.sent()

    async def _connect(self) -> None:
        again = self._wire is not None or self._renewed_at is not None
        self._drop()
        if again:
            self._renewed_at = self._clock.monotonic()
        wire = await self._connections.connect_once()
        try:
            await wire.listen(CHANNEL, self._hints.hearer(self._connections.is_ours))
        except BaseException:
            wire.terminate()
            raise
        self._wire = wire
        # What was said while nobody listened is asked for.
        self._hints.wrote()

    def _drop(self) -> None:
        """Forget the connection; its locks have gone with it."""
        if self._wire is not None:
            self._wire.terminate()
            self._renewed_at = self._clock.monotonic()
            self._wire = None
        for worker in self._held:
            self._held[worker] = False

    async def close(self) -> None:
        """Let go of everything; a hint that is owed is still sent."""
        self._closed = True
        wire, self._wire = self._wire, None
        self._held.clear()
        if wire is None:
            return
        try:
            await wire.script(_UNLOCK_ALL)  # else the server does it some moments later
            if self._hints.owed:
                await wire.script(NOTIFY)
        except Exception:  # noqa: BLE001 - a lost hint costs nobody more than a second
            wire.terminate()
        await wire.close()
