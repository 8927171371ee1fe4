"""Schedules and their ticks: each method is one call to a thread of the store."""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Final, final

from jobs.store.schedule_rows import (
    SCHEDULE,
    TICK,
    changed,
    content_cells,
    no_schedule,
    put_on,
    schedule_cells,
    schedule_value,
    tick_cells,
    tick_value,
)
from jobs.store.schedules import (
    KEPT_TICKS,
    NewSchedule,
    Put,
    ScheduleChange,
    ScheduleId,
    ScheduleRow,
    TickRow,
)
from jobs.store.sqlite.calling import Write
from jobs.store.sqlite.engine import Reader
from jobs.store.sqlite.rollout_reading import Readable
from jobs.store.sqlite.transaction import Snapshot, Transaction

_ALL: Final = f"SELECT {SCHEDULE} FROM schedules ORDER BY name"  # noqa: S608 - made of constants only
_BY_NAME: Final = f"SELECT {SCHEDULE} FROM schedules WHERE name = ?"  # noqa: S608 - likewise
_BY_ID: Final = f"SELECT {SCHEDULE} FROM schedules WHERE id = ?"  # noqa: S608 - likewise
_REVISIONS: Final = "SELECT id, rev FROM schedules"
_OPEN: Final = f"""
SELECT {TICK} FROM ticks WHERE schedule = ? AND open = 1 ORDER BY at_us
"""  # noqa: S608 - likewise
_TICKS: Final = f"""
SELECT {TICK} FROM ticks WHERE schedule = ? ORDER BY at_us DESC LIMIT ?
"""  # noqa: S608 - likewise
_ADD: Final = """
INSERT INTO schedules(name, rev, created_us, changed_us, last_us, timing, body, fleet, profile,
                      word)
VALUES (?1, 1, ?2, ?2, ?2, ?3, ?4, ?5, ?6, ?7)
"""
_REPLACE: Final = """
UPDATE schedules SET rev = rev + 1, changed_us = ?, last_us = ?, timing = ?, body = ?, fleet = ?,
                     profile = ?, word = ?
 WHERE id = ?
"""
_SET: Final = "UPDATE schedules SET rev = ?, last_us = ?, failures = ?, paused = ? WHERE id = ?"
_SET_TICK: Final = """
UPDATE ticks SET open = ?1, state = ?3, rollout = ?4, data = ?5 WHERE schedule = ?6 AND at_us = ?2
"""
_ADD_TICK: Final = """
INSERT INTO ticks(open, at_us, state, rollout, data, schedule) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT DO NOTHING
"""
_FORGET: Final = """
DELETE FROM ticks
 WHERE schedule = ?1 AND open = 0
   AND at_us < (SELECT at_us FROM ticks WHERE schedule = ?1
                 ORDER BY at_us DESC LIMIT 1 OFFSET ?2)
"""


@final
class SqliteSchedules:
    """A `jobs.store.schedules.ScheduleStore` in the file of its store."""

    def __init__(self, write: Write, reader: Reader) -> None:
        self._write = write
        self._reader = reader

    async def put_schedule(self, new: NewSchedule) -> Put:
        """See `ScheduleStore.put_schedule`."""
        return await self._write(partial(_put, new=new))

    async def remove_schedule(self, name: str) -> ScheduleRow:
        """See `ScheduleStore.remove_schedule`."""
        return await self._write(partial(_remove, name=name))

    async def schedule(self, name: str) -> ScheduleRow | None:
        """See `ScheduleStore.schedule`."""
        return await self._reader.run(lambda snapshot: _one(snapshot.rows(_BY_NAME, (name,))))

    async def schedules(self) -> Sequence[ScheduleRow]:
        """See `ScheduleStore.schedules`."""
        return await self._reader.run(
            lambda snapshot: [schedule_value(row) for row in snapshot.rows(_ALL)]
        )

    async def schedule_revisions(self) -> Mapping[ScheduleId, int]:
        """See `ScheduleStore.schedule_revisions`."""
        return await self._reader.run(
            lambda snapshot: {ScheduleId(row[0]): int(row[1]) for row in snapshot.rows(_REVISIONS)}
        )

    async def schedule_sight(
        self, schedule: ScheduleId
    ) -> tuple[ScheduleRow, Sequence[TickRow]] | None:
        """See `ScheduleStore.schedule_sight`."""
        return await self._reader.run(partial(_sight, schedule=schedule))

    async def ticks(self, schedule: ScheduleId, *, limit: int = 100) -> Sequence[TickRow]:
        """See `ScheduleStore.ticks`."""
        return await self._reader.run(
            lambda snapshot: [tick_value(row) for row in snapshot.rows(_TICKS, (schedule, limit))]
        )

    async def change_schedule(self, change: ScheduleChange) -> ScheduleRow:
        """See `ScheduleStore.change_schedule`."""
        return await self._write(partial(_change, change=change))


def _one(rows: Iterable[Sequence[object]]) -> ScheduleRow | None:
    return next((schedule_value(row) for row in rows), None)


def _by_id(source: Readable, schedule: ScheduleId) -> ScheduleRow | None:
    return _one(list(source.rows(_BY_ID, (schedule,))))


def _by_name(source: Readable, name: str) -> ScheduleRow | None:
    return _one(list(source.rows(_BY_NAME, (name,))))


def _sight(
    snapshot: Snapshot, schedule: ScheduleId
) -> tuple[ScheduleRow, Sequence[TickRow]] | None:
    row = _by_id(snapshot, schedule)
    if row is None:
        return None
    return row, [tick_value(cells) for cells in snapshot.rows(_OPEN, (schedule,))]


def _put(transaction: Transaction, new: NewSchedule) -> Put:
    row = _by_name(transaction, new.name)
    if row is None:
        transaction.change(_ADD, (new.name, transaction.now_us, *content_cells(new)))
        row = _by_name(transaction, new.name)
        assert row is not None
        return Put(outcome="created", row=row)
    put = put_on(row, new, transaction.now_us)
    if put.outcome == "replaced":
        times = (put.row.changed_us, put.row.last_us)
        transaction.change(_REPLACE, (*times, *content_cells(new), row.id))
    return put


def _remove(transaction: Transaction, name: str) -> ScheduleRow:
    row = _by_name(transaction, name)
    if row is None:
        raise no_schedule(name)
    transaction.change("DELETE FROM ticks WHERE schedule = ?", (row.id,))
    transaction.change("DELETE FROM schedules WHERE id = ?", (row.id,))
    return row


def _change(transaction: Transaction, change: ScheduleChange) -> ScheduleRow:
    row = changed(_by_id(transaction, change.row.id), change)
    transaction.change(_SET, (*schedule_cells(row), row.id))
    for tick in change.ticks:
        transaction.change(_SET_TICK, (*tick_cells(tick), row.id))
    for tick in change.fresh:
        transaction.change(_ADD_TICK, (*tick_cells(tick), row.id))
    if change.fresh:
        transaction.change(_FORGET, (row.id, KEPT_TICKS))
    return row
