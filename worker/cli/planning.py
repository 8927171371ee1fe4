"""Make a plan from what a person named: read the manifest and its fleet file, ask the cloud.

Shared by what shows a plan and what applies one, so that both see the same.
"""

import sys
from pathlib import Path
from typing import Final

from jobs.clock import SystemClock
from jobs.errors import ManifestError
from jobs.rollouts.fleetfile import read_fleet
from jobs.rollouts.icsfile import IcsFile, read_ics
from jobs.rollouts.manifest import Manifest
from jobs.rollouts.plan import Plan, read_plan
from jobs.rollouts.reading import read_document, read_manifest
from jobs.rollouts.recurring import ScheduleManifest
from jobs.rollouts.yamltext import MAX_BYTES
from worker.cli.console import Console
from worker.observing import Sight
from worker.outlook import Outlook
from worker.places import error_of, trouble_words
from worker.planning import plan_of

STDIN: Final = "-"
MOST_BYTES: Final = 64 * MAX_BYTES


async def plan_now(
    look: Outlook, manifest: Manifest, file: str, console: Console, fleet: bytes | None = None
) -> tuple[Plan, Sight]:
    """Return the plan of *manifest* for the fleet as it is now, and what was seen of that.

    Args:
        look: The cloud to be asked.
        manifest: What is wanted.
        file: Where the manifest stands: its fleet and calendar files are beside it.
        console: Hears what could not be read.
        fleet: The fleet file, when it is not to be read from there.
    """
    listed = fleet_content(manifest, file) if fleet is None else fleet
    rows = None if listed is None else read_fleet(listed, manifest.spec.targets.file or "")
    calendars = calendars_of(manifest, file)
    if console.live:
        console.say(
            f"Reading the fleet, at most {look.settings.cloud.rate_per_s:g} requests a second"
        )
    now_us = SystemClock().now_us()
    made, sight = await plan_of(
        manifest, rows, look.settings, look.cloud, now_us, calendars=calendars
    )
    _tell_troubles(console, sight)
    return made, sight


def manifest_in(file: str, changes: dict[str, str]) -> Manifest:
    """Return the manifest of a file, ``-`` for standard input, with values laid over it."""
    return read_manifest(*_named_content(file), changes)


def document_in(file: str, changes: dict[str, str]) -> Manifest | ScheduleManifest:
    """Return the same, or the schedule if the file is one."""
    return read_document(*_named_content(file), changes)


def _named_content(file: str) -> tuple[bytes, str]:
    if file == STDIN:
        return sys.stdin.buffer.read(MAX_BYTES + 1), "<stdin>"
    return content(Path(file), file), file


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


def fleet_content(manifest: Manifest, file: str) -> bytes | None:
    """Return the fleet file, which stands beside the manifest in *file*; None without one."""
    name = manifest.spec.targets.file
    if name is None:
        return None
    return content(_beside(file, name), name)


def calendars_of(manifest: Manifest, file: str) -> dict[str, IcsFile]:
    """Return what the calendar files say, by the name of their freeze."""
    return {
        freeze.name: read_ics(
            content(_beside(file, freeze.ics), freeze.ics), freeze.ics, freeze.time_zone
        )
        for freeze in manifest.spec.freezes
        if freeze.ics is not None
    }


def _beside(file: str, name: str) -> Path:
    return (Path() if file == STDIN else Path(file).parent) / name


def _tell_troubles(console: Console, sight: Sight) -> None:
    for trouble in sight.fleet.troubles:
        told = error_of(trouble.answer, trouble_words(trouble))
        console.tell(f"error[{told.code}]: {told}" + (f" ({told.proof})" if told.proof else ""))
