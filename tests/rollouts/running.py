"""A rollout on a fast model: the real decisions, jobs that end by a seed, no store and no wait.

What the store does with a decision is done by the store's own rules (`jobs.store.steering`);
only its tables are dictionaries here.
"""

import heapq
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from jobs.clock import seconds_to_us
from jobs.model import JobId, RolloutId, Target, WorkerId
from jobs.rollout_states import LIVE_ROLLOUTS, RolloutEvent, RolloutState, WaveState
from jobs.rollouts.advancing import Decision, decide
from jobs.rollouts.course import Course, course_of
from jobs.rollouts.observed import Observed
from jobs.rollouts.plan import Plan
from jobs.rollouts.sight import Sight, turn
from jobs.states import JobState, WaitReason
from jobs.store.ordering import ordered
from jobs.store.rollouts import (
    GOES_ON,
    Advance,
    LineStop,
    Order,
    OrderKind,
    RolloutJob,
    RolloutKind,
    RolloutRow,
    Tally,
    WaveRow,
    Word,
)
from jobs.store.steering import advanced
from tests.builders import NOON_US, PROJECT
from tests.rollouts.building import a_pool

REGIONS = ("ap-southeast-3", "cn-east-3", "cn-north-4")
LINE = 1000


def three_regions(size: int) -> list[Observed]:
    """Return *size* pools over three regions and four projects."""
    return [
        a_pool(number, region=REGIONS[number % 3], project=f"{number % 4:x}" + PROJECT[1:])
        for number in range(size)
    ]


@dataclass
class Fate:
    """How long a job takes, and whether it fails; None lets it hang."""

    takes_s: float
    fails: bool


Fates = Callable[[random.Random], Fate]


def failing(rate: float, *, slower: float = 1.0) -> Fates:
    """Return fates of which *rate* fail, *slower* times slower than a success."""

    def fate(chance: random.Random) -> Fate:
        takes_s = 60.0 * chance.uniform(0.7, 1.3)
        fails = chance.random() < rate
        return Fate(takes_s * slower if fails else takes_s, fails)

    return fate


@dataclass
class ModelRollout:
    """One rollout; `run` takes it to its end, or until nothing can go on by itself."""

    plan: Plan
    fates: Fates
    chance: random.Random
    now_us: int = NOON_US
    look: Callable[["ModelRollout"], None] = lambda _: None
    course: Course = field(init=False)
    row: RolloutRow = field(init=False)
    line: list[list[RolloutJob]] = field(init=False)
    flying: dict[JobId, RolloutJob] = field(default_factory=dict)
    sent: dict[JobId, int] = field(default_factory=dict)
    decided: list[tuple[Sight, Decision]] = field(default_factory=list)
    last: Decision = field(default_factory=Decision)
    line_stop: LineStop = GOES_ON

    def __post_init__(self) -> None:
        self.course = course_of(self.plan)
        self._ends: list[tuple[int, JobId, bool]] = []
        waves = [wave.name for wave in self.plan.waves]
        acting = sorted(self.plan.acting, key=lambda row: row.place or 0)
        self.line = [[] for _ in waves]
        for number, row in enumerate(acting, start=1):
            wave = waves.index(row.wave or "")
            self.line[wave].append(_waiting(JobId(number), wave, (row.place or 1) - 1, row.target))
        self.row = RolloutRow(
            id=RolloutId(1),
            name=self.plan.name,
            kind=RolloutKind.ROLLOUT,
            plan=self.plan.digest,
            state=RolloutState.WAITING,
            rev=1,
            created_us=self.now_us,
            expires_us=self.now_us + seconds_to_us(self.course.expires_s),
            waves=tuple(
                WaveRow(
                    n=n,
                    state=WaveState.PENDING,
                    tally=Tally(size=len(jobs)),
                    written=len(jobs),
                )
                for n, jobs in enumerate(self.line)
            ),
        )

    @property
    def state(self) -> RolloutState:
        """Where it is."""
        return self.row.state

    @property
    def broken(self) -> int:
        """Jobs that failed."""
        return sum(wave.tally.failed for wave in self.row.waves)

    @property
    def ended(self) -> int:
        """Jobs that are final."""
        return sum(wave.tally.ended for wave in self.row.waves)

    def sight(self) -> Sight:
        """Return what a look sees now."""
        first = turn(self.row)
        line = [] if first is None else self.line[first.n][:LINE]
        if self.state is RolloutState.ABORTING:
            line = [job for jobs in self.line for job in jobs][:LINE]
        return Sight(
            row=self.row,
            now_us=self.now_us,
            flying=tuple(self.flying.values()),
            line=tuple(line),
            successes_s=(60.0,) * 20,
            line_stop=self.line_stop,
        )

    def order(
        self,
        kind: OrderKind,
        wave: int | None = None,
        *,
        by: str = "ana",
        **more: Any,
    ) -> None:
        """A person orders something."""
        word = Word(by=by, why="INC-1")
        wanted = Order(rollout=self.row.id, kind=kind, word=word, wave=wave, **more)
        found = ordered(self.row, wanted, self.now_us)
        if found is not None:
            self.row = found.row

    def run(self, most: int = 100_000) -> RolloutState:
        """Go on until it has ended, or only a person can let it go on."""
        for _ in range(most):
            self.look_once()
            if self.state not in LIVE_ROLLOUTS or not self._pass_time():
                return self.state
        raise AssertionError("it never ends")

    def look_once(self) -> None:
        """Decide and apply until nothing moves at this instant."""
        while True:
            sight = self.sight()
            self.last = decide(self.course, sight)
            self.decided.append((sight, self.last))
            if self.last.change is None:
                return
            self._apply(self.last.change)
            self.look(self)

    def _apply(self, change: Advance) -> None:
        self.row = advanced(self.row, replace(change, worker=WorkerId(1)), self.now_us).row
        chosen = set(change.admit)
        for job in [one for one in self.flying.values() if one.job in chosen]:
            assert job.reason is WaitReason.PAUSED
            self._start(job)
        for n, jobs in enumerate(self.line):
            leaving = [job for job in jobs if job.job in chosen]
            if leaving:
                assert self.row.waves[n].state is WaveState.RUNNING
                self.line[n] = [job for job in jobs if job.job not in chosen]
                self.count(n, admitted=len(leaving))
                for job in leaving:
                    self._start(job)
        self._cancel(change.cancel)

    def _start(self, job: RolloutJob) -> None:
        assert job.job not in self.sent
        self.sent[job.job] = self.now_us
        now = self.now_us
        self.flying[job.job] = replace(
            job, state=JobState.WATCHING, reason=None, since_us=now, started_us=now
        )
        fate = self.fates(self.chance)
        heapq.heappush(self._ends, (now + seconds_to_us(fate.takes_s), job.job, fate.fails))

    def _cancel(self, count: int) -> None:
        idle = [job for job in self.flying.values() if job.state is JobState.WAITING]
        for job in idle[:count]:
            del self.flying[job.job]
            self.count(job.wave, cancelled=1)
        count -= min(count, len(idle))
        for n, jobs in enumerate(self.line):
            gone = min(count, len(jobs))
            del jobs[:gone]
            self.count(n, cancelled=gone, admitted=gone)
            count -= gone

    def count(self, wave: int, **more: int) -> None:
        """Add to the tally of a wave."""
        row = self.row.waves[wave]
        tally = replace(row.tally, **{k: getattr(row.tally, k) + v for k, v in more.items()})
        ended_us = self.now_us if tally.ended == tally.size else None
        waves = list(self.row.waves)
        waves[wave] = replace(row, tally=tally, ended_us=row.ended_us or ended_us)
        self.row = replace(self.row, waves=tuple(waves))

    def _pass_time(self) -> bool:
        """Let the next thing happen: a job ends, or it is time to look again."""
        again_us = self.last.again_us
        next_us = self._ends[0][0] if self._ends else None
        if next_us is None and again_us is None:
            return False
        if next_us is None or (again_us is not None and again_us < next_us):
            if not self._ends and self.state is RolloutState.PAUSED:
                return False
            assert again_us is not None
            self.now_us = max(self.now_us, again_us)
            return True
        self.now_us, job, fails = heapq.heappop(self._ends)
        gone = self.flying.pop(job)
        if fails:
            self.count(gone.wave, failed=1, failures=1)
        else:
            self.count(gone.wave, succeeded=1)
        return True


def _waiting(job: JobId, wave: int, rank: int, target: Target) -> RolloutJob:
    return RolloutJob(
        job=job,
        wave=wave,
        rank=rank,
        target=target,
        state=JobState.WAITING,
        reason=WaitReason.WAVE,
    )


def events_of(model: ModelRollout) -> Sequence[RolloutEvent]:
    """Return the rollout's own moves in order."""
    return [
        event for _, one in model.decided if one.change is not None for event, _ in one.change.moves
    ]
