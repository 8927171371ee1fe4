"""A wrong credential costs the cloud one bad request, whatever the number of slots."""

from pathlib import Path
from typing import Any

import pytest

from config.settings import Settings
from jobs.errors import CredentialsRefusedError
from jobs.states import JobState, WaitReason
from jobs.store.protocol import JobFilter
from tests.builders import a_request
from worker.app import Work
from worker.simulator import Simulator, SimulatorOptions, StaticToken
from worker.stores import opened_store

RIGHT = "right-token-0123456789"
WRONG = "wrong-token-0123456789"


def settings(url: str, folder: Path, token: str) -> Settings:
    """Return settings for the simulator at *url* with *token*."""
    values: dict[str, Any] = {
        "store": {"url": f"sqlite:///{folder / 'store.db'}"},
        "cloud": {
            "endpoint": url,
            "auth": "token",
            "token": token,
            "rate": 500,
            "poll_first": "0.1s",
            "settle": "1s",
            "breaker": "0.5s",
        },
    }
    return Settings.model_validate(values)


def simulator() -> Simulator:
    """Return a cloud of 60 pools that knows one token."""
    options = SimulatorOptions(projects=3, pools=20, speed=1000)
    return Simulator(options, authenticator=StaticToken([RIGHT]))


async def enqueue(told: Settings, cloud: Simulator) -> None:
    """Queue one job for each pool."""
    async with opened_store(told.store) as store:
        await store.enqueue(
            [
                a_request(pool=pool, project=project, key=f"{project}-{pool}")
                for project, pool in cloud.targets
            ]
        )


async def states(told: Settings) -> tuple[set[JobState], set[WaitReason | None]]:
    """Return the states and wait reasons of all jobs."""
    async with opened_store(told.store) as store:
        jobs = [job async for job in store.jobs(JobFilter())]
    return {job.state for job in jobs}, {job.reason for job in jobs}


@pytest.mark.slow
async def test_the_cloud_sees_one_bad_request_however_many_slots_there_are(tmp_path: Path) -> None:
    """With a wrong token and 256 slots one request is refused; the jobs stay queued."""
    async with simulator() as cloud:
        told = settings(cloud.url, tmp_path, WRONG)
        await enqueue(told, cloud)

        with pytest.raises(CredentialsRefusedError):
            await Work(told, slots=256, until_empty=True).run()

        assert [entry["status"] for entry in cloud.journal.entries()] == [401]
        ended, _ = await states(told)
        assert ended <= {JobState.WAITING, JobState.READY}


@pytest.mark.slow
async def test_the_same_wrong_credential_is_not_tried_again_after_a_restart(tmp_path: Path) -> None:
    """A supervisor that restarts the worker again and again does not lock the key."""
    async with simulator() as cloud:
        told = settings(cloud.url, tmp_path, WRONG)
        await enqueue(told, cloud)
        for _ in range(5):
            with pytest.raises(CredentialsRefusedError):
                await Work(told, slots=256, until_empty=True).run()

        assert len(cloud.journal.entries()) == 1


@pytest.mark.slow
async def test_a_mended_credential_is_tried_at_once_and_the_parked_jobs_finish(
    tmp_path: Path,
) -> None:
    """After the secret is mended the same jobs end well, without being queued again."""
    async with simulator() as cloud:
        told = settings(cloud.url, tmp_path, WRONG)
        await enqueue(told, cloud)
        with pytest.raises(CredentialsRefusedError):
            await Work(told, slots=256, until_empty=True).run()

        await Work(settings(cloud.url, tmp_path, RIGHT), slots=256, until_empty=True).run()

        ended, _ = await states(told)
        assert ended == {JobState.SUCCEEDED}
