"""What parts of a job cost: CPU of this process with all its threads, by the part's name."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

CALLERS: Final = "callers"
"""What it costs to ask a store that does nothing; no part of any store."""


class Parts:
    """The figures so far, in seconds."""

    def __init__(self) -> None:
        self._spent_s: dict[str, float] = {}

    @contextmanager
    def of(self, name: str) -> Iterator[None]:
        """Add what is done inside to the part of that name."""
        begun = time.process_time()
        yield
        self._spent_s[name] = self._spent_s.get(name, 0.0) + time.process_time() - begun

    def us(self, jobs: int) -> dict[str, float]:
        """Return microseconds a job by part."""
        return {name: spent_s / jobs * 1e6 for name, spent_s in self._spent_s.items()}

    def store_us(self, jobs: int) -> float:
        """Return what the store costs a job: everything but the callers, whom each move has."""
        told = self.us(jobs)
        return sum(told.values()) - 2 * told.get(CALLERS, 0.0)
