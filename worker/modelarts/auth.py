"""Who we are, as headers.

An authorizer turns one finished request into the headers that prove who sends it.  It sees
the exact bytes that will be sent, so that a signature can cover them.  What it returns is
put on the wire and into nothing else: values of SECRET_HEADERS are masked wherever an
answer repeats them.

Credentials that end are renewed in `ready`, which may ask the network; `headers` never waits.
"""

import re
from collections.abc import Mapping
from typing import Final, Generic, Protocol, TypeVar

from yarl import URL

from jobs.outcomes import Answer
from worker.modelarts.keys import AccessKey, Token
from worker.modelarts.signing import TOKEN_HEADER, sign

SECRET_HEADERS: Final = frozenset(
    {"authorization", "proxy-authorization", "x-auth-token", "x-security-token", "cookie"}
)
"""Header names (lower case) whose values must never be seen again."""

SHORTEST_SECRET: Final = 4
"""Values shorter than this are not masked: they would hit ordinary text."""

AUTH_TOKEN_HEADER: Final = "X-Auth-Token"  # noqa: S105 - the name of a header

_ACCESS: Final = re.compile(r"\bAccess=([^,\s]+)")

T = TypeVar("T")


class NoCredentialError(Exception):
    """No request can prove who sends it now; *answer* stands for the request not made.

    It leaves this package as its answer only.
    """

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.message)
        self.answer = answer


class Provider(Protocol[T]):
    """Holds one credential and renews it when it ends."""

    def current(self) -> T:
        """Return the credential; after `ready` there is one.

        Raises:
            NoCredentialError: If there is none.
        """
        ...

    async def ready(self) -> None:
        """Have a credential that will last; returns at once while there is one.

        Raises:
            NoCredentialError: If there is none and none can be had.
        """
        ...

    def invalidate(self, used: T) -> bool:
        """Take note that the cloud says *used* has ended.

        Returns:
            Whether a request made anew will carry another credential.
        """
        ...


class Fixed(Generic[T]):
    """A credential that stays as it is."""

    __slots__ = ("_value",)

    def __init__(self, value: T) -> None:
        self._value = value

    def current(self) -> T:
        """Return the credential."""
        return self._value

    async def ready(self) -> None:
        """Return at once."""

    def invalidate(self, used: T) -> bool:  # noqa: ARG002 - the protocol's parameter
        """Say that there will be no other."""
        return False


class Authorizer(Protocol):
    """Proves who sends a request."""

    async def ready(self, url: URL) -> None:
        """Have what `headers` needs for this URL; returns at once while there is one.

        Raises:
            NoCredentialError: If there is no credential and none can be had.
        """
        ...

    def headers(self, method: str, url: URL, body: bytes, now_us: int) -> Mapping[str, str]:
        """Return the headers for this request; *body* is empty when there is none.

        Args:
            method: Upper-case HTTP method.
            url: The finished URL, encoded as it will be sent.
            body: The exact bytes that will be sent.
            now_us: Microseconds since 1970 (UTC); what a signature is dated with.

        Raises:
            NoCredentialError: If there is no credential; not after `ready`.
        """
        ...

    def ended(self, url: URL, proof: Mapping[str, str]) -> bool:
        """Take note that the cloud says the credential in *proof* has ended.

        Args:
            url: The URL of the request.
            proof: What `headers` returned for it.

        Returns:
            Whether the same request, made anew, will carry another credential.
        """
        ...


class NoAuth:
    """No credential: simulators on loopback."""

    async def ready(self, url: URL) -> None:
        """Return at once."""

    def headers(self, method: str, url: URL, body: bytes, now_us: int) -> Mapping[str, str]:  # noqa: ARG002 - the protocol's parameters
        """Return nothing."""
        return {}

    def ended(self, url: URL, proof: Mapping[str, str]) -> bool:  # noqa: ARG002 - the protocol's parameters
        """Say that there will be no other."""
        return False


class TokenAuth:
    """A project-scoped IAM token, sent as ``X-Auth-Token``; never shown."""

    __slots__ = ("_provider",)

    def __init__(self, source: str | Provider[Token]) -> None:
        """Keep the token, or who provides it.

        Raises:
            ConfigError: If a header cannot carry the token; the message does not show it.
        """
        self._provider = Fixed(Token.of(source)) if isinstance(source, str) else source

    @property
    def expires_us(self) -> int | None:
        """When the token ends, in microseconds since 1970; None when that is not known."""
        return self._provider.current().expires_us

    async def ready(self, url: URL) -> None:  # noqa: ARG002 - one token for every URL
        """Renew the token when it is about to end."""
        await self._provider.ready()

    def headers(self, method: str, url: URL, body: bytes, now_us: int) -> Mapping[str, str]:  # noqa: ARG002 - the protocol's parameters
        """Return the token's header."""
        return {AUTH_TOKEN_HEADER: self._provider.current().secret.reveal()}

    def ended(self, url: URL, proof: Mapping[str, str]) -> bool:  # noqa: ARG002 - one token for every URL
        """Have the token renewed, unless it has been already."""
        token = self._provider.current()
        if proof.get(AUTH_TOKEN_HEADER) != token.secret.reveal():
            return True
        return self._provider.invalidate(token)


class AkSkAuth:
    """An access key that signs every request, with a security token when it is temporary."""

    __slots__ = ("_provider",)

    def __init__(self, provider: Provider[AccessKey]) -> None:
        self._provider = provider

    @property
    def expires_us(self) -> int | None:
        """When the key ends, in microseconds since 1970; None when that is not known."""
        return self._provider.current().expires_us

    async def ready(self, url: URL) -> None:  # noqa: ARG002 - one key for every URL
        """Renew a temporary key when it is about to end."""
        await self._provider.ready()

    def headers(self, method: str, url: URL, body: bytes, now_us: int) -> Mapping[str, str]:
        """Return Host, X-Sdk-Date, X-Project-Id, X-Security-Token and Authorization."""
        project = project_of(url)
        covered = {} if project is None else {"X-Project-Id": project}
        return sign(method, url, covered, body, self._provider.current(), now_us)

    def ended(self, url: URL, proof: Mapping[str, str]) -> bool:  # noqa: ARG002 - one key for every URL
        """Have the key renewed, unless it has been already."""
        key = self._provider.current()
        token = None if key.security_token is None else key.security_token.reveal()
        if proof.get(TOKEN_HEADER) != token:
            return True
        return self._provider.invalidate(key)


def project_of(url: URL) -> str | None:
    """Return the project that a regional service's URL names; IAM's URLs name none."""
    parts = url.raw_path.split("/", 3)
    return parts[2] if len(parts) == 4 and parts[1] in {"v1", "v2"} else None


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


def hidden_in_errors(headers: Mapping[str, str]) -> tuple[str, ...]:
    """Return what the text of an error must not show: `secrets_in`, and the whole access key.

    The key's id alone is no secret, and a success may well repeat it: plug-ins have inputs.
    """
    signed = _ACCESS.search(headers.get("Authorization", ""))
    return secrets_in(headers) if signed is None else (*secrets_in(headers), signed[1])
