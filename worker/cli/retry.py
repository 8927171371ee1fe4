"""`plugwave retry`: let jobs of a rollout that ended badly be tried again, with their plan.

A final state stays final: what is tried again is a new job at the same place, with the same
request, and the first one keeps its history.  So the plan is not made anew, and an undo still
knows what each pool had before the first of them.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Final

import click

from jobs.clock import SystemClock
from jobs.errors import NothingMatchedError, UsageError
from jobs.model import RolloutId, job_name
from jobs.rollout_states import RolloutState
from jobs.rollouts.course import Course
from jobs.states import BAD_STATES, OPEN_STATES, JobState
from jobs.store.protocol import Store
from jobs.store.rollouts import Deed, RolloutRow
from worker.cli.arguments import StateType, merged_states
from worker.cli.choices import Choices
from worker.cli.console import Console
from worker.cli.lazy import PlugwaveCommand
from worker.cli.printing import document
from worker.cli.rollouts import my_word
from worker.cli.session import run_async, writing
from worker.sighting import RolloutReader, all_deeds
from worker.telling.rollouts import existing_rollout, rollout_fields, wave_number

CHUNK: Final = 500
"""Jobs that are put into line in one transaction."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the command line asks for."""

    rollout: str
    cause: str | None
    wave: str | None
    pool: str | None
    states: tuple[frozenset[JobState], ...]
    dry_run: bool
    reason: str | None


@click.command(cls=PlugwaveCommand)
@click.argument("rollout")
@click.option("--cause", help="Only jobs with this cause; see `plugwave failures`.")
@click.option("--wave", help="Only jobs of this wave: its name or number.")
@click.option("--pool", metavar="GLOB", help="Only on pools of this name; * and ? stand for parts.")
@click.option("--state", "states", type=StateType(), multiple=True, help="failed or unresolved.")
@click.option("--dry-run", is_flag=True, help="Say what would be tried again, change nothing.")
@click.option("--reason", help="Why; kept in the rollout's record.")
@click.pass_obj
def retry(choices: Choices, /, **asked: Any) -> None:  # noqa: ANN401 - click's values
    """Try jobs of a rollout again that ended badly; all of them without a filter.

    Their plan and what their pools had before stay. A rollout that had ended goes on; of one
    that a rule has paused a person says with `plugwave resume` that it may.
    """
    run_async(_retry, choices, Asked(**asked))


async def _retry(choices: Choices, asked: Asked) -> None:
    wanted = merged_states(asked.states) or BAD_STATES
    if wanted - BAD_STATES:
        known = ", ".join(sorted(BAD_STATES))
        raise UsageError(f"only jobs that ended badly can be tried again: {known}")
    console = Console(choices)
    async with writing(choices) as store:
        row = await existing_rollout(store.rollouts, asked.rollout)
        course = await RolloutReader(store, SystemClock()).course(row)
        meant = [one async for one in _matching(store, row.id, course, asked)]
        found = [one for one in meant if one.state in wanted]
        added = 0 if asked.dry_run else await _try_again(store, row, found, asked.reason)
        now = await existing_rollout(store.rollouts, asked.rollout)
    under_way = sum(one.state in OPEN_STATES for one in meant)
    if not found and not under_way:
        raise NothingMatchedError(
            f"no job of {row.name} that ended badly matches", do="see them: plugwave failures"
        )
    if console.structured:
        jobs = [job_name(one.job) for one in found]
        told = {"jobs": jobs, "added": added, "dry_run": asked.dry_run}
        document(console, {**rollout_fields(now), **told})
    else:
        _tell(console, asked, now, found, under_way)


async def _matching(
    store: Store, rollout: RolloutId, course: Course, asked: Asked
) -> AsyncIterator[Deed]:
    """Yield what stands at the places that are meant."""
    wave = None if asked.wave is None else wave_number(course, asked.wave)
    async for one in all_deeds(store.rollouts, rollout):
        pool = asked.pool is None or fnmatchcase(one.target.pool_name, asked.pool)
        cause = asked.cause is None or one.cause == asked.cause
        if pool and cause and (wave is None or one.wave == wave):
            yield one


async def _try_again(
    store: Store, row: RolloutRow, found: Sequence[Deed], reason: str | None
) -> int:
    added, word = 0, my_word(reason)
    for start in range(0, len(found), CHUNK):
        jobs = [one.job for one in found[start : start + CHUNK]]
        added += await store.rollouts.retry_jobs(row.id, jobs, word)
    return added


def _tell(
    console: Console, asked: Asked, row: RolloutRow, found: Sequence[Deed], under_way: int
) -> None:
    if console.choices.output == "name":
        for one in found:
            console.out(job_name(one.job))
        return
    if not found:
        console.out(f"{row.name}: nothing new; {under_way} matching jobs are under way already")
        return
    if asked.dry_run:
        for one in found:
            target = one.target.pool_name
            console.out(f"{job_name(one.job)} {target} {one.state} {one.cause or ''}".rstrip())
        console.say(f"{len(found)} would be tried again")
        return
    console.out(f"{row.name}: {len(found)} are tried again; it is {row.state} now")
    if row.state in {RolloutState.PAUSED, RolloutState.PAUSING}:
        console.say(f"Let it go on: plugwave resume {row.name}")
