"""What a rollout has left on its pools: baselines, late failures, and whose turn a look is."""

from dataclasses import replace
from typing import Any, Final

from jobs.model import JobId, PluginSeen, Progress, WorkerId
from jobs.rollout_states import RolloutEvent
from jobs.states import JobEvent, JobState
from jobs.store.protocol import Store
from jobs.store.rollouts import LateFailure
from tests.contract.rollout_steps import (
    ANA,
    admit,
    advance,
    end,
    in_hand,
    moves,
    running,
    started,
    tally,
    told,
)
from tests.contract.steps import all_is_well, claim, move
from tests.fakes import FakeClock

OLD: Final = PluginSeen(name="dns", version="1.0", phase="Running", inputs={"ndots": "2", "x": 1})
SENT: Final = Progress(
    version="2.0", checked=True, before=OLD, inputs={"ndots": "5"}, sends=1, cause="abnormal"
)


async def sent(store: Store, lease: Any, *events: JobEvent, **more: Any) -> None:
    """Record events of a job that has seen OLD and sends 2.0."""
    for event in events:
        await move(store, lease, event, progress=replace(SENT, **more))


async def test_a_deed_has_the_full_baseline_and_what_was_sent(
    store: Store, worker: WorkerId
) -> None:
    """Of each place; one that never sent was not touched, and a refusal has no effect."""
    rollout = await running(store, 4)
    done, refused, _ = await in_hand(store, worker, rollout, 3)
    await sent(store, done, JobEvent.INTENDED, JobEvent.ACCEPTED, JobEvent.SETTLED)
    await sent(store, refused, JobEvent.INTENDED, JobEvent.REFUSED)

    deeds = await store.rollouts.deeds(rollout)

    assert [one.rank for one in deeds] == [0, 1, 2, 3]
    assert [one.sent for one in deeds] == [True, False, False, False]
    first = deeds[0]
    assert (first.state, first.version, first.checked) == (JobState.SUCCEEDED, "2.0", True)
    assert (first.baseline, first.inputs) == (OLD, {"ndots": "5"})
    assert "ndots" not in repr(first)
    later = await store.rollouts.deeds(rollout, since=(0, 2), limit=1)
    assert [one.rank for one in later] == [2]


async def test_what_is_tried_again_keeps_the_first_baseline(store: Store, worker: WorkerId) -> None:
    """The second job finds what the first one has left; an undo wants what was there before."""
    rollout = await running(store, 1)
    [lease] = await in_hand(store, worker, rollout)
    await sent(store, lease, JobEvent.INTENDED, JobEvent.ACCEPTED, JobEvent.BROKEN)
    assert await store.rollouts.retry_jobs(rollout, [lease.job], ANA) == 1
    await admit(store, rollout)
    [(job, again)] = await claim(store, worker)
    ours = PluginSeen(name="dns", version="2.0", phase="Abnormal", inputs={})
    await sent(store, again, JobEvent.INTENDED, before=ours, inputs={"ndots": "6"})

    [deed] = await store.rollouts.deeds(rollout)

    assert (deed.job, deed.state) == (job.id, JobState.SENDING)
    assert (deed.baseline, deed.inputs) == (OLD, {"ndots": "6"})


async def test_a_late_failure_is_counted_once(store: Store, other: Store, worker: WorkerId) -> None:
    """Whoever sees it; the success stays a success of the job, and the record tells."""
    rollout = await running(store, 2)
    good, open_one = await in_hand(store, worker, rollout, 2)
    await end(store, good, JobEvent.INTENDED, JobEvent.ACCEPTED, JobEvent.SETTLED)
    late = LateFailure(rollout=rollout, job=good.job, text="pool-0-0 is gone", drift=True)
    before = await store.rollouts.live_revisions()

    assert await store.rollouts.late_failure(late)
    assert not await other.rollouts.late_failure(late)
    assert not await store.rollouts.late_failure(replace(late, job=open_one.job))
    assert not await store.rollouts.late_failure(replace(late, job=JobId(10**6)))

    counted = await tally(store, rollout)
    assert (counted.succeeded, counted.failures, counted.late) == (1, 1, 1)
    assert (await store.rollouts.deeds(rollout))[0].late == "pool-0-0 is gone"
    assert (await told(store, rollout))[-1] == ("late-failure", 0)
    assert (await store.rollouts.live_revisions())[rollout] > before[rollout]
    await all_is_well(store)


async def test_nothing_turns_bad_after_the_rollout_has_ended(
    store: Store, worker: WorkerId
) -> None:
    """Its counts are its verdict."""
    rollout = await running(store, 1)
    [lease] = await in_hand(store, worker, rollout)
    await end(store, lease, JobEvent.INTENDED, JobEvent.ACCEPTED, JobEvent.SETTLED)
    await advance(store, rollout, moves=moves(RolloutEvent.FINISHED))
    late = LateFailure(rollout=rollout, job=lease.job, text="gone", drift=True)

    assert not await store.rollouts.late_failure(late)
    assert await store.rollouts.take_looks(rollout, 0, every_s=60, most=9) == []


async def test_looks_come_round_evenly_and_to_one_worker(
    store: Store, other: Store, clock: FakeClock
) -> None:
    """Five places in 50 s, two at a time: each batch is due after its share of the time."""
    rollout = await started(store, 5, 2)

    async def ranks(whose: Store, wave: int = 0) -> list[int]:
        found = await whose.rollouts.take_looks(rollout, wave, every_s=50, most=2)
        assert {one.wave for one in found} <= {wave}
        return [one.rank for one in found]

    assert await ranks(store) == [0, 1]
    assert await ranks(other) == []
    assert await ranks(other, 1) == [0, 1]
    clock.advance(20)
    assert await ranks(other) == [2, 3]
    clock.advance(20)
    assert await ranks(store) == [4]
    clock.advance(9)
    assert await ranks(store) == []
    clock.advance(1)
    assert await ranks(store) == [0, 1]
