"""What is old enough to go: a pure rule over facts that the store tells.

A job goes some time after it ended, with its attempts and its history; its idempotency key
stays at least as long, so that a request that is repeated late is still known.  Five things
keep a job longer: it is open, it is young, nobody has written its result line yet, it is
the last result of a worker that lives (by that one the worker goes on numbering), or its
rollout lives (its tally counts the job).
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from jobs.clock import seconds_to_us

DAY_S: Final = 86_400.0

UNUSED_S: Final = DAY_S / 2
"""A content without a job goes after this: longer than any transaction of intake lasts."""


class Kept(StrEnum):
    """Why a job stays; the first that holds."""

    OPEN = "open"
    YOUNG = "young"
    UNREPORTED = "unreported"
    LAST = "last"
    ROLLOUT = "rollout"


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """How long ended jobs and their keys are kept, in seconds after the end; 0 is for ever."""

    finished_s: float = 30 * DAY_S
    keys_s: float = 30 * DAY_S


@dataclass(frozen=True, slots=True, kw_only=True)
class Cutoffs:
    """What ended before these instants may go; None keeps everything."""

    jobs_us: int | None
    keys_us: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What decides about one job.

    Attributes:
        finished_us: When it ended; None while it is open.
        reported: Its result line was written, or it never ended in a worker's hands.
        last: It is the last result of a worker that lives.
        counted: It belongs to a rollout that lives.
    """

    finished_us: int | None
    reported: bool
    last: bool
    counted: bool = False


def cutoffs(retention: Retention, now_us: int) -> Cutoffs:
    """Return the instants for *now_us*; a key never goes before its job."""
    jobs_us = _before(retention.finished_s, now_us)
    keys_us = _before(retention.keys_s, now_us)
    if jobs_us is None or keys_us is None:
        return Cutoffs(jobs_us=jobs_us, keys_us=None)
    return Cutoffs(jobs_us=jobs_us, keys_us=min(jobs_us, keys_us))


def _before(kept_s: float, now_us: int) -> int | None:
    return now_us - seconds_to_us(kept_s) if kept_s > 0 else None


def why_kept(facts: Facts, before_us: int, *, unreported: bool = False) -> Kept | None:
    """Return why a job stays, None when it goes.

    Args:
        facts: The job.
        before_us: The cutoff for jobs.
        unreported: Whether jobs go whose result line nobody has written; for results of
            machines that will never come back.
    """
    if facts.finished_us is None:
        return Kept.OPEN
    if facts.finished_us >= before_us:
        return Kept.YOUNG
    if not facts.reported and not unreported:
        return Kept.UNREPORTED
    if facts.last:
        return Kept.LAST
    return Kept.ROLLOUT if facts.counted else None
