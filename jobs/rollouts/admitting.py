"""Which jobs of the running wave may leave its line now, and what holds the others.

A job needs room everywhere at once: under the stop rules, in the budgets of the rollout, its
project and its region, in the ramp, and in a window of its region that is long enough.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from jobs.clock import MICROSECONDS, iso, seconds_to_us
from jobs.model import JobId
from jobs.rollouts.course import Course, WaveCourse
from jobs.rollouts.estimate import SLOW_S
from jobs.rollouts.fields import duration_text
from jobs.rollouts.gates import Hold, glass_is_broken
from jobs.rollouts.pace import SUSPECT_SAMPLE, percentile, startable
from jobs.rollouts.sight import Counts, Sight, is_paused
from jobs.rollouts.strategy import Starts
from jobs.rollouts.windows import FOREVER_US, opening
from jobs.states import WaitReason
from jobs.store.rollouts import RolloutJob

RAMP: Final = "ramp"
"""Under this fact: starts that are free, and when that was counted."""

RAMP_SAVES_S: Final = 1.0
"""Starts that were not used for this long are kept, at least one."""


@dataclass(slots=True, kw_only=True)
class Admission:
    """What may start now.

    Attributes:
        jobs: Those that leave the line.
        holds: What keeps the others in it.
        closed: Whether time alone holds all of them, so that none may start before it passes.
        ramp: The ramp's fact afterwards; None without a ramp.
        short: Whether jobs further back in the line might have had room.
    """

    jobs: list[JobId] = field(default_factory=list)
    holds: list[Hold] = field(default_factory=list)
    closed: bool = False
    ramp: Mapping[str, Any] | None = None
    short: bool = False


def admit(
    course: Course, sight: Sight, wave: WaveCourse, counted: Counts, ramp: Mapping[str, Any] | None
) -> Admission:
    """Choose the jobs of *wave* that start now; *ramp* is the fact that the last look left."""
    found = Admission()
    waiting = _candidates(sight, wave)
    if not waiting:
        return found
    room = _room(course, sight, wave, counted, found)
    starts = course.budgets.starts
    tokens = float(room) if starts is None else _tokens(starts, sight, counted, ramp)
    free = min(room, int(tokens))
    if starts is not None and free < room:
        found.holds.append(_ramp_hold(starts, sight, wave, counted, tokens))
    picker = _Picker(course, sight, wave)
    for job in waiting:
        if len(found.jobs) >= free:
            break
        if picker.takes(job):
            found.jobs.append(job.job)
    else:
        found.short = len(found.jobs) < free
    found.holds += picker.holds(waiting)
    found.closed = picker.all_closed(waiting)
    if starts is not None:
        found.ramp = {"free": tokens - len(found.jobs), "at_us": sight.now_us}
    return found


def _candidates(sight: Sight, wave: WaveCourse) -> list[RolloutJob]:
    """Return the jobs that may be admitted: those that came back first, then the line."""
    again = sorted(
        (job for job in sight.flying if is_paused(job)), key=lambda job: (job.wave, job.rank)
    )
    return [*again, *(job for job in sight.line if job.wave == wave.n)]


def _room(course: Course, sight: Sight, wave: WaveCourse, counted: Counts, found: Admission) -> int:
    """Return how many jobs the rules and the rollout's own budgets let start."""
    flying = counted.rollout.in_flight
    budget = course.budgets.concurrency
    room = startable(wave.rules, counted.wave, counted.rollout, budget, bounded=course.bounded)
    told = found.holds
    if counted.suspects and not room and flying < budget:
        text = f"holding: {counted.suspects} pools take longer than usual"
        told.append(Hold(reason=WaitReason.CONCURRENCY, text=text, wave=wave.n))
    elif not room:
        text = f"{flying} of at most {budget} jobs are under way"
        if flying < budget:
            text = f"{flying} jobs are under way, as many as may still fail"
        told.append(Hold(reason=WaitReason.CONCURRENCY, text=text, wave=wave.n))
    if course.may_be_down is not None:
        broken = sum(one.tally.failed + one.tally.unresolved for one in sight.row.waves)
        left = course.may_be_down - course.down - broken - flying
        if left < room:
            text = (
                f"maxUnavailable is {course.may_be_down}: {course.down} pools were not Running "
                f"before, {broken} broke, {flying} are being changed"
            )
            told.append(Hold(reason=WaitReason.CONCURRENCY, text=text, wave=wave.n))
            room = max(0, left)
    return room


def _per_second(starts: Starts, counted: Counts) -> float:
    succeeded = max(0, counted.rollout.succeeded)
    steps = min(succeeded // starts.every_succeeded, 100)
    rate = min(starts.per_minute * starts.factor**steps, starts.max or float("inf"))
    return rate / 60


def _tokens(starts: Starts, sight: Sight, counted: Counts, ramp: Mapping[str, Any] | None) -> float:
    """Return how many starts the ramp has free now."""
    if ramp is None:
        return 1.0
    rate = _per_second(starts, counted)
    passed_s = max(0, sight.now_us - ramp["at_us"]) / MICROSECONDS
    return float(min(ramp["free"] + passed_s * rate, max(1.0, RAMP_SAVES_S * rate)))


def _ramp_hold(
    starts: Starts, sight: Sight, wave: WaveCourse, counted: Counts, tokens: float
) -> Hold:
    rate = _per_second(starts, counted)
    until_us = sight.now_us + seconds_to_us((int(tokens) + 1 - tokens) / rate)
    text = f"the ramp lets {rate * 60:g} jobs start in a minute"
    return Hold(reason=WaitReason.CONCURRENCY, text=text, wave=wave.n, until_us=until_us)


class _Picker:
    """Room by project, by region and in the windows, while jobs are taken one by one."""

    def __init__(self, course: Course, sight: Sight, wave: WaveCourse) -> None:
        self._course = course
        self._now_us = sight.now_us
        self._wave = wave
        flying = [job for job in sight.flying if not is_paused(job)]
        self._projects = Counter(job.target.project_id for job in flying)
        self._regions = Counter(job.target.region for job in flying)
        self._needs_s = _needs_s(sight)
        self._unheld = glass_is_broken(sight.row.facts)
        self._closed: dict[str | None, Hold | None] = {}
        self._full: dict[str, Hold] = {}

    def takes(self, job: RolloutJob) -> bool:
        """Whether there is room for the job; it has it then."""
        budgets = self._course.budgets
        project, region = job.target.project_id, job.target.region
        if self.closed(region) is not None:
            return False
        if not self._has_room("project", project, self._projects[project], budgets.per_project):
            return False
        named = region or "its only region"
        if not self._has_room("region", named, self._regions[region], budgets.per_region):
            return False
        self._projects[project] += 1
        self._regions[region] += 1
        return True

    def _has_room(self, what: str, name: str, flying: int, most: int | None) -> bool:
        if most is None or flying < most:
            return True
        text = f"{what} {name} has {flying} of at most {most} jobs under way"
        self._full[name] = Hold(reason=WaitReason.CONCURRENCY, text=text, wave=self._wave.n)
        return False

    def closed(self, region: str | None) -> Hold | None:
        """Return what keeps the region closed now; None when jobs may start there."""
        if region not in self._closed:
            self._closed[region] = self._look(region)
        return self._closed[region]

    def _look(self, region: str | None) -> Hold | None:
        if self._unheld:
            return None
        found = opening(self._course.calendar, region or "", self._now_us)
        until_us = None if found.until_us >= FOREVER_US else found.until_us
        reason, text = WaitReason.WINDOW, "outside every window"
        if found.is_open:
            ends_us = self._now_us + seconds_to_us(self._needs_s)
            if not self._course.fits or until_us is None or ends_us <= until_us:
                return None
            most = duration_text(self._needs_s)
            text = f"the window closes at {iso(until_us)}, and a job may take {most}"
            return Hold(reason=reason, text=text, wave=self._wave.n, until_us=until_us)
        if found.closed_by is not None:
            why = f" ({found.closed_by.reason})" if found.closed_by.reason else ""
            reason, text = WaitReason.FREEZE, f"freeze {found.closed_by.name}{why}"
        if until_us is not None:
            text += f"; it opens at {iso(until_us)}"
        return Hold(reason=reason, text=text, wave=self._wave.n, until_us=until_us)

    def holds(self, waiting: list[RolloutJob]) -> list[Hold]:
        """Return what keeps some of the jobs in line, each thing once with its regions."""
        regions = sorted({job.target.region or "" for job in waiting})
        shut: dict[Hold, list[str]] = {}
        for region in regions:
            hold = self.closed(region or None)
            if hold is not None:
                shut.setdefault(hold, []).append(region)
        told = [
            hold if len(names) == len(regions) else _only(hold, names)
            for hold, names in shut.items()
        ]
        return told + list(self._full.values())

    def all_closed(self, waiting: list[RolloutJob]) -> bool:
        """Whether time holds every one of the jobs."""
        return all(self.closed(region) for region in {job.target.region for job in waiting})


def _needs_s(sight: Sight) -> float:
    """Return how long a job most likely takes at most."""
    if len(sight.successes_s) < SUSPECT_SAMPLE:
        return SLOW_S
    return percentile(sight.successes_s, 95)


def _only(hold: Hold, regions: list[str]) -> Hold:
    return replace(hold, text=f"{', '.join(regions)}: {hold.text}")
