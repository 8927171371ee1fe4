"""The SQL door: a table that other systems insert requests into, in their own transactions.

They never write jobs.  Workers read the letters, check them like every other request, and
take them in; what cannot be taken in stays, with the reason.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """One row of the inbox.

    Attributes:
        id: Never used twice.
        source: Who wrote it: the scope of its idempotency key.
        key: The key that the writer gave; None when it gave none.
        request: The job request as JSON; it may hold secrets.
    """

    id: int
    source: str
    key: str | None
    request: bytes = field(repr=False)


class InboxStore(Protocol):
    """The letters that wait."""

    async def letters(self, limit: int) -> Sequence[Letter]:
        """Return up to *limit* letters that were not refused, oldest first."""
        ...

    async def done(self, letters: Sequence[int]) -> None:
        """Remove letters: their jobs are stored."""
        ...

    async def refuse(self, letter: int, reason: str) -> None:
        """Keep a letter aside with the reason."""
        ...

    async def again(self, limit: int) -> int:
        """Let up to *limit* refused letters be read again; return how many there were."""
        ...
