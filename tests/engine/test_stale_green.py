"""Stale green: a rollout must not go on because reads still show how pools were long ago.

Here every pool was at the target once and was changed away from it moments before it is sent
to; reads lag, so for a while they show the target, which nobody has reached.  The jobs send
without reading first, so that freshness alone can tell.
"""

import random
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest

from jobs.decide import Rules, watching
from jobs.decide.rules import obeying
from jobs.model import Job, Terms
from jobs.rollout_states import RolloutState
from jobs.states import JobState
from tests.engine.model_cloud import Faults, Operation
from tests.engine.one_worker import OneWorker
from tests.engine.test_rollouts import Scene, planned, played

LAG_S: Final = 9.0
WANTED: Final = {"cache": "30"}
POOLS: Final = 8


def lies(tmp_path: Path) -> list[str]:
    """Run the rollout; return the pools that were not at the target when that was reported."""
    inputs: dict[str, Any] = {"inputs": {"base": "empty", "merge": WANTED}}
    # A success that had to last for longer than reads lag would hide what is tested here.
    plan = planned(POOLS, plugin=inputs)

    async def play(scene: Scene) -> None:
        now = scene.clock.monotonic()
        for row in plan.rows:
            pool = scene.cloud.pool(row.target)
            pool.version, pool.inputs = "2.0", WANTED
            pool.operations.append(Operation(now, now, "1.0", {}))
        scene.cloud.faults = Faults(read_lag=LAG_S)
        blind = Rules(settle_s=4.0, poll_first_s=1.0, read_first=False, rng=random.Random(1))
        worker = OneWorker(scene.stage, scene.cloud, blind, until_empty=False)
        scene.tasks.start_soon(worker.run)
        assert (await scene.until()).state is RolloutState.SUCCEEDED

    with pytest.MonkeyPatch.context() as patched:
        # A rollout's jobs read first, to skip pools that are gone; here freshness alone tells.
        patched.setattr("worker.executor.obeying", _blindly)
        scene = played(tmp_path, plan, play)
    assert {job.state for job in scene.ended} == {JobState.SUCCEEDED}
    return [name(job) for job in scene.ended if not _was_there(scene, job)]


def _blindly(rules: Rules, terms: Terms) -> Rules:
    return obeying(rules, replace(terms, skip_gone=False))


def name(job: Job) -> str:
    """Return the pool of a job."""
    return job.request.target.pool_name


def _was_there(scene: Scene, job: Job) -> bool:
    """Whether the pool was at the target when its job ended."""
    assert job.finished_us is not None
    ago_s = (scene.clock.now_us() - job.finished_us) / 1_000_000
    at = scene.clock.monotonic() - ago_s
    return scene.cloud.state(scene.cloud.pools[name(job)], at) == ("2.0", WANTED)


@pytest.mark.slow
def test_lagging_reads_never_make_a_success(tmp_path: Path) -> None:
    """Every success is one in the cloud, at that moment."""
    assert lies(tmp_path) == []


@pytest.mark.slow
def test_without_the_freshness_rule_old_reads_pass_for_success(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Planted fault: the checker above sees it, so it would see it in the product."""
    monkeypatch.setattr(watching, "_is_fresh", lambda *_: True)

    assert lies(tmp_path) != []
