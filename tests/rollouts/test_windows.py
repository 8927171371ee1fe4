"""Windows and freezes: when a rollout may start jobs, in four zones and on the clock's bad nights.

The dates are those of the IANA data: Berlin leaves 02:00 for 03:00 on 2027-03-28 and returns on
2027-10-31; New York does on 2027-03-14 and 2027-11-07; Lord Howe moves by half an hour on
2027-10-03 and 2027-04-04; Shanghai never does.
"""

from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from itertools import islice, pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.rollouts.days import on_weekdays, parse_days
from jobs.rollouts.windows import (
    FOREVER_US,
    Calendar,
    Freeze,
    Window,
    instant_us,
    open_spans,
    opening,
)

HOUR_US = 3_600_000_000
ZONES = ("Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Shanghai")


def us(text: str) -> int:
    """Return an instant that is written in UTC."""
    moment = datetime.fromisoformat(text).replace(tzinfo=UTC)
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def utc(instant: int) -> str:
    """Return an instant as it is written in UTC."""
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=instant)).strftime(
        "%Y-%m-%d %H:%M"
    )


def a_window(
    zone: str = "Asia/Shanghai", start: str = "01:00", hours: float = 4, **kwargs: object
) -> Window:
    """Return a nightly window; *days* and *regions* may be given."""
    days = kwargs.get("days", range(7))
    regions = kwargs.get("regions", ())
    assert isinstance(days, range | tuple)
    assert isinstance(regions, tuple)
    return Window(
        name="night",
        days=on_weekdays(days),
        start=time.fromisoformat(start),
        duration_s=hours * 3600,
        zone=ZoneInfo(zone),
        regions=frozenset(regions),
    )


@pytest.mark.parametrize(
    ("zone", "local", "expected"),
    [
        ("Europe/Berlin", "2027-03-28T02:30", "2027-03-28 01:00"),
        ("Europe/Berlin", "2027-03-28T02:00", "2027-03-28 01:00"),
        ("Europe/Berlin", "2027-03-28T03:00", "2027-03-28 01:00"),
        ("Europe/Berlin", "2027-10-31T02:30", "2027-10-31 00:30"),
        ("Europe/Berlin", "2027-10-31T03:00", "2027-10-31 02:00"),
        ("America/New_York", "2027-03-14T02:15", "2027-03-14 07:00"),
        ("America/New_York", "2027-11-07T01:30", "2027-11-07 05:30"),
        ("Australia/Lord_Howe", "2027-10-03T02:10", "2027-10-02 15:30"),
        ("Australia/Lord_Howe", "2027-04-04T01:45", "2027-04-03 14:45"),
        ("Asia/Shanghai", "2027-03-28T02:30", "2027-03-27 18:30"),
    ],
    ids=lambda value: str(value).replace("/", "-").replace(":", "."),
)
def test_a_start_in_the_gap_moves_behind_it_and_a_repeated_one_is_the_first(
    zone: str, local: str, expected: str
) -> None:
    """A time that does not exist becomes the first that does; one that exists twice, the first."""
    assert utc(instant_us(datetime.fromisoformat(local), ZoneInfo(zone))) == expected


@pytest.mark.parametrize(
    ("zone", "around", "spans"),
    [
        (
            "Europe/Berlin",
            "2027-03-27T12:00",
            [("2027-03-27 21:00", "2027-03-28 05:00"), ("2027-03-28 20:00", "2027-03-29 04:00")],
        ),
        (
            "America/New_York",
            "2027-11-06T12:00",
            [("2027-11-07 02:00", "2027-11-07 10:00"), ("2027-11-08 03:00", "2027-11-08 11:00")],
        ),
        (
            "Australia/Lord_Howe",
            "2027-10-02T02:00",
            [("2027-10-02 11:30", "2027-10-02 19:30"), ("2027-10-03 11:00", "2027-10-03 19:00")],
        ),
        (
            "Asia/Shanghai",
            "2027-03-27T02:00",
            [("2027-03-27 14:00", "2027-03-27 22:00"), ("2027-03-28 14:00", "2027-03-28 22:00")],
        ),
    ],
    ids=["Berlin", "New York", "Lord Howe", "Shanghai"],
)
def test_a_window_lasts_its_hours_by_elapsed_time(
    zone: str, around: str, spans: list[tuple[str, str]]
) -> None:
    """Eight hours from 22:00 are eight hours also in the night in which the clock moves."""
    calendar = Calendar(windows=[a_window(zone, "22:00", 8)])
    found = islice(open_spans(calendar, "r", us(around)), 2)
    assert [(utc(begin), utc(end)) for begin, end in found] == spans


@pytest.mark.parametrize(
    ("zone", "allow", "start", "expected"),
    [
        (
            "Asia/Shanghai",
            "FREQ=MONTHLY;BYDAY=1TU",
            "01:00",
            ["2027-01-04 17:00", "2027-02-01 17:00", "2027-03-01 17:00"],
        ),
        (
            "Asia/Shanghai",
            "FREQ=MONTHLY;BYMONTHDAY=1,-1",
            "01:00",
            ["2026-12-31 17:00", "2027-01-30 17:00", "2027-01-31 17:00"],
        ),
        (
            "Europe/Berlin",
            "FREQ=MONTHLY;BYDAY=-1SU",
            "02:30",
            ["2027-01-31 01:30", "2027-02-28 01:30", "2027-03-28 01:00"],
        ),
        (
            "America/New_York",
            "FREQ=MONTHLY;BYDAY=2SU",
            "02:15",
            ["2027-01-10 07:15", "2027-02-14 07:15", "2027-03-14 07:00"],
        ),
        (
            "Australia/Lord_Howe",
            "FREQ=MONTHLY;BYDAY=1SU",
            "01:45",
            ["2027-01-02 14:45", "2027-02-06 14:45", "2027-03-06 14:45", "2027-04-03 14:45"],
        ),
        (
            "Europe/Berlin",
            "FREQ=MONTHLY;BYMONTHDAY=31",
            "12:00",
            ["2026-12-31 11:00", "2027-01-31 11:00", "2027-03-31 10:00"],
        ),
        (
            "Asia/Shanghai",
            "FREQ=MONTHLY;BYDAY=FR;BYMONTHDAY=13",
            "12:00",
            ["2027-08-13 04:00"],
        ),
        (
            "Asia/Shanghai",
            "FREQ=MONTHLY;BYDAY=5MO,+1MO",
            "12:00",
            ["2027-01-04 04:00", "2027-02-01 04:00", "2027-03-01 04:00", "2027-03-29 04:00"],
        ),
    ],
    ids=[
        *("first Tuesday", "first and last day", "last Sunday, gap", "second Sunday, gap"),
        *("first Sunday, half an hour", "31st", "Friday the 13th", "fifth Monday"),
    ],
)
def test_a_monthly_window_opens_on_its_days(
    zone: str, allow: str, start: str, expected: list[str]
) -> None:
    """By weekday with its number, by day of the month, from the front or the end, in its zone."""
    window = replace(a_window(zone, start, 4), days=parse_days(allow))
    spans = open_spans(Calendar(windows=[window]), "r", us("2026-12-31T12:00"))
    assert [utc(begin) for begin, _ in islice(spans, len(expected))] == expected


@pytest.mark.parametrize(
    "allow",
    [
        *("FREQ=WEEKLY", "FREQ=MONTHLY", "FREQ=YEARLY;BYDAY=MO", "FREQ=WEEKLY;BYDAY=1TU"),
        *("FREQ=MONTHLY;BYDAY=6TU", "FREQ=MONTHLY;BYDAY=0TU", "FREQ=MONTHLY;BYMONTHDAY=0"),
        *("FREQ=MONTHLY;BYMONTHDAY=32", "FREQ=WEEKLY;BYMONTHDAY=1", "FREQ=DAILY;INTERVAL=2"),
        *("FREQ=MONTHLY;BYDAY=", "BYDAY=MO", "FREQ=DAILY;FREQ=DAILY", ""),
    ],
)
def test_a_rule_that_is_not_clear_is_refused(allow: str) -> None:
    """Nobody is left to guess on which days a window opens."""
    with pytest.raises(ValueError, match=r"rule for days|day|means nothing"):
        parse_days(allow)


def test_without_windows_it_is_always_open() -> None:
    """An empty allow list restricts nothing."""
    now = us("2027-01-01T00:00")
    assert opening(Calendar(), "r", now).is_open
    assert opening(Calendar(), "r", now).until_us == FOREVER_US


def test_a_freeze_beats_a_window() -> None:
    """Inside a freeze nothing starts, and the answer names it and the exact end of the wait."""
    freeze = Freeze(
        name="festival",
        from_us=us("2027-01-24T16:00"),
        until_us=us("2027-02-07T18:00"),
        reason="Spring Festival",
    )
    calendar = Calendar(windows=[a_window()], freezes=[freeze])
    found = opening(calendar, "r", us("2027-02-01T18:00"))
    assert not found.is_open
    assert found.closed_by == freeze
    # The freeze ends inside the night's window, so the window's rest is what opens.
    assert utc(found.until_us) == "2027-02-07 18:00"


def test_outside_every_window_the_answer_is_the_next_opening() -> None:
    """A closed window says exactly when it opens, so that nobody has to poll."""
    calendar = Calendar(windows=[a_window(days=(1, 2, 3))])
    found = opening(calendar, "r", us("2026-11-27T12:00"))  # a Friday
    assert (found.is_open, found.closed_by) == (False, None)
    assert utc(found.until_us) == "2026-11-30 17:00"  # Tuesday 01:00 in Shanghai


def test_windows_of_a_region_narrow_those_of_the_rollout() -> None:
    """A pool starts only when the rollout's window and its region's are both open."""
    calendar = Calendar(
        windows=[a_window(start="00:00", hours=6), a_window(start="04:00", hours=6, regions=("a",))]
    )
    at = us("2027-01-01T00:00")
    assert [utc(x) for x in next(open_spans(calendar, "a", at))] == [
        "2027-01-01 20:00",
        "2027-01-01 22:00",
    ]
    assert [utc(x) for x in next(open_spans(calendar, "b", at))] == [
        "2027-01-01 16:00",
        "2027-01-01 22:00",
    ]


def test_a_region_that_no_window_covers_never_opens() -> None:
    """A forgotten region is closed, not open at all hours."""
    calendar = Calendar(windows=[a_window(regions=("a",))])
    assert list(open_spans(calendar, "b", 0)) == []
    assert opening(calendar, "b", 0).until_us == FOREVER_US


@given(
    zone=st.sampled_from(ZONES),
    hours=st.sampled_from([0.5, 1, 4, 8, 23, 30]),
    start=st.sampled_from(["00:00", "01:45", "02:00", "02:30", "22:00"]),
    at=st.integers(us("2027-01-01T00:00"), us("2028-01-01T00:00")),
    freeze_after=st.integers(-48, 48),
    freeze_hours=st.integers(1, 72),
)
def test_spans_are_disjoint_in_order_and_never_inside_a_freeze(
    zone: str, hours: float, start: str, at: int, freeze_after: int, freeze_hours: int
) -> None:
    """Whatever the zone and the night, openings neither overlap nor touch a freeze."""
    shut = at + freeze_after * HOUR_US
    freeze = Freeze(name="f", from_us=shut, until_us=shut + freeze_hours * HOUR_US)
    calendar = Calendar(windows=[a_window(zone, start, hours)], freezes=[freeze])
    spans = list(islice(open_spans(calendar, "r", at), 8))
    assert spans
    assert spans[0][1] > at
    for begin, end in spans:
        assert begin < end
        assert end <= freeze.from_us or begin >= freeze.until_us
    assert all(left[1] <= right[0] for left, right in pairwise(spans))
    found = opening(calendar, "r", at)
    assert found.is_open == (spans[0][0] <= at)
