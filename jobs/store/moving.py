"""What a worker's word about a job it holds makes of that job, for every engine alike.

The engine finds out how the job stands, asks `decide`, and writes what that returns.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from jobs.changing import changed
from jobs.clock import MICROSECONDS
from jobs.errors import LeaseLostError
from jobs.model import Job, Lease, Progress, RolloutId, WorkerId, job_name
from jobs.states import (
    FINAL_STATES,
    HistoryNote,
    JobEvent,
    JobState,
    WaitReason,
    next_state,
)
from jobs.store.protocol import Change
from jobs.store.rollout_rows import was_rejected
from jobs.store.rows import POOL_FENCE, Row
from jobs.store.schema import POOL_KEEPING, REASON_CODES, STATE_CODES, json_text, progress_text


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """Where a job stands, without a move."""

    lease: Lease
    progress: Progress
    data: Mapping[str, Any]


Call = Change | Note

LEAVING: Final = frozenset({JobEvent.HANDED_BACK, JobEvent.LEASE_LOST})
"""Events after which the worker has the job no longer, though its state may be the same."""

_OUT_OF_HAND: Final = frozenset({JobState.WAITING, JobState.READY})


@dataclass(slots=True)
class Move:
    """What is to be written about one job.

    Attributes:
        call: What the worker said.
        old: The state that the job leaves.
        job: The job as it is from then on.
        event: The word for its history.
        progress: As JSON.
        told: What the history says beside the word, as JSON.
        stays: Whether the worker keeps the job in hand.
        ends: Whether the job has ended.
    """

    call: Call
    old: JobState
    job: Job
    event: JobEvent | HistoryNote
    progress: str | None
    told: str | None
    stays: bool = True
    ends: bool = False

    @property
    def frees(self) -> bool:
        """Whether the job leaves its pool to the next one."""
        waits = self.job.state is JobState.WAITING
        return self.ends or (waits and self.job.reason not in POOL_KEEPING)

    @property
    def place(self) -> tuple[int, int]:
        """The codes of its new state and of the reason why it waits."""
        return STATE_CODES[self.job.state], REASON_CODES[self.job.reason]

    @property
    def opens(self) -> bool:
        """Whether it is an intent to send, which opens an attempt."""
        return self.event is JobEvent.INTENDED

    @property
    def closes(self) -> bool:
        """Whether it closes the attempt."""
        return self.old is JobState.SENDING and self.event is not HistoryNote.SEEN

    @property
    def rejected(self) -> bool:
        """See `was_rejected`."""
        call = self.call
        return isinstance(call, Change) and was_rejected(call.event, call.progress)


def lease_lost(lease: Lease) -> LeaseLostError:
    """Return the error for a lease that does not hold."""
    return LeaseLostError(
        f"worker {lease.worker} holds {job_name(lease.job)} no longer",
        job=lease.job,
        worker=lease.worker,
    )


def rounds(calls: Sequence[Call]) -> Iterable[list[int]]:
    """Split the places of *calls* so that no job is twice in one round; the order holds."""
    left = list(range(len(calls)))
    while left:
        seen: set[int] = set()
        now: list[int] = []
        later: list[int] = []
        for place in left:
            job = calls[place].lease.job
            (later if job in seen else now).append(place)
            seen.add(job)
        yield now
        left = later


def claimed(job: Job, row: Row, worker: WorkerId, now_us: int, default_s: float) -> Job:
    """Return *job* in the worker's hands.

    Args:
        job: As its row of COLUMNS tells it.
        row: That row.
        worker: Who claims it.
        now_us: The store's time.
        default_s: Seconds until its deadline if it is claimed for the first time and names none.
    """
    started_us, deadline_us = job.started_us, job.deadline_us
    if started_us is None:
        own_s = job.request.deadline_s
        started_us = now_us
        deadline_us = now_us + round((default_s if own_s is None else own_s) * MICROSECONDS)
    return changed(
        job,
        state=next_state(job.state, JobEvent.CLAIMED),
        worker=worker,
        fence=row[POOL_FENCE] + 1,
        started_us=started_us,
        deadline_us=deadline_us,
    )


def decide(now_us: int, call: Call, job: Job, may_send: Callable[[RolloutId | None], None]) -> Move:
    """Return what *call* makes of *job*, which the worker holds.

    Args:
        now_us: The store's time.
        call: What the worker says.
        job: As it stands.
        may_send: Raises an error if the line or the job's rollout lets nothing be sent now.

    Raises:
        IllegalTransitionError: If the job's state does not allow it.
        LineStoppedError: If nothing may be sent at all.
        RolloutHeldError: If its rollout lets nothing be sent now.
        BadRequestError: If JSON cannot hold what is told.
        ValueError: If nobody could ever tell why it waits, or nothing would wake it.
    """
    text = progress_text(call.progress)
    old = job.state
    if isinstance(call, Note):
        if old is JobState.SENDING:  # an intent that is renewed is an intent
            may_send(job.rollout)
        seen = changed(job, progress=call.progress)
        return Move(call, old, seen, HistoryNote.SEEN, text, _text(call.data))
    event = call.event
    new = next_state(old, event)
    if event is JobEvent.INTENDED:
        may_send(job.rollout)
    if new not in _OUT_OF_HAND and new not in FINAL_STATES and event not in LEAVING:
        stays = changed(job, state=new, progress=call.progress)
        return Move(call, old, stays, event, text, _text(call.data))
    reason, run_at_us = _wait(call) if new is JobState.WAITING else (None, None)
    ends = new in FINAL_STATES
    then = changed(
        job,
        state=new,
        reason=reason,
        run_at_us=run_at_us,
        finished_us=now_us if ends else None,
        worker=None,
        progress=call.progress,
    )
    return Move(call, old, then, event, text, _told(call, reason), stays=False, ends=ends)


def _wait(change: Change) -> tuple[WaitReason, int | None]:
    """Return why and until when the job waits."""
    if change.reason is None:
        raise ValueError("a move to waiting needs a reason")
    if change.reason in POOL_KEEPING and change.run_at_us is None:
        raise ValueError(f"a wait for {change.reason} keeps the pool and so needs an end")
    return change.reason, change.run_at_us


def _text(data: Mapping[str, Any]) -> str | None:
    return json_text(data) if data else None


def _told(change: Change, reason: WaitReason | None) -> str | None:
    """Return what the history says beside the event; a wait always says why and until when."""
    if reason is None:
        return _text(change.data)
    return json_text({"reason": reason, "run_at_us": change.run_at_us, **change.data})


def intent(progress: Progress) -> tuple[int | None, int | None, str | None, str | None]:
    """Return what an attempt keeps of its intent: the two instants, and before and inputs."""
    before = None if progress.before is None else json_text(progress.before)
    inputs = None if progress.inputs is None else json_text(progress.inputs)
    return progress.sent_us, progress.not_before_us, before, inputs
