"""The store's inbox as a place that messages come from: the same loop, no broker between.

A letter has its own source and key.  It is removed after its job is stored; its number is
its key where the writer gave none, so that dying in between makes the same job of it.
"""

from collections.abc import Sequence
from typing import Final

from jobs.clock import Clock
from jobs.errors import BrokerError, StoreError
from jobs.intake.envelopes import Arrived
from jobs.intake.profile import Terms
from jobs.requests import Defaults
from jobs.store.inbox import InboxStore, Letter
from jobs.store.protocol import Store
from worker.brokers.consuming import Intake
from worker.brokers.deliveries import Delivery

SOURCE: Final = "sql"
"""Who asks, where a letter does not say."""

LOOK_EVERY_S: Final = 1.0
"""Between two looks; one costs a seek in an index that holds nothing but waiting letters."""

AWAY: Final = "the inbox: the store does not answer"


class SqlInbox:
    """Letters of one store."""

    place = "inbox"

    def __init__(self, store: InboxStore) -> None:
        self._store = store

    async def open(self) -> None:
        """See `Broker`."""

    async def take(self, most: int, wait_s: float) -> Sequence[Delivery]:  # noqa: ARG002 - a duty waits between its turns
        """See `Broker`; it never waits."""
        try:
            letters = await self._store.letters(most)
        except StoreError:
            raise BrokerError(AWAY) from None
        return [_delivery(letter) for letter in letters]

    async def accept(self, deliveries: Sequence[Delivery]) -> None:
        """See `Broker`."""
        try:
            await self._store.done([one.receipt for one in deliveries])
        except StoreError:
            raise BrokerError(AWAY) from None

    async def hold(self, deliveries: Sequence[Delivery]) -> None:
        """See `Broker`; letters are nobody's before they are removed."""

    async def set_aside(self, delivery: Delivery, reason: str) -> None:
        """See `Broker`."""
        try:
            await self._store.refuse(delivery.receipt, reason)
        except StoreError:
            raise BrokerError(AWAY) from None

    async def replay(self, most: int) -> int:
        """See `Broker`."""
        return await self._store.again(most)

    async def close(self) -> None:
        """See `Broker`."""


class InboxDuty:
    """What every worker does beside its work: it makes jobs of the letters in the store.

    Two may read the same letter; its key makes one job of it.
    """

    def __init__(self, store: Store, clock: Clock, *, defaults: Defaults) -> None:
        self._inbox = store.inbox
        self._clock = clock
        place = SqlInbox(store.inbox)
        self._intake = Intake(Terms(name=SOURCE), place, store, clock, defaults=defaults)

    async def run(self) -> None:
        """Look every LOOK_EVERY_S, until cancelled."""
        while True:
            await self._intake.sweep()
            await self._clock.sleep(LOOK_EVERY_S)

    async def rests(self) -> bool:
        """Whether no letter waits."""
        return not await self._inbox.letters(1)


def _delivery(letter: Letter) -> Delivery:
    arrived = Arrived(
        body=letter.request,
        source=letter.source,
        key=letter.key,
        position=f"inbox:{letter.id}",
    )
    return Delivery(arrived, letter.id)
