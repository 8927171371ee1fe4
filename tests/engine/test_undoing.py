"""Undoing by the whole engine on virtual time: what comes back, and what is left alone."""

from pathlib import Path
from typing import Any, Final

import pytest

from jobs.rollout_states import RolloutState
from jobs.rollouts.plan import Plan
from jobs.rollouts.restoring import Scope, Undoing, Wanted, undo_name, undo_plan
from jobs.states import JobState
from jobs.store.rollouts import RolloutKind, RolloutRow
from tests.engine.model_cloud import Operation
from tests.engine.test_rollouts import ANA, Scene, planned, played
from tests.rollouts.building import REST
from worker.sighting import all_deeds
from worker.undoing import begin_undoing

BEFORE: Final[dict[str, Any]] = {"ndots": "2", "secret": {"token": "planted"}}
WRITES: Final = frozenset(
    {"advance", "record", "note", "start_rollout", "plan_jobs", "order", "keep_plan"}
)
"""Calls of a worker after which something new is in the store."""

SET: Final = {"inputs": {"merge": {"cache": "30"}}}
TWO_WAVES: Final = [{"name": "one", "pick": {"count": 2}}, REST]
ONE_FAILURE: Final = [{"name": "cap", "failures": 0}]


def a_plan(pools: int = 6, **spec: Any) -> Plan:
    """Return a plan in two waves, one job at a time, that also sets an input."""
    terms = {"waves": TWO_WAVES, "stop": ONE_FAILURE, "budgets": {"concurrency": 1}, **spec}
    return planned(pools, plugin=SET, **terms)


def in_order(plan: Plan) -> list[str]:
    """Return the pools in the order in which they are changed."""
    waves = [wave.name for wave in plan.waves]
    rows = sorted(plan.acting, key=lambda row: (waves.index(row.wave or ""), row.place or 0))
    return [row.pool_name for row in rows]


def prepare(scene: Scene) -> None:
    """Give every pool the inputs that it had before."""
    for row in scene.plan.rows:
        scene.cloud.pool(row.target).inputs = dict(BEFORE)


def edit(scene: Scene, pool: str, inputs: dict[str, Any]) -> None:
    """Somebody gives a pool other inputs."""
    now = scene.clock.monotonic()
    found = scene.cloud.pools[pool]
    found.operations.append(Operation(now, now, "2.0", inputs))


async def undo(scene: Scene, wanted: Wanted) -> RolloutRow:
    """A person undoes the rollout; each job looks for itself what there is."""
    row, store = await scene.row(), scene.store.rollouts
    deeds = [deed async for deed in all_deeds(store, row.id)]
    undoing = Undoing(row=row, plan=scene.plan, deeds=deeds)
    now_us = scene.clock.now_us()
    made = undo_plan(undoing, wanted, now_us, 5.0)
    return (await begin_undoing(store, row, made, ANA, now_us)).row


async def ended(scene: Scene, of: RolloutRow) -> RolloutRow:
    """Wait until the undoing has ended."""
    while True:
        row: RolloutRow | None = await scene.store.rollouts.rollout(undo_name(of))
        if row is not None and row.finished_us is not None:
            return row
        await scene.clock.sleep(0.5)


@pytest.mark.slow
@pytest.mark.timeout(60)
def test_undoing_restores_exactly_what_was_changed_and_nobody_has_changed_since(
    tmp_path: Path,
) -> None:
    """The whole scope, with two workers.

    Rollback of a half-done rollout restores version and full inputs on exactly the pools it
    changed, and leaves alone a pool that someone changed since.
    """
    plan = a_plan()
    pools = in_order(plan)
    broken, changed_since, untouched = pools[3], pools[1], pools[4:]

    async def play(scene: Scene) -> None:
        prepare(scene)
        scene.worker()
        scene.worker()
        await scene.until(RolloutState.PAUSED)
        edit(scene, changed_since, {**BEFORE, "ndots": "7"})

        begun = await undo(scene, Wanted(scope=Scope.ALL))
        again = await undo(scene, Wanted(scope=Scope.ALL))

        assert again.id == begun.id
        row = await ended(scene, await scene.row())
        assert (row.kind, row.of) == (RolloutKind.ROLLBACK, (await scene.row()).id)
        assert row.state is RolloutState.ROLLBACK_INCOMPLETE
        assert [wave.tally.succeeded for wave in row.waves] == [2, 1]
        assert (await scene.row()).state is RolloutState.ABORTED
        scene.cloud.violations.clear()  # the model takes an input that goes for a loss

    scene = played(tmp_path, plan, play, broken=frozenset({broken}))
    found = scene.cloud.final()
    assert found.pop(changed_since) == ("2.0", {**BEFORE, "ndots": "7"})
    assert all(state == ("1.0", BEFORE) for state in found.values())
    sends = scene.sends
    assert [sends[pool] for pool in pools[:4]] == [2, 1, 2, 2]
    assert not any(sends[pool] for pool in untouched)
    (left,) = [job for job in scene.ended if job.progress.cause == "changed-by-others"]
    assert (left.state, left.progress.sends) == (JobState.SKIPPED, 0)


@pytest.mark.slow
@pytest.mark.timeout(60)
def test_healthy_pools_are_not_touched_by_the_scope_failed(tmp_path: Path) -> None:
    """Only the pool on which it failed gets back what it had."""
    plan = a_plan()
    pools = in_order(plan)

    async def play(scene: Scene) -> None:
        prepare(scene)
        scene.worker()
        await scene.until(RolloutState.PAUSED)
        await undo(scene, Wanted())
        assert (await ended(scene, await scene.row())).state is RolloutState.ROLLED_BACK
        scene.cloud.violations.clear()

    scene = played(tmp_path, plan, play, broken=frozenset({pools[2]}))
    after = {**BEFORE, "cache": "30"}
    found = [scene.cloud.final()[pool] for pool in pools]
    assert found == [("2.0", after)] * 2 + [("1.0", BEFORE)] * 4


@pytest.mark.slow
@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "terms",
    [{"onStop": {"do": "rollback"}}, {"rollback": {"trigger": "on-stop", "scope": "all"}}],
    ids=["do", "trigger"],
)
def test_a_rule_that_stops_a_rollout_undoes_it(tmp_path: Path, terms: dict[str, Any]) -> None:
    """Nobody is asked: the rollout is aborted, and its undoing runs to its end."""
    plan = a_plan(**terms)
    pools = in_order(plan)

    async def play(scene: Scene) -> None:
        prepare(scene)
        scene.worker()
        row = await scene.until()
        assert row.state is RolloutState.ABORTED
        undoing = await ended(scene, row)
        assert (undoing.state, undoing.of) == (RolloutState.ROLLED_BACK, row.id)
        scene.cloud.violations.clear()

    scene = played(tmp_path, plan, play, broken=frozenset({pools[2]}))
    restored = [scene.cloud.final()[pool][0] for pool in pools]
    kept = "1.0" if "rollback" in terms else "2.0"
    assert restored == [kept, kept, "1.0", "1.0", "1.0", "1.0"]


def undone(folder: Path, plan: Plan, kill_at: int | None) -> tuple[int, Scene]:
    """Undo a stopped rollout by itself, killing its worker after that many writes."""
    count = 0

    async def play(scene: Scene) -> None:
        nonlocal count
        prepare(scene)
        worker = scene.worker()

        def heard(call: str) -> None:
            nonlocal count
            count += call in WRITES
            if count == kill_at and not worker.store.dead:
                worker.kill()
                scene.worker()

        worker.store.heard = heard
        row = await scene.until()
        undoing = await ended(scene, row)
        assert undoing.state is RolloutState.ROLLED_BACK
        assert sum(wave.tally.size for wave in undoing.waves) == 2
        scene.cloud.violations.clear()

    scene = played(folder, plan, play, broken=frozenset({in_order(plan)[1]}))
    return count, scene


def assert_kills_change_nothing(tmp_path: Path, step: int) -> None:
    """Kill after each *step*-th write in turn."""
    plan = a_plan(3, rollback={"scope": "all"}, onStop={"do": "rollback"})
    (tmp_path / "calm").mkdir()
    writes, calm = undone(tmp_path / "calm", plan, None)
    assert sorted(calm.sends.values()) == [2, 2]
    for kill_at in range(2, writes, step):
        folder = tmp_path / str(kill_at)
        folder.mkdir()
        _, scene = undone(folder, plan, kill_at)
        assert scene.sends == calm.sends, f"killed after write {kill_at}"
        assert all(state == ("1.0", BEFORE) for state in scene.cloud.final().values())


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_a_worker_killed_while_it_undoes_changes_nothing(tmp_path: Path) -> None:
    """Whoever takes over finds the undoing, with or without its jobs, and goes on."""
    assert_kills_change_nothing(tmp_path, 9)


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_a_worker_killed_after_every_write_of_an_undoing_changes_nothing(tmp_path: Path) -> None:
    """The same after every write in turn."""
    assert_kills_change_nothing(tmp_path, 1)
