"""Two hosts with lines that are cut: who is cut off stops in time, and nothing is sent twice.

The hosts are network namespaces, which need root; so these tests run only when they are asked
for: ``make soak``, or ``pytest -m namespaces``.
"""

from pathlib import Path

import pytest

from tests.acceptance.namespaces import missing
from tests.acceptance.test_worker_trials import no_violations
from tests.acceptance.two_hosts import SIZE, two_hosts

pytestmark = [pytest.mark.namespaces, pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture(autouse=True)
def _allowed() -> None:
    reason = missing()
    if reason is not None:
        pytest.skip(reason)


def test_a_host_that_is_cut_off_stops_before_its_lease_ends(tmp_path: Path) -> None:
    """Cut off from database, cloud or both: it stops in time, the other takes over, no repeats."""
    outcome = two_hosts(tmp_path, SIZE)

    assert no_violations(outcome) == ""
    assert outcome.exits == [0, 0]
