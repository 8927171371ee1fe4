"""Rollouts by the whole engine on virtual time: real store, real workers, real decisions."""

import random
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import anyio
import pytest

from jobs.decide import Rules
from jobs.model import Job, PluginSeen, PoolRead, PoolSeen, Target
from jobs.outcomes import Answer, Outcome
from jobs.rollout_states import LIVE_ROLLOUTS, RolloutState, WaveState
from jobs.rollouts.advancing import STOPPED
from jobs.rollouts.observed import Observed, Offer
from jobs.rollouts.plan import Plan
from jobs.rollouts.planning import make_plan
from jobs.states import HELD_STATES, JobState
from jobs.store.protocol import JobFilter
from jobs.store.rollouts import Order, OrderKind, RolloutRow, Word
from jobs.store.sqlite import open_sqlite
from tests.builders import PROJECT, a_request
from tests.engine.model_cloud import Faults, ModelCloud
from tests.engine.one_worker import OneWorker, Stage
from tests.engine.virtual import OneProcess, VirtualClock, VirtualLoop, on_virtual_time
from tests.rollouts.building import REST, TERMS, a_manifest
from worker.applying import Submission, begin
from worker.cloud import Gate

ANA = Word(by="ana", why="it is time")
TWO_WAVES = [{"name": "one", "pick": {"count": 4}, "tolerate": 0, "bake": "1m"}, REST]
POOLS = 30


class BreakingCloud(ModelCloud):
    """A cloud on which some pools end Abnormal when they are changed, and some are gone."""

    broken: frozenset[str] = frozenset()
    gone: frozenset[str] = frozenset()

    async def list_plugins(
        self, target: Target, *, gate: Gate, timeout_s: float
    ) -> PoolRead | Answer:
        """Show a broken pool as Abnormal once its change has ended."""
        read = await super().list_plugins(target, gate=gate, timeout_s=timeout_s)
        if target.pool_name in self.gone:
            return Answer(outcome=Outcome.NOT_FOUND, sent=True, http_status=404)
        if target.pool_name not in self.broken or not isinstance(read, PoolRead):
            return read
        shown = read.plugins["dns"]
        if (shown.phase, shown.version) != ("Running", "2.0"):
            return read
        seen = replace(shown, phase="Abnormal", reason="broken")
        return PoolRead(asked_us=read.asked_us, plugins={"dns": seen})


def planned(pools: int, **spec: Any) -> Plan:
    """Return the plan that upgrades that many pools; a success need not last."""
    spec.setdefault("job", {"verify": {"settle": "0s"}})
    plugin = {"name": "dns", **spec.pop("plugin", {})}
    observed = []
    for number in range(pools):
        name = f"pool-{number:03d}"
        observed.append(
            Observed(
                target=Target(project_id=PROJECT, pool_name=name, region="cn-north-4"),
                pool=PoolSeen(name=name, phase="Running", labels={}),
                plugin=PluginSeen(name="dns", version="1.0", phase="Running", inputs={}),
                looked=True,
                offers=(Offer(version="2.0"), Offer(version="1.0")),
            )
        )
    return make_plan(a_manifest("2.0", plugin=plugin, **spec), observed, TERMS)


@dataclass
class Scene:
    """A rollout under way: the store as a person sees it, and how to start workers."""

    clock: VirtualClock
    cloud: BreakingCloud
    store: Any
    plan: Plan
    stage: Stage
    tasks: Any = None
    ended: list[Job] = field(default_factory=list)

    def worker(self) -> OneWorker:
        """Start one more worker process."""
        rules = Rules(settle_s=4.0, poll_first_s=1.0, abnormal_grace_s=2.0, rng=random.Random(1))
        worker = OneWorker(self.stage, self.cloud, rules, until_empty=False)
        self.tasks.start_soon(worker.run)
        return worker

    async def row(self) -> RolloutRow:
        """Return the rollout as the store has it."""
        row: RolloutRow | None = await self.store.rollouts.rollout(self.plan.name)
        assert row is not None
        return row

    async def order(self, kind: OrderKind, wave: int | None = None) -> None:
        """A person orders something."""
        row = await self.row()
        await self.store.rollouts.order(
            Order(rollout=row.id, kind=kind, word=ANA, wave=wave, digest=self.plan.digest)
        )

    async def until(self, *states: RolloutState, within_s: float = 7200.0) -> RolloutRow:
        """Wait until the rollout is in one of the states, or over when none is named."""
        with anyio.fail_after(within_s):
            while True:
                row = await self.row()
                if row.state in states or (not states and row.state not in LIVE_ROLLOUTS):
                    return row
                await self.clock.sleep(0.25)

    @property
    def sends(self) -> Counter[str]:
        """How often each pool was sent to."""
        return Counter(pool for _, pool in self.cloud.sends)


Play = Callable[[Scene], Awaitable[None]]


def played(folder: Path, plan: Plan, play: Play, *, broken: frozenset[str] = frozenset()) -> Scene:
    """Begin the rollout of *plan* and let *play* run it; return what became of it."""

    async def main(loop: VirtualLoop, clock: VirtualClock) -> Scene:
        cloud = BreakingCloud(clock, random.Random(1), Faults(), limit=20)
        cloud.broken = broken
        for row in plan.rows:
            pool = cloud.pool(row.target)
            pool.version, pool.inputs = "1.0", {}
        with loop.real():
            store = await open_sqlite(folder / "jobs.db", clock)
        stage = Stage(loop=loop, clock=clock, store=store, folder=folder / "results", limit=20)
        scene = Scene(clock, cloud, OneProcess(store, loop), plan, stage)
        await begin(scene.store.rollouts, Submission(plan=plan, word=ANA), clock.now_us())
        async with anyio.create_task_group() as tasks:
            scene.tasks = tasks
            await play(scene)
            tasks.cancel_scope.cancel()
        scene.ended = [job async for job in scene.store.jobs(JobFilter())]
        assert cloud.violations == []
        with loop.real():
            await store.close()
        return scene

    return on_virtual_time(main)


@pytest.mark.slow
@pytest.mark.timeout(60)
def test_a_rollout_runs_to_its_end_with_two_workers(tmp_path: Path) -> None:
    """Every pool is sent to once, in the order of the waves, and the bake is kept."""
    plan = planned(POOLS, waves=TWO_WAVES)

    async def play(scene: Scene) -> None:
        scene.worker()
        scene.worker()
        row = await scene.until()
        assert row.state is RolloutState.SUCCEEDED
        assert [wave.state for wave in row.waves] == [WaveState.PASSED] * 2
        assert row.waves[1].opened_us is not None
        assert row.waves[0].ended_us is not None
        assert row.waves[1].opened_us - row.waves[0].ended_us >= 60_000_000

    scene = played(tmp_path, plan, play)
    first = {row.pool_name for row in plan.rows if row.wave == "one"}
    assert set(scene.sends.values()) == {1}
    assert {pool for _, pool in scene.cloud.sends[:4]} == first


@pytest.mark.slow
@pytest.mark.timeout(60)
def test_a_failure_in_the_canary_pauses_the_rollout_by_name(tmp_path: Path) -> None:
    """Nothing after the canary is sent; a person resumes, and it goes on."""
    plan = planned(POOLS, waves=TWO_WAVES)
    bad = next(row.pool_name for row in plan.rows if row.wave == "one" and row.place == 1)

    async def play(scene: Scene) -> None:
        scene.worker()
        row = await scene.until(RolloutState.PAUSED)
        assert row.facts[STOPPED]["rule"] == "one tolerates 0"
        assert sum(scene.sends.values()) == 1
        await scene.order(OrderKind.RESUME)
        row = await scene.until()
        assert row.state is RolloutState.PARTIAL

    scene = played(tmp_path, plan, play, broken=frozenset({bad}))
    assert set(scene.sends.values()) == {1}


@pytest.mark.slow
def test_a_pool_that_left_the_fleet_is_skipped_and_breaks_nothing(tmp_path: Path) -> None:
    """Also in a canary that tolerates nothing: it is no failure, and nothing is sent to it."""
    plan = planned(6, waves=TWO_WAVES)
    left = {
        next(row.pool_name for row in plan.rows if row.wave == wave) for wave in ("one", "rest")
    }

    async def play(scene: Scene) -> None:
        scene.cloud.gone = frozenset(left)
        scene.worker()
        row = await scene.until()
        assert row.state is RolloutState.SUCCEEDED
        assert [wave.tally.skipped for wave in row.waves] == [1, 1]

    scene = played(tmp_path, plan, play)
    assert scene.sends.keys() == {row.pool_name for row in plan.rows} - left
    causes = {job.progress.cause for job in scene.ended if job.state is JobState.SKIPPED}
    assert causes == {"left-fleet"}


@pytest.mark.slow
@pytest.mark.timeout(60)
def test_a_pause_holds_every_worker_within_a_second_and_a_resume_goes_on(tmp_path: Path) -> None:
    """What is in flight ends; no other pool is sent to until somebody resumes."""
    plan = planned(POOLS)

    async def play(scene: Scene) -> None:
        scene.worker()
        scene.worker()
        await scene.clock.sleep(1.3)
        await scene.order(OrderKind.PAUSE)
        paused_at = scene.clock.monotonic()
        await scene.until(RolloutState.PAUSED)
        await scene.clock.sleep(60)
        late = [at for at, _ in scene.cloud.sends if at > paused_at + 1.0]
        assert late == []
        assert 0 < sum(scene.sends.values()) < POOLS
        await scene.order(OrderKind.RESUME)
        row = await scene.until()
        assert row.state is RolloutState.SUCCEEDED

    assert set(played(tmp_path, plan, play).sends.values()) == {1}


@pytest.mark.slow
@pytest.mark.timeout(60)
def test_a_stopped_line_holds_every_worker_within_a_second(tmp_path: Path) -> None:
    """Jobs of a rollout and of none: what is in flight ends, nothing else is sent."""
    plan = planned(POOLS)

    async def play(scene: Scene) -> None:
        lone = [a_request(f"lone-{number}", plugin="dns", version="2.0") for number in range(10)]
        await scene.store.enqueue(lone)
        scene.worker()
        scene.worker()
        await scene.clock.sleep(1.3)
        await scene.store.rollouts.order_line(ANA, stopped=True)
        stopped_at = scene.clock.monotonic()
        await scene.clock.sleep(120)
        assert [at for at, _ in scene.cloud.sends if at > stopped_at + 1.0] == []
        assert 0 < sum(scene.sends.values()) < POOLS
        counts = await scene.store.counts()
        assert not counts.keys() & HELD_STATES
        await scene.store.rollouts.order_line(ANA, stopped=False)
        assert (await scene.until()).state is RolloutState.SUCCEEDED
        while await scene.store.open_jobs():
            await scene.clock.sleep(1)

    assert set(played(tmp_path, plan, play).sends.values()) == {1}


@pytest.mark.slow
@pytest.mark.timeout(60)
def test_after_an_abort_nothing_more_is_sent(tmp_path: Path) -> None:
    """What was sent ends well, everything else is cancelled, and the rollout is aborted."""
    plan = planned(POOLS, budgets={"concurrency": 10})

    async def play(scene: Scene) -> None:
        scene.worker()
        await scene.clock.sleep(1.2)
        await scene.order(OrderKind.ABORT)
        aborted_at = scene.clock.monotonic()
        row = await scene.until()
        assert row.state is RolloutState.ABORTED
        assert [at for at, _ in scene.cloud.sends if at > aborted_at + 1.0] == []

    scene = played(tmp_path, plan, play)
    states = Counter(job.state for job in scene.ended)
    assert states[JobState.SUCCEEDED] == len(scene.sends)
    assert states[JobState.CANCELLED] == POOLS - len(scene.sends)


@pytest.mark.slow
@pytest.mark.timeout(60)
def test_an_approval_lets_the_next_wave_start(tmp_path: Path) -> None:
    """Until a person has approved, the wave behind the gate sends nothing."""
    waves = [{"name": "one", "pick": {"count": 3}, "after": [{"approval": {}}]}, REST]
    plan = planned(9, waves=waves)

    async def play(scene: Scene) -> None:
        scene.worker()
        await scene.clock.sleep(600)
        assert sum(scene.sends.values()) == 3
        assert (await scene.row()).state is RolloutState.WAITING
        await scene.order(OrderKind.APPROVE, wave=0)
        assert (await scene.until()).state is RolloutState.SUCCEEDED

    assert sum(played(tmp_path, plan, play).sends.values()) == 9


WRITES = frozenset({"advance", "record", "note"})
"""Calls of a worker after which something new is in the store."""


def written(folder: Path, plan: Plan, kill_at: int | None) -> tuple[int, Scene]:
    """Run the rollout, killing its worker after that many writes; return how many there were."""
    count = 0

    async def play(scene: Scene) -> None:
        worker = scene.worker()

        def heard(call: str) -> None:
            nonlocal count
            count += call in WRITES
            if count == kill_at and not worker.store.dead:
                worker.kill()
                scene.worker()

        worker.store.heard = heard
        row = await scene.until()
        assert row.state is RolloutState.SUCCEEDED
        assert [wave.tally.succeeded for wave in row.waves] == [4, len(plan.rows) - 4]

    scene = played(folder, plan, play)
    return count, scene


def assert_kills_change_nothing(tmp_path: Path, pools: int, step: int) -> None:
    """Kill after each *step*-th write in turn."""
    plan = planned(pools, waves=TWO_WAVES)
    (tmp_path / "calm").mkdir()
    writes, calm = written(tmp_path / "calm", plan, None)
    assert set(calm.sends.values()) == {1}
    for kill_at in range(1, writes, step):
        folder = tmp_path / str(kill_at)
        folder.mkdir()
        _, scene = written(folder, plan, kill_at)
        assert scene.sends == calm.sends, f"killed after write {kill_at}"


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_a_worker_killed_anywhere_changes_nothing(tmp_path: Path) -> None:
    """Whoever takes over goes on from what is stored: the same end, one send for each pool."""
    assert_kills_change_nothing(tmp_path, 6, 6)


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_a_worker_killed_after_every_single_write_changes_nothing(tmp_path: Path) -> None:
    """The same for 30 pools, after every write in turn."""
    assert_kills_change_nothing(tmp_path, POOLS, 1)
