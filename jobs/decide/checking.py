"""Read before writing: leave alone what is as wanted, adopt what is in progress, else send.

The inputs of the send are made here, in full: what is installed, or the template's
defaults, or nothing, with the job's own inputs laid over it.  A plug-in whose inputs
cannot be read is not upgraded unless the job asks for another base on purpose.
"""

from enum import StrEnum
from types import MappingProxyType
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
    UpgradeCall,
    failed,
    past_deadline,
    read_again,
    resting,
    sends_that_count,
    sighted,
    untroubled,
    with_answer,
    with_sight,
)
from jobs.inputs import changed_paths, merged
from jobs.model import (
    Inputs,
    InputsBase,
    Job,
    PluginSeen,
    PluginWish,
    PoolRead,
    Progress,
)
from jobs.outcomes import Answer, Outcome
from jobs.sightings import Sighting, is_left_so, others_words
from jobs.states import JobEvent, JobState, WaitReason

CONFLICTS: Final = 3
"""Refusals "something is there", while reads show nothing in progress.

An answer that is lost between them says nothing about them, so it does not begin the row anew.
"""

LEAST_TIME_US: Final = 1_000_000
"""Nothing is sent with less than a second left."""

POOL_NOT_READY_S: Final = 60.0
"""The API's own advice for ModelArts.6355: wait a minute and retry."""


class ReadVerdict(StrEnum):
    """What a failed read means for a job that has not sent."""

    AGAIN = "again"  # read again after a backoff
    FAIL = "fail"  # a complete refusal: it can never work as asked
    REST = "rest"  # the endpoint, the credential or the pool is in trouble: wait in the store


READS: Final = MappingProxyType(
    dict.fromkeys(Outcome, ReadVerdict.AGAIN)
    | dict.fromkeys(
        (
            Outcome.NOT_SENDABLE,
            Outcome.REFUSED_CONTENT,
            Outcome.FORBIDDEN,
            Outcome.NOT_FOUND,
            Outcome.NOT_SUPPORTED,
        ),
        ReadVerdict.FAIL,
    )
    | dict.fromkeys(
        (
            Outcome.TLS_WRONG,
            Outcome.REDIRECTED,
            Outcome.UNAUTHENTICATED,
            Outcome.NO_SUCH_API,
            Outcome.QUOTA_SPENT,
            Outcome.POOL_NOT_READY,
        ),
        ReadVerdict.REST,
    )
)


def first_look(job: Job, now_us: int, rules: Rules) -> Move:
    """Say how to begin with a job that was just claimed."""
    progress = job.progress
    if job.state is JobState.UNKNOWN:
        return Move(
            progress=progress, step=Step.LOOK, at_us=max(now_us, progress.not_before_us or 0)
        )
    wish = job.request.plugin
    blind = (
        job.state is JobState.CHECKING
        and not rules.read_first
        and wish.base is InputsBase.EMPTY
        and wish.version is not None
        and wish.restore is None
        and progress.sends == 0
        and not rules.skip_gone
        and not job.cancel_asked
        and not _too_short(job, now_us)
    )
    if not blind:
        return Move(progress=progress, step=Step.LOOK)
    # Nothing of the request depends on what is installed, so the read can be spared.
    ready = changed(progress, version=wish.version, inputs=wish.inputs or None)
    return Move(progress=ready, step=Step.SEND)


def after_check(job: Job, seen: Seen, now_us: int, rules: Rules) -> Move:
    """Say what a read means for a job that has not sent, or whose send had no effect."""
    if job.cancel_asked:
        return failed(
            job.progress, JobEvent.CANCELLED, causes.CANCELLED, "cancelled before it was sent"
        )
    match seen:
        case PoolRead():
            return _after_read(job, seen, now_us, rules)
        case Offered():
            return _after_offers(job, seen, now_us)
        case Answer():
            return _after_failed_read(job, seen, now_us, rules)
        case Answered():
            message = "a job that is checking has no send to be answered"
            raise TypeError(message)


def _after_failed_read(job: Job, answer: Answer, now_us: int, rules: Rules) -> Move:
    progress = with_answer(job.progress, answer)
    if past_deadline(job, now_us):
        return _too_late(progress)
    match READS[answer.outcome]:
        case ReadVerdict.AGAIN:
            return read_again(job, answer, now_us, rules)
        case ReadVerdict.FAIL if _has_left(progress, answer, rules):
            detail = "the pool was there when the rollout was planned, and is gone"
            return failed(progress, JobEvent.SKIPPED, causes.LEFT_FLEET, detail)
        case ReadVerdict.FAIL:
            return Move(
                progress=progress,
                step=Step.REST,
                event=JobEvent.REFUSED,
                data={"cause": progress.cause},
            )
        case ReadVerdict.REST:
            if answer.outcome is Outcome.POOL_NOT_READY:
                until_us = now_us + seconds_to_us(POOL_NOT_READY_S)
                return resting(progress, JobEvent.HELD, WaitReason.BACKOFF, until_us)
            until_us = now_us + seconds_to_us(rules.breaker_s)
            return resting(progress, JobEvent.HELD, WaitReason.BREAKER, until_us)


def _has_left(progress: Progress, answer: Answer, rules: Rules) -> bool:
    """Whether the pool itself is not found: once it was read, it is the template that is not."""
    return rules.skip_gone and answer.outcome is Outcome.NOT_FOUND and not progress.checked


def _after_read(job: Job, read: PoolRead, now_us: int, rules: Rules) -> Move:
    wish = job.request.plugin
    plugin = read.plugins.get(wish.name)
    progress = with_sight(job.progress, plugin)
    version = progress.version or wish.version
    match sighted(job, plugin, version, _wanted_inputs(job)):
        case Sighting.TARGET if version is not None:
            return _already_there(progress, plugin, now_us)
        case Sighting.TARGET_COMING if version is not None:
            adopted = changed(
                untroubled(progress),
                version=version,
                inputs=_wanted_inputs(job),
                accepted_us=now_us,
                adopted=sends_that_count(progress) == 0,
                busy_seen=True,
            )
            return Move(
                progress=adopted,
                step=Step.LOOK,
                at_us=now_us + seconds_to_us(rules.poll_first_s),
                event=JobEvent.ADOPTED,
                data={"phase": adopted.phase},
            )
        case Sighting.TARGET_COMING | Sighting.COMING | Sighting.DELETING | Sighting.STRANGE:
            return _busy(job, progress, now_us, rules)
        case Sighting.TARGET | Sighting.OTHER | Sighting.ABNORMAL | Sighting.ABSENT:
            if _is_others(job, progress, plugin):
                return failed(
                    progress, JobEvent.SKIPPED, causes.CHANGED_BY_OTHERS, others_words(plugin)
                )
            found = changed(progress, version=version)
            return _prepare(job, _by_call(found, plugin, rules), plugin, now_us)


def _is_others(job: Job, progress: Progress, plugin: PluginSeen | None) -> bool:
    """Whether a job that undoes a change meets one that somebody else has made since."""
    restore = job.request.plugin.restore
    if restore is None or restore.anyhow or sends_that_count(progress) > 0:
        return False
    return not is_left_so(plugin, job.request.plugin)


def _wanted_inputs(job: Job) -> dict[str, object] | None:
    """The inputs that make the plug-in *as wanted* before anything was sent.

    Once something was sent, its full tree is what is wanted; before that, the job's own
    inputs: with any base, what the job does not name is not its business here.  A send that
    was throttled or never left does not count: what was installed may have changed since.
    """
    sent = sends_that_count(job.progress) > 0
    own = job.progress.inputs if sent else job.request.plugin.inputs
    return dict(own) if own else None


def _already_there(progress: Progress, plugin: PluginSeen | None, now_us: int) -> Move:
    assert plugin is not None
    done = changed(untroubled(progress), version=plugin.version)
    if sends_that_count(progress) > 0:
        # Our own send arrived after all: watch it like any accepted one.
        mine = changed(done, accepted_us=now_us, adopted=False)
        return Move(progress=mine, step=Step.LOOK, event=JobEvent.ADOPTED, again=True)
    done = changed(done, version_from=plugin.version)
    return Move(progress=done, step=Step.REST, event=JobEvent.ALREADY)


def _busy(job: Job, progress: Progress, now_us: int, rules: Rules) -> Move:
    if past_deadline(job, now_us):
        return _too_late(progress)
    waiting = changed(
        progress,
        cause=causes.BUSY_ELSEWHERE,
        detail=f"the plug-in is {progress.phase}; somebody else is changing it",
        polls=progress.polls + 1,
        conflicts=0,
    )
    until_us = now_us + seconds_to_us(rules.poll_s(progress.polls))
    return resting(waiting, JobEvent.HELD, WaitReason.POOL_BUSY, until_us)


def _by_call(progress: Progress, plugin: PluginSeen | None, rules: Rules) -> Progress:
    """Choose the call: an installed plug-in may need an update where creating is not enough."""
    patch = False
    if plugin is not None and not progress.no_patch:
        in_vain = progress.conflicts > 0 or progress.stale > 0
        patch = rules.upgrade is UpgradeCall.PATCH or (
            rules.upgrade is UpgradeCall.AUTO and in_vain
        )
    return progress if progress.patch is patch else changed(progress, patch=patch)


def _prepare(job: Job, progress: Progress, plugin: PluginSeen | None, now_us: int) -> Move:
    """Make the request ready to be sent, or say why it must not be."""
    if _too_short(job, now_us):
        return _too_late(progress)
    if progress.cause == Outcome.CONFLICT.value and progress.conflicts >= CONFLICTS:
        return Move(progress=progress, step=Step.REST, event=JobEvent.REFUSED)
    if progress.cause != Outcome.CONFLICT.value:
        # The trouble of an earlier try says nothing about the send that comes now.
        progress = changed(progress, cause=None, error_code=None, detail=None)
    progress = changed(
        progress,
        checked=True,
        before=plugin,
        version_from=progress.version_from if sends_that_count(progress) else _version(plugin),
    )
    wish = job.request.plugin
    if progress.version is None or wish.base is InputsBase.TEMPLATE:
        return Move(progress=progress, step=Step.OFFERS)
    return _compose(wish, progress, {})


def _after_offers(job: Job, offered: Offered, now_us: int) -> Move:
    """Freeze the newest offered version, and go on with the read that was kept."""
    progress, wish = job.progress, job.request.plugin
    if progress.version is None:
        if not offered.versions:
            return failed(
                progress,
                JobEvent.REFUSED,
                causes.NOT_OFFERED,
                f"no version of {wish.name} is offered for this pool",
            )
        progress = changed(progress, version=offered.versions[0])
        seen = sighted(job, progress.before, progress.version, _wanted_inputs(job))
        if seen is Sighting.TARGET:
            return _already_there(progress, progress.before, now_us)
    if wish.base is InputsBase.TEMPLATE and progress.version not in offered.defaults:
        return failed(
            progress,
            JobEvent.REFUSED,
            causes.NOT_OFFERED,
            f"the template tells no default inputs of {wish.name} {progress.version}",
        )
    return _compose(wish, progress, offered.defaults.get(progress.version or "", {}))


def _compose(wish: PluginWish, progress: Progress, defaults: Inputs) -> Move:
    """Make the full input tree from the job's base, or refuse when it cannot be known."""
    installed = progress.before
    base: Inputs = {}
    if wish.base is InputsBase.TEMPLATE:
        base = defaults
    elif wish.base is InputsBase.CURRENT and installed is not None:
        if installed.inputs is None:
            return failed(
                progress,
                JobEvent.REFUSED,
                causes.INPUTS_UNREADABLE,
                f"{wish.name} {installed.version or ''} is installed, its inputs cannot be read",
            )
        base = installed.inputs
    inputs = merged(base, wish.inputs)
    ready = changed(
        progress,
        inputs=inputs or None,
        inputs_changed=changed_paths(installed.inputs if installed is not None else None, inputs),
    )
    return Move(progress=ready, step=Step.SEND)


def _version(plugin: PluginSeen | None) -> str | None:
    return plugin.version if plugin is not None else None


def _too_short(job: Job, now_us: int) -> bool:
    return job.deadline_us is not None and now_us > job.deadline_us - LEAST_TIME_US


def _too_late(progress: Progress) -> Move:
    return failed(
        progress, JobEvent.TIMED_OUT, causes.DEADLINE, "the deadline passed before it was sent"
    )
