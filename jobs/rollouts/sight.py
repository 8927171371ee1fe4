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
from jobs.rollouts.stopping import RuleKind, Tally
from jobs.states import HELD_STATES, JobState, WaitReason
from jobs.store.rollouts import GOES_ON, LineStop, RolloutJob, RolloutRow, WaveRow

ACCEPTED: Final = "accepted"
"""Under this fact: what counts no more of each wave, see `Ends`."""

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
        line_stop: Whether anything may start at all.
        now_us: Now.
    """

    row: RolloutRow
    now_us: int
    flying: Sequence[RolloutJob] = ()
    line: Sequence[RolloutJob] = ()
    successes_s: Sequence[float] = ()
    line_stop: LineStop = GOES_ON


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


@dataclass(frozen=True, slots=True)
class Ends:
    """How jobs of a wave have ended, for the rules; each counts as one of them.

    ``failed`` has refused jobs and late failures; a late failure is no success any more.
    """

    succeeded: int = 0
    failed: int = 0
    rejected: int = 0
    late: int = 0

    def without(self, accepted: "Ends") -> "Ends":
        """Return what has come since."""
        return Ends(
            self.succeeded - accepted.succeeded,
            self.failed - accepted.failed,
            self.rejected - accepted.rejected,
            self.late - accepted.late,
        )


def ends_of(wave: WaveRow) -> Ends:
    """Return how the jobs of a wave have ended so far."""
    tally = wave.tally
    return Ends(tally.succeeded - tally.late, tally.failures, tally.rejected, tally.late)


def accepted_now(row: RolloutRow) -> list[list[int]]:
    """Return what a resume after a stop accepts: everything so far, as JSON."""
    return [
        [ends.succeeded, ends.failed, ends.rejected, ends.late] for ends in map(ends_of, row.waves)
    ]


def new_ends(row: RolloutRow, facts: Mapping[str, Any]) -> list[Ends]:
    """Return how jobs of each wave have ended since what was accepted."""
    accepted = facts.get(ACCEPTED) or [[]] * len(row.waves)
    return [
        ends_of(wave).without(Ends(*known)) for wave, known in zip(row.waves, accepted, strict=True)
    ]


def turned_bad(row: RolloutRow, facts: Mapping[str, Any]) -> WaveRow | None:
    """Return the first finished wave of which pools are not any more as they were left."""
    for wave, ends in zip(row.waves, new_ends(row, facts), strict=True):
        if wave.state is WaveState.PASSED and ends.late > 0:
            return wave
    return None


def counts(course: Course, sight: Sight, wave: int, facts: Mapping[str, Any]) -> Counts:
    """Count the jobs; *wave* is whose turn it is, *facts* the rollout's as they are now."""
    apart = any(rule.kind is RuleKind.REJECTED for rule in course.waves[wave].rules)
    oldest_us = _suspect_before_us(course, sight)
    flying = Counter(job.wave for job in sight.flying if not is_paused(job))
    suspects = Counter(job.wave for job in sight.flying if _is_suspect(job, oldest_us))
    tallies = [
        Tally(
            planned=row.tally.size,
            succeeded=ends.succeeded,
            failed=ends.failed - (ends.rejected if apart else 0),
            in_flight=flying[row.n],
            suspects=suspects[row.n],
            rejected=ends.rejected if apart else 0,
        )
        for row, ends in zip(sight.row.waves, new_ends(sight.row, facts), strict=True)
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
        rejected=sum(one.rejected for one in tallies),
    )


def _suspect_before_us(course: Course, sight: Sight) -> float:
    after_s = suspect_after_s(course.suspect_after, sight.successes_s, course.deadline_s)
    return sight.now_us - after_s * MICROSECONDS


def _is_suspect(job: RolloutJob, oldest_us: float) -> bool:
    if is_paused(job) or job.started_us is None:
        return False
    return job.started_us < oldest_us
