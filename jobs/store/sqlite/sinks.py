"""The rows of the sinks."""

from collections.abc import Callable, Mapping
from typing import Final, TypeVar, final

from jobs.store.sink_rows import sink_text, sink_value
from jobs.store.sinks import SinkRow
from jobs.store.sqlite.calling import Write
from jobs.store.sqlite.engine import Reader
from jobs.store.sqlite.transaction import Snapshot, Transaction

T = TypeVar("T")

_ALL: Final = "SELECT name, body FROM sinks ORDER BY name"
_ONE: Final = "SELECT body FROM sinks WHERE name = ?"
_SET: Final = "INSERT OR REPLACE INTO sinks(name, body) VALUES (?, ?)"


@final
class SqliteSinks:
    """A `SinkStore` in the file of its store."""

    def __init__(self, write: Write, reader: Reader) -> None:
        self._write = write
        self._reader = reader

    async def update(
        self, name: str, change: Callable[[SinkRow | None, int], tuple[SinkRow | None, T]]
    ) -> T:
        """See `SinkStore.update`."""
        return await self._write(lambda transaction: _update(transaction, name, change))

    async def all(self) -> Mapping[str, SinkRow]:
        """See `SinkStore.all`."""
        return await self._reader.run(_all)


def _all(snapshot: Snapshot) -> Mapping[str, SinkRow]:
    """See `SinkStore.all`."""
    return {name: sink_value(body) for name, body in snapshot.rows(_ALL)}


def _update(
    transaction: Transaction,
    name: str,
    change: Callable[[SinkRow | None, int], tuple[SinkRow | None, T]],
) -> T:
    """See `SinkStore.update`; the write lock is the row's."""
    found = transaction.row(_ONE, (name,))
    row, answer = change(None if found is None else sink_value(found[0]), transaction.now_us)
    if row is not None:
        transaction.change(_SET, (name, sink_text(row)))
    return answer
