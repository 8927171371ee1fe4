"""Where each sink of events stands: one row for each, changed under its lock."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One try: what came of it; no address, no body."""

    at_us: int
    id: str
    events: int
    outcome: str
    """``delivered``, or in short why not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SinkRow:
    """How far a sink is, and what it waits for.

    Attributes:
        cursor: Everything up to here was delivered, or is not asked for.
        pending: The end of what is being delivered; the same events go with the same id
            however often it is tried.  None between two deliveries.
        raw: How many events of all lie between ``cursor`` and ``pending``.
        attempt: How often it was tried.
        next_us: Not before.
        owner: Which process delivers; empty for none.
        lease_until_us: Until when nobody else does.
        stopped: Why it delivers nothing until a person says so; None while it runs.
        delivered: How many events were delivered in all.
        log: The last tries, newest last.
    """

    cursor: str = "0-0"
    pending: str | None = None
    raw: int = 0
    attempt: int = 0
    next_us: int = 0
    owner: str = ""
    lease_until_us: int = 0
    stopped: str | None = None
    delivered: int = 0
    log: tuple[Delivery, ...] = ()


class SinkStore(Protocol):
    """The rows of the sinks."""

    async def update(
        self, name: str, change: Callable[[SinkRow | None, int], tuple[SinkRow | None, T]]
    ) -> T:
        """Read the row of *name*, apply *change* to it and the store's time, write the result.

        One transaction under the row's lock.  *change* is pure and may be called again; a
        row of None is not written.  Returns the second part of what *change* returned.
        """
        ...

    async def all(self) -> Mapping[str, SinkRow]:
        """Return every row by its name."""
        ...
