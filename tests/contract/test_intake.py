"""Intake: accepted means on disk, one key is one job, and equal open jobs are joined."""

from dataclasses import replace
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest

from jobs.errors import BadRequestError
from jobs.model import InputsBase, JobId
from jobs.states import JobEvent, JobState, WaitReason
from jobs.store.protocol import Enqueued, IntakePosition, JobFilter, Store, Verdict
from tests.builders import NOON_US, a_request
from tests.contract.conftest import Opener
from tests.contract.steps import (
    MINUTE_US,
    SENT,
    a_worker,
    accept,
    all_is_well,
    bring,
    claim,
    move,
    place_of,
    story,
    wait,
)
from tests.fakes import FakeClock


async def test_an_accepted_job_survives_the_store(
    store: Store, opener: Opener, tmp_path: Path, clock: FakeClock
) -> None:
    """Accepted means on disk: a job is there when the store is opened again."""
    [job] = await accept(store, a_request(key="k"))
    await store.close()

    again = await opener(tmp_path, clock)
    found = await again.job(job)
    await again.close()
    assert found is not None
    assert found.request == a_request(key="k")


async def test_a_request_comes_back_as_it_was_given(store: Store) -> None:
    """Every field of a request is kept, texts and trees included."""
    request = a_request(
        region="cn-north-4",
        version=None,
        key='ticket "4711"; --',
        inputs={"custom": {"ndots": "5", "list": [1, 2.5, None, True]}, "ü": ""},
        base=InputsBase.TEMPLATE,
        priority=-3,
        not_before_us=NOON_US + 5,
        deadline_s=12.5,
        labels={"change": "CHG-4711", "wer": "Jürgen"},
        natural_key="not a digest",
    )

    [job] = await accept(store, request)

    found = await store.job(job)
    assert found is not None
    assert found.request == request
    assert found.request.target.region == "cn-north-4"
    assert (found.created_us, found.started_us, found.fence) == (NOON_US, None, 0)


async def test_a_new_key_makes_a_job(store: Store) -> None:
    """A key that was never seen makes a job that may be claimed."""
    [answer] = await store.enqueue([a_request(key="k")])

    assert answer.verdict is Verdict.CREATED
    assert await place_of(store, answer.job) == (JobState.READY, None, None)
    assert await story(store, answer.job) == ["created"]


async def test_the_same_key_and_content_is_the_same_job(store: Store) -> None:
    """A repeated request gets the first job, and nothing is stored for it."""
    [first] = await store.enqueue([a_request(key="k")])

    [again] = await store.enqueue([a_request(key="k")])

    assert again == Enqueued(verdict=Verdict.DUPLICATE, job=first.job)
    assert await store.open_jobs() == 1


async def test_a_key_is_remembered_after_its_job_ended(store: Store) -> None:
    """A late repetition gets the finished job, in whatever state it is."""
    [first] = await accept(store, a_request(key="k"))
    await store.cancel(first, by="test")

    [again] = await store.enqueue([a_request(key="k")])

    assert again == Enqueued(verdict=Verdict.DUPLICATE, job=first)


async def test_the_same_key_with_other_content_is_refused(store: Store) -> None:
    """A reused key is a conflict that names the first job; nothing is stored for it."""
    [first] = await accept(store, a_request(key="k"))

    [answer] = await store.enqueue([a_request(key="k", version="2.0.0")])

    assert answer == Enqueued(verdict=Verdict.CONFLICT, job=first)
    assert [job.id async for job in store.jobs(JobFilter())] == [first]


async def test_keys_of_two_sources_do_not_meet(store: Store) -> None:
    """The scope of a key is its source."""
    answers = await store.enqueue(
        [a_request(key="k", source="a"), a_request(key="k", source="b", version="2.0.0")]
    )

    assert [answer.verdict for answer in answers] == [Verdict.CREATED, Verdict.CREATED]


async def test_without_a_key_an_equal_open_job_is_joined(store: Store) -> None:
    """Two equal wishes without keys are one job, whether the first has a key or not."""
    [first] = await accept(store, a_request(key="k"))

    answers = await store.enqueue([a_request(), a_request(version="2.0.0"), a_request()])

    second = answers[1].job
    assert answers == [
        Enqueued(verdict=Verdict.DUPLICATE, job=first),
        Enqueued(verdict=Verdict.CREATED, job=second),
        Enqueued(verdict=Verdict.DUPLICATE, job=first),
    ]


@pytest.mark.parametrize("state", [JobState.SENDING, JobState.UNKNOWN, JobState.WATCHING])
async def test_a_job_in_hand_is_joined_too(store: Store, state: JobState) -> None:
    """A wish that is just being carried out is not queued again."""
    [first] = await accept(store)
    await bring(store, await a_worker(store), state)

    assert [one.job for one in await store.enqueue([a_request()])] == [first]


async def test_a_job_that_ended_is_not_joined(store: Store) -> None:
    """A wish that was carried out before is new work."""
    [first] = await accept(store)
    await store.cancel(first, by="test")

    [answer] = await store.enqueue([a_request()])

    assert answer.verdict is Verdict.CREATED
    assert answer.job != first


async def test_a_new_key_is_never_joined(store: Store) -> None:
    """Who gives a key means a job of its own."""
    await accept(store, a_request())

    [answer] = await store.enqueue([a_request(key="k")])

    assert answer.verdict is Verdict.CREATED


async def test_requests_of_one_call_see_each_other(store: Store) -> None:
    """Keys, equal wishes and pools of one call count in their order."""
    answers = await store.enqueue(
        [
            a_request(key="k"),
            a_request(key="k"),
            a_request(key="k", version="2.0.0"),
            a_request(),
            a_request("pool-b"),
            a_request("pool-b"),
        ]
    )

    one, two = answers[0].job, answers[4].job
    assert answers == [
        Enqueued(verdict=Verdict.CREATED, job=one),
        Enqueued(verdict=Verdict.DUPLICATE, job=one),
        Enqueued(verdict=Verdict.CONFLICT, job=one),
        Enqueued(verdict=Verdict.DUPLICATE, job=one),
        Enqueued(verdict=Verdict.CREATED, job=two),
        Enqueued(verdict=Verdict.DUPLICATE, job=two),
    ]
    await all_is_well(store)


async def test_a_job_for_later_waits_for_its_time(store: Store) -> None:
    """A job with a time ahead waits for it and leaves the pool to others."""
    later, now = await accept(
        store, a_request(key="a", not_before_us=NOON_US + MINUTE_US), a_request(key="b")
    )

    assert await place_of(store, later) == (
        JobState.WAITING,
        WaitReason.NOT_BEFORE,
        NOON_US + MINUTE_US,
    )
    assert await place_of(store, now) == (JobState.READY, None, None)


async def test_a_time_that_has_come_is_no_reason_to_wait(store: Store) -> None:
    """A ``not_before`` that is now or past makes a job ready."""
    jobs = await accept(
        store, a_request("a", not_before_us=NOON_US), a_request("b", not_before_us=NOON_US - 1)
    )

    assert [(await place_of(store, job))[0] for job in jobs] == [JobState.READY] * 2


@pytest.mark.parametrize(
    "state",
    [
        JobState.READY,
        JobState.CHECKING,
        JobState.SENDING,
        JobState.UNKNOWN,
        JobState.WATCHING,
    ],
)
async def test_a_second_job_of_a_busy_pool_waits(store: Store, state: JobState) -> None:
    """A pool with a job that is ready or in hand has no other that may be claimed."""
    await accept(store, a_request(key="first"))
    if state is not JobState.READY:
        await bring(store, await a_worker(store), state)

    [second] = await accept(store, a_request(key="second"))

    assert await place_of(store, second) == (JobState.WAITING, WaitReason.POOL_BUSY, None)


@pytest.mark.parametrize("reason", [WaitReason.BACKOFF, WaitReason.RATE_LIMIT, WaitReason.BREAKER])
async def test_a_job_that_waits_in_the_middle_holds_its_pool(
    store: Store, reason: WaitReason
) -> None:
    """A job that will be tried again keeps its pool meanwhile."""
    await accept(store, a_request(key="first"))
    lease = await bring(store, await a_worker(store), JobState.CHECKING)
    await wait(store, lease, reason, NOON_US + MINUTE_US)

    [second] = await accept(store, a_request(key="second"))

    assert await place_of(store, second) == (JobState.WAITING, WaitReason.POOL_BUSY, None)


async def test_the_same_pool_name_elsewhere_is_another_pool(store: Store) -> None:
    """A pool is region, project and name; all three make it."""
    jobs = await accept(
        store,
        a_request(key="1"),
        a_request(key="2", region="cn-north-4"),
        a_request(key="3", project="1" * 32),
    )

    assert [(await place_of(store, job))[0] for job in jobs] == [JobState.READY] * 3


async def test_a_file_position_is_stored_with_its_records(store: Store) -> None:
    """How far a file was taken in is part of the same transaction; other files are apart."""
    position = IntakePosition(source="file", digest="d1", records=2)

    await store.enqueue([a_request("a"), a_request("b")], position=position)

    assert await store.intake_position("file", "d1") == 2
    assert await store.intake_position("file", "d2") == 0
    assert await store.intake_position("other", "d1") == 0


async def test_a_file_position_moves_on(store: Store) -> None:
    """The next part of a file pushes its position on, also when the part held nothing new."""
    await store.enqueue([], position=IntakePosition(source="f", digest="d", records=10))
    await store.enqueue([], position=IntakePosition(source="f", digest="d", records=25))

    assert await store.intake_position("f", "d") == 25


async def test_a_request_that_cannot_be_stored_refuses_its_call_alone(store: Store) -> None:
    """One poisoned request stores nothing of its call, and everything of the others."""
    good = [a_request(f"pool-{number}") for number in range(5)]
    poison = replace(a_request("pool-x"), labels={"broken": "\ud800"})
    position = IntakePosition(source="f", digest="d", records=6)
    refused = []

    async def send_poison() -> None:
        try:
            await store.enqueue([*good, poison], position=position)
        except BadRequestError as error:
            refused.append(error)

    async with anyio.create_task_group() as group:
        group.start_soon(store.enqueue, [a_request("pool-before")])
        group.start_soon(send_poison)
        group.start_soon(store.enqueue, [a_request("pool-after")])

    pools = [job.request.target.pool_name async for job in store.jobs(JobFilter())]
    assert len(refused) == 1
    assert sorted(pools) == ["pool-after", "pool-before"]
    assert await store.intake_position("f", "d") == 0
    await all_is_well(store)


async def test_a_conflict_in_a_batch_leaves_the_rest_whole(store: Store) -> None:
    """One reused key among many new ones costs only itself."""
    [first] = await accept(store, a_request("pool-0", key="k7"))
    batch = [a_request(f"pool-{number}", key=f"k{number}") for number in range(1, 500)]

    answers = await store.enqueue(batch)

    verdicts = {answer.verdict for answer in answers if answer.job != first}
    assert answers[6] == Enqueued(verdict=Verdict.CONFLICT, job=first)
    assert verdicts == {Verdict.CREATED}
    assert await store.open_jobs() == 499


@pytest.mark.slow
async def test_many_calls_with_one_key_make_one_job(store: Store, other: Store) -> None:
    """A thousand repetitions at once, through two processes, are one job."""
    answers: list[Enqueued] = []

    async def send(target: Store) -> None:
        answers.extend(await target.enqueue([a_request(key="k")]))

    async with anyio.create_task_group() as group:
        for number in range(1000):
            group.start_soon(send, other if number % 2 else store)

    assert len({answer.job for answer in answers}) == 1
    assert [answer.verdict for answer in answers].count(Verdict.CREATED) == 1


async def test_ids_are_never_used_twice(
    store: Store, opener: Opener, tmp_path: Path, clock: FakeClock
) -> None:
    """Job ids go on where they stopped, also in a store that was opened again."""
    [first] = await accept(store, a_request("a"))
    await store.close()

    again = await opener(tmp_path, clock)
    [second] = await accept(again, a_request("b"))
    await again.close()
    assert second > first


async def test_a_cancelled_caller_leaves_a_whole_transaction(store: Store) -> None:
    """Who stops waiting for intake finds all of it stored, or none."""
    with anyio.CancelScope() as scope:
        async with anyio.create_task_group() as group:
            group.start_soon(store.enqueue, [a_request(f"pool-{n}") for n in range(50)])
            await anyio.lowlevel.checkpoint()
            scope.cancel()

    await accept(store, a_request("after"))  # queued behind it, so it is decided by now
    assert await store.open_jobs() in {1, 51}
    await all_is_well(store)


async def test_an_ended_pool_takes_new_jobs_at_once(store: Store) -> None:
    """When the last job of a pool has ended, the next one accepted is ready."""
    await accept(store, a_request(key="first"))
    lease = await bring(store, await a_worker(store), JobState.WATCHING)
    await move(store, lease, JobEvent.SETTLED, progress=SENT)

    [second] = await accept(store, a_request(key="second"))

    assert await place_of(store, second) == (JobState.READY, None, None)
    assert [job.id for job, _ in await claim(store, await a_worker(store))] == [second]


async def test_unknown_jobs_are_nobody(store: Store) -> None:
    """A number that was never given out names no job."""
    assert await store.job(JobId(4711)) is None
    assert await store.history(JobId(4711)) == []
