"""The checker: every planted fault is caught by the check that should, and a clean run passes.

A checker that has never failed proves nothing.  Each test takes the evidence of a clean run
and changes it as one faulty worker would have.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.acceptance.checker import CHECKS, violations
from tests.acceptance.evidence import Evidence, figures, parse_lines
from tests.acceptance.planted import (
    LIMIT,
    PLANTED,
    WALL,
    Story,
    a_clean_run,
    evidence,
    invents_an_attempt,
)


def caught(run: Evidence) -> set[str]:
    """Return the names of the checks that found something."""
    return {found.check for found in violations(run)}


def test_a_clean_run_passes() -> None:
    """A run without a fault has no violation, in whatever order its log lines come."""
    story = a_clean_run()
    story.log.reverse()

    assert violations(evidence(story)) == []


@pytest.mark.parametrize(
    ("fault", "check"), PLANTED.items(), ids=lambda it: getattr(it, "__name__", "")
)
def test_a_planted_fault_is_caught(fault: Callable[[Story], None], check: str) -> None:
    """What this faulty worker did is found by the check for it."""
    story = a_clean_run()
    fault(story)

    assert check in caught(evidence(story))


def test_an_interrupted_worker_may_have_intended_without_sending() -> None:
    """An attempt that never arrived is a fault, unless its worker got a signal."""
    story = a_clean_run()
    invents_an_attempt(story)

    assert caught(evidence(story)) == {"I12 results-explain"}
    assert caught(evidence(story, interruptions=1)) == set()


def test_a_printed_secret_is_caught() -> None:
    """A secret in anything printed is found, and the violation does not print it again."""
    run = evidence(a_clean_run(), secrets=("CANARY4711",), said='{"inputs": "CANARY4711"}')

    assert caught(run) == {"I12 secrets-are-kept"}
    assert "4711" not in str(violations(run)[0])


def test_half_a_line_is_allowed_to_a_killed_worker_only() -> None:
    """A log line that is not whole is a fault, unless its writer was killed."""
    run = evidence(a_clean_run(), other=["Ended: 5 jobs", '{"event": "job.re'])

    assert caught(run) == {"I12 nothing-broke"}
    assert caught(replace(run, kills=1)) == set()


@pytest.mark.parametrize("text", ["Traceback (most recent call last):", "error[BUG-01]: TypeError"])
def test_a_traceback_is_caught(text: str) -> None:
    """Text for people is no fault; a traceback or a bug is one, killed workers or not."""
    recap = evidence(a_clean_run(), other=["Ended: 5 jobs", "  Time: 2 s"], kills=1)
    broken = replace(recap, other=[*recap.other, text])

    assert caught(recap) == set()
    assert caught(broken) == {"I12 nothing-broke"}


def test_exactly_the_limit_is_kept() -> None:
    """Five requests in a window of five, and the sixth when the window is over: nothing broken."""
    story = a_clean_run()
    for step in range(LIMIT + 1):
        story.request(15.0 + step * 0.2, "")

    assert caught(evidence(story)) == set()


def test_every_check_has_a_planted_fault() -> None:
    """No check is trusted that was never seen to fail."""
    assert CHECKS.keys() - set(PLANTED.values()) == {"I12 secrets-are-kept"}


def test_figures_count_the_fullest_window() -> None:
    """The fullest window is found wherever it starts."""
    story = Story([{"kind": "start", "at": 0.0, "wall": WALL}])
    for at in (0.1, 0.7, 1.2, 1.6, 2.9):
        story.read(at, "a")

    found = figures(evidence(story))

    assert (found.requests, found.most_in_a_window, found.most_in_an_aligned_second) == (5, 3, 2)


def test_log_files_are_parsed_line_by_line(tmp_path: Path) -> None:
    """JSON objects are log lines; everything else but blank lines is told apart."""
    path = tmp_path / "log"
    path.write_text('{"event": "a"}\n\nTraceback\n[1]\n{"ev', encoding="utf-8")

    assert parse_lines([path]) == ([{"event": "a"}], ["Traceback", "[1]", '{"ev'])
