"""Whether POST upgrades is settled nowhere, so every variant of the cloud must be survived.

Real HTTP against the simulator: POST that upgrades, refuses (409 and 400) or silently does
nothing, with and without a lag in what reads show, with lost answers, on sites with and
without PATCH.
"""

from pathlib import Path
from typing import Any

import pytest

from config.settings import Settings
from jobs.model import Job
from jobs.states import JobState
from jobs.store.protocol import JobFilter
from tests.builders import a_request
from worker.app import Work
from worker.simulator import Simulator, SimulatorOptions
from worker.stores import opened_store

POOLS = 24


def settings(url: str, folder: Path) -> Settings:
    """Return impatient settings for the simulator at *url*."""
    values: dict[str, Any] = {
        "store": {"url": f"sqlite:///{folder / 'store.db'}"},
        "cloud": {
            "endpoint": url,
            "auth": "none",
            "rate": 500,
            "poll_first": "0.1s",
            "poll_max": "0.5s",
            "settle": "0.8s",
            "stale_after": "0.8s",
        },
    }
    return Settings.model_validate(values)


async def upgraded(cloud: Simulator, told: Settings) -> list[Job]:
    """Upgrade every pool's plug-in to 1.6.64 with one input of our own; return the ended jobs."""
    async with opened_store(told.store) as store:
        await store.enqueue(
            [
                a_request(pool=pool, project=project, key=pool, version="1.6.64", inputs=OURS)
                for project, pool in cloud.targets
            ]
        )
    await Work(told, slots=64, until_empty=True).run()
    async with opened_store(told.store) as store:
        return [job async for job in store.jobs(JobFilter())]


OURS = {"custom": {"ndots": "7"}}


def custom_inputs(cloud: Simulator) -> dict[str, Any]:
    """Return what each pool's own customer has set, without what we change."""
    found = {}
    for project, pool in cloud.targets:
        plugin = cloud.installed(project, pool)["node-local-dns"]
        own = dict(plugin.inputs or {})
        custom = {key: value for key, value in own.get("custom", {}).items() if key != "ndots"}
        found[pool] = {**own, "custom": custom}
    return found


@pytest.mark.slow
@pytest.mark.timeout(60)
@pytest.mark.parametrize("lag", [0.0, 2.0])
@pytest.mark.parametrize(
    ("mode", "site"), [("upsert", "cn"), ("conflict-409", "eu"), ("conflict-400", "eu")]
)
async def test_upgrades_end_at_the_wanted_version_with_inputs_kept(
    tmp_path: Path, mode: Any, site: Any, lag: float
) -> None:
    """Whatever POST does, every pool ends upgraded and keeps every input of its own."""
    options = SimulatorOptions(
        projects=2,
        pools=POOLS // 2,
        installed=1.0,
        speed=60,
        install_s=(6, 12),
        upgrade_s=(6, 12),
        lag_s=lag * 10,
        post_mode=mode,
        site=site,
        lost_before=0.1,
        lost_after=0.1,
        seed=3,
    )
    async with Simulator(options) as cloud:
        before = custom_inputs(cloud)

        jobs = await upgraded(cloud, settings(cloud.url, tmp_path))

        assert {job.state for job in jobs} == {JobState.SUCCEEDED}
        assert custom_inputs(cloud) == before
        assert not [entry for entry in cloud.journal.entries() if entry.get("overlap")]


@pytest.mark.slow
@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    ("mode", "cause"),
    [("no-op", "no-effect"), ("conflict-409", "conflict"), ("conflict-400", "conflict")],
)
async def test_a_site_that_cannot_upgrade_is_told_as_such(
    tmp_path: Path, mode: Any, cause: str
) -> None:
    """Without PATCH, a POST that is ignored or refused ends failed with the right cause."""
    options = SimulatorOptions(
        projects=1, pools=6, installed=1.0, speed=60, post_mode=mode, site="cn", seed=5
    )
    async with Simulator(options) as cloud:
        jobs = await upgraded(cloud, settings(cloud.url, tmp_path))

        assert {job.state for job in jobs} == {JobState.FAILED}
        assert {job.progress.cause for job in jobs} == {cause}


@pytest.mark.slow
@pytest.mark.timeout(60)
async def test_where_post_is_ignored_the_site_is_asked_to_patch(tmp_path: Path) -> None:
    """On a site that has PATCH, a POST without effect is followed by a PATCH that has one."""
    options = SimulatorOptions(
        projects=1, pools=6, installed=1.0, speed=60, post_mode="no-op", site="eu", seed=5
    )
    async with Simulator(options) as cloud:
        jobs = await upgraded(cloud, settings(cloud.url, tmp_path))

        assert {job.state for job in jobs} == {JobState.SUCCEEDED}
        assert {job.progress.stale for job in jobs} == {1}
