"""One connection that asks and is answered, again and again; and those that are idle.

aiohttp makes the connections and reads every answer that is not plain (`plain`): then it is
given the bytes that came, as if it had been there from the start, and what it says or raises
counts.  A plain answer is read here, and a connection stays with us between two requests; both
together halve what a request costs (0.3 of one of a tuned aiohttp session, 0.55 without).

What comes into an idle connection is nobody's answer: aiohttp keeps it and the connection is
never used again.
"""

import asyncio
from collections.abc import Mapping
from typing import Final

from aiohttp import ClientError, ClientRequest, ClientTimeout, StreamReader, TCPConnector
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection

from worker.modelarts.plain import Plain, Unread, plain_answer
from worker.modelarts.sockets import discard

Told = tuple[int, Mapping[str, str], bytes | None]
"""Status, headers and body of an answer; no body when it is compressed or too large."""

TRIES: Final = 2
"""A connection may be spoilt as soon as it is made; then another one is tried, once."""


class ConnectionGoneError(ClientError):
    """The connection could not be used any more; nothing was written."""


class Channel(asyncio.Protocol):
    """A connection as we use it; it stands between the socket and aiohttp's handler."""

    def __init__(self, conn: Connection, address: ClientRequest) -> None:
        """Take over a connection that has just been made."""
        handler, wire = conn.protocol, conn.transport
        assert handler is not None
        assert wire is not None
        self.address = address
        self.idle_since = 0.0
        self._conn = conn
        self._handler: ResponseHandler = handler
        self._wire: asyncio.Transport = wire
        self._buffer = b""
        self._asked: asyncio.Future[Plain | None] | None = None
        self.is_doubtful = handler.should_close
        """Whether aiohttp has something to say about it."""
        wire.set_protocol(self)

    @property
    def is_usable(self) -> bool:
        """Whether a request may be written to it.

        Not when it is closing; not when an earlier request is still stuck in it; and not when
        the server said something unasked into it while it was idle.
        """
        handler = self._handler
        if self._wire.is_closing() or handler.writing_paused:
            return False
        return not (self.is_doubtful and handler.should_close)

    async def ask(self, data: bytes, limit_bytes: int) -> Told:
        """Write a request and return its answer; raises what aiohttp raises.

        Args:
            data: The whole request.
            limit_bytes: Largest body that is read.
        """
        asked = self._asked = asyncio.get_running_loop().create_future()
        self._wire.write(data)
        plain = await asked
        if plain is None:
            return await self._told_by_handler(limit_bytes)
        status, headers, body = plain
        return status, headers, body if len(body) <= limit_bytes else None

    def close(self) -> None:
        """Close it in an orderly way."""
        self._asked = None
        self._conn.close()

    def cut(self) -> None:
        """Close it so that nothing of what is still unsent ever leaves."""
        discard(self._wire)

    def data_received(self, data: bytes) -> None:
        """Take bytes: an answer that was asked for, or what aiohttp is to deal with."""
        asked = self._asked
        if asked is None:
            self.is_doubtful = True
            self._handler.data_received(data)
            return
        if self._buffer:
            data = self._buffer + data
        found = plain_answer(data)
        if found is Unread.INCOMPLETE:
            self._buffer = data
            return
        self._buffer = b""
        if found is Unread.UNUSUAL:
            self._hand_over(data)
        elif not asked.done():  # else whoever asked has gone, and cuts the connection
            self._asked = None
            asked.set_result(found)

    def connection_lost(self, exc: Exception | None) -> None:
        """Let aiohttp say what the end means for the one who waits."""
        if self._asked is not None:
            self._hand_over(self._buffer)
        self._handler.connection_lost(exc)

    def eof_received(self) -> None:
        """Pass it on; the connection closes then."""
        self._handler.eof_received()

    def pause_writing(self) -> None:
        """Pass it on."""
        self._handler.pause_writing()

    def resume_writing(self) -> None:
        """Pass it on."""
        self._handler.resume_writing()

    def _hand_over(self, data: bytes) -> None:
        """Let aiohttp read this answer, from its first byte on."""
        asked, self._asked, self._buffer = self._asked, None, b""
        self.is_doubtful = True
        self._handler.set_response_params(auto_decompress=False, read_until_eof=True)
        if data:
            self._handler.data_received(data)
        if asked is not None and not asked.done():
            asked.set_result(None)

    async def _told_by_handler(self, limit_bytes: int) -> Told:
        message, content = await self._handler.read()
        while 100 <= message.code < 200 and message.code != 101:  # an interim answer
            message, content = await self._handler.read()
        body = await _body_of(message.headers, content, limit_bytes)
        return message.code, message.headers, body


class Channels:
    """The connections of a process, used again while they are fresh: the last one first."""

    def __init__(self, connector: TCPConnector, keepalive_s: float) -> None:
        """Take what makes connections, and for how many seconds an idle one is kept."""
        self._connector = connector
        self._keepalive_s = keepalive_s
        self._loop = asyncio.get_running_loop()
        self._idle: dict[ClientRequest, list[Channel]] = {}
        self._sweep_at: asyncio.TimerHandle | None = None

    @property
    def idle(self) -> list[Channel]:
        """The connections that wait for a request."""
        return [channel for row in self._idle.values() for channel in row]

    def take_idle(self, address: ClientRequest) -> Channel | None:
        """Return a connection that waits for a request; None when there is none."""
        row = self._idle.get(address)
        oldest = self._loop.time() - self._keepalive_s
        while row:
            channel = row.pop()
            if channel.idle_since >= oldest and channel.is_usable:
                return channel
            channel.close()
        return None

    async def connect(self, address: ClientRequest, timeout: ClientTimeout) -> Channel:  # noqa: ASYNC109 - aiohttp's bound on connecting, not a deadline of ours
        """Return a new connection that a request may be written to.

        Raises:
            ConnectionGoneError: If none can be had that stays; or what aiohttp raises.
        """
        for _ in range(TRIES):
            channel = Channel(await self._connector.connect(address, [], timeout), address)
            if channel.is_usable:
                return channel
            channel.close()
        raise ConnectionGoneError

    def give_back(self, channel: Channel) -> None:
        """Keep a connection whose answer is complete, or to which nothing was written."""
        if self._connector.closed or (channel.is_doubtful and not channel.is_usable):
            channel.close()
            return
        channel.idle_since = self._loop.time()
        self._idle.setdefault(channel.address, []).append(channel)
        if self._sweep_at is None:
            self._sweep_at = self._loop.call_later(self._keepalive_s, self._sweep)

    async def close(self) -> None:
        """Close all of them, those in use too."""
        if self._sweep_at is not None:
            self._sweep_at.cancel()
        for channel in self.idle:
            channel.close()
        self._idle.clear()
        await self._connector.close()

    def _sweep(self) -> None:
        """Close what has been idle for too long; look again when the next one may be."""
        oldest = self._loop.time() - self._keepalive_s
        for address, row in list(self._idle.items()):
            for channel in row:
                if channel.idle_since <= oldest or not channel.is_usable:
                    channel.close()
            kept = [one for one in row if one.idle_since > oldest and one.is_usable]
            if kept:
                self._idle[address] = kept
            else:
                del self._idle[address]
        first = min((one.idle_since for one in self.idle), default=None)
        self._sweep_at = (
            None if first is None else self._loop.call_at(first + self._keepalive_s, self._sweep)
        )


async def _body_of(
    headers: Mapping[str, str], content: StreamReader, limit_bytes: int
) -> bytes | None:
    """Return the body; None when it is compressed or too large."""
    encoding = headers.get("Content-Encoding")
    if encoding is not None and encoding.lower() != "identity":
        return None
    length = headers.get("Content-Length")
    if length is None:
        return await _read_up_to(content, limit_bytes)
    return await content.read() if int(length) <= limit_bytes else None


async def _read_up_to(content: StreamReader, limit: int) -> bytes | None:
    """Return everything up to the end, or None once it is more than *limit* bytes."""
    chunks: list[bytes] = []
    size = 0
    while chunk := await content.readany():
        size += len(chunk)
        if size > limit:
            return None
        chunks.append(chunk)
    return b"".join(chunks)
