"""The jobs in a worker's hands: a heap of what is due when, and nothing more per job.

A job that waits for its next look is an entry here, not a sleeping task, so that ten
thousand watched pools cost ten thousand small tuples.
"""

import heapq
from collections import Counter
from collections.abc import Iterator

from jobs.model import JobId
from jobs.states import JobState
from worker.executor import Held


class Hand:
    """Who is held, who is being worked on, and who is due next."""

    def __init__(self) -> None:
        self._held: dict[JobId, Held] = {}
        self._busy: set[JobId] = set()
        self._due: list[tuple[int, int, JobId]] = []
        self._turn = 0
        self._states: Counter[JobState] = Counter()

    def __len__(self) -> int:
        return len(self._held)

    def __iter__(self) -> Iterator[Held]:
        return iter(self._held.values())

    @property
    def busy(self) -> int:
        """How many are being worked on at this moment."""
        return len(self._busy)

    def count(self, state: JobState) -> int:
        """How many are in *state*."""
        return self._states[state]

    def put(self, held: Held) -> None:
        """Hold the job until its move is due; it is no longer being worked on."""
        job = held.job.id
        before = self._held.get(job)
        if before is not None:
            self._states[before.job.state] -= 1
        self._states[held.job.state] += 1
        self._held[job] = held
        self._busy.discard(job)
        self._turn += 1  # equal instants keep their order
        heapq.heappush(self._due, (held.move.at_us, self._turn, job))

    def go_on(self, held: Held) -> None:
        """Keep the job in its new place while it is still being worked on."""
        job = held.job.id
        self._states[self._held[job].job.state] -= 1
        self._states[held.job.state] += 1
        self._held[job] = held

    def drop(self, job: JobId) -> None:
        """Let go of the job."""
        held = self._held.pop(job, None)
        if held is not None:
            self._states[held.job.state] -= 1
        self._busy.discard(job)

    def take_due(self, now_us: int) -> list[Held]:
        """Return what is due; it counts as being worked on from now on."""
        due: list[Held] = []
        while (held := self.take_one_due(now_us)) is not None:
            due.append(held)
        return due

    def take_one_due(self, now_us: int) -> Held | None:
        """Return what is due first, if anything is; it counts as being worked on from now on."""
        while self._due and self._due[0][0] <= now_us:
            _, _, job = heapq.heappop(self._due)
            held = self._held.get(job)
            if held is not None and job not in self._busy:
                self._busy.add(job)
                return held
        return None

    def take_idle(self) -> list[Held]:
        """Return everything nobody works on, and let go of it."""
        idle = [held for job, held in self._held.items() if job not in self._busy]
        for held in idle:
            self.drop(held.job.id)
        return idle

    def next_due_us(self) -> int | None:
        """Return when the next one is due."""
        return self._due[0][0] if self._due else None
