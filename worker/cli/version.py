"""`plugwave version`."""

import platform
import tomllib
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as distribution_version
from pathlib import Path

import click

from worker.cli.choices import Choices
from worker.cli.console import Console
from worker.cli.lazy import PlugwaveCommand
from worker.cli.printing import document


def installed_version() -> str:
    """Return the version of the installed distribution, or of the source tree it runs from."""
    try:
        return distribution_version("plugwave")
    except PackageNotFoundError:
        project = Path(__file__).parents[2] / "pyproject.toml"
        return str(tomllib.loads(project.read_text(encoding="utf-8"))["project"]["version"])


@click.command(cls=PlugwaveCommand)
@click.pass_obj
def version(choices: Choices) -> None:
    """Print the version."""
    console = Console(choices)
    number = installed_version()
    if console.structured:
        document(console, {"version": number, "python": platform.python_version()})
    else:
        console.out(number if choices.output == "name" else f"plugwave {number}")
