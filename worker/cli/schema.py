"""`plugwave schema`: what a file may hold, for editors and other programs."""

import click

from jobs.requests import JobRequestBody
from worker.cli.choices import Choices
from worker.cli.console import Console
from worker.cli.lazy import PlugwaveCommand
from worker.cli.printing import as_json, no_names

NAMES = ("job",)


@click.command(cls=PlugwaveCommand)
@click.argument("name", type=click.Choice(NAMES))
@click.pass_obj
def schema(choices: Choices, name: str) -> None:  # noqa: ARG001 - there is one schema so far
    """Print the JSON Schema of a file format: job is one line of a file for `enqueue`."""
    console = Console(choices)
    no_names(console)
    body = JobRequestBody.model_json_schema()
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    # A schema is a document of its own kind: it carries no field of ours.
    console.out(as_json({**head, **body}, indent=None if choices.output == "ndjson" else 2))
