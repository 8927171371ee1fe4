"""Many waits at a time, a bounded number of them, their results in the order of the questions."""

from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

import anyio

Q = TypeVar("Q")
A = TypeVar("A")


async def in_order(
    questions: Iterable[Q], answer: Callable[[Q], Awaitable[A]], at_once: int
) -> list[A]:
    """Return the answer of each question, with at most *at_once* of them waited for at a time.

    The first exception cancels the others and is raised by itself, or in a group when there
    are several.
    """
    left = iter(list(enumerate(questions)))
    found: dict[int, A] = {}

    async def take() -> None:
        for number, question in left:  # shared: each question is taken once
            found[number] = await answer(question)

    async with anyio.create_task_group() as tasks:
        for _ in range(at_once):
            tasks.start_soon(take)
    return [found[number] for number in sorted(found)]
