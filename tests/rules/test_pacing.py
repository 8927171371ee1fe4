"""Pacing: in no window more than the limit, in turn, and a 429 teaches everybody."""

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.clock import MICROSECONDS, seconds_to_us
from jobs.pacing import (
    LATE_LIMIT_S,
    MAX_PAUSE_S,
    Bucket,
    Demand,
    Limit,
    Pace,
    Slot,
    allowed_per_s,
    free_at,
    reserve,
    spacing_us,
    throttled,
)
from tests.builders import NOON_US

KEY = "credential"
AHEAD_US = 250_000
"""How far ahead a worker reserves."""

ENDLESS = 1_000_000


def pace(count: int, window_s: float = 1.0, **more: float) -> Pace:
    """Return the pace of *count* requests in a window."""
    return Pace(limit=Limit(count=count, window_s=window_s), **more)  # type: ignore[arg-type]  # burst is passed as int


class Shared:
    """The rows that all workers of a store share."""

    def __init__(self, shared: Pace, own: Pace | None = None) -> None:
        self.shared = shared
        self.own = own
        self.rows: dict[str, Bucket] = {}
        self.slots: list[Slot] = []

    def lease(
        self, now_us: int, waiting: Mapping[str, int], ahead_us: int = AHEAD_US
    ) -> list[Slot]:
        """Reserve for one worker whose projects have so many requests waiting."""
        demands = [
            Demand(
                project=project,
                waiting=count,
                project_key=None if self.own is None else f"own:{project}",
            )
            for project, count in waiting.items()
        ]
        projects = {d.project_key: self.own for d in demands if d.project_key and self.own}
        changed, slots = reserve(
            (KEY, self.shared),
            projects,
            demands,
            self.rows,
            now_us=now_us,
            until_us=now_us + ahead_us,
        )
        self.rows |= changed
        self.slots += slots
        return slots

    def refuse(self, now_us: int, **told: object) -> None:
        """Let a 429 teach the shared row."""
        self.rows[KEY] = throttled(self.shared, self.rows.get(KEY, Bucket()), now_us=now_us, **told)  # type: ignore[arg-type]  # as told


def most_in_a_window(times_us: Sequence[int], window_s: float) -> int:
    """Return how many instants the fullest window holds, wherever it starts."""
    window_us = seconds_to_us(window_s)
    ordered = sorted(times_us)
    most = first = 0
    for last, at_us in enumerate(ordered):
        while ordered[first] <= at_us - window_us:
            first += 1
        most = max(most, last - first + 1)
    return most


def of(slots: Sequence[Slot], project: str | None = None) -> list[int]:
    """Return the send times of a project, or of all."""
    return [slot.at_us for slot in slots if project in {None, slot.project}]


# -- no window over --------------------------------------------------------------------------

CALLS = st.lists(
    st.tuples(
        st.integers(0, 400_000),  # microseconds since the call before
        st.dictionaries(st.sampled_from("abcd"), st.integers(0, 60), min_size=1),
        st.integers(0, 500_000),  # how far ahead
    ),
    min_size=1,
    max_size=40,
)


@pytest.mark.slow
@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    count=st.integers(1, 500),
    window_s=st.sampled_from([1.0, 10.0]),
    own=st.none() | st.integers(1, 50),
    calls=CALLS,
    lateness=st.randoms(use_true_random=False),
)
def test_no_window_holds_more_than_the_limit(
    count: int,
    window_s: float,
    own: int | None,
    calls: list[tuple[int, dict[str, int], int]],
    lateness: random.Random,
) -> None:
    """However many workers lease in whatever order, no window of any start is over."""
    shared = Shared(pace(count, window_s), None if own is None else pace(own, window_s))
    now_us = NOON_US
    for pause_us, waiting, ahead_us in calls:
        now_us += pause_us
        slots = shared.lease(now_us, waiting, ahead_us)
        assert all(now_us <= at_us <= now_us + ahead_us for at_us in of(slots))
        assert of(slots) == sorted(of(slots))

    sent = [
        slot._replace(at_us=slot.at_us + int(lateness.random() * LATE_LIMIT_S * MICROSECONDS))
        for slot in shared.slots
    ]
    assert most_in_a_window(of(sent), window_s) <= count
    if own is not None:
        assert all(most_in_a_window(of(sent, one), window_s) <= own for one in "abcd")


@settings(max_examples=50, deadline=None, derandomize=True)
@given(count=st.integers(1, 100), burst=st.integers(2, 20), calls=CALLS)
def test_a_burst_exceeds_the_limit_by_no_more_than_itself(
    count: int, burst: int, calls: list[tuple[int, dict[str, int], int]]
) -> None:
    """Where the operator says that the server is a bucket, its depth may be used at once."""
    shared = Shared(pace(count, burst=burst))
    now_us = NOON_US
    for pause_us, waiting, ahead_us in calls:
        now_us += pause_us
        shared.lease(now_us, waiting, ahead_us)

    assert most_in_a_window(of(shared.slots), 1.0) <= count + burst - 1


def test_a_burst_may_leave_at_once() -> None:
    """Saved-up slots are due now, not in the past, so that they are not dropped as late."""
    shared = Shared(pace(10, burst=5))

    slots = shared.lease(NOON_US, {"a": 8})

    assert of(slots)[:5] == [NOON_US] * 5
    assert of(slots)[5] > NOON_US


def test_a_burst_of_the_credential_is_not_lost_on_a_project_with_a_limit() -> None:
    """A project without a burst takes one slot at once, and leaves the others theirs."""
    shared = Shared(pace(10, burst=5), pace(10))

    slots = shared.lease(NOON_US, {"a": 2, "b": 2, "c": 2})

    assert Counter(slot.project for slot in slots if slot.at_us == NOON_US) == {
        "a": 1,
        "b": 1,
        "c": 1,
    }


# -- use and fairness ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("count", "window_s", "use"), [(50, 1.0, 0.97), (5, 1.0, 0.97), (500, 10.0, 0.995)]
)
def test_endless_demand_uses_what_is_permitted(count: int, window_s: float, use: float) -> None:
    """Jitter costs its share of the window and nothing else is wasted."""
    shared = Shared(pace(count, window_s))
    for now_us in range(NOON_US, NOON_US + 60 * MICROSECONDS, 100_000):
        shared.lease(now_us, {"a": ENDLESS})

    used = [at_us for at_us in of(shared.slots) if at_us < NOON_US + 60 * MICROSECONDS]
    assert len(used) >= use * count / window_s * 60


def test_several_workers_share_the_limit_without_waste() -> None:
    """Four workers use together what one would use alone."""
    shared = Shared(pace(50))
    for now_us in range(NOON_US, NOON_US + 20 * MICROSECONDS, 25_000):
        shared.lease(now_us, {"a": 3})

    assert len(of(shared.slots)) >= 0.97 * 50 * 20


def test_unused_slots_are_lost_and_never_made_up_for() -> None:
    """After a quiet minute the next second holds no more than any other."""
    shared = Shared(pace(50))
    shared.lease(NOON_US, {"a": 1})
    later_us = NOON_US + 60 * MICROSECONDS

    slots = shared.lease(later_us, {"a": ENDLESS}, MICROSECONDS)

    assert len(slots) <= 50
    assert of(slots)[0] == later_us


def test_slots_go_round_over_the_projects() -> None:
    """A project with very many requests gets every third slot, like the others."""
    shared = Shared(pace(50))

    slots = shared.lease(NOON_US, {"many": ENDLESS, "some": 4, "few": 2})

    assert [slot.project for slot in slots][:9] == [
        *("many", "some", "few"),
        *("many", "some", "few"),
        *("many", "some", "many"),
    ]


def test_nobody_who_waits_for_nothing_gets_a_slot() -> None:
    """A project without waiting requests takes no slot away."""
    shared = Shared(pace(50))

    assert shared.lease(NOON_US, {"idle": 0}) == []
    assert {slot.project for slot in shared.lease(NOON_US, {"idle": 0, "busy": 3})} == {"busy"}


def test_a_project_at_its_own_limit_delays_nobody() -> None:
    """In one worker, others take the slots that it may not use."""
    shared = Shared(pace(50), pace(5))
    shared.lease(NOON_US, {"a": 1})

    slots = shared.lease(NOON_US, {"a": ENDLESS, "b": 1, "c": 1})

    assert [slot.project for slot in slots][:2] == ["b", "c"]
    assert of(slots)[1] < NOON_US + 100_000


def test_a_project_at_its_own_limit_delays_nobody_in_another_worker() -> None:
    """What one worker reserves ahead for such a project leaves the time before it to others."""
    shared = Shared(pace(50), pace(5))
    ahead = shared.lease(NOON_US, {"a": ENDLESS})
    assert of(ahead)[-1] > NOON_US + 200_000

    slots = shared.lease(NOON_US, {"b": 1})

    assert of(slots) == [NOON_US + 20_560]


def test_slots_before_one_that_was_reserved_ahead_keep_their_distance() -> None:
    """The stretch that was left free is used like any other, up to the slot that ends it."""
    shared = Shared(pace(50), pace(5))
    shared.lease(NOON_US, {"a": ENDLESS})
    for number in range(11):
        shared.lease(NOON_US, {f"other-{number}": 1})

    times = sorted(of(shared.slots))
    assert len(times) == 13
    assert min(later - at_us for at_us, later in pairwise(times)) >= 20_560
    assert times[9] < NOON_US + 205_600 <= times[10]


def test_a_project_with_the_limit_of_all_loses_nothing() -> None:
    """When both keys are free at the same instants, slots are given as without the second."""
    shared = Shared(pace(50), pace(50))

    assert len(shared.lease(NOON_US, {"a": ENDLESS})) == 13


def test_two_workers_with_limited_projects_both_get_their_share() -> None:
    """Each project reaches its own limit, although each worker knows only one of them."""
    shared = Shared(pace(50), pace(5))
    for step in range(600):
        now_us = NOON_US + step * 50_000
        shared.lease(now_us, {"ab"[step % 2]: 5})

    taken = Counter(slot.project for slot in shared.slots)
    assert min(taken["a"], taken["b"]) >= 0.95 * 5 * 30


def test_a_project_gets_its_slot_when_its_own_limit_allows() -> None:
    """Reserved ahead, on the instant at which its own key is free."""
    shared = Shared(pace(50), pace(5))

    first = shared.lease(NOON_US, {"a": ENDLESS})
    second = shared.lease(NOON_US + 200_000, {"a": ENDLESS})

    assert of(first) == [NOON_US, NOON_US + 205_600]
    assert of(second) == [NOON_US + 411_200]


def test_a_slot_far_ahead_is_not_reserved() -> None:
    """Beyond the horizon nothing is given out, and nothing is moved."""
    shared = Shared(pace(50), pace(1))
    shared.lease(NOON_US, {"a": 1})
    rows = dict(shared.rows)

    assert shared.lease(NOON_US, {"a": ENDLESS}) == []
    assert shared.rows == rows


# -- what a 429 does to the row (what it teaches: tests/rules/test_learning.py) ----------------


def test_the_limit_in_a_429_is_learned_at_once() -> None:
    """One answer teaches count and window, and every worker keeps to them."""
    shared = Shared(pace(50))
    shared.refuse(NOON_US, limit=Limit(count=4, window_s=10.0))
    for step in range(1000):
        shared.lease(NOON_US + step * 100_000, {"a": ENDLESS})

    assert min(of(shared.slots)) >= NOON_US + 9.9 * MICROSECONDS
    assert most_in_a_window(of(shared.slots), 10.0) <= 4
    assert len(shared.slots) >= 0.95 * 4 * 9


def test_a_learned_limit_never_makes_faster() -> None:
    """A cloud that permits more than is configured changes nothing."""
    bucket = throttled(pace(50), Bucket(), now_us=NOON_US, limit=Limit(count=500))

    assert allowed_per_s(pace(50), bucket) == 50


def test_a_learned_limit_keeps_the_windows_of_both() -> None:
    """Of two limits with one rate, the one with its slots further apart holds both."""
    bucket = throttled(pace(1200, 60.0), Bucket(), now_us=NOON_US, limit=Limit(count=10))

    assert spacing_us(pace(1200, 60.0), bucket) == 102_800


def test_a_rate_that_was_configured_lower_since_holds_at_once() -> None:
    """What was learned under faster settings is no excuse to exceed the present ones."""
    bucket = throttled(pace(500), Bucket(), now_us=NOON_US, limit=Limit(count=100))

    assert allowed_per_s(pace(50), bucket) == 50


@pytest.mark.parametrize("limit", [None, Limit(count=4)])
def test_a_wish_for_time_is_obeyed(limit: Limit | None) -> None:
    """Nothing leaves before Retry-After is over, with or without a named limit."""
    shared = Shared(pace(50))
    shared.refuse(NOON_US, retry_after_s=7.0, limit=limit)

    assert shared.lease(NOON_US + seconds_to_us(6.7), {"a": 9}) == []
    assert of(shared.lease(NOON_US + seconds_to_us(6.9), {"a": 1})) == [
        NOON_US + seconds_to_us(7.0)
    ]


@pytest.mark.parametrize(
    "told",
    [{"retry_after_s": 1e9}, {"limit": Limit(count=1000, window_s=86_400.0)}],
    ids=["retry-after", "daily window"],
)
def test_an_absurd_wish_for_time_is_cut(told: dict[str, object]) -> None:
    """At most a quarter of an hour at a time; then one request asks again."""
    shared = Shared(pace(50))
    shared.refuse(NOON_US, **told)

    assert shared.rows[KEY].blocked_us == NOON_US + seconds_to_us(MAX_PAUSE_S)


def test_a_shorter_pause_does_not_end_a_longer_one() -> None:
    """The latest of several named instants holds."""
    shared = Shared(pace(50))
    shared.refuse(NOON_US, retry_after_s=60.0)
    shared.refuse(NOON_US, retry_after_s=1.0)

    assert shared.lease(NOON_US + seconds_to_us(59), {"a": 1}) == []


def test_a_429_that_names_nothing_pauses_for_a_second() -> None:
    """One of them may be anybody's fault: it is obeyed, and the rate stays."""
    shared = Shared(pace(50))
    shared.lease(NOON_US, {"a": 1})
    shared.refuse(NOON_US)

    assert shared.rows[KEY].blocked_us == NOON_US + MICROSECONDS
    assert allowed_per_s(shared.shared, shared.rows[KEY]) == 50


def test_answers_that_were_on_the_wire_teach_nothing_twice() -> None:
    """Ten 429s to requests of one moment slow down as one does at most, however late they come."""
    shared = Shared(pace(50))
    shared.lease(NOON_US - 2 * MICROSECONDS, {"a": 1})
    shared.refuse(NOON_US - 2 * MICROSECONDS)
    shared.lease(NOON_US, {"a": ENDLESS})
    shared.refuse(NOON_US, age_s=0.1)
    once = shared.rows[KEY].lesson
    for late_s in (0.1, 0.5, 1.0, 2.0):
        shared.refuse(NOON_US + seconds_to_us(late_s), age_s=late_s + 0.05)

    assert shared.rows[KEY].lesson == once


def test_a_wish_for_time_is_obeyed_also_of_an_answer_that_teaches_nothing() -> None:
    """Two requests of one moment are refused; the longer pause of the second holds."""
    shared = Shared(pace(50))
    shared.refuse(NOON_US, retry_after_s=1.0)
    shared.refuse(NOON_US + 1000, age_s=0.1, retry_after_s=9.0)

    assert shared.rows[KEY].blocked_us == NOON_US + 1000 + 9 * MICROSECONDS


def test_a_free_stretch_from_before_a_429_is_forgotten() -> None:
    """What was passed over under the old limit is no excuse to be faster than the new one."""
    shared = Shared(pace(50), pace(5))
    ahead = shared.lease(NOON_US, {"a": ENDLESS})
    shared.refuse(NOON_US, limit=Limit(count=2, window_s=0.05), retry_after_s=0.0)

    slots = shared.lease(NOON_US, {"b": ENDLESS}, MICROSECONDS)

    assert of(slots)[0] > of(ahead)[-1]


# -- the clock -------------------------------------------------------------------------------


@pytest.mark.parametrize("back_s", [1, 59, 61, 3600, 86_400 * 365])
@pytest.mark.parametrize("count", [1, 50])
@pytest.mark.parametrize("window_s", [1.0, 10.0])
def test_a_clock_that_is_set_back_does_not_stop_the_work(
    back_s: int, count: int, window_s: float
) -> None:
    """Within a minute, and a window, slots come again, and the limit holds meanwhile."""
    shared = Shared(pace(count, window_s))
    shared.lease(NOON_US, {"a": ENDLESS})
    back_us = NOON_US - back_s * MICROSECONDS
    came: int | None = None
    for passed_us in range(0, 75 * MICROSECONDS, 100_000):
        slots = shared.lease(back_us + passed_us, {"a": 1})
        if slots:
            came = slots[0].at_us - back_us
            break

    assert came is not None
    assert came <= (60 + window_s + 1) * MICROSECONDS


def test_an_old_429_does_not_stop_the_work_when_the_clock_is_set_back() -> None:
    """A pause that lies further ahead than any pause can was there before the clock moved."""
    shared = Shared(pace(50))
    shared.refuse(NOON_US)
    shared.lease(NOON_US + 30 * MICROSECONDS, {"a": 1})
    back_us = NOON_US - 3600 * MICROSECONDS

    came = [
        slot
        for passed_us in range(0, 5 * MICROSECONDS, 100_000)
        for slot in shared.lease(back_us + passed_us, {"a": 1})
    ]

    assert came


def test_a_very_low_rate_is_not_taken_for_a_clock_that_was_set_back() -> None:
    """One request in two minutes is one request in two minutes."""
    shared = Shared(pace(1, 120.0))
    for step in range(5900):
        shared.lease(NOON_US + step * 100_000, {"a": 1})

    times = of(shared.slots)
    assert len(times) == 5
    assert most_in_a_window(times, 120.0) == 1


def test_a_fresh_row_is_free_at_once() -> None:
    """Where nothing was ever sent, nothing is waited for."""
    assert free_at(pace(5), Bucket(), NOON_US) == NOON_US


@given(
    burst=st.integers(1, 5),
    next_us=st.integers(-2 * MICROSECONDS, 2 * MICROSECONDS),
    gap=st.tuples(st.integers(-50_000, 200_000), st.integers(0, 100_000)),
    blocked_us=st.integers(-50_000, 100_000),
    count=st.integers(0, 60),
    limit=st.sampled_from([3, 50, 1_000, 20_000]),
)
def test_slots_given_in_a_row_are_those_that_one_by_one_would_give(
    burst: int, next_us: int, gap: tuple[int, int], blocked_us: int, count: int, limit: int
) -> None:
    """Giving many slots at once is quicker and nothing else: same slots, same row afterwards."""
    pace = Pace(limit=Limit(count=limit), burst=burst)
    row = Bucket(
        next_us=NOON_US + next_us,
        gap_us=NOON_US + gap[0],
        gap_end_us=NOON_US + gap[0] + gap[1],
        blocked_us=NOON_US + blocked_us,
    )
    until_us = NOON_US + AHEAD_US

    def given_to(waiting: int, row: Bucket) -> tuple[Bucket, list[Slot]]:
        demand = Demand(project="", waiting=waiting)
        changed, slots = reserve(
            (KEY, pace), {}, [demand], {KEY: row}, now_us=NOON_US, until_us=until_us
        )
        return changed[KEY], slots

    at_once = given_to(count, row)
    singly: list[Slot] = []
    for _ in range(count):
        row, slots = given_to(1, row)
        if not slots:
            break
        singly += slots
    assert at_once[1] == singly
    if singly:
        assert at_once[0] == row
