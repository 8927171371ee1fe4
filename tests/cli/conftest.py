"""What every test of the command line needs."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.running import Cli, own_home


@pytest.fixture
def cli(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Cli]:
    """The command line in a folder of its own."""
    with own_home(tmp_path, monkeypatch):
        yield Cli(tmp_path, capsys)
