"""What `when` prints: the next seven, in local time and UTC, with every change of the clock."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from jobs.rollouts.recurrence import Recurrence, recurrence_of
from jobs.rollouts.windows import Calendar
from tests.engine.scheduled import a_schedule
from tests.rollouts.test_windows import a_window
from worker.cli.ticks_shown import next_openings, next_ticks, numbered


def at(text: str) -> int:
    """Return an instant that is written in UTC."""
    moment = datetime.fromisoformat(text).replace(tzinfo=UTC)
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def nightly(zone: str) -> Recurrence:
    """Return a schedule that ticks at half past two."""
    found = recurrence_of(a_schedule(cron="30 2 * * *"))
    return Recurrence(
        name="n", timing=type(found.timing)(cron="30 2 * * *", zone=ZoneInfo(zone)),
        overlap=found.overlap, pause_after=None, limits=found.limits, manifest=found.manifest,
    )  # fmt: skip


BERLIN = """\
  1. Fri 2027-10-29 02:30 +02:00  2027-10-29T00:30:00.000Z  in 12h 30m
  2. Sat 2027-10-30 02:30 +02:00  2027-10-30T00:30:00.000Z  in 1d 12h
  3. Sun 2027-10-31 02:30 +02:00  2027-10-31T00:30:00.000Z  in 2d 12h
  4. Mon 2027-11-01 02:30 +01:00  2027-11-01T01:30:00.000Z  in 3d 14h  (the clock goes back 1h before this)
  5. Tue 2027-11-02 02:30 +01:00  2027-11-02T01:30:00.000Z  in 4d 14h
  6. Wed 2027-11-03 02:30 +01:00  2027-11-03T01:30:00.000Z  in 5d 14h
  7. Thu 2027-11-04 02:30 +01:00  2027-11-04T01:30:00.000Z  in 6d 14h"""  # noqa: E501 - as a terminal shows it
LORD_HOWE = """\
  1. Sat 2027-10-02 02:30 +10:30  2027-10-01T16:00:00.000Z  in 16h
  2. Sun 2027-10-03 02:30 +11:00  2027-10-02T15:30:00.000Z  in 1d 16h  (the clock goes forward 30m before this)"""  # noqa: E501 - as a terminal shows it


@pytest.mark.parametrize(
    ("zone", "now", "lines"),
    [
        ("Europe/Berlin", "2027-10-28T12:00", BERLIN),
        ("Australia/Lord_Howe", "2027-10-01T00:00", LORD_HOWE),
    ],
    ids=["Berlin", "Lord Howe"],
)
def test_the_next_ticks_are_told_with_changes_of_the_clock(zone: str, now: str, lines: str) -> None:
    """Nobody has to reckon whether tonight is the night with the gap."""
    count = len(lines.splitlines())
    found = numbered(next_ticks(nightly(zone), at(now), count), at(now))
    assert found == lines.splitlines()


def test_the_next_openings_are_told_with_their_ends() -> None:
    """An opening that lasts goes first; ends are by elapsed time."""
    calendar = Calendar(windows=[a_window("Europe/Berlin", "22:00", 8)])
    now = at("2027-03-26T22:00")

    found = numbered(next_openings(calendar, "r", now, 3), now)

    assert found == [
        (
            "  1. Fri 2027-03-26 23:00 +01:00  2027-03-26T22:00:00.000Z"
            "  until Sat 2027-03-27 06:00 +01:00  now"
        ),
        (
            "  2. Sat 2027-03-27 22:00 +01:00  2027-03-27T21:00:00.000Z"
            "  until Sun 2027-03-28 07:00 +02:00  in 23h"
        ),
        (
            "  3. Sun 2027-03-28 22:00 +02:00  2027-03-28T20:00:00.000Z"
            "  until Mon 2027-03-29 06:00 +02:00  in 1d 22h"
            "  (the clock goes forward 1h before this)"
        ),
    ]
    assert numbered(next_openings(Calendar(), "r", now), now)[0].endswith("until ever  now")
