"""A worker reads the fleet anew for a rollout that takes pools which come later."""

from pathlib import Path

from jobs.clock import SystemClock
from jobs.rollouts.plan import PlanPlace
from tests.discovery.seen import settings
from tests.rollouts.building import a_manifest
from worker.contact import discovering
from worker.membership import FleetReader
from worker.simulator import Simulator, SimulatorOptions
from worker.stores import opened_store


async def test_the_projects_of_the_plan_are_looked_into_again(tmp_path: Path) -> None:
    """Pools, what is installed and what is on offer, by one request for each project and pool."""
    async with Simulator(SimulatorOptions(projects=2, pools=3, installed=1.0)) as cloud:
        told = settings(cloud.url, tmp_path)
        first = PlanPlace(project_id=next(iter(cloud.fleet.projects)))
        async with opened_store(told.store) as store:
            read = FleetReader(told, store, SystemClock(), discovering)
            pools = await read(a_manifest(), [first], None)

    assert len(pools) == 3
    assert {pool.target.project_id for pool in pools} == {first.project_id}
    assert all(pool.looked and pool.offers for pool in pools)
