"""`plugwave plan`: what a manifest would do to the fleet, without doing it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import click

from jobs.errors import UsageError
from jobs.rollouts.plan import Plan, plan_bytes
from worker.cli.choices import Choices
from worker.cli.console import Console
from worker.cli.files import write_own
from worker.cli.fleet import (
    PARTLY,
    exit_of,
    outlook,
)
from worker.cli.lazy import PlugwaveCommand
from worker.cli.plan_markdown import markdown
from worker.cli.plan_views import plan_lines
from worker.cli.planning import manifest_in, plan_now
from worker.cli.printing import document
from worker.cli.session import run_async
from worker.observing import Sight
from worker.telling.plans import plan_fields

CHANGES_EXIT: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What the command line asks for."""

    file: str
    changes: dict[str, str]
    out: Path | None
    detail: bool
    detailed_exitcode: bool
    as_markdown: bool


def changes_of(
    _ctx: click.Context, param: click.Parameter, value: tuple[str, ...]
) -> dict[str, str]:
    """Return the values that ``--set`` lays over a manifest, by their paths."""
    found = {}
    for text in value:
        path, sign, wanted = text.partition("=")
        if not sign or not path:
            raise click.BadParameter("write spec.budgets.concurrency=5", param=param)
        found[path] = wanted
    return found


@click.command(cls=PlugwaveCommand)
@click.argument("file")
@click.option(
    "--set",
    "changes",
    multiple=True,
    metavar="K=V",
    callback=changes_of,
    help="Another value for a field, such as spec.budgets.concurrency=5; repeatable.",
)
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Write the plan here.")
@click.option("--detail", is_flag=True, help="Show every pool.")
@click.option("--detailed-exitcode", is_flag=True, help="Leave with 10 when there are changes.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "md"]),
    default="text",
    help="md: for a pull request.",
)
@click.pass_obj
def plan(choices: Choices, /, file: str, *, form: str, **wanted: object) -> int:
    """Show what a rollout manifest would do; changes nothing.

    FILE is the manifest, - for standard input. The plan that --out writes holds the plug-in's
    inputs as the manifest has them; only its owner may read it.
    """
    asked = Wanted(file=file, as_markdown=form == "md", **wanted)  # type: ignore[arg-type] # click checked them
    if asked.as_markdown and choices.output != "table":
        raise UsageError("--format md and -o exclude each other", do="leave one of them out")
    return run_async(_plan, choices, asked)


async def _plan(choices: Choices, wanted: Wanted) -> int:
    console = Console(choices)
    manifest = manifest_in(wanted.file, wanted.changes)
    async with outlook(choices) as look:
        made, sight = await plan_now(look, manifest, wanted.file, console)
    _print(console, made, wanted)
    if wanted.out is not None:
        write_own(wanted.out, plan_bytes(made))
        console.say(f"Plan written to {wanted.out}; digest {made.digest}")
    return _verdict(made, sight, wanted)


def _print(console: Console, made: Plan, wanted: Wanted) -> None:
    if console.structured:
        document(console, plan_fields(made))
    elif console.choices.output == "name":
        console.out(made.digest)
    elif wanted.as_markdown:
        console.out(markdown(made))
    else:
        for line in plan_lines(made, console.symbols, detail=wanted.detail):
            console.out(line)


def _verdict(made: Plan, sight: Sight, wanted: Wanted) -> int:
    gaps = exit_of(sight.fleet) or (0 if sight.complete else PARTLY)
    changes = CHANGES_EXIT if wanted.detailed_exitcode and made.acting else 0
    return gaps or changes
