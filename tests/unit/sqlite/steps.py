"""Ways past the store's front door, for tests of what lies behind it."""

from collections.abc import Callable
from typing import Any

import apsw

from jobs.store.sqlite import SqliteStore
from jobs.store.sqlite.transaction import Transaction


def writing(store: SqliteStore) -> apsw.Connection:
    """Return the connection that writes."""
    assert store._writer is not None
    return store._writer._connection


async def run(store: SqliteStore, work: Callable[[Transaction], Any]) -> Any:
    """Run a call of our own in the writer."""
    return await store._write(work)


async def damage(store: SqliteStore, sql: str) -> None:
    """Change rows behind the store's back."""
    await run(store, lambda transaction: transaction.change(sql, ()))
