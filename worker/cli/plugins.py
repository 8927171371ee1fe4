"""`plugwave plugins list` and `show`: what is installed on one pool, and what may be."""

from collections.abc import Sequence
from typing import Any

import click

from config.masking import clean_text
from jobs.errors import NothingMatchedError
from jobs.model import PluginSeen, Target
from jobs.outcomes import Answer
from worker.cli.choices import Choices
from worker.cli.console import Console
from worker.cli.fleet import PARTLY, PLUGIN, PROJECT, REGION, checked, outlook, target_in
from worker.cli.fleet_views import (
    PLUGIN_COLUMNS,
    RESOURCE_COLUMNS,
    newest,
    plugin_fields,
    plugin_row,
    resource_fields,
    resource_row,
    shown_inputs,
    template_of,
    version_fields,
)
from worker.cli.jobs_read import fact_lines
from worker.cli.lazy import PlugwaveCommand
from worker.cli.printing import Table, as_json, document, streamed
from worker.cli.session import run_async
from worker.discovery import PluginShown
from worker.modelarts.templates import PluginTemplate
from worker.outlook import Outlook
from worker.places import error_of


@click.command("list", cls=PlugwaveCommand)
@click.option("--pool", required=True, help="The pool's id, or PROJECT/POOL.")
@click.option("--project", type=PROJECT, help="Its project id.")
@click.option("--region", type=REGION, help="Its region.")
@click.pass_obj
def list_plugins(choices: Choices, pool: str, project: str | None, region: str | None) -> int:
    """List the plug-ins of a pool, and the newer versions on offer for it."""
    return run_async(_list, choices, (pool, project, region))


async def _list(choices: Choices, asked: tuple[str, str | None, str | None]) -> int:
    console = Console(choices)
    async with outlook(choices) as look:
        target = target_in(look.settings, *asked)
        survey = await look.cloud.survey(target)
    read = checked(survey.plugins, f"the plug-ins of pool {target.pool_name} could not be read")
    offers = () if isinstance(survey.offers, Answer) else survey.offers
    rows = [(one, template_of(offers, one.name)) for one in read.plugins.values()]
    if console.structured:
        with streamed(console, "plugins", "items") as write:
            for seen, template in rows:
                write({**_place(target), **plugin_fields(seen, template)})
    elif choices.output == "name":
        for seen, _ in rows:
            console.out(seen.name)
    else:
        table = Table(console, PLUGIN_COLUMNS)
        for seen, template in rows:
            table.row(plugin_row(seen, template))
        table.close()
        if not rows:
            console.say("no plug-in is installed on this pool")
    if isinstance(survey.offers, Answer):
        console.tell(f"error: {error_of(survey.offers, 'the versions on offer are not known')}")
        return PARTLY
    return 0


def _place(target: Target) -> dict[str, str | None]:
    return {
        "project_id": target.project_id,
        "pool_name": target.pool_name,
        "region": target.region,
    }


@click.command(cls=PlugwaveCommand)
@click.argument("name", type=PLUGIN)
@click.option("--pool", required=True, help="The pool's id, or PROJECT/POOL.")
@click.option("--project", type=PROJECT, help="Its project id.")
@click.option("--region", type=REGION, help="Its region.")
@click.pass_obj
def show(choices: Choices, name: str, pool: str, project: str | None, region: str | None) -> None:
    """Show a plug-in on a pool: version, inputs, what it runs as, what is on offer.

    NAME is its template name.  Secret-looking inputs are masked.
    """
    run_async(_show, choices, name, (pool, project, region))


async def _show(choices: Choices, name: str, asked: tuple[str, str | None, str | None]) -> None:
    console = Console(choices)
    async with outlook(choices) as look:
        target = target_in(look.settings, *asked)
        shown, template = await _look(look, target, name)
    if console.structured:
        document(console, _fields(target, name, shown, template))
    elif choices.output == "name":
        console.out(name)
    else:
        _print(console, _fields(target, name, shown, template), shown)


async def _look(
    look: Outlook, target: Target, name: str
) -> tuple[PluginShown | None, PluginTemplate | None]:
    """Return the plug-in and its template, at least one of them.

    Raises:
        PlugwaveError: If the cloud does not tell, or knows neither.
    """
    what = f"plug-in {name} on pool {target.pool_name} could not be read"
    shown = checked(await look.cloud.plugin(target, name), what)
    offers = checked(await look.cloud.offers(target, name), what)
    template = template_of(offers, name)
    if shown is None and newest(template) is None:
        raise NothingMatchedError(
            f"pool {target.pool_name} has no plug-in {name}, and none is on offer for it",
            do=f"list what there is: plugwave pools show {target.project_id}/{target.pool_name}",
        )
    return shown, template


def _fields(
    target: Target, name: str, shown: PluginShown | None, template: PluginTemplate | None
) -> dict[str, Any]:
    resources = None if shown is None else shown.resources
    seen = PluginSeen(name=name) if shown is None else shown.seen
    return {
        **_place(target),
        "installed": shown is not None,
        **plugin_fields(seen, template),
        "inputs": shown_inputs(seen.inputs),
        "resources": None if resources is None else [resource_fields(one) for one in resources],
        "offers": [] if template is None else [version_fields(one) for one in template.versions],
    }


def _print(console: Console, fields: dict[str, Any], shown: PluginShown | None) -> None:
    """Print the facts, then what it runs as, then each version with its default inputs."""
    facts = {key: value for key, value in fields.items() if key not in {"resources", "offers"}}
    for line in fact_lines(facts):
        console.out(line)
    if shown is not None and shown.resources:
        console.out()
        table = Table(console, RESOURCE_COLUMNS)
        for one in shown.resources:
            table.row(resource_row(one))
        table.close()
    _print_offers(console, fields["offers"])
    if shown is not None and shown.seen.inputs is None:
        console.say("The cloud does not tell this plug-in's inputs; an upgrade could reset them.")


def _print_offers(console: Console, offers: Sequence[dict[str, Any]]) -> None:
    """Print each version, newest first, with its default inputs where they are others."""
    before: object = None
    for offer in offers:
        console.out()
        created = f"  made {offer['created_at']}" if offer["created_at"] else ""
        console.out(f"offered  {clean_text(offer['version'])}{created}")
        defaults = offer["default_inputs"]
        if defaults is not None:
            same = "as above" if defaults == before else as_json(defaults)
            console.out(f"  default inputs  {same}")
            before = defaults
