"""What the answer to a send means; the table is `jobs.outcomes`.

A repeat without reading is allowed only where the table says so: when nothing was sent, or
when a complete answer from a known envelope refused the request.
"""

from jobs.changing import changed
from jobs.clock import iso, seconds_to_us
from jobs.decide.checking import POOL_NOT_READY_S
from jobs.decide.rules import (
    Answered,
    Move,
    Rules,
    Seen,
    Step,
    UpgradeCall,
    look_at,
    resting,
    untroubled,
    with_answer,
    with_sight,
)
from jobs.learning import BLIND_PAUSE_S
from jobs.model import Job, Progress
from jobs.outcomes import BY_OUTCOME, Answer, Outcome, PostVerdict
from jobs.retries import RETRY_AFTER_CEILING_S
from jobs.states import JobEvent, WaitReason


def after_send(job: Job, seen: Seen, now_us: int, rules: Rules) -> Move:
    """Say what follows after our own send was answered, or was not."""
    if not isinstance(seen, Answered):
        message = "a job that is sending waits for the answer to its send, not for a read"
        raise TypeError(message)
    answer = seen.answer
    row = BY_OUTCOME[answer.outcome]
    progress = job.progress
    match row.verdict:
        case PostVerdict.ACCEPTED:
            return _accepted(job, answer, now_us, rules)
        case PostVerdict.FAIL:
            return Move(
                progress=with_answer(progress, answer),
                step=Step.REST,
                event=JobEvent.REFUSED,
                data=_told(answer),
            )
        case PostVerdict.RECONCILE:
            return _lost(job, seen, now_us, rules)
        case PostVerdict.READ_NOW:
            return _look_now(job, answer, now_us, rules)
        case PostVerdict.AGAIN | PostVerdict.REFRESH | PostVerdict.RETRY | PostVerdict.WAIT:
            return _not_accepted(progress, answer, now_us, rules)
        case PostVerdict.PARK:
            return _parked(job, answer, now_us, rules)


def _parked(job: Job, answer: Answer, now_us: int, rules: Rules) -> Move:
    """Nothing was accepted, and the trouble is not the job's: let it rest."""
    progress = job.progress
    if progress.patch and answer.outcome is Outcome.NO_SUCH_API:
        return _no_such_call(job, answer, rules)
    parked = changed(with_answer(progress, answer), spared=progress.spared + 1)
    until_us = now_us + seconds_to_us(rules.breaker_s)
    return resting(parked, JobEvent.NOT_SENT, WaitReason.BREAKER, until_us)


def _no_such_call(job: Job, answer: Answer, rules: Rules) -> Move:
    """The site has no PATCH: that is no trouble of the endpoint; look again without it.

    What led to PATCH is remembered as a conflict, so that a site that can change an
    installed plug-in by no call is told from one that is merely busy.
    """
    if rules.upgrade is UpgradeCall.PATCH:
        refused = with_answer(job.progress, answer)
        return Move(progress=refused, step=Step.REST, event=JobEvent.REFUSED, data=_told(answer))
    progress = changed(job.progress, no_patch=True, spared=job.progress.spared + 1)
    return Move(progress=progress, step=Step.LOOK, event=JobEvent.REREAD, data=_told(answer))


def _told(answer: Answer) -> dict[str, object]:
    """What the history keeps of an answer."""
    facts = {
        "outcome": answer.outcome.value,
        "http_status": answer.http_status,
        "error_code": answer.error_code,
        "request_id": answer.request_id,
        "message": answer.message,
    }
    return {key: value for key, value in facts.items() if value}


def _accepted(job: Job, answer: Answer, now_us: int, rules: Rules) -> Move:
    # What was seen before the send says nothing about what came of it.
    unseen = changed(untroubled(job.progress), phase=None, reason=None)
    progress = changed(
        with_sight(unseen, answer.plugin),
        accepted_us=now_us,
        http_status=answer.http_status,
        cloud_request_id=answer.request_id,
        no_effect_us=None,
        target_us=None,
        busy_seen=False,
        abnormal_us=None,
        abnormal_reads=0,
        polls=0,
    )
    return Move(
        progress=progress,
        step=Step.LOOK,
        at_us=look_at(job, now_us, rules.look_s(progress, job.request.plugin.name, 0.0)),
        event=JobEvent.ACCEPTED,
        data=_told(answer),
    )


def _lost(job: Job, seen: Answered, now_us: int, rules: Rules) -> Move:
    """It may have had an effect, or may yet have one: read, but only late enough.

    The settle time counts from when the answer was known to be lost, not from the send: a
    cloud that held the request until our time-out may start on it only then.
    """
    answer = seen.answer
    sent_us = seen.sent_us if seen.sent_us is not None else now_us
    not_before_us = max(sent_us, now_us) + seconds_to_us(rules.settle_s)
    first_us = not_before_us
    if answer.retry_after_s is not None:
        wish_s = min(answer.retry_after_s, RETRY_AFTER_CEILING_S)
        first_us = max(first_us, look_at(job, now_us, wish_s))
    progress = changed(
        with_answer(job.progress, answer),
        sent_us=sent_us,
        not_before_us=not_before_us,
        no_effect_us=None,
        misses=0,
    )
    return Move(
        progress=progress,
        step=Step.LOOK,
        at_us=first_us,
        event=JobEvent.ANSWER_LOST,
        data=_told(answer) | {"not_before": iso(not_before_us)},
    )


def _look_now(job: Job, answer: Answer, now_us: int, rules: Rules) -> Move:
    in_a_row = job.progress.misses if job.progress.cause == answer.outcome.value else 0
    misses = in_a_row + 1
    progress = changed(
        with_answer(job.progress, answer),
        misses=misses,
        conflicts=job.progress.conflicts + (answer.outcome is Outcome.CONFLICT),
        spared=job.progress.spared + 1,
    )
    wait_s = 0.0 if misses == 1 else rules.send_again_s(misses) + rules.poll_first_s
    return Move(
        progress=progress,
        step=Step.LOOK,
        at_us=look_at(job, now_us, wait_s),
        event=JobEvent.REREAD,
        data=_told(answer),
    )


def _not_accepted(progress: Progress, answer: Answer, now_us: int, rules: Rules) -> Move:
    """Nothing was accepted for certain: give the job back to the queue for a while."""
    misses = progress.misses + 1
    resting_job = changed(with_answer(progress, answer), misses=misses, spared=progress.spared + 1)
    if answer.outcome is Outcome.THROTTLED:
        window_s = answer.limit.window_s if answer.limit is not None else BLIND_PAUSE_S
        wish_s = answer.retry_after_s if answer.retry_after_s is not None else window_s
        wait_s = min(wish_s, RETRY_AFTER_CEILING_S)
        reason = WaitReason.RATE_LIMIT
    elif answer.outcome is Outcome.POOL_NOT_READY:
        wait_s, reason = POOL_NOT_READY_S, WaitReason.BACKOFF
    elif answer.outcome in {Outcome.GATE_CLOSED, Outcome.CREDENTIAL_ENDED}:
        wait_s, reason = 0.0, WaitReason.BACKOFF
    else:
        wait_s, reason = rules.send_again_s(misses), WaitReason.BACKOFF
    until_us = now_us + seconds_to_us(wait_s)
    return resting(resting_job, JobEvent.NOT_SENT, reason, until_us)
