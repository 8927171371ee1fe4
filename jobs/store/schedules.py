"""What the store promises about schedules: what fires when, and each tick once.

A schedule and its ticks are guarded by one revision.  Whoever changes either has read both at
that revision; of all who try one succeeds, and the others look again.  So a tick that was
written down fires once, however many schedulers there are, and what is decided about it is
decided on what is there.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NewType, Protocol

from jobs.model import RolloutId
from jobs.schedule_states import OPEN_TICKS, Skipped, TickState
from jobs.store.rollouts import RolloutStore, Word

ScheduleId = NewType("ScheduleId", int)

KEPT_TICKS: Final = 10_000
"""Ticks with an end that are kept of each schedule, the newest ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewSchedule:
    """A schedule as a person applied it.

    ``body`` is the canonical JSON of its manifest, ``fleet`` the fleet file that it names;
    ``timing`` tells whether two manifests fire at the same times.  ``profile`` is the account
    it runs as; None for the worker's own.
    """

    name: str
    body: str = field(repr=False)
    timing: str
    word: Word
    fleet: str | None = field(default=None, repr=False)
    profile: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleRow:
    """A schedule as the store has it.

    ``last_us`` is the tick up to which everything is decided.  ``failures`` are the rollouts
    in a row that ended badly.  ``paused`` is who paused it, None while it runs.
    """

    id: ScheduleId
    name: str
    body: str = field(repr=False)
    timing: str
    rev: int
    created_us: int
    changed_us: int
    word: Word
    last_us: int
    fleet: str | None = field(default=None, repr=False)
    profile: str | None = None
    failures: int = 0
    paused: Word | None = None
    paused_us: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TickRow:
    """One tick; ``at_us`` is its nominal time and its name.

    Attributes:
        until_us: It is begun by then, or it is missed.
        manual: Who asked for it; None when the clock did.
        late: It is one of several missed ticks that are all run, one after the other.
        next_us: Not tried again before.
        tries: How often it could not be planned so far.
        holder: Who works on it until ``held_until_us``.
        plan: The digest of its plan; nothing else is begun for it.
        rollout: What was begun.
        bad: Its rollout was counted as a failure.
        why: What is told beside the state.
    """

    at_us: int
    state: TickState
    until_us: int
    manual: Word | None = None
    late: bool = False
    next_us: int = 0
    tries: int = 0
    holder: str | None = None
    held_until_us: int = 0
    plan: str | None = None
    rollout: RolloutId | None = None
    bad: bool = False
    skipped: Skipped | None = None
    why: str | None = None

    @property
    def is_open(self) -> bool:
        """Whether it has still a future."""
        return self.state in OPEN_TICKS

    def held_at(self, now_us: int) -> bool:
        """Whether somebody works on it."""
        return self.holder is not None and now_us < self.held_until_us


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleChange:
    """What one look at a schedule decided; applied whole or not at all.

    ``row`` is the schedule as it is to be, with the revision it was read at; of it ``last_us``,
    ``failures`` and the pause are written.  ``fresh`` are new ticks, ``ticks`` known ones as
    they are to be.
    """

    row: ScheduleRow
    ticks: Sequence[TickRow] = ()
    fresh: Sequence[TickRow] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Put:
    """What became of an applied schedule: ``created``, ``replaced`` or ``unchanged``."""

    outcome: str
    row: ScheduleRow


class ScheduleStore(Protocol):
    """Durable schedules.  Every method is one transaction."""

    async def put_schedule(self, new: NewSchedule) -> Put:
        """Write a schedule down under its name; one that says the same stays as it is.

        What is due before now is no tick of a new schedule, nor of one that fires at other
        times from now on.
        """
        ...

    async def remove_schedule(self, name: str) -> ScheduleRow:
        """Remove a schedule and its ticks; rollouts that it began go on.

        Raises:
            NothingMatchedError: If there is none.
        """
        ...

    async def schedule(self, name: str) -> ScheduleRow | None:
        """Return the schedule of that name."""
        ...

    async def schedules(self) -> Sequence[ScheduleRow]:
        """Return every schedule, by name."""
        ...

    async def schedule_revisions(self) -> Mapping[ScheduleId, int]:
        """Return the revision of every schedule; it grows with each change of it or its ticks."""
        ...

    async def schedule_sight(
        self, schedule: ScheduleId
    ) -> tuple[ScheduleRow, Sequence[TickRow]] | None:
        """Return a schedule with its open ticks, oldest first, at one revision; None if gone."""
        ...

    async def ticks(self, schedule: ScheduleId, *, limit: int = 100) -> Sequence[TickRow]:
        """Return its ticks, newest first."""
        ...

    async def change_schedule(self, change: ScheduleChange) -> ScheduleRow:
        """Apply what was decided at the revision of ``change.row``.

        A fresh tick at whose instant there was one already is passed over.

        Raises:
            StaleRevisionError: If it has changed since, or is gone; nothing is written.
            ValueError: If it would decide anew on ticks that were decided on.
        """
        ...


class WaveStore(Protocol):
    """The parts of a store that are about whole fleets."""

    @property
    def rollouts(self) -> RolloutStore:
        """Plans and rollouts, whose jobs are the same as all others."""
        ...

    @property
    def schedules(self) -> ScheduleStore:
        """What fires when."""
        ...
