"""A forecast is honest: it says what was run, and what is run for real lies inside it."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest

from jobs.clock import MICROSECONDS
from jobs.decide import Rules
from jobs.model import PluginSeen, PoolSeen
from jobs.pacing import Limit, Pace
from jobs.rollout_states import LIVE_ROLLOUTS, RolloutState
from jobs.rollouts.course import course_of
from jobs.rollouts.observed import Observed, Offer
from jobs.rollouts.plan import Plan
from jobs.rollouts.planning import make_plan
from jobs.store.rollouts import RolloutRow, Word
from jobs.store.sqlite import open_sqlite
from tests.engine.one_worker import USUAL, OneWorker, Stage
from tests.engine.simulated import SimulatedCloud
from tests.engine.virtual import EPOCH_US, OneProcess, VirtualClock, VirtualLoop, on_virtual_time
from tests.rehearsal.rehearsing import CAREFUL, around, capped, planned
from tests.rollouts.building import REST, TERMS, a_manifest
from worker.applying import Submission, begin
from worker.rehearsal.fates import Fates
from worker.rehearsal.forecast import RATES, Forecast, Wanted, forecast
from worker.rehearsal.one_run import Circumstances, run_once
from worker.simulator.options import SimulatorOptions

UPGRADE_S = (20.0, 60.0)


def ample() -> bool:
    """Time is never over."""
    return False


def after(runs: int) -> Callable[[], bool]:
    """Time is over after so many runs."""
    asked = 0

    def over() -> bool:
        nonlocal asked
        asked += 1
        return asked >= runs

    return over


@pytest.fixture(scope="module")
def found() -> Forecast:
    """Return a forecast of a small rollout."""
    plan = planned(20, **capped(2, waves=[{"name": "one", "pick": {"count": 2}}, REST]))
    return forecast(around(plan), Wanted(runs=4), over=ample)


def test_more_failures_make_an_end_less_likely(found: Forecast) -> None:
    """The curve has a point for every rate, and its chance to finish falls."""
    assert [one.rate for one in found.curve] == list(RATES)
    chances = [one.finishes for one in found.curve]
    assert chances == sorted(chances, reverse=True)
    assert (chances[0], chances[-1]) == (1.0, 0.0)
    assert all(one.most_broken <= 3 for one in found.curve)
    assert sum(found.curve[-1].stops.values()) == found.runs == 4


def test_the_finish_is_told_as_a_range(found: Forecast) -> None:
    """p10, p50 and p90 are instants in order, after the start."""
    finish = found.finish
    assert finish.p10_us is not None
    assert finish.p50_us is not None
    assert finish.p90_us is not None
    assert found.start_us < finish.p10_us <= finish.p50_us <= finish.p90_us
    assert 0 < finish.peak_calls <= 300
    assert not found.cut_short


def test_what_did_not_fit_into_the_time_is_not_made_up() -> None:
    """A forecast from three seeds says that it is one."""
    rates = len(RATES)
    found = forecast(around(planned(3)), Wanted(runs=50), over=after(3 * rates + 2))

    assert (found.runs, found.cut_short) == (3, True)
    assert found.as_dict()["seeds"] == [1, 3]
    assert [one.runs for one in found.curve] == [3] * rates


def test_the_finish_comes_first_when_there_is_hardly_any_time() -> None:
    """One run of a large fleet may take minutes: rates that were not run are not shown."""
    found = forecast(around(planned(3)), Wanted(runs=5, rate=0.02), over=after(2))

    assert [one.rate for one in found.curve] == [0.005, 0.02]
    assert (found.runs, found.left_out, found.cut_short) == (1, len(RATES) - 2, True)
    assert found.finish.p50_us is not None


def test_rules_that_cost_healthy_rollouts_are_warned_about() -> None:
    """So are rollouts that nothing would stop."""
    strict = planned(40, stop=[{"name": "none", "failures": 0}])
    loose = planned(6, stop=[])

    told = forecast(around(strict), Wanted(runs=3), over=ample).warnings()
    assert any("of rollouts whose true failure rate is only 2.0%" in one for one in told)
    told = forecast(around(loose), Wanted(runs=1), over=ample).warnings()
    assert any("true failure rate of 100% go to their end" in one for one in told)


def test_a_rollout_that_never_ends_has_no_finish() -> None:
    """No instant is invented for it."""
    freeze = {
        "name": "ever", "from": "2026-01-01T00:00", "until": "2036-01-01T00:00",
        "timeZone": "UTC",
    }  # fmt: skip
    found = forecast(around(planned(3, freezes=[freeze])), Wanted(runs=1), over=ample)

    assert found.finish.p50_us is None
    assert found.curve[0].finishes == 0.0


def seen_by(cloud: SimulatedCloud, **spec: Any) -> Plan:
    """Return the plan that upgrades every pool of a simulated cloud."""
    pools = []
    for project, pool in cloud.fleet.targets:
        read = cloud.truth(project, pool, "node-local-dns")
        assert read is not None
        plugin = PluginSeen(name="node-local-dns", version=read[0], phase="Running", inputs=read[1])
        pools.append(
            Observed(
                target=cloud.target(project, pool),
                pool=PoolSeen(name=pool, phase="Running", labels={}),
                plugin=plugin,
                looked=True,
                offers=(Offer(version="1.6.63"), Offer(version=read[0])),
            )
        )
    return make_plan(a_manifest("1.6.63", **spec), pools, TERMS)


MOVING = LIVE_ROLLOUTS - {RolloutState.PAUSED}


def run_by_the_engine(
    folder: Path, options: SimulatorOptions, **spec: Any
) -> tuple[Plan, RolloutRow, int]:
    """Run a rollout with the whole engine in the simulator; return how it ended, and calls."""

    async def main(loop: VirtualLoop, clock: VirtualClock) -> tuple[Plan, RolloutRow, int]:
        cloud = SimulatedCloud(options, clock)
        plan = seen_by(cloud, **spec)
        with loop.real():
            store = await open_sqlite(folder / "jobs.db", clock)
        stage = Stage(
            loop=loop, clock=clock, store=store, folder=folder / "results", limit=5, slots=256
        )
        mine = OneProcess(store, loop)
        begun = await begin(
            mine.rollouts, Submission(plan=plan, word=Word(by="ana")), clock.now_us()
        )
        worker = OneWorker(
            stage, cloud.spoken_to, Rules(rng=random.Random(1)), times=USUAL, until_empty=False
        )
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(worker.run)
            row = begun.row
            while row.state in MOVING:
                await clock.sleep(1.0)
                row = await mine.rollouts.rollout(plan.name)
            tasks.cancel_scope.cancel()
        calls = len(cloud.entries())
        with loop.real():
            await store.close()
        return plan, row, calls

    return on_virtual_time(main)


@pytest.mark.slow
@pytest.mark.timeout(60)
def test_the_real_thing_lies_inside_the_forecast(tmp_path: Path) -> None:
    """The whole engine, with store, limiter and workers, ends between p10 and p90."""
    options = SimulatorOptions(projects=1, pools=8, installed=1.0, seed=11, upgrade_s=UPGRADE_S)
    waves = [{"name": "one", "pick": {"count": 2}, "bake": "30s"}, REST]
    plan, row, calls = run_by_the_engine(tmp_path, options, waves=waves, budgets={"concurrency": 3})
    assert row.state is RolloutState.SUCCEEDED
    assert row.finished_us is not None
    took_s = (row.finished_us - EPOCH_US) / MICROSECONDS
    chance = random.Random(1)
    known = tuple(chance.uniform(*UPGRADE_S) for _ in range(200))
    circumstances = Circumstances(
        plan=plan,
        course=course_of(plan),
        rules=Rules(),
        pace=Pace(limit=Limit(count=5)),
        start_us=EPOCH_US,
    )
    endings = [
        run_once(circumstances, Fates(seed=seed, rate=0.0, successes_s=known))
        for seed in range(1, 41)
    ]

    took = sorted(one.took_s for one in endings)
    assert took[3] <= took_s <= took[36]
    # Beside the jobs the whole engine looks again at what it changed; a rehearsal does not.
    assert min(one.calls for one in endings) <= calls <= 1.2 * max(one.calls for one in endings)


BAD, HEALTHY = 0.08, 0.005
STOPS = {"canary tolerates 0", "cap", "evidence", "ratio"}


def assert_bad_versions_stop(pools: int, seeds: range) -> list[str]:
    """Run a version that fails on 8 % of the pools; return which rules stopped it."""
    plan = planned(pools, **CAREFUL)
    circumstances = around(plan)
    cap = pools * 5 // 100
    stops = []
    for seed in seeds:
        ending = run_once(circumstances, Fates(seed=seed, rate=BAD))
        assert ending.broken <= cap + 1, f"seed {seed}"
        assert ending.state is RolloutState.PAUSED, f"seed {seed}"
        assert ending.stopped_by in STOPS, f"seed {seed}"
        stops.append(ending.stopped_by)
    return stops


def healthy_that_finish(pools: int, seeds: range) -> int:
    """Run a version that fails on 0.5 % of the pools; return how many go to their end."""
    circumstances = around(planned(pools, **CAREFUL))
    endings = [run_once(circumstances, Fates(seed=seed, rate=HEALTHY)) for seed in seeds]
    return sum(one.finished for one in endings)


@pytest.mark.slow
def test_a_version_that_fails_on_8_percent_breaks_no_more_than_the_cap() -> None:
    """The careful preset stops it: in the canary, by evidence, by its ratio or by its cap."""
    assert_bad_versions_stop(200, range(1, 4))


@pytest.mark.slow
def test_a_healthy_version_finishes() -> None:
    """At 0.5 % of failures nothing stops it."""
    assert healthy_that_finish(100, range(1, 4)) == 3


@pytest.mark.soak
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("seed", range(1, 11))
def test_the_whole_engine_keeps_the_cap_too(tmp_path: Path, seed: int) -> None:
    """With store, limiter, client and simulator: broken <= cap + 1, as in a rehearsal."""
    options = SimulatorOptions(
        projects=1, pools=40, installed=1.0, seed=seed, upgrade_s=UPGRADE_S,
        bad_pools=0.5, fail_s=60.0,
    )  # fmt: skip
    stop = [{"name": "cap", "failures": 5}]

    _, row, _ = run_by_the_engine(tmp_path, options, stop=stop, budgets={"concurrency": seed * 4})

    assert row.state is RolloutState.PAUSED
    assert row.waves[0].tally.failed == 6


@pytest.mark.soak
@pytest.mark.timeout(7200)
def test_two_thousand_pools_two_hundred_seeds() -> None:
    """The promises above at the size they are made for: 200 of 200, and 190 of 200."""
    assert len(assert_bad_versions_stop(2000, range(1, 201))) == 200
    assert healthy_that_finish(2000, range(1, 201)) >= 190
