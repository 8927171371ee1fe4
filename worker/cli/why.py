"""`plugwave why`: gather what the store knows and let `jobs.report.explain` say why."""

from collections.abc import Sequence
from typing import Final

import click

from config.masking import clean_text, mask_text
from jobs.model import Job
from jobs.report.explain import Explanation, explain
from jobs.rollouts.gates import Hold
from jobs.rollouts.verdicts import done_of, stopped_by
from jobs.states import WaitReason
from jobs.store.rollouts import RolloutRow
from worker.cli.choices import Choices
from worker.cli.console import Console
from worker.cli.lazy import PlugwaveCommand
from worker.cli.printing import document, no_names
from worker.cli.session import reading, run_async
from worker.cli.status import why_lines
from worker.telling.rollouts import holds_of, rollout_why
from worker.telling.why import evidence_of, jobs_meant, rollout_meant, rollouts_of

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
        row = await rollout_meant(store, subject)
        if row is not None:
            tell_why(console, row, await holds_of(store, row))
            return
        found, more = await jobs_meant(store, subject)
        explained = [explain(job, await evidence_of(store, job)) for job in found]
        behind = await rollouts_of(store, found)
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
