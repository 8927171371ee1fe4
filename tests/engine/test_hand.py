"""The jobs in hand: what is due, what is busy, how many are in which state."""

from dataclasses import replace

from jobs.decide import Move, Step
from jobs.model import JobId, Lease, WorkerId
from jobs.states import JobState
from tests.builders import a_job
from worker.executor import Held
from worker.hand import Hand


def held(number: int, state: JobState, at_us: int = 0) -> Held:
    """Return a held job that is due at *at_us*."""
    job = replace(a_job(state=state), id=JobId(number))
    lease = Lease(job=job.id, worker=WorkerId(1), fence=1)
    move = Move(progress=job.progress, step=Step.LOOK, at_us=at_us)
    return Held(job=job, lease=lease, move=move, claimed_at=0.0)


def test_counts_follow_every_move() -> None:
    """The count of a state is what a recount would find."""
    hand = Hand()
    hand.put(held(1, JobState.CHECKING))
    hand.put(held(2, JobState.CHECKING))
    hand.put(held(1, JobState.WATCHING))
    hand.drop(JobId(2))
    hand.drop(JobId(2))

    assert hand.count(JobState.CHECKING) == 0
    assert hand.count(JobState.WATCHING) == 1
    assert len(hand) == 1


def test_only_the_latest_due_time_counts_and_nobody_is_taken_twice() -> None:
    """A job that is being worked on is not handed out again, however often it was put."""
    hand = Hand()
    hand.put(held(1, JobState.WATCHING, at_us=10))
    assert hand.take_due(9) == []

    [taken] = hand.take_due(10)

    assert taken.job.id == 1
    assert hand.busy == 1
    assert hand.take_due(100) == []
    assert hand.take_idle() == []


def test_what_nobody_works_on_is_given_back() -> None:
    """Draining takes the idle jobs and leaves the busy ones."""
    hand = Hand()
    hand.put(held(1, JobState.WATCHING, at_us=10))
    hand.put(held(2, JobState.WATCHING, at_us=99))
    hand.take_due(10)

    idle = hand.take_idle()

    assert [one.job.id for one in idle] == [2]
    assert len(hand) == 1


def test_a_job_that_goes_on_at_once_stays_busy_and_is_counted_in_its_new_state() -> None:
    """Its place is kept up to date for statistics and draining, and nobody else gets it."""
    hand = Hand()
    hand.put(held(1, JobState.CHECKING))
    assert hand.take_one_due(0) is not None

    hand.go_on(held(1, JobState.WATCHING))

    assert (hand.count(JobState.CHECKING), hand.count(JobState.WATCHING)) == (0, 1)
    assert hand.take_one_due(1_000) is None
    assert (hand.busy, [one.job.state for one in hand]) == (1, [JobState.WATCHING])
