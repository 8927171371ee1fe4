"""Why something is where it is: whom a person means, and what the store knows around it."""

from collections.abc import Sequence
from typing import Final

from jobs.errors import NothingMatchedError
from jobs.model import Job, job_name, rollout_name
from jobs.report.reasons import Evidence
from jobs.rollouts.gates import Hold
from jobs.states import OPEN_STATES, JobState
from jobs.store.protocol import JobFilter, Store
from jobs.store.rollouts import RolloutRow
from worker.telling.jobs import job_id
from worker.telling.rollouts import holds_of

MOST: Final = 10
"""Jobs of one pool that are explained; further ones are counted."""


async def evidence_of(store: Store, job: Job) -> Evidence:
    """Return what the store knows around a job."""
    counts = await store.counts()
    return Evidence(
        now_us=await store.now_us(),
        history=await store.history(job.id),
        pool_jobs=await store.pool_jobs(job.request.target) if job.state in OPEN_STATES else (),
        workers=await store.workers(),
        buckets=await store.buckets(),
        ready=counts.get(JobState.READY, 0),
        line_stop=await store.rollouts.line(),
    )


async def jobs_meant(store: Store, subject: str) -> tuple[list[Job], int]:
    """Return the jobs that are meant, and how many more there are.

    Raises:
        NothingMatchedError: If there is no such job or pool.
    """
    number = job_id(subject)
    job = None if number is None else await store.job(number)
    if job is not None:
        return [job], 0
    if number is not None and subject.startswith("job-"):
        raise NothingMatchedError(f"there is no {job_name(number)} in this store")
    region, project, pool = _pool_parts(subject)
    wanted = JobFilter(pool_name=pool, project_id=project)
    open_jobs: list[Job] = []
    latest: Job | None = None
    async for found in store.jobs(wanted):
        if region is not None and found.request.target.region != region:
            continue
        latest = latest or found
        if found.state in OPEN_STATES:
            open_jobs.append(found)
    if latest is None:
        raise NothingMatchedError(
            f"no job or pool is called '{subject}'",
            do="list what exists: plugwave jobs list",
        )
    in_order = await _in_pool_order(store, open_jobs) or [latest]
    return in_order[:MOST], max(0, len(in_order) - MOST)


async def _in_pool_order(store: Store, found: Sequence[Job]) -> list[Job]:
    """Return the open jobs pool by pool, the one that holds it first."""
    targets = {job.request.target: None for job in found}
    return [job for target in targets for job in await store.pool_jobs(target)]


def _pool_parts(subject: str) -> tuple[str | None, str | None, str]:
    """Return region, project and pool; the first two only if they are written."""
    parts = subject.split("/")
    region = parts[-3] if len(parts) > 2 else None
    project = parts[-2] if len(parts) > 1 else None
    return region, project, parts[-1]


async def rollouts_of(
    store: Store, found: Sequence[Job]
) -> list[tuple[RolloutRow, Sequence[Hold]]]:
    """Return the rollouts for which some of the jobs wait, with what holds them."""
    wanted = {
        job.rollout: None
        for job in found
        if job.rollout is not None and job.state is JobState.WAITING
    }
    rows = [await store.rollouts.rollout(rollout_name(one)) for one in wanted]
    return [(row, await holds_of(store, row)) for row in rows if row is not None]


async def rollout_meant(store: Store, subject: str) -> RolloutRow | None:
    """Return the rollout that is meant; a plain number is a job."""
    if "/" in subject or job_id(subject) is not None:
        return None
    return await store.rollouts.rollout(subject)
