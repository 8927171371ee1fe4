"""Whole workers on one PostgreSQL: one queue, one limit, every pool changed once."""

from pathlib import Path
from typing import Any

import anyio
import pytest

from config.settings import Settings
from jobs.states import JobState
from jobs.store.protocol import JobFilter
from tests.builders import a_request
from worker.app import Work
from worker.simulator import Simulator, SimulatorOptions
from worker.stores import opened_store

LIMIT = 60


def settings(url: str, dsn: str, name: str) -> Settings:
    """Return settings of one worker on the shared database."""
    values: dict[str, Any] = {
        "store": {"url": dsn},
        "cloud": {
            "endpoint": url,
            "auth": "none",
            "rate": LIMIT,
            "settle": "1s",
            "poll_first": "0.3s",
        },
        "worker": {"name": name, "slots": 16},
    }
    return Settings.model_validate(values)


@pytest.mark.slow
@pytest.mark.timeout(90)
async def test_two_workers_share_queue_and_limit(
    dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With lost answers and failing reads, two workers do each job once within one limit."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    options = SimulatorOptions(
        projects=4,
        pools=10,
        speed=200,
        installed=0.5,
        limit=LIMIT,
        lost_before=0.1,
        lost_after=0.1,
        read_faults=0.1,
    )
    async with Simulator(options) as cloud:
        team = [settings(cloud.url, dsn, name) for name in ("one", "two")]
        async with opened_store(team[0].store) as store:
            await store.enqueue(
                [
                    a_request(pool=pool, project=project, key=pool, version="1.6.64")
                    for project, pool in cloud.targets
                ]
            )
        works = [Work(told, slots=None, until_empty=True) for told in team]
        async with anyio.create_task_group() as tasks:
            for work in works:
                tasks.start_soon(work.run)

        async with opened_store(team[0].store) as store:
            jobs = [job async for job in store.jobs(JobFilter())]
            findings = [one for one in await store.check() if not one.ok]
        entries = cloud.journal.entries()
        assert {job.state for job in jobs} == {JobState.SUCCEEDED}
        assert all(sum(work.statistics().ended.values()) > 0 for work in works)
        assert not [entry for entry in entries if entry.get("overlap")]
        assert not [entry for entry in entries if entry["status"] == 429]
        assert findings == []
