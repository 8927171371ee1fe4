"""What is asked of a receiver, whatever it is."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from jobs.outbox.turns import Tried


class Receiver(Protocol):
    """One place that events go to."""

    @property
    def place(self) -> str:
        """What it is called in messages; no address."""
        ...

    async def open(self) -> None:
        """Make ready; a receiver that is away is told by `send`."""
        ...

    async def send(self, message: str, events: Sequence[Mapping[str, Any]]) -> Tried:
        """Hand *events* over, and return what came of it; never raises for the receiver's sake.

        Args:
            message: The id of these events, the same however often they are sent.
            events: CloudEvents.
        """
        ...

    async def close(self) -> None:
        """Let go."""
        ...
