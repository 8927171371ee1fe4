"""The results that this process has just recorded, so that telling them needs no question.

A worker reports each job that ended.  The store has told it the job when the change was
recorded; reading it again, by a join over five tables in another thread, costs as much as
recording did.  What is remembered is given out only as far as it follows, without a gap,
what was reported; everything else is left to the store.
"""

from collections import deque
from collections.abc import Sequence
from typing import Final

from jobs.model import Job, WorkerId
from jobs.store.protocol import Result

MOST: Final = 10_000
"""Results of one worker that are remembered; more only come when nobody reports them."""


class RecentResults:
    """Results by worker, in the order of their numbers."""

    def __init__(self) -> None:
        self._names: dict[WorkerId, str] = {}
        self._rows: dict[WorkerId, deque[Result]] = {}

    def registered(self, worker: WorkerId, name: str) -> None:
        """Remember results of this worker from now on."""
        self._names[worker] = name
        self._rows[worker] = deque()

    def left(self, worker: WorkerId) -> None:
        """Forget the worker."""
        self._names.pop(worker, None)
        self._rows.pop(worker, None)

    def ended(self, worker: WorkerId, seq: int, job: Job) -> None:
        """Remember a result that has been committed."""
        rows = self._rows.get(worker)
        if rows is None:
            return
        if len(rows) >= MOST:
            rows.clear()
        rows.append(Result(seq=seq, job=job, worker_name=self._names[worker]))

    def after(self, worker: WorkerId, seq: int) -> Sequence[Result]:
        """Return the results that follow *seq* without a gap; when empty, ask the store."""
        rows = self._rows.get(worker)
        if rows is None:
            return ()
        while rows and rows[0].seq <= seq:
            rows.popleft()
        found: list[Result] = []
        for row in rows:
            if row.seq != seq + 1 + len(found):
                break
            found.append(row)
        return found
