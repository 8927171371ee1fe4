"""Who may ask over the network, and what a keyed call was answered: what the store keeps of it.

A token is known by the SHA-256 of its secret; the secret itself is nowhere in the store.  The
receipt of a keyed call lies beside the jobs that the call made, written in one transaction with
them, so that the same call finds its first answer again, whoever was killed meanwhile.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from jobs.model import JobId, JobRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """One token as the store knows it; *terms* say what it may, see `worker.api.terms`."""

    name: str
    digest: bytes = field(repr=False)
    created_us: int
    by: str
    terms: Mapping[str, Any] = field(default_factory=dict)
    expires_us: int | None = None
    revoked_us: int | None = None

    def is_live(self, now_us: int) -> bool:
        """Whether it opens anything at that instant."""
        return self.revoked_us is None and (self.expires_us is None or now_us < self.expires_us)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyedCall:
    """A call that may be repeated: whose key, and the SHA-256 (hex) of what it asked for."""

    source: str
    key: str
    fingerprint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What a keyed call was answered: the verdict and the job of each request, in order.

    ``fresh`` says that this very call was the first; ``fingerprint`` is the first one's.
    """

    fingerprint: str
    answers: Sequence[tuple[str, JobId]]
    fresh: bool


class AccessStore(Protocol):
    """What a door to the network needs beside intake.  Every method is one transaction."""

    async def add_token(self, token: Token) -> None:
        """Keep a new token.

        Raises:
            ConflictError: If there is or was one with this name; nothing is written.
        """
        ...

    async def tokens(self) -> Sequence[Token]:
        """Return every token, by name, also those that are over."""
        ...

    async def revoke_token(self, name: str) -> Token:
        """End a token now; one that is revoked already stays as it is.

        Raises:
            NothingMatchedError: If there is none of this name.
        """
        ...

    async def enqueue_once(self, call: KeyedCall, requests: Sequence[JobRequest]) -> Receipt:
        """Store the requests as `IntakeStore.enqueue` does, once for each (source, key).

        A second call with the same key changes nothing and gets the receipt of the first,
        whatever it asks for: the caller compares the fingerprints.  Of two at the same time
        one is the first.
        """
        ...
