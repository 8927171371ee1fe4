"""Every command in the documentation runs as written, against the simulator.

A page is run top to bottom in a folder of its own, as a newcomer would.  Only what would
make the test slow or collide is changed: the port, the size of the fleet, the speed.
Commands of `make` are run by CI itself.
"""

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from tests.docs.generated import DOCS

ROOT: Final = DOCS.parent
PAGES: Final = sorted([*DOCS.glob("*.md"), ROOT / "README.md"])
_BLOCK: Final = re.compile(r"^```sh\n(.*?)^```", re.DOTALL | re.MULTILINE)
ELSEWHERE: Final = ("make ", "docker ")
"""CI runs these: `.ci/run` calls the one, the image check the other."""

ALLOWED: Final = {"plugwave jobs retry --state failed --dry-run": {0, 6}}
"""Every command leaves with 0, but for those that say that nothing matched (6)."""


def commands(page: Path) -> list[str]:
    """Return the command lines of a page, comments and continuation lines resolved."""
    text = "".join(_BLOCK.findall(page.read_text())).replace("\\\n", " ")
    lines = (line.split("  #")[0].strip() for line in text.splitlines())
    return [line for line in lines if line and not line.startswith(("#", *ELSEWHERE))]


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def small(command: str, port: int) -> str:
    """Return the command with a port of its own and a fleet that is done in a moment."""
    command = command.replace("127.0.0.1:8600", f"127.0.0.1:{port}")
    command = re.sub(
        r"--pools \d+", "--pools 2", re.sub(r"--projects \d+", "--projects 2", command)
    )
    return re.sub(r"--speed \d+", "--speed 2000", command)


class Shell:
    """Runs the lines of a page in one folder with one environment, as a terminal would."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        kept = {name: value for name, value in os.environ.items() if "PLUGWAVE" not in name}
        path = f"{Path(sys.executable).parent}{os.pathsep}{kept['PATH']}"
        self.environ = {**kept, "PATH": path, "HOME": str(folder), "PWD": str(folder)}
        self.environ["PLUGWAVE_STORE__URL"] = "sqlite:///page.db"
        self.simulator: subprocess.Popen[str] | None = None

    def run(self, command: str) -> subprocess.CompletedProcess[str]:
        """Run one line; variables that it exports stay for the next."""
        marker = "\n--environment--\n"
        script = f"{command}\ncode=$?\nprintf '{marker}'; env -0; exit $code"
        done = subprocess.run(
            ["bash", "-c", script],
            cwd=self.folder,
            env=self.environ,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        if marker in done.stdout:
            text, _, values = done.stdout.partition(marker)
            pairs = (value.partition("=") for value in values.split("\0") if value)
            self.environ = {name: value for name, _, value in pairs}
            done.stdout = text
        return done

    def serve(self, command: str) -> None:
        """Start a simulator and wait until it says where it listens."""
        self.simulator = subprocess.Popen(
            ["bash", "-c", f"exec {command}"],
            cwd=self.folder,
            env=self.environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self.simulator.stdout is not None
        assert self.simulator.stdout.readline()

    def stop(self) -> None:
        """End the simulator."""
        if self.simulator is not None:
            self.simulator.send_signal(signal.SIGTERM)
            self.simulator.communicate(timeout=20)
            self.simulator = None


@contextmanager
def shell(folder: Path) -> Iterator[Shell]:
    """Open a shell and end what it started."""
    opened = Shell(folder)
    try:
        yield opened
    finally:
        opened.stop()


@pytest.mark.slow
@pytest.mark.timeout(90)
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_of_the_page_runs_as_written(page: Path, tmp_path: Path) -> None:
    """What the documentation tells to type works when it is typed."""
    port = free_port()
    with shell(tmp_path) as here:
        for command in commands(page):
            line = small(command, port)
            if line.startswith("plugwave simulate"):
                here.stop()
                here.serve(line)
                (tmp_path / "weekly.jsonl").write_text((tmp_path / "jobs.jsonl").read_text())
                continue
            done = here.run(line)
            assert done.returncode in ALLOWED.get(command, {0}), f"{command}\n{done.stderr}"
