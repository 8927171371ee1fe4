"""Leases and rescue: a dead worker's jobs go on elsewhere, and never by sending blindly."""

from pathlib import Path

import pytest

from jobs.errors import LeaseLostError, WorkerFencedError
from jobs.model import WorkerId
from jobs.states import JobEvent, JobState, WaitReason
from jobs.store.protocol import Store
from tests.builders import NOON_US, a_request
from tests.contract.conftest import Opener
from tests.contract.steps import (
    LEASE_S,
    MINUTE_US,
    ONE,
    PATHS,
    SENT,
    TWO,
    a_worker,
    accept,
    all_is_well,
    bring,
    claim,
    move,
    place_of,
    state_of,
    story,
    wait,
)
from tests.fakes import FakeClock

GRACE_S = 5.0
RESCUED = {
    JobState.CHECKING: JobState.READY,  # nothing was sent
    JobState.SENDING: JobState.UNKNOWN,  # it may have been
    JobState.UNKNOWN: JobState.UNKNOWN,
    JobState.WATCHING: JobState.WATCHING,
}


@pytest.mark.parametrize("state", list(PATHS))
async def test_a_silent_workers_job_is_freed(
    store: Store, worker: WorkerId, clock: FakeClock, state: JobState
) -> None:
    """When a lease ended longer ago than the grace, the job takes LEASE_LOST and nobody has it."""
    [job] = await accept(store)
    lease = await bring(store, worker, state)
    clock.advance(LEASE_S + GRACE_S + 0.001)

    assert await store.rescue(grace_s=GRACE_S) == [job]

    found = await store.job(job)
    last = (await store.history(job))[-1]
    assert found is not None
    assert (found.state, found.worker, found.fence) == (RESCUED[state], None, lease.fence)
    assert (last.event, last.state) == (JobEvent.LEASE_LOST, RESCUED[state])
    await all_is_well(store)


@pytest.mark.parametrize("state", list(PATHS))
async def test_a_killed_workers_job_is_freed_at_once(
    store: Store, opener: Opener, tmp_path: Path, clock: FakeClock, state: JobState
) -> None:
    """When the engine can prove that the process has gone, nobody waits for the lease."""
    [job] = await accept(store)
    process = await opener(tmp_path, clock)
    await bring(process, await a_worker(process, TWO), state)
    before = await store.rescue(grace_s=GRACE_S)
    await process.close()  # what the end of the process does to its locks and connections

    assert before == []
    assert await store.rescue(grace_s=GRACE_S) == [job]
    assert await state_of(store, job) is RESCUED[state]
    await all_is_well(store)


async def test_a_lease_is_good_until_the_grace_is_over(
    store: Store, worker: WorkerId, clock: FakeClock
) -> None:
    """Neither during the lease nor during the grace is a job taken away."""
    [job] = await accept(store)
    await bring(store, worker, JobState.CHECKING)
    clock.advance(LEASE_S + GRACE_S)

    assert await store.rescue(grace_s=GRACE_S) == []
    assert await state_of(store, job) is JobState.CHECKING


async def test_a_heartbeat_pushes_the_lease_out(
    store: Store, worker: WorkerId, clock: FakeClock
) -> None:
    """A worker that keeps saying that it lives keeps its jobs."""
    await accept(store)
    lease = await bring(store, worker, JobState.WATCHING)
    for _ in range(10):
        clock.advance(LEASE_S)
        await store.heartbeat(worker, lease_s=LEASE_S)

    assert await store.rescue(grace_s=0) == []
    assert (await move(store, lease, JobEvent.SETTLED)).state is JobState.SUCCEEDED


async def test_a_dead_worker_is_told_so(store: Store, worker: WorkerId, clock: FakeClock) -> None:
    """Once declared dead, a worker's heartbeat and claim fail, for good."""
    await accept(store)
    clock.advance(minutes=5)
    await store.rescue(grace_s=GRACE_S)

    with pytest.raises(WorkerFencedError):
        await store.heartbeat(worker, lease_s=LEASE_S)
    with pytest.raises(WorkerFencedError):
        await claim(store, worker)


async def test_nothing_is_sent_before_the_settle_time_of_a_hanging_send(
    store: Store, worker: WorkerId, clock: FakeClock
) -> None:
    """A lease lost while the request hangs leaves UNKNOWN with the persisted earliest read.

    Whoever claims the job next finds it there and not in a state that sends; its pool lets
    nobody else in; and the late answer of the first worker changes nothing.
    """
    job, second = await accept(store, a_request(key="1"), a_request(key="2"))
    stale = await bring(store, worker, JobState.SENDING)
    clock.advance(minutes=1)
    await store.rescue(grace_s=GRACE_S)
    two = await a_worker(store, TWO)

    [(taken, lease)] = await claim(store, two)

    assert (taken.id, taken.state) == (job, JobState.UNKNOWN)
    assert taken.progress == SENT
    assert taken.progress.not_before_us == SENT.not_before_us
    assert lease.fence > stale.fence
    assert await place_of(store, second) == (JobState.WAITING, WaitReason.POOL_BUSY, None)
    with pytest.raises(LeaseLostError):
        await move(store, stale, JobEvent.ACCEPTED)


async def test_a_worker_that_leaves_frees_its_jobs(store: Store, worker: WorkerId) -> None:
    """Leaving ends the lease at once; what is still in hand is treated as in a rescue."""
    jobs = await accept(store, a_request("a"), a_request("b"))
    first = await bring(store, worker, JobState.SENDING)
    second = await bring(store, worker, JobState.CHECKING)

    await store.leave(worker)

    assert await state_of(store, first.job) is JobState.UNKNOWN
    assert await state_of(store, second.job) is JobState.READY
    assert [(await story(store, job))[-1] for job in jobs] == [JobEvent.LEASE_LOST] * 2
    assert await store.rescue(grace_s=0) == []
    await all_is_well(store)


async def test_leaving_twice_is_harmless(store: Store, worker: WorkerId) -> None:
    """A worker that has left has left."""
    await store.leave(worker)
    await store.leave(worker)

    assert await store.workers() == []


async def test_a_rescue_touches_only_the_dead(
    store: Store, worker: WorkerId, clock: FakeClock
) -> None:
    """Jobs of live workers and jobs that wait are left alone."""
    await accept(store, a_request("a"), a_request("b"), a_request("c"))
    await bring(store, worker, JobState.SENDING)
    waiting = await bring(store, worker, JobState.CHECKING)
    await wait(store, waiting, WaitReason.BACKOFF, NOON_US + 60 * MINUTE_US)
    clock.advance(LEASE_S)
    two = await a_worker(store, TWO)
    kept = await bring(store, two, JobState.SENDING)
    clock.advance(GRACE_S + 1)

    freed = await store.rescue(grace_s=GRACE_S)

    assert len(freed) == 1
    assert await state_of(store, kept.job) is JobState.SENDING
    assert await state_of(store, waiting.job) is JobState.WAITING


async def test_rescuing_again_frees_nothing_more(
    store: Store, other: Store, worker: WorkerId, clock: FakeClock
) -> None:
    """Two workers that rescue the same dead one free its jobs once."""
    [job] = await accept(store)
    await bring(store, worker, JobState.WATCHING)
    clock.advance(minutes=1)

    assert await other.rescue(grace_s=GRACE_S) == [job]
    assert await store.rescue(grace_s=GRACE_S) == []
    assert (await story(store, job)).count(JobEvent.LEASE_LOST) == 1


async def test_a_dead_workers_results_stay(store: Store, worker: WorkerId) -> None:
    """A worker's row is never removed before its jobs: results keep its name."""
    [job] = await accept(store)
    lease = await bring(store, worker, JobState.WATCHING)
    await move(store, lease, JobEvent.SETTLED)
    await store.leave(worker)
    await a_worker(store, ONE)

    [result] = await store.results_after(worker, 0)

    assert (result.job.id, result.worker_name) == (job, ONE.name)


async def test_worker_ids_are_never_used_twice(
    store: Store, opener: Opener, tmp_path: Path, clock: FakeClock
) -> None:
    """A new worker never has the id of one that is gone, whatever happened between."""
    first = await a_worker(store)
    await store.leave(first)
    await store.close()

    again = await opener(tmp_path, clock)
    second = await a_worker(again)
    await again.close()
    assert second > first


async def test_workers_are_listed_while_they_live_or_hold_jobs(
    store: Store, worker: WorkerId, clock: FakeClock
) -> None:
    """Who is there, since when, until when, and with how many jobs."""
    await accept(store, a_request("a"), a_request("b"))
    await claim(store, worker)
    gone = await a_worker(store, TWO)
    await store.leave(gone)
    clock.advance(4)
    await store.heartbeat(worker, lease_s=LEASE_S)

    [row] = await store.workers()

    assert (row.id, row.info, row.alive, row.jobs) == (worker, ONE, True, 2)
    assert (row.started_us, row.heartbeat_us) == (NOON_US, NOON_US + 4_000_000)
    assert row.lease_until_us == NOON_US + 24_000_000
