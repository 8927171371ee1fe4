"""What one call may do inside a group commit.

A group is one SQLite transaction around many calls.  What the calls of a group have in
common is gathered in memory and written once before COMMIT: the history, the counters and
the numbers given out.  A call that fails leaves nothing behind, in the file or in memory.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any, Final, final

import apsw

from jobs.fairness import Turns
from jobs.model import Job
from jobs.states import JobState
from jobs.store.schema import FIRST_LANE, STATE_CODES, Lane

_ADD_EVENT: Final = (
    "INSERT INTO events(seq, job, at_us, event, state, data) VALUES (?, ?, ?, ?, ?, ?)"
)
_ADD_COUNT: Final = (
    "INSERT INTO counts(state, reason, jobs) VALUES (?, ?, ?)"
    " ON CONFLICT DO UPDATE SET jobs = jobs + excluded.jobs"
)

Cells = tuple[Any, ...]
"""One row, or the values for one statement."""

Place = tuple[int, int]
"""The codes of a job's state and of the reason why it waits, 0 for none."""

MOST_REMEMBERED: Final = 20_000
"""Entries in one memory before it starts anew; some 10 MB at most."""


@final
class Snapshot:
    """The store at one instant, for one question."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    def rows(self, sql: str, bindings: Cells = ()) -> list[Cells]:
        """Return every row of one statement."""
        return self._connection.execute(sql, bindings).fetchall()

    def number(self, sql: str, bindings: Cells = ()) -> int | None:
        """Return the first cell of the first row."""
        row = self._connection.execute(sql, bindings).fetchone()
        return None if row is None or row[0] is None else int(row[0])


@final
class Memory:
    """What one store object remembers, to save questions; emptied when in doubt."""

    def __init__(self) -> None:
        self.projects: dict[str, int] = {}
        self.held: dict[int, Job] = {}
        """Jobs in hand: under one fence nothing but the state and a wish to cancel can change
        without this process, and those are read with each move."""
        self.last_lane: Lane = FIRST_LANE
        """The lane that was served last; claims go on after it."""
        self.turns: Turns[Lane] = Turns()
        """What each lane was served by this process; others keep their own account."""

    def doubt(self) -> None:
        """Forget what a rolled-back call may have brought in."""
        self.projects.clear()
        self.held.clear()

    def bound(self) -> None:
        """Start a memory anew that has grown too large."""
        for memory in (self.projects, self.held):
            if len(memory) > MOST_REMEMBERED:
                memory.clear()


@final
class Transaction:
    """One group's transaction, handed to one call after the other."""

    def __init__(self, connection: apsw.Connection, memory: Memory) -> None:
        self._connection = connection
        self.memory = memory
        self.now_us = 0
        """The store's time as the present call sees it."""
        self._events: list[Cells] = []
        self._counts: defaultdict[Place, int] = defaultdict(int)
        self._call_events: list[Cells] = []
        self._call_counts: list[tuple[Place, int]] = []
        self._numbers: dict[str, int] = {}

    # What calls use.

    def rows(self, sql: str, bindings: Cells = ()) -> Iterator[Cells]:
        """Run one statement and return its rows as they are asked for."""
        return self._connection.execute(sql, bindings)

    def row(self, sql: str, bindings: Cells = ()) -> Cells | None:
        """Run one statement and return its first row."""
        return self._connection.execute(sql, bindings).fetchone()

    def change(self, sql: str, bindings: Cells) -> int:
        """Run one statement and return how many rows it changed."""
        self._connection.execute(sql, bindings)
        return self._connection.changes()

    def each(self, sql: str, bindings: Iterable[Cells]) -> Iterator[Cells]:
        """Run one statement for each of *bindings* and return the rows of all, in order."""
        return self._connection.executemany(sql, bindings)

    def take_numbers(self, name: str, count: int) -> int:
        """Give out *count* numbers of a sequence that nobody gets again; return the first."""
        last = self._numbers.get(name)
        if last is None:
            row = self.row("SELECT last FROM sequences WHERE name = ?", (name,))
            assert row is not None
            last = int(row[0])
        self._numbers[name] = last + count
        return last + 1

    def happened(self, job: int, event: str, state: JobState, data: str | None = None) -> None:
        """Append to the job's history; *state* is the one it has now."""
        self._call_events.append((job, self.now_us, event, STATE_CODES[state], data))

    def moved(self, old: Place | None, new: Place) -> None:
        """Count a job over from one place to another; from None when it is new."""
        if old is not None:
            self._call_counts.append((old, -1))
        self._call_counts.append((new, 1))

    def left(self, place: Place) -> None:
        """Count a job that was removed."""
        self._call_counts.append((place, -1))

    # What the writer uses.

    def begin_call(self, now_us: int) -> None:
        """Start the next call."""
        self.now_us = now_us
        self._call_events.clear()
        self._call_counts.clear()

    def end_call(self) -> None:
        """Keep what the call gathered."""
        self._events += self._call_events
        for place, delta in self._call_counts:
            self._counts[place] += delta

    def flush(self) -> None:
        """Write what the group gathered."""
        if self._events:
            first = self.take_numbers("events", len(self._events))
            self.each(_ADD_EVENT, ((first + n, *row) for n, row in enumerate(self._events)))
        changed = [(*key, delta) for key, delta in self._counts.items() if delta]
        if changed:
            self.each(_ADD_COUNT, changed)
        for name, last in self._numbers.items():
            self.change("UPDATE sequences SET last = ? WHERE name = ?", (last, name))
