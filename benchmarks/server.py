"""A cloud that is never the bottleneck: a raw protocol on uvloop, answers made in advance.

    python -m benchmarks.server PORT_FILE

A pool has nothing until it was posted to; from then on its list shows the plug-in Running.
Pools whose names begin with `works.REFUSED` do not exist: a POST to them is refused with 404 in
the cloud's own envelope.  Those of `works.SETTLING` show the plug-in Pending for some seconds.
That it is not the bottleneck is measured: the runner prints how busy this process was
(`processes.Meter`).

It keeps book: ``GET /book`` tells how many reads (before a pool's POST), sends and looks (after
it) there were since it was asked last, and how long after a late plug-in had settled each of
them was looked at for the last time.
"""

import asyncio
import json
import sys
import time
import zlib
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final, cast

import uvloop

from benchmarks.works import REFUSED, SETTLING

PLUGIN: Final = (
    b'{"apiVersion":"v2","kind":"Plugin","metadata":{"name":"p-node-local-dns","namespace":'
    b'"0a1b2c3d4e5f60718293a4b5c6d7e8f9","uid":"6f5da086-8084-4d36-9f5d-0a1b2c3d4e5f","labels":'
    b'{"os.modelarts/workspace.id":"0","os.modelarts/name":"node-local-dns"},"annotations":'
    b'{"os.modelarts/description":"the local cache for DNS on every node of the pool"},'
    b'"creationTimestamp":"2026-01-01T00:00:00Z"},"spec":{"template":{"name":"node-local-dns",'
    b'"version":"1.6.36","type":"helm","inputs":{"custom":{"ndots":"5","cache_ttl":"30",'
    b'"stub_domains":"corp.example=10.0.0.53,lab.example=10.0.1.53"},"flavor":{"name":"HA",'
    b'"replicas":2,"resources":[{"name":"node-local-dns","limitsCpu":"500m"}]}}}},"status":'
    b'{"phase":"Running","version":"1.6.36","reason":"Install complete"}}'
)
UNKNOWN: Final = (
    b'{"error_code":"ModelArts.50015001","error_msg":"The resource pool does not exist. '
    + b"Check the name and the project. " * 6
    + b'"}'
)
_REFUSED: Final = b"/pools/" + REFUSED.encode()
_SETTLING: Final = b"/pools/" + SETTLING.encode()
SETTLES_S: Final = (3.0, 20.0)
"""How soon and how late a plug-in of a settling pool is Running after its POST."""


def settles_s(path: bytes) -> float:
    """Return after how many seconds a plug-in is Running, always the same for one path."""
    if _SETTLING not in path:
        return 0.0
    first, last = SETTLES_S
    return first + (last - first) * zlib.crc32(path) / 2**32


@dataclass(slots=True)
class Book:
    """What was asked; `late_s` is by path, in seconds after the plug-in had settled."""

    reads: int = 0
    sends: int = 0
    looks: int = 0
    late_s: dict[str, float] = field(default_factory=dict)


def _answer(body: bytes, status: bytes = b"200 OK") -> bytes:
    head = b"HTTP/1.1 " + status + b"\r\nContent-Type: application/json\r\n"
    head += b"Date: Tue, 24 Nov 2026 01:00:00 GMT\r\nX-Request-Id: 4b7a8c9d0e1f2a3b\r\n"
    return head + b"Content-Length: %d\r\n\r\n" % len(body) + body


CREATED: Final = _answer(PLUGIN)
LISTED: Final = _answer(b'{"kind":"PluginList","apiVersion":"v2","items":[' + PLUGIN + b"]}")
NOTHING: Final = _answer(b'{"kind":"PluginList","apiVersion":"v2","items":[]}')
PENDING: Final = _answer(
    b'{"kind":"PluginList","apiVersion":"v2","items":['
    + PLUGIN.replace(b'"phase":"Running"', b'"phase":"Pending"')
    + b"]}"
)
MISSING: Final = _answer(UNKNOWN, b"404 Not Found")


class Cloud(asyncio.Protocol):
    """One connection; requests come whole or in pieces."""

    settled: Final[dict[bytes, float]] = {}
    """When each plug-in that was posted is Running."""

    book = Book()

    def __init__(self) -> None:
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way back."""
        # uvloop's transports are no subclasses, so this cannot be asserted.
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Answer every request that is complete."""
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            head = self._buffer[:end]
            length = 0
            if (at := head.find(b"Content-Length: ")) >= 0:
                length = int(head[at + 16 :].split(b"\r\n", 1)[0])
            if len(self._buffer) < end + 4 + length:
                return
            self._buffer = self._buffer[end + 4 + length :]
            method, path, _ = head.split(b" ", 2)
            self._transport.write(self._told(method, path))

    def _told(self, method: bytes, path: bytes) -> bytes:
        book = self.book
        if method == b"POST":
            book.sends += 1
            if _REFUSED in path:
                return MISSING
            self.settled[path] = time.monotonic() + settles_s(path)
            return CREATED
        if path == b"/book":
            Cloud.book = Book()
            return _answer(json.dumps(asdict(book)).encode())
        return self._listed(book, path)

    def _listed(self, book: Book, path: bytes) -> bytes:
        at = self.settled.get(path)
        if at is None:
            book.reads += 1
            return NOTHING
        book.looks += 1
        if _SETTLING not in path:
            return LISTED
        late_s = time.monotonic() - at
        if late_s < 0:
            return PENDING
        book.late_s[path.decode()] = late_s
        return LISTED


async def main(port_file: Path) -> None:
    """Serve until the process is ended."""
    server = await asyncio.get_running_loop().create_server(Cloud, "127.0.0.1", 0, backlog=1024)
    port_file.write_text(str(server.sockets[0].getsockname()[1]))
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(Path(sys.argv[1])))
