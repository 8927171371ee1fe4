"""What one look at a rollout sees, and how its jobs are counted for the rules.

A stop that a person resumed is looked back at no more: from then on jobs are counted anew,
because that person has seen what there was and wants to go on.  What was accepted so is kept
in the rollout's facts, so that the same facts always give the same decision.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from jobs.clock import MICROSECONDS
from jobs.rollout_states import WaveState
from jobs.rollouts.course import Course
from jobs.rollouts.pace import suspect_after_s
from jobs.rollouts.stopping import Tally
from jobs.states import HELD_STATES, JobState, WaitReason
from jobs.store.rollouts import RolloutJob, RolloutRow, WaveRow

ACCEPTED: Final = "accepted"
"""Under this fact: succeeded and failed jobs of each wave that count no more."""

THROUGH: Final = frozenset({WaveState.PASSED, WaveState.SKIPPED})
"""Wave states after which it is the next one's turn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """A rollout as one look sees it.

    Attributes:
        row: The rollout; read after *flying*, so that no job is missing in both.
        flying: Jobs that were admitted and are not final.
        line: Jobs in line of the wave whose turn it is, by rank; of all waves when the rollout
            is being wound up.
        successes_s: How long recent successes of this plug-in took.
        now_us: Now.
    """

    row: RolloutRow
    now_us: int
    flying: Sequence[RolloutJob] = ()
    line: Sequence[RolloutJob] = ()
    successes_s: Sequence[float] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """The jobs of the wave whose turn it is and of the rollout, for the rules."""

    wave: Tally
    rollout: Tally
    suspects: int


def turn(row: RolloutRow) -> WaveRow | None:
    """Return the first wave that is not through; None when all are."""
    return next((wave for wave in row.waves if wave.state not in THROUGH), None)


def is_paused(job: RolloutJob) -> bool:
    """Whether an admitted job came back unsent, because the rollout did not let it start."""
    return job.state is JobState.WAITING and job.reason is WaitReason.PAUSED


def in_hand(job: RolloutJob) -> bool:
    """Whether a worker may be at the job, so that it may send or has sent."""
    return job.state in HELD_STATES


def accepted_now(row: RolloutRow) -> list[list[int]]:
    """Return what a resume after a stop accepts: successes and failures of each wave."""
    return [[wave.tally.succeeded, wave.tally.failures] for wave in row.waves]


def counts(course: Course, sight: Sight, wave: int, facts: Mapping[str, Any]) -> Counts:
    """Count the jobs; *wave* is whose turn it is, *facts* the rollout's as they are now."""
    accepted = facts.get(ACCEPTED) or [[0, 0]] * len(sight.row.waves)
    oldest_us = _suspect_before_us(course, sight)
    flying = Counter(job.wave for job in sight.flying if not is_paused(job))
    suspects = Counter(job.wave for job in sight.flying if _is_suspect(job, oldest_us))
    tallies = [
        Tally(
            planned=row.tally.size,
            succeeded=row.tally.succeeded - succeeded,
            failed=row.tally.failures - failed,
            in_flight=flying[row.n],
            suspects=suspects[row.n],
        )
        for row, (succeeded, failed) in zip(sight.row.waves, accepted, strict=True)
    ]
    return Counts(
        wave=tallies[wave],
        rollout=_together(tallies),
        suspects=sum(one.suspects for one in tallies),
    )


def _together(tallies: Sequence[Tally]) -> Tally:
    return Tally(
        planned=sum(one.planned for one in tallies),
        succeeded=sum(one.succeeded for one in tallies),
        failed=sum(one.failed for one in tallies),
        in_flight=sum(one.in_flight for one in tallies),
        suspects=sum(one.suspects for one in tallies),
    )


def _suspect_before_us(course: Course, sight: Sight) -> float:
    after_s = suspect_after_s(course.suspect_after, sight.successes_s, course.deadline_s)
    return sight.now_us - after_s * MICROSECONDS


def _is_suspect(job: RolloutJob, oldest_us: float) -> bool:
    if is_paused(job) or job.started_us is None:
        return False
    return job.started_us < oldest_us
