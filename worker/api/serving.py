"""Put the interface together and serve it until told to stop."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from typing import Any

import anyio
import structlog

from config.settings import Settings
from jobs.clock import Clock
from jobs.requests import Defaults
from jobs.store.protocol import Store
from worker.api.door import Door
from worker.api.gate import Gate, asks_for_login, insist_on_login
from worker.api.keys import Flights
from worker.api.openapi import document
from worker.api.queue import Queue
from worker.api.rates import Rates
from worker.api.rooms import Contact, Rooms
from worker.api.router import Router
from worker.api.routes import routes_of
from worker.api.server import ApiServer, NewId
from worker.api.tide import Tide
from worker.api.tokens import TokenBook

log = structlog.get_logger()


def rooms_of(
    settings: Settings,
    store: Store,
    clock: Clock,
    *,
    defaults: Defaults,
    contact: Contact,
    version: str,
) -> Rooms:
    """Return everything that handlers reach."""
    routes = routes_of(read_only=settings.server.read_only)

    @cache
    def told() -> dict[str, Any]:
        return document(routes, version, login=asks_for_login(settings.server))

    return Rooms(
        settings=settings,
        store=store,
        clock=clock,
        tide=Tide(store, clock),
        queue=Queue(store, clock, settings.server.max_queued),
        rates=Rates(clock),
        flights=Flights(),
        defaults=defaults,
        document=told,
        contact=contact,
    )


def door_of(rooms: Rooms) -> Door:
    """Return the door to these rooms."""
    server = rooms.settings.server
    book = TokenBook(rooms.store.access, rooms.clock)
    gate = Gate(server, book, rooms.clock, Rates(rooms.clock))
    return Door(rooms, Router(routes_of(read_only=server.read_only)), gate)


@asynccontextmanager
async def serving(rooms: Rooms, new_id: NewId) -> AsyncIterator[ApiServer]:
    """Serve while the block lasts; at its end calls in hand end first.

    Raises:
        ConfigError: If nothing can listen, or other machines could reach it without a login.
    """
    settings = rooms.settings.server
    await insist_on_login(settings, rooms.store.access, rooms.clock.wall_us())
    door = door_of(rooms)
    server = ApiServer(settings, door, new_id)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(rooms.tide.run, name="tide")
        await server.start()
        log.info(
            "api.started",
            url=server.url,
            login=asks_for_login(settings),
            read_only=settings.read_only,
        )
        try:
            yield server
        finally:
            leave(rooms)
            await server.stop()
            log.info("api.stopped", calls=door.calls)
            tasks.cancel_scope.cancel()


def leave(rooms: Rooms) -> None:
    """Take nothing new, and let those who wait go; harmless when repeated."""
    if rooms.standing.draining:
        return
    rooms.standing.draining = True
    log.info("api.draining", streams=rooms.standing.streams)
    rooms.tide.wake()
