"""Recording: every move of the table under a lease that holds, nothing under a lost one."""

from dataclasses import replace

import anyio
import pytest

from jobs.errors import IllegalTransitionError, LeaseLostError
from jobs.model import Lease, Progress, WorkerId
from jobs.states import FINAL_STATES, TRANSITIONS, JobEvent, JobState, WaitReason
from jobs.store.protocol import Change, Store
from tests.builders import NOON_US, a_request
from tests.contract.steps import (
    MINUTE_US,
    PATHS,
    SENT,
    TWO,
    a_worker,
    accept,
    all_is_well,
    bring,
    claim,
    claimed,
    move,
    place_of,
    state_of,
    story,
    wait,
)
from tests.fakes import FakeClock

SAID_BY_WORKERS = frozenset(JobEvent) - {JobEvent.CLAIMED, JobEvent.LEASE_LOST}
MOVES = [
    (state, event, new)
    for state in PATHS
    for event, new in TRANSITIONS[state].items()
    if event in SAID_BY_WORKERS
]
NO_MOVES = [
    (state, event) for state in PATHS for event in JobEvent if event not in TRANSITIONS[state]
]


@pytest.mark.parametrize(("state", "event", "new"), MOVES)
async def test_every_move_of_the_table_is_recorded(
    store: Store, worker: WorkerId, state: JobState, event: JobEvent, new: JobState
) -> None:
    """Each event a worker can tell leads where the table says, and stands in the history."""
    [job] = await accept(store)
    lease = await bring(store, worker, state)
    waits = {"reason": WaitReason.BACKOFF, "run_at_us": NOON_US + MINUTE_US}
    more = waits if new is JobState.WAITING else {}

    told = await move(store, lease, event, data={"why": "test"}, **more)

    last = (await store.history(job))[-1]
    assert told == await store.job(job)
    assert (told.state, told.progress) == (new, SENT)
    assert (last.event, last.state, last.data["why"]) == (event, new, "test")
    await all_is_well(store)


@pytest.mark.parametrize(("state", "event"), NO_MOVES)
async def test_a_move_that_is_not_in_the_table_writes_nothing(
    store: Store, worker: WorkerId, state: JobState, event: JobEvent
) -> None:
    """An event that the state does not allow is refused, and the job is as it was."""
    [job] = await accept(store)
    lease = await bring(store, worker, state)
    before, told = await store.job(job), await story(store, job)

    with pytest.raises(IllegalTransitionError):
        await move(store, lease, event, progress=Progress(calls=99))

    assert (await store.job(job), await story(store, job)) == (before, told)


@pytest.mark.parametrize("state", list(PATHS))
async def test_a_lease_that_was_lost_writes_nothing(
    store: Store, worker: WorkerId, state: JobState
) -> None:
    """A late answer changes nothing, whatever it says and whoever has the job now."""
    [job] = await accept(store)
    stale = await bring(store, worker, state)
    await store.leave(worker)
    two = await a_worker(store, TWO)
    await claim(store, two)
    before, told = await store.job(job), await story(store, job)

    for event in TRANSITIONS[state]:
        with pytest.raises(LeaseLostError):
            await move(store, stale, event)
    with pytest.raises(LeaseLostError):
        await store.note(stale, SENT, {})

    assert (await store.job(job), await story(store, job)) == (before, told)


async def test_a_lease_of_another_worker_or_fence_writes_nothing(
    store: Store, worker: WorkerId
) -> None:
    """Job, worker and fence must all three be right."""
    [job] = await accept(store)
    lease = await bring(store, worker, JobState.SENDING)
    two = await a_worker(store, TWO)
    wrong = [replace(lease, worker=two), replace(lease, fence=lease.fence + 1)]
    wrong.append(Lease(job=lease.job, worker=worker, fence=lease.fence - 1))

    for one in wrong:
        with pytest.raises(LeaseLostError):
            await move(store, one, JobEvent.ACCEPTED)
        with pytest.raises(LeaseLostError):
            await store.note(one, SENT, {})

    assert await state_of(store, job) is JobState.SENDING


async def test_progress_comes_back_as_it_was_told(store: Store, worker: WorkerId) -> None:
    """Where a job stands is kept whole, so that any worker can go on."""
    [job] = await accept(store)
    lease = await bring(store, worker, JobState.WATCHING)
    whole = replace(
        SENT,
        accepted_us=NOON_US,
        adopted=True,
        no_effect_us=1,
        target_us=2,
        busy_seen=True,
        abnormal_us=3,
        abnormal_reads=4,
        polls=5,
        misses=6,
        throttled=7,
        phase="Updating",
        reason="größer",
        cause="slow",
        error_code="ModelArts.1",
        http_status=202,
        cloud_request_id="r-1",
        detail="one line",
    )

    await store.note(lease, whole, {"phase": "Updating"})

    found = await store.job(job)
    last = (await store.history(job))[-1]
    assert found is not None
    assert found.progress == whole
    assert (last.event, last.state, last.data) == ("seen", JobState.WATCHING, {"phase": "Updating"})


async def test_progress_may_go_back_to_nothing(store: Store, worker: WorkerId) -> None:
    """What is noted replaces what was there before."""
    [job] = await accept(store)
    lease = await bring(store, worker, JobState.SENDING)

    await store.note(lease, Progress(), {})

    found = await store.job(job)
    assert found is not None
    assert found.progress == Progress()


@pytest.mark.parametrize("reason", list(WaitReason))
async def test_a_wait_says_why_and_leaves_the_workers_hands(
    store: Store, worker: WorkerId, reason: WaitReason
) -> None:
    """A waiting job has its reason and its time, and nobody holds it."""
    [job] = await accept(store)
    lease = await bring(store, worker, JobState.CHECKING)

    told = await wait(store, lease, reason, NOON_US + MINUTE_US)

    last = (await store.history(job))[-1]
    assert told == await store.job(job)
    assert (told.state, told.reason, told.run_at_us) == (
        JobState.WAITING,
        reason,
        NOON_US + MINUTE_US,
    )
    assert told.worker is None
    assert last.data["reason"] == reason
    assert await store.waiting_counts() == {reason: 1}


KEEPING = {WaitReason.BACKOFF, WaitReason.RATE_LIMIT, WaitReason.BREAKER}


@pytest.mark.parametrize("reason", list(WaitReason))
async def test_only_a_wait_in_the_middle_keeps_the_pool(
    store: Store, worker: WorkerId, reason: WaitReason
) -> None:
    """Backoff, rate limit and breaker keep the pool; every other wait lets the next job in."""
    _, second = await accept(store, a_request(key="1"), a_request(key="2"))
    lease = await bring(store, worker, JobState.CHECKING)

    await wait(store, lease, reason, NOON_US + MINUTE_US)

    keeps = reason in KEEPING
    assert await state_of(store, second) is (JobState.WAITING if keeps else JobState.READY)
    await all_is_well(store)


async def test_a_wait_without_a_reason_is_a_bug(store: Store, worker: WorkerId) -> None:
    """Nobody could ever say why such a job waits, so it is refused and nothing is written."""
    [job] = await accept(store)
    lease = await bring(store, worker, JobState.CHECKING)

    with pytest.raises(ValueError, match="reason"):
        await move(store, lease, JobEvent.HELD, run_at_us=NOON_US)
    with pytest.raises(ValueError, match="needs an end"):
        await wait(store, lease, WaitReason.BACKOFF, None)

    assert await state_of(store, job) is JobState.CHECKING


async def test_a_job_handed_back_is_free_but_keeps_its_pool(store: Store, worker: WorkerId) -> None:
    """A draining worker's job goes to the next worker, before others of its pool."""
    first, second = await accept(store, a_request(key="1"), a_request(key="2", priority=9))
    lease = await bring(store, worker, JobState.WATCHING)

    told = await move(store, lease, JobEvent.HANDED_BACK)

    assert (told.state, told.worker, told.fence) == (JobState.WATCHING, None, lease.fence)
    assert await claimed(store, worker) == [first]
    assert await state_of(store, second) is JobState.WAITING


ENDINGS = [(state, event) for state, event, new in MOVES if new in FINAL_STATES]


@pytest.mark.parametrize(("state", "event"), ENDINGS)
async def test_every_end_frees_the_pool_for_the_next(
    store: Store, worker: WorkerId, clock: FakeClock, state: JobState, event: JobEvent
) -> None:
    """The next job of the pool, by descending priority, then age, is ready at once."""
    [first] = await accept(store, a_request(key="1"))
    lease = await bring(store, worker, state)
    low, high, later = await accept(
        store,
        a_request(key="2"),
        a_request(key="3", priority=5),
        a_request(key="4", priority=9, not_before_us=NOON_US + 60 * MINUTE_US),
    )
    clock.advance(3)

    ended = await move(store, lease, event)

    assert (ended.state, ended.worker, ended.finished_us) == (
        TRANSITIONS[state][event],
        None,
        NOON_US + 3_000_000,
    )
    assert [await state_of(store, job) for job in (low, high, later)] == [
        JobState.WAITING,
        JobState.READY,
        JobState.WAITING,
    ]
    assert await story(store, high) == ["created", JobEvent.DUE]
    assert [one.job.id for one in await store.results_after(worker, 0)] == [first]
    await all_is_well(store)


async def test_a_crowded_pool_is_worked_off_in_order(store: Store, worker: WorkerId) -> None:
    """All jobs of a pool are done, one at a time, by descending priority, then age."""
    jobs = await accept(
        store, *[a_request(key=f"{n}", priority=n % 3) for n in range(7)], a_request("pool-b")
    )
    order = []
    while got := await claim(store, worker, 5):
        for job, lease in got:
            order.append(job.id)
            await move(store, lease, JobEvent.ALREADY)

    # The first one was ready before the others came.
    expected = [jobs[place] for place in (0, 2, 5, 1, 4, 3, 6)]
    assert [job for job in order if job != jobs[7]] == expected
    await all_is_well(store)


async def test_results_are_numbered_for_each_worker(store: Store, worker: WorkerId) -> None:
    """A worker's results count from 1 without gaps, in the order in which the jobs ended."""
    two = await a_worker(store, TWO)
    jobs = await accept(store, *[a_request(f"pool-{n}") for n in range(4)])
    mine, others = await claim(store, worker, 3), await claim(store, two)
    for _, lease in reversed(mine):
        await move(store, lease, JobEvent.ALREADY)
    await move(store, others[0][1], JobEvent.REFUSED)

    results = await store.results_after(worker, 0)

    assert [(one.seq, one.job.id, one.worker_name) for one in results] == [
        (1, jobs[2], "one"),
        (2, jobs[1], "one"),
        (3, jobs[0], "one"),
    ]
    assert [one.seq for one in await store.results_after(worker, 2)] == [3]
    assert [one.job.state for one in await store.results_after(two, 0)] == [JobState.FAILED]
    assert await store.results_after(worker, 3) == []


async def test_a_job_asked_to_stop_hears_it_when_it_records(store: Store, worker: WorkerId) -> None:
    """A cancel of a job that is CHECKING reaches its worker with the next record."""
    [job] = await accept(store)
    lease = await bring(store, worker, JobState.CHECKING)
    await store.cancel(job, by="anna")

    told = await move(store, lease, JobEvent.INTENDED)

    assert told.cancel_asked


async def test_one_stale_record_in_a_crowd_fails_alone(store: Store, worker: WorkerId) -> None:
    """Many workers' answers that arrive together stand or fall each by itself."""
    await accept(store, *[a_request(f"pool-{n:03d}") for n in range(200)])
    leases = [lease for _, lease in await claim(store, worker, 200)]
    lost: list[Lease] = []

    async def answer(lease: Lease) -> None:
        try:
            await store.record(Change(lease=lease, event=JobEvent.INTENDED, progress=SENT))
        except LeaseLostError:
            lost.append(lease)

    stale = replace(leases[77], fence=leases[77].fence + 1)
    async with anyio.create_task_group() as group:
        for lease in [*leases[:77], stale, *leases[78:]]:
            group.start_soon(answer, lease)

    assert lost == [stale]
    assert await store.counts() == {JobState.CHECKING: 1, JobState.SENDING: 199}
    await all_is_well(store)


async def test_nothing_sent_may_be_sent_again(store: Store, worker: WorkerId) -> None:
    """A send that certainly did not leave is tried again under the same number."""
    [job] = await accept(store)
    lease = await bring(store, worker, JobState.SENDING)
    await move(store, lease, JobEvent.REREAD, progress=replace(SENT, sends=0))

    told = await move(store, lease, JobEvent.INTENDED)

    assert (told.state, told.progress.sends) == (JobState.SENDING, 1)
    assert await place_of(store, job) == (JobState.SENDING, None, None)
    await all_is_well(store)
