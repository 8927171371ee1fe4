"""A random walk: one job, led by the real rules through a cloud that lies, loses and delays.

The walk acts as the executor does (intent first, then the send, then the outcome) and knows
the truth, so it can say when a promise is broken.  Everything is drawn from one seed, and a
broken promise prints the seed and the way that led there.

What it assumes is what the product states: an effect comes within `settle` of when the
answer was known to be lost or accepted, a read lags by less than the second look is apart,
and nobody else changes the plug-in between our last read and our send.
"""

import random
from dataclasses import dataclass, replace
from typing import Final

from jobs.clock import MICROSECONDS, seconds_to_us
from jobs.decide import Answered, Move, Offered, Rules, Seen, Step, first_look, next_move
from jobs.inputs import contains, merged
from jobs.model import Inputs, InputsBase, Job, PoolRead, Progress
from jobs.outcomes import Answer, Outcome, PostVerdict
from jobs.pacing import Limit
from jobs.sightings import as_wanted
from jobs.states import FINAL_STATES, GOOD_STATES, JobEvent, JobState, next_state
from tests.builders import NOON_US, a_job, a_request
from tests.rules.fates import DEFAULTS_OFFERED, Fate, Script, draw_course, draw_script
from tests.rules.model_cloud import ModelCloud, Sent

PLUGIN: Final = "node-local-dns"
SETTLE_S: Final = 90.0
SEND_WINDOW_S: Final = 1.0
"""How long the executor lets a committed intent leave."""


class BrokenPromiseError(AssertionError):
    """The rules did what they must never do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """How a walk ended."""

    state: JobState
    cause: str | None
    sends: int
    steps: int


class Walk:
    """One job from its first claim to its final state."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.rng = random.Random(seed)
        self.script: Script = draw_script(self.rng, PLUGIN)
        self.now_us = NOON_US
        self.deadline_us = NOON_US + seconds_to_us(self.script.deadline_s)
        self.faults_until_us = NOON_US + seconds_to_us(self.script.faults_s)
        self.cloud = ModelCloud(PLUGIN, None)
        self.script.begin(self.cloud, NOON_US)
        self.rules = Rules(
            settle_s=SETTLE_S,
            poll_first_s=self.script.poll_first_s,
            read_first=self.script.read_first,
            rng=random.Random(seed),
        )
        wish = self.script.wish
        self.job: Job = a_job(
            JobState.CHECKING,
            request=a_request(
                plugin=PLUGIN, version=wish.version, inputs=wish.inputs, base=wish.base
            ),
            started_us=NOON_US,
            deadline_us=self.deadline_us,
        )
        self.stored = self.job.progress
        self.view_us = 0
        self.conflicts = 0
        self.excused = self.script.excused
        """Whether something happened after which the job need not succeed."""

        self.steps = 0
        self.trace: list[str] = [f"{self.script}"]

    def run(self) -> Report:
        """Lead the job to its end.

        Raises:
            BrokenPromiseError: If it got there by a forbidden way, or not at all.
        """
        move = self._claimed()
        while self.job.state not in FINAL_STATES:
            self.steps += 1
            over_us = max(self.deadline_us, self.faults_until_us)
            late_us = over_us + seconds_to_us(SETTLE_S + 32 + 5 + 150)
            self._demand(self.now_us <= late_us, "it still runs long after its deadline")
            self._demand(self.steps < 5000, "it never ends")
            move = self._step(move)
        self._check_end()
        progress = self.job.progress
        return Report(
            state=self.job.state, cause=progress.cause, sends=progress.sends, steps=self.steps
        )

    # -- what an executor does ----------------------------------------------------------

    def _step(self, move: Move) -> Move:
        if self.job.state is JobState.WAITING:
            return self._rest(move)
        self._demand(move.step is not Step.REST, "a job in hand rests")
        self._wait(move)
        if self._faulty() and self.rng.random() < self.script.death:
            return self._died()
        match move.step:
            case Step.LOOK:
                return self._decide(self._look())
            case Step.OFFERS:
                return self._decide(self._offers())
            case _:
                return self._send()

    def _wait(self, move: Move) -> None:
        ahead_us = max(move.at_us - self.now_us, 0)
        early = self.script.impatient and self.job.state is JobState.UNKNOWN
        if early and ahead_us > seconds_to_us(1):
            ahead_us = int(ahead_us * self.rng.choice((0.3, 0.9, 1.0)))
        self.now_us += ahead_us

    def _decide(self, seen: Seen) -> Move:
        while True:
            move = next_move(self.job, seen, self.now_us, self.rules)
            self._apply(move)
            if not move.again or self.job.state in FINAL_STATES:
                return move

    def _apply(self, move: Move) -> None:
        old = self.job
        state = old.state if move.event is None else next_state(old.state, move.event)
        frozen = old.progress.version
        self._demand(frozen in (None, move.progress.version), "the frozen version changed")
        waits = move.event is not None and state is JobState.WAITING
        self._demand(waits == (move.reason is not None), "a reason without a wait, or none")
        ends = waits or state in FINAL_STATES
        self._demand(ends == (move.step is Step.REST), "it rests in a worker's hands")
        if old.state is JobState.UNKNOWN and state not in {JobState.UNKNOWN, JobState.WATCHING}:
            late = self.cloud.comes_later(self.now_us)
            self._demand(not late, "it was let go while its send could still take effect")
        if move.event is not None or move.save:
            self.stored = move.progress
        self.job = replace(old, state=state, progress=move.progress)
        self._note(f"{move.event or '-'} {move.step} {move.reason or ''}")

    def _event(self, event: JobEvent, progress: Progress | None = None) -> None:
        progress = progress or self.job.progress
        self.stored = progress
        self.job = replace(self.job, state=next_state(self.job.state, event), progress=progress)
        self._note(f"{event}")

    def _claimed(self) -> Move:
        if self._cancels():
            self.job = replace(self.job, cancel_asked=True)
            self._note("cancel asked")
        move = first_look(self.job, self.now_us, self.rules)
        self.job = replace(self.job, progress=move.progress)
        return move

    def _rest(self, move: Move) -> Move:
        if self._cancels():
            self._event(JobEvent.CANCELLED)
            return move
        if self.script.meddles:
            self._meddle()
        lag_us = seconds_to_us(self.script.lag_s)
        self.now_us = max(self.now_us, move.at_us) + lag_us + self._some(0.1, 2.0)
        self._event(JobEvent.DUE)
        self._event(JobEvent.CLAIMED)
        return self._claimed()

    def _died(self) -> Move:
        """Let the worker die or drain; what was not written down is lost."""
        if self.rng.random() < 0.5:
            self.job = replace(self.job, progress=self.stored)
            self._event(JobEvent.LEASE_LOST)
        else:
            self._event(JobEvent.HANDED_BACK)
        self.now_us += self._some(0.5, 60.0)
        self._event(JobEvent.CLAIMED)
        return self._claimed()

    # -- the wire -----------------------------------------------------------------------

    def _look(self) -> Seen:
        asked_us = self.now_us
        self.now_us += self._some(0.02, 0.5)
        if self._cancels():
            self.job = replace(self.job, cancel_asked=True)
            self._note("cancel asked")
        if self._faulty() and self.rng.random() < self.script.read_fails:
            return self._failed_read()
        lag_s = self.script.lag_s
        shown_us = asked_us - self._some(0.0, lag_s) if lag_s else self.now_us
        self.view_us = shown_us
        plugin = self.cloud.at(shown_us)
        self._note(f"saw {plugin and (plugin.phase, plugin.version)}")
        return PoolRead(asked_us=asked_us, plugins={} if plugin is None else {PLUGIN: plugin})

    def _failed_read(self) -> Answer:
        outcome = self.rng.choice(self.script.read_outcomes)
        self._note(f"read failed: {outcome}")
        wish_s = self.rng.choice((None, None, 3.0, 40.0))
        return Answer(outcome=outcome, sent=True, retry_after_s=wish_s)

    def _offers(self) -> Seen:
        self.now_us += self._some(0.02, 0.5)
        if self._faulty() and self.rng.random() < self.script.read_fails:
            return self._failed_read()
        newer = ("3.0",) if self.now_us > self.script.newer_us else ()
        return Offered(versions=(*newer, "2.0", "1.0"), defaults=DEFAULTS_OFFERED)

    def _send(self) -> Move:
        self.now_us += self._some(0.0, 0.3)  # it waits for its turn
        until_us = min(self.now_us + seconds_to_us(SEND_WINDOW_S), self.deadline_us)
        progress = replace(
            self.job.progress,
            sends=self.job.progress.sends + 1,
            sent_us=until_us,
            not_before_us=until_us + seconds_to_us(SETTLE_S),
            accepted_us=None,
            no_effect_us=None,
        )
        cancelled = self.job.cancel_asked
        self._event(JobEvent.INTENDED, progress)
        left_us = self.now_us + int((until_us - self.now_us) * self.rng.random() * 0.5)
        self._check_send(left_us, cancelled=cancelled)
        faulty = self._faulty()
        fate = self.script.next_fate() if faulty else Fate(outcome=Outcome.OK)
        if self.cloud.is_busy(left_us):
            fate = Fate(outcome=Outcome.CONFLICT, effect="never")
        return self._fulfil(fate, left_us)

    def _fulfil(self, fate: Fate, left_us: int) -> Move:
        """Let the request arrive, take its effect, and be answered, or not."""
        self.now_us = left_us + self._some(0.05, 29.0 if fate.is_lost else 2.0)
        known_us = self.now_us if fate.outcome is not None else left_us
        effect_us = self._effect_us(fate, left_us, known_us)
        progress = self.job.progress
        assert progress.version is not None
        sent = Sent(
            at_us=left_us,
            version=progress.version,
            inputs=progress.inputs or {},
            effect_us=effect_us,
        )
        course = draw_course(
            self.rng,
            fate,
            before=self.cloud.at(left_us),
            unseen=not progress.checked,
            lag_s=self.script.lag_s,
        )
        self.cloud.take(sent, course)
        effect_s = None if effect_us is None else (effect_us - NOON_US) / MICROSECONDS
        self._note(f"sent: {fate} takes effect at {effect_s}")
        self._excuse(fate)
        if fate.outcome is None:
            return self._died()
        answer = Answer(
            outcome=fate.outcome,
            sent=True,
            retry_after_s=self.rng.choice((None, None, 5.0, 60.0)),
            limit=self.rng.choice((None, Limit(count=5))),
        )
        return self._decide(Answered(answer=answer, sent_us=left_us))

    def _effect_us(self, fate: Fate, left_us: int, known_us: int) -> int | None:
        """Return when the request takes effect, within what the product assumes."""
        latest_us = known_us + seconds_to_us(SETTLE_S)
        before = self.cloud.at(left_us)
        progress = self.job.progress
        if fate.outcome is Outcome.OK and not progress.checked and before is not None:
            # An acceptance of which no sign can be told from before is trusted after a dwell.
            within_s = 5.0 if before.phase == "Running" else 15.0
            latest_us = known_us + seconds_to_us(within_s)
        match fate.effect:
            case "never":
                return None
            case "now":
                return min(left_us + self._some(0.0, 1.0), latest_us)
            case "flash" if fate.outcome is Outcome.OK:
                # A first look that comes later than this is believed at once.
                return min(known_us + self._some(0.0, 3.0), latest_us)
            case "late":
                return left_us + int((latest_us - left_us) * self.rng.random())
            case _:
                return latest_us - self._some(0.0, 1.2)

    def _excuse(self, fate: Fate) -> None:
        if fate.outcome is Outcome.CONFLICT:
            self.conflicts += 1
        refused = fate.verdict is PostVerdict.FAIL or fate.outcome is Outcome.UNKNOWN_REFUSAL
        if refused or fate.breaks or self.conflicts >= 3:
            self.excused = True

    def _meddle(self) -> None:
        """Let somebody else change inputs that are not ours, long before our next read."""
        plugin = self.cloud.at(self.now_us)
        settled = self.cloud.settled_us() <= self.now_us and plugin is not None
        if not settled or plugin is None or plugin.phase != "Running" or plugin.inputs is None:
            return
        mark = self.rng.randrange(1000)
        changed = replace(plugin, inputs={**plugin.inputs, "keep": f"changed {mark}"})
        self.cloud.show(self.now_us, changed)
        self._note("somebody changed inputs")

    # -- what must hold -----------------------------------------------------------------

    def _check_send(self, left_us: int, *, cancelled: bool) -> None:
        again = self.cloud.has_effect()
        self._demand(not again, "sent again although an earlier send has an effect")
        self._demand(not cancelled, "sent after a cancel")
        self._demand(left_us <= self.deadline_us, "sent after the deadline")
        progress, wish = self.job.progress, self.script.wish
        busy = progress.checked and self.cloud.is_busy(left_us)
        seen_busy = busy and self.cloud.since(left_us) < self.view_us
        self._demand(not seen_busy, "sent into a change in progress")
        sent = progress.inputs or {}
        self._demand(contains(sent, wish.inputs or {}), "our own inputs are not in the request")
        installed = self.cloud.at(left_us)
        if wish.base is not InputsBase.CURRENT or installed is None:
            return
        self._demand(installed.inputs is not None, "sent without knowing the installed inputs")
        full = merged(installed.inputs or {}, wish.inputs)
        self._demand(contains(sent, full), "a customer's input would be reset")

    def _check_end(self) -> None:
        progress, wish = self.job.progress, self.script.wish
        effect = self.cloud.has_effect()
        match self.job.state:
            case JobState.SUCCEEDED:
                there = self._runs(progress.inputs or wish.inputs)
                self._demand(there, "succeeded, and the plug-in is not as wanted")
                settled = self.cloud.settled_us() <= self.now_us
                self._demand(settled, "succeeded before the change had ended")
            case JobState.UNCHANGED:
                there = self._runs(wish.inputs)
                self._demand(there, "unchanged, and the plug-in is not as wanted")
                self._demand(not effect, "unchanged, although it changed something")
            case JobState.CANCELLED:
                self._demand(not effect, "cancelled, although it changed something")
            case JobState.FAILED:
                self._check_failure(progress.cause)
            case _:
                pass
        excused = self.excused or self.job.state is JobState.CANCELLED
        good = self.job.state in GOOD_STATES
        self._demand(good or excused, "it had no reason not to succeed")

    def _runs(self, inputs: Inputs | None) -> bool:
        """Whether at this moment the plug-in runs at the wanted version with *inputs*."""
        plugin = self.cloud.at(self.now_us)
        if plugin is None or plugin.phase != "Running":
            return False
        return as_wanted(plugin, self.job.progress.version, inputs)

    def _check_failure(self, cause: str | None) -> None:
        end = self.cloud.end()
        if cause == "abnormal":
            broken = end is not None and end.phase == "Abnormal"
            self._demand(broken, "failed as Abnormal, and the plug-in recovers")
        elif cause in {"no-effect", "attempts-spent", "inputs-unreadable"}:
            self._demand(not self.cloud.has_effect(), f"{cause}, although a send had an effect")
        elif cause in {"externally-deleted", "changed-by-others"}:
            self._demand(condition=False, what=f"{cause}, and nobody else was there")

    # -- small things -------------------------------------------------------------------

    def _faulty(self) -> bool:
        return self.now_us < self.faults_until_us

    def _cancels(self) -> bool:
        at_us = self.script.cancel_us
        due = at_us is not None and NOON_US + at_us <= self.now_us
        open_ = self.job.state in {JobState.CHECKING, JobState.WAITING}
        return due and open_ and not self.job.cancel_asked

    def _some(self, least_s: float, most_s: float) -> int:
        return seconds_to_us(self.rng.uniform(least_s, most_s))

    def _note(self, text: str) -> None:
        at_s = (self.now_us - NOON_US) / MICROSECONDS
        self.trace.append(f"{at_s:9.2f} {self.job.state:<10} {text}")

    def _demand(self, condition: bool, what: str) -> None:  # noqa: FBT001 - it reads as a sentence
        if not condition:
            way = "\n".join(self.trace[:1] + self.trace[-60:])
            raise BrokenPromiseError(f"{what} (seed {self.seed})\n{way}")
