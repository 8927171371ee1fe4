"""Two things that may stand between a worker and PostgreSQL: a bad line, and a pooler."""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from enum import StrEnum
from typing import Final
from urllib.parse import urlsplit, urlunsplit

import anyio

COMMIT: Final = b"COMMIT\0"
READY: Final = b"Z\0\0\0\5I"
ASKS_FOR_TLS: Final = 80_877_103

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Fault(StrEnum):
    """What happens to the next COMMIT on the line."""

    BEFORE = "before"  # the line breaks before the server gets it
    AFTER = "after"  # the server commits, and the line breaks before its answer
    LATE = "late"  # the client's side breaks; the server gets it some time later


def through(dsn: str, port: int) -> str:
    """Return *dsn* by way of another port of this machine."""
    parts = urlsplit(dsn)
    user = parts.netloc.rpartition("@")[0]
    return urlunsplit(parts._replace(netloc=f"{user}@127.0.0.1:{port}"))


async def _ended(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


class Line:
    """Passes bytes on, and breaks when told to."""

    def __init__(self, dsn: str) -> None:
        parts = urlsplit(dsn)
        self._server = (parts.hostname or "127.0.0.1", parts.port or 5432)
        self.faults: deque[Fault] = deque()
        self.broken = 0
        """How many times it broke."""
        self.let_late_through = anyio.Event()
        self.stays_down = False
        """Whether nobody gets through any more once it has broken."""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one connection."""
        if self.stays_down and self.broken:
            await _ended(writer)
            return
        upstream = await asyncio.open_connection(*self._server)
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._answers, upstream[0], writer, tasks.cancel_scope)
                await self._requests(reader, writer, upstream)
                tasks.cancel_scope.cancel()
        except* OSError:
            pass
        finally:
            with anyio.CancelScope(shield=True):
                await _ended(upstream[1])
                await _ended(writer)

    async def _answers(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        scope: anyio.CancelScope,
    ) -> None:
        while data := await reader.read(65536):
            if not writer.is_closing():
                writer.write(data)
                await writer.drain()
        scope.cancel()

    async def _requests(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, upstream: Streams
    ) -> None:
        while data := await reader.read(65536):
            if COMMIT in data and self.faults:
                await self._break(self.faults.popleft(), data, writer, upstream)
                return
            upstream[1].write(data)
            await upstream[1].drain()

    async def _break(
        self, fault: Fault, data: bytes, writer: asyncio.StreamWriter, upstream: Streams
    ) -> None:
        self.broken += 1
        transport = writer.transport
        assert isinstance(transport, asyncio.Transport)
        transport.abort()  # the client hears nothing any more
        if fault is Fault.BEFORE:
            return
        if fault is Fault.LATE:
            await self.let_late_through.wait()
        upstream[1].write(data)
        await upstream[1].drain()
        while answer := await upstream[0].read(65536):
            if b"COMMIT" in answer:
                return


class Pooler:
    """Lends a few server connections out, each for one transaction, in turn.

    So two transactions of one client are hardly ever on the same server process: whatever
    rests on the state of a session breaks here.
    """

    def __init__(self, dsn: str, *, servers: int = 3) -> None:
        parts = urlsplit(dsn)
        self._server = (parts.hostname or "127.0.0.1", parts.port or 5432)
        self._servers = servers
        self._greeting = b""
        self._free: deque[Streams] = deque()
        self._lendable = anyio.Semaphore(0)
        self.refused: list[bytes] = []
        """Start-up options that a real pooler refuses."""
        self.lent = 0

    async def _open(self, startup: bytes) -> None:
        """Open the server connections on behalf of the first client."""
        for _ in range(self._servers):
            reader, writer = await asyncio.open_connection(*self._server)
            writer.write(startup)
            greeting = b""
            while not greeting.endswith(READY):
                greeting += await reader.read(65536)
            self._greeting = greeting
            self._free.append((reader, writer))
            self._lendable.release()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one client's transactions."""
        startup = await self._startup(reader, writer)
        allowed = {b"user", b"database", b"client_encoding", b"application_name"}
        self.refused += [key for key in startup[8:].split(b"\0")[::2] if key and key not in allowed]
        if not self._greeting:
            await self._open(startup)
        writer.write(self._greeting)
        client = _Client(writer)
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            async with anyio.create_task_group() as tasks:
                while (message := await read_message(reader))[:1] != b"X":
                    if client.server is None:
                        await self._lendable.acquire()
                        self.lent += 1
                        client.server = self._free.popleft()
                        tasks.start_soon(self._answers, client, client.server)
                    client.asked += message[:1] in {b"Q", b"S"}
                    client.server[1].write(message)
                tasks.cancel_scope.cancel()
        with anyio.CancelScope(shield=True):
            await _ended(writer)

    async def _startup(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        while True:
            length = await reader.readexactly(4)
            startup = length + await reader.readexactly(int.from_bytes(length, "big") - 4)
            if int.from_bytes(startup[4:8], "big") != ASKS_FOR_TLS:
                return startup
            writer.write(b"N")

    async def _answers(self, client: "_Client", server: Streams) -> None:
        """Pass answers on until the transaction is over, then take the server back."""
        while True:
            answer = await read_message(server[0])
            client.writer.write(answer)
            if answer[:1] == b"Z":
                client.asked -= 1
                if answer[5:6] == b"I" and client.asked == 0:
                    client.server = None
                    self._free.append(server)
                    self._lendable.release()
                    return

    async def close(self) -> None:
        """Let go of the servers."""
        for _, writer in self._free:
            await _ended(writer)


class _Client:
    """A client of the pooler, and what it has of a server at present."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self.writer = writer
        self.server: Streams | None = None
        self.asked = 0


async def read_message(reader: asyncio.StreamReader) -> bytes:
    """Read one message of the protocol."""
    head = await reader.readexactly(5)
    return head + await reader.readexactly(int.from_bytes(head[1:], "big") - 4)


@asynccontextmanager
async def listening(between: Line | Pooler) -> AsyncIterator[int]:
    """Serve on a free port of this machine."""
    server = await asyncio.start_server(between.serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        if isinstance(between, Pooler):
            await between.close()
        await server.wait_closed()
