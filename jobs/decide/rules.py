"""The words in which decisions are made: what was seen, what comes next, and the patience."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Final

from jobs.changing import changed, swift
from jobs.clock import iso, seconds_to_us
from jobs.errors import RolloutHeldError
from jobs.model import (
    PROOFS,
    Inputs,
    Job,
    PluginSeen,
    PoolRead,
    Progress,
    RolloutId,
    Terms,
    rollout_name,
)
from jobs.outcomes import Answer
from jobs.retries import USUAL, Backoff, backoff_s
from jobs.sightings import Sighting, sighting
from jobs.states import JobEvent, WaitReason
from jobs.usual import UsualTimes

SOONER: Final = 0.15
"""How much later, as a part of the time since acceptance, the look after a look in vain is."""

USUAL_SLACK: Final = 0.02
"""A look that is earlier than the usual time by no more than this part of it is not repeated
for that: timers are a little early and late."""


class UpgradeCall(StrEnum):
    """Which call changes a plug-in that is installed; whether POST does is settled nowhere."""

    POST = "post"
    PATCH = "patch"
    AUTO = "auto"  # POST; PATCH when POST is refused or ignored, where the site has it


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """How patient we are; all in seconds.

    Attributes:
        settle_s: How long a lost answer may still take effect.
        poll_first_s: First look after acceptance.
        poll_factor: Growth of the interval between looks.
        poll_max_s: Longest interval between looks.
        usual: How long plug-ins usually take; None looks as if nobody knew.
        usual_max_s: Longest wait for a look at a plug-in whose usual time is known.
        stale_after_s: Accepted, and reads show no effect for that long: ask what happened.
        missing_after_s: How long an accepted plug-in may be missing from the list.
        abnormal_grace_s: Abnormal is final only after this long and ABNORMAL_READS reads.
        breaker_s: How long a job rests when its endpoint or credential is in trouble.
        attempts: Sends that may have had an effect before the job is given up.
        backoff: Waits between sends; None: the usual ones, and none after the proof that a send
            had no effect, which takes long enough.
        require: What a success needs, of `jobs.model.PROOFS`.
        steady_s: How long the target must be seen reached.
        skip_gone: Whether a job whose pool is gone is skipped.
        upgrade: How an installed plug-in is changed.
        read_first: Whether to read also when the request does not depend on what is there.
        rng: Where jitter comes from.
    """

    settle_s: float = 90.0
    poll_first_s: float = 5.0
    poll_factor: float = 1.5
    poll_max_s: float = 30.0
    usual: UsualTimes | None = None
    usual_max_s: float = 60.0
    stale_after_s: float = 300.0
    missing_after_s: float = 60.0
    abnormal_grace_s: float = 30.0
    breaker_s: float = 15.0
    attempts: int = 10
    backoff: Backoff | None = None
    require: frozenset[str] = frozenset(PROOFS)
    steady_s: float = 0.0
    skip_gone: bool = False
    upgrade: UpgradeCall = UpgradeCall.AUTO
    read_first: bool = True
    rng: random.Random = field(
        default_factory=lambda: random.Random(0)  # noqa: S311 - jitter, not a secret
    )

    @property
    def second_look_s(self) -> float:
        """How far apart the two reads are that prove a send had no effect.

        Five seconds (reliability notes, 1.3), less where the operator says that effects
        come sooner than that.
        """
        return min(5.0, self.settle_s)

    def send_again_s(self, failures: int) -> float:
        """Return the wait before a send that follows that many failed ones."""
        return backoff_s(failures, self.rng, backoff=self.backoff or USUAL)

    def poll_s(self, polls: int) -> float:
        """Return the interval after that many looks."""
        return min(self.poll_first_s * self.poll_factor ** min(polls, 60), self.poll_max_s)

    def look_s(self, progress: Progress, plugin: str, elapsed_s: float) -> float:
        """Return the wait for the next look at an accepted change.

        Where it is known how long the plug-in usually takes, the first look is made then, and
        each one after that comes SOONER of the time later: what is late is found soon.

        Args:
            progress: With the version that is wanted and the looks made so far.
            plugin: Which plug-in.
            elapsed_s: Since acceptance.
        """
        usual_s = None if self.usual is None else self.usual.seconds(plugin, progress.version)
        if usual_s is None:
            return self.poll_s(progress.polls)
        left_s = usual_s - elapsed_s
        if left_s > USUAL_SLACK * usual_s:
            return min(max(left_s, self.poll_first_s), max(self.usual_max_s, self.poll_first_s))
        return min(max(SOONER * elapsed_s, self.poll_first_s), self.poll_max_s)


def obeying(rules: Rules, terms: Terms) -> Rules:
    """Return *rules* with a job's own terms in place of the worker's settings."""
    return replace(
        rules,
        attempts=terms.attempts,
        backoff=terms.backoff,
        require=frozenset(terms.require),
        poll_first_s=terms.poll_first_s,
        poll_factor=terms.poll_factor,
        poll_max_s=terms.poll_max_s,
        usual_max_s=terms.poll_max_s,
        steady_s=terms.steady_s,
        abnormal_grace_s=terms.abnormal_grace_s,
        skip_gone=terms.skip_gone,
    )


@swift
@dataclass(frozen=True, kw_only=True)  # no slots: see jobs.changing
class Answered:
    """How our own send ended; *sent_us* is when its headers left, if they did."""

    answer: Answer
    sent_us: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Offered:
    """What a template offers this pool.

    Versions are newest first; ``defaults`` has the default inputs of those versions for
    which the template tells them.
    """

    versions: Sequence[str]
    defaults: Mapping[str, Inputs] = field(default_factory=dict, repr=False)


Seen = PoolRead | Answer | Answered | Offered
"""A read of the pool, a read that failed, the answer to our send, or a template's offer."""


class Step(StrEnum):
    """What the worker does next with the job."""

    LOOK = "look"  # read the pool's plug-ins
    OFFERS = "offers"  # read what the template offers this pool
    SEND = "send"  # commit the intent, then send
    REST = "rest"  # let go of it: it is final, or it waits in the store


@swift
@dataclass(frozen=True, kw_only=True)  # no slots: see jobs.changing
class Move:
    """One decision.

    Attributes:
        progress: Where the job stands now.
        step: What to do next.
        at_us: Not before this instant; 0 is at once, and with a reason to wait no time at all.
        event: The move in the state table, or None to stay.
        reason: Why it waits, with an event that leads to WAITING.
        again: Decide once more with the same read after the event is recorded.
        save: Write the progress down although the state stays.
        data: For the job's history: words and numbers, no inputs.
    """

    progress: Progress
    step: Step
    at_us: int = 0
    event: JobEvent | None = None
    reason: WaitReason | None = None
    again: bool = False
    save: bool = False
    data: Mapping[str, Any] = field(default_factory=dict)


def sighted(
    job: Job, plugin: PluginSeen | None, version: str | None, inputs: Inputs | None
) -> Sighting:
    """Reduce what was seen of the job's plug-in to one word.

    Who undoes a change wants exactly the inputs from before, whatever was sent.
    """
    wish = job.request.plugin
    if wish.restore is not None:
        return sighting(plugin, version, wish.inputs, exact=True)
    return sighting(plugin, version, inputs)


def past_deadline(job: Job, now_us: int) -> bool:
    """Whether the job's time is up."""
    return job.deadline_us is not None and now_us >= job.deadline_us


def sends_that_count(progress: Progress) -> int:
    """How many sends may have had an effect when they were made."""
    return progress.sends - progress.spared


def look_at(job: Job, now_us: int, wait_s: float) -> int:
    """Return when to look next: after *wait_s*, but at the deadline at the latest."""
    at_us = now_us + seconds_to_us(wait_s)
    if job.deadline_us is None or now_us >= job.deadline_us:
        return at_us
    return min(at_us, job.deadline_us)


def failed(progress: Progress, event: JobEvent, cause: str, detail: str) -> Move:
    """End the job for *cause*; *detail* is one line for a person."""
    ended = changed(progress, cause=cause, detail=detail)
    return Move(progress=ended, step=Step.REST, event=event, data={"cause": cause})


def resting(progress: Progress, event: JobEvent, reason: WaitReason, until_us: int) -> Move:
    """Let go of the job until *until_us*."""
    return Move(
        progress=progress,
        step=Step.REST,
        at_us=until_us,
        event=event,
        reason=reason,
        data={"reason": reason.value, "until": iso(until_us)},
    )


def let_go(progress: Progress, held: RolloutHeldError) -> Move:
    """Let go of a job that its rollout does not let send: for now, or for good."""
    told = {
        "by": rollout_name(RolloutId(int(str(held.facts["rollout"])))),
        "why": f"the rollout is {held.facts['state']}",
    }
    if held.resumable:
        return Move(
            progress=progress,
            step=Step.REST,
            event=JobEvent.HELD,
            reason=WaitReason.PAUSED,
            data=told,
        )
    return Move(progress=progress, step=Step.REST, event=JobEvent.CANCELLED, data=told)


def with_answer(progress: Progress, answer: Answer) -> Progress:
    """Remember how the cloud answered, for the people who will ask why."""
    return changed(
        progress,
        cause=answer.outcome.value,
        error_code=answer.error_code,
        http_status=answer.http_status,
        cloud_request_id=answer.request_id,
        detail=answer.message or None,
    )


def untroubled(progress: Progress) -> Progress:
    """Forget a trouble that a good answer has ended."""
    if progress.cause is None and progress.misses == 0:
        return progress
    return changed(progress, cause=None, error_code=None, detail=None, misses=0)


def with_sight(progress: Progress, seen: PluginSeen | None) -> Progress:
    """Remember phase and reason as the read showed them."""
    if seen is None:
        return progress
    if progress.phase == seen.phase and progress.reason == seen.reason:
        return progress
    return changed(progress, phase=seen.phase, reason=seen.reason)


def read_again(job: Job, answer: Answer, now_us: int, rules: Rules) -> Move:
    """Stay and read again after a backoff: a read error is not a state, and reading is safe."""
    misses = job.progress.misses + 1
    progress = changed(with_answer(job.progress, answer), misses=misses)
    wait_s = backoff_s(misses, rules.rng, retry_after_s=answer.retry_after_s)
    return Move(progress=progress, step=Step.LOOK, at_us=look_at(job, now_us, wait_s))
