"""The limiter's rows: shared by everybody, changed by one at a time."""

from collections.abc import Mapping

import anyio
import pytest

from jobs.pacing import Bucket
from jobs.store.protocol import Store
from tests.builders import NOON_US

Rows = Mapping[str, Bucket]


def take_slot(rows: Rows, now_us: int) -> tuple[Rows, int]:
    """Take the next free microsecond of the key ``k``."""
    at_us = max(rows.get("k", Bucket()).next_us, now_us)
    return {"k": Bucket(next_us=at_us + 1)}, at_us


async def test_no_slot_is_given_twice(store: Store, other: Store) -> None:
    """Many workers in two processes that reserve at once all get different slots."""
    slots: list[int] = []

    async def reserve(target: Store) -> None:
        for _ in range(20):
            slots.append(await target.update_buckets(["k"], take_slot))  # noqa: PERF401 - each is awaited

    async with anyio.create_task_group() as group:
        for number in range(10):
            group.start_soon(reserve, other if number % 2 else store)

    assert sorted(slots) == list(range(NOON_US, NOON_US + 200))


async def test_a_change_sees_only_the_rows_it_asked_for(store: Store) -> None:
    """A row that does not exist is left out; the time is the store's."""
    await store.update_buckets([], lambda _rows, _now: ({"a": Bucket(next_us=1)}, None))
    seen = await store.update_buckets(["a", "b"], lambda rows, now: ({}, (dict(rows), now)))

    assert seen == ({"a": Bucket(next_us=1)}, NOON_US)


async def test_a_change_that_fails_changes_nothing(store: Store) -> None:
    """An error in the middle leaves every row as it was and reaches the caller."""
    await store.update_buckets(["k"], take_slot)
    before = await store.buckets()

    def fail(rows: Rows, now_us: int) -> tuple[Rows, None]:
        raise LookupError("test")

    with pytest.raises(LookupError):
        await store.update_buckets(["k"], fail)

    assert await store.buckets() == before
