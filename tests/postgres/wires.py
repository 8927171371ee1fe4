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

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one connection."""
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

    def __init__(self, dsn: str) -> None:
        parts = urlsplit(dsn)
        self._server = (parts.hostname or "127.0.0.1", parts.port or 5432)
        self._free: deque[Streams] = deque()
        self._lendable = anyio.Semaphore(0)
        self.refused: list[bytes] = []
        """Start-up options that a real pooler refuses."""
        self.lent = 0

    async def open(self, startup: bytes, number: int) -> bytes:
        """Open server connections on behalf of the first client; return the greeting."""
        greeting = b""
        for _ in range(number):
            reader, writer = await asyncio.open_connection(*self._server)
            writer.write(startup)
            greeting = b""
            while not greeting.endswith(b"Z\0\0\0\5I"):
                greeting += await reader.read(65536)
            self._free.append((reader, writer))
            self._lendable.release()
        return greeting

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one client's transactions."""
        length = await reader.readexactly(4)
        startup = length + await reader.readexactly(int.from_bytes(length, "big") - 4)
        if int.from_bytes(startup[4:8], "big") == 80877103:  # asks for TLS
            writer.write(b"N")
            await self.serve(reader, writer)
            return
        allowed = {b"user", b"database", b"client_encoding", b"application_name"}
        self.refused += [key for key in startup[8:].split(b"\0")[::2] if key and key not in allowed]
        greeting = self._greeting = getattr(self, "_greeting", b"") or await self.open(startup, 3)
        writer.write(greeting)
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while True:
                await self._transaction(reader, writer)
        await _ended(writer)

    async def _message(self, reader: asyncio.StreamReader) -> bytes:
        head = await reader.readexactly(5)
        return head + await reader.readexactly(int.from_bytes(head[1:], "big") - 4)

    async def _transaction(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        message = await self._message(reader)
        if message[:1] == b"X":
            raise asyncio.IncompleteReadError(b"", None)
        async with self._lendable:
            self.lent += 1
            server = self._free.popleft()
            try:
                while await self._exchange(message, reader, writer, server):
                    message = await self._message(reader)
            finally:
                self._free.append(server)

    async def _exchange(
        self,
        message: bytes,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        server: Streams,
    ) -> bool:
        """Pass one request and its answer; say whether the transaction goes on."""
        while True:
            server[1].write(message)
            if message[:1] in {b"Q", b"S", b"c", b"f"}:
                break
            if message[:1] == b"H":  # flush: answers come without an end
                break
            message = await self._message(reader)
        while True:
            answer = await self._message(server[0])
            writer.write(answer)
            if answer[:1] == b"Z":
                return answer[5:6] != b"I"
            if answer[:1] == b"G":  # COPY: the data follows
                return True

    async def close(self) -> None:
        """Let go of the servers."""
        for _, writer in self._free:
            await _ended(writer)


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
