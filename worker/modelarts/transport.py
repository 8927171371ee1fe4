"""Send one request and bring back one complete answer, or say how it failed.

One pool of connections for a process, no retries, no redirects, no cookies.  aiohttp makes the
connections and reads the answers that are not plain (`channels`); between the two we write the
request ourselves, in one piece.  So there is one moment of sending: right before it the caller's
gate decides, right after it the request may have left, and nothing can repeat it behind our
back, as a session does with a GET whose reused connection drops.  It also costs 0.3 of a
request of a tuned session (`benchmarks`), which prepares headers, cookies, redirects, timers and
a writer each time.

Time runs out without a cancel scope for each request, which would cost a fifth of it: aiohttp
bounds making a connection, and from the gate on `Deadlines` cuts the connection when time is up,
which ends every wait there is.  A caller may still put a scope around a call.

What the gate refuses has not been written: the connection goes back unused.  A connection
that is gone, or into which the server spoke unasked, is not written to either.  A process that
was stopped between its gate and its first byte does not write afterwards (`WRITE_WITHIN_S`).
After the gate "sent" means *may have left*: that a server dropped an idle connection just
before cannot be told from a request that was lost after it had been received.  Whoever gives
up waiting also takes back what the kernel has not sent yet; see `worker.modelarts.sockets`.
"""

import asyncio
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache, partial
from types import TracebackType
from typing import Final, Self

import anyio
from aiohttp import BasicAuth, ClientRequest, ClientTimeout, TCPConnector
from aiohttp.helpers import get_env_proxy_for_url
from yarl import URL

from jobs.clock import Clock, seconds_to_us
from jobs.errors import ConfigError
from jobs.outcomes import Answer, Outcome
from worker.modelarts.channels import Channel, Channels, ConnectionGoneError
from worker.modelarts.faults import GateClosed
from worker.modelarts.heads import Origin
from worker.modelarts.outcomes_of_exceptions import FOREIGN, answer_of_exception, without_answer
from worker.modelarts.sockets import socket_factory

Gate = Callable[[], None]
"""Called once, right before a request is written; raises `GateClosed` to keep it back."""

ANSWER_LIMIT_BYTES: Final = 1024 * 1024
"""Largest body that is read, unless the settings say otherwise."""

WRITE_WITHIN_S: Final = 1.0
"""A request that is not written so soon after its gate was asked is not written at all: the
process was stopped in between, and what the gate said may be true no more."""

_WRITE_WITHIN_US: Final = seconds_to_us(WRITE_WITHIN_S)

MOST_ORIGINS: Final = 64
"""Origins whose common part is remembered; a worker talks to a few."""


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


@dataclass(slots=True, kw_only=True, eq=False)
class Sending:
    """One request on its way.

    Attributes:
        data: The whole request, head and body.
        gate: Asked right before it is written.
        deadline: The event loop's time at which the answer must have been read.
        sent_us: Set when the request may have left.
        expired: Whether the connection was cut because the deadline had passed.
    """

    data: bytes = field(repr=False)
    gate: Gate
    deadline: float
    sent_us: int | None = None
    expired: bool = False

    def ask(self, now: float) -> None:
        """Ask the gate whether it may be written now; raises what keeps it back."""
        if now >= self.deadline:
            raise TimeoutError
        self.gate()


class Deadlines:
    """Cuts the connections of requests whose time is up.

    One timer for all: nearly every request ends in time, and a timer for each costs a
    twentieth of it.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._open: dict[Sending, Channel] = {}
        self._timer: asyncio.TimerHandle | None = None

    def add(self, sending: Sending, channel: Channel) -> None:
        """Watch a request from now on."""
        self._open[sending] = channel
        if self._timer is None or sending.deadline < self._timer.when():
            self._wake_at(sending.deadline)

    def remove(self, sending: Sending) -> None:
        """Watch it no more: its connection may serve another one."""
        del self._open[sending]

    def close(self) -> None:
        """End the watch."""
        if self._timer is not None:
            self._timer.cancel()

    def _wake_at(self, when: float) -> None:
        self.close()
        self._timer = self._loop.call_at(when, self._look)

    def _look(self) -> None:
        now = self._loop.time()
        self._timer = None
        for sending, channel in self._open.items():
            if sending.deadline <= now and not sending.expired:
                sending.expired = True
                channel.cut()
        left = [one.deadline for one in self._open if not one.expired]
        if left:
            self._wake_at(min(left))


class Transport:
    """The connections of this process; use it with ``async with``."""

    def __init__(self, clock: Clock, settings: TransportSettings | None = None) -> None:
        self._clock = clock
        self._settings = settings or TransportSettings()
        self._channels: Channels | None = None
        self._deadlines: Deadlines | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._origins: dict[tuple[str, str], Origin] = {}
        self._shared = {
            "Accept": "application/json",
            "Accept-Encoding": "identity",
            "User-Agent": self._settings.user_agent,
        }

    async def __aenter__(self) -> Self:
        """Open the pool; it belongs to the running event loop."""
        settings = self._settings
        self._loop = asyncio.get_running_loop()
        connector = TCPConnector(
            limit=0,
            ttl_dns_cache=settings.dns_cache_s,
            socket_factory=socket_factory(settings.unacked_s),
        )
        self._channels = Channels(connector, settings.keepalive_s)
        self._deadlines = Deadlines(self._loop)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close every connection."""
        if self._deadlines is not None:
            self._deadlines.close()
        if self._channels is not None:
            await self._channels.close()

    @property
    def channels(self) -> Channels:
        """The connections, while they are open."""
        assert self._channels is not None, "the transport is used outside of its `async with`"
        return self._channels

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
        assert self._loop is not None, "the transport is used outside of its `async with`"
        sending = Sending(data=b"", gate=gate, deadline=self._loop.time() + timeout_s)
        try:
            origin = self._origins.get((url.scheme, url.raw_authority)) or await self._origin(url)
            head = origin.head(method, url, headers, None if body is None else len(body))
            sending.data = head if body is None else head + body
            channels, address = self.channels, origin.address
            channel = channels.take_idle(address)
            if channel is None:
                channel = await channels.connect(address, _connect_within(timeout_s))
            raw = await self._exchange(channel, sending)
        except (GateClosed, *FOREIGN) as error:
            if not sending.expired:
                return answer_of_exception(error, sent=sending.sent_us is not None)
        else:
            if not sending.expired:
                return raw
        return without_answer(Outcome.ANSWER_TIMEOUT, sent=True, detail=f"after {timeout_s:g} s")

    async def _origin(self, url: URL) -> Origin:
        """Put together what all requests to the URL's origin have in common."""
        settings = self._settings
        proxy: URL | None = None
        proxy_auth: BasicAuth | None = None
        if settings.trust_env:
            try:
                found = partial(get_env_proxy_for_url, url)
                proxy, proxy_auth = await anyio.to_thread.run_sync(found)
            except LookupError:
                proxy = None
        address = ClientRequest(
            "GET",
            url.origin(),
            loop=self._loop,
            ssl=True if settings.tls is None else settings.tls,
            proxy=proxy,
            proxy_auth=proxy_auth,
        )
        if len(self._origins) >= MOST_ORIGINS:
            self._origins.clear()
        origin = Origin(address, self._shared, proxy_auth)
        self._origins[url.scheme, url.raw_authority] = origin
        return origin

    async def _exchange(self, channel: Channel, sending: Sending) -> RawAnswer:
        """Ask the gate, note the moment, write, and read the answer; raises what aiohttp raises."""
        loop, channels, deadlines = self._loop, self.channels, self._deadlines
        assert loop is not None
        assert deadlines is not None
        deadlines.add(sending, channel)
        try:
            sending.ask(loop.time())
            sent_us = sending.sent_us = self._clock.now_us()
            if self._clock.now_us() - sent_us > _WRITE_WITHIN_US:
                raise ConnectionGoneError  # noqa: TRY301 - nothing was written, and nobody must rely on it
            told = await channel.ask(sending.data, self._settings.answer_limit_bytes)
        except BaseException:
            if sending.sent_us is None:
                channels.give_back(channel)  # not a byte was written
            else:
                channel.cut()
                channel.close()
            raise
        finally:
            deadlines.remove(sending)
        status, headers, body = told
        if body is None:
            channel.close()
        else:
            channels.give_back(channel)
        return RawAnswer(status=status, headers=headers, body=body, sent_us=sent_us)


@lru_cache(64)
def _connect_within(timeout_s: float) -> ClientTimeout:
    """Return aiohttp's bound on making a connection; it costs nothing when one is reused."""
    return ClientTimeout(total=None, connect=timeout_s, sock_connect=None, sock_read=None)
