"""The import contracts that keep a library in its place fail when it leaves it."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

REPOSITORY: Final = Path(__file__).resolve().parents[1]

PLANTED: Final = {
    "worker/discovery.py": ("aiohttp", "aiohttp speaks at the edges"),
    "worker/simulator/cloud.py": ("aiohttp", "aiohttp speaks at the edges"),
    "worker/modelarts/client.py": ("aiohttp", "aiohttp speaks at the edges"),
    "jobs/store/schema.py": ("apsw", "apsw belongs to the SQLite store"),
    "jobs/store/postgres/wire.py": ("apsw", "apsw belongs to the SQLite store"),
    "jobs/intake/rows.py": ("asyncpg", "asyncpg belongs to the PostgreSQL store"),
    "jobs/store/sqlite/store.py": ("asyncpg", "asyncpg belongs to the PostgreSQL store"),
}
"""Where a library is imported that has no business there, and the contract that says so."""


def lint(tree: Path) -> str:
    """Return what the import linter says of the packages in *tree*."""
    command = "import sys; from importlinter.cli import lint_imports_command; sys.argv[1:] = "
    done = subprocess.run(
        [sys.executable, "-P", "-c", f"{command}['--no-cache']; lint_imports_command()"],
        cwd=tree,
        env={"PYTHONPATH": str(tree), "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout + done.stderr


@pytest.mark.slow
def test_a_library_out_of_its_place_is_noticed(tmp_path: Path) -> None:
    """A driver or HTTP library imported elsewhere breaks its contract, and the place is named."""
    for package in ("jobs", "config", "worker"):
        shutil.copytree(
            REPOSITORY / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__")
        )
    shutil.copy(REPOSITORY / "pyproject.toml", tmp_path)
    for path, (library, _) in PLANTED.items():
        with (tmp_path / path).open("a") as file:
            file.write(f"\nimport {library}\n")

    said = lint(tmp_path)

    for path, (library, contract) in PLANTED.items():
        module = path.removesuffix(".py").replace("/", ".")
        assert f"{module} -> {library}" in said, said
        assert any(line.startswith(contract) and "BROKEN" in line for line in said.splitlines())
