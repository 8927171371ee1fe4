"""Many workers on one database: no job twice, no wait in vain, death found soon."""

import re
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from jobs.errors import LeaseLostError
from jobs.model import JobId, WorkerId
from jobs.pacing import Bucket
from jobs.states import JobEvent, JobState
from jobs.store.postgres import Patience, PostgresStore, claiming
from tests.builders import a_request
from tests.contract.steps import (
    ONE,
    TWO,
    a_worker,
    accept,
    all_is_well,
    bring,
    claim,
    claimed,
    move,
    state_of,
)
from tests.fakes import FakeClock
from tests.postgres.steps import admin, kill_backends, no_commits, opened, run, waiting

GRACE_S = 30.0


@pytest.mark.parametrize("turn", range(5))
async def test_racing_claims_never_share_a_pool(
    store: PostgresStore, other: PostgresStore, turn: int
) -> None:
    """31 pools with two jobs each, two workers at once: 31 jobs are claimed, of 31 pools."""
    requests = [a_request(f"pool-{n % 31}", f"project-{n % 3}", key=f"{n}") for n in range(62)]
    pools = {request.target.pool for request in requests}
    await accept(store, *requests)
    one, two = await a_worker(store, ONE), await a_worker(other, TWO)
    got: list[tuple[str, str, str]] = []

    async def take(target: PostgresStore, worker: WorkerId) -> None:
        for _ in range(4):
            got.extend(job.request.target.pool for job, _ in await claim(target, worker, 17))

    async with anyio.create_task_group() as group:
        group.start_soon(take, store, one)
        group.start_soon(take, other, two)

    assert len(got) == len(set(got)) == len(pools)
    await all_is_well(store)


async def test_a_claim_passes_over_pools_that_somebody_has_locked(
    store: PostgresStore, dsn: str
) -> None:
    """A long intake into some pools delays no other."""
    jobs = await accept(store, *[a_request(f"pool-{n}") for n in range(4)])
    worker = await a_worker(store)
    async with admin(dsn) as connection, connection.transaction():
        await connection.fetch("SELECT 1 FROM plugwave.pools WHERE name < 'pool-2' FOR UPDATE")

        meanwhile = await claimed(store, worker)

    assert meanwhile == jobs[2:]
    assert await claimed(store, worker) == jobs[:2]


async def test_a_burial_waits_for_a_claim_and_frees_what_it_took(
    store: PostgresStore, other: PostgresStore, clock: FakeClock, dsn: str
) -> None:
    """No job is left in the hands of a worker that was declared dead while it claimed."""
    jobs = await accept(store, *[a_request(f"pool-{n}") for n in range(3)])
    worker = await a_worker(store)
    clock.advance(minutes=10)
    freed: list[JobId] = []

    async def bury() -> None:
        freed.extend(await other.rescue(grace_s=GRACE_S))

    async with anyio.create_task_group() as group, no_commits(dsn):
        group.start_soon(claim, store, worker)
        await waiting(dsn, 1)
        group.start_soon(bury)
        await waiting(dsn, 2)

    assert freed == jobs
    assert await store.counts() == {JobState.READY: 3}
    await all_is_well(store)


async def test_a_claim_that_saw_what_another_took_looks_again(
    store: PostgresStore, other: PostgresStore, dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between a look at the queue and the lock another claim may have ended; nothing is shared."""
    # A lock that waits stands for one that comes just late enough.
    monkeypatch.setattr(claiming, "PILES", claiming.PILES.replace(" SKIP LOCKED", ""))
    jobs = await accept(store, *[a_request(f"pool-{n}") for n in range(4)])
    one, two = await a_worker(store, ONE), await a_worker(other, TWO)
    got: list[list[JobId]] = []

    async def take(target: PostgresStore, worker: WorkerId) -> None:
        got.append(await claimed(target, worker, 2))

    async with anyio.create_task_group() as group, no_commits(dsn):
        group.start_soon(take, store, one)
        await waiting(dsn, 1)
        group.start_soon(take, other, two)
        await waiting(dsn, 2)

    assert sorted(got) == [jobs[:2], jobs[2:]]
    await all_is_well(store)


async def test_two_processes_that_meet_a_pool_first_make_it_once(
    store: PostgresStore, other: PostgresStore, dsn: str
) -> None:
    """Whoever comes second finds the pool busy, also when neither could see the other."""
    await accept(store, a_request("elsewhere"))
    answers: list[JobId] = []

    async def take_in(target: PostgresStore, key: str) -> None:
        answers.extend(await accept(target, a_request(key=key)))

    async with anyio.create_task_group() as group, no_commits(dsn):
        group.start_soon(take_in, store, "1")
        await waiting(dsn, 1)
        group.start_soon(take_in, other, "2")
        await waiting(dsn, 2)

    first, second = sorted(answers, key=lambda job: job)
    assert {await state_of(store, first), await state_of(store, second)} == {
        JobState.READY,
        JobState.WAITING,
    }
    await all_is_well(store)


async def test_a_job_accepted_while_its_pool_gets_free_is_not_forgotten(
    store: PostgresStore, other: PostgresStore, dsn: str
) -> None:
    """Who queues behind a job at the very moment in which it ends becomes ready."""
    await accept(store, a_request(key="1"))
    lease = await bring(store, await a_worker(store), JobState.WATCHING)

    async with anyio.create_task_group() as group, no_commits(dsn):
        group.start_soon(accept, other, a_request(key="2"))
        await waiting(dsn, 1)
        group.start_soon(move, store, lease, JobEvent.SETTLED)
        await waiting(dsn, 2)

    assert await store.counts() == {JobState.READY: 1, JobState.SUCCEEDED: 1}
    await all_is_well(store)


async def test_a_thousand_jobs_behind_a_busy_pool_cost_a_claim_nothing(
    store: PostgresStore, worker: WorkerId, dsn: str
) -> None:
    """A claim reads none of the jobs that wait for their pool."""
    await run(dsn, "VACUUM plugwave.jobs, plugwave.pools")  # of what other tests left behind
    await accept(store, *[a_request("busy", key=f"k{n}") for n in range(1000)])
    await claim(store, worker)
    [free] = await accept(store, a_request("free"))

    assert await claimed(store, worker) == [free]

    plan = await run(dsn, f"EXPLAIN (ANALYZE, BUFFERS) {claiming.PILES}", [1], [""], [10])
    assert all("jobs_behind" not in line for (line,) in plan)
    assert buffers(plan) < 60  # a look at each of the thousand would be thousands


def buffers(plan: list[Any]) -> int:
    """Return how many pages the whole of an analysed plan touched."""
    found = re.search(r"shared hit=(\d+)", "\n".join(line for (line,) in plan))
    return int(found[1]) if found else 0


async def test_a_dead_worker_is_found_long_before_its_lease_ends(dsn: str) -> None:
    """A process that has gone holds no lock: its jobs are free after the confirmation."""
    sharp = Patience(confirm_death_s=0.05, trust_after_s=0.0)
    async with opened(dsn, sharp) as store, opened(dsn, sharp) as other:
        [job] = await accept(store)
        await bring(other, await other.register(TWO, lease_s=600), JobState.SENDING)
        alive = await store.rescue(grace_s=GRACE_S)
        await other.close()

        first_look = await store.rescue(grace_s=GRACE_S)
        freed: list[JobId] = []
        with anyio.fail_after(3):
            while not freed:
                freed += await store.rescue(grace_s=GRACE_S)

        assert (alive, first_look, freed) == ([], [], [job])
        assert await state_of(store, job) is JobState.UNKNOWN


async def test_a_worker_whose_connection_broke_is_not_dead(dsn: str) -> None:
    """It takes its lock again within the confirmation, and keeps its jobs."""
    slow = Patience(confirm_death_s=60.0, trust_after_s=0.0)
    async with opened(dsn, slow) as store, opened(dsn, slow) as other:
        await accept(store)
        worker = await other.register(TWO, lease_s=600)
        lease = await bring(other, worker, JobState.SENDING)
        await kill_backends(dsn)

        suspected = await store.rescue(grace_s=GRACE_S)
        await other.heartbeat(worker, lease_s=600)
        with anyio.fail_after(3):
            while store._judge.unlocked:
                suspected = [*suspected, *await store.rescue(grace_s=GRACE_S)]
                await other.heartbeat(worker, lease_s=600)

        assert suspected == []
        assert (await move(other, lease, JobEvent.ACCEPTED)).state is JobState.WATCHING


async def test_free_locks_prove_nothing_while_everybody_connects_anew(dsn: str) -> None:
    """After the server's start, or the loss of our own connection, only leases count."""
    wary = Patience(confirm_death_s=0.0, trust_after_s=3600.0)
    async with opened(dsn, wary) as store, opened(dsn, wary) as other:
        await accept(store)
        await bring(other, await other.register(TWO, lease_s=600), JobState.CHECKING)
        await other.close()

        assert await store.rescue(grace_s=GRACE_S) == []


async def test_a_worker_that_was_buried_in_error_changes_nothing(dsn: str) -> None:
    """Even a wrong proof of death is harmless: the fence stops the one who was buried."""
    hasty = Patience(confirm_death_s=0.0, trust_after_s=0.0)
    async with opened(dsn, hasty) as store, opened(dsn, hasty) as other:
        [job] = await accept(store)
        lease = await bring(other, await other.register(TWO, lease_s=600), JobState.CHECKING)
        await run(dsn, "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'")
        freed: list[JobId] = []
        with anyio.fail_after(3):
            while not freed:
                freed += await store.rescue(grace_s=GRACE_S)

        with pytest.raises(LeaseLostError):
            await move(other, lease, JobEvent.INTENDED)
        assert (freed, await state_of(store, job)) == ([job], JobState.READY)


async def test_the_limiter_reads_the_time_under_the_locks(dsn: str) -> None:
    """Who waited for a key gets the time of its turn, not of its arrival."""
    async with opened(dsn) as store:
        asked_us = 0
        async with admin(dsn) as connection, anyio.create_task_group() as group:
            holding = connection.transaction()
            await holding.start()
            await connection.fetch("SELECT pg_advisory_xact_lock(hashtextextended('k', 0))")
            told: list[int] = []

            async def ask() -> None:
                told.append(
                    await store.update_buckets(["k"], lambda _, now: ({"k": Bucket()}, now))
                )

            group.start_soon(ask)
            await waiting(dsn, 1)
            asked_us = await store.now_us()
            await holding.commit()

        assert told[0] > asked_us
