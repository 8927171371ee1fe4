"""The rollout's row is the barrier between an order and the intents to send."""

import anyio
import asyncpg  # type: ignore[import-untyped]  # it ships no types
import pytest

from jobs.errors import RolloutHeldError
from jobs.model import WorkerId
from jobs.states import JobEvent, JobState
from jobs.store.postgres import PostgresStore
from jobs.store.rollouts import OrderKind
from tests.contract.rollout_steps import in_hand, order, running
from tests.contract.steps import move, state_of
from tests.postgres.steps import admin

_WAITERS = """
SELECT count(*) FROM pg_stat_activity
 WHERE datname = current_database() AND wait_event_type = 'Lock'
"""


async def until_somebody_waits(connection: asyncpg.Connection) -> None:
    """Return once a transaction waits for a lock."""
    with anyio.fail_after(10):
        while not await connection.fetchval(_WAITERS):
            await anyio.lowlevel.checkpoint()


async def test_an_intent_waits_for_an_order_under_way(
    store: PostgresStore, worker: WorkerId, dsn: str
) -> None:
    """Once the order is committed, the intent is refused: nobody decides by what was before."""
    rollout = await running(store, 1)
    [lease] = await in_hand(store, worker, rollout)
    heard: list[str] = []

    async def intend() -> None:
        with pytest.raises(RolloutHeldError):
            await move(store, lease, JobEvent.INTENDED)
        heard.append("refused")

    async with admin(dsn) as person:
        transaction = person.transaction()
        await transaction.start()
        await person.execute("UPDATE plugwave.rollouts SET state = 'pausing'")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(intend)
            async with admin(dsn) as other:
                await until_somebody_waits(other)
            assert heard == []
            await transaction.commit()

    assert heard == ["refused"]
    assert await state_of(store, lease.job) is JobState.CHECKING


async def test_an_order_waits_for_an_intent_under_way(
    store: PostgresStore, worker: WorkerId, dsn: str
) -> None:
    """It answers only when no intent that it did not see can still be committed."""
    rollout = await running(store, 1)
    answered: list[str] = []

    async def pause() -> None:
        answered.append((await order(store, rollout, OrderKind.PAUSE)).row.state)

    async with admin(dsn) as sender:
        transaction = sender.transaction()
        await transaction.start()
        await sender.execute("SELECT state FROM plugwave.rollouts FOR SHARE")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(pause)
            async with admin(dsn) as other:
                await until_somebody_waits(other)
            assert answered == []
            await transaction.commit()

    assert answered == ["pausing"]
