"""The size of a wave: lines cost a claim, an order and an opening nothing."""

import time
from statistics import median

import pytest

from jobs.model import JobRequest, RolloutId, Target, WorkerId
from jobs.rollout_states import RolloutEvent, WaveEvent
from jobs.store.protocol import Store
from jobs.store.rollouts import OrderKind, PlannedJob
from tests.builders import a_request
from tests.contract.rollout_steps import (
    PLAN,
    admit,
    advance,
    line,
    moves,
    new,
    order,
    row_of,
    tally,
    wave_moves,
)
from tests.contract.steps import all_is_well, claim

CHUNK = 5_000
LIKE = a_request()


def jobs_of(wave: int, first: int, count: int) -> list[PlannedJob]:
    """Return jobs of one wish on pools of their own, made cheaply."""
    return [
        PlannedJob(
            wave=wave,
            rank=rank,
            request=JobRequest(
                target=Target(project_id=f"project-{rank % 50}", pool_name=f"pool-{wave}-{rank}"),
                plugin=LIKE.plugin,
                fingerprint=LIKE.fingerprint,
                natural_key=LIKE.natural_key,
            ),
        )
        for rank in range(first, first + count)
    ]


async def a_large_one(store: Store, *sizes: int) -> tuple[RolloutId, float]:
    """Start a rollout in chunks; return it and how many seconds the writing took."""
    await store.rollouts.keep_plan(PLAN)
    rollout = (await store.rollouts.start_rollout(new(*sizes))).rollout
    took_s = 0.0
    for wave, size in enumerate(sizes):
        for first in range(0, size, CHUNK):
            chunk = jobs_of(wave, first, min(CHUNK, size - first))
            begun = time.perf_counter()
            await store.rollouts.plan_jobs(rollout, chunk)
            took_s += time.perf_counter() - begun
    return rollout, took_s


async def open_first(store: Store, rollout: RolloutId) -> None:
    """Open the first wave."""
    await advance(
        store,
        rollout,
        moves=moves(RolloutEvent.APPLIED, RolloutEvent.OPENED),
        waves=wave_moves(0, WaveEvent.REACHED, WaveEvent.OPENED),
    )


@pytest.mark.slow
async def test_an_order_about_many_jobs_touches_none(store: Store, worker: WorkerId) -> None:
    """A wave is opened, paused and resumed by its own rows: no job has anything new to tell."""
    rollout, _ = await a_large_one(store, 600)
    before = [await store.history(job) for job in await line(store, rollout)]
    await open_first(store, rollout)
    await order(store, rollout, OrderKind.PAUSE)
    await order(store, rollout, OrderKind.RESUME)
    await order(store, rollout, OrderKind.ABORT)

    assert [await store.history(job) for job in await line(store, rollout)] == before
    assert len(before) == 600


@pytest.mark.slow
async def test_a_long_line_is_cancelled_in_steps(store: Store, worker: WorkerId) -> None:
    """A thousand at most in one step, each counted and told once."""
    rollout, _ = await a_large_one(store, 700, 700)
    await order(store, rollout, OrderKind.ABORT)
    for left in (400, 0):
        await advance(store, rollout, cancel=1000, worker=worker)
        assert len(await line(store, rollout)) == left

    assert (await tally(store, rollout, 0)).cancelled == 700
    assert (await tally(store, rollout, 1)).cancelled == 700
    assert len(await store.results_after(worker, 0)) == 1400
    await all_is_well(store)


async def timed(store: Store, worker: WorkerId, rollout: RolloutId) -> dict[str, float]:
    """Return the median milliseconds of what is done to a rollout that runs."""
    took: dict[str, list[float]] = {}

    async def measure(name: str, call: object) -> None:
        begun = time.perf_counter()
        await call  # type: ignore[misc]  # a coroutine of any kind
        took.setdefault(name, []).append((time.perf_counter() - begun) * 1000)

    for _ in range(15):
        await measure("admit 10", admit(store, rollout, 10))
        await measure("claim 10", claim(store, worker, 10))
        await measure("pause", order(store, rollout, OrderKind.PAUSE))
        await measure("resume", order(store, rollout, OrderKind.RESUME))
        await measure("look", store.rollouts.live_revisions())
        await measure("row", row_of(store, rollout))
    return {name: round(median(each), 2) for name, each in took.items()}


@pytest.mark.soak
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("size", [1_000, 100_000, 1_000_000])
async def test_what_a_line_costs(store: Store, worker: WorkerId, size: int) -> None:
    """Ten jobs in and out cost the same before a thousand and before a million.

    The bounds are those of a hang, not of speed; the figures are printed.
    """
    rollout, wrote_s = await a_large_one(store, size)
    begun = time.perf_counter()
    await open_first(store, rollout)
    opened_ms = (time.perf_counter() - begun) * 1000
    figures = await timed(store, worker, rollout)

    print(f"\n{size} jobs written in {wrote_s:.1f} s, opened in {opened_ms:.1f} ms, {figures}")  # noqa: T201 - the figures are what it is for
    assert opened_ms < 1000
    assert max(figures.values()) < 1000
