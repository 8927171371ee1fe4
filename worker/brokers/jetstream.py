"""NATS JetStream: a durable pull consumer with explicit acknowledgement.

The dead-letter place is a stream of the same name; it is made when it is not there.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

import nats
import nats.errors
import nats.js.errors
from nats.js.api import AckPolicy, ConsumerConfig

from jobs.errors import BrokerError, BrokerRefusedError
from jobs.intake.envelopes import Arrived
from jobs.intake.profile import NatsPlace
from worker.brokers.deliveries import REASON_HEADER, Delivery

CONNECT_S: Final = 5
NOT_FOUND: Final = 404


class JetStream:
    """Messages of one stream."""

    def __init__(
        self, place: NatsPlace, address: str, dead_letter: str, *, prefetch: int, again_s: float
    ) -> None:
        self._place = place
        self._address = address
        self._dead = dead_letter
        self._prefetch = prefetch
        self._again_s = again_s
        self._client: Any = None
        self._stream: Any = None
        self._messages: Any = None

    @property
    def place(self) -> str:
        """See `Broker`."""
        return f"nats stream {self._place.stream}"

    async def open(self) -> None:
        """See `Broker`."""
        await self.close()
        async with _speaking(self.place):
            self._client = await nats.connect(
                [one.strip() for one in self._address.split(",")],
                allow_reconnect=False,  # who calls opens it again, and nothing in hand is kept
                connect_timeout=CONNECT_S,
                error_cb=_silent,
            )
            self._stream = self._client.jetstream()
            await self._stream.stream_info(self._place.stream)
            await self._have_consumer()
            await self._have_dead_letter()
            self._messages = await self._stream.pull_subscribe_bind(
                consumer=self._place.consumer, stream=self._place.stream
            )

    async def _have_consumer(self) -> None:
        """Make the durable consumer; one that is there is brought to these figures."""
        config = ConsumerConfig(
            durable_name=self._place.consumer,
            ack_policy=AckPolicy.EXPLICIT,
            ack_wait=self._again_s,
            max_ack_pending=self._prefetch,
            filter_subject=self._place.subject,
        )
        await self._stream.add_consumer(self._place.stream, config)

    async def _have_dead_letter(self) -> None:
        try:
            await self._stream.stream_info(self._dead_stream)
        except nats.js.errors.NotFoundError:
            await self._stream.add_stream(name=self._dead_stream, subjects=[self._dead])

    @property
    def _dead_stream(self) -> str:
        """Names of streams have no dots, unlike those of subjects."""
        return self._dead.replace(".", "_")

    async def take(self, most: int, wait_s: float) -> Sequence[Delivery]:
        """See `Broker`."""
        async with _speaking(self.place):
            try:
                found = await self._messages.fetch(most, timeout=wait_s)
            except TimeoutError:  # of the client too, whose own is one
                if not self._client.is_connected:
                    raise BrokerError(f"{self.place}: the connection is lost") from None
                return []
        return [Delivery(self._arrived(message), message) for message in found]

    def _arrived(self, message: Any) -> Arrived:  # noqa: ANN401 - the client's own message
        headers = {name.lower(): text for name, text in (message.headers or {}).items()}
        own = headers.get("nats-msg-id")
        at = f"{message.metadata.stream}:{message.metadata.sequence.stream}"
        return Arrived(
            body=message.data,
            headers=headers,
            position=f"nats-msg-id:{own}" if own else f"nats:{at}",
        )

    async def accept(self, deliveries: Sequence[Delivery]) -> None:
        """See `Broker`."""
        async with _speaking(self.place):
            for one in deliveries:
                await one.receipt.ack()
            await self._client.flush(CONNECT_S)

    async def hold(self, deliveries: Sequence[Delivery]) -> None:
        """See `Broker`."""
        async with _speaking(self.place):
            for one in deliveries:
                await one.receipt.in_progress()

    async def set_aside(self, delivery: Delivery, reason: str) -> None:
        """See `Broker`."""
        message = delivery.receipt
        headers = {**(message.headers or {}), REASON_HEADER: reason}
        # The same message set aside twice is one there: its id is its place in the stream.
        headers["Nats-Msg-Id"] = f"dead:{message.metadata.sequence.stream}"
        headers["plugwave-subject"] = message.subject
        async with _speaking(self.place):
            await self._stream.publish(self._dead, message.data, headers=headers)
            await message.ack_sync(timeout=CONNECT_S)

    async def replay(self, most: int) -> int:
        """See `Broker`."""
        async with _speaking(self.place):
            config = ConsumerConfig(durable_name="replay", ack_policy=AckPolicy.EXPLICIT)
            await self._stream.add_consumer(self._dead_stream, config)
            dead = await self._stream.pull_subscribe_bind(
                consumer="replay", stream=self._dead_stream
            )
            with suppress(TimeoutError):
                found = await dead.fetch(most, timeout=1)
                for message in found:
                    subject = message.headers["plugwave-subject"]
                    kept = {
                        name: text
                        for name, text in message.headers.items()
                        if name not in _OF_THE_DEAD
                    }
                    await self._stream.publish(subject, message.data, headers=kept or None)
                    await message.ack_sync(timeout=CONNECT_S)
                return len(found)
        return 0

    async def close(self) -> None:
        """See `Broker`."""
        client, self._client = self._client, None
        if client is not None:
            with suppress(Exception):
                await client.close()


_OF_THE_DEAD: Final = (REASON_HEADER, "Nats-Msg-Id", "plugwave-subject")


async def _silent(_error: Exception) -> None:
    """The client's own log line: what it means is raised by the next call."""


@asynccontextmanager
async def _speaking(place: str) -> AsyncIterator[None]:
    """Turn the client's errors into ours.

    Raises:
        BrokerRefusedError: If a name or a right is wrong.
        BrokerError: For anything else.
    """
    try:
        yield
    except nats.js.errors.NotFoundError as error:
        message = f"{place}: {error.description or 'there is no such stream'}"
        raise BrokerRefusedError(message) from None
    except nats.errors.AuthorizationError:
        raise BrokerRefusedError(f"{place}: the credentials are refused") from None
    except (nats.errors.Error, nats.js.errors.Error, OSError, TimeoutError) as error:
        raise BrokerError(f"{place}: {type(error).__name__}") from None


async def publish(place: NatsPlace, address: str, messages: Sequence[tuple[str, bytes]]) -> None:
    """Publish messages, each with its id; the server drops one that comes twice.

    Raises:
        BrokerError: If they may not all be there.
    """
    async with _speaking(f"nats stream {place.stream}"):
        client = await nats.connect(
            [one.strip() for one in address.split(",")],
            allow_reconnect=False,
            connect_timeout=CONNECT_S,
            error_cb=_silent,
        )
        try:
            stream = client.jetstream()
            for name, body in messages:
                await stream.publish(
                    place.subject or place.stream,
                    body,
                    stream=place.stream,
                    headers={"Nats-Msg-Id": name},
                )
        finally:
            await client.close()
