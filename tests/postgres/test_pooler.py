"""Behind a transaction pooler: no state of a session is relied on."""

from collections.abc import AsyncIterator

import anyio
import pytest

from jobs.clock import SystemClock
from jobs.errors import StoreError
from jobs.model import WorkerId
from jobs.pacing import Bucket
from jobs.states import JobEvent, JobState
from jobs.store.postgres import open_postgres
from jobs.store.protocol import JobFilter
from tests.builders import a_request
from tests.contract.steps import LEASE_S, ONE, accept, all_is_well, claim, move
from tests.fakes import FakeClock
from tests.postgres.steps import run
from tests.postgres.wires import Pooler, listening, through


@pytest.fixture
async def pooler(dsn: str) -> AsyncIterator[tuple[Pooler, str]]:
    """A pooler before the database, and its address."""
    between = Pooler(dsn)
    async with listening(between) as port:
        yield between, through(dsn, port) + "?pooler=1"


@pytest.mark.slow
async def test_a_whole_life_by_way_of_a_pooler(
    pooler: tuple[Pooler, str], clock: FakeClock
) -> None:
    """Intake, claims, records, limits, questions and check work from many tasks at once."""
    between, address = pooler
    store = await open_postgres(address, SystemClock(), time=clock)
    worker = await store.register(ONE, lease_s=LEASE_S)
    jobs: list[int] = []

    async def one_life(number: int) -> None:
        for turn in range(3):
            jobs.extend(await accept(store, a_request(f"pool-{number}", key=f"{number}-{turn}")))
            for _, lease in await claim(store, worker, 2):
                await move(store, lease, JobEvent.INTENDED)
                await move(store, lease, JobEvent.ACCEPTED)
                await move(store, lease, JobEvent.SETTLED)
            await store.update_buckets(["k"], lambda rows, now: ({"k": Bucket()}, now))
            await store.heartbeat(worker, lease_s=LEASE_S)

    async with anyio.create_task_group() as group:
        for number in range(6):
            group.start_soon(one_life, number)
    while taken := await claim(store, worker):
        for _, lease in taken:
            await move(store, lease, JobEvent.ALREADY)

    found = [job.id async for job in store.jobs(JobFilter(), newest_first=False)]
    assert found == sorted(jobs)
    assert sum((await store.counts()).values()) == len(jobs)
    assert await store.open_jobs() == 0
    await all_is_well(store)
    assert between.refused == []
    assert between.lent > 50
    await store.close()


async def test_only_the_lease_speaks_for_a_worker_behind_a_pooler(
    pooler: tuple[Pooler, str], clock: FakeClock, dsn: str
) -> None:
    """It has no lock, so nobody takes the missing lock for a proof."""
    store = await open_postgres(pooler[1], SystemClock(), time=clock)
    worker: WorkerId = await store.register(ONE, lease_s=LEASE_S)
    [job] = await accept(store)
    await claim(store, worker)

    within = await store.rescue(grace_s=5)
    clock.advance(LEASE_S + 5.001)
    after = await store.rescue(grace_s=5)

    assert (within, after) == ([], [job])
    assert (await store.counts()) == {JobState.READY: 1}
    assert await run(dsn, "SELECT has_lock FROM plugwave.workers") == [(False,)]
    await store.close()


async def test_prepared_statements_of_a_session_would_be_noticed(dsn: str) -> None:
    """The pooler of these tests does break what rests on one session, as real ones do."""
    between = Pooler(dsn)
    async with listening(between) as port:
        with pytest.raises(StoreError):
            await _use(through(dsn, port))

    assert b"lock_timeout" in between.refused


async def _use(dsn: str) -> None:
    store = await open_postgres(dsn, SystemClock())
    try:
        for _ in range(10):
            await accept(store)
            await store.counts()
    finally:
        await store.close()
