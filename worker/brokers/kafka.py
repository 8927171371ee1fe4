"""Kafka: a consumer group whose offsets are committed after the jobs are stored."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

from aiokafka import (  # type: ignore[import-untyped]  # it ships no types
    AIOKafkaConsumer,
    AIOKafkaProducer,
    TopicPartition,
)
from aiokafka.errors import (  # type: ignore[import-untyped]  # it ships no types
    AuthenticationFailedError,
    CommitFailedError,
    GroupAuthorizationFailedError,
    IllegalStateError,
    KafkaError,
    TopicAuthorizationFailedError,
)

from jobs.errors import BrokerError, BrokerRefusedError
from jobs.intake.envelopes import Arrived
from jobs.intake.profile import KafkaPlace
from worker.brokers.deliveries import REASON_HEADER, Delivery

REPLAY_GROUP: Final = "plugwave-replay"


class KafkaTopic:
    """Messages of one topic."""

    def __init__(self, place: KafkaPlace, address: str, dead_letter: str) -> None:
        self._place = place
        self._servers = [one.strip() for one in address.split(",")]
        self._dead = dead_letter
        self._consumer: Any = None
        self._producer: Any = None

    @property
    def place(self) -> str:
        """See `Broker`."""
        return f"kafka topic {self._place.topic}"

    async def open(self) -> None:
        """See `Broker`."""
        await self.close()
        async with _speaking(self.place):
            self._consumer = self._listening(self._place.topic, self._place.group)
            await self._consumer.start()
            if self._place.topic not in await self._consumer.topics():
                raise BrokerRefusedError(f"{self.place}: there is no such topic")
            self._producer = AIOKafkaProducer(bootstrap_servers=self._servers, acks="all")
            await self._producer.start()

    def _listening(self, topic: str, group: str) -> Any:  # noqa: ANN401 - it ships no types
        return AIOKafkaConsumer(
            topic,
            bootstrap_servers=self._servers,
            group_id=group,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
        )

    async def take(self, most: int, wait_s: float) -> Sequence[Delivery]:
        """See `Broker`."""
        async with _speaking(self.place):
            pages = await self._consumer.getmany(timeout_ms=int(wait_s * 1000), max_records=most)
        return [_delivery(record) for page in pages.values() for record in page]

    async def accept(self, deliveries: Sequence[Delivery]) -> None:
        """See `Broker`; partitions that went to another consumer meanwhile are its to commit."""
        ends: dict[Any, int] = {}
        for one in deliveries:
            at = TopicPartition(one.receipt.topic, one.receipt.partition)
            ends[at] = max(ends.get(at, 0), one.receipt.offset + 1)
        async with _speaking(self.place):
            with suppress(CommitFailedError, IllegalStateError):
                await self._consumer.commit(ends)

    async def hold(self, deliveries: Sequence[Delivery]) -> None:
        """See `Broker`; a partition stays with a consumer that lives."""

    async def set_aside(self, delivery: Delivery, reason: str) -> None:
        """See `Broker`; all before it are stored or set aside, so its offset may be committed."""
        record = delivery.receipt
        kept = [(name, text) for name, text in record.headers if name != REASON_HEADER]
        headers = [*kept, (REASON_HEADER, reason.encode())]
        async with _speaking(self.place):
            await self._producer.send_and_wait(
                self._dead, record.value, key=record.key, headers=headers
            )
        await self.accept([delivery])

    async def replay(self, most: int) -> int:
        """See `Broker`; a group of its own remembers what was replayed."""
        async with _speaking(self.place):
            dead = self._listening(self._dead, REPLAY_GROUP)
            await dead.start()
            try:
                pages = await dead.getmany(timeout_ms=5000, max_records=most)
                found = [record for page in pages.values() for record in page]
                for record in found:
                    headers = [one for one in record.headers if one[0] != REASON_HEADER]
                    await self._producer.send_and_wait(
                        self._place.topic, record.value, key=record.key, headers=headers
                    )
                if found:
                    await dead.commit()
            finally:
                await dead.stop()
        return len(found)

    async def close(self) -> None:
        """See `Broker`."""
        consumer, self._consumer = self._consumer, None
        producer, self._producer = self._producer, None
        for one in (consumer, producer):
            if one is not None:
                with suppress(Exception):
                    await one.stop()


def _delivery(record: Any) -> Delivery:  # noqa: ANN401 - it ships no types
    headers = {
        name.lower(): (text or b"").decode("utf-8", "replace") for name, text in record.headers
    }
    arrived = Arrived(
        body=record.value or b"",
        headers=headers,
        position=f"kafka:{record.topic}:{record.partition}:{record.offset}",
    )
    return Delivery(arrived, record)


@asynccontextmanager
async def _speaking(place: str) -> AsyncIterator[None]:
    """Turn the client's errors into ours.

    Raises:
        BrokerRefusedError: If a right is wrong.
        BrokerError: For anything else.
    """
    try:
        yield
    except (
        AuthenticationFailedError,
        GroupAuthorizationFailedError,
        TopicAuthorizationFailedError,
    ) as error:
        message = f"{place}: the broker refuses ({type(error).__name__})"
        raise BrokerRefusedError(message) from None
    except (KafkaError, OSError, TimeoutError) as error:
        raise BrokerError(f"{place}: {type(error).__name__}") from None


async def publish(place: KafkaPlace, address: str, messages: Sequence[tuple[str, bytes]]) -> None:
    """Publish messages to the topic, keyed by their id, acknowledged by all replicas.

    Raises:
        BrokerError: If they may not all be there.
    """
    servers = [one.strip() for one in address.split(",")]
    async with _speaking(f"kafka topic {place.topic}"):
        producer = AIOKafkaProducer(bootstrap_servers=servers, acks="all")
        await producer.start()
        try:
            for name, body in messages:
                await producer.send_and_wait(place.topic, body, key=name.encode())
        finally:
            await producer.stop()
