"""Calendar files as freezes: what is understood, when it freezes, what is refused by its line."""

from dataclasses import replace
from itertools import islice

import pytest

from jobs.errors import ManifestError
from jobs.rollouts.course import course_of
from jobs.rollouts.icsevents import spans
from jobs.rollouts.icsfile import MAX_EVENTS, IcsFile, read_ics
from jobs.rollouts.moved import moved
from jobs.rollouts.plan import kept_plan, plan_body
from jobs.rollouts.planning import MOST_FROZEN, make_plan
from jobs.rollouts.windows import opening
from tests.rollouts.building import TERMS, a_manifest, a_pool
from tests.rollouts.test_windows import us, utc

FIRST_US, LAST_US = us("2026-11-24T00:00"), us("2029-01-01T00:00")


def ics(*lines: str, head: tuple[str, ...] = ()) -> bytes:
    """Return a calendar file with one event of these lines, which begin in the file's fourth."""
    whole = ["BEGIN:VCALENDAR", "VERSION:2.0", *head, "BEGIN:VEVENT", *lines, "END:VEVENT"]
    return "\r\n".join([*whole, "END:VCALENDAR", ""]).encode()


def times(*lines: str, most: int = 9, zone: str | None = None) -> list[tuple[str, str]]:
    """Return when the event of these lines takes place, in UTC."""
    (event,) = read_ics(ics(*lines), "f.ics", zone).events
    found = islice(spans(event, FIRST_US, LAST_US), most)
    return [(utc(begin), utc(end)) for begin, end in found]


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (
            ("DTSTART:20270125T010000Z", "DTEND:20270125T050000Z"),
            ("2027-01-25 01:00", "2027-01-25 05:00"),
        ),
        (
            ("DTSTART;TZID=Asia/Shanghai:20270125T000000", "DURATION:P7D"),
            ("2027-01-24 16:00", "2027-01-31 16:00"),
        ),
        (
            ("DTSTART;VALUE=DATE;TZID=Asia/Shanghai:20270125", "DTEND;VALUE=DATE:20270127"),
            ("2027-01-24 16:00", "2027-01-26 16:00"),
        ),
        (
            ("DTSTART;VALUE=DATE;TZID=Europe/Berlin:20270328",),
            ("2027-03-27 23:00", "2027-03-28 22:00"),
        ),
        (
            ('DTSTART;TZID="Europe/Berlin":20270328T000000', "DURATION:P1D"),
            ("2027-03-27 23:00", "2027-03-28 22:00"),
        ),
        (
            ("DTSTART;TZID=Europe/Berlin:20270327T220000", "DURATION:PT8H"),
            ("2027-03-27 21:00", "2027-03-28 05:00"),
        ),
        (
            (
                "DTSTART;TZID=Europe/Berlin:20271030T220000",
                "DTEND;TZID=Europe/Berlin:20271031T060000",
            ),
            ("2027-10-30 20:00", "2027-10-31 05:00"),
        ),
        (
            ("DTSTART;TZID=America/New_York:20270314T023000", "DURATION:PT1H"),
            ("2027-03-14 07:00", "2027-03-14 08:00"),
        ),
        (
            ("DTSTART;VALUE=DATE;TZID=Australia/Lord_Howe:20271003",),
            ("2027-10-02 13:30", "2027-10-03 13:00"),
        ),
        (
            (
                "DTSTART;TZID=America/New_York:20270101T090000",
                "DTEND;TZID=Asia/Shanghai:20270102T090000",
            ),
            ("2027-01-01 14:00", "2027-01-02 01:00"),
        ),
        (("DTSTART:20270101T000000Z", "DURATION:P1W"), ("2027-01-01 00:00", "2027-01-08 00:00")),
    ],
    ids=[
        *("utc", "shanghai week", "all-day range", "berlin short day", "berlin nominal day"),
        *(
            "berlin elapsed",
            "berlin end twice",
            "new york gap",
            "lord howe day",
            "two zones",
            "week",
        ),
    ],
)
def test_an_event_freezes_from_its_beginning_to_its_end(
    lines: tuple[str, ...], expected: tuple[str, str]
) -> None:
    """Days go by the calendar of their zone, hours by elapsed time, also when the clock moves."""
    assert times(*lines) == [expected]


@pytest.mark.parametrize(
    ("lines", "begins"),
    [
        (
            (
                "DTSTART:20261225T000000Z",
                "DURATION:P1D",
                "RRULE:FREQ=YEARLY;BYMONTH=12;BYMONTHDAY=25",
            ),
            ["2026-12-25 00:00", "2027-12-25 00:00", "2028-12-25 00:00"],
        ),
        (
            ("DTSTART:20240229T000000Z", "DURATION:P1D", "RRULE:FREQ=YEARLY"),
            ["2028-02-29 00:00"],
        ),
        (
            ("DTSTART:20261231T000000Z", "DURATION:P1D", "RRULE:FREQ=MONTHLY;COUNT=3"),
            ["2026-12-31 00:00", "2027-01-31 00:00", "2027-03-31 00:00"],
        ),
        (
            ("DTSTART:20261130T000000Z", "DURATION:P1D", "RRULE:FREQ=WEEKLY;BYDAY=MO,FR;COUNT=3"),
            ["2026-11-30 00:00", "2026-12-04 00:00", "2026-12-07 00:00"],
        ),
        (
            (
                "DTSTART;TZID=Europe/Berlin:20270326T020000",
                "DURATION:PT1H",
                "RRULE:FREQ=DAILY;UNTIL=20270329T000000Z",
            ),
            ["2027-03-26 01:00", "2027-03-27 01:00", "2027-03-28 01:00", "2027-03-29 00:00"],
        ),
        (
            (
                "DTSTART;VALUE=DATE;TZID=Asia/Shanghai:20270101",
                "RRULE:FREQ=WEEKLY;INTERVAL=2;WKST=MO;UNTIL=20270131",
                "EXDATE;VALUE=DATE:20270115",
            ),
            ["2026-12-31 16:00", "2027-01-28 16:00"],
        ),
    ],
    ids=[
        "yearly",
        "leap day",
        "monthly on the 31st",
        "weekdays",
        "daily over the gap",
        "every other",
    ],
)
def test_an_event_comes_again_by_a_simple_rule(lines: tuple[str, ...], begins: list[str]) -> None:
    """Daily, weekly, monthly on its day, yearly; with interval, count, until, and days left out."""
    assert [begin for begin, _ in times(*lines)] == begins


REFUSED = {
    # what it is: (lines from the fourth line on, the line that is named, what is told)
    "no-start": (("SUMMARY:x",), 3, "no DTSTART"),
    "no-end": (("DTSTART:20270101T000000Z",), 3, "no end"),
    "no-zone": (("DTSTART;VALUE=DATE:20270101",), 4, "which time zone"),
    "floating": (("DTSTART:20270101T000000", "DURATION:P1D"), 4, "which time zone"),
    "windows-zone": (("DTSTART;TZID=China Standard Time:20270101T000000",), 4, "no time zone"),
    "no-date": (("DTSTART:20270230T000000Z", "DURATION:P1D"), 4, "is no day"),
    "period": (("DTSTART;VALUE=PERIOD:20270101T000000Z/P1D",), 4, "VALUE=PERIOD"),
    "ends-first": (("DTSTART:20270102T000000Z", "DTEND:20270101T000000Z"), 5, "before it begins"),
    "mixed": (("DTSTART:20270102T000000Z", "DTEND;VALUE=DATE:20270103"), 5, "not written as"),
    "both-ends": (
        ("DTSTART:20270102T000000Z", "DTEND:20270103T000000Z", "DURATION:P1D"), 6, "DTEND and",
    ),
    "no-duration": (("DTSTART:20270102T000000Z", "DURATION:P"), 5, "DURATION"),
    "back": (("DTSTART:20270102T000000Z", "DURATION:-P1D"), 5, "DURATION"),
    "part-of-day": (("DTSTART;TZID=UTC;VALUE=DATE:20270102", "DURATION:PT4H"), 5, "whole days"),
    "twice": (("DTSTART:20270102T000000Z", "DTSTART:20270102T000000Z"), 5, "there twice"),
    "moved": (("RECURRENCE-ID:20270102T000000Z",), 4, "RECURRENCE-ID"),
    "added": (("RDATE:20270102T000000Z",), 4, "RDATE"),
    "hourly": (("DTSTART:20270102T000000Z", "DURATION:PT1H", "RRULE:FREQ=HOURLY"), 6, "RRULE"),
    "nth-day": (
        ("DTSTART:20270105T000000Z", "DURATION:P1D", "RRULE:FREQ=MONTHLY;BYDAY=1TU"), 6, "BYDAY",
    ),
    "other-day": (
        ("DTSTART:20270105T000000Z", "DURATION:P1D", "RRULE:FREQ=MONTHLY;BYMONTHDAY=9"), 6, "BYMON",
    ),
    "every-month": (
        ("DTSTART:20270105T000000Z", "DURATION:P1D", "RRULE:FREQ=YEARLY;BYMONTHDAY=5"), 6, "every",
    ),
    "off-day": (
        ("DTSTART:20270105T000000Z", "DURATION:P1D", "RRULE:FREQ=WEEKLY;BYDAY=MO"), 6, "none of",
    ),
    "two-ends": (
        ("DTSTART:20270105T000000Z", "DURATION:P1D", "RRULE:FREQ=DAILY;COUNT=2;UNTIL=20270109"),
        6, "COUNT and UNTIL",
    ),
    "folded": (("DTSTART:2027", " 0230T000000Z"), 4, "is no day"),
    "no-line": (("DTSTART:20270102T000000Z", "what is this"), 5, "no line"),
    "inside": (("BEGIN:VTODO", "END:VTODO"), 4, "VTODO"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_not_understood_is_an_error_with_its_line(case: str) -> None:
    """A freeze that is misread is a change in the one week in which nothing may change."""
    lines, line, told = REFUSED[case]

    with pytest.raises(ManifestError) as caught:
        read_ics(ics(*lines), "f.ics")

    assert caught.value.code == "MAN-11"
    assert f"f.ics:{line}:1: " in str(caught.value)
    assert told in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        *("", "hello", "BEGIN:VEVENT\nEND:VEVENT\n", "BEGIN:VCALENDAR\n"),
        *("BEGIN:VCALENDAR\nEND:VCALENDAR\nX:1\n", "BEGIN:VCALENDAR\nEND:VEVENT\n"),
        *("BEGIN:VCALENDAR\nCALSCALE:CHINESE\nEND:VCALENDAR\n", "X" * 1_048_577),
        "BEGIN:VCALENDAR\nBEGIN:VFREEBUSY\nEND:VFREEBUSY\nEND:VCALENDAR\n",
        "BEGIN:VCALENDAR\n" + "BEGIN:VEVENT\nSTATUS:CANCELLED\nEND:VEVENT\n" * (MAX_EVENTS + 1)
        + "END:VCALENDAR\n",
    ],
    ids=[
        *("empty", "text", "no calendar", "cut", "more after it", "odd end", "other calendar"),
        *("too long", "free and busy", "too many"),
    ],
)  # fmt: skip
def test_what_is_no_calendar_of_events_is_refused(text: str) -> None:
    """A file that was cut, or is another, freezes nothing by accident: it is told."""
    with pytest.raises(ManifestError) as caught:
        read_ics(text.encode(), "f.ics")
    assert caught.value.code == "MAN-11"


def test_what_calendars_write_beside_is_passed_over() -> None:
    """Zone definitions, alarms, folded and escaped texts, cancelled events, and odd cases."""
    text = """\
BEGIN:VCALENDAR
PRODID:-//x//y
X-WR-TIMEZONE:Asia/Shanghai
BEGIN:VTIMEZONE
TZID:Asia/Shanghai
BEGIN:STANDARD
DTSTART:19700101T000000
TZOFFSETFROM:+0800
TZOFFSETTO:+0800
END:STANDARD
END:VTIMEZONE
BEGIN:VEVENT
UID:1@x
TRANSP:TRANSPARENT
X-ANY;ODD="a:b;c":thing
SUMMARY:Spring\\, Fest
 ival\\nweek
DTSTART;VALUE=DATE:20270125
DTEND;VALUE=DATE:20270201
BEGIN:VALARM
TRIGGER:-PT1H
END:VALARM
END:VEVENT
BEGIN:VEVENT
STATUS:CANCELLED
DTSTART;VALUE=DATE:20270301
END:VEVENT
END:VCALENDAR
"""
    (event,) = read_ics(b"\xef\xbb\xbf" + text.encode(), "f.ics").events
    assert (event.summary, event.zone, event.days) == (
        "Spring, Festival week",
        "Asia/Shanghai",
        7,
    )
    assert event.line == 12
    own = read_ics(text.encode(), "f.ics", "Europe/Berlin").events
    assert own[0].zone == "Europe/Berlin"


def frozen(data: bytes) -> IcsFile:
    """Return the file's events."""
    return read_ics(data, "freeze.ics")


MANIFEST = a_manifest(freezes=[{"name": "company", "ics": "freeze.ics"}])
YEAR_END = ics("SUMMARY:Year end", "DTSTART:20261220T000000Z", "DURATION:P14D", "RRULE:FREQ=YEARLY")


def test_the_file_goes_into_the_plan_and_freezes_the_rollout() -> None:
    """Its events and digest are in the plan, whose digest they change; the file is not needed."""
    terms = replace(TERMS, calendars={"company": frozen(YEAR_END)})
    plan = make_plan(MANIFEST, [a_pool(1)], terms)
    (calendar,) = plan.calendars
    assert (calendar.file, len(calendar.sha256)) == ("freeze.ics", 64)
    assert kept_plan(plan_body(plan), plan.digest, plan.made_at) == plan

    course = course_of(plan)
    shut = opening(course.calendar, "cn-north-4", us("2026-12-24T12:00"))
    assert not shut.is_open
    assert shut.closed_by is not None
    assert (shut.closed_by.name, shut.closed_by.reason) == ("company", "Year end")
    assert utc(shut.until_us) == "2027-01-03 00:00"

    other = YEAR_END.replace(b"P14D", b"P15D")
    again = make_plan(MANIFEST, [a_pool(1)], replace(TERMS, calendars={"company": frozen(other)}))
    assert again.digest != plan.digest
    assert moved(plan, again) == ["a calendar file of its freezes has changed"]


def test_an_old_plan_freezes_in_the_years_of_its_rollout() -> None:
    """An equal plan that was made five years before knows the freezes of today."""
    terms = replace(TERMS, calendars={"company": frozen(YEAR_END)})
    plan = make_plan(MANIFEST, [a_pool(1)], terms)

    late = course_of(plan, us("2031-11-01T00:00"))

    assert not opening(late.calendar, "cn-north-4", us("2031-12-24T12:00")).is_open


def test_a_calendar_that_freezes_without_end_is_refused() -> None:
    """Each look goes through all freezes, so their number has a limit."""
    daily = b"BEGIN:VEVENT\nDTSTART:20261101T000000Z\nDURATION:PT1H\nRRULE:FREQ=DAILY\nEND:VEVENT\n"
    data = b"BEGIN:VCALENDAR\n" + daily * (MOST_FROZEN // 400) + b"END:VCALENDAR\n"
    with pytest.raises(ManifestError, match="more than 5,000 times"):
        make_plan(MANIFEST, [a_pool(1)], replace(TERMS, calendars={"company": frozen(data)}))
