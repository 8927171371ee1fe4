"""The rows of the sinks on every engine: changed under a lock, and kept."""

import anyio

from jobs.outbox import turns
from jobs.store.protocol import Store
from jobs.store.sinks import Delivery, SinkRow
from tests.builders import NOON_US

WHOLE = SinkRow(
    cursor="3-7",
    pending="3-9",
    raw=2,
    attempt=1,
    next_us=NOON_US,
    owner="a",
    lease_until_us=NOON_US + 1,
    stopped="why",
    delivered=5,
    log=(Delivery(at_us=NOON_US, id="msg_1", events=2, outcome="answered 500"),),
)


async def test_a_row_is_kept_as_it_was_written(store: Store, other: Store) -> None:
    """Another process reads the same."""
    await store.sinks.update("tickets", lambda _row, _now: (WHOLE, None))

    assert await other.sinks.all() == {"tickets": WHOLE}
    assert await other.sinks.update("tickets", lambda row, _now: (None, row)) == WHOLE


async def test_a_row_that_is_not_returned_is_not_written(store: Store) -> None:
    """A look changes nothing."""
    assert await store.sinks.update("tickets", lambda row, _now: (None, row)) is None
    assert await store.sinks.all() == {}


async def test_of_many_that_want_the_turn_one_gets_it(store: Store, other: Store) -> None:
    """Also when the row does not exist yet, and from two processes."""
    winners: list[str] = []

    async def want(place: Store, owner: str) -> None:
        def change(row: SinkRow | None, now_us: int) -> tuple[SinkRow | None, bool]:
            mine = turns.taken(turns.begun(row, "0-0"), owner, now_us, lease_s=60)
            return mine, mine is not None

        if await place.sinks.update("tickets", change):
            winners.append(owner)

    async with anyio.create_task_group() as tasks:
        for number in range(10):
            tasks.start_soon(want, store if number % 2 else other, f"owner-{number}")

    assert len(winners) == 1
