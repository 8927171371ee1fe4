"""Several workers on one store, killed and frozen all the time, lose and repeat nothing.

Small storms; the full ones are `python -m tests.acceptance.run --only postgres` (and `sqlite`),
marked soak here, and their figures are in ``docs/trials.md``.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.run import STORMS, main
from tests.acceptance.storm import Weather, storm
from tests.acceptance.test_worker_trials import no_violations
from tests.acceptance.trials import Size
from tests.postgres.server import PrivateServer

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


@pytest.fixture
def database() -> Iterator[PrivateServer]:
    """A server that the trial may stop and start."""
    server = PrivateServer()
    yield server
    server.remove()


def test_workers_on_postgres_survive_kills_freezes_and_a_database_that_crashes(
    tmp_path: Path, database: PrivateServer
) -> None:
    """Three workers, one database: every job ends once, in one limit, and why always knows."""
    size = Size(jobs=70, rate=120, faults=0.1, seed=5, throttles=0, undone=1, slots=48)
    weather = Weather(
        workers=3, lease_s=2.0, freeze_s=(4.3, 4.5), outages_s=(0.3,), most=3, ask_every_s=3.0
    )

    outcome = storm(tmp_path, "postgres", size, weather, database)

    assert no_violations(outcome) == ""
    assert outcome.run.kills >= 2


def test_workers_on_sqlite_survive_kills_and_freezes(tmp_path: Path) -> None:
    """Two workers on one file: every job ends once, in one limit, and why always knows."""
    size = Size(jobs=40, rate=100, faults=0.1, seed=6, throttles=0, undone=1, slots=24)
    weather = Weather(workers=2, lease_s=2.0, freeze_s=(4.3, 4.5), most=3, ask_every_s=3.0)

    outcome = storm(tmp_path, "sqlite", size, weather)

    assert no_violations(outcome) == ""
    assert outcome.run.kills >= 1


@pytest.mark.soak
@pytest.mark.timeout(2400)
@pytest.mark.parametrize("name", sorted(STORMS))
def test_a_storm_in_full_size(tmp_path: Path, name: str) -> None:
    """5,000 jobs, interrupted every second; and how soon a killed worker is found."""
    assert main(["--only", name, "--folder", str(tmp_path)]) == 0
