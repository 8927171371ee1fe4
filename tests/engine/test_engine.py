"""The whole engine on virtual time: real store, real limiter, real runner, a cloud that lies."""

import random
from collections.abc import Callable
from pathlib import Path

import anyio
import pytest

from jobs.decide import Rules
from jobs.model import InputsBase
from jobs.states import JobState
from jobs.store.protocol import JobFilter
from jobs.store.sqlite import open_sqlite
from tests.builders import a_request
from tests.engine.model_cloud import Faults, ModelCloud
from tests.engine.one_worker import OneWorker, Stage
from tests.engine.virtual import OneProcess, VirtualClock, VirtualLoop, on_virtual_time

SETTLE = 4.0
KILLS = 12
ALL_FAULTS = Faults(
    lost_without_effect=0.08,
    lost_with_effect=0.08,
    lost_and_late=0.05,
    not_sent=0.05,
    throttled=0.02,
    conflict=0.02,
    read_fails=0.1,
    read_lag=1.0,
)


async def killed_often(
    team: list[OneWorker], make: Callable[[], OneWorker], clock: VirtualClock, rng: random.Random
) -> None:
    """Run one worker after another, each killed at a random moment; the last one may finish."""
    for _ in range(KILLS):
        worker = make()
        team.append(worker)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(worker.run)
            await clock.sleep(rng.uniform(0.05, 6.0))
            worker.kill()
    worker = make()
    team.append(worker)
    await worker.run()


def rollout(
    tmp: Path,
    seed: int,
    faults: Faults,
    *,
    jobs: int = 30,
    workers: int = 1,
    kills: bool = False,
    settle: float = SETTLE,
    blind: bool = False,
) -> ModelCloud:
    """Run a whole queue on virtual time; assert what must hold always; return the cloud."""

    async def main(loop: VirtualLoop, clock: VirtualClock) -> ModelCloud:
        rng = random.Random(seed)
        cloud = ModelCloud(clock, rng, faults, limit=20)
        with loop.real():
            store = await open_sqlite(tmp / f"{seed}.db", clock)
        entry = OneProcess(store, loop)
        requests = []
        for number in range(jobs):
            name = f"pool-{number}"
            base = InputsBase.EMPTY if blind else InputsBase.CURRENT
            requests.append(
                a_request(pool=name, plugin="dns", version="2.0", key=name, inputs=None, base=base)
            )
            if number % 2 and not blind:
                pool = cloud.pool(requests[-1].target)
                pool.version, pool.inputs = "1.0", {"custom": str(number)}
        await entry.enqueue(requests)

        stage = Stage(
            loop=loop, clock=clock, store=store, folder=tmp / f"results-{seed}", limit=cloud.limit
        )

        def make() -> OneWorker:
            rules = Rules(
                settle_s=settle, poll_first_s=1.0, read_first=not blind, rng=random.Random(1)
            )
            return OneWorker(stage, cloud, rules)

        team: list[OneWorker] = []
        with anyio.fail_after(3600):
            async with anyio.create_task_group() as tasks:
                if kills:
                    tasks.start_soon(killed_often, team, make, clock, rng)
                for _ in range(0 if kills else workers):
                    team.append(make())
                    tasks.start_soon(team[-1].run)
        with loop.real():
            ended = [job async for job in store.jobs(JobFilter())]
            await store.close()
        states = {job.request.target.pool_name: job.state for job in ended}
        results = sorted(result for worker in team for result in worker.results)
        assert cloud.violations == []
        assert cloud.windows_over() == []
        assert set(states.values()) == {JobState.SUCCEEDED}, states
        assert results == sorted(range(1, jobs + 1)), "one result line for each job"
        for number in range(jobs):
            version, inputs = cloud.final()[f"pool-{number}"]
            assert version == "2.0"
            assert inputs == ({"custom": str(number)} if number % 2 and not blind else {})
        return cloud

    return on_virtual_time(main)


@pytest.mark.slow
@pytest.mark.timeout(60)
def test_a_calm_cloud_costs_few_calls(tmp_path: Path) -> None:
    """Without faults a job costs a read, a send and a few looks, and is sent once."""
    cloud = rollout(tmp_path, 0, Faults())

    assert len(cloud.sends) == 30
    assert len(cloud.requests) <= 30 * 9


@pytest.mark.slow
@pytest.mark.timeout(60)
def test_a_request_that_depends_on_nothing_is_sent_without_a_read(tmp_path: Path) -> None:
    """With `read_first = when-unsure` and an empty base the first request is the send."""
    cloud = rollout(tmp_path, 1, Faults(), blind=True)

    assert len(cloud.sends) == 30
    assert sorted(at for at, _ in cloud.sends)[:5] == sorted(cloud.requests)[:5]


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.parametrize("seed", range(6))
def test_whatever_is_lost_every_pool_is_changed_once(tmp_path: Path, seed: int) -> None:
    """With every fault at once all pools end as wanted, none twice, none over the limit."""
    rollout(tmp_path, seed, ALL_FAULTS)


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.parametrize("seed", range(3))
def test_two_workers_share_queue_and_limit(tmp_path: Path, seed: int) -> None:
    """Two workers on one store keep one limit and never touch one pool at a time."""
    rollout(tmp_path, 100 + seed, ALL_FAULTS, workers=2)


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.parametrize("seed", range(4))
def test_a_worker_killed_again_and_again_repeats_nothing(tmp_path: Path, seed: int) -> None:
    """Twelve workers are killed at random moments; the next one reads, waits, and goes on."""
    rollout(tmp_path, 200 + seed, ALL_FAULTS, kills=True)


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_the_model_cloud_sees_a_worker_that_does_not_wait(tmp_path: Path) -> None:
    """Planted fault: without a settle time some install is sent into one that comes late."""
    late = Faults(lost_and_late=0.6, late=8.0)

    def impatient() -> None:
        for seed in range(300, 306):
            rollout(tmp_path, seed, late, settle=0.0)

    with pytest.raises(AssertionError):
        impatient()
