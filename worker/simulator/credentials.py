"""Who is asking: each request names a credential, or is refused.

An `Authenticator` sees the request as it was sent, byte for byte, because a signature is
made over exactly that.  Its answer is a name that stands for the credential in the
throttle and in the journal; a token itself never gets there.
"""

import hashlib
import hmac
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

_ACCESS: Final = re.compile(r"\bAccess=([A-Za-z0-9_-]{1,128})")
ANONYMOUS: Final = "anonymous"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """The request is refused; *code* and *message* go into the gateway's error body."""

    status: int
    code: str
    message: str


class Authenticator(Protocol):
    """Tells who a request is from."""

    def check(
        self, method: str, raw_path: str, headers: Mapping[str, str], body: bytes
    ) -> str | Rejected:
        """Return the credential's name, or why the request is refused.

        Args:
            method: In capitals.
            raw_path: Path and query as they were on the request line.
            headers: Names are found in any spelling.
            body: As it was sent.
        """
        ...


class AnyCredential:
    """Accepts everything and tells credentials apart by what they show."""

    def check(
        self, method: str, raw_path: str, headers: Mapping[str, str], body: bytes
    ) -> str | Rejected:
        """Return a name for the token or access key; no check is made."""
        del method, raw_path, body
        if token := headers.get("X-Auth-Token"):
            return token_name(token)
        if access := _ACCESS.search(headers.get("Authorization", "")):
            return access[1]
        return ANONYMOUS


class StaticToken:
    """Accepts a request whose ``X-Auth-Token`` is one of the given tokens."""

    def __init__(self, tokens: Collection[str]) -> None:
        self._tokens = tuple(token.encode() for token in tokens)

    def check(
        self, method: str, raw_path: str, headers: Mapping[str, str], body: bytes
    ) -> str | Rejected:
        """Return a name for the token, or 401 as the gateway words it."""
        del method, raw_path, body
        token = headers.get("X-Auth-Token")
        if token is None:
            return unauthenticated("x-auth-token not found")
        if not any(hmac.compare_digest(token.encode(), known) for known in self._tokens):
            return unauthenticated("decrypt token fail")
        return token_name(token)


def token_name(token: str) -> str:
    """Return what stands for a token: a digest, so that the token is never written down."""
    return f"token-{hashlib.sha256(token.encode()).hexdigest()[:12]}"


def unauthenticated(detail: str) -> Rejected:
    """Return 401 as the gateway words it; only *detail* tells one reason from another."""
    message = f"Incorrect IAM authentication information: {detail}"
    return Rejected(status=401, code="APIG.0301", message=message)
