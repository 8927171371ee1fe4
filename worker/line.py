"""The requests that wait for a turn: whose is next, and how each is told.

Turns go round over the projects; within a project looks take turns with everything else, so
that a flood of sends cannot blind the watch, and a send goes before a check, so that what
was read before it stays fresh.
"""

import asyncio
from collections import deque
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Generic, TypeVar

T = TypeVar("T")


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
        """Wait until it is told."""
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

    def __init__(self) -> None:
        self._lines: dict[str, Line[T]] = {}
        self._waiting = 0

    def __len__(self) -> int:
        """How many wait."""
        return self._waiting

    def add(self, one: Waiting[T]) -> None:
        """Put a request in line."""
        self._lines.setdefault(one.project, Line()).queue(one.kind).append(one)
        self._waiting += 1

    def remove(self, one: Waiting[T]) -> None:
        """Take a request out that has gone."""
        self._lines[one.project].queue(one.kind).remove(one)
        self._waiting -= 1

    def next(self, project: str | None) -> Waiting[T] | None:
        """Take the request whose turn it is, of *project* or of any.

        The project that is served goes to the end of the row.
        """
        if project is None:
            project = next((name for name, line in self._lines.items() if len(line)), "")
        line = self._lines.get(project)
        if line is None or not len(line):
            return None
        one = line.pop()
        self._waiting -= 1
        del self._lines[project]
        if len(line):
            self._lines[project] = line
        return one

    def by_project(self) -> dict[str, int]:
        """Return how many wait of each project, in the order of their turn."""
        return {project: len(line) for project, line in self._lines.items() if len(line)}
