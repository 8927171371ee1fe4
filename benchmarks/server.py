"""A cloud that is never the bottleneck: raw asyncio, two routes, answers made in advance.

    python -m benchmarks.server PORT_FILE

A pool has nothing until it was posted to; from then on its list shows the plug-in Running.
"""

import asyncio
import sys
from pathlib import Path
from typing import Final

PLUGIN: Final = (
    b'{"apiVersion":"v2","kind":"Plugin","metadata":{"name":"p-node-local-dns",'
    b'"creationTimestamp":"2026-01-01T00:00:00Z"},"spec":{"template":{"name":"node-local-dns",'
    b'"version":"1.6.36","inputs":{"custom":{"ndots":"5"},"flavor":{"name":"HA"}}}},"status":'
    b'{"phase":"Running","version":"1.6.36","reason":"Install complete"}}'
)


def _answer(body: bytes) -> bytes:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nX-Request-Id: 0\r\n"
    return head + b"Content-Length: %d\r\n\r\n" % len(body) + body


CREATED: Final = _answer(PLUGIN)
LISTED: Final = _answer(b'{"kind":"PluginList","apiVersion":"v2","items":[' + PLUGIN + b"]}")
NOTHING: Final = _answer(b'{"kind":"PluginList","apiVersion":"v2","items":[]}')


class Cloud(asyncio.Protocol):
    """One connection; requests come whole or in pieces."""

    there: Final[set[bytes]] = set()

    def __init__(self) -> None:
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way back."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

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
            if method == b"POST":
                self.there.add(path)
                self._transport.write(CREATED)
            else:
                self._transport.write(LISTED if path in self.there else NOTHING)


async def main(port_file: Path) -> None:
    """Serve until the process is ended."""
    server = await asyncio.get_running_loop().create_server(Cloud, "127.0.0.1", 0)
    port_file.write_text(str(server.sockets[0].getsockname()[1]))
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
