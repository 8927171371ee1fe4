"""Redis Streams: a consumer group; what a consumer that died had in hand is claimed."""

import os
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

import redis.asyncio as client
from redis.exceptions import (
    AuthenticationError,
    NoPermissionError,
    RedisError,
    ResponseError,
)
from redis.exceptions import ConnectionError as LostError

from jobs.errors import BrokerError, BrokerRefusedError
from jobs.intake.envelopes import Arrived
from jobs.intake.profile import RedisPlace
from worker.brokers.deliveries import REASON_HEADER, Delivery

CONNECT_S: Final = 5.0
_FIRST: Final = "0-0"


class RedisStreams:
    """Entries of one stream."""

    def __init__(
        self, place: RedisPlace, address: str, dead_letter: str, *, again_s: float
    ) -> None:
        self._place = place
        self._address = address
        self._dead = dead_letter
        self._again_ms = int(again_s * 1000)
        self._me = f"{socket.gethostname()}-{os.getpid()}"
        self._redis: Any = None

    @property
    def place(self) -> str:
        """See `Broker`."""
        return f"redis stream {self._place.stream}"

    async def open(self) -> None:
        """See `Broker`."""
        await self.close()
        async with _speaking(self.place):
            self._redis = client.Redis.from_url(
                self._address, socket_connect_timeout=CONNECT_S, socket_timeout=None
            )
            try:
                await self._redis.xgroup_create(
                    self._place.stream, self._place.group, id="0", mkstream=True
                )
            except ResponseError as error:
                if not str(error).startswith("BUSYGROUP"):
                    raise

    async def take(self, most: int, wait_s: float) -> Sequence[Delivery]:
        """See `Broker`."""
        async with _speaking(self.place):
            found = await self._left_over(most)
            if not found:
                answer = await self._redis.xreadgroup(
                    self._place.group,
                    self._me,
                    {self._place.stream: ">"},
                    count=most,
                    block=max(1, int(wait_s * 1000)),
                )
                found = _entries(answer)
        return [
            Delivery(self._arrived(number, fields), (number, fields)) for number, fields in found
        ]

    async def _left_over(self, most: int) -> list[tuple[bytes, dict[bytes, bytes]]]:
        """Claim what others, or an earlier life of this one, did not finish in time."""
        answer = await self._redis.xautoclaim(
            self._place.stream,
            self._place.group,
            self._me,
            min_idle_time=self._again_ms,
            start_id=_FIRST,
            count=most,
        )
        return [(number, fields) for number, fields in answer[1] if fields is not None]

    def _arrived(self, number: bytes, fields: dict[bytes, bytes]) -> Arrived:
        wanted = self._place.field.encode()
        return Arrived(
            body=fields.get(wanted, b""),
            headers={
                name.decode("utf-8", "replace").lower(): text.decode("utf-8", "replace")
                for name, text in fields.items()
                if name != wanted
            },
            position=f"redis:{self._place.stream}:{number.decode()}",
        )

    async def accept(self, deliveries: Sequence[Delivery]) -> None:
        """See `Broker`."""
        if deliveries:
            numbers = [one.receipt[0] for one in deliveries]
            async with _speaking(self.place):
                await self._redis.xack(self._place.stream, self._place.group, *numbers)

    async def hold(self, deliveries: Sequence[Delivery]) -> None:
        """See `Broker`."""
        if deliveries:
            numbers = [one.receipt[0] for one in deliveries]
            async with _speaking(self.place):
                await self._redis.xclaim(
                    self._place.stream,
                    self._place.group,
                    self._me,
                    min_idle_time=0,
                    message_ids=numbers,
                    justid=True,
                )

    async def set_aside(self, delivery: Delivery, reason: str) -> None:
        """See `Broker`; both happen together."""
        number, fields = delivery.receipt
        told = {**fields, REASON_HEADER: reason}
        async with _speaking(self.place), self._redis.pipeline(transaction=True) as both:
            both.xadd(self._dead, told)
            both.xack(self._place.stream, self._place.group, number)
            await both.execute()

    async def replay(self, most: int) -> int:
        """See `Broker`; each moves in one step."""
        async with _speaking(self.place):
            found = await self._redis.xrange(self._dead, count=most)
            for number, fields in found:
                fields.pop(REASON_HEADER.encode(), None)
                async with self._redis.pipeline(transaction=True) as both:
                    both.xadd(self._place.stream, fields)
                    both.xdel(self._dead, number)
                    await both.execute()
        return len(found)

    async def close(self) -> None:
        """See `Broker`."""
        connection, self._redis = self._redis, None
        if connection is not None:
            with suppress(Exception):
                await connection.aclose()


def _entries(answer: Any) -> list[tuple[bytes, dict[bytes, bytes]]]:  # noqa: ANN401 - two protocols
    """Return the entries of one stream; RESP2 answers with pairs, RESP3 with a mapping."""
    if not answer:
        return []
    if isinstance(answer, dict):
        return [entry for pages in answer.values() for page in pages for entry in page]
    return list(answer[0][1])


@asynccontextmanager
async def _speaking(place: str) -> AsyncIterator[None]:
    """Turn the client's errors into ours.

    Raises:
        BrokerRefusedError: If a right or the password is wrong, or the key is no stream.
        BrokerError: For anything else.
    """
    try:
        yield
    except (AuthenticationError, NoPermissionError):
        raise BrokerRefusedError(f"{place}: the credentials are refused") from None
    except LostError:
        raise BrokerError(f"{place}: the connection is lost") from None
    except ResponseError as error:
        if str(error).startswith("WRONGTYPE"):
            raise BrokerRefusedError(f"{place}: the key is no stream") from None
        raise BrokerError(f"{place}: {str(error).split(' ', 1)[0][:40]}") from None
    except (RedisError, OSError, TimeoutError) as error:
        raise BrokerError(f"{place}: {type(error).__name__}") from None


async def publish(place: RedisPlace, address: str, messages: Sequence[tuple[str, bytes]]) -> None:
    """Append messages, each with its id, all or none.

    Raises:
        BrokerError: If they may not all be there.
    """
    async with _speaking(f"redis stream {place.stream}"):
        connection = client.Redis.from_url(address, socket_connect_timeout=CONNECT_S)
        try:
            async with connection.pipeline(transaction=True) as all_or_none:
                for name, body in messages:
                    _ = all_or_none.xadd(place.stream, {"id": name, place.field: body})
                await all_or_none.execute()
        finally:
            await connection.aclose()
