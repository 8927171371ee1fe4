"""The simulated cloud on a socket: aiohttp's low-level server around `worker.simulator.cloud`.

What this module owns is what only a connection can do: reset it, cut it in the middle of
an answer, keep it waiting, and end all of that within a second when asked to stop.
"""

import asyncio
import socket
import struct
from pathlib import Path
from typing import Final, Self

import anyio
from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http import RawRequestMessage
from aiohttp.streams import StreamReader
from aiohttp.web_protocol import RequestHandler

from jobs.clock import Clock, SystemClock
from jobs.errors import ConfigError
from worker.simulator import admin
from worker.simulator.answers import JSON, Answer
from worker.simulator.asked import Asked
from worker.simulator.cloud import BODY_LIMIT, Cloud, Reply
from worker.simulator.credentials import Authenticator
from worker.simulator.faults import Manner
from worker.simulator.fleet import Fleet
from worker.simulator.iam.environment import environment
from worker.simulator.iam.identity import Identity
from worker.simulator.journal import Journal
from worker.simulator.options import SimulatorOptions
from worker.simulator.state import View

BACKLOG: Final = 1024
"""Connections that may wait to be accepted; a worker opens many at once."""

GRACE_S: Final = 0.1
"""How long a request in hand may take to end after `stop`; aiohttp spends it at most twice."""

_RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)  # SO_LINGER on, for no time: RST instead of FIN


class Simulator:
    """A simulated cloud that listens on loopback while the context lasts.

    ``async with Simulator(SimulatorOptions(pools=3)) as cloud:`` takes a free port; `start`
    takes a chosen one.
    """

    def __init__(
        self,
        options: SimulatorOptions | None = None,
        *,
        clock: Clock | None = None,
        journal: Path | None = None,
        authenticator: Authenticator | None = None,
    ) -> None:
        self._clock = clock or SystemClock()
        self._cloud = Cloud(
            options or SimulatorOptions(),
            clock=self._clock,
            journal=Journal(journal),
            authenticator=authenticator,
        )
        self._runner: web.ServerRunner | None = None
        self._url = ""

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        # Bounded by GRACE_S; a cancelled test must not leave its port open.
        with anyio.CancelScope(shield=True):
            await self.stop()

    @property
    def url(self) -> str:
        """Where it listens, without a path; empty before `start`."""
        return self._url

    @property
    def options(self) -> SimulatorOptions:
        """The options in force."""
        return self._cloud.options

    @property
    def targets(self) -> list[tuple[str, str]]:
        """Every (project id, pool name)."""
        return self._cloud.fleet.targets

    @property
    def fleet(self) -> Fleet:
        """The projects and pools as they are; for looking, not for changing."""
        return self._cloud.fleet

    @property
    def identity(self) -> Identity:
        """Who may ask: keys, users, agencies, and what became of them."""
        return self._cloud.identity

    @property
    def environment(self) -> dict[str, str]:
        """What to export so that a client finds us and may ask; secrets included."""
        return environment(self._url, self.options, self.identity.directory)

    @property
    def journal(self) -> Journal:
        """What was asked and done, with late effects as far as they have come."""
        self._cloud.settle_now()
        return self._cloud.journal

    def change(self, **options: object) -> SimulatorOptions:
        """Put other options in force from now on.

        Raises:
            ConfigError: If one of them is unknown, fixed or out of bounds; nothing changes.
        """
        return self._cloud.change(options)

    def installed(self, project_id: str, pool_name: str) -> dict[str, View]:
        """Return a pool's plug-ins by name, as a reader would see them now."""
        return self._cloud.installed(project_id, pool_name)

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> None:
        """Listen; port 0 takes a free one, which `url` then tells.

        Raises:
            ConfigError: If nothing can listen there.
        """
        server = web.Server(
            self._serve, request_factory=_bounded_request, access_log=None, debug=False
        )
        runner = web.ServerRunner(server, shutdown_timeout=GRACE_S)
        await runner.setup()
        site = web.TCPSite(runner, host, port, backlog=BACKLOG)
        try:
            await site.start()
        except OSError as error:
            await runner.cleanup()
            message = f"cannot listen on {host}:{port}: {error.strerror or error}"
            raise ConfigError(message) from error
        self._runner = runner
        self._url = _url_of(host, runner.addresses[0])

    async def stop(self) -> None:
        """End every request in hand, close the port and the journal; safe to repeat."""
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()
        self._cloud.close()

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        body = await _body(request)
        raw_path = request.raw_path
        if raw_path.startswith(admin.PREFIX):
            return _response(self._administer(request, raw_path, body or b""), "")
        asked = Asked(method=request.method, raw_path=raw_path, headers=request.headers, body=body)
        reply = self._cloud.handle(asked)
        if reply.wait_s > 0:
            # Cancelled by aiohttp when the simulator stops meanwhile.
            await self._clock.sleep(reply.wait_s)
        return _deliver(reply)

    def _administer(self, request: web.BaseRequest, raw_path: str, body: bytes) -> Answer:
        transport = request.transport
        peer = transport.get_extra_info("peername") if transport is not None else None
        if not admin.is_local(peer, request.headers):
            return admin.forbidden()
        return admin.answer(self._cloud, request.method, raw_path, body)


class _Reset(web.StreamResponse):
    """No answer: the connection is reset."""

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        """Reset instead of sending anything.

        Raises:
            ConnectionResetError: Always; aiohttp then forgets the connection.
        """
        transport = request.transport
        if transport is not None:
            connection = transport.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            transport.abort()
        raise ConnectionResetError


class _Cut(web.StreamResponse):
    """An answer that ends in the middle: less body than its Content-Length says."""

    def __init__(self, head: dict[str, str], status: int, body: bytes) -> None:
        super().__init__(status=status, headers=head)
        self.content_length = len(body)
        self._half = body[: len(body) // 2]

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        """Send the head and half of the body, then end the connection.

        Raises:
            ConnectionResetError: Always; aiohttp then closes the connection in order.
        """
        await super().prepare(request)
        await self.write(self._half)
        raise ConnectionResetError


def _deliver(reply: Reply) -> web.StreamResponse:
    """Return what makes aiohttp send the reply in its manner."""
    answer = reply.answer
    if answer is None or reply.manner is Manner.RESET:
        return _Reset()
    if reply.manner is Manner.CUT:
        return _Cut(_head(answer, reply.request_id), answer.status, answer.body)
    return _response(answer, reply.request_id)


def _response(answer: Answer, request_id: str) -> web.Response:
    return web.Response(status=answer.status, body=answer.body, headers=_head(answer, request_id))


def _head(answer: Answer, request_id: str) -> dict[str, str]:
    head = {"Content-Type": answer.content_type or JSON}
    if request_id:
        head["X-Request-Id"] = request_id
    if answer.retry_after_s is not None:
        head["Retry-After"] = str(answer.retry_after_s)
    if answer.headers is not None:
        head.update(answer.headers)
    return head


async def _body(request: web.BaseRequest) -> bytes | None:
    """Return the body, None when it is larger than the gateway takes."""
    if not request.body_exists:
        return b""
    try:
        return await request.read()
    except web.HTTPRequestEntityTooLarge:
        return None


def _bounded_request(
    message: RawRequestMessage,
    payload: StreamReader,
    protocol: RequestHandler,
    writer: AbstractStreamWriter,
    task: asyncio.Task[None],
) -> web.BaseRequest:
    """Make a request whose body may be as large as the gateway takes."""
    loop = asyncio.get_running_loop()
    return web.BaseRequest(
        message, payload, protocol, writer, task, loop, client_max_size=BODY_LIMIT
    )


def _url_of(host: str, address: object) -> str:
    port = address[1] if isinstance(address, tuple) else 0
    named = {"0.0.0.0": "127.0.0.1", "::": "[::1]", "": "127.0.0.1"}.get(host, host)  # noqa: S104 - a name, not a binding
    if ":" in named and not named.startswith("["):
        named = f"[{named}]"
    return f"http://{named}:{port}"
