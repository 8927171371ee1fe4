"""What a process remembers of the results it has just recorded."""

import pytest

from jobs.model import WorkerId
from jobs.store import recent
from jobs.store.recent import RecentResults
from tests.builders import a_job

ME, OTHER = WorkerId(7), WorkerId(8)


def remembered(*numbers: int) -> RecentResults:
    """Return what worker ME remembers after it recorded results of these numbers."""
    results = RecentResults()
    results.registered(ME, "me")
    for number in numbers:
        results.ended(ME, number, a_job())
    return results


@pytest.mark.parametrize(
    ("recorded", "after", "told"),
    [
        ((1, 2, 3), 0, [1, 2, 3]),
        ((1, 2, 3), 2, [3]),
        ((1, 2, 4), 0, [1, 2]),
        ((2, 3), 0, []),
        ((2, 1), 0, []),
        ((), 0, []),
    ],
    ids=["all", "the-rest", "up-to-a-gap", "gap-first", "out-of-order", "none"],
)
def test_results_are_told_without_asking_only_as_far_as_they_follow_without_a_gap(
    recorded: tuple[int, ...], after: int, told: list[int]
) -> None:
    """Whatever may be missing in memory is left to the store, which misses nothing."""
    assert [one.seq for one in remembered(*recorded).after(ME, after)] == told


def test_results_of_others_and_of_a_worker_that_left_are_left_to_the_store() -> None:
    """Only what this process recorded itself, for a worker that is registered, is remembered."""
    results = remembered(1)
    results.ended(OTHER, 1, a_job())
    assert results.after(OTHER, 0) == ()
    results.left(ME)
    assert results.after(ME, 0) == ()


def test_results_that_nobody_reports_do_not_fill_the_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Beyond a limit it begins anew, and the gap sends the reader to the store."""
    monkeypatch.setattr(recent, "MOST", 3)
    results = remembered(1, 2, 3, 4)
    assert results.after(ME, 0) == []
    assert [one.seq for one in results.after(ME, 3)] == [4]
