"""The chaos cloud's side of the wire: plain sockets, so that every way to break is at hand.

A connection reads one request at a time and stamps it with the *kernel's* arrival time of
the segment that completed its head.  A server that is late in reading would otherwise move
requests together and see limits broken that were kept.  Where the kernel gives no stamps,
the moment of reading counts.

All instants are seconds of CLOCK_MONOTONIC, which every process of a machine shares.
"""

import asyncio
import contextlib
import socket
import struct
import time
from collections.abc import Callable
from typing import Final

from tests.acceptance.chaos_wire import BadWireError, Head, parse_head

SO_TIMESTAMPNS: Final = 35  # Linux, asm-generic/socket.h; the socket module does not name it
READ_BYTES: Final = 256 * 1024
STAMP: Final = struct.Struct("qq")  # seconds and nanoseconds
RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)  # linger on, zero seconds: close() sends RST

OnRequest = Callable[["Connection", Head, bytes, float], None]


class Connection:
    """One client connection; answers in order, breaks as told."""

    def __init__(
        self,
        sock: socket.socket,
        number: int,
        *,
        loop: asyncio.AbstractEventLoop,
        on_request: OnRequest,
    ) -> None:
        self.number = number
        self._sock = sock
        self._loop = loop
        self._on_request = on_request
        self._in = bytearray()
        self._out = bytearray()
        self._head: Head | None = None
        self._head_at = 0.0
        self._busy = False
        self._closes = False
        self.open = True
        try:
            self.peer = str(sock.getpeername()[0])
        except OSError:  # it has gone already
            self.peer = ""
        loop.add_reader(sock, self._readable)

    def respond(self, data: bytes, *, close: bool = False) -> None:
        """Send *data* and take the next request, or end the connection in order."""
        if not self.open:
            return
        if close:
            self._closes = True
        self._out += data
        self._busy = False
        self._flush()
        if not self._closes:
            self._next_request()

    def reset(self) -> None:
        """Break the connection with RST: the client sees neither answer nor a proper end."""
        if self.open:
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
            self.drop()

    def drop(self) -> None:
        """Close the socket."""
        if self.open:
            self.open = False
            self._closes = True
            self._loop.remove_reader(self._sock)
            self._loop.remove_writer(self._sock)
            self._sock.close()

    def _readable(self) -> None:
        try:
            data, ancillary, _, _ = self._sock.recvmsg(READ_BYTES, 256)
        except BlockingIOError:
            return
        except OSError:
            self.drop()
            return
        if not data:
            self.drop()
            return
        had_head = self._head is not None
        self._in += data
        if not had_head:
            self._head_at = _arrival(ancillary)
        self._next_request()

    def _next_request(self) -> None:
        if self._busy or self._closes:
            return
        try:
            self._head = self._head or parse_head(bytes(self._in))
        except BadWireError:
            self.reset()
            return
        head = self._head
        if head is None or len(self._in) < head.length + head.body_length:
            return
        body = bytes(self._in[head.length : head.length + head.body_length])
        del self._in[: head.length + head.body_length]
        self._head = None
        self._busy = True
        self._closes = head.closes
        self._on_request(self, head, body, self._head_at)

    def _flush(self) -> None:
        try:
            while self._out:
                del self._out[: self._sock.send(self._out)]
        except BlockingIOError:
            self._loop.add_writer(self._sock, self._flush)
            return
        except OSError:
            self.drop()
            return
        self._loop.remove_writer(self._sock)
        if self._closes and not self._busy:
            self.drop()


class Listener:
    """Accepts connections on a port of *host*, which is an address of this machine."""

    def __init__(
        self, host: str, port: int, *, loop: asyncio.AbstractEventLoop, on_request: OnRequest
    ) -> None:
        self._loop = loop
        self._on_request = on_request
        self._connections: list[Connection] = []
        self._count = 0
        self._sock = socket.create_server((host, port), backlog=1024)
        self._sock.setblocking(False)  # noqa: FBT003 - the socket module's own signature
        # Accepted sockets inherit the option, so their first segment is stamped too.
        with contextlib.suppress(OSError):
            self._sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        loop.add_reader(self._sock, self._acceptable)

    @property
    def port(self) -> int:
        """The port in use."""
        port: int = self._sock.getsockname()[1]
        return port

    def close(self) -> None:
        """Stop listening and drop every connection."""
        self._loop.remove_reader(self._sock)
        self._sock.close()
        for connection in self._connections:
            connection.drop()

    def _acceptable(self) -> None:
        while True:
            try:
                sock, _ = self._sock.accept()
            except OSError:
                return
            sock.setblocking(False)  # noqa: FBT003 - the socket module's own signature
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._count += 1
            self._connections = [old for old in self._connections if old.open]
            self._connections.append(
                Connection(sock, self._count, loop=self._loop, on_request=self._on_request)
            )


def _arrival(ancillary: list[tuple[int, int, bytes]]) -> float:
    """Return when the kernel got the bytes, in monotonic seconds; now when it does not say."""
    now = time.monotonic()
    for level, kind, value in ancillary:
        if level == socket.SOL_SOCKET and kind == SO_TIMESTAMPNS and len(value) >= 16:
            seconds, nanoseconds = STAMP.unpack(value[:16])
            stamp: float = seconds + nanoseconds / 1e9
            age = time.clock_gettime(time.CLOCK_REALTIME) - stamp
            if 0 <= age < 10:  # else the wall clock was set in between
                return now - age
    return now
