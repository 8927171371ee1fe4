"""What commands and pages ask of a store, and the cancel they may order."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

import pytest

from jobs.errors import NothingMatchedError
from jobs.learning import Lesson, Limit, Source
from jobs.model import JobId, Progress, Target, WorkerId
from jobs.pacing import Bucket
from jobs.states import JobEvent, JobState, WaitReason
from jobs.store.protocol import JobFilter, Store
from tests.builders import NOON_US, PROJECT, a_request
from tests.contract.steps import (
    MINUTE_US,
    PATHS,
    SENT,
    accept,
    all_is_well,
    bring,
    claimed,
    move,
    place_of,
    state_of,
    story,
    wait,
)
from tests.fakes import FakeClock


async def found(store: Store, **matching: Any) -> list[JobId]:
    """Return the jobs that match, oldest first."""
    return [job.id async for job in store.jobs(JobFilter(**matching), newest_first=False)]


async def test_jobs_come_newest_or_oldest_first(store: Store) -> None:
    """An empty filter means all, in either order, also over many pages."""
    jobs = await accept(store, *[a_request(f"pool-{n}") for n in range(1500)])

    assert [job.id async for job in store.jobs(JobFilter())] == jobs[::-1]
    assert [job.id async for job in store.jobs(JobFilter(), newest_first=False)] == jobs


async def test_jobs_may_be_listed_while_they_change(store: Store) -> None:
    """A long list holds nobody up: jobs may come and go between two of its lines."""
    jobs = await accept(store, *[a_request(f"pool-{n}") for n in range(1200)])
    seen = []
    async for job in store.jobs(JobFilter(), newest_first=False):
        if job.id == jobs[0]:
            await store.cancel(jobs[-1], by="test")
        seen.append(job)

    assert [job.id for job in seen] == jobs
    assert seen[-1].state is JobState.CANCELLED


async def test_an_empty_store_lists_nothing(store: Store) -> None:
    """No job, no line."""
    assert await found(store) == []
    assert [job async for job in store.jobs(JobFilter())] == []
    assert await store.counts() == {}
    assert await store.waiting_counts() == {}
    assert await store.next_due_us() is None
    assert await store.open_jobs() == 0
    await all_is_well(store)


async def test_each_field_of_a_filter_narrows(
    store: Store, worker: WorkerId, clock: FakeClock
) -> None:
    """Project, pool, plug-in, source, time, state and cause each keep only what they name."""
    one, two = await accept(
        store, a_request("p1", "a"), a_request("p2", "b", plugin="other", source="http")
    )
    clock.advance(10)
    [three] = await accept(store, a_request("p3", "a", priority=-1))
    lease = await bring(store, worker, JobState.CHECKING)
    await move(store, lease, JobEvent.REFUSED, progress=Progress(cause="no-such-pool"))
    await store.cancel(two, by="test")

    assert await found(store, project_id="a") == [one, three]
    assert await found(store, pool_name="p2") == [two]
    assert await found(store, plugin="other") == [two]
    assert await found(store, source="http") == [two]
    assert await found(store, since_us=NOON_US + 10_000_000) == [three]
    assert await found(store, cause="no-such-pool") == [one]
    assert await found(store, states=frozenset({JobState.FAILED, JobState.READY})) == [one, three]
    assert await found(store, project_id="a", states=frozenset({JobState.CANCELLED})) == []


async def test_the_history_tells_when_what_happened(
    store: Store, worker: WorkerId, clock: FakeClock
) -> None:
    """Events come in order, each with its time, and with growing numbers."""
    [job] = await accept(store)
    lease = await bring(store, worker, JobState.SENDING)
    clock.advance(2)
    await move(store, lease, JobEvent.ACCEPTED, data={"http_status": 202})

    events = await store.history(job)

    assert [event.event for event in events] == ["created", "claimed", "intended", "accepted"]
    assert [event.at_us - NOON_US for event in events] == [0, 0, 0, 2_000_000]
    assert sorted({event.seq for event in events}) == [event.seq for event in events]
    assert events[-1].data == {"http_status": 202}
    assert {event.job for event in events} == {job}


async def test_a_pool_shows_who_holds_it_and_who_follows(store: Store, worker: WorkerId) -> None:
    """The job that holds the pool comes first, then the others in the order of their turn."""
    [ended] = await accept(store, a_request(key="0"))
    await store.cancel(ended, by="test")
    head, low, high, later = await accept(
        store,
        a_request(key="1"),
        a_request(key="2"),
        a_request(key="3", priority=7),
        a_request(key="4", priority=9, not_before_us=NOON_US + MINUTE_US),
    )
    await accept(store, a_request("elsewhere"), a_request(key="5", region="eu-west-101"))
    lease = await bring(store, worker, JobState.CHECKING)
    await wait(store, lease, WaitReason.BACKOFF, NOON_US + 2 * MINUTE_US)

    target = Target(project_id=PROJECT, pool_name="pool-a")

    assert [job.id for job in await store.pool_jobs(target)] == [head, high, low, later]
    assert await store.pool_jobs(Target(project_id="x", pool_name="y")) == []


async def test_the_counters_tell_states_and_reasons(store: Store, worker: WorkerId) -> None:
    """How many jobs are where and what they wait for, with zeros left out."""
    await accept(
        store,
        a_request(key="1"),
        a_request(key="2"),
        a_request(key="3", not_before_us=NOON_US + 1),
        a_request("b"),
        a_request("c"),
    )
    await bring(store, worker, JobState.WATCHING)
    [cancelled] = [job.id for job in await store.pool_jobs(a_request("c").target)]
    await store.cancel(cancelled, by="test")

    assert await store.counts() == {
        JobState.WAITING: 2,
        JobState.READY: 1,
        JobState.WATCHING: 1,
        JobState.CANCELLED: 1,
    }
    assert await store.waiting_counts() == {WaitReason.POOL_BUSY: 1, WaitReason.NOT_BEFORE: 1}
    assert await store.open_jobs() == 4


async def test_a_job_that_has_not_begun_is_cancelled_at_once(
    store: Store, clock: FakeClock
) -> None:
    """WAITING and READY jobs end there and then, with the name of who wanted it."""
    ready, behind, later = await accept(
        store,
        a_request(key="1"),
        a_request(key="2"),
        a_request("b", not_before_us=NOON_US + MINUTE_US),
    )
    clock.advance(1)

    for job in (behind, ready, later):
        told = await store.cancel(job, by="anna")
        assert told == await store.job(job)
        assert (told.state, told.reason, told.run_at_us) == (JobState.CANCELLED, None, None)
        assert told.finished_us == NOON_US + 1_000_000
        assert (await store.history(job))[-1].data["by"] == "anna"
    await all_is_well(store)


async def test_a_cancelled_head_lets_the_next_one_in(store: Store, worker: WorkerId) -> None:
    """Cancelling the job that holds a pool frees it, also while that job waits."""
    first, second, third = await accept(store, *[a_request(key=f"{n}") for n in range(3)])
    lease = await bring(store, worker, JobState.CHECKING)
    await wait(store, lease, WaitReason.BACKOFF, NOON_US + MINUTE_US)

    await store.cancel(first, by="test")
    middle = await state_of(store, second)
    await store.cancel(second, by="test")

    assert middle is JobState.READY
    assert await claimed(store, worker) == [third]
    await all_is_well(store)


async def test_a_job_that_is_checking_is_asked_to_stop(store: Store, worker: WorkerId) -> None:
    """Its worker has it in hand, so it is asked once and goes on holding the pool."""
    [job] = await accept(store)
    await bring(store, worker, JobState.CHECKING)

    told = await store.cancel(job, by="anna")
    await store.cancel(job, by="anna")

    assert (told.state, told.cancel_asked, told.worker) == (JobState.CHECKING, True, worker)
    assert (await story(store, job)).count("cancel-asked") == 1


@pytest.mark.parametrize("state", [state for state in PATHS if state is not JobState.CHECKING])
async def test_a_job_that_may_have_been_sent_is_not_cancelled(
    store: Store, worker: WorkerId, state: JobState
) -> None:
    """From SENDING on a cancel changes nothing: what was sent is followed to its end."""
    [job] = await accept(store)
    await bring(store, worker, state)
    before = await store.job(job), await story(store, job)

    told = await store.cancel(job, by="anna")

    assert told.state is state
    assert not told.cancel_asked
    assert (await store.job(job), await story(store, job)) == before


async def test_a_job_that_ended_stays_as_it_ended(store: Store, worker: WorkerId) -> None:
    """A final state is never left."""
    [job] = await accept(store)
    lease = await bring(store, worker, JobState.WATCHING)
    ended = await move(store, lease, JobEvent.SETTLED)

    assert await store.cancel(job, by="anna") == ended
    assert await place_of(store, job) == (JobState.SUCCEEDED, None, None)


async def test_cancelling_nothing_says_so(store: Store) -> None:
    """A job that does not exist cannot be cancelled."""
    with pytest.raises(NothingMatchedError):
        await store.cancel(JobId(4711), by="anna")


async def test_the_store_has_a_time(store: Store, clock: FakeClock) -> None:
    """Everybody who uses the store can ask for the time it goes by."""
    clock.advance(3)

    assert await store.now_us() == NOON_US + 3_000_000


async def test_a_busy_store_finds_itself_healthy(
    store: Store, worker: WorkerId, clock: FakeClock
) -> None:
    """With jobs in every state that a job can be in, the check finds nothing."""
    moves: Sequence[tuple[JobState, JobEvent | None]] = [
        *[(state, None) for state in PATHS],
        *[(state, JobEvent.HANDED_BACK) for state in PATHS],
        (JobState.CHECKING, JobEvent.ALREADY),
        (JobState.UNKNOWN, JobEvent.GAVE_UP),
        (JobState.WATCHING, JobEvent.SETTLED),
    ]
    leases = []
    for number, (state, _) in enumerate(moves):
        await accept(store, a_request(f"pool-{number}", key=f"{number}"))
        await accept(store, a_request(f"pool-{number}", key=f"{number}-next"))
        leases.append(await bring(store, worker, state))
    for number, (_, event) in enumerate(moves):
        if event is not None:
            await move(store, leases[number], event)
            await accept(store, a_request(f"pool-{number}", key=f"{number}-late"))

    findings = await store.check()

    assert [finding for finding in findings if not finding.ok] == []
    assert len(findings) >= 5


async def test_the_check_misses_workers_that_are_gone(
    store: Store, worker: WorkerId, clock: FakeClock
) -> None:
    """A job in the hands of a worker whose lease has ended is something a person should see."""
    await accept(store)
    await bring(store, worker, JobState.SENDING)
    clock.advance(minutes=1)

    wrong = [finding for finding in await store.check() if not finding.ok]

    assert [finding.name for finding in wrong] == ["workers"]


async def test_a_store_says_what_it_is(store: Store) -> None:
    """Where it is, without a password, which engine serves it, and how new its schema is."""
    facts = await store.facts()

    assert facts.engine.split()[0] in {"SQLite", "PostgreSQL"}
    assert facts.engine.split()[1][0].isdigit()
    assert facts.schema >= 1
    assert "@" not in facts.place
    assert facts.place


async def test_buckets_come_back_as_they_were_left(store: Store) -> None:
    """Every field of a limiter row is kept, also one that the rule gets tomorrow."""
    learned = {"lesson": Lesson(per_s=2.5, source=Source.TEXT, named=Limit(count=7, window_s=0.5))}
    numbers = {
        field.name: number
        for number, field in enumerate(fields(Bucket), start=1)
        if field.name not in learned
    }
    full: Any = {**numbers, **learned}
    rows: Mapping[str, Bucket] = {"plain": Bucket(), "full": Bucket(**full)}

    await store.update_buckets([], lambda _rows, _now: (rows, None))

    assert await store.buckets() == rows


async def test_results_tell_the_whole_job(store: Store, worker: WorkerId) -> None:
    """A result is the job as it ended, so that its line can be written without another question."""
    [job] = await accept(store, a_request(key="k", labels={"change": "CHG-1"}))
    lease = await bring(store, worker, JobState.WATCHING)
    await move(store, lease, JobEvent.SETTLED, progress=SENT)

    [result] = await store.results_after(worker, 0)

    assert result.job == await store.job(job)
