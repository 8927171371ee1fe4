"""Connections: how many there may be, and how long one may stay without a whole request.

aiohttp closes a connection that has no request in hand when its time is over, counted from its
beginning or its last answer, whatever bytes trickle in meanwhile.  So a slow head costs its
own connection and nothing else.  Here is what it lacks: the counting, and refusals as problems.
"""

import asyncio
from collections import Counter
from typing import Any, Final

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from jobs.refusals import CallRefusedError
from worker.api.door import SAFE, encoded
from worker.api.problems import problem_reply

HEAD_LINE_BYTES: Final = 4_096
HEAD_FIELD_BYTES: Final = 8_190
"""A signed token of a proxy may be long; nothing else is."""

HEAD_FIELDS: Final = 64
LOCAL: Final = frozenset({"127.0.0.1", "::1", "unix"})


class Crowd:
    """Who is connected."""

    def __init__(self, most: int, most_of_one: int) -> None:
        self._most = most
        self._most_of_one = most_of_one
        self._by_peer: Counter[str] = Counter()
        self.refused = 0

    @property
    def size(self) -> int:
        """Open connections."""
        return self._by_peer.total()

    def enter(self, peer: str) -> bool:
        """Count one more connection; whether it may stay."""
        full = self.size >= self._most
        if full or (peer not in LOCAL and self._by_peer[peer] >= self._most_of_one):
            self.refused += 1
            return False
        self._by_peer[peer] += 1
        return True

    def leave(self, peer: str) -> None:
        """Count a connection that has ended."""
        self._by_peer[peer] -= 1
        if self._by_peer[peer] <= 0:
            del self._by_peer[peer]


def peer_of(transport: asyncio.BaseTransport | None) -> str:
    """Return the address at the other end, without its port."""
    peer = None if transport is None else transport.get_extra_info("peername")
    return str(peer[0]) if isinstance(peer, tuple) and peer else "unix"


class Connection(RequestHandler):
    """One connection, if there is room for it."""

    __slots__ = ("_crowd", "_peer")

    def __init__(self, manager: "Listener", crowd: Crowd, **more: Any) -> None:  # noqa: ANN401 - handed on to aiohttp
        super().__init__(manager, **more)
        self._crowd = crowd
        self._peer: str | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Stay, or be closed at once."""
        super().connection_made(transport)
        peer = peer_of(transport)
        if self._crowd.enter(peer):
            self._peer = peer
        else:
            self.force_close()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Make room for another."""
        if self._peer is not None:
            self._crowd.leave(self._peer)
            self._peer = None
        super().connection_lost(exc)

    def handle_error(
        self,
        request: web.BaseRequest,  # noqa: ARG002 - aiohttp's signature
        status: int = 500,
        exc: BaseException | None = None,  # noqa: ARG002 - aiohttp's signature
        message: str | None = None,  # noqa: ARG002 - it may repeat what was sent
    ) -> web.StreamResponse:
        """Answer a head that is no HTTP, or too large; nothing of it is repeated."""
        told = CallRefusedError("the head of the call is not HTTP as it is taken here")
        reply = problem_reply(told, "")
        response = web.Response(
            status=400 if status < 500 else 500,
            body=encoded(reply) if status < 500 else b"",
            content_type=reply.media,
            headers=dict(SAFE),
        )
        response.force_close()
        return response


class Listener(web.Server):
    """Makes connections."""

    def __init__(self, handler: Any, crowd: Crowd, **more: Any) -> None:  # noqa: ANN401 - handed on to aiohttp
        super().__init__(
            handler,
            access_log=None,
            auto_decompress=False,
            max_line_size=HEAD_LINE_BYTES,
            max_field_size=HEAD_FIELD_BYTES,
            max_headers=HEAD_FIELDS,
            lingering_time=1.0,
            **more,
        )
        self._crowd = crowd

    def __call__(self) -> RequestHandler:
        """Return the protocol of one connection."""
        return Connection(self, self._crowd, loop=self._loop, **self._kwargs)
