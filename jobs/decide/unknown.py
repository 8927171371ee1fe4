"""What a late-enough read proves about a send whose answer was lost.

Before the persisted ``not_before`` no read proves anything: the effect may still be on its
way.  After it, one read that shows the effect is enough, but *no effect* takes two, apart,
because one read may come from a replica that lags (reliability notes, finding 1).  A read
that fails proves nothing; nothing is sent meanwhile.
"""

from dataclasses import replace
from typing import Final

from jobs import causes
from jobs.changing import changed
from jobs.clock import seconds_to_us
from jobs.decide.rules import (
    Answered,
    Move,
    Offered,
    Rules,
    Seen,
    Step,
    failed,
    look_at,
    past_deadline,
    read_again,
    sends_that_count,
    sighted,
    with_answer,
    with_sight,
)
from jobs.model import Job, PluginSeen, PoolRead, Progress
from jobs.outcomes import Answer, Outcome
from jobs.sightings import Sighting, same_as_before
from jobs.states import JobEvent

STALE_ROUNDS: Final = 2
"""Accepted sends without any effect before the job is given up: the site ignores the call."""


def after_late_read(job: Job, seen: Seen, now_us: int, rules: Rules) -> Move:
    """Say what a read means for a job whose send may have had an effect."""
    match seen:
        case PoolRead():
            not_before_us = job.progress.not_before_us or 0
            if seen.asked_us < not_before_us:
                return Move(progress=job.progress, step=Step.LOOK, at_us=not_before_us)
            return _after_read(job, seen, now_us, rules)
        case Answer():
            # Before that instant a send may still take effect: the pool is not let go.
            if past_deadline(job, now_us) and now_us >= (job.progress.not_before_us or 0):
                progress = with_answer(job.progress, seen)
                return failed(
                    progress,
                    JobEvent.GAVE_UP,
                    progress.cause or causes.DEADLINE,
                    "the deadline passed and no read could tell whether the send had an effect",
                )
            return _read_again(job, seen, now_us, rules)
        case Answered() | Offered():
            message = "a job whose answer was lost can only be read"
            raise TypeError(message)


def _read_again(job: Job, answer: Answer, now_us: int, rules: Rules) -> Move:
    """Read again, and remember how the send was answered: it decides what *no effect* means."""
    move = read_again(job, answer, now_us, rules)
    return changed(move, progress=changed(job.progress, misses=move.progress.misses))


def _after_read(job: Job, read: PoolRead, now_us: int, rules: Rules) -> Move:
    plugin = read.plugins.get(job.request.plugin.name)
    progress = changed(with_sight(job.progress, plugin), misses=0)
    match sighted(job, plugin, progress.version, progress.inputs):
        case Sighting.TARGET | Sighting.TARGET_COMING | Sighting.COMING:
            return _found(progress, now_us)
        case Sighting.DELETING | Sighting.STRANGE:
            return _not_yet(job, progress, now_us, rules)
        case Sighting.OTHER | Sighting.ABNORMAL | Sighting.ABSENT:
            if plugin is not None and _is_ours(plugin, progress):
                return _found(progress, now_us)
            return _no_effect(job, progress, read.asked_us, now_us, rules)


def _is_ours(plugin: PluginSeen, progress: Progress) -> bool:
    """Whether a settled plug-in that is not the target may show an effect of our send.

    It does when it is not as it was before: there where nothing was, another being, another
    version, Abnormal, or the wanted version with inputs that were not taken.  Other inputs
    at a version that we did not ask for are somebody else's; they are read again and kept.
    When nothing was read before the send, the wanted version is the only sign there is.
    """
    before = progress.before
    if sends_that_count(progress) == 0:
        return False
    if not progress.checked:
        return plugin.version == progress.version
    if before is None:
        return True
    asked_for = plugin.version == progress.version
    return not same_as_before(
        plugin if asked_for else replace(plugin, inputs=before.inputs), before
    )


def _found(progress: Progress, now_us: int) -> Move:
    found = changed(
        progress,
        accepted_us=now_us,
        no_effect_us=None,
        target_us=None,
        abnormal_us=None,
        abnormal_reads=0,
        polls=0,
        cause=None,
        error_code=None,
        detail=None,
    )
    return Move(
        progress=found,
        step=Step.LOOK,
        event=JobEvent.FOUND,
        again=True,
        data={"phase": progress.phase},
    )


def _not_yet(job: Job, progress: Progress, now_us: int, rules: Rules) -> Move:
    """Somebody deletes it, or its phase is unknown: never send into that."""
    if past_deadline(job, now_us):
        detail = f"the deadline passed while the plug-in was {progress.phase}"
        return failed(progress, JobEvent.TIMED_OUT, causes.DEADLINE, detail)
    waiting = changed(progress, no_effect_us=None, polls=progress.polls + 1)
    at_us = look_at(job, now_us, rules.poll_s(progress.polls))
    return Move(progress=waiting, step=Step.LOOK, at_us=at_us)


def _no_effect(job: Job, progress: Progress, asked_us: int, now_us: int, rules: Rules) -> Move:
    first_us = progress.no_effect_us
    second_us = (first_us or asked_us) + seconds_to_us(rules.second_look_s)
    if first_us is None or asked_us < second_us:
        seen_once = changed(progress, no_effect_us=first_us or asked_us)
        return Move(progress=seen_once, step=Step.LOOK, at_us=max(second_us, now_us))
    if past_deadline(job, now_us):
        detail = "the deadline passed; late reads prove that nothing was installed"
        return failed(progress, JobEvent.TIMED_OUT, progress.cause or causes.DEADLINE, detail)
    if progress.cause == Outcome.UNKNOWN_REFUSAL.value:
        # Row 15: a refusal from nobody we know, and reads show that it was meant.
        return Move(progress=progress, step=Step.REST, event=JobEvent.REFUSED)
    if progress.stale >= STALE_ROUNDS:
        detail = "the cloud accepted the request and nothing changed"
        return failed(progress, JobEvent.REFUSED, causes.NO_EFFECT, detail)
    if sends_that_count(progress) >= rules.attempts:
        detail = f"{rules.attempts} attempts had no effect; last: {progress.cause}"
        return failed(progress, JobEvent.REFUSED, causes.ATTEMPTS_SPENT, detail)
    clean = changed(
        progress, no_effect_us=None, accepted_us=None, adopted=False, busy_seen=False, polls=0
    )
    at_us = _again_us(progress, rules)
    return Move(
        progress=clean,
        step=Step.LOOK,
        at_us=look_at(job, at_us, 0.0) if at_us > now_us else 0,
        event=JobEvent.NOT_APPLIED,
        again=at_us <= now_us,
        data={"reads": 2},
    )


def _again_us(progress: Progress, rules: Rules) -> int:
    """Return when it may be sent again: the job's own wait counts from the last send."""
    if rules.backoff is None:
        return 0
    wait_s = rules.send_again_s(sends_that_count(progress))
    return (progress.sent_us or 0) + seconds_to_us(wait_s)
