"""Cron ticks: when a schedule fires, over changes of the clock and after a long sleep."""

from datetime import UTC, datetime, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

import pytest

from jobs.rollouts.ticks import (
    CatchUp,
    Tick,
    Timing,
    checked_cron,
    due_ticks,
    in_words,
    jitter_us,
    next_due_us,
    ticks,
)
from jobs.schedule_states import Skipped

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
HOUR_US = 3_600_000_000


def us(text: str) -> int:
    """Return an instant that is written in UTC."""
    return (datetime.fromisoformat(text).replace(tzinfo=UTC) - EPOCH) // timedelta(microseconds=1)


def utc(instant: int) -> str:
    """Return an instant as it is written in UTC."""
    return (EPOCH + timedelta(microseconds=instant)).strftime("%Y-%m-%d %H:%M")


def a_timing(
    cron: str = "0 * * * *", zone: str = "UTC", grace_h: float = 2, **kwargs: object
) -> Timing:
    """Return an hourly schedule; *catch_up* and *jitter_s* may be given."""
    catch_up = kwargs.get("catch_up", CatchUp.LATEST)
    jitter_s = kwargs.get("jitter_s", 0.0)
    assert isinstance(catch_up, CatchUp)
    assert isinstance(jitter_s, float)
    return Timing(
        cron=cron,
        zone=ZoneInfo(zone),
        misfire_grace_s=grace_h * 3600,
        catch_up=catch_up,
        jitter_s=jitter_s,
    )


@pytest.mark.parametrize(
    ("zone", "cron", "after", "expected"),
    [
        (
            "Europe/Berlin",
            "30 2 * * *",
            "2027-03-27T00:00",
            ["2027-03-27 01:30", "2027-03-28 01:00", "2027-03-29 00:30"],
        ),
        (
            "Europe/Berlin",
            "30 2 * * *",
            "2027-10-30T12:00",
            ["2027-10-31 00:30", "2027-11-01 01:30", "2027-11-02 01:30"],
        ),
        (
            "America/New_York",
            "15 2 * * *",
            "2027-03-13T12:00",
            ["2027-03-14 07:00", "2027-03-15 06:15", "2027-03-16 06:15"],
        ),
        (
            "America/New_York",
            "30 1 * * *",
            "2027-11-06T12:00",
            ["2027-11-07 05:30", "2027-11-08 06:30", "2027-11-09 06:30"],
        ),
        (
            "Australia/Lord_Howe",
            "10 2 * * *",
            "2027-10-02T00:00",
            ["2027-10-02 15:30", "2027-10-03 15:10", "2027-10-04 15:10"],
        ),
        (
            "Australia/Lord_Howe",
            "45 1 * * *",
            "2027-04-03T00:00",
            ["2027-04-03 14:45", "2027-04-04 15:15", "2027-04-05 15:15"],
        ),
        (
            "Asia/Shanghai",
            "0 1 * * 2",
            "2027-03-20T00:00",
            ["2027-03-22 17:00", "2027-03-29 17:00", "2027-04-05 17:00"],
        ),
        (
            "UTC",
            "0 3 31 * *",
            "2027-01-01T00:00",
            ["2027-01-31 03:00", "2027-03-31 03:00", "2027-05-31 03:00"],
        ),
    ],
    ids=[
        "Berlin spring",
        "Berlin autumn",
        "New York spring",
        "New York autumn",
        "Lord Howe spring",
        "Lord Howe autumn",
        "Shanghai",
        "month ends",
    ],
)
def test_a_daily_tick_fires_once_in_every_night(
    zone: str, cron: str, after: str, expected: list[str]
) -> None:
    """In the gap it fires right behind it, in the repeated hour once, otherwise on the dot."""
    found = islice(ticks(a_timing(cron, zone), us(after)), 3)
    assert [utc(at) for at in found] == expected


@pytest.mark.parametrize(
    ("policy", "fates"),
    [
        (CatchUp.LATEST, [Skipped.MISSED, Skipped.MISSED, Skipped.CAUGHT_UP, None]),
        (CatchUp.ALL, [Skipped.MISSED, Skipped.MISSED, None, None]),
        (CatchUp.NONE, [Skipped.MISSED, Skipped.MISSED, Skipped.MISSED, Skipped.MISSED]),
    ],
    ids=["latest", "all", "none"],
)
def test_a_scheduler_that_slept_three_hours_follows_its_policy(
    policy: CatchUp, fates: list[Skipped | None]
) -> None:
    """After a sleep every missed tick has one fate, and none is passed over in silence."""
    timing = a_timing(catch_up=policy)
    last, now = us("2027-01-01T08:00"), us("2027-01-01T12:10")
    found = due_ticks(timing, "weekly", last_us=last, now_us=now)
    assert [utc(one.at_us)[-5:] for one in found] == ["09:00", "10:00", "11:00", "12:00"]
    # Two hours of grace: 09:00 and 10:00 are older than 10:10.
    assert [one.skipped for one in found] == fates


def test_a_tick_on_time_fires_under_every_policy() -> None:
    """`catchUp: none` forbids late runs, not the run that is due now."""
    for policy in CatchUp:
        found = due_ticks(
            a_timing(catch_up=policy),
            "weekly",
            last_us=us("2027-01-01T08:00"),
            now_us=us("2027-01-01T09:00") + 1,
        )
        assert found == [Tick(at_us=us("2027-01-01T09:00"))]


def test_a_clock_that_goes_backwards_fires_nothing_again() -> None:
    """What was decided up to the last tick is never looked at a second time."""
    last = us("2027-01-01T09:00")
    assert due_ticks(a_timing(), "weekly", last_us=last, now_us=last - HOUR_US) == []


def test_jitter_is_the_same_for_every_scheduler_and_stays_within_its_bound() -> None:
    """Two machines delay a tick alike, and two schedules of one minute are spread."""
    timing = a_timing(jitter_s=600.0)
    at = us("2027-01-01T09:00")
    delays = [jitter_us(timing, f"schedule-{n}", at) for n in range(200)]
    assert delays == [jitter_us(timing, f"schedule-{n}", at) for n in range(200)]
    assert all(0 <= one < 600_000_000 for one in delays)
    assert max(delays) - min(delays) > 500_000_000


def test_a_tick_fires_only_when_its_jitter_has_passed() -> None:
    """The delay is waited out, and `next_due_us` says until when."""
    timing = a_timing(jitter_s=600.0)
    at = us("2027-01-01T09:00")
    delay = jitter_us(timing, "s", at)
    before, on_time = at + delay - 1, at + delay
    assert due_ticks(timing, "s", last_us=at - 1, now_us=before) == []
    assert next_due_us(timing, "s", last_us=at - 1) == on_time
    assert due_ticks(timing, "s", last_us=at - 1, now_us=on_time) == [Tick(at_us=at)]


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "* * * *",
        "60 * * * *",
        "0 0 31 2 *",
        "0 0 * * * *",
        "every day",
        "0 25 * * *",
        "@reboot",
    ],
    ids=["empty", "four", "minute-60", "31-feb", "six", "words", "hour-25", "reboot"],
)
def test_a_bad_cron_line_says_what_is_wrong(wrong: str) -> None:
    """No traceback of a library, and no schedule that can never fire."""
    with pytest.raises(ValueError, match="cron line"):
        checked_cron(wrong)


def test_nicknames_are_cron_lines() -> None:
    """@daily and its kind are accepted and written out."""
    assert checked_cron("@daily") == "0 0 * * *"
    assert in_words(checked_cron("0 3 * * SUN")) == "At 03:00 on Sunday"
