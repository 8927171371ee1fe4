"""Backoff: full jitter that grows to half a minute, and a server's wish within reason."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.retries import BASE_S, CEILING_S, RETRY_AFTER_CEILING_S, backoff_s


class Highest(random.Random):
    """Chance that always draws the most."""

    def random(self) -> float:
        return 1.0


@settings(max_examples=100, deadline=None, derandomize=True)
@given(failures=st.integers(-5, 10**9), seed=st.integers())
def test_a_wait_is_never_longer_than_the_ceiling(failures: int, seed: int) -> None:
    """Between nothing and half a minute, however often it failed."""
    assert 0 <= backoff_s(failures, random.Random(seed)) <= CEILING_S


@pytest.mark.parametrize(
    ("failures", "bound"), [(0, 0.5), (1, 0.5), (2, 1), (3, 2), (6, 16), (7, 30), (99, 30)]
)
def test_the_bound_doubles_with_each_failure(failures: int, bound: float) -> None:
    """Half a second, one, two … up to thirty."""
    assert backoff_s(failures, Highest()) == bound


def test_waits_are_spread_over_the_whole_range() -> None:
    """Many jobs that failed together do not come back together."""
    rng = random.Random(1)
    waits = [backoff_s(7, rng) / CEILING_S for _ in range(1000)]

    assert all(sum(tenth <= 10 * wait < tenth + 1 for wait in waits) > 50 for tenth in range(10))


@pytest.mark.parametrize(
    ("wish", "wait"), [(0.0, BASE_S), (7.0, 7.0), (900.0, 900.0), (1e9, RETRY_AFTER_CEILING_S)]
)
def test_a_server_that_asks_for_more_gets_it(wish: float, wait: float) -> None:
    """Retry-After wins over the jitter, up to a quarter of an hour."""
    assert backoff_s(1, Highest(), retry_after_s=wish) == wait
