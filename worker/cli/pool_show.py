"""`plugwave pools show`: everything about one pool that helps to decide about a change."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import click

from jobs.fitness import DEFAULT_WORKSPACE, blocked
from jobs.model import Job, PluginSeen, Target
from jobs.outcomes import Answer
from jobs.states import OPEN_STATES
from jobs.store.protocol import JobFilter, Store
from worker.cli.choices import Choices
from worker.cli.console import Console
from worker.cli.fleet import PARTLY, PROJECT, REGION, WORKSPACE, checked, outlook, target_in
from worker.cli.fleet_views import (
    OFFER_COLUMNS,
    PLUGIN_COLUMNS,
    offer_fields,
    offer_row,
    own_labels,
    plugin_fields,
    plugin_row,
    pool_fields,
    pool_path,
    template_of,
)
from worker.cli.jobs_read import fact_lines
from worker.cli.lazy import PlugwaveCommand
from worker.cli.printing import Table, document
from worker.cli.session import run_async
from worker.cli.views import LIST_COLUMNS, list_row
from worker.discovery import PoolFound, Survey
from worker.outlook import Outlook
from worker.places import error_of
from worker.telling.jobs import job_fields
from worker.wording import words


@dataclass(frozen=True, slots=True, kw_only=True)
class Portrait:
    """Everything that is known about one pool."""

    found: PoolFound
    survey: Survey
    jobs: Sequence[Job]
    now_us: int

    @property
    def failures(self) -> list[dict[str, object]]:
        """What could not be read, as JSON."""
        read = {"plug-ins": self.survey.plugins, "templates": self.survey.offers}
        return [
            error_of(seen, f"the {what} of the pool could not be read").as_dict()
            for what, seen in read.items()
            if isinstance(seen, Answer)
        ]

    @property
    def plugins(self) -> list[PluginSeen]:
        """The installed plug-ins, as far as they could be read."""
        plugins = self.survey.plugins
        return [] if isinstance(plugins, Answer) else list(plugins.plugins.values())


@click.command(cls=PlugwaveCommand)
@click.argument("pool")
@click.option("--project", type=PROJECT, help="Its project id.")
@click.option("--region", type=REGION, help="Its region.")
@click.option("--workspace", type=WORKSPACE, help="The workspace it may be in; 0 without it.")
@click.pass_obj
def show(
    choices: Choices, pool: str, project: str | None, region: str | None, workspace: str | None
) -> int:
    """Show a pool: its plug-ins, what may be installed, its open jobs.

    POOL is its id, alone or as PROJECT/POOL or REGION/PROJECT/POOL.
    """
    return run_async(_show, choices, (pool, project, region), workspace or DEFAULT_WORKSPACE)


async def _show(choices: Choices, asked: tuple[str, str | None, str | None], workspace: str) -> int:
    console = Console(choices)
    async with outlook(choices) as look:
        portrait = await _portrait(look, target_in(look.settings, *asked), workspace)
    if console.structured:
        document(console, _portrait_fields(portrait))
    elif choices.output == "name":
        console.out(pool_path(portrait.found))
    else:
        _print_portrait(console, portrait)
    for failure in portrait.failures:
        console.tell(f"error[{failure['code']}]: {failure['message']}")
    return PARTLY if portrait.failures else 0


async def _portrait(look: Outlook, target: Target, workspace: str) -> Portrait:
    pool = checked(await look.cloud.pool(target), f"pool {target.pool_name} could not be read")
    return Portrait(
        found=PoolFound(target=target, pool=pool, blocked=blocked(pool, (workspace,))),
        survey=await look.cloud.survey(target),
        jobs=await open_jobs(look.store, target),
        now_us=await look.store.now_us(),
    )


async def open_jobs(store: Store, target: Target) -> list[Job]:
    """Return the open jobs of a pool, oldest first, also those that name no region."""
    wanted = JobFilter(
        states=frozenset(OPEN_STATES), project_id=target.project_id, pool_name=target.pool_name
    )
    found = [job async for job in store.jobs(wanted, newest_first=False)]
    regions = {target.region, None}
    return [job for job in found if target.region is None or job.request.target.region in regions]


def _portrait_fields(portrait: Portrait) -> dict[str, Any]:
    offers = portrait.survey.offers
    templates = () if isinstance(offers, Answer) else offers
    return {
        **pool_fields(portrait.found),
        "plugins": [
            plugin_fields(one, template_of(templates, one.name)) for one in portrait.plugins
        ],
        "offers": [offer_fields(one) for one in templates],
        "jobs": [job_fields(job, None, portrait.now_us) for job in portrait.jobs],
        "errors": portrait.failures,
    }


def _print_portrait(console: Console, portrait: Portrait) -> None:
    fields = pool_fields(portrait.found)
    for line in fact_lines({**fields, "labels": own_labels(portrait.found.pool)}):
        console.out(line)
    offers = portrait.survey.offers
    templates = () if isinstance(offers, Answer) else offers
    rows = [plugin_row(one, template_of(templates, one.name)) for one in portrait.plugins]
    _section(console, Table(console, PLUGIN_COLUMNS), rows)
    _section(console, Table(console, OFFER_COLUMNS), [offer_row(one) for one in templates])
    jobs = [list_row(job, portrait.now_us, console) for job in portrait.jobs]
    _section(console, Table(console, LIST_COLUMNS), jobs)
    if not portrait.plugins and not isinstance(portrait.survey.plugins, Answer):
        console.say("no plug-in is installed on this pool")
    if portrait.found.blocked is not None:
        console.say(f"This pool gets no job now: {words(portrait.found.blocked)}.")


def _section(console: Console, table: Table, rows: Sequence[Sequence[str]]) -> None:
    """Print a table after an empty line; nothing when it has no rows."""
    if not rows:
        return
    console.out()
    for row in rows:
        table.row(row)
    table.close()
