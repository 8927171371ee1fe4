"""What a store has to say about plans and rollouts: values, written once and handed around."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from jobs.model import Inputs, JobId, JobRequest, PluginSeen, RolloutId, Target
from jobs.rollout_states import RolloutState, WaveState
from jobs.states import JobState, WaitReason


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


def told_by(word: Word) -> dict[str, str]:
    """Return a word as the record has it; what was not said is left out."""
    told = {"by": word.by, "why": word.why, "where": word.where}
    return {name: value for name, value in told.items() if value is not None}


class OrderKind(StrEnum):
    """What a person may order; each is harmless when repeated."""

    PAUSE = "pause"
    RESUME = "resume"
    ABORT = "abort"
    APPROVE = "approve"
    BREAK_GLASS = "break-glass"  # windows and freezes hold it no longer


@dataclass(frozen=True, slots=True, kw_only=True)
class LineStop:
    """Whether anything may start at all, and whose the last order about that was."""

    stopped: bool
    word: Word | None = None
    at_us: int | None = None


GOES_ON: Final = LineStop(stopped=False)
"""A line that nobody has ever stopped."""


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

    ``admitted`` have left the wave's line, ended or not; a job that is cancelled in the line
    has left it, too, so ``admitted - ended`` are on their way.  ``failures`` counts every job
    that ended badly, also those tried again since: it is the evidence and never goes down.
    ``rejected`` of them were refused before anything was sent; ``late`` of them had succeeded,
    and their pool turned bad afterwards.
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
    rejected: int = 0
    late: int = 0

    @property
    def ended(self) -> int:
        """Jobs that are final."""
        good = self.succeeded + self.unchanged
        return good + self.failed + self.unresolved + self.skipped + self.cancelled


@dataclass(frozen=True, slots=True, kw_only=True)
class Approved:
    """One person's approval of a wave.

    ``opened`` says whether the wave had been opened before; ``groups`` are those the person was
    in then; ``seen`` is how many jobs of the rollout there were, had ended, and had ended badly.
    """

    word: Word
    at_us: int
    opened: bool = False
    groups: Sequence[str] = ()
    seen: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class WaveRow:
    """One wave as the store has it; ``facts`` is what `advance` wrote beside its state.

    ``written`` of its jobs are written down; ``tally.size - tally.admitted`` lie in its line
    once all are.  ``approvals`` are in the order in which they were given.
    """

    n: int
    state: WaveState
    tally: Tally
    written: int = 0
    opened_us: int | None = None
    """When it was first opened."""
    ended_us: int | None = None
    """When its last job ended; None while one has not."""
    approvals: Sequence[Approved] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutRow:
    """One rollout as the store has it; ``rev`` grows with every change of it.

    The tallies of its waves are no part of that: they change without a new revision.  ``asked``
    is whose the last order was, ``asked_kind`` which one; ``facts`` is what `advance` wrote.
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
    asked_kind: OrderKind | None = None
    asked_us: int | None = None
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
class Deed:
    """What a rollout has done at one of its places, over all jobs that stood there.

    Attributes:
        job: The one that stands there now.
        cause: Why it ended as it did.
        version: What was sent: the version.
        inputs: The full inputs with it; None when none were.
        shown: The digest of the inputs as they were shown when that had settled.
        sent: Whether a send may have had an effect; without, the pool was not touched.
        checked: Whether ``baseline`` is known.
        baseline: The plug-in before the first send that may have had an effect; None when it
            was absent.
        late: Why its success does not count any more; None while it does.
    """

    job: JobId
    wave: int
    rank: int
    target: Target
    state: JobState
    profile: str | None = None
    cause: str | None = None
    version: str | None = None
    inputs: Inputs | None = field(default=None, repr=False)
    shown: str | None = None
    sent: bool = False
    checked: bool = False
    baseline: PluginSeen | None = None
    late: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LateFailure:
    """A pool that turned bad after its job had succeeded; *text* says how, and by whom if known.

    ``drift`` says that somebody else has changed it; without, it broke by itself.
    """

    rollout: RolloutId
    job: JobId
    text: str
    drift: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordEntry:
    """One line of a rollout's record: its events, orders and approvals in order.

    ``event`` is a `RolloutEvent`, with ``wave`` a `WaveEvent`, or one of ``planned`` (it was
    started), ``approved``, ``joined`` and ``late-failure`` (with ``wave``), ``retried`` and
    ``break-glass``.  What a person ordered has the event that it caused, and in ``data`` by, why
    and where.
    """

    seq: int
    at_us: int
    event: str
    wave: int | None
    data: Mapping[str, Any]
