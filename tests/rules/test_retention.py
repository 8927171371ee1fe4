"""What is old enough to go."""

import pytest

from jobs.retention import DAY_S, Cutoffs, Facts, Kept, Retention, cutoffs, why_kept
from tests.builders import NOON_US

DAY_US = 86_400_000_000


@pytest.mark.parametrize(
    ("jobs", "keys", "jobs_days", "keys_days"),
    [(30, 30, 30, 30), (7, 30, 7, 30), (30, 7, 30, 30), (7, 0, 7, None), (0, 7, None, None)],
    ids=["equal", "keys longer", "keys never shorter", "keys for ever", "all for ever"],
)
def test_a_key_is_kept_at_least_as_long_as_its_job(
    jobs: int, keys: int, jobs_days: int | None, keys_days: int | None
) -> None:
    """Zero is for ever, and a job that is kept for ever keeps its key."""
    found = cutoffs(Retention(finished_s=jobs * DAY_S, keys_s=keys * DAY_S), NOON_US)

    assert found == Cutoffs(
        jobs_us=None if jobs_days is None else NOON_US - jobs_days * DAY_US,
        keys_us=None if keys_days is None else NOON_US - keys_days * DAY_US,
    )


@pytest.mark.parametrize(
    ("finished_us", "reported", "last", "counted", "kept"),
    [
        (None, True, False, False, Kept.OPEN),
        (NOON_US, True, False, False, Kept.YOUNG),
        (NOON_US - 1, False, False, False, Kept.UNREPORTED),
        (NOON_US - 1, True, True, False, Kept.LAST),
        (NOON_US - 1, True, False, True, Kept.ROLLOUT),
        (NOON_US - 1, True, False, False, None),
    ],
    ids=["open", "young", "unreported", "last", "rollout", "goes"],
)
def test_each_reason_to_stay(
    *, finished_us: int | None, reported: bool, last: bool, counted: bool, kept: Kept | None
) -> None:
    """The instant of the cutoff itself is still young."""
    facts = Facts(finished_us=finished_us, reported=reported, last=last, counted=counted)

    assert why_kept(facts, NOON_US) is kept


def test_only_an_unwritten_line_may_be_given_up() -> None:
    """An operator's word frees no open, young or last job."""
    stay = [
        Facts(finished_us=None, reported=False, last=False),
        Facts(finished_us=NOON_US, reported=False, last=False),
        Facts(finished_us=0, reported=False, last=True),
    ]

    assert [why_kept(one, NOON_US, unreported=True) for one in stay] == [
        *(Kept.OPEN, Kept.YOUNG, Kept.LAST)
    ]
    gone = Facts(finished_us=0, reported=False, last=False)
    assert why_kept(gone, NOON_US, unreported=True) is None
