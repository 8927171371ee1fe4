"""Plans over HTTP: a manifest becomes a plan, a plan a rollout, once for each key."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest

from config.settings import Settings
from jobs.clock import SystemClock
from tests.api.calling import House, a_house
from tests.simulator.asking import Client
from worker.contact import discovering
from worker.simulator import Simulator, SimulatorOptions
from worker.simulator.catalogue import CATALOGUE

PLANS, ROLLOUTS = "/api/v1/plans", "/api/v1/rollouts"
YAML = "application/yaml"


def a_manifest(cloud: Simulator, name: str = "over-http", **spec: Any) -> bytes:
    """Return a manifest for the pools of a simulated cloud."""
    projects = sorted({project for project, _ in cloud.targets})
    targets = {"include": [{"projects": projects, "regions": [cloud.options.region]}]}
    body = {
        "apiVersion": "plugwave/v1",
        "kind": "Rollout",
        "metadata": {"name": name},
        "spec": {
            "plugin": {"name": "volcano", "version": CATALOGUE["volcano"].versions[0][0]},
            "targets": {**targets, "ifAbsent": "install"},
            "waves": [{"name": "all", "pick": {"rest": True}}],
            "stop": [],
            **spec,
        },
    }
    return orjson.dumps(body)


@asynccontextmanager
async def with_cloud(folder: Path) -> AsyncIterator[tuple[House, Simulator]]:
    """Open the interface beside a simulated cloud."""
    async with Simulator(SimulatorOptions(pools=2)) as cloud, a_house(folder) as house:
        told = {"endpoint": cloud.url, "auth": "none", "rate": 1000, "region": cloud.options.region}
        settings = Settings.model_validate({"cloud": told, "server": house.rooms.settings.server})
        contact = partial(discovering, settings, house.store, SystemClock())
        object.__setattr__(house.rooms, "settings", settings)
        object.__setattr__(house.rooms, "contact", contact)
        yield house, cloud


@pytest.mark.slow
async def test_a_manifest_becomes_a_plan_and_a_plan_a_rollout(tmp_path: Path) -> None:
    """A plan is kept and changes nothing; begun twice with a key it is one rollout."""
    async with with_cloud(tmp_path) as (house, cloud):
        made = await house.anybody("POST", PLANS, raw=a_manifest(cloud), Content_Type=YAML)
        assert made.status == 201, made.body
        digest = made.body["digest"]
        kept = await house.anybody("GET", f"{PLANS}/{digest[:8]}")
        written = [line for line in cloud.journal.entries() if line["method"] != "GET"]
        begun = await house.anybody("POST", ROLLOUTS, {"plan": digest[:8]}, key="k")
        assert begun.status == 202, begun.body
        again = await house.anybody("POST", ROLLOUTS, {"plan": digest}, key="k")
        counted = await house.store.open_jobs()

    assert made.headers["Location"] == f"{PLANS}/{digest}"
    assert (kept.body["digest"], kept.body["counts"]) == (digest, made.body["counts"])
    assert (made.body["complete"], written) == (True, [])
    assert (begun.status, begun.body["again"], again.body["again"]) == (202, False, True)
    assert begun.body["rollout"] == again.body["rollout"]
    assert (again.headers["Idempotency-Replayed"], counted) == ("true", 6)


@pytest.mark.slow
async def test_a_plan_that_is_not_true_any_more_is_not_begun(tmp_path: Path) -> None:
    """The fleet has moved since: 409 with what is different, and nothing is started."""
    async with with_cloud(tmp_path) as (house, cloud), aiohttp.ClientSession() as session:
        made = await house.anybody("POST", PLANS, raw=a_manifest(cloud), Content_Type=YAML)
        client = Client(cloud, house.clock, session)
        foreign = await client.create("volcano", CATALOGUE["volcano"].versions[0][0])
        stale = await house.anybody("POST", ROLLOUTS, {"plan": made.body["digest"]}, key="k")
        rollouts = await house.anybody("GET", ROLLOUTS)

    assert foreign.status < 300
    assert (stale.status, stale.body["code"], rollouts.body["rollouts"]) == (409, "PLAN-04", [])


@pytest.mark.slow
async def test_what_is_no_plan_is_refused(tmp_path: Path) -> None:
    """An unknown plan is 404; a manifest that cannot be read, or has a file, is 422."""
    async with with_cloud(tmp_path) as (house, cloud):
        gone = await house.anybody("POST", ROLLOUTS, {"plan": "abcdef0123"}, key="x")
        fleet = a_manifest(cloud, targets={"file": "fleet.csv"})
        file = await house.anybody("POST", PLANS, raw=fleet, Content_Type=YAML)
        broken = await house.anybody("POST", PLANS, raw=b"kind: [", Content_Type=YAML)
        form = await house.anybody("POST", PLANS, raw=b"kind: x", Content_Type="text/plain")

    assert [one.status for one in (gone, file, broken, form)] == [404, 422, 422, 415]
    assert broken.body["code"].startswith("MAN-")
