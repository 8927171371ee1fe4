"""Make a plan from what a person named: read the manifest, observe the fleet, resolve it.

Shared by what shows a plan and what applies one, so that both see the same.
"""

import sys
from pathlib import Path
from typing import Final

from jobs.errors import ManifestError
from jobs.rollouts.fleetfile import FleetRow, read_fleet
from jobs.rollouts.manifest import Manifest
from jobs.rollouts.plan import Plan, read_plan
from jobs.rollouts.reading import read_manifest
from jobs.rollouts.yamltext import MAX_BYTES
from worker.cli.console import Console
from worker.observing import Sight
from worker.outlook import Outlook, error_of, trouble_words
from worker.planning import planned

STDIN: Final = "-"
MOST_BYTES: Final = 64 * MAX_BYTES


async def plan_now(
    look: Outlook, manifest: Manifest, file: str, console: Console
) -> tuple[Plan, Sight]:
    """Return the plan of *manifest* for the fleet as it is now, and what was seen of that.

    Args:
        look: The cloud to be asked.
        manifest: What is wanted.
        file: Where the manifest stands: its fleet file is beside it.
        console: Hears what could not be read.
    """
    listed = _fleet_file(manifest, file)
    if console.live:
        console.say(
            f"Reading the fleet, at most {look.settings.cloud.rate_per_s:g} requests a second"
        )
    made, sight = await planned(look, manifest, listed)
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
    folder = Path() if file == STDIN else Path(file).parent
    return read_fleet(content(folder / name, name), name)


def _tell_troubles(console: Console, sight: Sight) -> None:
    for trouble in sight.fleet.troubles:
        told = error_of(trouble.answer, trouble_words(trouble))
        console.tell(f"error[{told.code}]: {told}" + (f" ({told.proof})" if told.proof else ""))
