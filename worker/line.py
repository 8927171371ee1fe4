"""The requests that wait for a turn: whose is next, and how each is told.

Turns go round over the projects, by weight.  Within a project looks take turns with everything
else, and every fifth turn of all is a look's while any wait, so that a flood of sends cannot
blind the watch.  A send goes before a check, so that what was read before it stays fresh.
"""

import asyncio
import heapq
from collections import deque
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Generic, TypeVar

from jobs.fairness import DEFAULT_WEIGHT, NO_WEIGHTS, Turns, Weights

T = TypeVar("T")

OTHERS_BETWEEN_LOOKS: Final = 4
"""After so many other turns the next one is a look's, of whatever project: every fifth turn is
kept for looks while any wait, so that no flood of sends blinds the watch."""


class Closed(Exception):  # noqa: N818 - it is an answer, not an error
    """The worker drains: no new request may start."""


class Kind(StrEnum):
    """What a request is for; decides who goes first within a project."""

    LOOK = "look"
    SEND = "send"
    CHECK = "check"


class Bell:
    """Wakes the one task that waits for it; rung before the wait, it ends the wait at once.

    A tenth of an event's cost: there is one for each loop below, not one for each wait.
    """

    __slots__ = ("_rung", "_sleeper")

    def __init__(self) -> None:
        self._rung = False
        self._sleeper: asyncio.Future[None] | None = None

    def ring(self) -> None:
        """Wake the waiting task, or let its next wait end at once."""
        if self._rung:
            return  # whoever waits has been woken already
        self._rung = True
        if self._sleeper is not None and not self._sleeper.done():
            self._sleeper.set_result(None)

    async def wait(self) -> None:
        """Wait until it is rung."""
        if not self._rung:
            self._sleeper = asyncio.get_running_loop().create_future()
            try:
                await self._sleeper
            finally:
                self._sleeper = None
        self._rung = False


class Waiting(Generic[T]):
    """One request in line; its answer is what it waits for, or None: refused."""

    __slots__ = ("_answered", "_told", "answer", "kind", "project")

    def __init__(self, project: str, kind: Kind) -> None:
        self.project = project
        self.kind = kind
        self.answer: T | None = None
        self._answered = False
        self._told: asyncio.Future[None] | None = None

    async def wait(self) -> None:
        """Wait until it is told, which it has not been yet."""
        self._told = asyncio.get_running_loop().create_future()
        await self._told

    def tell(self, answer: T | None) -> None:
        """Let it go on."""
        self.answer = answer
        self._answered = True
        if self._told is not None and not self._told.done():
            self._told.set_result(None)

    @property
    def is_refused(self) -> bool:
        """Whether it was told that it gets nothing."""
        return self._answered and self.answer is None


@dataclass(slots=True)
class Line(Generic[T]):
    """The requests of one project: looks on one side, sends before checks on the other."""

    looks: deque[Waiting[T]] = field(default_factory=deque)
    sends: deque[Waiting[T]] = field(default_factory=deque)
    checks: deque[Waiting[T]] = field(default_factory=deque)
    look_next: bool = True

    def __len__(self) -> int:
        return len(self.looks) + len(self.sends) + len(self.checks)

    def queue(self, kind: Kind) -> deque[Waiting[T]]:
        """Return where requests of that kind wait."""
        match kind:
            case Kind.LOOK:
                return self.looks
            case Kind.SEND:
                return self.sends
            case Kind.CHECK:
                return self.checks

    def pop(self) -> Waiting[T]:
        """Take the request whose turn it is."""
        others = self.sends or self.checks
        if self.looks and (self.look_next or not others):
            self.look_next = False
            return self.looks.popleft()
        self.look_next = True
        return others.popleft()


class Lines(Generic[T]):
    """All requests that wait, by project."""

    def __init__(self, weights: Weights = NO_WEIGHTS) -> None:
        """Take the weights of projects that have one other than 1."""
        self._weights = weights
        self._lines: dict[str, Line[T]] = {}
        self._turns: Turns[str] = Turns()
        self._row: list[tuple[float, int, str]] = []
        self._looking: dict[str, None] = {}
        self._others = 0
        self._number = 0
        self.waiting = 0
        """How many wait; the hot path asks this often."""

    def __len__(self) -> int:
        return self.waiting

    def add(self, one: Waiting[T]) -> None:
        """Put a request in line."""
        line = self._lines.get(one.project)
        if line is None:
            line = self._lines[one.project] = Line()
            self._stand(one.project, self._turns.start(one.project))
        line.queue(one.kind).append(one)
        if one.kind is Kind.LOOK:
            self._looking[one.project] = None
        self.waiting += 1

    def remove(self, one: Waiting[T]) -> None:
        """Take a request out that has gone."""
        self._lines[one.project].queue(one.kind).remove(one)
        self.waiting -= 1

    def next(self, project: str | None) -> Waiting[T] | None:
        """Take the request whose turn it is, of *project* or of any."""
        in_turn = False
        if project is None:
            project = self._reserved()
            in_turn = not project
            project = project or self._first()
        line = self._lines.get(project)
        if line is None or not len(line):
            return None
        if self._others >= OTHERS_BETWEEN_LOOKS:
            line.look_next = True
        one = line.pop()
        self._others = 0 if one.kind is Kind.LOOK else self._others + 1
        self.waiting -= 1
        if not line.looks:
            self._looking.pop(project, None)
        weight = self._weights.get(project, DEFAULT_WEIGHT)
        self._turns.serve(project, weight, in_turn=in_turn)
        return one

    def by_project(self) -> dict[str, int]:
        """Return how many wait of each project, in the order of their turn."""
        waiting = [project for project, line in self._lines.items() if len(line)]
        self._turns.wait(waiting)
        waiting.sort(key=self._turns.start)
        return {project: len(self._lines[project]) for project in waiting}

    def _stand(self, project: str, start: float) -> None:
        self._number += 1
        heapq.heappush(self._row, (start, self._number, project))

    def _first(self) -> str:
        """Return whose turn it is; a place in the row is moved on when it is come to."""
        while self._row:
            start, _, project = self._row[0]
            if not len(self._lines[project]):
                heapq.heappop(self._row)
                del self._lines[project]
                continue
            due = self._turns.start(project)
            if due <= start:
                return project
            heapq.heappop(self._row)
            self._stand(project, due)
        return ""

    def _reserved(self) -> str:
        """Return whose look gets the turn that is kept for looks; empty when none is due."""
        if self._others < OTHERS_BETWEEN_LOOKS:
            return ""
        for project in list(self._looking):
            del self._looking[project]
            line = self._lines.get(project)
            if line is not None and line.looks:
                self._looking[project] = None  # to the end of the row
                return project
        return ""
