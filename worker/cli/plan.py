"""`plugwave plan`: what a manifest would do to the fleet, without doing it."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import click

from config.masking import masked_inputs
from jobs.clock import SystemClock
from jobs.errors import ManifestError, UsageError
from jobs.rollouts.fleetfile import FleetRow, read_fleet
from jobs.rollouts.manifest import Manifest
from jobs.rollouts.plan import Plan, plan_bytes
from jobs.rollouts.planning import Terms, make_plan
from jobs.rollouts.reading import read_manifest
from jobs.rollouts.yamltext import MAX_BYTES
from worker.cli.choices import Choices
from worker.cli.console import Console
from worker.cli.fleet import (
    PARTLY,
    Outlook,
    error_of,
    exit_of,
    insist,
    outlook,
    places_in,
    region_in,
    trouble_words,
)
from worker.cli.lazy import PlugwaveCommand
from worker.cli.plan_markdown import markdown
from worker.cli.plan_views import plan_fields, plan_lines
from worker.cli.printing import document
from worker.cli.session import run_async
from worker.discovery import Place
from worker.observing import Sight, observe, places_of_rows

CHANGES_EXIT: Final = 10
STDIN: Final = "-"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What the command line asks for."""

    file: str
    changes: dict[str, str]
    out: Path | None
    detail: bool
    detailed_exitcode: bool
    as_markdown: bool


def _change(_ctx: click.Context, param: click.Parameter, value: tuple[str, ...]) -> dict[str, str]:
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
    callback=_change,
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
    manifest = _manifest(wanted)
    listed = _fleet_file(manifest, wanted.file)
    async with outlook(choices) as look:
        places = await _places(look, manifest, listed)
        if console.live:
            console.say(
                f"Reading the fleet, at most {look.settings.cloud.rate:g} requests a second"
            )
        sight = await observe(look.cloud, manifest, places, listed)
        rate = look.settings.cloud.rate
    insist(sight.fleet)
    terms = Terms(now_us=SystemClock().now_us(), mask=masked_inputs, rate=rate)
    made = make_plan(manifest, sight.pools, terms)
    _tell_troubles(console, sight)
    _print(console, made, wanted)
    if wanted.out is not None:
        _write(wanted.out, plan_bytes(made))
        console.say(f"Plan written to {wanted.out}; digest {made.digest}")
    return _verdict(made, sight, wanted)


def _manifest(wanted: Wanted) -> Manifest:
    name = "<stdin>" if wanted.file == STDIN else wanted.file
    data = sys.stdin.buffer.read(MAX_BYTES + 1) if wanted.file == STDIN else _read(Path(name), name)
    return read_manifest(data, name, wanted.changes)


def _read(path: Path, name: str) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(64 * MAX_BYTES)
    except OSError as error:
        why = error.strerror or "it cannot be opened"
        raise ManifestError(f"{name}: {why}", do="check the path") from None


def _fleet_file(manifest: Manifest, file: str) -> list[FleetRow] | None:
    """Return the pools of the fleet file, which stands beside the manifest; None without one."""
    name = manifest.spec.targets.file
    if name is None:
        return None
    folder = Path() if file == STDIN else Path(file).parent
    return read_fleet(_read(folder / name, name), name)


async def _places(
    look: Outlook, manifest: Manifest, listed: list[FleetRow] | None
) -> tuple[Place, ...]:
    """Return the projects that the targets can mean; all that IAM knows where nothing narrows."""
    if listed is not None:
        return places_of_rows(listed, region_in(look.settings, None))
    include = manifest.spec.targets.include
    regions = sorted({region for one in include for region in one.regions or ()})
    projects = sorted({project for one in include for project in one.projects or ()})
    if not include or any(one.regions is None for one in include):
        regions = []
    if not include or any(one.projects is None for one in include):
        projects = []
    if len(regions) <= 1:
        return await places_in(look, projects, regions[0] if regions else None)
    # Which of the projects is in which region only IAM can tell.
    found = [place for region in regions for place in await places_in(look, (), region)]
    return tuple(place for place in found if not projects or place.project_id in projects)


def _tell_troubles(console: Console, sight: Sight) -> None:
    for trouble in sight.fleet.troubles:
        told = error_of(trouble.answer, trouble_words(trouble))
        console.tell(f"error[{told.code}]: {told}" + (f" ({told.proof})" if told.proof else ""))


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


def _write(path: Path, content: bytes) -> None:
    """Write a file that only its owner may read, whole or not at all."""
    beside = path.with_name(f".{path.name}.new")
    try:
        handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        beside.replace(path)
    except OSError as error:
        why = error.strerror or "it cannot be written"
        raise UsageError(f"--out {path}: {why}", do="name a file in a folder of yours") from None


def _verdict(made: Plan, sight: Sight, wanted: Wanted) -> int:
    gaps = exit_of(sight.fleet) or (0 if sight.complete else PARTLY)
    changes = CHANGES_EXIT if wanted.detailed_exitcode and made.acting else 0
    return gaps or changes
