"""What a running worker says about itself, for progress lines, recaps and metrics."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from jobs.states import JobState, WaitReason


@dataclass(frozen=True, slots=True, kw_only=True)
class InHand:
    """One job a worker holds right now."""

    job: int
    pool_name: str
    plugin: str
    version_from: str | None
    version_to: str | None
    state: JobState
    phase: str | None
    since_s: float
    """Seconds since this worker claimed it."""

    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerStatistics:
    """A worker's figures since it started.

    Attributes:
        worker: Its name.
        running_s: Seconds since it started.
        slots: How many jobs it may have in hand.
        in_hand: The jobs it holds, longest first.
        ended: Jobs that became final in its hands, by state.
        open_jobs: Jobs in the store that are not final, at the last look.
        waiting: Jobs in the store that wait, by reason, at the last look.
        calls: Requests on the wire.
        throttled: Answers 429.
        lost_answers: Sends whose answer was lost.
        rate: Requests a second over the last ten seconds.
        rate_limit: What is allowed; the strictest learned or configured limit.
        draining: Whether it has stopped claiming.
        trouble: One line when an endpoint or credential is in trouble, else None.
    """

    worker: str
    running_s: float
    slots: int
    in_hand: tuple[InHand, ...] = ()
    ended: Mapping[JobState, int] = field(default_factory=dict)
    open_jobs: int = 0
    waiting: Mapping[WaitReason, int] = field(default_factory=dict)
    calls: int = 0
    throttled: int = 0
    lost_answers: int = 0
    rate: float = 0.0
    rate_limit: float = 0.0
    draining: bool = False
    trouble: str | None = None
