"""Jobs that ended badly, grouped by their cause.

Pure: jobs go in one by one, groups come out.  What is kept grows with the number of causes
and not with the number of jobs, so that a million failures fit into little memory.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from jobs.catalogue.diagnosis import Diagnosis
from jobs.catalogue.entries import Retry
from jobs.causes import ABNORMAL
from jobs.clock import iso
from jobs.model import Job
from jobs.report.reasons import diagnosis, trouble_text
from jobs.report.results import class_of
from jobs.states import JobState

NAMED_POOLS: Final = 5
"""Pools of a group that are named; further ones are counted."""

COUNTED_POOLS: Final = 10_000
"""Different pools of a group that are told apart; with more, there are at least so many."""

MOST_GROUPS: Final = 500
"""Causes that are told apart; jobs of further ones are counted together."""


def ended(job: Job) -> int:
    """Return when *job* ended; jobs of an old store may lack it, then when it was created."""
    return job.created_us if job.finished_us is None else job.finished_us


@dataclass(slots=True, kw_only=True)
class Group:
    """The failures of one cause.

    Attributes:
        cause: The word of the record; None when none was recorded.
        found: What the catalogue makes of it.
        states: How many jobs failed, and how many are unresolved.
        first_us: When the first of them ended.
        last_us: When the last of them ended.
        last: The job that ended last; its text is shown.
        pools: Their pools, in the order met, at most NAMED_POOLS.
        seen_pools: All of their pools, at most COUNTED_POOLS.
    """

    cause: str | None
    found: Diagnosis
    first_us: int
    last_us: int
    last: Job
    states: dict[JobState, int] = field(default_factory=dict)
    pools: list[str] = field(default_factory=list)
    seen_pools: set[tuple[str, str, str]] = field(default_factory=set)

    @property
    def jobs(self) -> int:
        """How many jobs are in the group."""
        return sum(self.states.values())

    @property
    def hash(self) -> str:
        """The fingerprint."""
        return self.found.hash

    def cloud(self) -> str | None:
        """Return what the cloud said the last time, in one line; None when it said nothing."""
        progress = self.last.progress
        if self.cause == ABNORMAL and progress.reason:
            return f'phase {progress.phase or "Abnormal"}, reason "{progress.reason}"'
        return trouble_text(self.last)

    @property
    def pool_count(self) -> int:
        """How many different pools there are; COUNTED_POOLS stands for that many or more."""
        return len(self.seen_pools)

    def retry_command(self) -> str | None:
        """Return the command that retries these jobs; None when that cannot help."""
        if self.found.retry is Retry.NO or self.cause is None:
            return None
        states = " ".join(f"--state {state}" for state in sorted(self.states))
        return f"plugwave jobs retry {states} --cause {self.cause}"

    def as_dict(self) -> dict[str, Any]:
        """Return the group as it appears in JSON."""
        told, progress = self.found.text(), self.last.progress
        return {
            "fingerprint": self.hash,
            "cause": self.cause,
            "class": class_of(self.cause),
            "title": told.title,
            "known": self.found.known,
            "retry": self.found.retry.value,
            "likely": told.likely,
            "do": told.do,
            "command": self.retry_command(),
            "jobs": self.jobs,
            "states": {state.value: self.states[state] for state in sorted(self.states)},
            "first_at": iso(self.first_us),
            "last_at": iso(self.last_us),
            "pools": self.pool_count,
            "pool_names": list(self.pools),
            "http_status": progress.http_status,
            "error_code": progress.error_code,
            "cloud_request_id": progress.cloud_request_id,
            "cloud": self.cloud(),
        }

    def add(self, job: Job) -> None:
        """Count one more job of this cause."""
        ended_us = ended(job)
        self.states[job.state] = self.states.get(job.state, 0) + 1
        self.first_us = min(self.first_us, ended_us)
        if ended_us >= self.last_us:
            self.last_us, self.last = ended_us, job
        target = job.request.target
        if target.pool in self.seen_pools or len(self.seen_pools) >= COUNTED_POOLS:
            return
        self.seen_pools.add(target.pool)
        if len(self.pools) < NAMED_POOLS:
            self.pools.append(target.pool_name)


class FailureGroups:
    """Takes jobs that ended badly and tells their causes apart."""

    def __init__(self) -> None:
        self._groups: dict[str, Group] = {}
        self.left_out = 0
        """Jobs of causes beyond the first MOST_GROUPS."""

    def add(self, job: Job) -> None:
        """Put *job* to the others of its cause."""
        found = diagnosis(job)
        group = self._groups.get(found.hash)
        if group is None:
            if len(self._groups) >= MOST_GROUPS:
                self.left_out += 1
                return
            at_us = ended(job)
            cause = job.progress.cause
            group = Group(cause=cause, found=found, first_us=at_us, last_us=at_us, last=job)
            self._groups[found.hash] = group
        group.add(job)

    def groups(self) -> Sequence[Group]:
        """Return the groups, the largest first, then the one that began first."""
        found = self._groups.values()
        return sorted(found, key=lambda group: (-group.jobs, group.first_us, group.hash))
