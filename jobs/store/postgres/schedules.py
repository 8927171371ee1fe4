"""Schedules and their ticks: each method is one transaction or one question.

Whoever changes a schedule or one of its ticks locks the schedule's row first.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Final, final

from jobs.errors import BadRequestError
from jobs.store.postgres.calling import Read, Write
from jobs.store.postgres.intake import NOT_STORABLE
from jobs.store.postgres.transaction import Transaction, columns
from jobs.store.postgres.troubles import AgainError, RefusedValuesError
from jobs.store.postgres.wire import Row, Wire
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

_ALL: Final = f'SELECT {SCHEDULE} FROM plugwave.schedules ORDER BY name COLLATE "C"'  # noqa: S608 - made of constants only
_BY_NAME: Final = f"SELECT {SCHEDULE} FROM plugwave.schedules WHERE name = $1"  # noqa: S608 - likewise
_LOCK_NAME: Final = f"{_BY_NAME} FOR UPDATE"
_BY_ID: Final = f"SELECT {SCHEDULE} FROM plugwave.schedules WHERE id = $1"  # noqa: S608 - likewise
_LOCK_ID: Final = f"{_BY_ID} FOR UPDATE"
_REVISIONS: Final = "SELECT id, rev FROM plugwave.schedules"
_OPEN: Final = f"""
SELECT {TICK} FROM plugwave.ticks WHERE schedule = $1 AND open = 1 ORDER BY at_us
"""  # noqa: S608 - likewise
_TICKS: Final = f"""
SELECT {TICK} FROM plugwave.ticks WHERE schedule = $1 ORDER BY at_us DESC LIMIT $2
"""  # noqa: S608 - likewise
_ADD: Final = f"""
INSERT INTO plugwave.schedules(name, rev, created_us, changed_us, last_us, timing, body, fleet,
                               profile, word)
VALUES ($1, 1, $2, $2, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING RETURNING {SCHEDULE}
"""  # noqa: S608 - likewise
_REPLACE: Final = """
UPDATE plugwave.schedules
   SET rev = rev + 1, changed_us = $1, last_us = $2, timing = $3, body = $4, fleet = $5,
       profile = $6, word = $7
 WHERE id = $8
"""
_SET: Final = """
UPDATE plugwave.schedules SET rev = $1, last_us = $2, failures = $3, paused = $4 WHERE id = $5
"""
_SET_TICK: Final = """
UPDATE plugwave.ticks SET open = $1, state = $3, rollout = $4, data = $5
 WHERE schedule = $6 AND at_us = $2
"""
_ADD_TICKS: Final = """
INSERT INTO plugwave.ticks(schedule, open, at_us, state, rollout, data)
SELECT $1, u.* FROM unnest($2::smallint[], $3::bigint[], $4::text[], $5::bigint[], $6::text[]) u
ON CONFLICT DO NOTHING
"""
_FORGET: Final = """
DELETE FROM plugwave.ticks
 WHERE schedule = $1 AND open = 0
   AND at_us < (SELECT at_us FROM plugwave.ticks WHERE schedule = $1
                 ORDER BY at_us DESC LIMIT 1 OFFSET $2)
"""


@final
class PostgresSchedules:
    """A `jobs.store.schedules.ScheduleStore` in the database of its store."""

    def __init__(self, write: Write, read: Read) -> None:
        self._write = write
        self._read = read

    async def put_schedule(self, new: NewSchedule) -> Put:
        """See `ScheduleStore.put_schedule`."""
        try:
            return await self._write(partial(_put, new=new))
        except RefusedValuesError:
            raise BadRequestError(NOT_STORABLE) from None

    async def remove_schedule(self, name: str) -> ScheduleRow:
        """See `ScheduleStore.remove_schedule`."""
        return await self._write(partial(_remove, name=name))

    async def schedule(self, name: str) -> ScheduleRow | None:
        """See `ScheduleStore.schedule`."""
        return await self._read(partial(_one, sql=_BY_NAME, value=name))

    async def schedules(self) -> Sequence[ScheduleRow]:
        """See `ScheduleStore.schedules`."""
        return [schedule_value(row) for row in await self._read(lambda wire: wire.rows(_ALL))]

    async def schedule_revisions(self) -> Mapping[ScheduleId, int]:
        """See `ScheduleStore.schedule_revisions`."""
        found = await self._read(lambda wire: wire.rows(_REVISIONS))
        return {ScheduleId(row[0]): int(row[1]) for row in found}

    async def schedule_sight(
        self, schedule: ScheduleId
    ) -> tuple[ScheduleRow, Sequence[TickRow]] | None:
        """See `ScheduleStore.schedule_sight`."""
        return await self._read(partial(_sight, schedule=schedule), snapshot=True)

    async def ticks(self, schedule: ScheduleId, *, limit: int = 100) -> Sequence[TickRow]:
        """See `ScheduleStore.ticks`."""
        found = await self._read(lambda wire: wire.rows(_TICKS, schedule, limit))
        return [tick_value(row) for row in found]

    async def change_schedule(self, change: ScheduleChange) -> ScheduleRow:
        """See `ScheduleStore.change_schedule`."""
        return await self._write(partial(_change, change=change))


async def _one(wire: Wire, sql: str, value: object) -> ScheduleRow | None:
    row: Row | None = await wire.row(sql, value)
    return None if row is None else schedule_value(row)


async def _sight(wire: Wire, schedule: ScheduleId) -> tuple[ScheduleRow, Sequence[TickRow]] | None:
    row = await _one(wire, _BY_ID, schedule)
    if row is None:
        return None
    return row, [tick_value(cells) for cells in await wire.rows(_OPEN, schedule)]


async def _put(transaction: Transaction, new: NewSchedule) -> Put:
    wire = transaction.wire
    row = await _one(wire, _LOCK_NAME, new.name)
    if row is None:
        added = await wire.row(_ADD, new.name, transaction.now_us, *content_cells(new))
        if added is None:
            raise AgainError  # somebody else was first; the next try sees it
        return Put(outcome="created", row=schedule_value(added))
    put = put_on(row, new, transaction.now_us)
    if put.outcome == "replaced":
        times = (put.row.changed_us, put.row.last_us)
        await wire.rows(_REPLACE, *times, *content_cells(new), row.id)
    return put


async def _remove(transaction: Transaction, name: str) -> ScheduleRow:
    wire = transaction.wire
    row = await _one(wire, _LOCK_NAME, name)
    if row is None:
        raise no_schedule(name)
    await wire.rows("DELETE FROM plugwave.ticks WHERE schedule = $1", row.id)
    await wire.rows("DELETE FROM plugwave.schedules WHERE id = $1", row.id)
    return row


async def _change(transaction: Transaction, change: ScheduleChange) -> ScheduleRow:
    wire = transaction.wire
    row = changed(await _one(wire, _LOCK_ID, change.row.id), change)
    await wire.rows(_SET, *schedule_cells(row), row.id)
    for tick in change.ticks:
        await wire.rows(_SET_TICK, *tick_cells(tick), row.id)
    if change.fresh:
        cells = [tick_cells(tick) for tick in change.fresh]
        await wire.rows(_ADD_TICKS, row.id, *columns(cells, 5))
        await wire.rows(_FORGET, row.id, KEPT_TICKS)
    return row
