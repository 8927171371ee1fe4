"""The rows of the sinks."""

from collections.abc import Callable, Mapping
from typing import Final, TypeVar, final

from jobs.store.postgres.calling import Read, Write
from jobs.store.postgres.transaction import Transaction
from jobs.store.postgres.wire import Wire
from jobs.store.sink_rows import sink_text, sink_value
from jobs.store.sinks import SinkRow

T = TypeVar("T")

_ALL: Final = "SELECT name, body FROM plugwave.sinks ORDER BY name"
# Also of a row that does not exist yet.
_LOCK: Final = "SELECT pg_advisory_xact_lock(hashtextextended('sink ' || $1::text, 0))"
_ONE: Final = "SELECT body FROM plugwave.sinks WHERE name = $1"
_SET: Final = """
INSERT INTO plugwave.sinks(name, body) VALUES ($1, $2)
ON CONFLICT (name) DO UPDATE SET body = excluded.body
"""


@final
class PostgresSinks:
    """A `SinkStore` in the database of its store."""

    def __init__(self, write: Write, read: Read) -> None:
        self._write = write
        self._read = read

    async def update(
        self, name: str, change: Callable[[SinkRow | None, int], tuple[SinkRow | None, T]]
    ) -> T:
        """See `SinkStore.update`."""
        return await self._write(lambda transaction: _update(transaction, name, change))

    async def all(self) -> Mapping[str, SinkRow]:
        """See `SinkStore.all`."""
        return await self._read(_all)


async def _all(wire: Wire) -> Mapping[str, SinkRow]:
    """See `SinkStore.all`."""
    return {name: sink_value(body) for name, body in await wire.rows(_ALL)}


async def _update(
    transaction: Transaction,
    name: str,
    change: Callable[[SinkRow | None, int], tuple[SinkRow | None, T]],
) -> T:
    """See `SinkStore.update`."""
    wire = transaction.wire
    await wire.rows(_LOCK, name)
    found = await wire.value(_ONE, name)
    now_us = await transaction.read_now_us()
    row, answer = change(None if found is None else sink_value(found), now_us)
    if row is not None:
        await wire.rows(_SET, name, sink_text(row))
    return answer
