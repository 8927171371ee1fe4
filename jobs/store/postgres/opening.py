"""Meet a database: read its address, connect, make or check its schema."""

import random
from typing import Final

import anyio

from jobs.clock import Clock
from jobs.store.postgres import address, migrating
from jobs.store.postgres.connections import Connections, Patience
from jobs.store.postgres.hints import Hints
from jobs.store.postgres.store import PostgresStore
from jobs.store.postgres.transaction import SLOTS, Memory
from jobs.store.postgres.troubles import TROUBLES, store_error

MOST_CONNECTIONS: Final = 4
"""For transactions and questions of one process; one more stands for hints and locks."""


async def open_postgres(
    dsn: str,
    clock: Clock,
    *,
    migrate: bool = True,
    patience: Patience | None = None,
    rng: random.Random | None = None,
    time: Clock | None = None,
) -> PostgresStore:
    """Open the store in the schema ``plugwave`` of a database.

    Args:
        dsn: ``postgresql://…`` as libpq knows it; ``pooler=1`` in its query says that a
            transaction pooler stands between.
        clock: What waiting in this process is measured with.
        migrate: Make or upgrade the schema where that is needed; else it must be there.
        patience: How long to wait for what.
        rng: Spreads processes that connect anew, and their counters.
        time: Tests only: the store's time instead of the database's.

    Raises:
        StoreError: Of the kind that fits, when the database cannot be used; it is not
            waited for.
    """
    rng = rng or random.Random()  # noqa: S311 - spreads load, keeps no secret
    where = address.parse(dsn)
    patience = patience or Patience()
    connections = Connections(where, clock, patience, rng, most=MOST_CONNECTIONS)
    store = PostgresStore(
        connections, Hints(clock, patience), Memory(rng.randrange(SLOTS)), fixed=time
    )
    try:
        await store.begin(migrate=migrate)
    except BaseException:
        with anyio.CancelScope(shield=True):
            await store.close()
        raise
    return store


async def pending_sql(dsn: str, clock: Clock) -> str:
    """Return what migrating would run on the database as it is; empty when nothing is missing.

    Raises:
        StoreError: Of the kind that fits, when the database cannot be used.
    """
    where = address.parse(dsn)
    rng = random.Random()  # noqa: S311 - spreads load, keeps no secret
    connections = Connections(where, clock, Patience(), rng, most=1)
    try:
        async with connections.lent(until=clock.monotonic()) as wire:
            try:
                await migrating.check_server(wire, where.place)
                return await migrating.pending_sql(wire, where.place)
            except TROUBLES as error:
                raise store_error(error, where.place) from None
    finally:
        await connections.close()
