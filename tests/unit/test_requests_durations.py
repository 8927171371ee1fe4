"""Durations: what people write is read, and what is shown reads back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.durations import format_duration, parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("45m", 2700.0),
        ("90s", 90.0),
        ("1h30m", 5400.0),
        ("1h 30m", 5400.0),
        ("1.5h", 5400.0),
        ("200ms", 0.2),
        ("2s", 2.0),
        ("2s200ms", 2.2),
        ("3m 58s", 238.0),
        ("1d", 86_400.0),
        ("30d", 2_592_000.0),
        (" 7 ", 7.0),
        ("0", 0.0),
        ("0.5", 0.5),
        (7, 7.0),
        (0.25, 0.25),
    ],
)
def test_a_duration_is_read(text: str | float, seconds: float) -> None:
    """Units stand from large to small; a plain number means seconds."""
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            " ",
            "m",
            "5x",
            "5 m",
            "1m1h",
            "1s1s",
            "-5",
            "-5s",
            "+5",
            "1e3",
            "inf",
            "nan",
            "5,5s",
        ),
        *("٣s", "1h30", "s5", "5M", "9" * 400, "1s" * 100, "five", "1:30"),
        *(-1, -0.5, float("nan"), float("inf"), True, False, 10**400),
    ],
    ids=lambda text: f"{type(text).__name__} {text}"[:20],
)
def test_what_is_no_duration_is_refused(text: str | float) -> None:
    """A wrong duration is refused with a short message, never guessed."""
    with pytest.raises(ValueError, match=r"duration|negative|finite") as caught:
        parse_duration(text)

    assert len(str(caught.value)) < 150


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (0.2, "200ms"),
        (0.9996, "1s"),
        (1.5, "1.5s"),
        (9.96, "10s"),
        (59.4, "59s"),
        (59.6, "1m"),
        (125, "2m 05s"),
        (238, "3m 58s"),
        (2700, "45m"),
        (3599.7, "1h"),
        (5400, "1h 30m"),
        (86_399, "1d"),
        (90_000, "1d 01h"),
        (-5, "-5s"),
    ],
)
def test_a_duration_is_shown_in_at_most_two_units(seconds: float, text: str) -> None:
    """People read 3m 58s, never 238.0 and never 60s."""
    assert format_duration(seconds) == text


@given(st.floats(0.001, 1e8))
def test_what_is_shown_reads_back(seconds: float) -> None:
    """A shown duration can be typed in again and means nearly the same."""
    assert parse_duration(format_duration(seconds)) == pytest.approx(seconds, rel=0.05, abs=0.0006)
