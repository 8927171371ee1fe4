"""What a worker keeps whatever happens to it or to the cloud, shown with real processes.

Each test is one trial (`tests.acceptance.trials`) in a small size, judged by the checker;
the same trials in full size are marked soak.
"""

import signal
from pathlib import Path
from typing import Final

import pytest

from tests.acceptance import trials
from tests.acceptance.trials import Outcome, Size

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

KILLED: Final = -signal.SIGKILL


def no_violations(outcome: Outcome) -> str:
    """Return the broken promises as text, for a readable failure; empty when there is none."""
    found = outcome.violations()
    shown = [str(violation) for violation in found[:20]]
    return "\n".join(shown if len(found) <= 20 else [*shown, f"… {len(found)} in all"])


def test_every_fault_is_survived(tmp_path: Path) -> None:
    """With a fifth of all requests going wrong, every pool ends as wanted, each changed once."""
    outcome = trials.faults(
        tmp_path, Size(jobs=80, rate=100, faults=0.2, seed=3, throttles=1, undone=1)
    )

    assert no_violations(outcome) == ""
    assert outcome.exits == [0]
    assert outcome.figures().faults > 30


def test_a_killed_worker_loses_and_repeats_nothing(tmp_path: Path) -> None:
    """Killed at random moments, it goes on within a second; each job has exactly one result."""
    size = Size(jobs=30, rate=60, faults=0.3, seed=2, throttles=0, undone=1)

    outcome = trials.kills(tmp_path, size, count=5, life_s=(0.02, 0.5))

    assert no_violations(outcome) == ""
    assert outcome.exits == [KILLED] * 5 + [0]
    assert outcome.restarts


def test_two_workers_keep_one_limit(tmp_path: Path) -> None:
    """Two workers on one store share the limit and the jobs; one may sleep over its lease."""
    size = Size(jobs=60, rate=80, faults=0.05, seed=3, throttles=0, undone=1, slots=32)

    outcome = trials.two_workers(tmp_path, size, stop_s=6.5, after=40)

    assert no_violations(outcome) == ""
    assert outcome.exits[1] == 0


def test_a_drain_loses_nothing(tmp_path: Path) -> None:
    """SIGTERM and SIGINT drain: no new jobs, sends end, exit 143 and 130, the next goes on."""
    size = Size(jobs=30, rate=60, faults=0.0, seed=3)
    after: dict[int, int] = {signal.SIGTERM: 20, signal.SIGINT: 20}

    outcome = trials.drain(tmp_path, size, after=after)

    assert no_violations(outcome) == ""
    assert outcome.exits == [143, 130, 0]


@pytest.mark.soak
@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", [11, 12])
def test_every_fault_is_survived_by_2000_jobs(tmp_path: Path, seed: int) -> None:
    """The same with 2,000 jobs."""
    size = Size(jobs=2000, rate=100, faults=0.2, seed=seed, throttles=5, within_s=600)

    assert no_violations(trials.faults(tmp_path, size)) == ""


@pytest.mark.soak
@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", [21, 22])
def test_a_worker_killed_30_times_works_off_500_jobs(tmp_path: Path, seed: int) -> None:
    """The same with 500 jobs and 30 kills."""
    size = Size(jobs=500, rate=100, faults=0.3, seed=seed, within_s=300)

    outcome = trials.kills(tmp_path, size, count=30, life_s=(0.02, 0.9))

    assert no_violations(outcome) == ""
    assert outcome.exits == [KILLED] * 30 + [0]
