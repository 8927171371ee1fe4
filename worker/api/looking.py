"""Look at jobs, the queue and the workers; nothing here changes anything."""

from collections.abc import Mapping
from typing import Any, Final

import anyio

from jobs.clock import seconds_to_us
from jobs.errors import NothingMatchedError
from jobs.model import Job, JobId, job_name
from jobs.report.explain import explain
from jobs.report.failures import FailureGroups, ended
from jobs.states import BAD_STATES, FINAL_STATES
from jobs.store.protocol import JobFilter, OperatorStore
from worker.api.bodies import FailuresQuery, JobsQuery, WaitQuery, WhyQuery
from worker.api.calls import Asked, Reply
from worker.api.rooms import Rooms
from worker.api.terms import Reach, may_see
from worker.api.waiting import waiter
from worker.telling.failures import cause_fields, counted_states
from worker.telling.jobs import (
    event_fields,
    existing_job,
    full_fields,
    job_fields,
    job_id,
    worker_names,
)
from worker.telling.rollouts import holds_of, rollout_why
from worker.telling.why import evidence_of, jobs_meant, rollout_meant, rollouts_of
from worker.telling.workers import queue_fields, worker_fields

MOST_LOOKS: Final = 5_000
"""Jobs that are looked at for one page, where some are not the caller's to see."""


async def list_jobs(rooms: Rooms, asked: Asked) -> Reply:
    """List jobs, newest first, a page at a time."""
    query: JobsQuery = asked.query
    store = rooms.store
    now_us = await store.now_us()
    names = worker_names(list(await store.workers()))
    items: list[Mapping[str, Any]] = []
    looks, last = 0, None
    matching = _filter(asked, query, now_us)
    if matching is not None:
        async for job in store.jobs(matching, after=query.place):
            if len(items) == query.limit or looks == MOST_LOOKS:
                break
            looks, last = looks + 1, job
            if may_see(asked.caller, asked.reach, job):
                name = None if job.worker is None else names.get(job.worker)
                items.append(_some(job_fields(job, name, now_us), query.fields))
        else:
            last = None
    after = None if last is None else job_name(last.id)
    return Reply(body={"kind": "jobs", "items": items, "next": after})


def _filter(asked: Asked, query: JobsQuery, now_us: int) -> JobFilter | None:
    """Return which jobs are meant; None when the caller can see none of them."""
    source = query.source
    if asked.reach is Reach.OWN:
        source = asked.caller.source
        if query.source not in {None, source}:
            return None
    projects = asked.caller.terms.projects
    project = query.project or (next(iter(projects)) if len(projects) == 1 else None)
    return JobFilter(
        states=query.states,
        project_id=project,
        pool_name=query.pool,
        plugin=query.plugin,
        cause=query.cause,
        source=source,
        since_us=None if query.since is None else now_us - seconds_to_us(query.since),
    )


def _some(fields: Mapping[str, Any], wanted: str | None) -> Mapping[str, Any]:
    if wanted is None:
        return fields
    names = {"job", *wanted.split(",")}
    return {name: value for name, value in fields.items() if name in names}


def job_meant(name: str) -> JobId:
    """Return the job that a path names.

    Raises:
        NothingMatchedError: If it is no job's name.
    """
    number = job_id(name)
    if number is None:
        raise NothingMatchedError("there is no such job", do="list them: GET /api/v1/jobs")
    return number


async def seen_job(store: OperatorStore, asked: Asked) -> Job:
    """Return the job of the path, which is there for the caller.

    Raises:
        NothingMatchedError: If not; a job of others is not told apart from none.
    """
    number = job_meant(asked.path["job"])
    job = await existing_job(store, number)
    if not may_see(asked.caller, asked.reach, job):
        raise NothingMatchedError(f"there is no {job_name(number)} in this store")
    return job


async def _fields(rooms: Rooms, job: Job) -> dict[str, Any]:
    names = worker_names(list(await rooms.store.workers()))
    name = None if job.worker is None else names.get(job.worker)
    return full_fields(job, name, await rooms.store.now_us())


async def show_job(rooms: Rooms, asked: Asked) -> Reply:
    """Show every fact of one job."""
    return Reply(body=await _fields(rooms, await seen_job(rooms.store, asked)))


async def show_timeline(rooms: Rooms, asked: Asked) -> Reply:
    """Show what happened to one job, in order."""
    job = await seen_job(rooms.store, asked)
    history = await rooms.store.history(job.id)
    events = [event_fields(event, job.created_us) for event in history]
    return Reply(body={"kind": "timeline", "events": events})


async def wait_for_job(rooms: Rooms, asked: Asked) -> Reply:
    """Answer when the job has ended, or when the time is over."""
    query: WaitQuery = asked.query
    with waiter(rooms):
        with anyio.move_on_after(query.timeout):
            while True:
                mark = rooms.tide.mark()
                job = await seen_job(rooms.store, asked)
                if job.state in FINAL_STATES or rooms.standing.draining:
                    break
                await rooms.tide.after(mark)
        return Reply(body=await _fields(rooms, await seen_job(rooms.store, asked)))


async def show_queue(rooms: Rooms, _asked: Asked) -> Reply:
    """Show how much there is to do."""
    store = rooms.store
    states, reasons = await store.counts(), await store.waiting_counts()
    body = {
        "kind": "queue",
        **await queue_fields(store),
        "states": {state.value: count for state, count in states.items()},
        "waiting": {reason.value: count for reason, count in reasons.items()},
    }
    return Reply(body=body)


async def list_workers(rooms: Rooms, _asked: Asked) -> Reply:
    """List the workers."""
    rows = await rooms.store.workers()
    return Reply(body={"workers": [worker_fields(row) for row in rows]})


async def show_why(rooms: Rooms, asked: Asked) -> Reply:
    """Say why a job, a pool or a rollout is where it is."""
    query: WhyQuery = asked.query
    store = rooms.store
    row = await rollout_meant(store, query.subject)
    if row is not None:
        held = [rollout_why(row, await holds_of(store, row))]
        return Reply(body={"subject": query.subject, "answers": [], "more": 0, "rollouts": held})
    found, more = await jobs_meant(store, query.subject)
    answers = [explain(job, await evidence_of(store, job)).as_dict() for job in found]
    held = [rollout_why(one, holds) for one, holds in await rollouts_of(store, found)]
    body = {"subject": query.subject, "answers": answers, "more": more, "rollouts": held}
    return Reply(body=body)


async def list_failures(rooms: Rooms, asked: Asked) -> Reply:
    """Group what ended badly by cause."""
    query: FailuresQuery = asked.query
    store, found = rooms.store, FailureGroups()
    after_us = None
    if query.since is not None:
        after_us = await store.now_us() - seconds_to_us(query.since)
    matching = JobFilter(states=frozenset(BAD_STATES), source=query.source)
    async for job in store.jobs(matching, newest_first=False):
        if after_us is None or ended(job) >= after_us:
            found.add(job)
    groups = found.groups()
    counts = counted_states(groups)
    body = {
        "kind": "failures",
        "jobs": {state.value: counts[state] for state in sorted(counts)},
        "left_out": found.left_out,
        "causes": [cause_fields(number, group) for number, group in enumerate(groups, start=1)],
    }
    return Reply(body=body)
