"""What the intake asks of a broker: a few calls, the same for all of them.

The rule behind all of it: a message is acknowledged only after its job is stored, or after
the dead-letter place has confirmed it.  Whatever happens between leaves it with the broker,
which delivers it again, and the idempotency key makes the same job of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from jobs.intake.envelopes import Arrived

REASON_HEADER = "plugwave-reason"
"""Under which a message in the dead-letter place tells why it is there."""

REASON_LIMIT = 1000
"""Characters of the reason that are kept."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message in hand; *receipt* is the broker's own."""

    arrived: Arrived
    receipt: Any


class Broker(Protocol):
    """One place that messages come from.

    Every call may raise `BrokerError` when the broker is away; the caller opens it again.
    Then the receipts of before are worth nothing, and their messages come again.
    """

    @property
    def place(self) -> str:
        """What it is called in messages: kind and name, no address."""
        ...

    async def open(self) -> None:
        """Connect, and make what may be made (the consumer, the dead-letter place).

        Raises:
            BrokerRefusedError: If waiting will not help: a name or a right is wrong.
            BrokerError: If it cannot be reached.
        """
        ...

    async def take(self, most: int, wait_s: float) -> Sequence[Delivery]:
        """Return up to *most* messages; none when there were none for *wait_s*."""
        ...

    async def accept(self, deliveries: Sequence[Delivery]) -> None:
        """Acknowledge: they are stored, and never come again."""
        ...

    async def hold(self, deliveries: Sequence[Delivery]) -> None:
        """Say that they are still in hand, so that nobody else gets them meanwhile."""
        ...

    async def set_aside(self, delivery: Delivery, reason: str) -> None:
        """Put it into the dead-letter place with the reason, wait for that, then acknowledge.

        Called only when all that came before it is stored or set aside.
        """
        ...

    async def replay(self, most: int) -> int:
        """Put up to *most* messages of the dead-letter place back; return how many there were."""
        ...

    async def close(self) -> None:
        """Let go; what is in hand comes again.  Never raises."""
        ...
