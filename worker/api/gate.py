"""Who asks: the host that is named, the page a call comes from, and the token.

Deny by default.  Where no login is asked for, everybody on this machine may do everything; so
a call that a proxy passed on, or that names another host (DNS rebinding), is not taken for one
of this machine.
"""

import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

from config.serving import ServerSettings
from jobs.clock import Clock
from jobs.errors import ConfigError
from jobs.refusals import ForeignHostError, NotLoggedInError, TooManyCallsError
from jobs.store.access import AccessStore
from worker.api.calls import Call
from worker.api.rates import Rates
from worker.api.terms import EVERYTHING, Caller
from worker.api.tokens import TokenBook

FAILURES: Final = 20
FAILURES_IN_S: Final = 60.0
"""Wrong tokens from one address, after which it must wait."""

FORWARDED: Final = ("Forwarded", "X-Forwarded-For", "X-Real-IP", "Via")
"""Headers of a call that a proxy has passed on."""

_HOST: Final = re.compile(r"(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9.-]+)(?::[0-9]{1,5})?")


async def insist_on_login(settings: ServerSettings, store: AccessStore, now_us: int) -> None:
    """Refuse to be reachable for other machines when nobody could log in.

    Raises:
        ConfigError: If so.
    """
    if settings.on_this_machine:
        return
    if any(token.is_live(now_us) for token in await store.tokens()):
        return
    raise ConfigError(
        f"server.listen is {settings.listen}, other machines reach it, and there is no token",
        why="whoever reaches it could do everything",
        do="make one, plugwave tokens create NAME --scope operator; or listen on 127.0.0.1:8787"
        " alone; or set server.login there, and put a proxy in front that passes logins on",
    )


def asks_for_login(settings: ServerSettings) -> bool:
    """Whether everybody must have a token."""
    return settings.login or not settings.on_this_machine


class Gate:
    """Tells who asks."""

    def __init__(
        self, settings: ServerSettings, book: TokenBook, clock: Clock, failures: Rates
    ) -> None:
        self._called = settings.called
        self._login = asks_for_login(settings)
        self._any_host = self._login and not settings.hosts
        self._book = book
        self._clock = clock
        self._failures = failures

    def check_host(self, headers: Mapping[str, str]) -> None:
        """Refuse a call that is meant for another host, or that a foreign page makes.

        Where everybody must have a token and no hosts are named, any name of this server will
        do: no page of another site has the token.

        Raises:
            ForeignHostError: If so.
        """
        host = _host_of(headers.get("Host", ""))
        known = self._called if not self._any_host or host is None else {host}
        if host is None or host not in known:
            raise ForeignHostError("the call names a host that is not this server")
        origin = headers.get("Origin")
        if origin is not None and _origin_of(origin) not in known:
            raise ForeignHostError("the call comes from a page of another site")
        if headers.get("Sec-Fetch-Site", "none") == "cross-site":
            raise ForeignHostError("the call comes from a page of another site")

    async def caller(self, call: Call) -> Caller:
        """Return who asks.

        Raises:
            NotLoggedInError: If a token is needed and there is none that is live.
            TooManyCallsError: If too many wrong ones came from the same address.
        """
        secret = _bearer(call.headers)
        if secret is None:
            if self._login:
                raise NotLoggedInError("the call has no token")
            if any(name in call.headers for name in FORWARDED):
                raise NotLoggedInError(
                    "the call has no token, and a proxy passed it on: it may be anybody's"
                )
            return Caller(name=None, terms=EVERYTHING, where=call.peer)
        wait_s = self._failures.wait_s(call.peer, limit=FAILURES, in_s=FAILURES_IN_S)
        if wait_s > 0:
            raise TooManyCallsError(
                "too many wrong tokens came from this address", retry_after_s=int(wait_s) + 1
            )
        found = await self._book.find(secret, self._clock.wall_us())
        if found is None:
            self._failures.spend(call.peer, 1, limit=FAILURES, in_s=FAILURES_IN_S)
            raise NotLoggedInError("the token is not known, or has ended")
        token, terms = found
        return Caller(name=token.name, terms=terms, where=call.peer)


def _bearer(headers: Mapping[str, str]) -> str | None:
    text = headers.get("Authorization")
    if text is None:
        return None
    scheme, _, secret = text.strip().partition(" ")
    if scheme.lower() != "bearer":
        raise NotLoggedInError("the header Authorization holds no bearer token")
    return secret.strip()


def _host_of(text: str) -> str | None:
    found = _HOST.fullmatch(text.strip())
    return None if found is None else found[1].strip("[]").lower().rstrip(".")


def _origin_of(text: str) -> str | None:
    """Return the host of an origin; None for one that is none, as the opaque ``null``."""
    try:
        parts = urlsplit(text)
        host = parts.hostname
    except ValueError:
        return None
    return host if parts.scheme in {"http", "https"} and not parts.path else None
