"""`plugwave schema`: what a file may hold, for editors and other programs."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

import click

from jobs.intake.profile import IntakeProfile
from jobs.outbox.profile import SinkProfile
from jobs.requests import JobRequestBody
from jobs.rollouts.fleetfile import FleetList
from jobs.rollouts.manifest import manifest_schema
from jobs.rollouts.plan import Plan
from jobs.rollouts.recurring import schedule_schema
from worker.cli.choices import Choices
from worker.cli.console import Console
from worker.cli.lazy import PlugwaveCommand
from worker.cli.printing import as_json, no_names

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"

SCHEMAS: Final[Mapping[str, Callable[[], Mapping[str, Any]]]] = MappingProxyType(
    {
        "rollout": manifest_schema,
        "schedule": schedule_schema,
        "job": JobRequestBody.model_json_schema,
        "fleet": FleetList.model_json_schema,
        "plan": Plan.model_json_schema,
        "intake": IntakeProfile.model_json_schema,
        "sink": SinkProfile.model_json_schema,
    }
)


def schema_text(name: str, *, indent: int | None = 2) -> str:
    """Return the JSON Schema of that name; a document of its own kind, without fields of ours."""
    return as_json({"$schema": DIALECT, **SCHEMAS[name]()}, indent=indent)


@click.command(cls=PlugwaveCommand)
@click.argument("name", type=click.Choice(list(SCHEMAS)))
@click.pass_obj
def schema(choices: Choices, name: str) -> None:
    """Print the JSON Schema of a file format.

    rollout and schedule are manifests, job is one line of a file for `enqueue`, fleet a fleet file
    in YAML with a head, plan what `plan --out` writes, intake and sink the files of
    `plugwave intake` and `plugwave deliver`.
    """
    console = Console(choices)
    no_names(console)
    console.out(schema_text(name, indent=None if choices.output == "ndjson" else 2))
