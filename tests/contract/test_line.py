"""The line stop: one order after which nothing starts any more, of any rollout or none."""

import pytest

from jobs.errors import LineStoppedError, RolloutHeldError
from jobs.model import Progress, WorkerId
from jobs.states import JobEvent, JobState
from jobs.store.protocol import Store
from jobs.store.rollouts import OrderKind
from tests.builders import NOON_US, a_request
from tests.contract.rollout_steps import ANA, BEN, in_hand, order, running, tally
from tests.contract.steps import (
    ONE,
    TWO,
    a_worker,
    accept,
    all_is_well,
    claim,
    claimed,
    move,
    state_of,
)
from tests.fakes import FakeClock
from worker.executor import SEND_WINDOW_S


async def test_a_stopped_line_lets_nobody_commit_an_intent(
    store: Store, other: Store, worker: WorkerId
) -> None:
    """On every worker, for jobs of rollouts and of none; what was sent before goes on."""
    [job] = await accept(store, a_request("lone"))
    [(_, alone)] = await claim(store, worker)
    sent = (await in_hand(store, worker, await running(store, 2), 1))[0]
    await move(store, sent, JobEvent.INTENDED)

    answer = await other.rollouts.order_line(ANA, stopped=True)

    assert (answer.already, answer.line.stopped, answer.line.word) == (False, True, ANA)
    with pytest.raises(LineStoppedError):
        await move(store, alone, JobEvent.INTENDED)
    await move(store, alone, JobEvent.HANDED_BACK)
    assert await state_of(store, job) is JobState.READY
    await move(store, sent, JobEvent.ACCEPTED)
    await all_is_well(store)


async def test_an_intent_is_not_renewed_on_a_stopped_line(store: Store, worker: WorkerId) -> None:
    """A request whose turn came too late does not leave by a second intent after the order."""
    await accept(store, a_request("lone"))
    [(held, lease)] = await claim(store, worker)
    await move(store, lease, JobEvent.INTENDED)
    await store.rollouts.order_line(ANA, stopped=True)

    with pytest.raises(LineStoppedError):
        await store.note(lease, held.progress, {})


async def test_nothing_that_has_not_sent_is_claimed(store: Store, clock: FakeClock) -> None:
    """READY jobs stay; one that may have been sent is looked after all the same."""
    dead = await a_worker(store, ONE)
    [sent] = await accept(store, a_request("sent"))
    [(_, lease)] = await claim(store, dead)
    await move(store, lease, JobEvent.INTENDED)
    [ready] = await accept(store, a_request("ready"))
    await store.leave(dead)
    await store.rollouts.order_line(ANA, stopped=True)
    worker = await a_worker(store, TWO)

    assert await claimed(store, worker) == [sent]

    await store.rollouts.order_line(BEN, stopped=False)
    assert await claimed(store, worker) == [ready]


async def test_the_second_order_says_who_was_first(store: Store, clock: FakeClock) -> None:
    """Nothing is written then; and a line that nobody has stopped goes on."""
    assert not (await store.rollouts.line()).stopped
    await store.rollouts.order_line(ANA, stopped=True)
    clock.advance(60)

    again = await store.rollouts.order_line(BEN, stopped=True)

    assert again.already
    assert (again.line.word, again.line.at_us) == (ANA, NOON_US)
    assert await store.rollouts.line() == again.line


async def test_the_time_that_a_job_waited_for_the_line_is_given_back(
    store: Store, clock: FakeClock, worker: WorkerId
) -> None:
    """Its deadline counts from the claim after the line went on."""
    await accept(store, a_request("lone", deadline_s=600.0))
    [(_, lease)] = await claim(store, worker)
    await store.rollouts.order_line(ANA, stopped=True)
    await move(store, lease, JobEvent.HANDED_BACK)
    clock.advance(6000)
    await store.rollouts.order_line(ANA, stopped=False)

    [(again, _)] = await claim(store, worker)

    assert again.deadline_us == NOON_US + 6_600_000_000


async def test_what_was_refused_before_it_was_sent_is_counted_apart(
    store: Store, worker: WorkerId
) -> None:
    """A refusal by the cloud after the send is a failure; one before it is a refusal, too."""
    rollout = await running(store, 3)
    before, after, spared = await in_hand(store, worker, rollout, 3)
    await move(store, before, JobEvent.REFUSED, progress=Progress())
    await move(store, after, JobEvent.INTENDED)
    await move(store, after, JobEvent.REFUSED)
    await move(store, spared, JobEvent.REFUSED, progress=Progress(sends=1, spared=1))

    counted = await tally(store, rollout)

    assert (counted.failed, counted.failures, counted.rejected) == (3, 3, 2)
    await all_is_well(store)


async def test_an_intent_is_not_renewed_after_a_pause(
    store: Store, other: Store, worker: WorkerId
) -> None:
    """So a pause takes effect within the time of one intent, on every worker."""
    rollout = await running(store, 1)
    [lease] = await in_hand(store, worker, rollout)
    held = await move(store, lease, JobEvent.INTENDED)
    await store.note(lease, held.progress, {})
    await order(other, rollout, OrderKind.PAUSE)

    with pytest.raises(RolloutHeldError):
        await store.note(lease, held.progress, {})
    assert SEND_WINDOW_S <= 1.0
