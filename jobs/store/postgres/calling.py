"""How the parts of a store have their calls run: transactions, questions, and neither too late."""

from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

from jobs.store.postgres.questions import Question
from jobs.store.postgres.transactions import Work

T = TypeVar("T")


class Write(Protocol):
    """Runs a call in a transaction."""

    def __call__(self, work: Work[T], /) -> Awaitable[T]:
        """Run *work*; its value comes once it is on the disk."""
        ...


class Read(Protocol):
    """Asks a question."""

    def __call__(self, question: Question[T], /, *, snapshot: bool = False) -> Awaitable[T]:
        """Return the answer; with *snapshot* all its statements see the same instant."""
        ...


class InTime(Protocol):
    """Makes a call so that closing waits for it."""

    def __call__(self, call: Callable[[], Awaitable[T]], /) -> Awaitable[T]:
        """Make the call, unless the store is closed."""
        ...
