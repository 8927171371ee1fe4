"""Who we are, as headers.

An authorizer turns one finished request into the headers that prove who sends it.  It sees
the exact bytes that will be sent, so that a signature can cover them.  What it returns is
put on the wire and into nothing else: values of SECRET_HEADERS are masked wherever an
answer repeats them.
"""

from collections.abc import Mapping
from typing import Final, Protocol

from yarl import URL

from jobs.errors import ConfigError

SECRET_HEADERS: Final = frozenset(
    {"authorization", "proxy-authorization", "x-auth-token", "x-security-token", "cookie"}
)
"""Header names (lower case) whose values must never be seen again."""

SHORTEST_SECRET: Final = 4
"""Values shorter than this are not masked: they would hit ordinary text."""


class Authorizer(Protocol):
    """Proves who sends a request."""

    def headers(self, method: str, url: URL, body: bytes, now_us: int) -> Mapping[str, str]:
        """Return the headers for this request; *body* is empty when there is none.

        Args:
            method: Upper-case HTTP method.
            url: The finished URL, encoded as it will be sent.
            body: The exact bytes that will be sent.
            now_us: Microseconds since 1970 (UTC); what a signature is dated with.
        """
        ...


class NoAuth:
    """No credential: simulators on loopback."""

    def headers(self, method: str, url: URL, body: bytes, now_us: int) -> Mapping[str, str]:  # noqa: ARG002 - the protocol's parameters
        """Return nothing."""
        return {}


class TokenAuth:
    """A project-scoped IAM token, sent as ``X-Auth-Token``; never shown."""

    __slots__ = ("_headers",)

    def __init__(self, token: str) -> None:
        """Keep the token.

        Raises:
            ConfigError: If a header cannot carry it; the message does not show it.
        """
        if not (token and token.isascii() and token.isprintable() and " " not in token):
            raise ConfigError(
                "the token is empty or holds characters that no header can carry",
                do="give the token alone, without spaces or line breaks",
            )
        self._headers = {"X-Auth-Token": token}

    def headers(self, method: str, url: URL, body: bytes, now_us: int) -> Mapping[str, str]:  # noqa: ARG002 - the protocol's parameters
        """Return the token's header."""
        return self._headers


def secrets_in(headers: Mapping[str, str]) -> tuple[str, ...]:
    """Return the values of *headers* that an answer must not repeat."""
    if not headers:
        return ()
    return tuple(
        [
            value
            for name, value in headers.items()
            if name.lower() in SECRET_HEADERS and len(value) >= SHORTEST_SECRET
        ]
    )
