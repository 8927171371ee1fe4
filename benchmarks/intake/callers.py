"""Callers that wait for each answer before they ask again, over connections that stay open.

A raw protocol on uvloop with requests made in advance, so that they cost a fraction of what a
server does.
"""

import asyncio
import hashlib
import time
from collections.abc import Iterator
from typing import Any, Final, cast

import orjson

PROJECTS: Final = 50
POOLS: Final = 1_000


def requests(count: int, port: int) -> Iterator[bytes]:
    """Yield so many calls, each with a key and a job of its own."""
    for number in range(count):
        project = hashlib.md5(str(number % PROJECTS).encode(), usedforsecurity=False).hexdigest()
        body = orjson.dumps(
            {
                "project_id": project,
                "pool_name": f"pool-{number % POOLS:05d}",
                "region": "cn-north-4",
                "plugin": {
                    "name": "node-local-dns",
                    "version": "1.6.36",
                    "inputs": {"custom": {"ndots": "5", "cache_ttl": "30"}},
                },
                "labels": {"change": f"CHG-{number}"},
            }
        )
        head = (
            f"POST /api/v1/jobs HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
            f"Content-Type: application/json\r\nIdempotency-Key: ticket-{number}\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        yield head.encode() + body


class _Caller(asyncio.Protocol):
    """One connection."""

    def __init__(self, load: "_Load") -> None:
        self._load = load
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._next()

    def _next(self) -> None:
        call = next(self._load.calls, None)
        if call is None:
            self._transport.close()
            self._load.left()
            return
        self._asked_at = time.perf_counter()
        self._transport.write(call)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        head = self._buffer[:end].lower()
        length = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
        if len(self._buffer) < end + 4 + length:
            return
        status, self._buffer = int(head[9:12]), b""
        self._load.answered(status, time.perf_counter() - self._asked_at)
        self._next()


class _Load:
    def __init__(self, calls: Iterator[bytes], connections: int) -> None:
        self.calls = calls
        self.waits: list[float] = []
        self.statuses: dict[int, int] = {}
        self._open = connections
        self.done = asyncio.get_running_loop().create_future()

    def answered(self, status: int, wait_s: float) -> None:
        self.waits.append(wait_s)
        self.statuses[status] = self.statuses.get(status, 0) + 1

    def left(self) -> None:
        self._open -= 1
        if not self._open:
            self.done.set_result(None)


async def load(port: int, count: int, connections: int) -> dict[str, Any]:
    """Make *count* calls over so many connections; tell what came back and how fast."""
    calls = list(requests(count, port))
    one = _Load(iter(calls), connections)
    loop = asyncio.get_running_loop()
    began = time.perf_counter()
    for _ in range(connections):
        await loop.create_connection(lambda: _Caller(one), "127.0.0.1", port)
    await one.done
    took_s = time.perf_counter() - began
    waits = sorted(one.waits)
    return {
        "calls": count,
        "connections": connections,
        "took_s": took_s,
        "per_s": count / took_s,
        "p50_ms": 1000 * waits[len(waits) // 2],
        "p99_ms": 1000 * waits[len(waits) * 99 // 100],
        "statuses": {str(status): many for status, many in sorted(one.statuses.items())},
    }
