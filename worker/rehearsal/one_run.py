"""One rehearsal of one rollout with one seed: from its first look to its end, or to its stop."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from jobs.clock import MICROSECONDS, seconds_to_us
from jobs.decide import Rules
from jobs.model import Job
from jobs.pacing import Pace
from jobs.rollout_states import LIVE_ROLLOUTS, RolloutState
from jobs.rollouts.advancing import STOPPED, Decision, decide
from jobs.rollouts.course import Course
from jobs.rollouts.plan import Plan
from jobs.rollouts.sight import turn
from jobs.rollouts.windows import Calendar, opening
from jobs.states import FINAL_STATES, WaitReason
from worker.executor import Executor, Held
from worker.rehearsal.agenda import Agenda
from worker.rehearsal.book import Book
from worker.rehearsal.fates import Fates
from worker.rehearsal.requests import RehearsedRequests

LINE: Final = 100
"""Jobs of a line that a look sees first; ten times more when all of these have no room."""

MINUTE_US: Final = 60 * MICROSECONDS


@dataclass(frozen=True, slots=True, kw_only=True)
class Circumstances:
    """What is the same in every run of a rehearsal.

    Attributes:
        plan: What is rolled out.
        course: The same as it is run.
        rules: How patient a job is; its chance is the run's own.
        pace: How fast requests may follow each other.
        start_us: When it begins.
        approval_s: How long persons take to approve.
    """

    plan: Plan
    course: Course
    rules: Rules
    pace: Pace
    start_us: int
    approval_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How one run ended.

    Attributes:
        state: The rollout's last state.
        stopped_by: The rule that stopped it; None when none did.
        stopped_wave: In which wave that was.
        broken: Pools that the cloud left broken.
        failed: Jobs that ended badly.
        ended: Jobs that are final.
        took_s: From its start to its end or stop.
        calls: Requests.
        peak_calls: The most of them within a minute, wherever that begins.
        starts_us: When each job started, in order, with its region.
    """

    state: RolloutState
    stopped_by: str | None
    stopped_wave: int | None
    broken: int
    failed: int
    ended: int
    took_s: float
    calls: int
    peak_calls: int
    starts_us: Sequence[tuple[int, str]]

    @property
    def finished(self) -> bool:
        """Whether every wave was gone through, whatever failed on the way."""
        return self.state in {RolloutState.SUCCEEDED, RolloutState.PARTIAL}


def run_once(around: Circumstances, fates: Fates) -> Ending:
    """Rehearse a rollout once."""
    return _Run(around, fates).run()


class _Run:
    """The parts of one run."""

    def __init__(self, around: Circumstances, fates: Fates) -> None:
        self._around = around
        self._before_s = fates.successes_s
        self._agenda = Agenda(around.start_us)
        self._requests = RehearsedRequests(around.plan, self._agenda, fates, around.pace)
        self._book = Book(around.plan, around.course, self._agenda)
        rules = replace(around.rules, rng=fates.chance())
        self._executor = Executor(self._book, self._agenda, rules)
        self._starts_us: list[tuple[int, str]] = []
        self._asked: set[tuple[int, bool]] = set()
        self._looks_us: int | None = None

    def run(self) -> Ending:
        """Go on until the rollout has ended, or only a person can let it go on."""
        self._look()
        while self._goes_on() and self._agenda.step():
            pass
        row = self._book.row
        stop = row.facts.get(STOPPED)
        requests = self._requests
        return Ending(
            state=row.state,
            stopped_by=None if stop is None else stop["rule"],
            stopped_wave=None if stop is None else stop["wave"],
            broken=len(requests.broken),
            failed=sum(wave.tally.failures for wave in row.waves),
            ended=sum(wave.tally.ended for wave in row.waves),
            took_s=(self._agenda.now_us() - self._around.start_us) / MICROSECONDS,
            calls=len(requests.sent_us),
            peak_calls=_most_within(requests.sent_us, MINUTE_US),
            starts_us=self._starts_us,
        )

    def _goes_on(self) -> bool:
        state = self._book.row.state
        return state in LIVE_ROLLOUTS and state is not RolloutState.PAUSED

    def _look(self) -> None:
        """Decide and apply until nothing moves at this instant; `worker.conductor` does it so."""
        line = LINE
        while self._goes_on():
            sight = self._book.sight(line, self._before_s)
            decision = decide(self._around.course, sight)
            if decision.change is not None:
                for job in self._book.advance(decision.change):
                    self._claim(job)
            elif decision.short and len(sight.line) >= line:
                line *= 10
            else:
                self._look_again(decision)
                return

    def _look_again(self, decision: Decision) -> None:
        """Put down when to look although nothing changes, and ask for approvals that hold."""
        at_us = decision.again_us
        if at_us is not None and at_us != self._looks_us:
            self._looks_us = at_us
            self._agenda.at(at_us, partial(self._look_at, at_us))
        first = turn(self._book.row)
        waits = any(hold.reason is WaitReason.APPROVAL for hold in decision.holds)
        side = None if first is None else (first.n, first.opened_us is None)
        if waits and first is not None and side is not None and side not in self._asked:
            self._asked.add(side)
            when_us = self._agenda.now_us() + seconds_to_us(self._around.approval_s)
            self._agenda.at(when_us, partial(self._approve, first.n))

    def _look_at(self, at_us: int) -> None:
        if self._looks_us == at_us:  # else a later look has put another instant down
            self._looks_us = None
            self._look()

    def _approve(self, wave: int) -> None:
        self._book.approve(self._around.course.waves[wave])
        self._look()

    def _claim(self, job: Job) -> None:
        started = job.started_us is None
        claimed, lease = self._book.claim(job)
        if started:
            region = job.request.target.region or ""
            self._starts_us.append((self._agenda.now_us(), region))
        self._go_on(self._executor.begin(claimed, lease))

    def _go_on(self, held: Held) -> None:
        self._agenda.at(held.move.at_us, partial(self._step, held))

    def _step(self, held: Held) -> None:
        self._agenda.start(self._executor.advance(held, self._requests), self._stepped)

    def _stepped(self, outcome: Held | Job) -> None:
        if isinstance(outcome, Held):
            self._go_on(outcome)
            return
        if outcome.state not in FINAL_STATES and outcome.reason is not WaitReason.PAUSED:
            self._agenda.at(outcome.run_at_us or 0, partial(self._claim, outcome))
        self._look()


def _most_within(sorted_us: Sequence[int], span_us: int) -> int:
    """Return the most of the instants that lie within one span, wherever it begins."""
    most, first = 0, 0
    for last, at_us in enumerate(sorted_us):
        while at_us - sorted_us[first] >= span_us:
            first += 1
        most = max(most, last - first + 1)
    return most


def windows_used(calendar: Calendar, starts_us: Sequence[tuple[int, str]]) -> int:
    """Return in how many openings of the windows jobs were started; 0 without windows."""
    if not calendar.windows:
        return 0
    used: set[int] = set()
    until: dict[str, int] = {}
    for at_us, region in starts_us:
        if at_us >= until.get(region, 0):
            until[region] = opening(calendar, region, at_us).until_us
        used.add(until[region])
    return len(used)
