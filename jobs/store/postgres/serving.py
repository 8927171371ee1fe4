"""Serve what writes results of workers, one transaction after the other.

A worker's results are numbered by what is there already, and only its own process writes them.
So moves of jobs, and advances of rollouts that cancel jobs, stand in one queue: a group of
moves is one transaction, each advance another one.
"""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import final

from jobs.model import Job
from jobs.store.moving import Call
from jobs.store.postgres.advancing import advance
from jobs.store.postgres.grouping import Grouped
from jobs.store.postgres.recording import record
from jobs.store.postgres.transactions import Transactions
from jobs.store.rollouts import Advance, RolloutRow

Outcome = Job | RolloutRow | Exception


@final
class Results:
    """The queue of one process."""

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions
        self._moves = transactions.in_groups(record)
        self._queue: Grouped[Call | Advance, Job | RolloutRow] = Grouped(self._serve)

    async def record(self, call: Call) -> Job:
        """Apply a move or a note; see `WorkStore.record`."""
        outcome = await self._queue.run(call)
        assert isinstance(outcome, Job)
        return outcome

    async def advance(self, change: Advance) -> RolloutRow:
        """Apply an advance; see `RolloutStore.advance`."""
        outcome = await self._queue.run(change)
        assert isinstance(outcome, RolloutRow)
        return outcome

    async def _serve(
        self, calls: Sequence[Call | Advance], begin: Callable[[], None]
    ) -> Sequence[Outcome]:
        advances = [call for call in calls if isinstance(call, Advance)]
        moves = [call for call in calls if not isinstance(call, Advance)]
        if not advances:
            return await self._moves(moves, begin)
        begin()
        told = iter(await self._moves(moves, begin)) if moves else iter(())
        done = iter([await self._outcome(partial(self._advance, change)) for change in advances])
        return [next(done if isinstance(call, Advance) else told) for call in calls]

    async def _advance(self, change: Advance) -> RolloutRow:
        return await self._transactions.run(partial(advance, change=change), shielded=True)

    @staticmethod
    async def _outcome(call: Callable[[], Awaitable[RolloutRow]]) -> RolloutRow | Exception:
        try:
            return await call()
        except Exception as error:  # noqa: BLE001 - it fails alone, and its caller hears of it
            return error
