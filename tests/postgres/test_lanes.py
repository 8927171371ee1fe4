"""Large calls go side by side, small ones together."""

from collections.abc import Callable, Sequence
from typing import Any

import anyio
import pytest

from jobs.store.postgres.intake import Batch
from jobs.store.postgres.lanes import LARGE, Lanes


class Desk:
    """Serves groups of calls once its door is opened."""

    def __init__(self) -> None:
        self.groups: list[int] = []
        self.door = anyio.Event()

    async def serve(
        self, calls: Sequence[Batch], begin: Callable[[], None]
    ) -> Sequence[list[Any] | Exception]:
        """Note how many calls come together."""
        begin()
        self.groups.append(len(calls))
        await self.door.wait()
        return [[] for _ in calls]


@pytest.mark.parametrize(
    ("requests", "at_once"), [(LARGE, [1, 1]), (LARGE - 1, [1])], ids=["large", "small"]
)
async def test_two_large_calls_are_in_hand_at_once_and_small_ones_gather(
    requests: int, at_once: list[int]
) -> None:
    """The server works for one while the other is prepared; small calls share a transaction."""
    desk = Desk()
    lanes = Lanes(desk.serve)
    wanted: Any = [None] * requests

    async with anyio.create_task_group() as group:
        group.start_soon(lanes.enqueue, Batch(wanted, None))
        await anyio.wait_all_tasks_blocked()
        group.start_soon(lanes.enqueue, Batch(wanted, None))
        group.start_soon(lanes.enqueue, Batch(wanted, None))
        await anyio.wait_all_tasks_blocked()
        assert desk.groups == at_once
        desk.door.set()

    assert sum(desk.groups) == 3
