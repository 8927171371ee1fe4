"""RabbitMQ: one queue, taken with a bounded prefetch and acknowledged by hand.

A message has no number of its own there.  So redelivery is told by what it says: its
``message_id``, a CloudEvent's (source, id), or the request's own key.  Without any of them a
message that comes twice joins the open job of the same content.
"""

from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

import aio_pika
import aiormq.exceptions
import anyio
from aio_pika import DeliveryMode, Message

from jobs.errors import BrokerError, BrokerRefusedError
from jobs.intake.envelopes import Arrived
from jobs.intake.profile import RabbitPlace
from worker.brokers.deliveries import REASON_HEADER, Delivery

CONNECT_S: Final = 5.0


class RabbitQueue:
    """Messages of one queue."""

    def __init__(
        self, place: RabbitPlace, address: str, dead_letter: str, *, prefetch: int
    ) -> None:
        self._place = place
        self._address = address
        self._dead = dead_letter
        self._prefetch = prefetch
        self._connection: Any = None
        self._channel: Any = None
        self._queue: Any = None
        self._came: deque[Any] = deque()
        self._more = anyio.Event()

    @property
    def place(self) -> str:
        """See `Broker`."""
        return f"rabbitmq queue {self._place.queue}"

    async def open(self) -> None:
        """See `Broker`."""
        await self.close()
        async with _speaking(self.place):
            self._connection = await aio_pika.connect(self._address, timeout=CONNECT_S)
            self._channel = await self._connection.channel(publisher_confirms=True)
            await self._channel.set_qos(prefetch_count=self._prefetch)
            self._queue = await self._channel.get_queue(self._place.queue, ensure=True)
            await self._channel.declare_queue(self._dead, durable=True)
            self._came.clear()
            await self._queue.consume(self._keep)

    async def _keep(self, message: Any) -> None:  # noqa: ANN401 - the client's own message
        self._came.append(message)
        self._more.set()

    async def take(self, most: int, wait_s: float) -> Sequence[Delivery]:
        """See `Broker`."""
        if not self._came:
            self._more = anyio.Event()
            with anyio.move_on_after(wait_s):
                await self._more.wait()
        if self._channel is None or self._channel.is_closed:
            raise BrokerError(f"{self.place}: the connection is lost")
        count = min(most, len(self._came))
        return [_delivery(self._came.popleft()) for _ in range(count)]

    async def accept(self, deliveries: Sequence[Delivery]) -> None:
        """See `Broker`."""
        async with _speaking(self.place):
            for one in deliveries:
                await one.receipt.ack()

    async def hold(self, deliveries: Sequence[Delivery]) -> None:
        """See `Broker`; a queue keeps what is in hand for as long as the connection lives."""

    async def set_aside(self, delivery: Delivery, reason: str) -> None:
        """See `Broker`."""
        await self._move(delivery.receipt, self._dead, {REASON_HEADER: reason})

    async def _move(self, message: Any, to: str, more: dict[str, str]) -> None:  # noqa: ANN401
        """Publish a copy to the queue *to*, wait for it to be confirmed, then acknowledge."""
        kept = {name: text for name, text in message.headers.items() if name != REASON_HEADER}
        copy = Message(
            message.body,
            headers={**kept, **more},
            message_id=message.message_id,
            content_type=message.content_type,
            delivery_mode=DeliveryMode.PERSISTENT,
        )
        async with _speaking(self.place):
            await self._channel.default_exchange.publish(copy, routing_key=to, timeout=CONNECT_S)
            await message.ack()

    async def replay(self, most: int) -> int:
        """See `Broker`."""
        async with _speaking(self.place):
            dead = await self._channel.get_queue(self._dead, ensure=False)
            for count in range(most):
                message = await dead.get(fail=False, timeout=CONNECT_S)
                if message is None:
                    return count
                await self._move(message, self._place.queue, {})
        return most

    async def close(self) -> None:
        """See `Broker`."""
        connection, self._connection = self._connection, None
        self._channel = None
        if connection is not None:
            with suppress(Exception):
                await connection.close()


def _delivery(message: Any) -> Delivery:  # noqa: ANN401 - the client's own message
    headers = {str(name).lower(): str(text) for name, text in (message.headers or {}).items()}
    if message.content_type:
        headers["content-type"] = message.content_type
    own = message.message_id
    position = f"message-id:{own}" if own else None
    return Delivery(Arrived(body=message.body, headers=headers, position=position), message)


@asynccontextmanager
async def _speaking(place: str) -> AsyncIterator[None]:
    """Turn the client's errors into ours.

    Raises:
        BrokerRefusedError: If a name or a right is wrong.
        BrokerError: For anything else.
    """
    try:
        yield
    except aiormq.exceptions.ChannelNotFoundEntity:
        raise BrokerRefusedError(f"{place}: there is no such queue") from None
    except (
        aiormq.exceptions.ProbableAuthenticationError,
        aiormq.exceptions.AuthenticationError,
        aiormq.exceptions.ChannelAccessRefused,
        aiormq.exceptions.ChannelPreconditionFailed,
    ) as error:
        message = f"{place}: the broker refuses ({type(error).__name__})"
        raise BrokerRefusedError(message) from None
    except (aiormq.exceptions.AMQPError, RuntimeError, OSError, TimeoutError) as error:
        raise BrokerError(f"{place}: {type(error).__name__}") from None


async def publish(place: RabbitPlace, address: str, messages: Sequence[tuple[str, bytes]]) -> None:
    """Publish messages to the queue, each with its id, and wait until they are confirmed.

    Raises:
        BrokerError: If they may not all be there.
    """
    async with _speaking(f"rabbitmq queue {place.queue}"):
        connection = await aio_pika.connect(address, timeout=CONNECT_S)
        try:
            channel = await connection.channel(publisher_confirms=True)
            await channel.get_queue(place.queue, ensure=True)
            for name, body in messages:
                message = Message(
                    body,
                    message_id=name,
                    content_type="application/cloudevents+json",
                    delivery_mode=DeliveryMode.PERSISTENT,
                )
                exchange = channel.default_exchange
                await exchange.publish(message, routing_key=place.queue, timeout=CONNECT_S)
        finally:
            await connection.close()
