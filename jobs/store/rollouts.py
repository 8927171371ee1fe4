"""What the store promises about rollouts: plans, waves, and who may start next.

A rollout's jobs lie in their wave as WAITING(wave) and hold no pool.  Whoever advances the
rollout *admits* them, a few at a time; from then on a job is like any other.  So opening,
pausing or aborting a wave of a million jobs changes one row, and what is in flight is never
more than what was admitted.

`advance` is a compare-and-set on the rollout's revision: any worker may try, exactly one
succeeds.  The second half of the promise lies in `WorkStore.record`: INTENDED is refused with
`RolloutHeldError` unless the rollout is in STARTING_ROLLOUTS, in the same transaction, so that
once `order` has answered "paused" or "aborted" no further send of it can begin; and a job that
ends changes the tally of its wave in the transaction that ends it.

Numbers of waves count from 0, in the order of the plan.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from jobs.model import JobId, RolloutId, WorkerId
from jobs.rollout_states import RolloutEvent, WaveEvent
from jobs.store.rollout_values import (
    GOES_ON,
    Approved,
    Deed,
    LateFailure,
    LineStop,
    NewRollout,
    OrderKind,
    PlannedJob,
    RecordEntry,
    RolloutJob,
    RolloutKind,
    RolloutRow,
    Started,
    StoredPlan,
    Tally,
    WaveRow,
    Word,
)

__all__ = [
    "GLASS",
    "GOES_ON",
    "MOST_CANCELLED",
    "Advance",
    "Approved",
    "Deed",
    "LateFailure",
    "LineOrdered",
    "LineStop",
    "NewRollout",
    "Order",
    "OrderKind",
    "Ordered",
    "PlannedJob",
    "RecordEntry",
    "RolloutId",
    "RolloutJob",
    "RolloutKind",
    "RolloutRow",
    "RolloutStore",
    "Started",
    "StoredPlan",
    "Tally",
    "WaveMove",
    "WaveRow",
    "Word",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class WaveMove:
    """One move of a wave; ``facts`` goes into the record and replaces the wave's facts."""

    wave: int
    event: WaveEvent
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Advance:
    """What one look at a rollout decided; applied whole or not at all.

    ``waves`` and ``moves`` are the events of waves and of the rollout, each in order and with
    its data for the record; they are written down in this order.  ``admit`` are jobs that
    leave the line of their wave, or that were set aside as WAITING(paused).  ``cancel`` says
    how many jobs that nobody has in hand (WAITING or READY) end CANCELLED, at most
    `MOST_CANCELLED`: first those that were admitted, then those in line, by wave and rank.
    Their result lines are written by ``worker``, which is needed for that alone.
    ``facts`` replaces the rollout's facts when it is not None.  ``join`` are jobs of pools that
    came later: they are put at the end of the lines of their waves, which grow by them.
    """

    rollout: RolloutId
    rev: int
    waves: Sequence[WaveMove] = ()
    moves: Sequence[tuple[RolloutEvent, Mapping[str, Any]]] = ()
    admit: Sequence[JobId] = ()
    cancel: int = 0
    worker: WorkerId | None = None
    facts: Mapping[str, Any] | None = None
    join: Sequence[PlannedJob] = ()


MOST_CANCELLED: Final = 1_000
"""Jobs cancelled in one `advance`: bounds how long its rows stay locked (some 50 ms)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A person's word about a rollout; ``wave``, ``digest`` and ``groups`` belong to an approval.

    ``digest`` may be the beginning of the plan's, at least 6 characters; None approves
    whatever the plan is.  ``groups`` are those the person is in.  ``persons`` is how many must
    break the glass together.
    """

    rollout: RolloutId
    kind: OrderKind
    word: Word
    wave: int | None = None
    digest: str | None = None
    groups: Sequence[str] = ()
    persons: int = 1


GLASS: Final = "break_glass"
"""Under this fact of a rollout: ``words`` of those who want windows and freezes to hold it no
longer, and how many of them that ``needs``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ordered:
    """The rollout after an order; *already* is whose same order came first, and when.

    Nothing was written then.  Approvals of different persons are different orders; the same
    person's is another one only once the wave has been opened since.  Of a pause or abort that
    no person ordered, *already* has what `advance` wrote beside it as ``by`` and ``why``, and
    the rollout itself without a ``by``.
    """

    row: RolloutRow
    already: Word | None = None
    already_us: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LineOrdered:
    """The line after an order; *already* says that it was so before, and nothing was written."""

    line: LineStop
    already: bool


class RolloutStore(Protocol):
    """Durable plans and rollouts.  Every method is one transaction, unless it says otherwise."""

    async def keep_plan(self, plan: StoredPlan) -> None:
        """Store a plan; one with the same digest is already there and stays as it is."""
        ...

    async def plan(self, digest: str) -> StoredPlan | None:
        """Return the plan whose digest begins with *digest* (at least 6 characters).

        Raises:
            BadRequestError: If *digest* is shorter.
            ConflictError: If several do.
        """
        ...

    async def start_rollout(self, new: NewRollout) -> Started:
        """Create the rollout in PLANNED, or find the one that the key names.

        The plan must have been kept, else there is nothing to roll out.

        Raises:
            NothingMatchedError: If there is no such plan, or nothing that it would restore.
            ConflictError: If another live rollout has this name.
        """
        ...

    async def plan_jobs(self, rollout: RolloutId, jobs: Sequence[PlannedJob]) -> int:
        """Write jobs down, WAITING(wave), while the rollout is PLANNED; repeatable.

        A (wave, rank) that is there already stays as it is.  Returns how many jobs the rollout
        has now.  Its place is the key of such a job, so its request has none, and no request
        that comes in otherwise ever joins it.  From here on until the rollout has ended no
        other may have a job for the same plug-in of the same pool.

        Raises:
            ConflictError: If another live rollout changes the same plug-in of one of the pools;
                nothing is written.
            BadRequestError: If a wave or rank is outside of the sizes, or a request has a key.
            IllegalTransitionError: If the rollout is not PLANNED any more.
            NothingMatchedError: If there is no such rollout.
        """
        ...

    async def advance(self, change: Advance) -> RolloutRow:
        """Apply what was decided at revision ``change.rev``.

        An admitted job becomes READY, WAITING(pool-busy) behind the head of its pool, or
        WAITING(not-before); WAITING(paused) ones of a resumed rollout may be admitted again
        and are not counted twice; the time of their deadline begins anew.  One that cannot be
        admitted any more, because it was cancelled meanwhile, is passed over.

        Cancelling comes before everything that the moves demand: a rollout ends only when none
        of its jobs lies in line, is set aside or waits to be claimed, and with FINISHED and
        its like only when every job has ended.

        Raises:
            StaleRevisionError: If the rollout has changed since; nothing is written.
            IllegalTransitionError: If a table has no such move, APPLIED comes before all jobs
                are written down, an end comes too early, a job is admitted while the
                rollout or its wave may not start any, or one joins a wave that is through;
                nothing is written.
            ConflictError: If another live rollout has the pool of a job that joins.
            NothingMatchedError: If there is no such rollout or wave.
        """
        ...

    async def order(self, order: Order) -> Ordered:
        """Write a person's order down and apply it to the rollout's state at once.

        When this has answered "paused" or "aborted", no intent of the rollout is committed any
        more: one that was being committed is waited for.

        Raises:
            BadRequestError: If an approval names no wave, or too short a digest.
            NothingMatchedError: If there is no such rollout or wave.
            IllegalTransitionError: If its state does not allow it (it has ended).
            ConflictError: If an approval names another plan digest.
        """
        ...

    async def line(self) -> LineStop:
        """Return whether anything may start, of any rollout or none; cheap."""
        ...

    async def order_line(self, word: Word, *, stopped: bool) -> LineOrdered:
        """Stop everything that could start, everywhere, or let it go on.

        While the line is stopped no job is claimed that has not sent, and INTENDED is refused
        with `LineStoppedError`; when this has answered "stopped", no intent is committed any
        more: one that was being committed is waited for.  Jobs that were READY when the line
        goes on have the time of their deadline begun anew.
        """
        ...

    async def rollout(self, name_or_id: str) -> RolloutRow | None:
        """Return a rollout by its id (``ro-12`` or ``12``), or the newest with this name."""
        ...

    async def rollouts(self, *, live: bool = False, limit: int = 100) -> Sequence[RolloutRow]:
        """Return rollouts, newest first."""
        ...

    async def live_revisions(self) -> Mapping[RolloutId, int]:
        """Return the revision and tally stamp of every live rollout, as one number each.

        It grows whenever the rollout or the tally of one of its waves changes.  One question,
        whatever the number of jobs.
        """
        ...

    async def rollout_jobs(
        self, rollout: RolloutId, *, in_flight: bool, wave: int | None = None, limit: int = 1000
    ) -> Sequence[RolloutJob]:
        """Return its jobs that were admitted and are not final, or those still in line, by rank."""
        ...

    async def record_of(self, rollout: RolloutId) -> Sequence[RecordEntry]:
        """Return the rollout's record in order."""
        ...

    async def retry_jobs(self, rollout: RolloutId, jobs: Sequence[JobId], word: Word) -> int:
        """Put new jobs with the same requests into the line of the wave of each failed one.

        Jobs that did not end failed or unresolved, have a successor already, or are not the
        rollout's, are passed over; returns how many were added.  A rollout that had ended goes
        on (RESUMED) and the waves concerned are REOPENED; ``failures`` stay counted.

        Raises:
            NothingMatchedError: If there is no such rollout.
            IllegalTransitionError: If the rollout is still PLANNED, is ABORTING, or ended
                otherwise than with damage.
            ConflictError: If another live rollout has its name, or one of the pools by now.
        """
        ...

    async def deeds(
        self, rollout: RolloutId, *, since: tuple[int, int] = (0, 0), limit: int = 1000
    ) -> Sequence[Deed]:
        """Return what was done at its places, by wave and rank, from the place *since* on.

        Those whose jobs were removed, because they are old, are left out.
        """
        ...

    async def take_looks(
        self, rollout: RolloutId, wave: int, *, every_s: float, most: int
    ) -> Sequence[Deed]:
        """Return the places of a wave that the caller looks at now: one of all callers.

        All places of the wave come round once in *every_s*, evenly spread, at most *most* at a
        time; none when it is not time yet.
        """
        ...

    async def late_failure(self, late: LateFailure) -> bool:
        """Count the success of a job as a failure, once; return whether that was news.

        Nothing is counted of a job that did not succeed or has a successor, or when the rollout
        has ended.
        """
        ...
