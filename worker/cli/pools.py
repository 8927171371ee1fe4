"""`plugwave pools list`: the fleet, and why some of it cannot take a plug-in now."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import click

from jobs.errors import NothingMatchedError, UsageError
from jobs.names import is_name, is_version
from worker.cli.choices import Choices
from worker.cli.console import Console, counted
from worker.cli.fleet import (
    PLUGIN,
    PROJECT,
    REGION,
    WORKSPACE,
    exit_of,
    outlook,
    places_in,
    trouble_fields,
)
from worker.cli.fleet_views import (
    POOL_COLUMNS,
    pool_fields,
    pool_path,
    pool_row,
    request_fields,
)
from worker.cli.lazy import PlugwaveCommand
from worker.cli.printing import Table, as_json, document, streamed
from worker.cli.session import run_async
from worker.discovery import Fleet, PoolFound
from worker.places import error_of, insist, trouble_words


class LabelType(click.ParamType[tuple[str, str]]):
    """A label, written ``name=value``."""

    name = "name=value"

    def convert(
        self,
        value: str | tuple[str, str],
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> tuple[str, str]:
        """Return name and value."""
        if isinstance(value, tuple):
            return value
        name, sign, wanted = value.partition("=")
        if not sign or not name:
            self.fail(f"'{value}' is no label; write name=value", param, ctx)
        return name, wanted


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which pools a command line asks for, and in which form."""

    projects: tuple[str, ...]
    region: str | None
    workspaces: tuple[str, ...]
    labels: tuple[tuple[str, str], ...]
    blocked: bool
    as_jobs: bool
    plugin: str | None
    version: str | None

    def check(self) -> None:
        """Refuse a combination that makes no sense.

        Raises:
            UsageError: If it does not.
        """
        if self.as_jobs and self.plugin is None:
            raise UsageError("--as-jobs needs a plug-in", do="give --plugin NAME")
        if not self.as_jobs and (self.plugin or self.version):
            raise UsageError("--plugin and --version go with --as-jobs", do="add --as-jobs")
        if self.as_jobs and self.blocked:
            raise UsageError("a blocked pool gets no job", do="leave out --blocked or --as-jobs")
        if self.version is not None and not is_version(self.version):
            raise UsageError("--version is no version", do="write it as 1.6.36")

    def chosen(self, fleet: Fleet) -> list[PoolFound]:
        """Return the pools that are asked for."""
        return [
            one
            for one in fleet.pools
            if (one.blocked is not None or not self.blocked)
            and all(one.pool.labels.get(name) == value for name, value in self.labels)
        ]


@click.command("list", cls=PlugwaveCommand)
@click.option(
    "--project", "projects", type=PROJECT, multiple=True, help="Only this project id; repeatable."
)
@click.option("--region", type=REGION, help="The region of the projects.")
@click.option(
    "--workspace",
    "workspaces",
    type=WORKSPACE,
    multiple=True,
    help="This workspace id instead of the default one; repeatable.",
)
@click.option(
    "--label", "labels", type=LabelType(), multiple=True, help="Only with this label; repeatable."
)
@click.option("--blocked", is_flag=True, help="Only pools that cannot take a plug-in now.")
@click.option("--as-jobs", is_flag=True, help="Print a job request for each pool that can.")
@click.option("--plugin", type=PLUGIN, help="Plug-in of those requests.")
@click.option("--version", help="Its version; the newest on offer without it.")
@click.pass_obj
def list_pools(choices: Choices, /, **wanted: Any) -> int:  # noqa: ANN401 - click's values, named by Wanted
    """List the pools of the fleet, and why some cannot take a plug-in now.

    Without --project the projects are those that the credential may use, as IAM tells.
    --as-jobs prints JSON lines for `plugwave enqueue -`, whatever -o says.
    """
    asked = Wanted(**wanted)
    asked.check()
    return run_async(_list, choices, asked)


async def _list(choices: Choices, wanted: Wanted) -> int:
    console = Console(choices)
    async with outlook(choices) as look:
        places = await places_in(look, wanted.projects, wanted.region)
        fleet = await look.cloud.pools(places, wanted.workspaces)
    insist(fleet)
    chosen = wanted.chosen(fleet)
    if wanted.as_jobs:
        return _print_jobs(console, wanted, fleet, chosen)
    if not chosen:
        _tell(console, fleet)
        raise NothingMatchedError(
            "no pool matches", do="look at all: plugwave pools list, or name a --workspace"
        )
    _print(console, fleet, chosen)
    _tell(console, fleet)
    return exit_of(fleet)


def _print(console: Console, fleet: Fleet, chosen: Sequence[PoolFound]) -> None:
    output = console.choices.output
    if output == "json":
        errors = [trouble_fields(one) for one in fleet.troubles]
        items = [pool_fields(one) for one in chosen]
        document(console, {"kind": "pools", "items": items, "errors": errors})
    elif output == "ndjson":
        with streamed(console, "pools", "items") as write:
            for one in chosen:
                write(pool_fields(one))
    elif output == "name":
        for one in chosen:
            console.out(pool_path(one))
    else:
        table = Table(console, POOL_COLUMNS)
        for one in chosen:
            table.row(pool_row(one), colour=None if one.blocked is None else "yellow")
        table.close()


def _tell(console: Console, fleet: Fleet) -> None:
    """Say on stderr what could not be read."""
    for trouble in fleet.troubles:
        told = error_of(trouble.answer, trouble_words(trouble))
        console.tell(f"error[{told.code}]: {told}" + (f" ({told.proof})" if told.proof else ""))
    if fleet.absent:
        left_out = counted(len(fleet.absent), "project")
        console.say(f"{left_out} of IAM left out: no ModelArts there")


def _print_jobs(console: Console, wanted: Wanted, fleet: Fleet, chosen: Sequence[PoolFound]) -> int:
    """Print a request for each pool that can take it; say how many cannot."""
    assert wanted.plugin is not None
    fit = [one for one in chosen if one.blocked is None and is_name(one.pool.name)]
    for one in fit:
        console.out(as_json(request_fields(one, wanted.plugin, wanted.version)))
    _tell(console, fleet)
    if not fit:
        raise NothingMatchedError(
            "no pool can take a plug-in now", do="see why: plugwave pools list --blocked"
        )
    if len(fit) < len(chosen):
        left_out = counted(len(chosen) - len(fit), "pool")
        console.say(f"{left_out} left out as blocked; see why: plugwave pools list --blocked")
    return exit_of(fleet)
