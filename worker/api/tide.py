"""Wake those who wait for something to happen in the store, whoever wrote it.

One task looks for all who wait; nobody looks while nobody waits.
"""

from typing import Final

import anyio

from jobs.clock import Clock
from jobs.store.protocol import EventStore

LOOK_EVERY_S: Final = 0.1
"""How often it is looked whether anything was written; costs some microseconds."""

LOOK_ANYWAY_S: Final = 1.0
"""Waiters look this often whatever is heard: events may be withheld for a moment."""


class Tide:
    """Comes in when something may have changed."""

    def __init__(self, store: EventStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._wave = anyio.Event()
        self._waiters = 0
        self._asked = anyio.Event()

    def mark(self) -> anyio.Event:
        """Return the present moment, taken before one looks: what changes later is not missed."""
        return self._wave

    async def after(self, mark: anyio.Event) -> None:
        """Wait until something may have changed since the mark, at most LOOK_ANYWAY_S."""
        self._waiters += 1
        self._asked.set()
        try:
            await mark.wait()
        finally:
            self._waiters -= 1

    async def run(self) -> None:
        """Look while somebody waits; until cancelled."""
        anyway_at = 0.0
        while True:
            if not self._waiters:
                self._asked = anyio.Event()
                await self._asked.wait()
                anyway_at = self._clock.monotonic() + LOOK_ANYWAY_S
            await self._clock.sleep(LOOK_EVERY_S)
            now = self._clock.monotonic()
            if self._store.changed() or now >= anyway_at:
                anyway_at = now + LOOK_ANYWAY_S
                self.wake()

    def wake(self) -> None:
        """Let everybody look now."""
        wave, self._wave = self._wave, anyio.Event()
        wave.set()
