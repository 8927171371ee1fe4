"""Ask without writing; a question whose connection was lost is simply asked again."""

from collections.abc import Awaitable, Callable
from typing import Final, TypeVar, final

from jobs.store.postgres.connections import Connections
from jobs.store.postgres.troubles import TROUBLES, is_lost, store_error
from jobs.store.postgres.wire import Wire

T = TypeVar("T")
Question = Callable[[Wire], Awaitable[T]]

_TOGETHER: Final = "BEGIN"  # not read-only: a new worker asks for its number
_ONE_SNAPSHOT: Final = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"


@final
class Questions:
    """Runs what only reads."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    async def ask(self, question: Question[T], *, snapshot: bool = False) -> T:
        """Return the answer; with *snapshot* all its statements see the same instant.

        Raises:
            StoreError: If the server stays away, or refuses.
        """
        connections = self._connections
        clock = connections.clock
        until = clock.monotonic() + connections.patience.reconnect_s
        tries = 0
        while True:
            try:
                async with connections.lent(until=until) as wire:
                    return await self._once(wire, question, snapshot=snapshot)
            except TROUBLES as error:
                if not is_lost(error) or clock.monotonic() > until:
                    raise store_error(error, connections.address.place) from None
            tries += 1
            await connections.pause(tries)

    async def _once(self, wire: Wire, question: Question[T], *, snapshot: bool) -> T:
        # A pooler keeps us on one of its connections only for the length of a transaction.
        if not snapshot and not self._connections.address.pooler:
            return await question(wire)
        await wire.script(_ONE_SNAPSHOT if snapshot else _TOGETHER)
        answer = await question(wire)
        await wire.script("COMMIT")
        return answer
