"""Claiming: one worker for each job, one job in hand for each pool, every project in turn."""

from collections import Counter

import anyio
import pytest

from jobs.clock import seconds_to_us
from jobs.errors import LeaseLostError, WorkerFencedError
from jobs.model import AGING_S, Lease, WorkerId
from jobs.states import JobEvent, JobState, WaitReason
from jobs.store.protocol import Store
from tests.builders import NOON_US, a_request
from tests.contract.steps import (
    DEADLINE_S,
    LEASE_S,
    MINUTE_US,
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


async def test_a_claimed_job_is_nobody_elses(store: Store, worker: WorkerId) -> None:
    """Two workers never get the same job."""
    [job] = await accept(store)
    two = await a_worker(store, TWO)

    assert await claimed(store, worker) == [job]
    assert await claimed(store, two) == []


async def test_racing_claims_share_the_jobs(store: Store, other: Store) -> None:
    """Two processes that claim at once get every job between them, none twice."""
    jobs = await accept(store, *[a_request(f"pool-{n:03d}") for n in range(100)])
    one, two = await a_worker(store), await a_worker(other, TWO)
    got: list[int] = []

    async def take(target: Store, worker: WorkerId) -> None:
        for _ in range(10):
            got.extend(await claimed(target, worker, 7))

    async with anyio.create_task_group() as group:
        group.start_soon(take, store, one)
        group.start_soon(take, other, two)

    assert sorted(got) == jobs
    await all_is_well(store)


async def test_one_claim_takes_one_job_of_a_pool(store: Store, worker: WorkerId) -> None:
    """Two jobs of one pool are never in hand together, though one claim could take both."""
    first, second = await accept(store, a_request(key="1"), a_request(key="2"))

    assert await claimed(store, worker) == [first]
    assert await place_of(store, second) == (JobState.WAITING, WaitReason.POOL_BUSY, None)


async def test_racing_claims_take_one_job_of_a_pool(store: Store, other: Store) -> None:
    """Two processes never have two jobs of one pool in hand."""
    first, _ = await accept(store, a_request(key="1"), a_request(key="2"))
    one, two = await a_worker(store), await a_worker(other, TWO)
    got: list[int] = []

    async def take(target: Store, worker: WorkerId) -> None:
        got.extend(await claimed(target, worker))

    async with anyio.create_task_group() as group:
        group.start_soon(take, store, one)
        group.start_soon(take, other, two)

    assert got == [first]


async def test_a_claim_says_what_it_took(store: Store, worker: WorkerId, clock: FakeClock) -> None:
    """A claimed job is CHECKING in its worker's hands, with its clock started."""
    [job] = await accept(store)
    clock.advance(5)

    [(taken, lease)] = await claim(store, worker)

    assert taken == await store.job(job)
    assert (taken.state, taken.worker, taken.fence) == (JobState.CHECKING, worker, 1)
    assert lease == Lease(job=job, worker=worker, fence=1)
    assert taken.started_us == NOON_US + 5_000_000
    assert taken.deadline_us == NOON_US + 5_000_000 + round(DEADLINE_S * 1_000_000)
    assert await story(store, job) == ["created", JobEvent.CLAIMED]


async def test_a_jobs_own_deadline_wins(store: Store, worker: WorkerId) -> None:
    """The deadline counts from the first claim, with the request's own length if it has one."""
    await accept(store, a_request(deadline_s=1.5))

    [(job, _)] = await claim(store, worker)

    assert job.deadline_us == NOON_US + 1_500_000


async def test_a_later_claim_does_not_move_the_deadline(
    store: Store, worker: WorkerId, clock: FakeClock
) -> None:
    """Trying again takes from the same time."""
    await accept(store)
    [(first, lease)] = await claim(store, worker)
    await move(store, lease, JobEvent.HANDED_BACK)
    clock.advance(minutes=1)

    [(again, _)] = await claim(store, worker)

    assert (again.started_us, again.deadline_us) == (first.started_us, first.deadline_us)


async def test_each_claim_raises_the_fence_of_its_pool(store: Store, worker: WorkerId) -> None:
    """The fence of a pool only grows, over all of its jobs."""
    await accept(store, a_request(key="1"), a_request(key="2"), a_request("pool-b"))
    fences = []
    for _ in range(2):
        [(_, lease), *_] = await claim(store, worker, 1)
        fences.append(lease.fence)
        await move(store, lease, JobEvent.HANDED_BACK)
    [(_, lease), *_] = await claim(store, worker, 1)
    await move(store, lease, JobEvent.ALREADY)
    [(last, _), *_] = await claim(store, worker, 1)

    assert fences == [1, 2]
    assert (lease.fence, last.fence) == (3, 4)


async def test_a_claim_takes_no_more_than_asked(store: Store, worker: WorkerId) -> None:
    """The limit holds; what is left stays ready."""
    await accept(store, *[a_request(f"pool-{n}") for n in range(5)])

    assert len(await claimed(store, worker, 3)) == 3
    assert await claimed(store, worker, 0) == []
    assert (await store.counts())[JobState.READY] == 2


async def test_higher_priority_comes_first_then_age(store: Store, worker: WorkerId) -> None:
    """Inside a project jobs are claimed by descending priority, then by age."""
    jobs = await accept(
        store, *[a_request(f"pool-{n}", priority=p) for n, p in enumerate([0, 5, -1, 5, 0])]
    )

    order = [jobs[place] for place in (1, 3, 0, 4, 2)]
    assert await claimed(store, worker) == order


async def test_projects_take_turns(store: Store, worker: WorkerId) -> None:
    """A project with many jobs does not go before one with few."""
    many = await accept(store, *[a_request(f"a-{n}", project="a") for n in range(6)])
    few = await accept(store, *[a_request(f"b-{n}", project="b") for n in range(2)])

    got = await claimed(store, worker, 6)

    assert got == [many[0], few[0], many[1], few[1], many[2], many[3]]


async def test_the_turn_goes_on_where_it_stopped(store: Store, worker: WorkerId) -> None:
    """Small claims serve every project as fairly as one large claim."""
    for project in "abc":
        await accept(store, *[a_request(f"{project}-{n}", project=project) for n in range(3)])

    served = []
    for _ in range(6):
        [(job, _)] = await claim(store, worker, 1)
        served.append(job.request.target.project_id)

    assert served == ["a", "b", "c", "a", "b", "c"]


@pytest.mark.parametrize("size", [1, 6])
async def test_a_project_of_weight_three_gets_three_turns_for_each_of_the_others(
    store: Store, worker: WorkerId, size: int
) -> None:
    """In one large claim and over many small ones: what is owed is remembered."""
    for project in "abc":
        await accept(store, *[a_request(f"{project}-{n}", project=project) for n in range(20)])

    served: Counter[str] = Counter()
    for _ in range(20 // size):
        taken = await store.claim(
            worker, limit=size, deadline_s=DEADLINE_S, weights={"b": 3.0, "nobody": 9.0}
        )
        served.update(job.request.target.project_id for job, _ in taken)

    whole = sum(served.values())
    assert served["b"] == pytest.approx(0.6 * whole, abs=1.5)
    assert abs(served["a"] - served["c"]) <= 1


async def test_a_job_that_waits_goes_before_a_more_urgent_one_that_came_much_later(
    store: Store, worker: WorkerId, clock: FakeClock
) -> None:
    """A point of priority is worth AGING_S of waiting: so nothing waits for ever."""
    [old] = await accept(store, a_request("old", priority=-1))
    clock.advance(3 * AGING_S - 1)
    [urgent] = await accept(store, a_request("urgent", priority=2))
    clock.advance(2)
    [late] = await accept(store, a_request("late", priority=2))

    assert await claimed(store, worker) == [urgent, old, late]


async def test_a_job_ages_from_the_time_that_it_was_asked_for(
    store: Store, worker: WorkerId, clock: FakeClock
) -> None:
    """Who asked today for tomorrow night has waited for nothing when that comes."""
    later_us = NOON_US + seconds_to_us(2 * AGING_S)
    [planned] = await accept(store, a_request("planned", not_before_us=later_us))
    clock.advance(2 * AGING_S + 1)
    [urgent] = await accept(store, a_request("urgent", priority=1))

    assert await claimed(store, worker) == [urgent, planned]


async def test_a_small_project_beside_a_large_one_is_served_at_once(
    store: Store, worker: WorkerId
) -> None:
    """Ten jobs queued after a thousand of another project are in the next claim."""
    large = [a_request(f"a-{n:03d}", project="a") for n in range(1000)]
    await accept(store, *large)
    small = await accept(store, *[a_request(f"b-{n}", project="b") for n in range(10)])

    got = await claimed(store, worker, 20)

    assert set(small) <= set(got)


@pytest.mark.soak
async def test_49_small_projects_beside_one_with_100_000_jobs(
    store: Store, worker: WorkerId
) -> None:
    """Each of the small ones has its ten jobs after ten rounds: 1.2 x its ideal share at most."""
    for start in range(0, 100_000, 5_000):
        numbers = range(start, start + 5_000)
        await accept(store, *[a_request(f"big-{n}", project="big") for n in numbers])
    for number in range(49):
        await accept(store, *[a_request(f"p-{n}", project=f"small-{number}") for n in range(10)])

    order: list[str] = []
    while len(order) < 600:
        order += [job.request.target.project_id for job, _ in await claim(store, worker, 24)]

    last = max(place for place, project in enumerate(order) if project != "big")
    assert Counter(order)["small-7"] == 10
    assert last <= 1.2 * 500


async def test_a_crowd_on_one_busy_pool_delays_nobody(store: Store, worker: WorkerId) -> None:
    """A thousand jobs behind one pool are never in the way of the others."""
    crowd = await accept(store, *[a_request("busy", key=f"k{n}") for n in range(1000)])
    free = await accept(store, *[a_request(f"pool-{n}", priority=-1) for n in range(3)])

    assert await claimed(store, worker, 4) == [crowd[0], *free]


async def test_jobs_that_may_have_been_sent_are_claimed_first(
    store: Store, worker: WorkerId
) -> None:
    """Freed UNKNOWN and WATCHING jobs come before READY ones, whatever their priority."""
    sent = []
    for number, state in enumerate([JobState.WATCHING, JobState.UNKNOWN]):
        await accept(store, a_request(f"sent-{number}"))
        lease = await bring(store, worker, state)
        await move(store, lease, JobEvent.HANDED_BACK)
        sent.append(lease.job)
        if number == 0:
            again = await claim(store, worker)
            assert [job.id for job, _ in again] == sent
    await store.leave(worker)
    urgent = await accept(store, a_request("urgent", priority=1000))
    two = await a_worker(store, TWO)

    got = await claim(store, two, 3)

    assert [job.id for job, _ in got] == sent + urgent
    assert [job.state for job, _ in got][:2] == [JobState.WATCHING, JobState.UNKNOWN]


async def test_what_is_due_may_be_claimed(store: Store, worker: WorkerId, clock: FakeClock) -> None:
    """A job for later is claimed when its time has come, and not before."""
    [job] = await accept(store, a_request(not_before_us=NOON_US + MINUTE_US))
    assert await store.next_due_us() == NOON_US + MINUTE_US

    clock.advance(59.999)
    early = await claimed(store, worker)
    clock.advance(0.001)

    assert early == []
    assert await claimed(store, worker) == [job]
    assert await store.next_due_us() is None
    assert await story(store, job) == ["created", JobEvent.DUE, JobEvent.CLAIMED]


async def test_what_is_due_waits_behind_a_busy_pool(
    store: Store, worker: WorkerId, clock: FakeClock
) -> None:
    """A job whose time has come still waits while another holds its pool."""
    first, later = await accept(
        store, a_request(key="1"), a_request(key="2", not_before_us=NOON_US + MINUTE_US)
    )
    await bring(store, worker, JobState.WATCHING)
    clock.advance(minutes=1)

    assert await claimed(store, worker) == []
    assert await place_of(store, later) == (JobState.WAITING, WaitReason.POOL_BUSY, None)
    assert (await story(store, later))[-1] == JobEvent.QUEUED_BEHIND
    assert await state_of(store, first) is JobState.WATCHING
    await store.heartbeat(worker, lease_s=LEASE_S)
    await all_is_well(store)


async def test_of_several_due_jobs_of_a_pool_the_highest_leads(
    store: Store, worker: WorkerId, clock: FakeClock
) -> None:
    """When several jobs of one pool fall due together, priority decides, then age."""
    jobs = await accept(
        store,
        *[
            a_request(key=f"{n}", priority=p, not_before_us=NOON_US + MINUTE_US)
            for n, p in enumerate([0, 9, 9])
        ],
    )
    clock.advance(minutes=1)

    assert await claimed(store, worker) == [jobs[1]]


@pytest.mark.parametrize("reason", [WaitReason.BACKOFF, WaitReason.RATE_LIMIT, WaitReason.BREAKER])
async def test_a_job_that_kept_its_pool_is_claimed_when_due(
    store: Store, worker: WorkerId, clock: FakeClock, reason: WaitReason
) -> None:
    """A job in the middle of its work goes on before those that wait for its pool."""
    first, _ = await accept(store, a_request(key="1"), a_request(key="2", priority=9))
    lease = await bring(store, worker, JobState.CHECKING)
    await wait(store, lease, reason, NOON_US + MINUTE_US)
    early = await claimed(store, worker)
    clock.advance(minutes=1)

    assert early == []
    assert await claimed(store, worker) == [first]


async def test_a_worker_that_was_declared_dead_claims_nothing(
    store: Store, worker: WorkerId
) -> None:
    """A fenced worker gets an error and no jobs."""
    [job] = await accept(store)
    await store.leave(worker)

    with pytest.raises(WorkerFencedError):
        await claim(store, worker)

    assert await state_of(store, job) is JobState.READY


async def test_a_worker_that_never_registered_claims_nothing(store: Store) -> None:
    """Only who has a lease may hold jobs."""
    await accept(store)

    with pytest.raises(WorkerFencedError):
        await claim(store, WorkerId(99))


async def test_a_claim_ends_the_lease_of_an_earlier_one(store: Store, worker: WorkerId) -> None:
    """What was said under an older claim of the same job, by the same worker, counts no more."""
    [job] = await accept(store)
    stale = await bring(store, worker, JobState.WATCHING)
    await move(store, stale, JobEvent.HANDED_BACK)
    await claim(store, worker)

    with pytest.raises(LeaseLostError):
        await move(store, stale, JobEvent.SETTLED)

    assert await state_of(store, job) is JobState.WATCHING
