"""The interface on a socket: a request becomes a call, a reply becomes a response.

The only place of the interface that speaks to aiohttp, with `worker.api.connections`.
"""

import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from typing import Final

import anyio
from aiohttp import web
from aiohttp.client_exceptions import ClientPayloadError
from aiohttp.http_exceptions import HttpProcessingError

from config.serving import ServerSettings
from jobs.errors import ConfigError
from jobs.refusals import BodyError, BodyTooLargeError, BodyTooSlowError
from worker.api.calls import Call, Reply
from worker.api.connections import Crowd, Listener, peer_of
from worker.api.door import SAFE, Door, encoded, etag_of, is_known

BACKLOG: Final = 1024
REQUEST_ID: Final = "X-Request-Id"

_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"

NewId = Callable[[], str]


class ApiServer:
    """Listens, and hands what comes to the door."""

    def __init__(self, settings: ServerSettings, door: Door, new_id: NewId) -> None:
        self._settings = settings
        self._door = door
        self._new_id = new_id
        self._crowd = Crowd(settings.connections, settings.connections_per_address)
        self._runner: web.ServerRunner | None = None
        self.url = ""
        """Where it listens, without a path; empty before `start`."""

    @property
    def connections(self) -> int:
        """Open connections."""
        return self._crowd.size

    async def start(self) -> None:
        """Listen; port 0 takes a free one, which `url` then tells.

        Raises:
            ConfigError: If nothing can listen there, or the certificate cannot be used.
        """
        settings = self._settings
        tls = _tls(settings)
        listener = Listener(self._serve, self._crowd, keepalive_timeout=settings.idle)
        runner = web.ServerRunner(listener, shutdown_timeout=settings.drain)
        await runner.setup()
        host, port = settings.address
        site = web.TCPSite(runner, host, port, backlog=BACKLOG, ssl_context=tls)
        try:
            await site.start()
        except OSError as error:
            await runner.cleanup()
            message = f"cannot listen on {settings.listen}: {error.strerror or error}"
            raise ConfigError(message, do="choose another address: --listen HOST:PORT") from None
        self._runner = runner
        self.url = _url(host, runner.addresses[0], tls=tls is not None)

    async def stop(self) -> None:
        """Take no new connection, let calls in hand end, close; safe to repeat."""
        runner, self._runner = self._runner, None
        if runner is not None:
            with anyio.CancelScope(shield=True):
                await runner.cleanup()  # bounded by shutdown_timeout

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        request_id = self._new_id()
        url = request.rel_url
        call = Call(
            method=request.method,
            path=url.raw_path,
            query=url.raw_query_string,
            headers=request.headers,
            peer=peer_of(request.transport),
            read=_Reader(request, self._settings.body_timeout),
            request_id=request_id,
        )
        reply = await self._door.answer(call)
        if reply.stream is not None:
            return await _streamed(request, reply, reply.stream, request_id)
        return _response(request, reply, request_id)


class _Reader:
    """Reads one body, within its size and time."""

    def __init__(self, request: web.BaseRequest, timeout_s: float) -> None:
        self._request = request
        self._timeout_s = timeout_s

    async def __call__(self, limit_bytes: int, /) -> bytes:
        request = self._request
        if (request.content_length or 0) > limit_bytes:
            raise _too_large(limit_bytes)
        if not request.body_exists:
            return b""
        try:
            with anyio.fail_after(self._timeout_s):
                if request.headers.get("Expect", "").lower() == "100-continue":
                    await request.writer.write(_CONTINUE)
                    request.writer.output_size = 0  # it is no part of the answer
                return await self._all(limit_bytes)
        except TimeoutError:
            raise BodyTooSlowError(f"the body did not come in {self._timeout_s:g} s") from None
        except (ClientPayloadError, HttpProcessingError, ConnectionError):
            raise BodyError("the body was cut off, or is not HTTP") from None
        except web.RequestPayloadError:
            raise BodyError("the body was cut off, or is not HTTP") from None

    async def _all(self, limit_bytes: int) -> bytes:
        chunks: list[bytes] = []
        size = 0
        while chunk := await self._request.content.readany():
            size += len(chunk)
            if size > limit_bytes:
                raise _too_large(limit_bytes)
            chunks.append(chunk)
        return b"".join(chunks)


def _too_large(limit_bytes: int) -> BodyTooLargeError:
    return BodyTooLargeError(f"the body is larger than {limit_bytes // 1024} KiB")


def _response(request: web.BaseRequest, reply: Reply, request_id: str) -> web.Response:
    body = encoded(reply)
    headers = {**SAFE, **reply.headers, REQUEST_ID: request_id, "Content-Type": reply.media}
    status = reply.status
    if status == 200 and request.method in {"GET", "HEAD"}:
        headers["ETag"] = etag_of(body)
        headers["Cache-Control"] = "no-cache"
        if is_known(headers["ETag"], request.headers.get("If-None-Match")):
            return web.Response(status=304, headers=headers)
    response = web.Response(status=status, body=body, headers=headers)
    if request.body_exists and not request.content.is_eof():
        response.force_close()  # what is left of the body is nobody's
    return response


async def _streamed(
    request: web.BaseRequest, reply: Reply, stream: AsyncIterator[str], request_id: str
) -> web.StreamResponse:
    headers = {**SAFE, **reply.headers, REQUEST_ID: request_id, "Content-Type": reply.media}
    response = web.StreamResponse(status=reply.status, headers=headers)
    response.force_close()
    await response.prepare(request)
    async with aclosing(stream):  # type: ignore[type-var] # handlers return async generators
        async for text in stream:
            await response.write(text.encode())
    await response.write_eof()
    return response


def _tls(settings: ServerSettings) -> ssl.SSLContext | None:
    if settings.tls_cert is None or settings.tls_key is None:
        return None
    try:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(settings.tls_cert, settings.tls_key)
        if settings.client_ca is not None:
            context.load_verify_locations(cafile=settings.client_ca)
            context.verify_mode = ssl.CERT_REQUIRED
    except (OSError, ssl.SSLError) as error:
        reason = getattr(error, "strerror", None) or getattr(error, "reason", None) or "unreadable"
        raise ConfigError(
            f"the certificate of server.tls_cert cannot be used: {reason}",
            do="name PEM files that this user may read: server.tls_cert, tls_key, client_ca",
        ) from None
    return context


def _url(host: str, address: object, *, tls: bool) -> str:
    port = address[1] if isinstance(address, tuple) else 0
    named = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - a name, not a binding
    shown = f"[{named}]" if ":" in named else named
    return f"{'https' if tls else 'http'}://{shown}:{port}"
