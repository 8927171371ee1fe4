"""How the parts of a store have their calls run: by the one writer of the file."""

from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

from jobs.store.sqlite.transaction import Transaction

T = TypeVar("T")


class Write(Protocol):
    """Runs a call in the writer."""

    def __call__(self, work: Callable[[Transaction], T], /) -> Awaitable[T]:
        """Run *work* in the next group; its value comes once it is on the disk."""
        ...
