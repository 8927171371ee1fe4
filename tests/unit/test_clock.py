"""Two clocks: one that nobody can set, and one that shows what the others' clocks show."""

import time

import pytest

from jobs.clock import SystemClock, elapsed_ns
from tests.fakes import Dials

HOUR_S = 3600.0


@pytest.fixture
def dials() -> Dials:
    """Return the clocks of a machine."""
    return Dials(elapsed_s=1000, wall_s=1_700_000_000)


def system(dials: Dials) -> SystemClock:
    """Return the clock of a process that starts now."""
    return SystemClock(dials.elapsed, dials.wall)


@pytest.mark.parametrize("by_s", [HOUR_S, -HOUR_S, 0.5, -0.5])
def test_setting_the_wall_clock_moves_neither_settle_times_nor_leases(
    dials: Dials, by_s: float
) -> None:
    """What is measured goes on second by second; never backwards, never ahead."""
    clock = system(dials)
    now_us, monotonic = clock.now_us(), clock.monotonic()

    dials.set_wall(by_s)
    dials.pass_time(2)

    assert clock.now_us() == now_us + 2_000_000
    assert clock.monotonic() == pytest.approx(monotonic + 2)


@pytest.mark.parametrize("by_s", [HOUR_S, -HOUR_S, 0.5, -0.5])
def test_what_others_compare_with_their_clocks_follows_at_once(dials: Dials, by_s: float) -> None:
    """A signature made after a late NTP step carries the right date, without a restart."""
    clock = system(dials)
    wall_us = clock.wall_us()

    dials.set_wall(by_s)

    assert clock.wall_us() == wall_us + round(by_s * 1_000_000)


def test_time_in_which_the_machine_slept_has_passed(dials: Dials) -> None:
    """A worker that wakes up after an hour finds its lease over and its settle times passed."""
    clock = system(dials)
    now_us, wall_us, monotonic = clock.now_us(), clock.wall_us(), clock.monotonic()

    dials.pass_time(HOUR_S)

    assert clock.now_us() - now_us == clock.wall_us() - wall_us == 3_600_000_000
    assert clock.monotonic() - monotonic == pytest.approx(HOUR_S)


def test_the_time_of_a_shared_store_leaves_the_wall_clock_alone(dials: Dials) -> None:
    """Leases follow the database's clock, signatures this machine's."""
    clock = system(dials)

    clock.anchor(5_000_000)
    dials.pass_time(1)

    assert clock.now_us() == 6_000_000
    assert clock.wall_us() == 1_700_000_001_000_000


def test_without_being_told_it_reads_this_machine() -> None:
    """Elapsed time counts what the machine slept through, where the platform can tell."""
    clock = SystemClock()
    boot = getattr(time, "CLOCK_BOOTTIME", None)

    before, told, after = elapsed_ns(), clock.monotonic(), elapsed_ns()

    assert before <= told * 1e9 <= after
    assert abs(clock.wall_us() - time.time_ns() // 1000) < 5_000_000
    if boot is not None:
        assert abs(time.clock_gettime_ns(boot) - after) < 5_000_000_000
