"""A rehearsal runs the production rules and steps: it ends as the real thing would."""

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.clock import MICROSECONDS
from jobs.errors import RolloutHeldError
from jobs.model import Target
from jobs.pacing import Limit, Pace
from jobs.rollout_states import RolloutEvent, RolloutState
from jobs.rollouts.advancing import decide
from jobs.rollouts.course import course_of
from jobs.rollouts.plan import Plan
from jobs.states import JobEvent
from jobs.store.protocol import Change
from jobs.store.rollouts import Advance
from tests.builders import NOON_US, PROJECT
from tests.rehearsal.rehearsing import ended, planned
from tests.rollouts.building import REST
from worker.rehearsal.agenda import Agenda
from worker.rehearsal.book import Book
from worker.rehearsal.fates import Fates
from worker.rehearsal.one_run import windows_used

HOUR_S = 3600


def test_every_pool_is_changed_and_nothing_breaks() -> None:
    """Each pool costs its reads, its send, its looks, and the minute that a success is watched."""
    ending = ended(planned(12))

    assert ending.state is RolloutState.SUCCEEDED
    assert ending.finished
    assert (ending.ended, ending.broken, ending.failed) == (12, 0, 0)
    assert len(ending.starts_us) == 12
    assert ending.calls >= 3 * 12
    assert 90 < ending.took_s < 120


def test_what_breaks_is_found_out_by_the_steps_of_the_jobs() -> None:
    """No job is told that its pool breaks: it sees Abnormal often enough, as in the cloud."""
    ending = ended(planned(12), rate=0.5)

    assert ending.state is RolloutState.PARTIAL
    assert 0 < ending.broken == ending.failed < 12


def test_a_stop_rule_ends_the_run() -> None:
    """Nobody resumes in a rehearsal: where a person would be asked, it has stopped."""
    ending = ended(planned(12, stop=[{"name": "cap", "failures": 1}]), rate=1.0)

    assert ending.state is RolloutState.PAUSED
    assert (ending.stopped_by, ending.stopped_wave, ending.broken) == ("cap", 0, 2)
    assert not ending.finished


async def test_what_was_not_sent_when_it_was_stopped_never_is() -> None:
    """A job that had only read by then may not send, as in a real store."""
    plan = planned(2)
    agenda = Agenda(NOON_US)
    book = Book(plan, course_of(plan), agenda)
    job, *_ = book.advance(_looked(plan, book))
    claimed, lease = book.claim(job)
    book.advance(Advance(rollout=book.row.id, rev=book.row.rev, moves=[(RolloutEvent.PAUSED, {})]))

    with pytest.raises(RolloutHeldError):
        await book.record(Change(lease=lease, event=JobEvent.INTENDED, progress=claimed.progress))


def _looked(plan: Plan, book: Book) -> Advance:
    change = decide(course_of(plan), book.sight(10, ())).change
    assert change is not None
    return change


def test_a_rule_that_aborts_cancels_the_rest() -> None:
    """`onStop: {do: abort}` winds the rollout up; every job is final."""
    stop = [{"name": "cap", "failures": 0}]
    ending = ended(planned(12, stop=stop, onStop={"do": "abort"}), rate=1.0)

    assert ending.state is RolloutState.ABORTED
    assert (ending.ended, ending.broken) == (12, 1)


def test_bakes_and_approvals_take_their_time() -> None:
    """The finish moves by the bake, and by as long as persons take."""
    one = {"name": "one", "pick": {"count": 2}, "bake": "2h", "after": [{"approval": {}}]}
    plan = planned(6, waves=[one, REST])

    quick = ended(plan).took_s
    slow = ended(plan, approval_s=5.0 * HOUR_S).took_s

    assert 2 * HOUR_S < quick < 2.2 * HOUR_S
    assert slow - quick == pytest.approx(3 * HOUR_S, abs=60)


def test_as_many_persons_approve_as_are_asked_for_on_each_side() -> None:
    """A rehearsal does not end before a gate that needs two of a group."""
    gate = {"approval": {"count": 2, "groups": ["sre"], "fourEyes": True}}
    one = {"name": "one", "pick": {"count": 2}, "before": [gate], "after": [gate]}
    plan = planned(4, waves=[one, {"name": "rest", "pick": {"rest": True}}])

    assert ended(plan, approval_s=5.0 * HOUR_S).state is RolloutState.SUCCEEDED


def test_an_approval_that_comes_too_late_lets_it_expire() -> None:
    """Persons who take longer than an approval is waited for are no help."""
    gate = {"approval": {"expires": "1h"}}
    plan = planned(6, waves=[{"name": "one", "pick": {"count": 2}, "after": [gate]}, REST])

    assert ended(plan, approval_s=2.0 * HOUR_S).state is RolloutState.EXPIRED


def test_jobs_start_only_in_their_windows_and_the_openings_are_counted() -> None:
    """One at a time, and no job that might not end in time: it takes more than one night."""
    window = {
        "name": "night", "start": "22:00", "duration": "5m", "timeZone": "UTC",
        "allow": "FREQ=DAILY",
    }  # fmt: skip
    plan = planned(12, windows=[window], budgets={"concurrency": 1})
    ending = ended(plan)

    assert ending.finished
    for at_us, _ in ending.starts_us:
        assert 22 * HOUR_S <= at_us // MICROSECONDS % (24 * HOUR_S) < 22 * HOUR_S + 5 * 60
    days = {at_us // MICROSECONDS // (24 * HOUR_S) for at_us, _ in ending.starts_us}
    assert windows_used(course_of(plan).calendar, ending.starts_us) == len(days) > 1


@pytest.mark.slow
@settings(max_examples=8, deadline=None, derandomize=True)
@given(
    cap=st.integers(0, 12),
    concurrency=st.integers(1, 100),
    rate=st.sampled_from([0.05, 0.2, 0.5, 1.0]),
    seed=st.integers(0, 10_000),
)
def test_a_cap_is_exceeded_by_one_at_most(
    cap: int, concurrency: int, rate: float, seed: int
) -> None:
    """Whatever fails whenever, and however many run at a time: broken <= cap + 1."""
    budgets = {"concurrency": concurrency}
    plan = planned(40, stop=[{"name": "cap", "failures": cap}], budgets=budgets)

    assert ended(plan, rate=rate, seed=seed).broken <= cap + 1


def test_the_same_seed_gives_the_same_run() -> None:
    """A rehearsal can be repeated and shown to somebody else."""
    plan = planned(12)

    assert ended(plan, rate=0.3, seed=7) == ended(plan, rate=0.3, seed=7)
    assert ended(plan, rate=0.3, seed=7) != ended(plan, rate=0.3, seed=8)


def test_a_pool_that_breaks_at_a_low_rate_breaks_at_a_higher_one() -> None:
    """Fates follow from seed and pool alone, so that rates can be compared."""
    targets = [Target(project_id=PROJECT, pool_name=f"pool-{n}") for n in range(200)]
    few, more = (
        {one.pool_name for one in targets if Fates(seed=3, rate=rate).of(one).breaks}
        for rate in (0.05, 0.3)
    )

    assert few < more
    assert 0.2 < len(more) / len(targets) < 0.4


def test_a_plug_in_that_is_mended_where_it_is_abnormal_is_sent_to() -> None:
    """A reconfigured pool is not taken for done because its version is right."""
    plan = planned(4, plugin={"inputs": {"merge": {"custom": {"ndots": "5"}}}})

    assert ended(plan).ended == 4


def test_an_agenda_runs_what_waits_for_time_and_refuses_all_else() -> None:
    """What waits for a socket or a lock would wait for ever, so it is an error at once."""

    class Foreign:
        def __await__(self) -> Any:
            yield "something else"

    async def waits(clock: Agenda) -> int:
        await clock.sleep(5)
        await clock.sleep(0)
        return clock.now_us()

    async def foreign() -> None:
        await Foreign()

    agenda = Agenda(NOON_US)
    told: list[int] = []
    agenda.start(waits(agenda), told.append)
    while agenda.step():
        pass

    assert told == [NOON_US + 5 * MICROSECONDS]
    with pytest.raises(TypeError, match="an instant or a pause"):
        agenda.start(foreign(), lambda _: None)


def test_at_a_very_low_rate_sends_go_before_reads_and_it_ends() -> None:
    """What was read is sent while it is fresh, as by the real limiter; nothing is read in vain."""
    pace = Pace(limit=Limit(count=1, window_s=10.0))
    ending = ended(planned(20), pace=pace)

    assert ending.state is RolloutState.SUCCEEDED
    # Read, send, and looks until it has stayed Running for `settle`.
    assert ending.calls <= 20 * 7
    assert ending.peak_calls <= 6


def test_nothing_of_a_rehearsal_touches_the_random_source_of_others() -> None:
    """Chance is the run's own: whoever uses `random` beside it sees no difference."""
    random.seed(5)
    before = random.getstate()
    ended(planned(3))

    assert random.getstate() == before
