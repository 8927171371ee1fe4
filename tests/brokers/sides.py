"""The other system's side of each broker: it sends messages and looks at the dead ones."""

import contextlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Protocol

import aio_pika
import anyio
import nats as nats_client
import redis.asyncio as redis_client
from aio_pika import DeliveryMode
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer  # type: ignore[import-untyped]  # none
from aiormq.exceptions import AMQPError

from tests.brokers import servers
from worker.brokers.deliveries import REASON_HEADER

NAME: Final = "plugin-jobs"
DEAD: Final = "plugin-jobs.dead"
Body = tuple[str, bytes]
"""The sender's own id of a message, and the message."""


class Side(Protocol):
    """One broker, running, seen from outside."""

    restarts: bool

    async def prepare(self) -> None:
        """Make the place that messages are sent to."""
        ...

    async def send(self, bodies: Sequence[Body]) -> None:
        """Send them, and return when the broker has them for good."""
        ...

    async def dead(self) -> Mapping[bytes, str]:
        """Return what is in the dead-letter place: each message and its reason."""
        ...

    def from_(self) -> Mapping[str, Any]:
        """Return what stands under ``spec.from`` in the intake's file."""
        ...

    def crash(self) -> None:
        """Kill the broker and start it again on the same files."""
        ...

    def remove(self) -> None:
        """End it."""
        ...


class _Daemonic:
    restarts = True

    def __init__(self, daemon: servers.Daemon) -> None:
        self._daemon = daemon
        daemon.start()

    def crash(self) -> None:
        self._daemon.kill()
        self._daemon.start()

    def remove(self) -> None:
        self._daemon.remove()


class Nats(_Daemonic):
    """JetStream."""

    def __init__(self) -> None:
        super().__init__(servers.nats())
        self._url = f"nats://127.0.0.1:{self._daemon.port}"

    async def prepare(self) -> None:
        client = await nats_client.connect(self._url)
        await client.jetstream().add_stream(name=NAME, subjects=["plugin.jobs"])
        await client.close()

    async def send(self, bodies: Sequence[Body]) -> None:
        client = await nats_client.connect(self._url)
        stream = client.jetstream()
        for name, body in bodies:
            await stream.publish("plugin.jobs", body, headers={"Nats-Msg-Id": name})
        await client.close()

    async def dead(self) -> Mapping[bytes, str]:
        client = await nats_client.connect(self._url)
        stream = client.jetstream()
        info = await stream.stream_info(DEAD.replace(".", "_"))
        found = {}
        for number in range(info.state.first_seq, info.state.last_seq + 1):
            message = await stream.get_msg(DEAD.replace(".", "_"), number)
            found[message.data or b""] = (message.headers or {})[REASON_HEADER]
        await client.close()
        return found

    def from_(self) -> Mapping[str, Any]:
        return {"nats": {"url": self._url, "stream": NAME}}


class Redis(_Daemonic):
    """Redis Streams."""

    def __init__(self) -> None:
        super().__init__(servers.redis())
        self._url = f"redis://127.0.0.1:{self._daemon.port}/0"

    async def prepare(self) -> None:
        """Nothing: the stream comes with its first entry."""

    async def send(self, bodies: Sequence[Body]) -> None:
        client = redis_client.Redis.from_url(self._url)
        async with client.pipeline(transaction=False) as many:
            for _, body in bodies:
                _ = many.xadd(NAME, {"body": body})  # sent by execute
            await many.execute()
        await client.aclose()

    async def dead(self) -> Mapping[bytes, str]:
        client = redis_client.Redis.from_url(self._url)
        entries: Any = await client.xrange(DEAD)
        await client.aclose()
        return {fields[b"body"]: fields[REASON_HEADER.encode()].decode() for _, fields in entries}

    def from_(self) -> Mapping[str, Any]:
        return {"redis": {"url": self._url, "stream": NAME}}


class Rabbit(_Daemonic):
    """RabbitMQ."""

    def __init__(self) -> None:
        super().__init__(servers.rabbitmq())
        self._url = f"amqp://guest:guest@127.0.0.1:{self._daemon.port}/"

    async def _connected(self) -> Any:
        """Connect; a node listens a while before it answers."""
        for _ in range(100):
            with contextlib.suppress(AMQPError, OSError):
                return await aio_pika.connect(self._url)
            await anyio.sleep(0.2)
        raise TimeoutError(self._url)

    async def prepare(self) -> None:
        connection = await self._connected()
        channel = await connection.channel()
        await channel.declare_queue(NAME, durable=True)
        await connection.close()

    async def send(self, bodies: Sequence[Body]) -> None:
        connection = await self._connected()
        channel = await connection.channel(publisher_confirms=True)
        for name, body in bodies:
            message = aio_pika.Message(body, message_id=name, delivery_mode=DeliveryMode.PERSISTENT)
            await channel.default_exchange.publish(message, routing_key=NAME)
        await connection.close()

    async def dead(self) -> Mapping[bytes, str]:
        connection = await self._connected()
        queue = await (await connection.channel()).get_queue(DEAD)
        found = {}
        while (message := await queue.get(fail=False)) is not None:
            found[message.body] = str(message.headers[REASON_HEADER])
        await connection.close()
        return found

    def from_(self) -> Mapping[str, Any]:
        return {"rabbitmq": {"url": "env:PLUGIN_JOBS_URL", "queue": NAME}}

    @property
    def address(self) -> str:
        """The address with its password, which stands in no file."""
        return self._url


class Kafka:
    """Kafka's protocol."""

    restarts = False

    def __init__(self) -> None:
        self._mock = servers.KafkaMock()

    async def prepare(self) -> None:
        await self.send([])

    async def send(self, bodies: Sequence[Body]) -> None:
        producer = AIOKafkaProducer(bootstrap_servers=self._mock.servers, acks="all")
        await producer.start()
        await producer.partitions_for(NAME)
        for _, body in bodies:
            await producer.send(NAME, body)
        await producer.stop()

    async def dead(self) -> Mapping[bytes, str]:
        consumer = AIOKafkaConsumer(
            DEAD, bootstrap_servers=self._mock.servers, auto_offset_reset="earliest"
        )
        await consumer.start()
        found = {}
        while pages := await consumer.getmany(timeout_ms=1500):
            for record in (record for page in pages.values() for record in page):
                found[record.value] = dict(record.headers)[REASON_HEADER].decode()
        await consumer.stop()
        return found

    def from_(self) -> Mapping[str, Any]:
        return {"kafka": {"url": self._mock.servers, "topic": NAME}}

    def crash(self) -> None:
        raise NotImplementedError("the mock cluster lives and dies with its process")

    def remove(self) -> None:
        """It goes with the process."""


SIDES: Final[Mapping[str, Callable[[], Side]]] = {
    "nats": Nats,
    "redis": Redis,
    "rabbitmq": Rabbit,
    "kafka": Kafka,
}
