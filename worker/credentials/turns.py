"""The turns in which credentials are asked for: one limiter for each credential and origin.

Their rows are in the store, like those of every other request, so that all workers together
keep the limit.  These turns are not closed when a worker drains: a request on its way may
still need a token, and nothing else asks for one.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

from anyio.abc import TaskGroup
from yarl import URL

from jobs.clock import Clock
from jobs.outcomes import Answer
from jobs.pacing import Pace
from jobs.store.protocol import LimitStore
from worker.credentials.fetching import Passage
from worker.limiter import Kind, Limiter, Turn
from worker.modelarts.faults import GateClosed

NOBODY: Final = ""
"""Whose turn it is: no project's."""

AT_ONCE: Final = 4
"""Open requests for each credential and origin."""


class _Passage:
    """One turn, counted when it is used."""

    def __init__(self, turn: Turn, limiter: Limiter, counted: Callable[[], None]) -> None:
        self._turn = turn
        self._limiter = limiter
        self._counted = counted

    def __call__(self) -> None:
        """Let the request leave on time or not at all."""
        if not self._turn.use():
            raise GateClosed("the turn is over")
        self._counted()

    async def throttle(self, answer: Answer) -> None:
        """Learn from a 429."""
        await self._limiter.throttle(answer)


class Turns:
    """Gives turns; limiters begin with the first turn that is asked for."""

    def __init__(
        self,
        pace: Pace,
        *,
        store: LimitStore,
        clock: Clock,
        tasks: TaskGroup,
        counted: Callable[[], None],
    ) -> None:
        """Take what limiters are made of.

        Args:
            pace: How fast one credential may ask at one origin.
            store: Where the limits are.
            clock: Tells when a turn is over.
            tasks: Where the limiters run.
            counted: Called for each request that leaves.
        """
        self._pace = pace
        self._store = store
        self._clock = clock
        self._tasks = tasks
        self._counted = counted
        self._limiters: dict[str, Limiter] = {}

    @asynccontextmanager
    async def turn(self, who: str, origin: URL) -> AsyncIterator[Passage]:
        """Wait for the turn of the credential *who* at *origin*."""
        limiter = self._limiter(f"{who}|{origin}")
        async with limiter.turn(NOBODY, Kind.CHECK) as turn:
            await turn.wait()
            yield _Passage(turn, limiter, self._counted)

    def _limiter(self, key: str) -> Limiter:
        limiter = self._limiters.get(key)
        if limiter is None:
            limiter = self._limiters[key] = Limiter(
                key, self._pace, store=self._store, clock=self._clock, max_in_flight=AT_ONCE
            )
            self._tasks.start_soon(limiter.run, name=f"limiter {key}")
        return limiter
