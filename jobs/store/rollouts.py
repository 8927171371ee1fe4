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
from enum import StrEnum
from typing import Any, NewType, Protocol

from jobs.model import JobId, JobRequest, Target
from jobs.rollout_states import RolloutEvent, RolloutState, WaveEvent, WaveState
from jobs.states import JobState, WaitReason

RolloutId = NewType("RolloutId", int)


class RolloutKind(StrEnum):
    """What a rollout is for."""

    ROLLOUT = "rollout"
    ROLLBACK = "rollback"  # restores baselines of another rollout


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredPlan:
    """A plan as it was approved: immutable, named by its digest (SHA-256, hex).

    ``body`` is the canonical JSON of which the digest was made.
    """

    digest: str
    name: str
    body: str = field(repr=False)
    made_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """Who said what, why and from where; kept with everything that a person orders."""

    by: str
    why: str | None = None
    where: str | None = None
    """Host or address it came from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewRollout:
    """A rollout to start.

    ``key`` with ``fingerprint`` makes the submission repeatable: the same key and content
    give the same rollout, other content a conflict.  ``sizes`` are the jobs of each wave.
    ``of`` is the rollout that a rollback restores.
    """

    name: str
    plan: str
    sizes: Sequence[int]
    word: Word
    kind: RolloutKind = RolloutKind.ROLLOUT
    of: RolloutId | None = None
    key: str | None = None
    fingerprint: str = ""
    expires_us: int | None = None
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedJob:
    """One row of a plan, as it becomes a job.

    ``rank`` is its place inside the wave, counting from 0.
    """

    wave: int
    rank: int
    request: JobRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """The jobs of a wave; those that were tried again count once, as their last job.

    ``admitted`` have left the wave's line, ended or not.  ``failures`` counts every job that
    ended badly, also those tried again since: it is the evidence and never goes down.
    """

    size: int
    admitted: int = 0
    succeeded: int = 0
    unchanged: int = 0
    failed: int = 0
    unresolved: int = 0
    skipped: int = 0
    cancelled: int = 0
    failures: int = 0

    @property
    def ended(self) -> int:
        """Jobs that are final."""
        good = self.succeeded + self.unchanged
        return good + self.failed + self.unresolved + self.skipped + self.cancelled


@dataclass(frozen=True, slots=True, kw_only=True)
class WaveRow:
    """One wave as the store has it; ``facts`` is what `advance` wrote beside its state."""

    n: int
    state: WaveState
    tally: Tally
    opened_us: int | None = None
    ended_us: int | None = None
    """When its last job ended."""
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutRow:
    """One rollout as the store has it; ``rev`` grows with every change of it.

    ``asked`` is the last order and whose it was; ``facts`` is what `advance` wrote.
    """

    id: RolloutId
    name: str
    kind: RolloutKind
    plan: str
    state: RolloutState
    rev: int
    created_us: int
    waves: Sequence[WaveRow]
    of: RolloutId | None = None
    started_us: int | None = None
    finished_us: int | None = None
    expires_us: int | None = None
    asked: Word | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """What became of a submission; *outcome* is ``created``, ``duplicate`` or ``conflict``."""

    outcome: str
    rollout: RolloutId


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutJob:
    """One job of a rollout, as much as advancing it needs.

    ``since_us`` is when it was admitted.
    """

    job: JobId
    wave: int
    rank: int
    target: Target
    state: JobState
    reason: WaitReason | None = None
    since_us: int | None = None
    started_us: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WaveMove:
    """One move of a wave, with what is kept beside its new state."""

    wave: int
    event: WaveEvent
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Advance:
    """What one look at a rollout decided; applied whole or not at all.

    ``moves`` are the rollout's own events in order, each with its data for the record.
    ``admit`` are jobs that leave the line of their wave.  ``cancel`` and ``skip`` say how many
    jobs that were never admitted to end so (in the order of waves and ranks, at most 1,000).
    ``facts`` replaces the rollout's facts when it is not None.
    """

    rollout: RolloutId
    rev: int
    waves: Sequence[WaveMove] = ()
    moves: Sequence[tuple[RolloutEvent, Mapping[str, Any]]] = ()
    admit: Sequence[JobId] = ()
    cancel: int = 0
    facts: Mapping[str, Any] | None = None


class OrderKind(StrEnum):
    """What a person may order; each is harmless when repeated."""

    PAUSE = "pause"
    RESUME = "resume"
    ABORT = "abort"
    APPROVE = "approve"


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A person's word about a rollout; ``wave`` and ``digest`` belong to an approval."""

    rollout: RolloutId
    kind: OrderKind
    word: Word
    wave: int | None = None
    digest: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ordered:
    """The rollout after an order; *already* is whose same order came first, and when."""

    row: RolloutRow
    already: Word | None = None
    already_us: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordEntry:
    """One line of a rollout's record: events, orders, approvals and gate decisions in order."""

    seq: int
    at_us: int
    event: str
    wave: int | None
    data: Mapping[str, Any]


class RolloutStore(Protocol):
    """Durable plans and rollouts.  Every method is one transaction, unless it says otherwise."""

    async def keep_plan(self, plan: StoredPlan) -> None:
        """Store a plan; one with the same digest is already there and stays as it is."""
        ...

    async def plan(self, digest: str) -> StoredPlan | None:
        """Return the plan whose digest begins with *digest* (at least 6 characters).

        Raises:
            ConflictError: If several do.
        """
        ...

    async def start_rollout(self, new: NewRollout) -> Started:
        """Create the rollout in PLANNED, or find the one that the key names.

        Raises:
            ConflictError: If another live rollout has this name.
        """
        ...

    async def plan_jobs(self, rollout: RolloutId, jobs: Sequence[PlannedJob]) -> int:
        """Write jobs down, WAITING(wave), while the rollout is PLANNED; repeatable.

        A (wave, rank) that is there already stays as it is.  Returns how many jobs the rollout
        has now.  A job of another live rollout for the same pool and plug-in is a conflict.

        Raises:
            ConflictError: If another live rollout changes the same plug-in of one of the pools;
                nothing is written.
        """
        ...

    async def advance(self, change: Advance) -> RolloutRow:
        """Apply what was decided at revision ``change.rev``.

        An admitted job becomes READY, or WAITING(pool-busy) behind the head of its pool;
        WAITING(paused) ones of a resumed rollout may be admitted again and are not counted
        twice.

        Raises:
            StaleRevisionError: If the rollout has changed since; nothing is written.
            IllegalTransitionError: If a table has no such move; nothing is written.
        """
        ...

    async def order(self, order: Order) -> Ordered:
        """Write a person's order down and apply it to the rollout's state at once.

        Raises:
            NothingMatchedError: If there is no such rollout or wave.
            IllegalTransitionError: If its state does not allow it (it has ended).
            ConflictError: If an approval names another plan digest.
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

        It changes whenever the rollout or the tally of one of its waves does.
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

        Jobs that are not final, or have a successor already, are passed over; returns how many
        were added.  A rollout that had ended goes on (RESUMED) and its waves are REOPENED.
        """
        ...
