"""Make a plan from what a person named: read the manifest, observe the fleet, resolve it.

Shared by what shows a plan and what applies one, so that both see the same.
"""

import sys
from pathlib import Path
from typing import Final

from config.masking import masked_inputs
from jobs.clock import SystemClock
from jobs.errors import ManifestError
from jobs.rollouts.fleetfile import FleetRow, read_fleet
from jobs.rollouts.icsfile import IcsFile, read_ics
from jobs.rollouts.manifest import Manifest
from jobs.rollouts.plan import Plan, read_plan
from jobs.rollouts.planning import Terms, make_plan
from jobs.rollouts.reading import read_manifest
from jobs.rollouts.yamltext import MAX_BYTES
from worker.cli.console import Console
from worker.cli.fleet import Outlook, error_of, insist, places_in, region_in, trouble_words
from worker.discovery import Place
from worker.observing import Sight, observe, places_of_rows

STDIN: Final = "-"
MOST_BYTES: Final = 64 * MAX_BYTES


async def plan_now(
    look: Outlook, manifest: Manifest, file: str, console: Console
) -> tuple[Plan, Sight]:
    """Return the plan of *manifest* for the fleet as it is now, and what was seen of that.

    Args:
        look: The cloud to be asked.
        manifest: What is wanted.
        file: Where the manifest stands: its fleet and calendar files are beside it.
        console: Hears what could not be read.
    """
    listed = _fleet_file(manifest, file)
    calendars = _calendars(manifest, file)
    places = await _places(look, manifest, listed)
    if console.live:
        console.say(
            f"Reading the fleet, at most {look.settings.cloud.rate_per_s:g} requests a second"
        )
    sight = await observe(look.cloud, manifest, places, listed)
    insist(sight.fleet)
    terms = Terms(
        now_us=SystemClock().now_us(),
        mask=masked_inputs,
        rate=look.settings.cloud.rate_per_s,
        calendars=calendars,
        places=[(place.project_id, place.region) for place in places],
    )
    made = make_plan(manifest, sight.pools, terms)
    _tell_troubles(console, sight)
    return made, sight


def manifest_in(file: str, changes: dict[str, str]) -> Manifest:
    """Return the manifest of a file, ``-`` for standard input, with values laid over it."""
    data = sys.stdin.buffer.read(MAX_BYTES + 1) if file == STDIN else content(Path(file), file)
    return read_manifest(data, "<stdin>" if file == STDIN else file, changes)


def is_file(file: str) -> bool:
    """Whether what was named is a file, and not standard input or a digest."""
    return file != STDIN and Path(file).exists()


def given_plan(file: str) -> Plan | None:
    """Return the plan that a file holds; None when it is a manifest, or no file.

    Raises:
        StalePlanError: If it is not the plan that was made.
    """
    if not is_file(file):
        return None
    data = content(Path(file), file)
    is_plan = data.lstrip()[:1] == b"{" and b'"kind":"Plan"' in data
    return read_plan(data, file) if is_plan else None


def content(path: Path, name: str) -> bytes:
    """Return what a file holds.

    Raises:
        ManifestError: If it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return file.read(MOST_BYTES)
    except OSError as error:
        why = error.strerror or "it cannot be opened"
        raise ManifestError(f"{name}: {why}", do="check the path") from None


def _fleet_file(manifest: Manifest, file: str) -> list[FleetRow] | None:
    """Return the pools of the fleet file, which stands beside the manifest; None without one."""
    name = manifest.spec.targets.file
    if name is None:
        return None
    return read_fleet(content(_beside(file, name), name), name)


def _calendars(manifest: Manifest, file: str) -> dict[str, IcsFile]:
    """Return what the calendar files say, by the name of their freeze."""
    return {
        freeze.name: read_ics(content(_beside(file, freeze.ics), freeze.ics), freeze.ics,
                              freeze.time_zone)
        for freeze in manifest.spec.freezes
        if freeze.ics is not None
    }  # fmt: skip


def _beside(file: str, name: str) -> Path:
    return (Path() if file == STDIN else Path(file).parent) / name


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
