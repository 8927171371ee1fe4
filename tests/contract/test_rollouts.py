"""Rollouts that are written down: plans, names, keys, lines, and whose a pool is."""

from dataclasses import replace

import pytest

from jobs.errors import (
    BadRequestError,
    ConflictError,
    IllegalTransitionError,
    NothingMatchedError,
)
from jobs.model import JobId, RolloutId, Terms, WorkerId
from jobs.retries import Backoff
from jobs.rollout_states import RolloutEvent, RolloutState, WaveEvent, WaveState
from jobs.states import JobEvent, JobState, WaitReason
from jobs.store.protocol import Store, Verdict
from jobs.store.rollouts import OrderKind as Kind
from jobs.store.rollouts import PlannedJob, RolloutKind, Started
from tests.builders import NOON_US, a_request, digest
from tests.contract.rollout_steps import (
    ANA,
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
    accept,
    all_is_well,
    claim,
    claimed,
    place_of,
    state_of,
    story,
    wait,
)
from tests.fakes import FakeClock


async def test_a_plan_stays_as_it_was_kept(store: Store) -> None:
    """A digest names one content; keeping it again changes nothing."""
    await store.rollouts.keep_plan(PLAN)
    await store.rollouts.keep_plan(replace(PLAN, body="{}", name="other"))

    assert await store.rollouts.plan(PLAN.digest) == PLAN
    assert await store.rollouts.plan(PLAN.digest[:6]) == PLAN
    assert await store.rollouts.plan("0" * 64) is None


async def test_the_beginning_of_a_digest_must_name_one_plan(store: Store) -> None:
    """Too short a digest is refused, and one that two plans begin with is a conflict."""
    await store.rollouts.keep_plan(replace(PLAN, digest="abcdef" + "1" * 58))
    await store.rollouts.keep_plan(replace(PLAN, digest="abcdef" + "f" * 58))

    with pytest.raises(BadRequestError):
        await store.rollouts.plan("abcde")
    with pytest.raises(ConflictError):
        await store.rollouts.plan("abcdef")


async def test_a_rollout_starts_as_planned(store: Store) -> None:
    """What was asked for is what is there, with its waves and who started it."""
    await store.rollouts.keep_plan(PLAN)
    wanted = new(2, 3, labels={"change": "CHG-1"}, expires_us=NOON_US + 5)

    answer = await store.rollouts.start_rollout(wanted)

    row = await row_of(store, answer.rollout)
    assert (answer.outcome, row.state, row.name) == ("created", RolloutState.PLANNED, "volcano")
    assert (row.kind, row.plan, row.of) == (RolloutKind.ROLLOUT, PLAN.digest, None)
    assert (row.labels, row.expires_us) == ({"change": "CHG-1"}, NOON_US + 5)
    assert [(wave.n, wave.state, wave.tally.size) for wave in row.waves] == [
        (0, WaveState.PENDING, 2),
        (1, WaveState.PENDING, 3),
    ]
    [entry] = await store.rollouts.record_of(answer.rollout)
    assert (entry.event, entry.data["by"], entry.data["sizes"]) == ("planned", "ana", [2, 3])


async def test_a_rollout_is_found_by_id_and_by_name(store: Store) -> None:
    """`ro-12`, `12` and the name mean the same; of several with a name the newest."""
    first = await started(store, 1, prefix="a")

    assert (await row_of(store, first)).id == first
    by_name = await store.rollouts.rollout("volcano")
    by_word = await store.rollouts.rollout(f"ro-{first}")
    assert by_name == by_word == await row_of(store, first)
    assert await store.rollouts.rollout("ro-4711") is None
    assert await store.rollouts.rollout("unknown") is None


async def test_a_submission_may_be_repeated(store: Store) -> None:
    """The same key and content give the same rollout, also after its end; other content none."""
    await store.rollouts.keep_plan(PLAN)
    wanted = new(1, key="tick-7", fingerprint=digest(1))
    first = await store.rollouts.start_rollout(wanted)

    again = await store.rollouts.start_rollout(wanted)
    other = await store.rollouts.start_rollout(replace(wanted, fingerprint=digest(2)))

    assert again == Started(outcome="duplicate", rollout=first.rollout)
    assert other == Started(outcome="conflict", rollout=first.rollout)
    assert len(await store.rollouts.rollouts()) == 1


async def test_a_name_means_one_live_rollout(store: Store, worker: WorkerId) -> None:
    """A second rollout of the name is refused until the first has ended."""
    first = await started(store, 1)

    with pytest.raises(ConflictError):
        await store.rollouts.start_rollout(new(1))

    await order(store, first, Kind.ABORT)
    with pytest.raises(ConflictError):
        await store.rollouts.start_rollout(new(1))
    await advance(store, first, cancel=1, worker=worker, moves=moves(RolloutEvent.DRAINED))
    second = await store.rollouts.start_rollout(new(1))
    assert second.outcome == "created"
    assert [row.id for row in await store.rollouts.rollouts()] == [second.rollout, first]
    assert [row.id for row in await store.rollouts.rollouts(live=True)] == [second.rollout]
    assert [row.id for row in await store.rollouts.rollouts(limit=1)] == [second.rollout]
    newest = await store.rollouts.rollout("volcano")
    assert newest is not None
    assert newest.id == second.rollout


async def test_nothing_starts_without_its_plan(store: Store) -> None:
    """A plan that was not kept, or a rollout to restore that is not there, is an error."""
    with pytest.raises(NothingMatchedError):
        await store.rollouts.start_rollout(new(1))

    await store.rollouts.keep_plan(PLAN)
    with pytest.raises(NothingMatchedError):
        await store.rollouts.start_rollout(new(1, of=RolloutId(4711)))
    with pytest.raises(NothingMatchedError):
        await store.rollouts.plan_jobs(RolloutId(4711), planned([1]))


async def test_a_rollback_names_what_it_restores(store: Store) -> None:
    """It is a rollout of its own."""
    first = await started(store, 1)
    more = {"kind": RolloutKind.ROLLBACK, "of": first}
    back = await started(store, 1, name="back", prefix="another", **more)

    row = await row_of(store, back)
    assert (row.kind, row.of) == (RolloutKind.ROLLBACK, first)


async def test_jobs_of_a_rollout_lie_in_line(store: Store, worker: WorkerId) -> None:
    """They wait for their wave, hold no pool, and no claim ever sees them."""
    rollout = await started(store, 2, 1)
    jobs = await line(store, rollout)

    assert [await place_of(store, job) for job in jobs] == [
        (JobState.WAITING, WaitReason.WAVE, None)
    ] * 3
    assert await claimed(store, worker) == []
    assert await line(store, rollout, wave=1) == jobs[2:]
    assert await flight(store, rollout) == []
    [other] = await accept(store, a_request("pool-0-0", plugin="other"))
    assert await claimed(store, worker) == [other]
    await all_is_well(store)


async def test_a_job_knows_its_rollout_and_wave(store: Store, worker: WorkerId) -> None:
    """Whoever reads or claims it is told, so that its result line needs no join."""
    rollout = await running(store, 2)
    [job] = await admit(store, rollout)
    found = await store.job(job)
    [(taken, lease)] = await claim(store, worker)
    await end(store, lease, JobEvent.ALREADY)

    [result] = await store.results_after(worker, 0)
    assert found is not None
    assert [(one.rollout, one.wave) for one in (found, taken, result.job)] == [(rollout, 0)] * 3


async def test_a_job_keeps_its_terms(store: Store, worker: WorkerId) -> None:
    """What the plan froze comes with the claim, and jobs with other terms have their own."""
    patient = Terms(
        attempts=2,
        backoff=Backoff(first_s=9.0, jitter=False),
        require=("phase", "version"),
        poll_first_s=1.5,
        poll_factor=1.0,
        poll_max_s=2.0,
        steady_s=60.0,
        abnormal_grace_s=120.0,
        skip_gone=True,
    )
    hasty = replace(patient, attempts=1, backoff=Backoff(max_s=3.0))
    wanted = (patient, hasty, None)
    await store.rollouts.keep_plan(PLAN)
    rollout = (await store.rollouts.start_rollout(new(3))).rollout
    jobs = [
        replace(one, request=replace(one.request, terms=terms))
        for one, terms in zip(planned([3]), wanted, strict=True)
    ]
    await store.rollouts.plan_jobs(rollout, jobs)
    await advance(store, rollout, moves=moves(RolloutEvent.APPLIED, RolloutEvent.OPENED))
    opened = wave_moves(0, WaveEvent.REACHED, WaveEvent.OPENED)
    lined = await line(store, rollout)
    await advance(store, rollout, waves=opened, admit=lined)

    found = await claim(store, worker, 3)

    assert [job.request.terms for job, _ in found] == list(wanted)


async def test_writing_jobs_down_may_be_repeated(store: Store) -> None:
    """A place that is taken keeps its job, whatever comes again, also within one call."""
    rollout = await started(store, 2, 2)
    jobs = await line(store, rollout)

    again = [*planned([2, 2], "other"), *planned([2, 2])]
    assert await store.rollouts.plan_jobs(rollout, again) == 4
    assert await line(store, rollout) == jobs
    assert [wave.written for wave in (await row_of(store, rollout)).waves] == [2, 2]
    await all_is_well(store)


async def test_jobs_are_written_down_in_parts(store: Store) -> None:
    """A large plan comes in many calls; it is applied once all of it is there."""
    await store.rollouts.keep_plan(PLAN)
    rollout = (await store.rollouts.start_rollout(new(2, 1))).rollout
    jobs = planned([2, 1])

    assert await store.rollouts.plan_jobs(rollout, jobs[:2]) == 2
    with pytest.raises(IllegalTransitionError):
        await advance(store, rollout, moves=moves(RolloutEvent.APPLIED))
    assert await store.rollouts.plan_jobs(rollout, jobs[1:]) == 3
    row = await advance(store, rollout, moves=moves(RolloutEvent.APPLIED))
    assert row.state is RolloutState.WAITING
    with pytest.raises(IllegalTransitionError):
        await store.rollouts.plan_jobs(rollout, jobs)


@pytest.mark.parametrize(("wave", "rank"), [(2, 0), (-1, 0), (0, 2), (0, -1)])
async def test_a_job_without_a_place_is_refused(store: Store, wave: int, rank: int) -> None:
    """A wave or rank outside of the sizes is a mistake, and nothing is written."""
    await store.rollouts.keep_plan(PLAN)
    rollout = (await store.rollouts.start_rollout(new(2, 2))).rollout
    wrong = PlannedJob(wave=wave, rank=rank, request=a_request())

    with pytest.raises(BadRequestError):
        await store.rollouts.plan_jobs(rollout, [*planned([2, 2]), wrong])
    assert await store.open_jobs() == 0


async def test_a_job_of_a_rollout_has_no_other_key(store: Store) -> None:
    """Its place is its key; another one would be lost, so it is refused."""
    await store.rollouts.keep_plan(PLAN)
    rollout = (await store.rollouts.start_rollout(new(1))).rollout

    with pytest.raises(BadRequestError):
        await store.rollouts.plan_jobs(rollout, planned([1], key="mine"))


async def test_nobody_joins_a_job_in_line(store: Store) -> None:
    """An equal request of somebody else does not wait for a wave: it is a job of its own."""
    await started(store, 1)

    [answer] = await store.enqueue([a_request("pool-0-0")])

    assert answer.verdict is Verdict.CREATED
    assert await state_of(store, answer.job) is JobState.READY


async def test_two_live_rollouts_never_change_the_same(store: Store, worker: WorkerId) -> None:
    """The same plug-in on the same pool is one live rollout's; the other writes nothing."""
    first = await started(store, 2)
    await store.rollouts.start_rollout(new(3, name="second"))
    second = await store.rollouts.rollout("second")
    assert second is not None
    jobs = [*planned([2], "free"), PlannedJob(wave=0, rank=2, request=a_request("pool-0-1"))]

    with pytest.raises(ConflictError) as caught:
        await store.rollouts.plan_jobs(second.id, jobs)

    assert caught.value.facts["rollout"] == first
    assert caught.value.facts["pool_name"] == "pool-0-1"
    assert await line(store, second.id) == []
    await order(store, first, Kind.ABORT)
    await advance(store, first, cancel=2, worker=worker, moves=moves(RolloutEvent.DRAINED))
    assert await store.rollouts.plan_jobs(second.id, jobs) == 3
    await all_is_well(store)


async def test_two_rollouts_may_change_different_plugins_of_a_pool(store: Store) -> None:
    """They take turns on the pool, as jobs do."""
    await started(store, 1)
    await store.rollouts.start_rollout(new(1, name="second"))
    second = await store.rollouts.rollout("second")
    assert second is not None

    assert await store.rollouts.plan_jobs(second.id, planned([1], plugin="other")) == 1


async def test_a_finite_worker_does_not_stay_for_jobs_in_line(
    store: Store, worker: WorkerId
) -> None:
    """What lies in line or was set aside comes to nobody by itself, though it is open."""
    rollout = await running(store, 3)
    [lease] = await in_hand(store, worker, rollout)
    await order(store, rollout, Kind.PAUSE)
    left = await store.left_by_profile()
    await wait(store, lease, WaitReason.PAUSED, None)

    assert left == {None: 1}
    assert await store.left_by_profile() == {}
    assert await store.open_jobs() == 3


async def test_a_failed_job_is_tried_again_in_its_place(
    store: Store, worker: WorkerId, clock: FakeClock
) -> None:
    """A new job with the same request joins the line; the failure stays counted as evidence."""
    rollout = await running(store, 2)
    good, bad = await in_hand(store, worker, rollout, 2)
    await end(store, good, JobEvent.ALREADY)
    await end(store, bad, JobEvent.REFUSED)
    before = await tally(store, rollout)

    added = await store.rollouts.retry_jobs(rollout, [good.job, bad.job, bad.job], ANA)

    [again] = await line(store, rollout)
    after = await tally(store, rollout)
    assert (before.failed, before.failures, before.ended, before.admitted) == (1, 1, 2, 2)
    assert (after.failed, after.failures, after.ended, after.admitted) == (0, 1, 1, 1)
    assert added == 1
    old, new_one = await store.job(bad.job), await store.job(again)
    assert old is not None
    assert new_one is not None
    assert new_one.request == old.request
    assert (new_one.rollout, new_one.wave) == (rollout, 0)
    assert await store.rollouts.retry_jobs(rollout, [bad.job, again, JobId(4711)], ANA) == 0
    await all_is_well(store)


async def test_a_retry_lets_a_rollout_go_on_that_had_ended(store: Store, worker: WorkerId) -> None:
    """A damaged end is not the last word: the rollout is live again, its wave reopened."""
    rollout = await running(store, 1)
    [lease] = await in_hand(store, worker, rollout)
    await end(store, lease, JobEvent.REFUSED)
    await advance(
        store,
        rollout,
        waves=wave_moves(0, WaveEvent.BROKEN),
        moves=moves(RolloutEvent.FINISHED_DAMAGED),
    )

    assert await store.rollouts.live_revisions() == {}
    assert await store.rollouts.retry_jobs(rollout, [lease.job], ANA) == 1
    row = await row_of(store, rollout)
    assert (row.state, row.finished_us) == (RolloutState.WAITING, None)
    assert row.waves[0].state is WaveState.RUNNING
    assert row.waves[0].ended_us is None
    assert list(await store.rollouts.live_revisions()) == [rollout]
    assert (await told(store, rollout))[-3:] == [
        ("retried", 0),
        ("resumed", None),
        ("reopened", 0),
    ]
    [again] = await in_hand(store, worker, rollout)
    await end(store, again, JobEvent.ALREADY)
    assert (await tally(store, rollout)).unchanged == 1
    assert await story(store, lease.job) == ["created", "due", "claimed", "refused"]
    await all_is_well(store)
