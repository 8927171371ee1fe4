"""The life of data: what goes when its time has come, and what never goes."""

from dataclasses import replace

import pytest

from jobs.model import JobId, JobRequest, WorkerId
from jobs.retention import DAY_S, Kept, Retention
from jobs.states import JobEvent, JobState
from jobs.store.keeping import Forgotten, Pruned
from jobs.store.protocol import JobFilter, Store, Verdict
from tests.builders import a_request
from tests.contract.steps import TWO, a_worker, accept, all_is_well, bring, claim, move
from tests.fakes import FakeClock

MONTH = Retention(finished_s=30 * DAY_S, keys_s=30 * DAY_S)
WEEK_THEN_MONTH = Retention(finished_s=7 * DAY_S, keys_s=30 * DAY_S)
FOR_EVER = Retention(finished_s=0, keys_s=0)


async def end(store: Store, worker: WorkerId, *requests: JobRequest) -> list[JobId]:
    """Accept the requests and end each in the worker's hands."""
    ids = await accept(store, *requests)
    for _, lease in await claim(store, worker):
        await move(store, lease, JobEvent.ALREADY)
    return ids


async def prune(store: Store, retention: Retention, **how: bool) -> Pruned:
    """Prune to the end."""
    whole, after = Pruned(), None
    while True:
        step = await store.prune(retention, after=after, **how)
        kept = {why: whole.kept.get(why, 0) + step.kept.get(why, 0) for why in Kept}
        whole = Pruned(
            jobs=whole.jobs + step.jobs,
            keys=whole.keys + step.keys,
            kept={why: number for why, number in kept.items() if number},
        )
        if step.next is None:
            return whole
        after = step.next


async def tidy(store: Store, retention: Retention) -> tuple[int, int]:
    """Tidy to the end; return how many keys and workers went."""
    keys = workers = 0
    while True:
        step = await store.tidy(retention)
        keys, workers = keys + step.keys, workers + step.workers
        if not step.more:
            return keys, workers


async def left(store: Store, worker: WorkerId, seq: int) -> None:
    """The worker has written its lines, and leaves."""
    await store.reported(worker, seq)
    await store.leave(worker)


async def test_an_ended_job_goes_when_its_time_has_come(
    store: Store, worker: WorkerId, clock: FakeClock
) -> None:
    """With its attempts, result, history and key; the counters agree, and nothing else changes."""
    [old] = await end(store, worker, a_request("old", key="old"))
    await left(store, worker, 1)
    clock.advance(hours=29 * 24)
    early = await prune(store, MONTH)
    second = await a_worker(store, TWO)
    [young] = await end(store, second, a_request("young", key="young"))
    clock.advance(hours=25)

    gone = await prune(store, MONTH)

    assert (early.jobs, early.kept) == (0, {Kept.YOUNG: 1})
    assert (gone.jobs, gone.keys, gone.kept) == (1, 1, {Kept.YOUNG: 1})
    assert await store.job(old) is None
    assert await store.history(old) == []
    assert await store.results_after(worker, 0) == []
    assert await store.counts() == {JobState.UNCHANGED: 1}
    assert await store.job(young) is not None
    assert len(await store.history(young)) == 3
    await all_is_well(store)


async def test_an_open_job_never_goes(store: Store, worker: WorkerId, clock: FakeClock) -> None:
    """However old: waiting, ready, in hand or unknown, with everything that belongs to it."""
    ready, held, later = await accept(
        store,
        a_request("ready", priority=-1),
        a_request("held"),
        a_request("later", not_before_us=clock.now_us() + 10**15),
    )
    lease = await bring(store, worker, JobState.UNKNOWN)
    clock.advance(hours=24 * 400)

    gone = await prune(store, MONTH, unreported=True)
    await store.forget(MONTH)

    assert (gone.jobs, gone.kept) == (0, {Kept.OPEN: 3})
    assert lease.job == held
    for job in (ready, held, later):
        assert (await store.history(job))[0].event == "created"
    await store.tidy(MONTH)
    await store.heartbeat(worker, lease_s=60)
    await move(store, lease, JobEvent.FOUND)
    await all_is_well(store)


async def test_a_cancelled_job_goes_too(store: Store, clock: FakeClock) -> None:
    """A job that ended in nobody's hands has no line to wait for."""
    [job] = await accept(store)
    await store.cancel(job, by="test")
    clock.advance(hours=24 * 31)

    assert (await prune(store, MONTH)).jobs == 1
    await all_is_well(store)


async def test_a_result_that_nobody_has_written_stays(
    store: Store, worker: WorkerId, clock: FakeClock
) -> None:
    """A worker died before its lines: they can still be written; an operator may give them up."""
    jobs = await end(store, worker, a_request("a"), a_request("b"), a_request("c"))
    await left(store, worker, 1)
    clock.advance(hours=24 * 31)

    gone = await prune(store, MONTH)
    unwritten = await store.results_after(worker, 1)
    given_up = await prune(store, MONTH, unreported=True)

    assert (gone.jobs, gone.kept) == (1, {Kept.UNREPORTED: 2})
    assert [result.seq for result in unwritten] == [2, 3]
    assert given_up.jobs == 2
    assert [await store.job(job) for job in jobs] == [None] * 3


async def test_what_was_reported_is_never_taken_back(
    store: Store, worker: WorkerId, clock: FakeClock
) -> None:
    """A late word about fewer results changes nothing."""
    await end(store, worker, a_request("a"), a_request("b"))
    await store.reported(worker, 2)
    await left(store, worker, 1)
    clock.advance(hours=24 * 31)

    assert (await prune(store, MONTH)).jobs == 2


async def test_a_living_worker_goes_on_numbering(
    store: Store, worker: WorkerId, clock: FakeClock
) -> None:
    """Its last result stays, so that no number comes twice and no reader misses one."""
    await end(store, worker, a_request("a"), a_request("b"))
    await store.reported(worker, 2)
    clock.advance(hours=24 * 31)
    gone = await prune(store, MONTH)
    await end(store, worker, a_request("c"))

    assert (gone.jobs, gone.kept) == (1, {Kept.LAST: 1})
    assert [result.seq for result in await store.results_after(worker, 2)] == [3]


async def test_a_key_is_known_longer_than_its_job(
    store: Store, worker: WorkerId, clock: FakeClock
) -> None:
    """A request that is repeated after its job has gone is still a duplicate, until its time."""
    request = a_request("a", key="ticket")
    [job] = await end(store, worker, request)
    await left(store, worker, 1)
    clock.advance(hours=24 * 8)
    gone = await prune(store, WEEK_THEN_MONTH)
    [again] = await store.enqueue([request])
    [other] = await store.enqueue([replace(request, fingerprint="f" * 64)])
    early = await tidy(store, WEEK_THEN_MONTH)
    clock.advance(hours=24 * 23)
    late = await tidy(store, WEEK_THEN_MONTH)
    [anew] = await store.enqueue([request])

    assert (gone.jobs, gone.keys) == (1, 0)
    assert (again.verdict, again.job) == (Verdict.DUPLICATE, job)
    assert other.verdict is Verdict.CONFLICT
    assert (early[0], late[0]) == (0, 1)
    assert anew.verdict is Verdict.CREATED
    assert await tidy(store, WEEK_THEN_MONTH) == (0, 0)  # the new one is another job's
    assert (await store.enqueue([request]))[0].verdict is Verdict.DUPLICATE
    await all_is_well(store)


async def test_a_key_never_goes_before_its_job(
    store: Store, worker: WorkerId, clock: FakeClock
) -> None:
    """A shorter time for keys than for jobs is as long as that of the jobs."""
    await end(store, worker, a_request("a", key="ticket"))
    await left(store, worker, 1)
    clock.advance(hours=24 * 20)
    retention = Retention(finished_s=30 * DAY_S, keys_s=DAY_S)
    early = await prune(store, retention), await tidy(store, retention)
    clock.advance(hours=24 * 11)
    gone = await prune(store, retention)

    assert (early[0].jobs, early[1][0]) == (0, 0)
    assert (gone.jobs, gone.keys) == (1, 1)


async def test_for_ever_is_for_ever(store: Store, worker: WorkerId, clock: FakeClock) -> None:
    """Zero keeps everything."""
    await end(store, worker, a_request("a", key="ticket"))
    await left(store, worker, 1)
    clock.advance(hours=24 * 40)

    assert await prune(store, FOR_EVER) == Pruned()
    assert await tidy(store, FOR_EVER) == (0, 0)
    assert await store.forget(FOR_EVER) == Forgotten()


async def test_a_worker_row_goes_after_everything_that_names_it(
    store: Store, worker: WorkerId, clock: FakeClock
) -> None:
    """A dead worker is remembered while a result or a job does."""
    await end(store, worker, a_request("a"))
    await left(store, worker, 1)
    living = await a_worker(store, TWO)
    clock.advance(hours=24 * 31)

    before = await tidy(store, MONTH)
    await prune(store, MONTH)
    after = await tidy(store, MONTH)

    assert (before[1], after[1]) == (0, 1)
    await store.heartbeat(living, lease_s=1)


async def test_inputs_go_after_the_last_job_that_has_them(
    store: Store, other: Store, worker: WorkerId, clock: FakeClock
) -> None:
    """A content goes when it was without a job twice; asked for in between, it stays."""
    secret = {"password": "hunter2"}
    await end(store, worker, a_request("a", inputs=secret), a_request("b", inputs={"n": 1}))
    await other.enqueue([a_request("c", inputs={"n": 2})])
    await left(store, worker, 2)
    clock.advance(hours=24 * 31)
    while_there = await store.forget(MONTH)
    await prune(store, MONTH)

    first = await store.forget(MONTH)
    at_once = await store.forget(MONTH)
    clock.advance(hours=13)
    [back] = await accept(other, a_request("b", inputs={"n": 1}))
    later = await store.forget(MONTH)
    [anew] = await accept(other, a_request("a", inputs=secret))

    assert (while_there.contents, first.contents, at_once.contents) == (0, 0, 0)
    assert later.contents == 1
    for job, inputs in ((back, {"n": 1}), (anew, secret)):
        found = await store.job(job)
        assert found is not None
        assert found.request.plugin.inputs == inputs
    for job in (back, anew):
        await store.cancel(job, by="test")
    clock.advance(hours=24 * 31)
    await prune(store, MONTH)
    # Asked for since it was marked: its time begins anew.
    begun_anew = await store.forget(MONTH)
    clock.advance(hours=13)
    assert (begun_anew.contents, (await store.forget(MONTH)).contents) == (0, 2)
    await store.tidy(MONTH)
    await all_is_well(store)


async def test_a_dry_run_counts_and_changes_nothing(
    store: Store, worker: WorkerId, clock: FakeClock
) -> None:
    """What would go is told, and everything is there afterwards."""
    jobs = await end(store, worker, a_request("a", key="k"), a_request("b"))
    await left(store, worker, 2)
    clock.advance(hours=24 * 31)

    would = await prune(store, MONTH, dry_run=True)

    assert (would.jobs, would.keys) == (2, 1)
    assert all([await store.job(job) for job in jobs])
    assert (await prune(store, MONTH)).jobs == 2


@pytest.mark.slow
async def test_many_jobs_go_in_short_steps(
    store: Store, other: Store, worker: WorkerId, clock: FakeClock
) -> None:
    """Two processes that prune at once remove each job once, and open ones between stay."""
    requests = [a_request(f"pool-{n}", key=f"{n}") for n in range(250)]
    for start in range(0, 250, 100):
        await end(store, worker, *requests[start : start + 100])
    opened = await accept(store, a_request("open"))
    await left(store, worker, 250)
    clock.advance(hours=24 * 31)
    steps = [await store.prune(MONTH), await other.prune(MONTH)]
    while steps[-1].next is not None:
        steps.append(await store.prune(MONTH, after=steps[-1].next))

    assert sum(step.jobs for step in steps) == sum(step.keys for step in steps) == 250
    assert max(step.jobs for step in steps) <= 100
    assert [job.id async for job in store.jobs(JobFilter())] == opened
    await all_is_well(store)


async def test_one_of_all_takes_the_turn(store: Store, other: Store, clock: FakeClock) -> None:
    """A duty is done by one process at a time, and again after its interval."""
    turns = [await one.take_turn("prune", every_s=600) for one in (store, other, store)]
    clock.advance(minutes=10)
    later = [await one.take_turn("prune", every_s=600) for one in (other, store)]
    elsewhere = await store.take_turn("history", every_s=600)

    assert turns == [True, False, False]
    assert later == [True, False]
    assert elsewhere


async def test_a_clock_that_was_ahead_stops_no_duty(store: Store, clock: FakeClock) -> None:
    """A turn is never further away than one interval."""
    clock.advance(hours=24 * 365)
    await store.take_turn("prune", every_s=600)
    clock.advance(hours=-24 * 365)

    assert await store.take_turn("prune", every_s=600)


async def test_jobs_may_be_read_on_from_one(store: Store) -> None:
    """A list that broke off goes on after the last job that was read."""
    jobs = await accept(store, *[a_request(f"pool-{n}") for n in range(9)])

    up = [job.id async for job in store.jobs(JobFilter(), newest_first=False, after=jobs[3])]
    down = [job.id async for job in store.jobs(JobFilter(), after=jobs[3])]

    assert up == jobs[4:]
    assert down == jobs[2::-1]


async def test_figures_tell_how_large_and_old_the_store_is(
    store: Store, worker: WorkerId, clock: FakeClock
) -> None:
    """Sizes, the oldest open job and the rates are there, with their units."""
    await end(store, worker, a_request("a"))
    await accept(store, a_request("b"))
    clock.advance(minutes=2)

    figures = {figure.name: figure for figure in await store.figures()}

    assert figures["oldest open job"].value == 120.0
    assert figures["created lately"].value == pytest.approx(2 / 300, abs=0.001)
    assert figures["ended lately"].value == pytest.approx(1 / 300, abs=0.001)
    assert figures["unreported results"].value == 1
    assert [name for name, figure in figures.items() if figure.unit == "bytes"]
