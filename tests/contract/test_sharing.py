"""Several processes on one store: each sees at once what the others have committed."""

from pathlib import Path

import anyio
import anyio.lowlevel
import pytest

from jobs.errors import StoreError
from jobs.states import JobEvent, JobState
from jobs.store.protocol import Change, JobFilter, Store
from tests.builders import a_request
from tests.contract.conftest import Opener
from tests.contract.steps import ONE, SENT, TWO, a_worker, accept, all_is_well, claim, state_of
from tests.fakes import FakeClock


async def test_what_one_commits_the_other_sees(store: Store, other: Store) -> None:
    """Jobs accepted here can be claimed there, and their end is seen here."""
    [job] = await accept(store)
    worker = await a_worker(other, TWO)

    [(_, lease)] = await claim(other, worker)
    await other.record(Change(lease=lease, event=JobEvent.ALREADY, progress=SENT))

    assert await state_of(store, job) is JobState.UNCHANGED


async def noticed(store: Store) -> bool:
    """Whether a change is noticed by the time a hint from another process has arrived."""
    with anyio.move_on_after(0.5):
        while not store.changed():
            await anyio.lowlevel.checkpoint()
        return True
    return False


async def test_changed_notices_every_write_once(store: Store, other: Store) -> None:
    """Own writes and those of other processes are noticed; silence is too."""
    store.changed()
    quiet = store.changed()

    await accept(store, a_request("a"))
    own, then = store.changed(), store.changed()
    await accept(other, a_request("b"))
    foreign, after = await noticed(store), store.changed()

    assert (quiet, own, then, foreign, after) == (False, True, False, True, False)


async def test_two_opening_at_once_find_one_store(
    opener: Opener, tmp_path: Path, clock: FakeClock
) -> None:
    """Processes that start together on a store that does not exist yet all get the same one."""
    opened: list[Store] = []

    async def open_one() -> None:
        opened.append(await opener(tmp_path, clock))

    async with anyio.create_task_group() as group:
        for _ in range(6):
            group.start_soon(open_one)
    for number, one in enumerate(opened):
        await accept(one, a_request(f"pool-{number}"))

    count = await opened[0].open_jobs()
    await all_is_well(opened[0])
    for one in opened:
        await one.close()
    assert count == 6


@pytest.mark.slow
async def test_two_processes_work_one_queue_off(store: Store, other: Store) -> None:
    """With intake, claims and records from both sides, every job ends once and counts add up."""
    jobs = 120
    ended: list[int] = []

    async def take_in(target: Store, side: str) -> None:
        for number in range(jobs // 2):
            await accept(target, a_request(f"pool-{number % 20}", key=f"{side}{number}"))

    async def work(target: Store, name: str) -> None:
        worker = await a_worker(target, ONE if name == "one" else TWO)
        while len(ended) < jobs:
            for job, lease in await claim(target, worker, 5):
                await target.record(Change(lease=lease, event=JobEvent.ALREADY, progress=SENT))
                ended.append(job.id)

    with anyio.fail_after(20):
        async with anyio.create_task_group() as group:
            group.start_soon(take_in, store, "a")
            group.start_soon(take_in, other, "b")
            group.start_soon(work, store, "one")
            group.start_soon(work, other, "two")

    assert len(set(ended)) == len(ended) == jobs
    assert await store.counts() == {JobState.UNCHANGED: jobs}
    await all_is_well(store)


async def test_closing_twice_is_harmless_and_final(store: Store) -> None:
    """A closed store finishes what it accepted and takes nothing more."""
    await accept(store)
    await store.close()
    await store.close()

    with pytest.raises(StoreError):
        await accept(store)
    with pytest.raises(StoreError):
        await store.counts()


async def test_closing_finishes_what_was_accepted(
    store: Store, opener: Opener, tmp_path: Path, clock: FakeClock
) -> None:
    """Calls that were made before the close are carried out before it."""
    async with anyio.create_task_group() as group:
        for number in range(20):
            group.start_soon(store.enqueue, [a_request(f"pool-{number}")])
        await anyio.lowlevel.checkpoint()
        await store.close()

    again = await opener(tmp_path, clock)
    found = [job async for job in again.jobs(JobFilter())]
    await again.close()
    assert len(found) == 20
