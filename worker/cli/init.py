"""`plugwave init`: first files that work, with a schema beside them for the editor."""

from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType
from typing import Final

import click

from jobs.errors import UsageError
from worker.cli.choices import Choices
from worker.cli.console import Console
from worker.cli.lazy import PlugwaveCommand
from worker.cli.printing import document
from worker.cli.schema import schema_text

SCHEMA_FILE: Final = "rollout.schema.json"
SCHEDULE_SCHEMA: Final = "schedule.schema.json"
SETTINGS_FILE: Final = "plugwave.toml"

_SCHEMAS: Final = {SCHEMA_FILE: "rollout", SCHEDULE_SCHEMA: "schedule"}

STARTERS: Final[Mapping[str, tuple[tuple[str, ...], str]]] = MappingProxyType(
    {
        "fleet": (("fleet.rollout.yaml", SCHEMA_FILE), "plugwave plan fleet.rollout.yaml"),
        "cron": (("cron.schedule.yaml", SCHEDULE_SCHEMA), "plugwave plan cron.schedule.yaml"),
        "service": (("service.jobs.jsonl",), "plugwave enqueue service.jobs.jsonl"),
    }
)
"""For each use the files, and what to do with them next."""


@click.command(cls=PlugwaveCommand)
@click.option(
    "--for",
    "use",
    type=click.Choice(list(STARTERS)),
    default="fleet",
    show_default=True,
    help="A rollout over a fleet, one that comes round, or jobs from other systems.",
)
@click.pass_obj
def init(choices: Choices, use: str) -> None:
    """Write a first manifest or job file, and settings.

    The files go into this folder; none that is there is touched.
    """
    console = Console(choices)
    names, following = STARTERS[use]
    contents = {name: _content(name) for name in (*names, SETTINGS_FILE)}
    made = [name for name, content in contents.items() if _write(Path(name), content)]
    if not made:
        raise UsageError(
            f"{', '.join(contents)} are there already", do="go to an empty folder, or remove them"
        )
    if console.structured:
        document(console, {"kind": "init", "files": made})
        return
    for name in made:
        console.out(name if choices.output == "name" else f"written  {name}")
    console.say(f"Next:  {following}")


def _content(name: str) -> str:
    if name in _SCHEMAS:
        return schema_text(_SCHEMAS[name]) + "\n"
    return files("worker.cli").joinpath("starters", name).read_text(encoding="utf-8")


def _write(path: Path, content: str) -> bool:
    """Write a new file; return whether it was new."""
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(content)
    except FileExistsError:
        return False
    except OSError as error:
        why = error.strerror or "it cannot be written"
        raise UsageError(f"{path}: {why}", do="go to a folder of yours") from None
    return True
