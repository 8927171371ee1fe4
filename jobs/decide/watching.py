"""Has it settled?  Success needs fresh evidence, failure needs patience.

The worst live fault of rollout tools is *stale green*: the plug-in still shows healthy
from before, so the next step starts.  Here Running counts only with the wanted version,
the wanted inputs, and a sign that the read is newer than our write: version or inputs
changed, the change was seen in progress, or it stayed so for a while.

What is seen → what follows (reliability notes, section 3.2), each with a test:

    target          settled; a second read 2 s later when the first came within 5 s,
                    and reads for as long as the job's terms want to see it so
    target-coming   keep looking        coming    keep looking
    other           keep looking; for `stale_after`: reconcile, or the change was refused
    abnormal        final after three reads over `abnormal_grace`
    deleting        keep looking        absent    tolerated for `missing_after`
    strange         keep looking, never a success
    a failed read   read again; it is not a state
    the deadline    failed with the last state, or unresolved when no read could tell
"""

from typing import Final

from jobs import causes
from jobs.changing import changed
from jobs.clock import MICROSECONDS, seconds_to_us
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
    untroubled,
    with_answer,
    with_sight,
)
from jobs.inputs import contains, inputs_digest
from jobs.model import Job, PluginSeen, PoolRead, Progress
from jobs.outcomes import Answer
from jobs.sightings import Sighting, same_as_before
from jobs.states import JobEvent

EARLY_S: Final = 5.0
"""A target seen sooner than this after acceptance is looked at once more."""

CONFIRM_S: Final = 2.0
"""How much later that second look is."""

DWELL_S: Final = 10.0
"""Without any other sign of freshness, Running must be seen this long after acceptance."""

ABNORMAL_READS: Final = 3


def after_look(job: Job, seen: Seen, now_us: int, rules: Rules) -> Move:
    """Say what a look means for a job whose change was accepted, found or adopted."""
    match seen:
        case PoolRead():
            return _after_read(job, seen, now_us, rules)
        case Answer():
            if past_deadline(job, now_us):
                progress = with_answer(job.progress, seen)
                detail = "the deadline passed and no read could tell how it ended"
                return failed(progress, JobEvent.GAVE_UP, progress.cause or causes.DEADLINE, detail)
            return read_again(job, seen, now_us, rules)
        case Answered() | Offered():
            message = "a job that is watching can only be read"
            raise TypeError(message)


def _after_read(job: Job, read: PoolRead, now_us: int, rules: Rules) -> Move:
    plugin = read.plugins.get(job.request.plugin.name)
    shown = with_sight(untroubled(job.progress), plugin)
    if plugin is None:
        shown = changed(shown, phase=None, reason=None)
    news = shown.phase != job.progress.phase
    progress = changed(shown, polls=job.progress.polls + 1)
    what = _sight(job, plugin, progress, rules)
    progress = _counted(job.progress, progress, what, read.asked_us)
    if what is Sighting.TARGET:
        steady = _unsteady(job, progress, read.asked_us, now_us, rules)
        return steady or _target(job, progress, plugin, read.asked_us, now_us, rules)
    end = _verdict(progress, what, plugin, read.asked_us, rules)
    if end is not None:
        return end
    if past_deadline(job, now_us):
        detail = f"the deadline passed while the plug-in was {progress.phase or 'absent'}"
        return failed(progress, JobEvent.TIMED_OUT, causes.DEADLINE, detail)
    elapsed_s = (now_us - (progress.accepted_us or now_us)) / MICROSECONDS
    wait_s = rules.look_s(progress, job.request.plugin.name, elapsed_s)
    if what is Sighting.ABNORMAL:
        wait_s = min(wait_s, rules.abnormal_grace_s / (ABNORMAL_READS - 1))
    return Move(
        progress=progress,
        step=Step.LOOK,
        at_us=look_at(job, now_us, wait_s),
        save=news,
        data={"phase": progress.phase, "reason": progress.reason},
    )


def _sight(job: Job, plugin: PluginSeen | None, progress: Progress, rules: Rules) -> Sighting:
    """Reduce the read to one word; what was Abnormal before our send is not news."""
    inputs = progress.inputs if "inputs" in rules.require else None
    what = sighted(job, plugin, progress.version, inputs)
    if what is Sighting.ABNORMAL and _untouched(plugin, progress):
        return Sighting.OTHER
    return what


def _untouched(plugin: PluginSeen | None, progress: Progress) -> bool:
    """Whether nothing at all tells that our send did something."""
    before = progress.before
    return before is not None and not progress.busy_seen and same_as_before(plugin, before)


def _counted(last: Progress, progress: Progress, what: Sighting, asked_us: int) -> Progress:
    """Keep the rows of like reads: since when target, no effect, Abnormal.

    Missing and unchanged are rows of their own: one read that misses the plug-in does not
    inherit the patience that many unchanged ones have used up.
    """
    no_effect = what in {Sighting.OTHER, Sighting.ABSENT}
    same_row = (what is Sighting.ABSENT) == (last.phase is None)
    no_effect_us = last.no_effect_us if same_row else None
    abnormal = what is Sighting.ABNORMAL
    busy = what in {Sighting.TARGET_COMING, Sighting.COMING}
    # A read soon after acceptance may show what was deleted before it.
    late = asked_us >= (progress.accepted_us or 0) + seconds_to_us(EARLY_S)
    appeared = progress.checked and progress.before is None and what is not Sighting.ABSENT
    return changed(
        progress,
        target_us=(progress.target_us or asked_us) if what is Sighting.TARGET else None,
        no_effect_us=(no_effect_us or asked_us) if no_effect else None,
        abnormal_us=(progress.abnormal_us or asked_us) if abnormal else None,
        abnormal_reads=progress.abnormal_reads + 1 if abnormal else 0,
        busy_seen=progress.busy_seen or busy or (late and (appeared or what is Sighting.DELETING)),
    )


def _unsteady(
    job: Job, progress: Progress, asked_us: int, now_us: int, rules: Rules
) -> Move | None:
    """Say what follows while the target was not seen reached for long enough; None once it was."""
    first_us = progress.target_us or asked_us
    steady_us = first_us + seconds_to_us(rules.steady_s)
    if asked_us >= steady_us:
        return None
    if past_deadline(job, now_us):
        seen_s = (asked_us - first_us) / MICROSECONDS
        detail = f"the deadline passed when it had been as wanted for {seen_s:.0f} s only"
        return failed(progress, JobEvent.TIMED_OUT, causes.DEADLINE, detail)
    next_us = min(steady_us, now_us + seconds_to_us(rules.poll_s(progress.polls)))
    return Move(
        progress=progress,
        step=Step.LOOK,
        at_us=look_at(job, now_us, (next_us - now_us) / MICROSECONDS),
        save=first_us == asked_us,
        data={"phase": progress.phase, "reason": progress.reason},
    )


def _target(
    job: Job,
    progress: Progress,
    plugin: PluginSeen | None,
    asked_us: int,
    now_us: int,
    rules: Rules,
) -> Move:
    assert plugin is not None
    accepted_us = progress.accepted_us or 0
    first_us = progress.target_us or asked_us
    early = first_us < accepted_us + seconds_to_us(EARLY_S)
    confirm_us = first_us + seconds_to_us(CONFIRM_S)
    if early and asked_us < confirm_us:
        return Move(progress=progress, step=Step.LOOK, at_us=max(confirm_us, now_us))
    if "fresh" in rules.require and not _is_fresh(progress, plugin, asked_us):
        dwell_us = accepted_us + seconds_to_us(DWELL_S)
        return Move(progress=progress, step=Step.LOOK, at_us=look_at(job, dwell_us, 0.0))
    if job.rollout is not None and plugin.inputs is not None:
        progress = changed(progress, shown=inputs_digest(plugin.inputs))
    return Move(
        progress=progress,
        step=Step.REST,
        event=JobEvent.SETTLED,
        data={"version": plugin.version, "reason": plugin.reason},
    )


def _is_fresh(progress: Progress, plugin: PluginSeen, asked_us: int) -> bool:
    """Whether the read is newer than our write (product promise 5)."""
    accepted_us = progress.accepted_us or 0
    # A read that found the effect of a lost send was late enough when it was asked.
    late_enough = progress.not_before_us is not None and asked_us >= progress.not_before_us
    if asked_us < accepted_us and not late_enough and not progress.adopted:
        return False
    before = progress.before
    dwelt = asked_us >= accepted_us + seconds_to_us(DWELL_S)
    if not progress.checked and not progress.adopted:
        # It may have been at its target all the time; a lagging read may show that again.
        return dwelt
    if progress.adopted or progress.busy_seen or before is None:
        return True
    if before.version != plugin.version or before.created_at != plugin.created_at:
        return True
    if progress.inputs and not contains(before.inputs, progress.inputs):
        return True
    return dwelt


def _verdict(
    progress: Progress,
    what: Sighting,
    plugin: PluginSeen | None,
    asked_us: int,
    rules: Rules,
) -> Move | None:
    """Return how a plug-in that is not at its target has ended, or None while it may move."""
    if what is Sighting.ABNORMAL:
        since_us = progress.abnormal_us or asked_us
        over_us = since_us + seconds_to_us(rules.abnormal_grace_s)
        if progress.abnormal_reads >= ABNORMAL_READS and asked_us >= over_us:
            detail = progress.reason or "the plug-in is Abnormal and gives no reason"
            return failed(progress, JobEvent.BROKEN, causes.ABNORMAL, detail)
        return None
    since_us = progress.no_effect_us or asked_us
    if what is Sighting.ABSENT and asked_us >= since_us + seconds_to_us(rules.missing_after_s):
        if _was_there(progress):
            detail = "the plug-in was there and is gone"
            return failed(progress, JobEvent.BROKEN, causes.EXTERNALLY_DELETED, detail)
        return _stale(progress, asked_us, rules)
    if what is Sighting.OTHER and asked_us >= since_us + seconds_to_us(rules.stale_after_s):
        return _other(progress, plugin) or _stale(progress, asked_us, rules)
    return None


def _was_there(progress: Progress) -> bool:
    """Whether the plug-in was seen after our send, or before it."""
    return progress.busy_seen or progress.before is not None


def _other(progress: Progress, plugin: PluginSeen | None) -> Move | None:
    """Return how a plug-in ended that settled as something else; None when it never moved."""
    assert plugin is not None
    before = progress.before
    if sends_that_count(progress) == 0 or _untouched(plugin, progress):
        return None
    if plugin.version == progress.version:
        detail = "the plug-in runs at the wanted version with other inputs than were sent"
        return failed(progress, JobEvent.BROKEN, causes.INPUTS_NOT_KEPT, detail)
    if progress.checked and (
        before is None or plugin.version != before.version or plugin.created_at != before.created_at
    ):
        detail = f"the plug-in is now at {plugin.version}, which this job did not ask for"
        return failed(progress, JobEvent.BROKEN, causes.CHANGED_BY_OTHERS, detail)
    return None


def _stale(progress: Progress, asked_us: int, rules: Rules) -> Move:
    """Accepted, yet nothing followed: ask again what the send did, before anything else.

    What was accepted may take effect as late as what was lost, so no read proves anything
    before that time is over.  A change that was only adopted is nobody's failure.
    """
    settled_us = (progress.accepted_us or 0) + seconds_to_us(rules.settle_s)
    not_before_us = max(asked_us, settled_us)
    doubted = changed(
        progress,
        stale=progress.stale + (sends_that_count(progress) > 0),
        not_before_us=not_before_us,
        no_effect_us=None,
        polls=0,
    )
    return Move(
        progress=doubted,
        step=Step.LOOK,
        at_us=not_before_us,
        event=JobEvent.STALE,
        data={"phase": progress.phase},
    )
