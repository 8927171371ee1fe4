"""Rollouts that move: one of many advances, orders that are barriers, tallies that are exact."""

from dataclasses import replace

import anyio
import pytest

from jobs.errors import (
    BadRequestError,
    ConflictError,
    IllegalTransitionError,
    NothingMatchedError,
    RolloutHeldError,
    StaleRevisionError,
)
from jobs.model import JobId, RolloutId, WorkerId
from jobs.rollout_states import RolloutEvent, RolloutState, WaveEvent, WaveState
from jobs.states import FINAL_STATES, JobEvent, JobState, WaitReason
from jobs.store.protocol import Store
from jobs.store.rollouts import GLASS, Advance, Order, PlannedJob, Tally, WaveMove
from jobs.store.rollouts import OrderKind as Kind
from tests.builders import NOON_US, a_request
from tests.contract.rollout_steps import (
    ANA,
    BEN,
    PLAN,
    admit,
    advance,
    end,
    flight,
    in_hand,
    line,
    moves,
    new,
    order,
    planned,
    row_of,
    running,
    started,
    tally,
    told,
    wave_moves,
)
from tests.contract.steps import (
    ONE,
    TWO,
    a_worker,
    accept,
    all_is_well,
    claim,
    claimed,
    move,
    place_of,
    state_of,
    story,
    wait,
)
from tests.fakes import FakeClock

ENDS = {
    "succeeded": (JobEvent.INTENDED, JobEvent.ACCEPTED, JobEvent.SETTLED),
    "unchanged": (JobEvent.ALREADY,),
    "failed": (JobEvent.INTENDED, JobEvent.REFUSED),
    "unresolved": (JobEvent.INTENDED, JobEvent.ANSWER_LOST, JobEvent.GAVE_UP),
    "skipped": (JobEvent.SKIPPED,),
    "cancelled": (JobEvent.CANCELLED,),
}


# Advancing.


async def test_an_advance_moves_everything_or_nothing(store: Store, clock: FakeClock) -> None:
    """States, facts, times and the record change together, and the revision grows by one."""
    rollout = await started(store, 1, 1)
    before = await row_of(store, rollout)
    clock.advance(5)

    row = await store.rollouts.advance(
        Advance(
            rollout=rollout,
            rev=before.rev,
            waves=[
                *wave_moves(0, WaveEvent.REACHED),
                WaveMove(wave=0, event=WaveEvent.OPENED, facts={"gates": ["window"]}),
            ],
            moves=[(RolloutEvent.APPLIED, {}), (RolloutEvent.OPENED, {"wave": 0})],
            facts={"note": 1},
        )
    )

    now_us = clock.now_us()
    assert row == await row_of(store, rollout)
    assert (row.state, row.rev, row.started_us) == (RolloutState.RUNNING, before.rev + 1, now_us)
    assert row.facts == {"note": 1}
    assert [wave.state for wave in row.waves] == [WaveState.RUNNING, WaveState.PENDING]
    assert (row.waves[0].opened_us, row.waves[0].facts) == (now_us, {"gates": ["window"]})
    assert (await told(store, rollout))[1:] == [
        ("reached", 0),
        ("opened", 0),
        ("applied", None),
        ("opened", None),
    ]
    record = await store.rollouts.record_of(rollout)
    assert [entry.seq for entry in record] == [1, 2, 3, 4, 5]
    assert (record[2].data, record[4].data) == ({"gates": ["window"]}, {"wave": 0})
    assert {entry.at_us for entry in record[1:]} == {now_us}


async def test_facts_stay_until_they_are_replaced(store: Store) -> None:
    """An advance that says nothing about the rollout's facts leaves them."""
    rollout = await started(store, 1)
    await advance(store, rollout, facts={"a": 1})
    await advance(store, rollout)
    assert (await row_of(store, rollout)).facts == {"a": 1}
    await advance(store, rollout, facts={})
    assert (await row_of(store, rollout)).facts == {}


async def test_one_of_two_racers_advances(store: Store, other: Store) -> None:
    """Whoever decided on what has changed since writes nothing, and hears of it."""
    rollout = await started(store, 4)
    row = await row_of(store, rollout)
    outcomes: list[str] = []

    async def race(one: Store, number: int) -> None:
        try:
            await one.rollouts.advance(Advance(rollout=rollout, rev=row.rev, facts={"n": number}))
            outcomes.append("won")
        except StaleRevisionError:
            outcomes.append("stale")

    async with anyio.create_task_group() as racers:
        for number in range(4):
            racers.start_soon(race, (store, other)[number % 2], number)

    assert sorted(outcomes) == ["stale", "stale", "stale", "won"]
    assert (await row_of(store, rollout)).rev == row.rev + 1


async def test_a_stale_advance_writes_nothing(store: Store) -> None:
    """No job is admitted, nothing is told."""
    rollout = await running(store, 1)
    [job] = await line(store, rollout)
    row = await row_of(store, rollout)
    with pytest.raises(StaleRevisionError):
        await store.rollouts.advance(Advance(rollout=rollout, rev=row.rev - 1, admit=[job]))

    assert await line(store, rollout) == [job]
    assert await row_of(store, rollout) == row


async def test_the_end_of_a_job_makes_no_advance_stale(store: Store, worker: WorkerId) -> None:
    """Tallies change without a new revision: a busy rollout can be advanced all the same."""
    rollout = await running(store, 2)
    [lease] = await in_hand(store, worker, rollout)
    row = await row_of(store, rollout)
    await end(store, lease, JobEvent.ALREADY)

    moved = await store.rollouts.advance(Advance(rollout=rollout, rev=row.rev, facts={"x": 1}))

    assert moved.waves[0].tally.unchanged == 1


async def test_a_move_that_no_table_has_changes_nothing(store: Store) -> None:
    """The tables decide; a wave that is not there is an error, too."""
    rollout = await started(store, 1)
    row = await row_of(store, rollout)

    for error, change in (
        (IllegalTransitionError, {"moves": moves(RolloutEvent.APPLIED, RolloutEvent.RESUMED)}),
        (IllegalTransitionError, {"waves": wave_moves(0, WaveEvent.OPENED)}),
        (NothingMatchedError, {"waves": wave_moves(1, WaveEvent.REACHED)}),
        (ValueError, {"cancel": 1}),
        (ValueError, {"cancel": 1001}),
    ):
        with pytest.raises(error):
            await advance(store, rollout, **change)
    with pytest.raises(NothingMatchedError):
        await store.rollouts.advance(Advance(rollout=RolloutId(4711), rev=1))
    assert await row_of(store, rollout) == row


# Admitting.


async def test_an_admitted_job_may_be_claimed(
    store: Store, worker: WorkerId, clock: FakeClock
) -> None:
    """It leaves the line as any other job is accepted: once, and by name."""
    rollout = await running(store, 3)
    first, second, third = await line(store, rollout)
    clock.advance(7)

    await advance(store, rollout, admit=[second, second])
    await advance(store, rollout, admit=[second])

    assert await line(store, rollout) == [first, third]
    [one] = await store.rollouts.rollout_jobs(rollout, in_flight=True)
    assert (one.job, one.wave, one.rank, one.state) == (second, 0, 1, JobState.READY)
    assert (one.target.pool_name, one.since_us, one.started_us) == (
        "pool-0-1",
        clock.now_us(),
        None,
    )
    assert (await tally(store, rollout)).admitted == 1
    assert await claimed(store, worker) == [second]
    assert await story(store, second) == ["created", "due", "claimed"]
    await all_is_well(store)


async def test_an_admitted_job_waits_for_its_pool(store: Store, worker: WorkerId) -> None:
    """Behind the head of its pool, in the order in which jobs do."""
    rollout = await running(store, 1)
    [head] = await accept(store, a_request("pool-0-0", plugin="other"))
    [(_, lease)] = await claim(store, worker)
    [job] = await admit(store, rollout)

    assert await place_of(store, job) == (JobState.WAITING, WaitReason.POOL_BUSY, None)
    await end(store, lease, JobEvent.ALREADY)
    assert await claimed(store, worker) == [job]
    assert head == lease.job


async def test_an_admitted_job_waits_for_its_own_time(
    store: Store, worker: WorkerId, clock: FakeClock
) -> None:
    """What the request says about its start holds in a rollout, too."""
    await store.rollouts.keep_plan(PLAN)
    rollout = (await store.rollouts.start_rollout(new(1))).rollout
    later_us = NOON_US + 10_000_000
    await store.rollouts.plan_jobs(rollout, planned([1], not_before_us=later_us))
    await advance(
        store,
        rollout,
        moves=moves(RolloutEvent.APPLIED),
        waves=wave_moves(0, WaveEvent.REACHED, WaveEvent.OPENED),
    )
    [job] = await admit(store, rollout)

    assert await place_of(store, job) == (JobState.WAITING, WaitReason.NOT_BEFORE, later_us)
    clock.advance(10)
    assert await claimed(store, worker) == [job]
    await all_is_well(store)


async def test_only_a_wave_that_runs_lets_jobs_in(store: Store) -> None:
    """Neither a wave that was not opened nor a rollout that is held admits anything."""
    rollout = await running(store, 1, 1)
    first, second = await line(store, rollout)

    with pytest.raises(IllegalTransitionError):
        await advance(store, rollout, admit=[second])
    await order(store, rollout, Kind.PAUSE)
    with pytest.raises(IllegalTransitionError):
        await advance(store, rollout, admit=[first])

    assert await line(store, rollout) == [first, second]
    assert await tally(store, rollout, 1) == Tally(size=1)
    await all_is_well(store)


async def test_a_job_of_another_rollout_is_not_admitted(store: Store) -> None:
    """Nor is one that does not exist, or that lies in no line."""
    one = await running(store, 1, prefix="a")
    two = await running(store, 1, prefix="b", name="second")
    [foreign] = await line(store, two)
    [free] = await accept(store, a_request("c"))

    await advance(store, one, admit=[foreign, free, JobId(4711)])

    assert await line(store, two) == [foreign]
    assert (await tally(store, one)).admitted == 0


# Sending.


@pytest.mark.parametrize(
    ("kind", "state", "resumable"),
    [(Kind.PAUSE, RolloutState.PAUSING, True), (Kind.ABORT, RolloutState.ABORTING, False)],
)
async def test_nothing_is_sent_once_an_order_has_answered(
    store: Store, worker: WorkerId, kind: Kind, state: RolloutState, *, resumable: bool
) -> None:
    """The intent is refused, and nothing of it is written: the job is as it was."""
    rollout = await running(store, 1)
    [lease] = await in_hand(store, worker, rollout)
    await order(store, rollout, kind)

    with pytest.raises(RolloutHeldError) as caught:
        await move(store, lease, JobEvent.INTENDED)

    assert caught.value.resumable is resumable
    assert caught.value.facts["state"] == state
    assert await state_of(store, lease.job) is JobState.CHECKING
    assert await story(store, lease.job) == ["created", "due", "claimed"]
    await all_is_well(store)


async def test_what_was_sent_is_followed_to_its_end(store: Store, worker: WorkerId) -> None:
    """A pause holds what has not begun; an intent that was committed before goes on."""
    rollout = await running(store, 1)
    [lease] = await in_hand(store, worker, rollout)
    await move(store, lease, JobEvent.INTENDED)
    await order(store, rollout, Kind.PAUSE)

    await end(store, lease, JobEvent.ACCEPTED, JobEvent.SETTLED)

    assert (await tally(store, rollout)).succeeded == 1


async def test_an_order_is_a_barrier_for_intents_under_way(
    store: Store, other: Store, worker: WorkerId
) -> None:
    """Whatever the interleaving: after the answer no intent appears, and none is lost."""
    rollout = await running(store, 40)
    leases = await in_hand(store, worker, rollout, 40)
    intended: list[JobId] = []
    refused: list[JobId] = []
    counted: list[int] = []

    async def intend(number: int) -> None:
        lease = leases[number]
        try:
            await move(store, lease, JobEvent.INTENDED)
            intended.append(lease.job)
        except RolloutHeldError:
            refused.append(lease.job)

    async def pause() -> None:
        await order(other, rollout, Kind.PAUSE)
        counts = await other.counts()
        counted.append(counts.get(JobState.SENDING, 0))

    async with anyio.create_task_group() as everybody:
        for number in range(40):
            if number == 20:
                everybody.start_soon(pause)
            everybody.start_soon(intend, number)

    assert len(intended) + len(refused) == 40
    assert counted == [len(intended)]
    assert (await store.counts()).get(JobState.SENDING, 0) == len(intended)
    await all_is_well(store)


async def test_one_held_intent_in_a_crowd_fails_alone(store: Store, worker: WorkerId) -> None:
    """Jobs of other rollouts, and of none, are sent meanwhile."""
    held = await running(store, 1, prefix="a")
    free = await running(store, 1, prefix="b", name="second")
    await accept(store, a_request("c"))
    await admit(store, held)
    await admit(store, free)
    leases = {job.rollout: lease for job, lease in await claim(store, worker)}
    await order(store, held, Kind.PAUSE)
    outcomes: dict[RolloutId | None, str] = {}

    async def intend(rollout: RolloutId | None) -> None:
        try:
            outcomes[rollout] = (await move(store, leases[rollout], JobEvent.INTENDED)).state
        except RolloutHeldError:
            outcomes[rollout] = "held"

    async with anyio.create_task_group() as crowd:
        for rollout in leases:
            crowd.start_soon(intend, rollout)

    assert outcomes == {held: "held", free: "sending", None: "sending"}


async def test_a_job_that_was_set_aside_comes_again(
    store: Store, worker: WorkerId, clock: FakeClock
) -> None:
    """Once its rollout goes on it may be admitted again; it counts once, its deadline anew."""
    rollout = await running(store, 2)
    [lease] = await in_hand(store, worker, rollout)
    await order(store, rollout, Kind.PAUSE)
    await wait(store, lease, WaitReason.PAUSED, None)
    await advance(store, rollout, moves=moves(RolloutEvent.DRAINED))
    await order(store, rollout, Kind.RESUME)
    clock.advance(hours=3)
    await store.heartbeat(worker, lease_s=60)

    row = await advance(store, rollout, moves=moves(RolloutEvent.OPENED), admit=[lease.job])

    [(again, _)] = await claim(store, worker)
    assert row.waves[0].tally.admitted == 1
    assert again.id == lease.job
    assert again.started_us == clock.now_us()
    assert (again.deadline_us or 0) > clock.now_us()
    await all_is_well(store)


# Tallies.


@pytest.mark.parametrize("outcome", list(ENDS))
async def test_an_end_is_counted_with_the_job(
    store: Store, worker: WorkerId, clock: FakeClock, outcome: str
) -> None:
    """Each end counts once, in the transaction that ends the job."""
    rollout = await running(store, 2)
    [lease] = await in_hand(store, worker, rollout)
    before = await store.rollouts.live_revisions()
    clock.advance(3)
    await end(store, lease, *ENDS[outcome])

    bad = outcome in {"failed", "unresolved"}
    expected = replace(Tally(size=2, admitted=1, failures=int(bad)), **{outcome: 1})
    row = await row_of(store, rollout)
    assert row.waves[0].tally == expected
    assert row.waves[0].ended_us is None
    assert (await store.rollouts.live_revisions())[rollout] > before[rollout]
    assert await flight(store, rollout) == []
    await all_is_well(store)


async def test_a_wave_has_ended_with_its_last_job(
    store: Store, worker: WorkerId, clock: FakeClock
) -> None:
    """The bake counts from there."""
    rollout = await running(store, 2)
    first, last = await in_hand(store, worker, rollout, 2)
    await end(store, first, JobEvent.ALREADY)
    clock.advance(9)
    await end(store, last, JobEvent.ALREADY)
    ended_us = clock.now_us()
    clock.advance(9)

    assert (await row_of(store, rollout)).waves[0].ended_us == ended_us


async def test_ends_in_many_places_are_all_counted(store: Store, other: Store) -> None:
    """Workers of several processes end jobs of one wave at once."""
    rollout = await running(store, 60)
    await admit(store, rollout, 60)
    workers = ((store, await a_worker(store, ONE)), (other, await a_worker(other, TWO)))
    leases = [(one, lease) for one, worker in workers for _, lease in await claim(one, worker, 30)]

    async with anyio.create_task_group() as crowd:
        for one, lease in leases:
            crowd.start_soon(end, one, lease, JobEvent.ALREADY)

    assert (await tally(store, rollout)).unchanged == 60
    await all_is_well(store)


async def test_a_job_cancelled_by_hand_is_counted(store: Store, worker: WorkerId) -> None:
    """In line or admitted: its wave hears of it, and the line goes on without it."""
    rollout = await running(store, 3)
    first, second, third = await line(store, rollout)
    await store.cancel(first, by="ana")
    await advance(store, rollout, admit=[first, second])
    await store.cancel(second, by="ana")

    assert await tally(store, rollout) == Tally(size=3, admitted=2, cancelled=2)
    assert await line(store, rollout) == [third]
    assert await claimed(store, worker) == []
    await all_is_well(store)


async def test_revisions_change_with_everything(store: Store, worker: WorkerId) -> None:
    """Who looks at one number for each live rollout misses nothing."""
    rollout = await started(store, 1)
    seen = [(await store.rollouts.live_revisions())[rollout]]

    async def look() -> None:
        seen.append((await store.rollouts.live_revisions())[rollout])

    await advance(
        store,
        rollout,
        moves=moves(RolloutEvent.APPLIED, RolloutEvent.OPENED),
        waves=wave_moves(0, WaveEvent.REACHED, WaveEvent.OPENED),
    )
    await look()
    [lease] = await in_hand(store, worker, rollout)
    await look()
    await order(store, rollout, Kind.APPROVE, wave=0)
    await look()
    await end(store, lease, JobEvent.REFUSED)
    await look()
    await store.rollouts.retry_jobs(rollout, [lease.job], ANA)
    await look()

    assert seen == sorted(set(seen))


# Cancelling and ending.


async def test_an_abort_cancels_what_has_not_begun(store: Store, worker: WorkerId) -> None:
    """Set aside, ready or in line: each ends with one result line, in bounded steps."""
    rollout = await running(store, 4)
    [held] = await in_hand(store, worker, rollout)
    [ready] = await admit(store, rollout)
    await order(store, rollout, Kind.PAUSE)
    await wait(store, held, WaitReason.PAUSED, None)
    await order(store, rollout, Kind.ABORT)
    waiting = await line(store, rollout)

    await advance(store, rollout, cancel=3, worker=worker)
    some = [result.job.id for result in await store.results_after(worker, 0)]
    with pytest.raises(IllegalTransitionError):
        await advance(store, rollout, moves=moves(RolloutEvent.DRAINED))
    row = await advance(
        store, rollout, cancel=1000, worker=worker, moves=moves(RolloutEvent.DRAINED)
    )

    results = await store.results_after(worker, 0)
    assert some == [held.job, ready, waiting[0]]
    assert [result.job.id for result in results] == [held.job, ready, *waiting]
    assert [result.seq for result in results] == [1, 2, 3, 4]
    assert {result.job.state for result in results} == {JobState.CANCELLED}
    assert row.state is RolloutState.ABORTED
    assert row.finished_us == NOON_US
    assert row.waves[0].tally == Tally(size=4, admitted=4, cancelled=4)
    assert row.waves[0].ended_us == NOON_US
    assert await store.rollouts.live_revisions() == {}
    [*_, event] = await store.history(waiting[0])
    assert event.data["by"] == f"ro-{rollout}"
    await all_is_well(store)


async def test_results_keep_their_numbers_while_jobs_end_everywhere(
    store: Store, worker: WorkerId
) -> None:
    """A worker that ends jobs while it cancels others gives no number twice, and skips none."""
    await store.rollouts.keep_plan(PLAN)
    rollout = (await store.rollouts.start_rollout(new(60))).rollout
    jobs = [
        PlannedJob(wave=0, rank=n, request=a_request(f"pool-{n}", f"project-{n}"))
        for n in range(60)
    ]
    await store.rollouts.plan_jobs(rollout, jobs)
    await advance(
        store,
        rollout,
        moves=moves(RolloutEvent.APPLIED),
        waves=wave_moves(0, WaveEvent.REACHED, WaveEvent.OPENED),
    )
    leases = await in_hand(store, worker, rollout, 20)
    await order(store, rollout, Kind.ABORT)

    async def cancel() -> None:
        for _ in range(4):
            await advance(store, rollout, cancel=10, worker=worker)

    async with anyio.create_task_group() as everybody:
        everybody.start_soon(cancel)
        for lease in leases:
            everybody.start_soon(end, store, lease, JobEvent.CANCELLED)

    numbers: list[int] = []
    while results := await store.results_after(worker, len(numbers)):
        numbers += [result.seq for result in results]
    assert numbers == list(range(1, 61))
    assert (await tally(store, rollout)).cancelled == 60
    await all_is_well(store)


async def test_a_cancelled_job_frees_its_pool(store: Store, worker: WorkerId) -> None:
    """Whoever waits behind it goes on."""
    rollout = await running(store, 1)
    await admit(store, rollout)
    [behind] = await accept(store, a_request("pool-0-0", plugin="other"))
    await order(store, rollout, Kind.ABORT)

    await advance(store, rollout, cancel=1, worker=worker)

    assert await claimed(store, worker) == [behind]


async def test_a_job_in_hand_is_not_cancelled(store: Store, worker: WorkerId) -> None:
    """Its worker lets it go, or follows what it has sent."""
    rollout = await running(store, 1)
    [lease] = await in_hand(store, worker, rollout)
    await order(store, rollout, Kind.ABORT)
    await advance(store, rollout, cancel=10, worker=worker)

    assert await state_of(store, lease.job) is JobState.CHECKING
    await end(store, lease, JobEvent.CANCELLED)
    assert (await tally(store, rollout)).cancelled == 1


@pytest.mark.parametrize(
    "event", [RolloutEvent.FINISHED, RolloutEvent.FINISHED_DAMAGED, RolloutEvent.LAPSED]
)
async def test_no_job_is_left_behind_by_an_end(
    store: Store, worker: WorkerId, event: RolloutEvent
) -> None:
    """While a job lies in line or is set aside, its rollout cannot end."""
    rollout = await started(store, 1)
    await advance(store, rollout, moves=moves(RolloutEvent.APPLIED))
    row = await row_of(store, rollout)

    with pytest.raises(IllegalTransitionError):
        await advance(store, rollout, moves=moves(event))
    assert await row_of(store, rollout) == row
    await advance(store, rollout, cancel=1, worker=worker, moves=moves(event))
    assert (await row_of(store, rollout)).finished_us == NOON_US
    await all_is_well(store)


async def test_a_rollout_does_not_finish_before_its_jobs(store: Store, worker: WorkerId) -> None:
    """Success is told of all jobs, also of those that are on their way."""
    rollout = await running(store, 1)
    [lease] = await in_hand(store, worker, rollout)

    with pytest.raises(IllegalTransitionError):
        await advance(store, rollout, moves=moves(RolloutEvent.FINISHED))
    await end(store, lease, JobEvent.ALREADY)
    row = await advance(store, rollout, moves=moves(RolloutEvent.FINISHED))
    assert row.state is RolloutState.SUCCEEDED


# Orders.


async def test_orders_do_what_they_say(store: Store, worker: WorkerId, clock: FakeClock) -> None:
    """Each is applied at once, and written down with who, why and where."""
    rollout = await running(store, 1)
    states = []
    for kind in (Kind.PAUSE, Kind.RESUME, Kind.PAUSE, Kind.ABORT):
        clock.advance(1)
        answer = await order(store, rollout, kind)
        states.append(answer.row.state)
        assert (answer.already, answer.already_us) == (None, None)
        assert answer.row == await row_of(store, rollout)
        assert (answer.row.asked, answer.row.asked_kind) == (ANA, kind)
        assert answer.row.asked_us == clock.now_us()

    assert states == [
        RolloutState.PAUSING,
        RolloutState.WAITING,
        RolloutState.PAUSED,
        RolloutState.ABORTING,
    ]
    assert (await told(store, rollout))[-4:] == [
        ("paused", None),
        ("resumed", None),
        ("paused", None),
        ("aborted", None),
    ]
    [*_, entry] = await store.rollouts.record_of(rollout)
    assert entry.data == {"by": "ana", "why": "it is time", "where": "host-a"}


@pytest.mark.parametrize("kind", [Kind.PAUSE, Kind.RESUME, Kind.ABORT])
async def test_an_order_may_be_repeated(store: Store, clock: FakeClock, kind: Kind) -> None:
    """The second time nothing happens, and whoever asks hears who was first, and when."""
    rollout = await running(store, 1)
    if kind is Kind.RESUME:
        await order(store, rollout, Kind.PAUSE, word=BEN)
    first = await order(store, rollout, kind, wave=0)
    then_us = clock.now_us()
    clock.advance(60)

    again = await order(store, rollout, kind, wave=0, word=BEN)

    assert (again.already, again.already_us) == (ANA, then_us)
    assert again.row == first.row == await row_of(store, rollout)


async def test_a_pause_by_a_rule_is_told_as_such(store: Store, worker: WorkerId) -> None:
    """Who pauses what a stop rule has paused hears of the rule."""
    rollout = await running(store, 1)
    await advance(store, rollout, moves=[(RolloutEvent.PAUSED, {"why": "failures: 3"})])

    again = await order(store, rollout, Kind.PAUSE)

    assert again.already is not None
    assert (again.already.by, again.already.why) == (f"ro-{rollout}", "failures: 3")


async def test_what_never_was_paused_needs_no_resume(store: Store) -> None:
    """Nothing happens, and nobody was first."""
    rollout = await running(store, 1)
    answer = await order(store, rollout, Kind.RESUME)
    assert (answer.already, answer.row.state) == (None, RolloutState.RUNNING)


async def test_an_approval_is_of_one_wave_and_one_plan(store: Store, clock: FakeClock) -> None:
    """It stands at its wave with who and when, and says which plan it meant."""
    rollout = await running(store, 1, 1)
    answer = await order(store, rollout, Kind.APPROVE, wave=1, digest=PLAN.digest[:12])

    first, second = answer.row.waves
    assert first.approvals == ()
    (given,) = second.approvals
    assert (given.word, given.at_us, given.groups) == (ANA, clock.now_us(), ())
    assert given.seen == {"jobs": 2, "ended": 0, "failed": 0}
    [*_, entry] = await store.rollouts.record_of(rollout)
    assert (entry.event, entry.wave, entry.data["plan"]) == ("approved", 1, PLAN.digest)


def joining(wave: int, rank: int, pool: str) -> PlannedJob:
    """Return the job of a pool that came later."""
    return PlannedJob(wave=wave, rank=rank, request=a_request(pool))


async def test_a_pool_that_came_later_stands_behind_the_last_one(
    store: Store, worker: WorkerId
) -> None:
    """The wave grows by it, it is admitted like the others, and the record tells how many came."""
    rollout = await running(store, 2)
    late = [joining(0, 2, "late-a"), joining(0, 3, "late-b")]

    row = await advance(store, rollout, join=late, facts={"members": 2})

    assert (row.waves[0].tally.size, row.waves[0].written) == (4, 4)
    assert row.facts == {"members": 2}
    lined = await line(store, rollout)
    assert len(lined) == 4
    await advance(store, rollout, admit=lined)
    found = await claim(store, worker)
    assert [job.request.target.pool_name for job, _ in found][-2:] == ["late-a", "late-b"]
    record = await store.rollouts.record_of(rollout)
    told_of = [(one.wave, one.data["jobs"]) for one in record if one.event == "joined"]
    assert told_of == [(0, 2)]
    await all_is_well(store)


async def test_nobody_joins_twice_or_too_late(store: Store) -> None:
    """A second decision of the same revision is stale; a wrong place, a pause and an end refuse."""
    rollout = await running(store, 1)
    before = await row_of(store, rollout)
    late = [joining(0, 1, "late")]
    await store.rollouts.advance(Advance(rollout=rollout, rev=before.rev, join=late))

    with pytest.raises(StaleRevisionError):
        await store.rollouts.advance(Advance(rollout=rollout, rev=before.rev, join=late))
    for wrong in (joining(0, 5, "other"), joining(0, 0, "other")):
        with pytest.raises(BadRequestError):
            await advance(store, rollout, join=[wrong])
    with pytest.raises(NothingMatchedError):
        await advance(store, rollout, join=[joining(3, 0, "other")])
    await order(store, rollout, Kind.PAUSE)
    with pytest.raises(IllegalTransitionError):
        await advance(store, rollout, join=[joining(0, 2, "other")])
    assert (await row_of(store, rollout)).waves[0].tally.size == 2


async def test_a_pool_of_another_rollout_does_not_join(store: Store) -> None:
    """A plug-in of a pool belongs to one live rollout; nothing of the change is written."""
    await started(store, 1, name="other", prefix="theirs")
    rollout = await running(store, 1)
    before = await row_of(store, rollout)

    with pytest.raises(ConflictError):
        await advance(
            store,
            rollout,
            join=[joining(0, 1, "free"), joining(0, 2, "theirs-0-0")],
            facts={"a": 1},
        )

    assert await row_of(store, rollout) == before
    assert len(await line(store, rollout)) == 1


async def test_who_breaks_the_glass_is_kept_with_a_reason(store: Store, clock: FakeClock) -> None:
    """In the rollout's facts and its record; a second person's word is another one."""
    rollout = await running(store, 1)
    with pytest.raises(BadRequestError):
        await order(store, rollout, Kind.BREAK_GLASS, word=BEN)  # says nothing why
    rev = (await row_of(store, rollout)).rev
    then_us = clock.now_us()
    await order(store, rollout, Kind.BREAK_GLASS, persons=2)
    clock.advance(60)
    again = await order(store, rollout, Kind.BREAK_GLASS, persons=2)
    await order(store, rollout, Kind.BREAK_GLASS, word=replace(BEN, why="INC-1"))

    row = await row_of(store, rollout)
    assert (again.already, again.already_us) == (ANA, then_us)
    assert (row.rev, row.facts[GLASS]["needs"]) == (rev + 2, 2)
    assert [one["by"] for one in row.facts[GLASS]["words"]] == ["ana", "ben"]
    record = await store.rollouts.record_of(rollout)
    told = [one.data for one in record if one.event == "break-glass"]
    assert [(one["by"], one["why"]) for one in told] == [("ana", "it is time"), ("ben", "INC-1")]


async def test_every_person_approves_once(store: Store, clock: FakeClock) -> None:
    """Ben's word stands beside Ana's, with his groups; Ana's second one is none."""
    rollout = await running(store, 1, 1)
    await order(store, rollout, Kind.APPROVE, wave=1)
    clock.advance(60)
    await order(store, rollout, Kind.APPROVE, wave=1, word=BEN, groups=("lead", "sre"))
    clock.advance(60)

    again = await order(store, rollout, Kind.APPROVE, wave=1)

    assert again.already == ANA
    given = (await row_of(store, rollout)).waves[1].approvals
    assert [(one.word, one.groups) for one in given] == [(ANA, ()), (BEN, ("lead", "sre"))]
    assert given[1].at_us - given[0].at_us == 60_000_000
    record = await store.rollouts.record_of(rollout)
    told = [one.data for one in record if one.event == "approved"]
    assert [one["by"] for one in told] == ["ana", "ben"]
    assert told[1]["groups"] == ["lead", "sre"]


async def test_an_approval_from_before_a_wave_opened_can_be_given_again(
    store: Store, clock: FakeClock
) -> None:
    """What somebody said of its start is not what they say of its result."""
    rollout = await started(store, 1)
    await order(store, rollout, Kind.APPROVE, wave=0)
    clock.advance(60)
    await advance(store, rollout, moves=moves(RolloutEvent.APPLIED, RolloutEvent.OPENED))
    await advance(store, rollout, waves=wave_moves(0, WaveEvent.REACHED, WaveEvent.OPENED))

    second = await order(store, rollout, Kind.APPROVE, wave=0)
    third = await order(store, rollout, Kind.APPROVE, wave=0)

    assert (second.already, third.already) == (None, ANA)
    assert len(third.row.waves[0].approvals) == 2


async def test_an_approval_of_something_else_is_refused(store: Store) -> None:
    """Another plan is a conflict; no wave, or one that is not there, a mistake."""
    rollout = await running(store, 1)
    row = await row_of(store, rollout)

    for error, more in (
        (ConflictError, {"wave": 0, "digest": "0" * 64}),
        (BadRequestError, {"wave": 0, "digest": PLAN.digest[:3]}),
        (BadRequestError, {}),
        (NothingMatchedError, {"wave": 1}),
    ):
        with pytest.raises(error):
            await order(store, rollout, Kind.APPROVE, **more)
    assert await row_of(store, rollout) == row


@pytest.mark.parametrize("kind", [Kind.PAUSE, Kind.RESUME, Kind.APPROVE])
async def test_what_has_ended_takes_no_orders(store: Store, worker: WorkerId, kind: Kind) -> None:
    """Nothing is left to order; an abort has been carried out."""
    rollout = await started(store, 1)
    await order(store, rollout, Kind.ABORT)
    done = {"cancel": 1, "worker": worker, "moves": moves(RolloutEvent.DRAINED)}
    await advance(store, rollout, **done)

    with pytest.raises(IllegalTransitionError):
        await order(store, rollout, kind, wave=0)
    assert (await order(store, rollout, Kind.ABORT)).already == ANA


async def test_a_damaged_end_is_not_resumed_by_an_order(store: Store, worker: WorkerId) -> None:
    """Only a retry lets it go on: a resume would do nothing."""
    rollout = await running(store, 1)
    [lease] = await in_hand(store, worker, rollout)
    await end(store, lease, JobEvent.REFUSED)
    await advance(store, rollout, moves=moves(RolloutEvent.FINISHED_DAMAGED))

    with pytest.raises(IllegalTransitionError):
        await order(store, rollout, Kind.RESUME)


async def test_an_order_for_nothing_is_an_error(store: Store) -> None:
    """A rollout that is not there cannot be paused."""
    with pytest.raises(NothingMatchedError):
        await store.rollouts.order(Order(rollout=RolloutId(4711), kind=Kind.PAUSE, word=ANA))


async def test_a_retry_needs_a_rollout_that_can_go_on(store: Store, worker: WorkerId) -> None:
    """What is being aborted tries nothing again, and a name or pool that is taken stays taken."""
    rollout = await running(store, 2)
    [lease] = await in_hand(store, worker, rollout)
    await end(store, lease, JobEvent.REFUSED)
    await order(store, rollout, Kind.ABORT)
    with pytest.raises(IllegalTransitionError):
        await store.rollouts.retry_jobs(rollout, [lease.job], ANA)
    await advance(store, rollout, cancel=9, worker=worker, moves=moves(RolloutEvent.DRAINED))
    with pytest.raises(IllegalTransitionError):
        await store.rollouts.retry_jobs(rollout, [lease.job], ANA)
    with pytest.raises(NothingMatchedError):
        await store.rollouts.retry_jobs(RolloutId(4711), [lease.job], ANA)


@pytest.mark.parametrize("name", ["volcano", "second"])
async def test_a_retry_takes_nothing_from_others(store: Store, worker: WorkerId, name: str) -> None:
    """Once another rollout has its name or its pool, an ended one stays as it is."""
    rollout = await running(store, 1)
    [lease] = await in_hand(store, worker, rollout)
    await end(store, lease, JobEvent.REFUSED)
    await advance(store, rollout, moves=moves(RolloutEvent.FINISHED_DAMAGED))
    await started(store, 1, name=name, prefix="pool" if name == "second" else "free")
    row = await row_of(store, rollout) if name == "second" else None

    with pytest.raises(ConflictError):
        await store.rollouts.retry_jobs(rollout, [lease.job], ANA)

    assert row is None or await row_of(store, rollout) == row
    assert await line(store, rollout) == []
    await all_is_well(store)


async def test_a_plan_of_many_waves_is_cancelled_in_its_order(
    store: Store, worker: WorkerId
) -> None:
    """Wave by wave, rank by rank, at most as many as asked for."""
    rollout = await running(store, 2, 2)
    jobs = await line(store, rollout)
    await order(store, rollout, Kind.ABORT)

    await advance(store, rollout, cancel=3, worker=worker)

    ended = [job for job in jobs if await state_of(store, job) in FINAL_STATES]
    assert ended == jobs[:3]
