"""Receivers that are no webhook: a file, or a broker by its own client."""

import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import anyio.to_thread
import orjson

from jobs.errors import BrokerError
from jobs.outbox.turns import Tried

Message = tuple[str, bytes]
"""The id of one event, and the event."""


class FileReceiver:
    """A file that gets one event on each line, on the disk before it counts as told."""

    def __init__(self, path: Path) -> None:
        self._path = path

    place = "file"

    async def open(self) -> None:
        """See `Receiver`."""

    async def send(self, message: str, events: Sequence[Mapping[str, Any]]) -> Tried:  # noqa: ARG002 - each event has its own id
        """See `Receiver`."""
        lines = b"".join(orjson.dumps(event) + b"\n" for event in events)
        try:
            await anyio.to_thread.run_sync(self._append, lines)
        except OSError as error:
            return Tried(ok=False, outcome=error.strerror or "the file cannot be written")
        return Tried(ok=True, outcome="delivered")

    def _append(self, lines: bytes) -> None:
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o640)
        with os.fdopen(descriptor, "ab") as file:
            file.write(lines)
            file.flush()
            os.fsync(file.fileno())

    async def close(self) -> None:
        """See `Receiver`."""


class BrokerReceiver:
    """A broker that gets one message for each event, with the event's id."""

    def __init__(self, place: str, publish: Callable[[Sequence[Message]], Awaitable[None]]) -> None:
        self.place = place
        self._publish = publish

    async def open(self) -> None:
        """See `Receiver`; it connects for each delivery, which are seconds apart."""

    async def send(self, message: str, events: Sequence[Mapping[str, Any]]) -> Tried:  # noqa: ARG002 - each event has its own id
        """See `Receiver`."""
        try:
            await self._publish([(str(event["id"]), orjson.dumps(event)) for event in events])
        except BrokerError as error:
            return Tried(ok=False, outcome=str(error))
        return Tried(ok=True, outcome="delivered")

    async def close(self) -> None:
        """See `Receiver`."""
