"""Send one request and bring back one complete answer, or say how it failed.

One aiohttp session for a process, no retries, no redirects, no cookies.  The one idea: a
request class of our own is the last stop before the wire.  There the caller's gate decides,
the moment of sending is noted, and a second writing of the same request is refused, because
the library silently repeats a GET when a reused connection drops and no limiter would have
counted that.  This costs nothing measurable; a TraceConfig costs a fifth of a request.

Time runs out without a cancel scope for each request, which would cost a fifth of it: aiohttp
bounds making a connection, and from the gate on a timer cuts the connection at the deadline,
which ends every wait there is.  A caller may still put a scope around a call.

What the gate refuses has not been written: the connection goes back unused.  A connection
that is gone, or into which the server spoke unasked, is not written to either.  With a body
the bytes follow within one turn of the event loop (aiohttp writes head and body together
from a task of its own before Python 3.12); nothing is waited for in between.  A process that
was stopped in that turn does not write afterwards (`WRITE_WITHIN_S`).  After the gate "sent"
means *may have left*: that a server dropped an idle connection just before cannot be told
from a request that was lost after it had been received.  Whoever gives up waiting also takes
back what the kernel has not sent yet; see `worker.modelarts.sockets`.
"""

import ssl
from asyncio import TimerHandle, get_running_loop
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache, partial
from types import TracebackType
from typing import Final, Self

from aiohttp import (
    ClientError,
    ClientRequest,
    ClientResponse,
    ClientSession,
    ClientTimeout,
    DummyCookieJar,
    StreamReader,
    TCPConnector,
)
from aiohttp.abc import AbstractStreamWriter
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from yarl import URL

from jobs.clock import Clock, seconds_to_us
from jobs.errors import ConfigError
from jobs.outcomes import Answer, Outcome
from worker.modelarts.faults import GateClosed
from worker.modelarts.outcomes_of_exceptions import FOREIGN, answer_of_exception, without_answer
from worker.modelarts.sockets import discard, socket_factory

Gate = Callable[[], None]
"""Called once, right before a request is written; raises `GateClosed` to keep it back."""

ANSWER_LIMIT_BYTES: Final = 1024 * 1024
"""Largest body that is read, unless the settings say otherwise."""

WRITE_WITHIN_S: Final = 1.0
"""A request that is not written so soon after its gate was asked is not written at all: the
process was stopped in between, and what the gate said may be true no more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TransportSettings:
    """How connections are made.

    Attributes:
        trust_env: Whether proxy variables count.
        keepalive_s: Idle connections are closed after this; shorter than the 60 to 75 s after
            which gateways usually do, so that we rarely write into a connection they close.
        dns_cache_s: How long an address is reused.
        tls: For a private certificate authority; must verify.  None: the system's.
        user_agent: How we introduce ourselves.
        answer_limit_bytes: Largest body that is read; lists without pages may need more.
        unacked_s: Sent bytes that the other side has not acknowledged after this are thrown
            away by the kernel, also when this process is stopped or gone.
    """

    trust_env: bool = False
    keepalive_s: float = 15.0
    dns_cache_s: int = 30
    tls: ssl.SSLContext | None = None
    user_agent: str = "plugwave"
    answer_limit_bytes: int = ANSWER_LIMIT_BYTES
    unacked_s: float = 30.0

    def __post_init__(self) -> None:
        """Refuse a TLS context that does not verify: there is no such fallback."""
        if self.tls is None:
            return
        if self.tls.verify_mode is not ssl.CERT_REQUIRED or not self.tls.check_hostname:
            raise ConfigError("certificates must be verified")


@dataclass(slots=True, kw_only=True)  # not frozen: one for each request, and freezing costs
class RawAnswer:
    """A complete answer; *body* is None when it is compressed or too large to be read."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes | None = field(repr=False)
    sent_us: int


@dataclass(slots=True, kw_only=True)
class Sending:
    """One request on its way.

    Attributes:
        body: The bytes to send.
        gate: Asked right before they are written.
        clock: What the moment of sending is read from.
        deadline: The event loop's time at which the answer must have been read.
        sent_us: Set when the request may have left.
        expired: Whether the connection was cut because the deadline had passed.
        timer: Cuts the connection at the deadline.
        conn: What it was written to.
    """

    body: bytes | None = field(repr=False)
    gate: Gate
    clock: Clock
    deadline: float
    sent_us: int | None = None
    expired: bool = False
    timer: TimerHandle | None = None
    conn: Connection | None = None

    def expire(self) -> None:
        """Cut the connection, unless it has been given back because the answer is complete."""
        self.expired = self.take_back()

    def take_back(self) -> bool:
        """Cut the connection and drop what has not left yet; False when it was given back."""
        transport = None if self.conn is None else self.conn.transport
        if transport is None:
            return False
        discard(transport)
        return True

    def is_overdue(self) -> bool:
        """Whether the gate was asked too long ago for its answer to hold still."""
        asked_us = self.sent_us
        return asked_us is None or self.clock.now_us() - asked_us > _WRITE_WITHIN_US


class ConnectionGoneError(ClientError):
    """The connection could not be used any more; nothing was written."""


class SentTwiceError(ClientError):
    """The library tried to write the same request again; the first one is lost."""


_WRITE_WITHIN_US: Final = seconds_to_us(WRITE_WITHIN_S)


class _Request(ClientRequest):
    """The last stop before the wire; ``data`` of the session's request is a `Sending`."""

    _sending: Sending | None = None

    def update_body_from_data(self, body: object, _stacklevel: int = 3) -> None:
        """Keep the `Sending` and give aiohttp its bytes."""
        if not isinstance(body, Sending):
            super().update_body_from_data(body, _stacklevel)
            return
        self._sending = body
        super().update_body_from_data(body.body, _stacklevel)

    async def send(self, conn: Connection) -> ClientResponse:
        """Ask the gate, note the moment, write."""
        sending, protocol = self._sending, conn.protocol
        if sending is None or sending.sent_us is not None:
            raise SentTwiceError
        if protocol is None or not _is_usable(protocol):
            raise ConnectionGoneError
        if self.loop.time() >= sending.deadline:
            raise TimeoutError
        try:
            sending.gate()
        except GateClosed:
            conn.release()
            raise
        sending.sent_us = sending.clock.now_us()
        sending.conn = conn
        sending.timer = self.loop.call_at(sending.deadline, sending.expire)
        return await super().send(conn)

    async def write_bytes(
        self, writer: AbstractStreamWriter, conn: Connection, content_length: int | None = None
    ) -> None:
        """Write head and body, unless the process was stopped since the gate was asked."""
        sending = self._sending
        if sending is not None and sending.is_overdue():
            sending.take_back()
            return
        await super().write_bytes(writer, conn, content_length)


def _is_usable(protocol: ResponseHandler) -> bool:
    """Whether a request may be written to this connection.

    Not when it is closing; not when an earlier request is still stuck in it; and not when the
    server said something unasked into it while it was idle, because aiohttp would take that
    for the answer to this request.
    """
    return protocol.is_connected() and not protocol.writing_paused and not protocol.should_close


class Transport:
    """The connections of this process; use it with ``async with``."""

    def __init__(self, clock: Clock, settings: TransportSettings | None = None) -> None:
        self._clock = clock
        self._settings = settings or TransportSettings()
        self._session: ClientSession | None = None

    async def __aenter__(self) -> Self:
        """Open the session; it belongs to the running event loop."""
        settings = self._settings
        self._session = ClientSession(
            connector=TCPConnector(
                limit=0,
                keepalive_timeout=settings.keepalive_s,
                ttl_dns_cache=settings.dns_cache_s,
                ssl=True if settings.tls is None else settings.tls,
                socket_factory=socket_factory(settings.unacked_s),
            ),
            cookie_jar=DummyCookieJar(),
            auto_decompress=False,
            headers={
                "Accept": "application/json",
                "Accept-Encoding": "identity",
                "User-Agent": settings.user_agent,
            },
            request_class=_Request,
            trust_env=settings.trust_env,
        )
        # No hidden repetition of a GET.  The attribute is what aiohttp's own test client sets;
        # were it to vanish, `_Request.send` still keeps a second writing off the wire.
        self._session._retry_connection = False  # noqa: SLF001 - no public switch exists
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close every connection."""
        if self._session is not None:
            await self._session.close()

    async def request(
        self,
        method: str,
        url: URL,
        headers: Mapping[str, str],
        body: bytes | None = None,
        *,
        timeout_s: float,
        gate: Gate,
    ) -> RawAnswer | Answer:
        """Send one request and read its answer.

        Args:
            method: Upper-case HTTP method.
            url: Built and checked by `worker.modelarts.urls`.
            headers: The request's own; never seen again.
            body: The exact bytes to send.
            timeout_s: From now to the last byte of the answer; nothing is sent if not positive.
            gate: Asked right before anything is written.

        Returns:
            The complete answer, whatever its status; or how there was none (rows 2 to 10).
            Cancellation from outside passes through.
        """
        if timeout_s <= 0:
            return without_answer(Outcome.CONNECT_TIMEOUT, sent=False, detail="no time left")
        deadline = get_running_loop().time() + timeout_s
        sending = Sending(body=body, gate=gate, clock=self._clock, deadline=deadline)
        assert self._session is not None, "the transport is used outside of its `async with`"
        ask = partial(
            self._session.request,
            method,
            url,
            headers=headers,
            data=sending,
            timeout=_connect_within(timeout_s),
            allow_redirects=False,
        )
        try:
            raw = await _exchange(ask, sending, self._settings.answer_limit_bytes)
        except (GateClosed, *FOREIGN) as error:
            if not sending.expired:
                return answer_of_exception(error, sent=sending.sent_us is not None)
        else:
            if not sending.expired:
                return raw
        finally:
            if sending.timer is not None:
                sending.timer.cancel()
        return without_answer(Outcome.ANSWER_TIMEOUT, sent=True, detail=f"after {timeout_s:g} s")


async def _exchange(
    ask: Callable[[], Awaitable[ClientResponse]], sending: Sending, limit_bytes: int
) -> RawAnswer:
    """Write the request and read the answer; raises what aiohttp raises."""
    try:
        response = await ask()
    except ConnectionGoneError:
        # The pool gave us a spoilt connection and has dropped it: nothing was written, and the
        # gate was not asked.  Another one is tried, once.
        response = await ask()
    assert sending.sent_us is not None
    return RawAnswer(
        status=response.status,
        headers=response.headers,
        body=await _body_of(response, limit_bytes),
        sent_us=sending.sent_us,
    )


@lru_cache(64)
def _connect_within(timeout_s: float) -> ClientTimeout:
    """Return aiohttp's bound on making a connection; it costs nothing when one is reused."""
    return ClientTimeout(total=None, connect=timeout_s, sock_connect=None, sock_read=None)


async def _body_of(response: ClientResponse, limit_bytes: int) -> bytes | None:
    """Return the body; None, and the connection closed, when it is compressed or too large."""
    encoding = response.headers.get("Content-Encoding")
    length = response.content_length
    refused = encoding is not None and encoding.lower() != "identity"
    if refused or (length is not None and length > limit_bytes):
        response.close()
        return None
    if length is not None:
        return await response.read()
    try:
        body = await _read_up_to(response.content, limit_bytes)
    except BaseException:
        response.close()
        raise
    if body is None:
        response.close()
    else:
        response.release()
    return body


async def _read_up_to(content: StreamReader, limit: int) -> bytes | None:
    """Return everything up to the end, or None once it is more than *limit* bytes."""
    chunks: list[bytes] = []
    size = 0
    while chunk := await content.readany():
        size += len(chunk)
        if size > limit:
            return None
        chunks.append(chunk)
    return b"".join(chunks)
