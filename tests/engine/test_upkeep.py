"""The duties beside the work: the store stays small, and nobody waits for that."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest

from jobs.errors import StoreLockedError
from jobs.model import JobId
from jobs.retention import Retention
from jobs.states import JobEvent
from jobs.store.keeping import Forgotten, Pruned, Tidied
from jobs.store.sqlite import open_sqlite
from tests.builders import a_request
from tests.contract.steps import a_worker, accept, claim, move
from tests.fakes import FakeClock
from worker.reporting import Reporter
from worker.upkeep import LEAST_REST_S, REST, TELL_EVERY_S, Upkeep, prune

DAY = Retention(finished_s=86_400.0, keys_s=86_400.0)


class SlowStore:
    """Has a few steps of pruning, each of which takes a tenth of a second; may be in trouble."""

    def __init__(self, clock: FakeClock, steps: int) -> None:
        self.clock = clock
        self.steps = steps
        self.turns = 0
        self.broken = False
        self.at: list[float] = []

    async def take_turn(self, duty: str, *, every_s: float) -> bool:
        if self.broken:
            raise StoreLockedError("somebody else has it")
        self.turns += duty == "prune"
        return True

    async def prune(
        self,
        retention: Retention,
        *,
        after: JobId | None = None,
        unreported: bool = False,
        dry_run: bool = False,
    ) -> Pruned:
        self.at.append(self.clock.monotonic())
        self.clock.advance(0.1)
        self.steps -= 1
        return Pruned(jobs=1, next=JobId(1) if self.steps else None)

    async def tidy(self, retention: Retention) -> Tidied:
        return Tidied()

    async def forget(self, retention: Retention) -> Forgotten:
        return Forgotten()


class NoLines:
    """Has nothing to tell."""

    async def tell(self) -> None:
        """Tell nothing."""


@asynccontextmanager
async def time_goes_by(clock: FakeClock, seconds: float) -> AsyncIterator[None]:
    """Wake whoever sleeps, one after the other, for that long; then end the block's tasks."""
    async with anyio.create_task_group() as group:

        async def go_on() -> None:
            until = clock.monotonic() + seconds
            while clock.monotonic() < until:
                await anyio.wait_all_tasks_blocked()
                clock.advance(max(clock.next_wake_s or 1.0, 0.001))
            group.cancel_scope.cancel()

        group.start_soon(go_on)
        yield


async def test_most_of_the_time_belongs_to_the_work() -> None:
    """After each step the store is left alone for many times as long as the step took."""
    clock = FakeClock()
    store = SlowStore(clock, steps=4)

    async with time_goes_by(clock, 60):
        removed = await prune(store, DAY, clock)
        gaps = [later - one - 0.1 for one, later in zip(store.at, store.at[1:], strict=False)]

    assert removed.jobs == 4
    assert min(gaps) == pytest.approx(REST * 0.1)
    assert LEAST_REST_S > 0


async def test_a_store_in_trouble_is_asked_again_later() -> None:
    """A duty that fails ends nothing: the worker goes on, and the duty has its next turn."""
    clock = FakeClock()
    store = SlowStore(clock, steps=1)
    store.broken = True
    upkeep = Upkeep(store, NoLines(), DAY, clock, every_s=30.0)

    async with time_goes_by(clock, 100), anyio.create_task_group() as group:
        group.start_soon(upkeep.run)
        await clock.sleep(50)
        broken_turns, store.broken = store.turns, False
        await clock.sleep(40)
        group.cancel_scope.cancel()

    assert (broken_turns, store.turns > 0) == (0, True)


async def test_a_worker_tells_what_it_has_reported_and_removes_what_is_old(
    tmp_path: Path,
) -> None:
    """A job whose line was written goes a day after its end; nobody has to ask for it."""
    clock = FakeClock()
    store = await open_sqlite(tmp_path / "jobs.db", clock)
    worker = await a_worker(store)
    reporter = Reporter(store, tmp_path / "results", lambda _: None)
    reporter.start(worker)
    [job, last] = await accept(store, a_request("a"), a_request("b"))
    for _, lease in await claim(store, worker):
        await move(store, lease, JobEvent.ALREADY)
    await reporter.flush()
    upkeep = Upkeep(store, reporter, DAY, clock, every_s=600.0)

    async with anyio.create_task_group() as group:
        group.start_soon(upkeep.run)
        while await store.job(job) is not None:
            clock.advance(TELL_EVERY_S * 720)
            for _ in range(40):
                await store.counts()  # lets the writer's answers come in
        group.cancel_scope.cancel()

    assert await store.job(last) is not None  # the worker goes on numbering by it
    await reporter.stop()
    await store.close()


async def test_a_dead_worker_s_lines_count_as_written_once_they_are(tmp_path: Path) -> None:
    """Whoever writes the rest of a dead worker's lines tells the store so."""
    clock = FakeClock()
    store = await open_sqlite(tmp_path / "jobs.db", clock)
    dead = await a_worker(store)
    reporter = Reporter(store, tmp_path / "results", lambda _: None)
    reporter.start(dead)
    await accept(store, a_request("a"))
    for _, lease in await claim(store, dead):
        await move(store, lease, JobEvent.ALREADY)
    reporter.abandon()
    await store.leave(dead)
    clock.advance(hours=25)
    before = await store.prune(DAY)
    await Reporter(store, tmp_path / "results", lambda _: None).adopt()
    after = await store.prune(DAY)

    assert (before.jobs, after.jobs) == (0, 1)
    await store.close()
