"""What was handed out for a while: tokens, temporary keys, metadata tokens.

Life is in real seconds, because the client that refreshes in time has a real clock too.
"""

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Final, TypeVar

from jobs.clock import seconds_to_us
from worker.simulator.chance import hexadecimal
from worker.simulator.iam.directory import Account, Project

MOST: Final = 10_000
"""Passes of each kind that are remembered; beyond it the oldest are forgotten."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """A token; *project* is None when it is for the account as a whole."""

    text: str = field(repr=False)
    principal: str
    account: Account
    project: Project | None
    issued_us: int
    expires_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TemporaryKey:
    """A key pair that only counts together with its security token."""

    access: str
    secret: str = field(repr=False)
    security_token: str = field(repr=False)
    principal: str
    account: Account
    expires_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Bearer:
    """Who gets a pass, and what for."""

    principal: str
    account: Account
    project: Project | None = None


class Passes:
    """Every pass that was handed out and not yet forgotten."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._count = 0
        self._tokens: OrderedDict[str, Token] = OrderedDict()
        self._keys: OrderedDict[str, TemporaryKey] = OrderedDict()
        self._standing: dict[str, TemporaryKey] = {}
        self._metadata: OrderedDict[str, int] = OrderedDict()

    def issue_token(self, bearer: Bearer, now_us: int, life_s: float) -> Token:
        """Hand out a token; older ones go on being good."""
        token = Token(
            # Real ones begin like this and are longer still.
            text="MIIF" + self._secret("token", now_us) * 4,
            principal=bearer.principal,
            account=bearer.account,
            project=bearer.project,
            issued_us=now_us,
            expires_us=now_us + seconds_to_us(life_s),
        )
        _keep(self._tokens, token.text, token)
        return token

    def issue_key(self, bearer: Bearer, now_us: int, life_s: float) -> TemporaryKey:
        """Hand out a temporary key."""
        secret = self._secret("temporary", now_us)
        key = TemporaryKey(
            access="HST" + secret[:17].upper(),
            secret=hexadecimal("secret", secret, digits=40),
            security_token="ggpj" + hexadecimal("security", secret, digits=64) * 2,
            principal=bearer.principal,
            account=bearer.account,
            expires_us=now_us + seconds_to_us(life_s),
        )
        _keep(self._keys, key.access, key)
        return key

    def standing_key(self, bearer: Bearer, now_us: int, life_s: float) -> TemporaryKey:
        """Return the key a machine is told again and again, a new one in its last half."""
        key = self._standing.get(bearer.principal)
        if key is None or key.expires_us - now_us < seconds_to_us(life_s) // 2:
            key = self.issue_key(bearer, now_us, life_s)
            self._standing[bearer.principal] = key
        return key

    def issue_metadata_token(self, now_us: int, life_s: int) -> str:
        """Hand out a token for the metadata service."""
        text = self._secret("metadata", now_us)
        _keep(self._metadata, text, now_us + seconds_to_us(life_s))
        return text

    def token(self, text: str) -> Token | None:
        """Return the token, expired or not; None when it was never handed out."""
        return self._tokens.get(text)

    def key(self, access: str) -> TemporaryKey | None:
        """Return the temporary key, expired or not."""
        return self._keys.get(access)

    def opens_metadata(self, text: str | None, now_us: int) -> bool:
        """Whether the text is a metadata token that still counts."""
        return text is not None and self._metadata.get(text, 0) > now_us

    def revoke(self) -> None:
        """Forget everything that was handed out."""
        for passes in (self._tokens, self._keys, self._standing, self._metadata):
            passes.clear()

    def _secret(self, *purpose: object) -> str:
        self._count += 1
        return hexadecimal(self._seed, *purpose, self._count, digits=64)


def _keep(passes: OrderedDict[str, T], name: str, one: T) -> None:
    passes[name] = one
    if len(passes) > MOST:
        passes.popitem(last=False)
