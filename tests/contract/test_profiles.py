"""A job that names a profile: who gets it, whom it does not hold up, and what is left."""

from dataclasses import replace

import pytest

from jobs.states import JobEvent, JobState, WaitReason
from jobs.store.protocol import Store, Verdict
from tests.builders import NOON_US, a_request
from tests.contract.steps import (
    MINUTE_US,
    ONE,
    TWO,
    a_worker,
    accept,
    bring,
    claim,
    claimed,
    move,
    wait,
)
from tests.fakes import FakeClock

EAST = replace(ONE, profiles=("east",))
BOTH = replace(TWO, profiles=("west", "east"))


async def test_a_job_keeps_its_profile(store: Store) -> None:
    """The name is stored with the job; a job without one has none."""
    named, plain = await accept(
        store, a_request("pool-a", profile="east"), a_request("pool-b", profile=None)
    )

    stored = [await store.job(job) for job in (named, plain)]
    assert [job.request.profile for job in stored if job is not None] == ["east", None]


async def test_a_worker_says_which_profiles_it_has(store: Store) -> None:
    """They are listed with the worker, in order."""
    await a_worker(store, BOTH)
    await a_worker(store, ONE)

    assert [row.info.profiles for row in await store.workers()] == [("east", "west"), ()]


async def test_a_job_goes_only_to_a_worker_with_its_profile(store: Store) -> None:
    """A worker without the profile leaves the job as it is: ready, for one that has it."""
    named, plain = await accept(store, a_request("pool-a", profile="east"), a_request("pool-b"))
    without = await a_worker(store, TWO)

    assert await claimed(store, without) == [plain]
    assert await claimed(store, without) == []
    job = await store.job(named)
    assert job is not None
    assert (job.state, job.fence) == (JobState.READY, 0)
    assert await claimed(store, await a_worker(store, EAST)) == [named]


async def test_the_jobs_of_one_profile_do_not_hold_up_the_others(store: Store) -> None:
    """A hundred jobs that nobody here can take stand in front of one that somebody can."""
    await accept(store, *[a_request(f"pool-{n}", profile="west", priority=9) for n in range(100)])
    [mine] = await accept(store, a_request("pool-mine", profile="east"))

    assert await claimed(store, await a_worker(store, EAST), limit=2) == [mine]


async def test_profiles_of_one_project_take_turns(store: Store) -> None:
    """Claims of one job each come to every profile and project before one comes again."""
    places = [
        (project, profile) for project in ("p-1", "p-2") for profile in (None, "east", "west")
    ]
    for number in range(3):
        await accept(
            store,
            *[
                a_request(f"pool-{number}-{profile}", project, profile=profile)
                for project, profile in places
            ],
        )
    worker = await a_worker(store, BOTH)

    served = []
    for _ in range(2 * len(places)):
        [(job, _)] = await claim(store, worker, limit=1)
        served.append((job.request.target.project_id, job.request.profile))

    assert served == places * 2


@pytest.mark.parametrize("state", [JobState.UNKNOWN, JobState.WATCHING])
async def test_what_was_sent_as_a_profile_is_looked_after_by_a_worker_with_it(
    store: Store, state: JobState
) -> None:
    """A read with another account would see another project's pools, or nothing."""
    first = await a_worker(store, EAST)
    [job] = await accept(store, a_request(profile="east"))
    await bring(store, first, state)
    await store.leave(first)

    assert await claimed(store, await a_worker(store, TWO)) == []
    assert await claimed(store, await a_worker(store, BOTH)) == [job]


async def test_equal_requests_for_two_profiles_are_two_jobs_of_one_pool(store: Store) -> None:
    """Two accounts are two wishes; the pool is one, so the second waits for the first."""
    requests = [
        a_request(profile="east", natural_key="a" * 64),
        a_request(profile="west", natural_key="b" * 64),
    ]
    answers = await store.enqueue(requests)

    assert [answer.verdict for answer in answers] == [Verdict.CREATED, Verdict.CREATED]
    second = await store.job(answers[1].job)
    assert second is not None
    assert second.reason is WaitReason.POOL_BUSY


async def test_what_is_left_is_counted_by_profile(store: Store) -> None:
    """Open jobs whose time has not come are not counted, and neither are those that ended."""
    await accept(
        store,
        a_request("pool-a"),
        a_request("pool-b", profile="east"),
        a_request("pool-c", profile="east"),
        a_request("pool-d", profile="west", not_before_us=NOON_US + MINUTE_US),
        a_request("pool-e", not_before_us=NOON_US + MINUTE_US),
    )
    assert await store.left_by_profile() == {None: 1, "east": 2}

    for _, lease in await claim(store, await a_worker(store, EAST), limit=2):
        await move(store, lease, JobEvent.ALREADY)
    assert sum((await store.left_by_profile()).values()) == 1


async def test_a_job_behind_another_is_left_to_whoever_has_the_other(store: Store) -> None:
    """It cannot go on before that one, so a worker without its profile need not wait for it."""
    await accept(store, a_request("pool-a", profile="east"), a_request("pool-a", version="2.0"))
    await accept(store, a_request("pool-b"), a_request("pool-b", version="2.0", profile="west"))
    assert await store.left_by_profile() == {"east": 2, None: 2}

    worker = await a_worker(store, EAST)
    for _, lease in await claim(store, worker):
        await move(store, lease, JobEvent.ALREADY)
    assert await store.left_by_profile() == {None: 1, "west": 1}


async def test_a_job_that_lets_its_pool_go_is_left_to_its_own_profile(
    store: Store, clock: FakeClock
) -> None:
    """Waiting for somebody else's change it stands behind nobody."""
    await accept(store, a_request("pool-a", profile="east"), a_request("pool-a", version="2.0"))
    [(_, lease)] = await claim(store, await a_worker(store, EAST), limit=1)
    await wait(store, lease, WaitReason.POOL_BUSY, clock.now_us() + MINUTE_US)

    assert await store.left_by_profile() == {"east": 1, None: 1}
