"""The calls that not every site has, made to both kinds of simulated site."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from jobs.clock import SystemClock
from jobs.model import Target
from jobs.outcomes import Outcome
from tests.modelarts.scripted import LONG_S, open_gate
from worker.modelarts.auth import NoAuth
from worker.modelarts.client import ModelArtsClient
from worker.modelarts.models import patch_body
from worker.modelarts.sites import Has, Site
from worker.modelarts.templates import PluginTemplate
from worker.modelarts.transport import Transport
from worker.modelarts.urls import Urls
from worker.simulator import Simulator, SimulatorOptions

EU = SimulatorOptions(projects=1, pools=1, site="eu", installed=1.0, upgrade_s=(0.0, 0.0))
CN = SimulatorOptions(projects=1, pools=1, site="cn", installed=1.0)
BODY = patch_body("node-local-dns", version="1.6.64", inputs={"custom": {"ndots": "7"}})


@asynccontextmanager
async def site(options: SimulatorOptions) -> AsyncIterator[tuple[Simulator, ModelArtsClient]]:
    """Open a simulated site and a client of it."""
    clock = SystemClock()
    async with Simulator(options) as cloud, Transport(clock) as transport:
        yield cloud, ModelArtsClient(transport, Urls(cloud.url), NoAuth(), clock)


def the_target(cloud: Simulator) -> Target:
    """Return the one pool."""
    [(project_id, pool_name)] = cloud.targets
    return Target(project_id=project_id, pool_name=pool_name)


async def test_where_a_site_has_them_a_plug_in_is_updated_and_deleted() -> None:
    """The update is carried out with its inputs; a default plug-in's delete is refused."""
    async with site(EU) as (cloud, client):
        target = the_target(cloud)
        updated = await client.update(target, BODY, gate=open_gate, timeout_s=LONG_S)
        after = cloud.installed(*cloud.targets[0])["node-local-dns"]
        kept = await client.delete(target, "volcano", gate=open_gate, timeout_s=LONG_S)
        gone = await client.delete(target, "node-local-dns", gate=open_gate, timeout_s=LONG_S)

        assert (updated.outcome, after.version) == (Outcome.OK, "1.6.64")
        assert after.inputs["custom"]["ndots"] == "7"
        assert kept.outcome is Outcome.REFUSED_CONTENT
        assert gone.outcome is Outcome.OK
        assert client.site(None) == Site(has_patch=Has.YES, has_delete=Has.YES)


async def test_where_a_site_lacks_them_nothing_happens_and_that_is_known() -> None:
    """The gateway knows no such API: nothing was changed, and another way may be tried."""
    async with site(CN) as (cloud, client):
        target = the_target(cloud)
        updated = await client.update(target, BODY, gate=open_gate, timeout_s=LONG_S)

        assert (updated.outcome, updated.http_status) == (Outcome.NO_SUCH_API, 404)
        assert cloud.installed(*cloud.targets[0])["node-local-dns"].version == "1.6.36"
        assert client.site(None) == Site(has_patch=Has.NO)


@pytest.mark.parametrize("options", [CN, EU], ids=["cn", "eu"])
async def test_drivers_are_read_on_both_sites(options: SimulatorOptions) -> None:
    """One site has a driver's versions in the spec, the other beside it."""
    async with site(options) as (cloud, client):
        project_id = the_target(cloud).project_id
        got = await client.driver_template(
            project_id, "npu-driver", gate=open_gate, timeout_s=LONG_S
        )

        assert isinstance(got, PluginTemplate)
        assert "78-21.0.2" in [one.version for one in got.versions]
