"""The list of commands, and what merely listing them may cost."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path

import click
import pytest

from worker.cli.catalogue import COMMANDS, Entry

ROOT = Path(__file__).parents[2]
FORBIDDEN = ("aiohttp", "pydantic", "structlog", "rich", "apsw", "uvloop")


def leaves(entries: Mapping[str, Entry], path: str = "") -> Iterator[tuple[str, Entry]]:
    """Yield every command that can be called, with its words."""
    for name, entry in entries.items():
        if entry.commands is not None:
            yield from leaves(entry.commands, f"{path}{name} ")
        else:
            yield f"{path}{name}", entry


@pytest.mark.parametrize(("name", "entry"), list(leaves(COMMANDS)))
def test_the_help_of_a_command_is_the_first_line_of_its_own_text(name: str, entry: Entry) -> None:
    """The list and the command say the same, though the list imports no command."""
    assert entry.where is not None
    module, attribute = entry.where.split(":")
    command = getattr(import_module(module), attribute)

    assert isinstance(command, click.Command)
    assert command.name == name.rsplit(maxsplit=1)[-1]
    assert command.help is not None
    said = " ".join(command.help.split("\n\n")[0].split())
    assert said.startswith(entry.help.rstrip(".")), f"{said!r} is not {entry.help!r}"


@pytest.mark.slow
def test_completion_proposes_commands_and_imports_none() -> None:
    """Pressing the tab key is answered at once."""
    code = (
        "import sys\n"
        "from worker.cli.main import run\n"
        "run([])\n"
        "print(*sys.modules, file=sys.stderr)\n"
    )
    asked = {
        "_PLUGWAVE_COMPLETE": "bash_complete",
        "COMP_WORDS": "plugwave jobs ",
        "COMP_CWORD": "2",
    }
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, **asked},
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout.split() == [f"plain,{name}" for name in COMMANDS["jobs"].commands or ()]
    assert set(done.stderr.split()).isdisjoint(FORBIDDEN)


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments", [["--help"], ["--version"], ["version"], ["jobs", "--help"], ["nonsense"]], ids=str
)
def test_help_and_version_import_none_of_the_heavy_parts(arguments: list[str]) -> None:
    """Completion and --help answer at once, whatever the program can do."""
    code = (
        "import sys\n"
        "from worker.cli.main import run\n"
        f"run({arguments!r})\n"
        "print(*sys.modules, file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )

    loaded = set(done.stderr.split())
    assert "click" in loaded
    assert loaded.isdisjoint(FORBIDDEN)
