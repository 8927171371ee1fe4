"""What every test of the command line needs."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from anyio.from_thread import start_blocking_portal

from tests.cli.running import Cli, Start, own_home
from worker.simulator import Simulator, SimulatorOptions

FAST = {
    "CLOUD__AUTH": "none",
    "CLOUD__RATE": "2000",
    "CLOUD__BURST": "16",
    "CLOUD__POLL_FIRST": "100ms",
    "CLOUD__POLL_MAX": "200ms",
    "CLOUD__SETTLE": "300ms",
    "CLOUD__ABNORMAL_GRACE": "200ms",
}


@pytest.fixture
def cli(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Cli]:
    """The command line in a folder of its own."""
    with own_home(tmp_path, monkeypatch):
        yield Cli(tmp_path, capsys)


@pytest.fixture
def start(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Start a fast simulated cloud in a thread of its own, and point the settings at it."""
    del cli
    with ExitStack() as stack:
        portal = stack.enter_context(start_blocking_portal())

        def started(**options: Any) -> Simulator:
            chosen = {"projects": 2, "pools": 2, "installed": 0.5, "speed": 3000, **options}
            simulator = Simulator(SimulatorOptions(**chosen))
            cloud = stack.enter_context(portal.wrap_async_context_manager(simulator))
            monkeypatch.setenv("PLUGWAVE_CLOUD__ENDPOINT", cloud.url)
            for key, value in FAST.items():
                monkeypatch.setenv(f"PLUGWAVE_{key}", value)
            return cloud

        yield started
