"""A server that does exactly what a script says, on a real socket, and counts what reaches it."""

import socket
import ssl
import struct
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import anyio
import orjson
from anyio.abc import ByteStream, SocketAttribute
from anyio.streams.tls import TLSStream

from jobs.model import Target
from tests import planted
from tests.fakes import FakeClock
from worker.modelarts.auth import Authorizer, TokenAuth
from worker.modelarts.client import ModelArtsClient
from worker.modelarts.models import plugin_body
from worker.modelarts.transport import Gate, Transport, TransportSettings
from worker.modelarts.urls import Urls

TOKEN = planted.TOKEN
TARGET = Target(project_id="0a1b" * 8, pool_name="pool-6f5da0868084d36f8bd3346036")
NAME = "node-local-dns"
BODY = plugin_body(NAME, version="1.6.36")
LONG_S = 5.0
"""A timeout that a test never reaches."""


class Then(StrEnum):
    """What happens to the connection after the bytes of a reply."""

    KEEP = "keep"
    CLOSE = "close"
    RESET = "reset"
    HANG = "hang"


@dataclass(frozen=True, kw_only=True)
class Reply:
    """Bytes for one request, and what follows."""

    data: bytes = b""
    late: bytes = b""
    """Sent by itself, once the answer has been taken."""

    then: Then = Then.KEEP


def http(
    status: int,
    body: Any = b"",
    headers: Mapping[str, str] | None = None,
    then: Then = Then.KEEP,
) -> Reply:
    """Return a well-formed answer; a body that is not bytes is sent as JSON."""
    raw = body if isinstance(body, bytes) else orjson.dumps(body)
    told = {"Content-Length": str(len(raw)), **(headers or {})}
    head = "".join(f"{name}: {value}\r\n" for name, value in told.items())
    return Reply(data=f"HTTP/1.1 {status} Said\r\n{head}\r\n".encode("latin-1") + raw, then=then)


def known(status: int, code: str, message: str = "told", **headers: str) -> Reply:
    """Return a refusal in the cloud's own envelope."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return http(status, {"error_code": code, "error_msg": message}, named)


OPEN_ANSWER: dict[str, Any] = {
    "apiVersion": "v2",
    "kind": "Plugin",
    "spec": {"template": {"name": NAME, "version": "1.6.36"}},
}


@dataclass(kw_only=True)
class Cloud:
    """The server's script and its books."""

    replies: Sequence[Reply]
    port: int = 0
    requests: list[bytes] = field(default_factory=list)
    connections: int = 0
    bytes_seen: int = 0
    scheme: str = "http"
    reset_on_accept: bool = False
    greets: bool = False
    connected: anyio.Event = field(default_factory=anyio.Event)
    answered: anyio.Event = field(default_factory=anyio.Event)
    taken: anyio.Event = field(default_factory=anyio.Event)

    @property
    def endpoint(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}"

    def reply(self) -> Reply:
        """Return the reply for the latest request; the last one of the script repeats."""
        return self.replies[min(len(self.requests), len(self.replies)) - 1]

    async def serve(self, stream: ByteStream) -> None:
        """Answer the requests of one connection."""
        self.connections += 1
        self.connected.set()
        if self.reset_on_accept:
            reset(stream)
        if self.greets:
            await stream.send(self.replies[0].data)
        unread = b""
        while not self.reset_on_accept:
            while not whole_request(unread):
                chunk = await stream.receive()
                self.bytes_seen += len(chunk)
                unread += chunk
            self.requests.append(unread)
            unread = b""
            reply = self.reply()
            if reply.data:
                await stream.send(reply.data)
            self.answered.set()
            if reply.late:
                await self.taken.wait()
                await stream.send(reply.late)
            if reply.then is Then.HANG:
                await anyio.sleep_forever()
            if reply.then is Then.RESET:
                reset(stream)
            if reply.then is not Then.KEEP:
                return


def whole_request(raw: bytes) -> bool:
    """Whether *raw* holds a head and as much body as it announces."""
    head, end, body = raw.partition(b"\r\n\r\n")
    if not end:
        return False
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return len(body) >= int(line.split(b":")[1])
    return True


def reset(stream: ByteStream) -> None:
    """Make the close that follows a reset instead of an orderly end."""
    raw = stream.extra(SocketAttribute.raw_socket)
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


@asynccontextmanager
async def cloud(
    *replies: Reply,
    tls: ssl.SSLContext | None = None,
    reset_on_accept: bool = False,
    greets: bool = False,
) -> AsyncIterator[Cloud]:
    """Run a scripted server while the block lasts."""
    served = Cloud(replies=replies or [http(500)], reset_on_accept=reset_on_accept, greets=greets)
    served.scheme = "http" if tls is None else "https"

    async def handle(stream: ByteStream) -> None:
        try:
            async with stream:
                if tls is None:
                    await served.serve(stream)
                else:
                    async with await TLSStream.wrap(
                        stream, server_side=True, ssl_context=tls
                    ) as inner:
                        await served.serve(inner)
        except (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError, OSError):
            return  # the client has gone; the books tell what had come until then

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    async with listener, anyio.create_task_group() as group:
        served.port = listener.extra(SocketAttribute.local_port)
        group.start_soon(listener.serve, handle)
        yield served
        group.cancel_scope.cancel()


def open_gate() -> None:
    """Let everything pass."""


@dataclass(kw_only=True)
class Caller:
    """A client with what tests always pass filled in."""

    client: ModelArtsClient
    transport: Transport
    clock: FakeClock

    async def create(
        self,
        body: bytes = BODY,
        target: Target = TARGET,
        *,
        gate: Gate = open_gate,
        s: float = LONG_S,
    ) -> Any:
        return await self.client.create(target, body, gate=gate, timeout_s=s)

    async def list(self, *, gate: Gate = open_gate, s: float = LONG_S) -> Any:
        return await self.client.list_plugins(TARGET, gate=gate, timeout_s=s)


@asynccontextmanager
async def caller(
    endpoint: str | Cloud,
    *,
    authorizer: Authorizer | None = None,
    settings: TransportSettings | None = None,
) -> AsyncIterator[Caller]:
    """Open a client of *endpoint* while the block lasts."""
    clock = FakeClock()
    address = endpoint.endpoint if isinstance(endpoint, Cloud) else endpoint
    async with Transport(clock, settings) as transport:
        client = ModelArtsClient(transport, Urls(address), authorizer or TokenAuth(TOKEN), clock)
        yield Caller(client=client, transport=transport, clock=clock)


class Gates:
    """A gate that counts, and closes when told to."""

    def __init__(self, refusal: BaseException | None = None) -> None:
        self.refusal = refusal
        self.asked = 0

    def __call__(self) -> None:
        self.asked += 1
        if self.refusal is not None:
            raise self.refusal
