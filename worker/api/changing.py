"""Retry and cancel jobs; each is harmless when repeated."""

import structlog

from jobs.errors import StateError
from jobs.model import job_name
from jobs.requests.again import RETRYABLE, retry_request, why_not_retryable
from jobs.store.protocol import Verdict
from worker.api.calls import Asked, Reply
from worker.api.looking import seen_job
from worker.api.rooms import Rooms
from worker.api.taking import spend
from worker.reporting import emit_job
from worker.telling.jobs import cancel_words

log = structlog.get_logger()


async def retry_job(rooms: Rooms, asked: Asked) -> Reply:
    """Queue a new job for one that ended badly; asked again, name the one that is there."""
    job = await seen_job(rooms.store, asked)
    name = job_name(job.id)
    if job.state not in RETRYABLE:
        raise StateError(why_not_retryable(job), do=f"GET /api/v1/why?subject={name}")
    spend(rooms, asked.caller, 1)
    await rooms.queue.make_room(1)
    [answer] = await rooms.store.enqueue([retry_request(job)])
    word = "created" if answer.verdict is Verdict.CREATED else "there"
    noted(asked, "retry", name)
    return Reply(status=202, body={"job": name, "result": word, "retry": job_name(answer.job)})


async def cancel_job(rooms: Rooms, asked: Asked) -> Reply:
    """Cancel a job that was not sent yet, and say what happened."""
    before = await seen_job(rooms.store, asked)
    after = await rooms.store.cancel(before.id, by=asked.caller.by)
    word, text = cancel_words(before, after)
    name = job_name(before.id)
    if word == "cancelled":
        # Final here and now, in no worker's hands: so its one line is ours to write.
        emit_job(after, None)
    noted(asked, "cancel", name)
    body = {"job": name, "result": word, "state": after.state.value, "text": f"{name} {text}"}
    return Reply(body=body)


def noted(asked: Asked, action: str, what: str, why: str | None = None) -> None:
    """Write down who changed what."""
    caller = asked.caller
    log.info("api.changed", caller=caller.by, where=caller.where, action=action, what=what, why=why)
