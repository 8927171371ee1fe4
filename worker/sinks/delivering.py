"""The loop of a sink: take the turn, read on, hand over, remember.

What is handed over is fixed in the store before the first try, so that a process that dies
after the receiver had it sends the same events with the same id again, and no others.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, Protocol

import structlog

from jobs.clock import Clock, seconds_to_us
from jobs.errors import StoreError
from jobs.model import Job, JobId
from jobs.outbox import turns
from jobs.outbox.profile import EventKind, SinkProfile
from jobs.outbox.telling import cloud_event, is_asked_for, kind_of
from jobs.store.cursor import EventCursor
from jobs.store.protocol import Event, EventStore
from jobs.store.sinks import SinkRow, SinkStore
from worker.sinks.receiving import Receiver

log = structlog.get_logger()

LEASE_S: Final = 60.0
"""How long a turn lasts; longer than a delivery may take."""

LOOK_EVERY_S: Final = 1.0
PAGE: Final = 1_000
"""Events that are looked through at once."""


class Outbox(EventStore, Protocol):
    """What a sink needs of the store."""

    @property
    def sinks(self) -> SinkStore:
        """Its place."""
        ...

    async def job(self, job: JobId) -> Job | None:
        """Return one job."""
        ...

    async def now_us(self) -> int:
        """Return the store's time."""
        ...


class Delivering:
    """One sink."""

    def __init__(
        self,
        profile: SinkProfile,
        receiver: Receiver,
        store: Outbox,
        clock: Clock,
        dice: random.Random,
        *,
        owner: str,
    ) -> None:
        self._name = profile.metadata.name
        self._spec = profile.spec
        self._receiver = receiver
        self._store = store
        self._clock = clock
        self._dice = dice
        self._owner = owner
        self._known = False  # the store has a row of this sink

    async def run(self, *, until_told: bool = False) -> SinkRow:
        """Deliver until cancelled; with *until_told* until everything was told, or it stopped."""
        await self._receiver.open()
        try:
            while True:
                try:
                    row, more = await self.step()
                except StoreError as error:
                    log.warning("store.trouble", error=str(error), doing="sink")
                    row, more = SinkRow(), False
                else:
                    done = row.pending is None and not more
                    if until_told and (done or row.stopped or row.next_us):
                        return row
                if not more:
                    await self._clock.sleep(LOOK_EVERY_S)
        finally:
            await self._receiver.close()

    async def step(self) -> tuple[SinkRow, bool]:
        """Do what is due; return the row, and whether there may be more to do at once."""
        row = await self._turn()
        if row is None or row.stopped is not None:
            return row or SinkRow(next_us=1), False
        if row.pending is None:
            row = await self._load(row)
            if row.pending is None:
                return row, False
        if row.next_us > await self._store.now_us():
            return row, False
        return await self._deliver(row), True

    async def _turn(self) -> SinkRow | None:
        """Take the turn; None while another process has it.

        A sink that is new begins with what comes from now on.
        """
        start = "" if self._known else str(await self._store.event_cursor())

        def take(row: SinkRow | None, now_us: int) -> tuple[SinkRow | None, SinkRow | None]:
            begun = turns.begun(row, start)
            mine = turns.taken(begun, self._owner, now_us, lease_s=LEASE_S)
            return (None if mine is row else mine), mine

        row = await self._store.sinks.update(self._name, take)
        self._known = True
        return row

    async def _load(self, row: SinkRow) -> SinkRow:
        """Fix what goes next: a full batch, or one whose first event has waited long enough."""
        cursor = EventCursor.parse(row.cursor)
        found, reached = await self._store.events_after(cursor, limit=PAGE)
        wanted = await self._wanted(found)
        if not wanted:
            return await self._changed(row, turns.passed(row, str(reached))) if found else row
        oldest_us = found[wanted[0][0]].at_us
        waited = await self._store.now_us() - oldest_us
        full = len(wanted) >= self._spec.batch
        if not full and len(found) < PAGE and waited < seconds_to_us(self._spec.batch_wait):
            return row
        raw = len(found)
        if len(wanted) > self._spec.batch:
            raw = wanted[self._spec.batch - 1][0] + 1
            _, reached = await self._store.events_after(cursor, limit=raw)
        return await self._changed(row, turns.loaded(row, str(reached), raw))

    async def _wanted(self, found: Sequence[Event]) -> list[tuple[int, Mapping[str, Any]]]:
        """Return the events that are told, each with its place among *found*."""
        wanted = []
        for place, event in enumerate(found):
            kind = kind_of(event)
            if kind is None or kind not in self._spec.events:
                continue
            told = await self._told(kind, event)
            if told is not None:
                wanted.append((place, told))
        return wanted

    async def _told(self, kind: EventKind, event: Event) -> Mapping[str, Any] | None:
        job = await self._store.job(event.job)
        if job is None or not is_asked_for(kind, job, self._spec.which):
            return None
        return cloud_event(kind, event, job)

    async def _deliver(self, row: SinkRow) -> SinkRow:
        cursor = EventCursor.parse(row.cursor)
        found, _ = await self._store.events_after(cursor, limit=row.raw)
        events = [told for _, told in await self._wanted(found)]
        message = turns.message_id(self._name, row)
        tried = (
            await self._receiver.send(message, events)
            if events
            else turns.Tried(ok=True, outcome="the jobs were removed before they were told")
        )
        now_us = await self._store.now_us()
        new = turns.after(
            row, tried, self._name, events=len(events), now_us=now_us, dice=self._dice
        )
        self._say(row, new, message, tried, len(events))
        return await self._changed(row, new)

    def _say(
        self, row: SinkRow, new: SinkRow, message: str, tried: turns.Tried, events: int
    ) -> None:
        facts = {"sink": self._name, "id": message, "events": events, "attempt": row.attempt + 1}
        if tried.ok:
            log.info("sink.delivered", **facts)
        else:
            log.warning("sink.failed", **facts, outcome=tried.outcome, stopped=new.stopped)

    async def _changed(self, old: SinkRow, new: SinkRow) -> SinkRow:
        """Write the row, unless it is no longer ours: then what came of it is told by another."""

        def change(row: SinkRow | None, _now_us: int) -> tuple[SinkRow | None, SinkRow]:
            ours = row is not None and row.owner == self._owner and row.cursor == old.cursor
            if row is None or not ours:
                return None, row or old
            kept = replace(new, lease_until_us=row.lease_until_us)
            return kept, kept

        return await self._store.sinks.update(self._name, change)
