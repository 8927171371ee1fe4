"""A cloud that is never the bottleneck: a raw protocol on uvloop, answers made in advance.

    python -m benchmarks.server PORT_FILE

A pool has nothing until it was posted to; from then on its list shows the plug-in Running.
Pools whose names begin with `works.REFUSED` do not exist: a POST to them is refused with 404 in
the cloud's own envelope.  That it is not the bottleneck is measured: the runner prints how busy
this process was (`processes.Meter`).
"""

import asyncio
import sys
from pathlib import Path
from typing import Final, cast

import uvloop

from benchmarks.works import REFUSED

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


def _answer(body: bytes, status: bytes = b"200 OK") -> bytes:
    head = b"HTTP/1.1 " + status + b"\r\nContent-Type: application/json\r\n"
    head += b"Date: Tue, 24 Nov 2026 01:00:00 GMT\r\nX-Request-Id: 4b7a8c9d0e1f2a3b\r\n"
    return head + b"Content-Length: %d\r\n\r\n" % len(body) + body


CREATED: Final = _answer(PLUGIN)
LISTED: Final = _answer(b'{"kind":"PluginList","apiVersion":"v2","items":[' + PLUGIN + b"]}")
NOTHING: Final = _answer(b'{"kind":"PluginList","apiVersion":"v2","items":[]}')
MISSING: Final = _answer(UNKNOWN, b"404 Not Found")


class Cloud(asyncio.Protocol):
    """One connection; requests come whole or in pieces."""

    there: Final[set[bytes]] = set()

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
        if method != b"POST":
            return LISTED if path in self.there else NOTHING
        if _REFUSED in path:
            return MISSING
        self.there.add(path)
        return CREATED


async def main(port_file: Path) -> None:
    """Serve until the process is ended."""
    server = await asyncio.get_running_loop().create_server(Cloud, "127.0.0.1", 0, backlog=1024)
    port_file.write_text(str(server.sockets[0].getsockname()[1]))
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(Path(sys.argv[1])))
