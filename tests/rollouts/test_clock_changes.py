"""Schedules, windows and freezes over changes of the clock and month ends, zone by zone.

The dates are those of `test_windows`: Berlin and New York change by an hour, Lord Howe by half
of one, Shanghai never.
"""

from datetime import datetime, time, timedelta
from itertools import islice, pairwise
from zoneinfo import ZoneInfo

import pytest

from jobs.rollouts.course import calendar_of
from jobs.rollouts.ticks import ticks
from jobs.rollouts.windows import instant_us
from tests.rollouts.building import a_manifest
from tests.rollouts.test_ticks import EPOCH, HOUR_US, a_timing, us, utc

NIGHTS = [
    ("Europe/Berlin", "2027-03-26T20:00"),
    ("Europe/Berlin", "2027-10-29T20:00"),
    ("America/New_York", "2027-03-13T03:00"),
    ("America/New_York", "2027-11-06T02:00"),
    ("Australia/Lord_Howe", "2027-10-01T10:00"),
    ("Australia/Lord_Howe", "2027-04-02T10:00"),
    ("Asia/Shanghai", "2027-03-26T10:00"),
]
each_night = pytest.mark.parametrize(
    ("zone", "before"), NIGHTS, ids=lambda value: value.replace("/", "-").replace(":", ".")
)


@each_night
def test_every_time_of_the_night_ticks_once_and_as_a_window_would_open(
    zone: str, before: str
) -> None:
    """One rule for schedules and windows: behind the gap, and the first of two."""
    there = ZoneInfo(zone)
    for minutes in range(0, 240, 10):
        at = time(minutes // 60, minutes % 60)
        timing = a_timing(f"{at.minute} {at.hour} * * *", zone)
        found = list(islice(ticks(timing, us(before)), 3))
        days = [(EPOCH + timedelta(microseconds=one)).astimezone(there).date() for one in found]
        assert found == [instant_us(datetime.combine(day, at), there) for day in days]
        assert {later - day for day, later in pairwise(days)} == {timedelta(days=1)}


@each_night
def test_a_line_for_every_half_hour_ticks_by_elapsed_time(zone: str, before: str) -> None:
    """None is left out and none is doubled, whatever the wall clock does meanwhile."""
    found = islice(ticks(a_timing("*/30 * * * *", zone), us(before)), 120)
    assert {later - one for one, later in pairwise(found)} == {HOUR_US // 2}


@pytest.mark.parametrize(
    ("zone", "line", "after", "expected"),
    [
        (
            *("America/New_York", "30 2 31 * *", "2027-01-01T00:00"),
            ["01-31 07:30", "03-31 06:30", "05-31 06:30", "07-31 06:30"],
        ),
        (
            *("Europe/Berlin", "30 2 28 * *", "2027-02-01T00:00"),
            ["02-28 01:30", "03-28 01:00", "04-28 00:30", "05-28 00:30"],
        ),
        (
            *("Australia/Lord_Howe", "0 0 1 * *", "2027-03-05T00:00"),
            ["03-31 13:00", "04-30 13:30", "05-31 13:30", "06-30 13:30"],
        ),
        (
            *("Asia/Shanghai", "0 0 L * *", "2027-01-31T00:00"),
            ["02-27 16:00", "03-30 16:00", "04-29 16:00", "05-30 16:00"],
        ),
    ],
    ids=["New York 31st", "Berlin 28th in the gap", "Lord Howe 1st", "Shanghai last day"],
)
def test_month_ends(zone: str, line: str, after: str, expected: list[str]) -> None:
    """A month without a 31st has no tick; the last day is the last day."""
    found = islice(ticks(a_timing(line, zone), us(after)), 4)
    assert [utc(one)[5:] for one in found] == expected


@pytest.mark.parametrize(
    ("zone", "begins", "ends", "expected"),
    [
        (
            *("Europe/Berlin", "2027-03-28T02:30", "2027-10-31T02:30"),
            ("2027-03-28 01:00", "2027-10-31 00:30"),
        ),
        (
            *("America/New_York", "2027-03-14T02:15", "2027-11-07T01:30"),
            ("2027-03-14 07:00", "2027-11-07 05:30"),
        ),
        (
            *("Australia/Lord_Howe", "2027-04-04T01:45", "2027-10-03T02:10"),
            ("2027-04-03 14:45", "2027-10-02 15:30"),
        ),
        (
            *("Asia/Shanghai", "2027-02-28T23:59", "2027-03-01T00:00"),
            ("2027-02-28 15:59", "2027-02-28 16:00"),
        ),
    ],
    ids=["Berlin", "New York", "Lord Howe", "Shanghai month end"],
)
def test_a_freeze_begins_and_ends_at_the_instants_its_zone_means(
    zone: str, begins: str, ends: str, expected: tuple[str, str]
) -> None:
    """Its ends follow the rule of windows: behind the gap, and the first of two."""
    freeze = {"name": "f", "from": begins, "until": ends, "timeZone": zone}
    (found,) = calendar_of(a_manifest(freezes=[freeze]).spec).freezes
    assert (utc(found.from_us), utc(found.until_us)) == expected
