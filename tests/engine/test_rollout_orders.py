"""A real worker meets a rollout that was stopped: nothing is sent, and each job has its place."""

import random
from pathlib import Path

import pytest

from jobs.decide import Rules
from jobs.states import JobState, WaitReason
from jobs.store.protocol import JobFilter
from jobs.store.rollouts import OrderKind
from jobs.store.sqlite import open_sqlite
from tests.contract.rollout_steps import admit, order, running, tally
from tests.contract.steps import all_is_well
from tests.engine.model_cloud import Faults, ModelCloud
from tests.engine.one_worker import OneWorker, Stage
from tests.engine.virtual import VirtualClock, VirtualLoop, on_virtual_time

CALM = Faults()


@pytest.mark.parametrize(
    ("kind", "place", "lines"),
    [
        (OrderKind.PAUSE, (JobState.WAITING, WaitReason.PAUSED), 0),
        (OrderKind.ABORT, (JobState.CANCELLED, None), 3),
    ],
    ids=["paused", "aborted"],
)
def test_a_worker_sends_nothing_of_a_stopped_rollout(
    tmp_path: Path, kind: OrderKind, place: tuple[JobState, WaitReason | None], lines: int
) -> None:
    """Jobs that were let in before the order are set aside, or end with their result line."""

    async def main(loop: VirtualLoop, clock: VirtualClock) -> None:
        cloud = ModelCloud(clock, random.Random(1), CALM, limit=20)
        with loop.real():
            store = await open_sqlite(tmp_path / "jobs.db", clock)
            rollout = await running(store, 5)
            await admit(store, rollout, 3)
            await order(store, rollout, kind)
        stage = Stage(
            loop=loop, clock=clock, store=store, folder=tmp_path / "results", limit=cloud.limit
        )
        worker = OneWorker(stage, cloud, Rules(settle_s=4.0, rng=random.Random(1)))
        await worker.run()
        with loop.real():
            seen = [job async for job in store.jobs(JobFilter(), newest_first=False)]
            counted = await tally(store, rollout)
            await all_is_well(store)
            await store.close()

        assert [(job.state, job.reason) for job in seen[:3]] == [place] * 3
        assert {(job.state, job.reason) for job in seen[3:]} == {
            (JobState.WAITING, WaitReason.WAVE)
        }
        assert {job.progress.sends for job in seen} == {0}
        assert {version for version, _ in cloud.final().values()} <= {None}
        assert len(worker.results) == lines
        assert (counted.admitted, counted.cancelled) == (3, lines)

    on_virtual_time(main)
