"""Whatever the cloud does, a job keeps its promises: random walks with a cloud that knows."""

import pytest

from jobs.states import JobState
from tests.rules.plants import PLANTS, Plant, planted
from tests.rules.walk import BrokenPromiseError, Report, Walk

CATCH_WITHIN = 2000
"""A planted fault is noticed within so many walks."""


def walks(first: int, count: int) -> list[Report]:
    """Lead so many jobs to their end; the seed of a broken promise is in its message."""
    return [Walk(seed).run() for seed in range(first, first + count)]


@pytest.mark.slow
def test_no_walk_breaks_a_promise() -> None:
    """Lost answers, late effects, stale reads, dead workers: nothing is sent twice, no input is
    lost, green means green, and every job ends in time.
    """  # noqa: D205 - one sentence
    reports = walks(0, 1000)

    assert {report.state for report in reports} >= {
        JobState.SUCCEEDED,
        JobState.UNCHANGED,
        JobState.FAILED,
        JobState.CANCELLED,
        JobState.UNRESOLVED,
    }


@pytest.mark.soak
@pytest.mark.timeout(900)
@pytest.mark.parametrize("chunk", range(10))
def test_no_walk_of_very_many_breaks_a_promise(chunk: int) -> None:
    """The same promises hold over a hundred thousand other walks."""
    assert len(walks(1_000_000 + chunk * 10_000, 10_000)) == 10_000


def test_a_walk_can_be_repeated() -> None:
    """The same seed leads the same way, so that a broken promise can be looked at."""
    one, other = Walk(4711), Walk(4711)
    one.run()
    other.run()

    assert one.trace == other.trace


@pytest.mark.slow
@pytest.mark.timeout(60)
@pytest.mark.parametrize("plant", PLANTS, ids=str)
def test_the_walks_notice_a_planted_fault(plant: Plant) -> None:
    """A rule that forgets one thing breaks a promise that some walk sees."""
    with planted(plant):
        broken = _first_broken_promise(plant.breaks)

    assert broken is not None


def _first_broken_promise(what: str) -> str | None:
    for seed in range(CATCH_WITHIN):
        try:
            Walk(seed).run()
        except BrokenPromiseError as error:
            if str(error).startswith(what):
                return str(error)
    return None
