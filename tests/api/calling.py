"""Call the interface without a socket: a door on a store of its own, and callers with tokens."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from multidict import CIMultiDict

from config.serving import ServerSettings
from config.settings import Settings
from jobs.clock import Clock
from jobs.refusals import BodyTooLargeError
from jobs.requests import NO_DEFAULTS
from jobs.store.access import Token
from jobs.store.protocol import Store
from jobs.store.sqlite import open_sqlite
from tests.fakes import FakeClock
from tests.planted import CREDENTIAL_MARK, INPUTS, watch_for
from worker.api.calls import Call, Reply
from worker.api.door import Door, encoded
from worker.api.rooms import Rooms
from worker.api.serving import door_of, rooms_of
from worker.api.terms import Scope, Terms
from worker.api.tokens import NEW_S, digest_of, new_secret

OURS = "0" * 32
THEIRS = "1" * 32
LOGIN = {"login": True}


def a_job(pool: str = "pool-a", project: str = OURS, **more: Any) -> dict[str, Any]:
    """Return a job request as a body has it."""
    plugin = {"name": "node-local-dns", "version": "1.6.36", "inputs": INPUTS}
    return {"project_id": project, "pool_name": pool, "plugin": plugin, **more}


@dataclass(frozen=True)
class Answered:
    """What a call was answered."""

    status: int
    body: Any
    headers: Mapping[str, str]
    raw: bytes


class Caller:
    """Calls a door, with a token or without."""

    def __init__(self, door: Door, token: str | None = None) -> None:
        self.door = door
        self.token = token

    async def __call__(
        self,
        method: str,
        target: str,
        body: Any = None,
        *,
        key: str | None = None,
        raw: bytes | None = None,
        **headers: Any,
    ) -> Answered:
        """Make one call; underscores in the names of headers are dashes."""
        told = CIMultiDict({"Host": "localhost:8787"})
        if body is not None or raw is not None:
            told["Content-Type"] = "application/json"
        if self.token is not None:
            told["Authorization"] = f"Bearer {self.token}"
        if key is not None:
            told["Idempotency-Key"] = key
        told.update({name.replace("_", "-"): text for name, text in headers.items()})
        content = raw if raw is not None else b"" if body is None else orjson.dumps(body)
        path, _, query = target.partition("?")
        reply = await self.door.answer(
            Call(
                method=method,
                path=path,
                query=query,
                headers=told,
                peer="192.0.2.7",
                read=reader_of(content),
                request_id="r-1",
            )
        )
        return answered(reply)


def reader_of(content: bytes) -> Any:
    """Return what reads this body."""

    async def read(limit_bytes: int, /) -> bytes:
        if len(content) > limit_bytes:
            raise BodyTooLargeError("too large")
        return content

    return read


def answered(reply: Reply) -> Answered:
    """Return the reply as a caller sees it."""
    raw = encoded(reply)
    body = orjson.loads(raw) if raw else None
    return Answered(reply.status, body, reply.headers, raw)


class House:
    """The interface on a store of its own."""

    def __init__(
        self, store: Store, clock: FakeClock, server: Mapping[str, Any], time: Clock | None = None
    ) -> None:
        self.store = store
        self.clock = clock
        settings = Settings(server=ServerSettings(**server))
        self.rooms: Rooms = rooms_of(
            settings,
            store,
            time or clock,
            defaults=NO_DEFAULTS,
            contact=no_cloud,
            version="1.2.3",
        )
        self.door = door_of(self.rooms)
        self.anybody = Caller(self.door)
        self._made = 0

    async def token(self, name: str, *scopes: Scope, **terms: Any) -> Caller:
        """Return a caller with a new token of these terms."""
        self._made += 1
        secret = watch_for(new_secret(lambda _: f"{self._made:03d}{CREDENTIAL_MARK:A>40}"))
        expires_us = terms.pop("expires_us", None)
        token = Token(
            name=name,
            digest=digest_of(secret),
            created_us=self.clock.now_us(),
            by="test",
            terms=Terms(scopes=frozenset(scopes), **terms).as_dict(),
            expires_us=expires_us,
        )
        await self.store.access.add_token(token)
        self.clock.advance(seconds=NEW_S)
        return Caller(self.door, secret)


@asynccontextmanager
async def no_cloud() -> AsyncIterator[Any]:
    """Stand for a cloud that nothing here asks: whoever does, fails."""
    yield None


@asynccontextmanager
async def a_house(folder: Path, time: Clock | None = None, **server: Any) -> AsyncIterator[House]:
    """Open the interface on the store of a folder; on sockets it needs the real *time*."""
    clock = FakeClock()
    store = await open_sqlite(folder / "jobs.db", clock)
    try:
        yield House(store, clock, server, time)
    finally:
        await store.close()
