"""Tokens: made from 256 random bits, shown once, known by their SHA-256 from then on.

A random secret of that length needs no slow hash: nobody can try them all.  The book of tokens
is read again every two seconds, so a revoked one opens nothing for longer than that.
"""

import hashlib
import hmac
import re
from collections.abc import Callable, Mapping
from typing import Final

import anyio

from jobs.clock import Clock
from jobs.errors import UsageError
from jobs.store.access import AccessStore, Token
from worker.api.terms import Terms, terms_of

PREFIX: Final = "pwt_"
SECRET_BYTES: Final = 32
FRESH_S: Final = 2.0
"""How old the book of tokens may be."""

NEW_S: Final = 0.25
"""How old it may be for a token that is not in it: it may just have been made."""


_SECRET: Final = re.compile(r"pwt_[A-Za-z0-9_-]{43}")
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")

Draw = Callable[[int], str]
"""Returns so many random bytes as URL-safe text; `secrets.token_urlsafe`."""


def new_secret(draw: Draw) -> str:
    """Return a new token as its owner gets it, once."""
    return PREFIX + draw(SECRET_BYTES)


def digest_of(secret: str) -> bytes:
    """Return what the store knows a token by."""
    return hashlib.sha256(secret.encode()).digest()


def checked_name(text: str) -> str:
    """Return the name if a token may have it.

    Raises:
        UsageError: If not.
    """
    if _NAME.fullmatch(text) is None:
        raise UsageError(
            "a token's name is 1 to 63 small letters, digits, dots, dashes or underscores",
            do="name it after the system that uses it, such as ticketing",
        )
    return text


class TokenBook:
    """The tokens as this process knows them."""

    def __init__(self, store: AccessStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._known: Mapping[bytes, tuple[Token, Terms]] = {}
        self._read_at: float | None = None
        self._reading = anyio.Lock()

    async def find(self, secret: str, now_us: int) -> tuple[Token, Terms] | None:
        """Return the live token that is this secret, and its terms; None when there is none."""
        if _SECRET.fullmatch(secret) is None:
            return None
        digest = digest_of(secret)
        await self._refresh(FRESH_S)
        if digest not in self._known:
            await self._refresh(NEW_S)
        found = self._known.get(digest)
        if found is None or not hmac.compare_digest(found[0].digest, digest):
            return None
        return found if found[0].is_live(now_us) else None

    async def _refresh(self, age_s: float) -> None:
        if self._is_fresh(age_s):
            return
        async with self._reading:
            if self._is_fresh(age_s):
                return
            tokens = await self._store.tokens()
            self._known = {token.digest: (token, terms_of(token.terms)) for token in tokens}
            self._read_at = self._clock.monotonic()

    def _is_fresh(self, age_s: float) -> bool:
        return self._read_at is not None and self._clock.monotonic() - self._read_at < age_s
