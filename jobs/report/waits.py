"""Why a waiting job waits, one function for each reason of the closed list."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from jobs.causes import CAUSES
from jobs.model import Job, job_name
from jobs.outcomes import Outcome
from jobs.report.reasons import Evidence, Reason, Told, ahead, last_trouble, pool_line
from jobs.states import WaitReason


def _waits_not_before(job: Job, evidence: Evidence) -> Told:
    when = ahead(job.run_at_us, evidence.now_us)
    text = f"Its request says not before; it becomes ready {when}."
    return Told(
        "waits for its time.", (Reason(kind="not-before", text=text, until_us=job.run_at_us),)
    )


def _waits_pool_busy(job: Job, evidence: Evidence) -> Told:
    line = pool_line(job, evidence)
    if not line:
        when = ahead(job.run_at_us, evidence.now_us)
        text = f"Somebody else is changing the plug-in or the pool; the next look is {when}."
        line = (Reason(kind="pool-busy", text=text, until_us=job.run_at_us),)
    holders = [reason.job for reason in line if reason.job is not None]
    do = tuple(f"plugwave why {job_name(holder)}" for holder in holders)
    return Told("waits until its pool is free.", line, do)


def _waits_backoff(job: Job, evidence: Evidence) -> Told:
    when = ahead(job.run_at_us, evidence.now_us)
    tries = job.progress.misses
    text = f"Nothing of the last try took effect; the next try is {when}"
    text += f" ({tries} in a row went wrong)." if tries > 1 else "."
    retry = Reason(kind="backoff", text=text, until_us=job.run_at_us)
    return Told("waits before it tries again.", (retry, *last_trouble(job)))


def _waits_rate_limit(job: Job, evidence: Evidence) -> Told:
    when = ahead(job.run_at_us, evidence.now_us)
    text = f"The cloud answered 429 and accepted nothing; it tries again {when}."
    reason = Reason(kind="rate-limit", text=text, until_us=job.run_at_us)
    return Told("waits for the rate limit.", (reason,))


def _waits_breaker(job: Job, evidence: Evidence) -> Told:
    when = ahead(job.run_at_us, evidence.now_us)
    text = f"The endpoint or the credential is in trouble and is left alone; next try {when}."
    reason = Reason(kind="breaker", text=text, until_us=job.run_at_us)
    known = CAUSES.get(job.progress.cause or "")
    refused = job.progress.cause == Outcome.UNAUTHENTICATED.value
    return Told(
        "waits, because its endpoint or credential is in trouble.",
        (reason, *last_trouble(job)),
        ((known.do,) if known else ()) + (("plugwave doctor",) if refused else ()),
    )


_PLAIN_WAITS: Final[Mapping[WaitReason, tuple[str, str]]] = MappingProxyType(
    {
        WaitReason.WAVE: ("waits for its wave.", "An earlier wave is not done yet."),
        WaitReason.APPROVAL: ("waits for an approval.", "A person must approve its wave."),
        WaitReason.BAKE: ("waits while the wave before it bakes.", "The bake time is not over."),
        WaitReason.WINDOW: ("waits for its window.", "Changes are allowed in the window only."),
        WaitReason.FREEZE: ("waits for the end of a freeze.", "No change starts in a freeze."),
        WaitReason.CONCURRENCY: (
            "waits for others to end.",
            "As many jobs as allowed at once are running.",
        ),
        WaitReason.PAUSED: ("is paused.", "Somebody paused it; it goes on when it is resumed."),
        WaitReason.NO_WORKER: ("waits for a worker.", "No worker can take it."),
    }
)


def _waits_plainly(job: Job, evidence: Evidence) -> Told:
    assert job.reason is not None
    headline, text = _PLAIN_WAITS[job.reason]
    if job.run_at_us is not None:
        text += f" It is looked at again {ahead(job.run_at_us, evidence.now_us)}."
    return Told(headline, (Reason(kind=job.reason.value, text=text, until_us=job.run_at_us),))


_WAITS: Final[Mapping[WaitReason, Callable[[Job, Evidence], Told]]] = MappingProxyType(
    {
        **dict.fromkeys(_PLAIN_WAITS, _waits_plainly),
        WaitReason.NOT_BEFORE: _waits_not_before,
        WaitReason.POOL_BUSY: _waits_pool_busy,
        WaitReason.BACKOFF: _waits_backoff,
        WaitReason.RATE_LIMIT: _waits_rate_limit,
        WaitReason.BREAKER: _waits_breaker,
    }
)


def why_waiting(job: Job, evidence: Evidence) -> Told:
    """Return why a WAITING job may not start yet."""
    if job.reason is None:
        return Told("waits.", (Reason(kind="waiting", text="The store names no reason."),))
    return _WAITS[job.reason](job, evidence)
