"""Group commit: whoever comes first works for all who wait, and each gets its own answer."""

from collections.abc import Callable, Sequence
from functools import partial

import anyio
import anyio.lowlevel
import pytest

from jobs.errors import StoreError
from jobs.store.postgres.grouping import Grouped


class Desk:
    """Serves groups of numbers, each when it is told to."""

    def __init__(self) -> None:
        self.groups: list[list[int]] = []
        self.open = anyio.Event()
        self.open.set()
        self.begins = True

    async def serve(
        self, calls: Sequence[int], begin: Callable[[], None]
    ) -> Sequence[str | Exception]:
        if self.begins:
            begin()
        self.groups.append(list(calls))
        await self.open.wait()
        return [ValueError(str(call)) if call < 0 else f"{call}!" for call in calls]


async def ask(queue: Grouped[int, str], call: int, answers: dict[int, object]) -> None:
    """Make a call and note what comes back."""
    try:
        answers[call] = await queue.run(call)
    except (ValueError, StoreError) as error:
        answers[call] = type(error)


async def test_calls_of_one_instant_are_one_group() -> None:
    """A hundred callers cost one transaction, and each gets what is its own."""
    desk = Desk()
    queue: Grouped[int, str] = Grouped(desk.serve)
    answers: dict[int, object] = {}

    async with anyio.create_task_group() as group:
        for call in range(100):
            group.start_soon(ask, queue, call, answers)

    assert desk.groups == [list(range(100))]
    assert answers == {call: f"{call}!" for call in range(100)}


async def test_while_one_group_commits_the_next_gathers() -> None:
    """Who comes during a commit waits for the next one, in order of arrival."""
    desk = Desk()
    desk.open = anyio.Event()
    queue: Grouped[int, str] = Grouped(desk.serve)
    answers: dict[int, object] = {}

    async with anyio.create_task_group() as group:
        for call in range(3):
            group.start_soon(ask, queue, call, answers)
        await anyio.wait_all_tasks_blocked()
        for call in range(3, 6):
            group.start_soon(ask, queue, call, answers)
        await anyio.wait_all_tasks_blocked()
        desk.open.set()

    assert desk.groups == [[0, 1, 2], [3, 4, 5]]
    assert len(answers) == 6


async def test_a_group_has_a_limit() -> None:
    """Heavy calls are split over groups; one that is heavier than the limit goes alone."""
    desk = Desk()
    queue: Grouped[int, str] = Grouped(desk.serve, most=10)

    async with anyio.create_task_group() as group:
        for weight in (4, 4, 4, 50, 1):
            group.start_soon(partial(queue.run, weight, weight=weight))

    assert desk.groups == [[4, 4], [4], [50], [1]]


async def test_a_call_that_fails_fails_alone() -> None:
    """One caller's error is not the others'."""
    desk = Desk()
    queue: Grouped[int, str] = Grouped(desk.serve)
    answers: dict[int, object] = {}

    async with anyio.create_task_group() as group:
        for call in (1, -2, 3):
            group.start_soon(ask, queue, call, answers)

    assert answers == {1: "1!", -2: ValueError, 3: "3!"}


async def test_a_failed_group_is_everyones_failure() -> None:
    """When the transaction itself fails, each of its callers hears it, and the queue goes on."""

    async def fail(calls: Sequence[int], begin: Callable[[], None]) -> Sequence[str]:
        if calls == [1, 2]:
            raise StoreError("the server is away")
        return [f"{call}!" for call in calls]

    queue: Grouped[int, str] = Grouped(fail)
    answers: dict[int, object] = {}
    async with anyio.create_task_group() as group:
        for call in (1, 2):
            group.start_soon(ask, queue, call, answers)
    await ask(queue, 3, answers)

    assert answers == {1: StoreError, 2: StoreError, 3: "3!"}


@pytest.mark.parametrize("leaves", [0, 1, 2, 3, 4])
async def test_whoever_goes_away_the_others_are_served(leaves: int) -> None:
    """A cancelled leader or waiter hands its duty on; nobody waits for ever."""
    desk = Desk()
    desk.open = anyio.Event()
    desk.begins = False
    queue: Grouped[int, str] = Grouped(desk.serve)
    answers: dict[int, object] = {}
    scopes = [anyio.CancelScope() for _ in range(5)]

    async def call_in(scope: anyio.CancelScope, call: int) -> None:
        with scope:
            await ask(queue, call, answers)

    with anyio.fail_after(2):
        async with anyio.create_task_group() as group:
            for call in range(2):
                group.start_soon(call_in, scopes[call], call)
            await anyio.wait_all_tasks_blocked()
            for call in range(2, 5):
                group.start_soon(call_in, scopes[call], call)
            await anyio.wait_all_tasks_blocked()
            scopes[leaves].cancel()
            await anyio.wait_all_tasks_blocked()
            desk.open.set()

    assert {call: f"{call}!" for call in range(5) if call != leaves} == {
        call: answer for call, answer in answers.items() if call != leaves
    }


async def test_a_leader_cancelled_in_the_middle_tells_the_others_that_nobody_knows() -> None:
    """Once a group has begun to write, its callers are not served a second time by mistake."""
    desk = Desk()
    desk.open = anyio.Event()
    queue: Grouped[int, str] = Grouped(desk.serve)
    answers: dict[int, object] = {}
    scope = anyio.CancelScope()

    async def lead() -> None:
        with scope:
            await ask(queue, 1, answers)

    with anyio.fail_after(2):
        async with anyio.create_task_group() as group:
            group.start_soon(lead)
            group.start_soon(ask, queue, 2, answers)
            await anyio.wait_all_tasks_blocked()
            scope.cancel()
            await anyio.wait_all_tasks_blocked()
        desk.open.set()
        await ask(queue, 3, answers)

    assert desk.groups == [[1, 2], [3]]
    assert answers == {2: StoreError, 3: "3!"}
