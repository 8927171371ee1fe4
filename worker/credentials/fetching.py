"""Ask for a credential: one request, in turn, to an address that a secret may go to.

It is a request like any other: it waits for its turn and is counted.  A secret goes over
https; plain http is for this machine and for the one address at which a machine's own
metadata is served, and such a request never goes through a proxy.  Redirects are not followed.

Nothing here leaves as an exception of its own: `NoCredentialError` carries the answer that
stands for the request that could not be signed.
"""

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from typing import Final, Protocol

import anyio
from yarl import URL

from jobs.clock import Clock
from jobs.errors import ConfigError
from jobs.outcomes import Answer, Outcome
from worker.modelarts.auth import NoCredentialError
from worker.modelarts.errors import classify_status
from worker.modelarts.outcomes_of_exceptions import without_answer
from worker.modelarts.transport import RawAnswer, Transport
from worker.modelarts.urls import is_loopback

METADATA_HOST: Final = "169.254.169.254"
"""Link-local: a request to it does not leave the machine's own host."""

FETCH_S: Final = 20.0
"""How long a fetch may take with its turn; requests wait for it."""

ONCE_S: Final = 10.0
"""How long its request may take."""

REFUSED: Final = frozenset(
    {
        Outcome.REFUSED_CONTENT,
        Outcome.UNKNOWN_REFUSAL,
        Outcome.UNAUTHENTICATED,
        Outcome.FORBIDDEN,
        Outcome.NOT_FOUND,
        Outcome.NO_SUCH_API,
        Outcome.CONFLICT,
        Outcome.NOT_SENDABLE,
    }
)
"""Outcomes with which a credential was refused; a person must mend it."""

KEPT: Final = frozenset({Outcome.DNS_FAILED, Outcome.CONNECT_REFUSED, Outcome.TLS_WRONG})
"""Outcomes that mean the same for the request that could not be signed."""


class Passage(Protocol):
    """A turn: the gate to send one request through, and who learns of a 429."""

    def __call__(self) -> None:
        """Be asked right before anything is written; raises `GateClosed` to keep it back."""
        ...

    async def throttle(self, answer: Answer) -> None:
        """Learn from a 429."""
        ...


Turn = Callable[[str, URL], AbstractAsyncContextManager[Passage]]
"""Waits for the turn of a credential, by name, at an origin."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What to ask.

    Attributes:
        who: Name of the credential, for its limit.
        what: What is asked for, for people.
        method: Upper-case HTTP method.
        url: Where; checked before anything is sent.
        headers: May hold secrets.
        body: May hold secrets.
        success: Statuses that the caller wants to see; all others are refusals.
        secrets: Texts that must not be seen should the answer repeat them.
    """

    who: str
    what: str
    method: str
    url: URL
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes | None = field(default=None, repr=False)
    success: frozenset[int] = frozenset({200, 201})
    secrets: tuple[str, ...] = field(default=(), repr=False)


class Fetcher(Protocol):
    """Asks, and brings the answer."""

    @property
    def clock(self) -> Clock:
        """The clock that signatures are dated with."""
        ...

    async def fetch(self, request: Request) -> RawAnswer:
        """Return the answer, its status one that the request wants.

        Raises:
            NoCredentialError: If there is no such answer.
        """
        ...


class WireFetcher:
    """Asks over the network."""

    def __init__(self, transport: Transport, local: Transport, turn: Turn, clock: Clock) -> None:
        """Take the connections and the turns.

        Args:
            transport: For what may go through a proxy.
            local: Uses none; may be the same one.
            turn: Waits until a request may leave.
            clock: Dates signatures.
        """
        self._transport = transport
        self._local = local
        self._turn = turn
        self.clock = clock

    async def fetch(self, request: Request) -> RawAnswer:
        """Ask once it is our turn, within FETCH_S."""
        raw: RawAnswer | Answer
        if not may_carry_secrets(request.url):
            detail = f"{request.url.host} must be asked by https"
            raw = without_answer(Outcome.NOT_SENDABLE, sent=False, detail=detail)
        else:
            raw = without_answer(Outcome.CONNECT_TIMEOUT, sent=False, detail="no turn in time")
            with anyio.move_on_after(FETCH_S):
                raw = await self._in_turn(request)
        if isinstance(raw, Answer):
            raise unavailable(request.what, raw)
        if raw.status not in request.success or raw.body is None:
            raise unavailable(request.what, self._refusal(request, raw))
        return raw

    async def _in_turn(self, request: Request) -> RawAnswer | Answer:
        """Send on a turn that is kept; one that came too late is followed by another."""
        local = is_local(request.url)
        transport = self._local if local else self._transport
        headers = {"Content-Type": "application/json;charset=utf8"} if request.body else {}
        while True:
            async with self._turn(request.who, request.url.origin()) as passage:
                raw = await transport.request(
                    request.method,
                    request.url,
                    {**headers, **request.headers},
                    request.body,
                    timeout_s=ONCE_S,
                    gate=passage,
                )
            if isinstance(raw, RawAnswer) and raw.status == 429:
                await passage.throttle(self._refusal(request, raw))
            if not isinstance(raw, Answer) or raw.outcome is not Outcome.GATE_CLOSED:
                return raw

    def _refusal(self, request: Request, raw: RawAnswer) -> Answer:
        return classify_status(
            raw.status,
            raw.headers,
            raw.body,
            now_us=self.clock.wall_us(),
            secrets=request.secrets,
        )


def is_local(url: URL) -> bool:
    """Whether a request to *url* stays on this machine or its host."""
    return url.raw_host == METADATA_HOST or is_loopback(url.raw_host or "")


def may_carry_secrets(url: URL) -> bool:
    """Whether a secret may be sent to *url*."""
    if url.raw_user is not None or url.raw_password is not None or not url.raw_host:
        return False
    return url.scheme == "https" or (url.scheme == "http" and is_local(url))


def checked_url(text: str, name: str) -> URL:
    """Return *text* as a URL that a secret may be sent to; *name* says where it was given.

    Raises:
        ConfigError: If it is none; the message does not repeat it.
    """
    try:
        url = URL(text, encoded=True)
        good = url.port is not None and may_carry_secrets(url) and text.isascii()
    except ValueError:
        good = False
        url = URL()
    if not good or not text.isprintable() or " " in text or url.raw_fragment:
        raise ConfigError(
            f"{name} is not an address that a secret may be sent to",
            why="over http anybody on the way could read it; this machine and its metadata "
            "service alone are exempt",
            do=f"correct {name}; write https://HOST",
        )
    return url


def unavailable(what: str, answer: Answer) -> NoCredentialError:
    """Return the error for a credential that could not be had; it says why.

    The request that needed it was not sent.  A refusal stays one, and counts as sent: the
    question was, and the credential's guard must learn of it.  A trouble on the way is one that
    passes; its status is of another endpoint than the one that the request is for.
    """
    refused = answer.outcome in REFUSED
    passing = answer.outcome if answer.outcome in KEPT else Outcome.CONNECT_TIMEOUT
    return NoCredentialError(
        replace(
            answer,
            outcome=Outcome.UNAUTHENTICATED if refused else passing,
            sent=refused and answer.sent,
            http_status=answer.http_status if refused else None,
            retry_after_s=None,
            limit=None,
            message=f"no {what}; {answer.message}",
        )
    )
