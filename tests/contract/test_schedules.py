"""Schedules in the store: each tick is there once, and an old look at one changes nothing."""

from dataclasses import replace

import anyio
import pytest

from jobs.errors import NothingMatchedError, StaleRevisionError
from jobs.model import RolloutId
from jobs.schedule_states import Skipped, TickState
from jobs.store.protocol import Store
from jobs.store.rollouts import Word
from jobs.store.schedules import NewSchedule, ScheduleChange, ScheduleRow, TickRow
from tests.builders import NOON_US
from tests.fakes import FakeClock

ANA = Word(by="ana", why="it is time", where="host-a")
HOUR_US = 3_600_000_000


def new(
    name: str = "weekly", body: str = '{"a":1}', timing: str = "0 3 * * 0", **more: str
) -> NewSchedule:
    """Return a schedule to write down."""
    return NewSchedule(name=name, body=body, timing=timing, word=ANA, **more)


def tick(hours: int = 1, state: TickState = TickState.DUE, **more: object) -> TickRow:
    """Return a tick so many hours after noon."""
    at_us = NOON_US + hours * HOUR_US
    base = TickRow(at_us=at_us, state=state, until_us=at_us + HOUR_US)
    return replace(base, **more)  # type: ignore[arg-type]  # fields by name


async def seen(store: Store, name: str = "weekly") -> ScheduleRow:
    """Return the schedule as it is."""
    row = await store.schedules.schedule(name)
    assert row is not None
    return row


async def test_a_schedule_is_kept_whole_and_applying_it_again_changes_nothing(store: Store) -> None:
    """What a person applied is there with who did it; the same again is no new revision."""
    put = await store.schedules.put_schedule(new(fleet="project_id\n", profile="north"))
    again = await store.schedules.put_schedule(new(fleet="project_id\n", profile="north"))

    assert (put.outcome, again.outcome) == ("created", "unchanged")
    row = await seen(store)
    assert row == put.row == again.row
    assert (row.body, row.fleet, row.profile, row.word) == ('{"a":1}', "project_id\n", "north", ANA)
    assert row.last_us == NOON_US
    assert await store.schedules.schedules() == [row]


async def test_a_schedule_tells_nothing_of_its_inputs(store: Store) -> None:
    """Its manifest may hold secrets: no repr shows it, so no log and no error can."""
    put = await store.schedules.put_schedule(new(body='{"dbPassword":"planted-secret"}'))

    assert "planted-secret" not in repr(put) + repr(new(body='"planted-secret"'))
    assert "planted-secret" in put.row.body


async def test_a_schedule_with_other_times_begins_to_tick_now(
    store: Store, clock: FakeClock
) -> None:
    """New times have no missed ticks in the past; a new content keeps the times it had."""
    await store.schedules.put_schedule(new())
    clock.advance(hours=5)
    same = await store.schedules.put_schedule(new(body='{"a":2}'))
    assert (same.outcome, same.row.last_us, same.row.rev) == ("replaced", NOON_US, 2)

    other = await store.schedules.put_schedule(new(body='{"a":3}', timing="0 4 * * *"))

    assert (other.outcome, other.row.last_us) == ("replaced", NOON_US + 5 * HOUR_US)
    assert await seen(store) == other.row


async def test_of_many_schedulers_one_writes_a_tick(store: Store, other: Store) -> None:
    """All have read the same revision and fire the same tick: one succeeds, the others hear it."""
    row = (await store.schedules.put_schedule(new())).row
    change = ScheduleChange(row=replace(row, last_us=NOON_US + HOUR_US), fresh=[tick()])
    outcomes: list[str] = []

    async def fire(place: Store) -> None:
        try:
            await place.schedules.change_schedule(change)
            outcomes.append("fired")
        except StaleRevisionError:
            outcomes.append("stale")

    async with anyio.create_task_group() as group:
        for number in range(20):
            group.start_soon(fire, (store, other)[number % 2])

    assert sorted(outcomes) == ["fired", *["stale"] * 19]
    assert await store.schedules.ticks(row.id) == [tick()]


async def test_a_tick_keeps_everything_that_is_known_of_it(store: Store) -> None:
    """Reading gives what was written, with its open ticks first to last, all newest first."""
    row = (await store.schedules.put_schedule(new())).row
    full = tick(
        2, TickState.STARTED, manual=ANA, late=True, next_us=7, tries=2, holder="w1",
        held_until_us=9, plan="f" * 64, rollout=RolloutId(4), bad=True, why="because",
    )  # fmt: skip
    skipped = tick(1, TickState.SKIPPED, skipped=Skipped.MISSED, why="nobody was there")
    changed = await store.schedules.change_schedule(
        ScheduleChange(
            row=replace(row, last_us=NOON_US + 2 * HOUR_US, failures=3, paused=ANA, paused_us=5),
            fresh=[skipped, full, tick(3, TickState.QUEUED)],
        )
    )

    assert await store.schedules.schedule_sight(row.id) == (
        changed,
        [full, tick(3, TickState.QUEUED)],
    )
    assert await store.schedules.ticks(row.id, limit=3) == [
        tick(3, TickState.QUEUED),
        full,
        skipped,
    ]
    assert (changed.failures, changed.paused, changed.paused_us) == (3, ANA, 5)
    assert await seen(store) == changed


async def test_what_was_decided_is_not_decided_again(store: Store) -> None:
    """A change never goes back before the last tick, and an old revision changes nothing."""
    row = (await store.schedules.put_schedule(new())).row
    later = replace(row, last_us=NOON_US + HOUR_US)
    now = await store.schedules.change_schedule(ScheduleChange(row=later, fresh=[tick()]))
    ended = tick(state=TickState.NOTHING)

    with pytest.raises(StaleRevisionError):
        await store.schedules.change_schedule(ScheduleChange(row=row, ticks=[ended]))
    with pytest.raises(ValueError, match="not decided again"):
        await store.schedules.change_schedule(ScheduleChange(row=replace(now, last_us=NOON_US)))

    assert await store.schedules.schedule_sight(row.id) == (now, [tick()])
    await store.schedules.change_schedule(ScheduleChange(row=now, ticks=[ended]))
    assert await store.schedules.schedule_sight(row.id) == (await seen(store), [])
    assert await store.schedules.schedule_revisions() == {row.id: 3}


async def test_a_removed_schedule_is_gone_with_its_ticks(store: Store) -> None:
    """Nothing of it fires any more, and a new one of the name begins from nothing."""
    row = (await store.schedules.put_schedule(new())).row
    await store.schedules.change_schedule(ScheduleChange(row=row, fresh=[tick()]))

    await store.schedules.remove_schedule("weekly")

    assert await store.schedules.schedule("weekly") is None
    assert await store.schedules.schedule_sight(row.id) is None
    with pytest.raises(StaleRevisionError):
        await store.schedules.change_schedule(ScheduleChange(row=row))
    with pytest.raises(NothingMatchedError):
        await store.schedules.remove_schedule("weekly")
    again = (await store.schedules.put_schedule(new())).row
    assert again.id != row.id
    assert await store.schedules.ticks(again.id) == []


async def test_old_ticks_go_and_open_ones_stay(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The newest are kept; one that has still a future is, however old."""
    for engine in ("sqlite", "postgres"):
        monkeypatch.setattr(f"jobs.store.{engine}.schedules.KEPT_TICKS", 3)
    row = (await store.schedules.put_schedule(new())).row
    ticks = [tick(n, TickState.SKIPPED, skipped=Skipped.PAUSED) for n in range(2, 8)]

    row = await store.schedules.change_schedule(ScheduleChange(row=row, fresh=[tick(1)]))
    await store.schedules.change_schedule(ScheduleChange(row=row, fresh=ticks))

    kept = [(one.at_us - NOON_US) // HOUR_US for one in await store.schedules.ticks(row.id)]
    assert kept == [7, 6, 5, 4, 1]
