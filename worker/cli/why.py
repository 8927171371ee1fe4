"""`plugwave why`: gather what the store knows and let `jobs.report.explain` say why."""

from collections.abc import Sequence
from typing import Any, Final

import click

from config.masking import clean_text, mask_text
from jobs.errors import NothingMatchedError
from jobs.model import Job, job_name, rollout_name
from jobs.report.explain import Explanation, explain
from jobs.report.reasons import Evidence
from jobs.rollouts.gates import Hold
from jobs.rollouts.verdicts import done_of, stopped_by
from jobs.states import OPEN_STATES, JobState, WaitReason
from jobs.store.protocol import JobFilter, Store
from jobs.store.rollouts import RolloutRow
from worker.cli.arguments import job_id
from worker.cli.choices import Choices
from worker.cli.console import Console
from worker.cli.following import rollout_fields
from worker.cli.lazy import PlugwaveCommand
from worker.cli.printing import document, no_names
from worker.cli.session import reading, run_async
from worker.cli.status import hold_fields, holds_of, why_lines

MOST: Final = 10
"""Jobs of one pool that are explained; further ones are counted."""

LINE_LIMIT: Final = 1000


@click.command(cls=PlugwaveCommand)
@click.argument("subject", metavar="JOB|POOL|ROLLOUT")
@click.pass_obj
def why(choices: Choices, subject: str) -> None:
    """Say why a job, pool or rollout is where it is.

    A pool is written as its name, as PROJECT/POOL, or as REGION/PROJECT/POOL.
    """
    no_names(Console(choices))
    run_async(_why, choices, subject)


async def _why(choices: Choices, subject: str) -> None:
    console = Console(choices)
    async with reading(choices) as store:
        row = await _rollout(store, subject)
        if row is not None:
            tell_why(console, row, await holds_of(store, row))
            return
        found, more = await _subjects(store, subject)
        explained = [explain(job, await _evidence(store, job)) for job in found]
        behind = await _rollouts_of(store, found)
    if console.structured:
        answers = [one.as_dict() for one in explained]
        held = [rollout_why(one, holds) for one, holds in behind]
        document(console, {"subject": subject, "answers": answers, "more": more, "rollouts": held})
        return
    for number, one in enumerate(explained):
        if number:
            console.out()
        for line in lines(one, console):
            console.out(line)
    for rollout, holds in behind:
        console.out()
        tell_why(console, rollout, holds)
    if more:
        console.say(f"and {more} more; list them: plugwave jobs list --pool {_pool_of(found)}")


async def _rollout(store: Store, subject: str) -> RolloutRow | None:
    """Return the rollout that is meant; a plain number is a job."""
    if "/" in subject or job_id(subject) is not None:
        return None
    return await store.rollouts.rollout(subject)


async def _rollouts_of(
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


def rollout_why(row: RolloutRow, holds: Sequence[Hold]) -> dict[str, Any]:
    """Return why a rollout is where it is, as JSON shows it."""
    return {**rollout_fields(row), "holds": [hold_fields(hold) for hold in holds]}


def tell_why(console: Console, row: RolloutRow, holds: Sequence[Hold]) -> None:
    """Print why a rollout is where it is."""
    if console.structured:
        document(console, rollout_why(row, holds))
        return
    ended, size, _ = done_of(row)
    console.out(f"{row.name} is {row.state}: {ended} of {size} pools have ended.")
    for line in why_lines(row, holds, console):
        console.out(line)
    for wave in {hold.wave for hold in holds if hold.reason is WaitReason.APPROVAL}:
        console.out(f"Do:  plugwave approve {row.name} --wave {(wave or 0) + 1}")
    if stopped_by(row) is not None and row.finished_us is None:
        console.out(f"Do:  plugwave resume {row.name}, or plugwave abort {row.name}")


def lines(one: Explanation, console: Console) -> list[str]:
    """Return the answer as a person reads it."""
    told = [_plain(one.headline)]
    for number, reason in enumerate(one.reasons, start=1):
        until = "" if reason.until_us is None else f"  ({console.moment(reason.until_us)})"
        told.append(f"  {number}. {_plain(reason.text)}{until}")
    for number, step in enumerate(one.do):
        told.append(f"{'Do:  ' if not number else '     '}{_plain(step)}")
    return told


def _plain(text: str) -> str:
    return clean_text(mask_text(text), LINE_LIMIT)


def _pool_of(found: Sequence[Job]) -> str:
    return found[0].request.target.pool_name


async def _evidence(store: Store, job: Job) -> Evidence:
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


async def _subjects(store: Store, subject: str) -> tuple[list[Job], int]:
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
