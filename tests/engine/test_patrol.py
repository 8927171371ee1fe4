"""Pools that are done are looked at again: what turns bad in a bake counts, drift pauses."""

from pathlib import Path
from typing import Any

import pytest

from jobs.rollout_states import RolloutState, WaveState
from jobs.rollouts import lasting
from jobs.rollouts.advancing import STOPPED
from jobs.store.rollouts import OrderKind
from tests.builders import a_request
from tests.engine.model_cloud import Operation
from tests.engine.test_rollouts import Scene, planned, played
from tests.rollouts.building import REST

BAKE: dict[str, Any] = {"name": "one", "pick": {"count": 2}, "tolerate": 0, "bake": "3m"}


def edit(scene: Scene, pool: str, version: str = "2.0", **inputs: Any) -> None:
    """Somebody changes a pool in the cloud."""
    now = scene.clock.monotonic()
    scene.cloud.pools[pool].operations.append(Operation(now, now, version, inputs))


def first_of(scene: Scene) -> str:
    """Return the first pool of the first wave."""
    return next(row.pool_name for row in scene.plan.rows if row.place == 1 and row.wave == "one")


async def baking(scene: Scene) -> None:
    """Wait until the first wave bakes."""
    while (await scene.row()).waves[0].state is not WaveState.BAKING:
        await scene.clock.sleep(0.5)


@pytest.mark.slow
@pytest.mark.timeout(60)
@pytest.mark.parametrize("trouble", ["abnormal", "inputs"])
def test_a_pool_that_turns_bad_in_the_bake_is_a_late_failure(tmp_path: Path, trouble: str) -> None:
    """It goes through the rules: the wave fails by its tolerance, and nothing more starts."""
    plan = planned(4, waves=[BAKE, REST], stop=[])

    async def play(scene: Scene) -> None:
        scene.worker()
        scene.worker()
        await baking(scene)
        if trouble == "abnormal":
            scene.cloud.broken = frozenset({first_of(scene)})
        else:
            edit(scene, first_of(scene), ndots="9")
        row = await scene.until(RolloutState.PAUSED)
        assert row.facts[STOPPED]["rule"] == "one tolerates 0"
        assert (row.waves[0].state, row.waves[0].tally.late) == (WaveState.FAILED, 1)
        (told,) = [
            entry.data["text"]
            for entry in await scene.store.rollouts.record_of(row.id)
            if entry.event == "late-failure"
        ]
        words = "Abnormal after its success" if trouble == "abnormal" else "inputs were changed"
        assert words in told

    assert sum(played(tmp_path, plan, play).sends.values()) == 2


@pytest.mark.slow
@pytest.mark.timeout(60)
def test_drift_in_a_finished_wave_pauses_the_rollout_and_says_by_whom(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A person says that it may go on; the pool stays a damage of the rollout."""
    monkeypatch.setattr(lasting, "PASSED_EVERY_S", 20.0)
    waves = [{**BAKE, "bake": "0s"}, {**REST, "after": [{"approval": {}}]}]
    plan = planned(3, waves=waves, stop=[])

    async def play(scene: Scene) -> None:
        scene.worker()
        while (await scene.row()).waves[1].state is not WaveState.BAKING:
            await scene.clock.sleep(1)
        wanted = a_request(first_of(scene), plugin="dns", version="1.0", inputs={})
        await scene.store.enqueue([wanted])
        row = await scene.until(RolloutState.PAUSED)
        assert row.facts[STOPPED]["why"].startswith("drift: 1 pools of the finished wave one")
        (text,) = [
            entry.data["text"]
            for entry in await scene.store.rollouts.record_of(row.id)
            if entry.event == "late-failure"
        ]
        assert text.endswith("now at 1.0, not 2.0, by job-4 (test)")
        await scene.order(OrderKind.RESUME)
        await scene.order(OrderKind.APPROVE, wave=1)
        assert (await scene.until()).state is RolloutState.PARTIAL

    played(tmp_path, plan, play)
