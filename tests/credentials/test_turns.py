"""Tokens are asked for in turn: one limit for each credential and origin, in the store."""

from pathlib import Path

import anyio
import pytest
from yarl import URL

from jobs.clock import SystemClock
from jobs.outcomes import Answer, Outcome
from jobs.pacing import Limit, Pace
from jobs.store.sqlite import open_sqlite
from worker.credentials.turns import Turns
from worker.modelarts.faults import GateClosed

IAM = URL("https://iam.example")


@pytest.mark.slow
async def test_turns_keep_the_limit_and_are_counted(tmp_path: Path) -> None:
    """Ten requests at twenty a second take half a second, whoever makes them."""
    clock = SystemClock()
    left: list[float] = []
    counted: list[int] = []
    store = await open_sqlite(tmp_path / "s.db", clock)
    try:
        async with anyio.create_task_group() as tasks:
            turns = Turns(
                Pace(limit=Limit(count=20), jitter_s=0.0),
                store=store,
                clock=clock,
                tasks=tasks,
                counted=lambda: counted.append(1),
            )

            async def ask() -> None:
                while True:
                    try:
                        async with turns.turn("ak-1", IAM) as passage:
                            passage()
                    except GateClosed:
                        continue
                    left.append(clock.monotonic())
                    return

            async with anyio.create_task_group() as asking:
                for _ in range(10):
                    asking.start_soon(ask)
            tasks.cancel_scope.cancel()
    finally:
        await store.close()

    assert len(counted) == 10
    assert left[-1] - left[0] >= 9 / 20 - 0.02


@pytest.mark.slow
async def test_another_credential_or_origin_has_a_limit_of_its_own(tmp_path: Path) -> None:
    """What one account may ask does not hold another one up; a 429 slows its own down."""
    clock = SystemClock()
    store = await open_sqlite(tmp_path / "s.db", clock)
    try:
        async with anyio.create_task_group() as tasks:
            pace = Pace(limit=Limit(count=100), jitter_s=0.0)
            turns = Turns(pace, store=store, clock=clock, tasks=tasks, counted=lambda: None)
            async with turns.turn("ak-1", IAM) as passage:
                limit = Limit(count=1, window_s=60.0)
                throttled = Answer(outcome=Outcome.THROTTLED, sent=True, limit=limit)
                await passage.throttle(throttled)
            with anyio.move_on_after(0.3) as slowed:
                async with turns.turn("ak-1", IAM):
                    pass
            with anyio.fail_after(5):
                async with turns.turn("ak-2", IAM):
                    pass
                async with turns.turn("ak-1", URL("https://other.example")):
                    pass
            tasks.cancel_scope.cancel()
    finally:
        await store.close()

    assert slowed.cancelled_caught
