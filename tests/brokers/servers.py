"""Real brokers for the tests: started on free ports with files of their own, killed, restarted.

They are Debian's packages; where one is missing its tests are skipped with a line that says
what to install.  Kafka's protocol comes from librdkafka's mock cluster, inside this process.
"""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import pytest

PLACES: Final = "/usr/sbin:/usr/local/sbin:/usr/lib/rabbitmq/bin"
START_S: Final = 40.0


def free_port() -> int:
    """Return a port that nobody uses right now."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def program(name: str, package: str) -> str:
    """Return where the program is, or skip the test."""
    found = shutil.which(name) or shutil.which(name, path=PLACES)
    if found is None:
        pytest.skip(f"{name} is not installed (Debian: apt install {package})")
    return found


class Daemon:
    """One server process on a port; its files outlive a kill."""

    def __init__(
        self,
        *command: str,
        environ: Mapping[str, str] | None = None,
        at_the_end: Sequence[str] = (),
    ) -> None:
        self._at_the_end = at_the_end
        self.port = free_port()
        self.folder = Path(tempfile.mkdtemp(prefix="pwbroker-"))
        self._command = command
        self._environ = environ or {}
        self._process: subprocess.Popen[bytes] | None = None

    def _filled(self, text: str) -> str:
        return text.replace("{port}", str(self.port)).replace("{folder}", str(self.folder))

    def start(self) -> None:
        """Start it and wait until it listens."""
        environ = {name: self._filled(text) for name, text in self._environ.items()}
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._filled(part) for part in self._command],
                stdout=log,
                stderr=log,
                cwd=self.folder,
                env={"PATH": os.environ["PATH"], "HOME": str(self.folder), **environ},
                start_new_session=True,
            )
        deadline = time.monotonic() + START_S
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError((self.folder / "log").read_text()[-2000:])
            time.sleep(0.05)

    def _answers(self) -> bool:
        with (
            contextlib.suppress(OSError),
            socket.create_connection(("127.0.0.1", self.port), 0.5),
        ):
            return True
        return False

    def kill(self) -> None:
        """End it as a crash does: all of its processes, at once."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(10)
            self._process = None

    def remove(self) -> None:
        """End it and remove its files."""
        self.kill()
        if self._at_the_end:
            subprocess.run(self._at_the_end, check=False, capture_output=True, timeout=10)
        shutil.rmtree(self.folder, ignore_errors=True)


def nats() -> Daemon:
    """A NATS server with JetStream."""
    found = program("nats-server", "nats-server")
    return Daemon(found, "-js", "-a", "127.0.0.1", "-p", "{port}", "-sd", "{folder}")


def redis() -> Daemon:
    """A Redis that writes every change to its file."""
    found = program("redis-server", "redis-server")
    kept: Sequence[str] = ("--appendonly", "yes", "--appendfsync", "always", "--save", "")
    return Daemon(found, "--port", "{port}", "--bind", "127.0.0.1", "--dir", "{folder}", *kept)


def rabbitmq() -> Daemon:
    """A RabbitMQ node of its own, which leaves none of the machine's alone."""
    found = program("rabbitmq-server", "rabbitmq-server")
    if os.geteuid() == 0:
        # Debian's wrapper changes to its own user, whose home is not ours: take what it wraps.
        found = "/usr/lib/rabbitmq/bin/rabbitmq-server"
    erlang, names = free_port(), str(free_port())
    return Daemon(
        found,
        at_the_end=("epmd", "-port", names, "-kill"),  # it outlives the node that started it
        environ={
            "RABBITMQ_NODENAME": f"pw{erlang}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": "{port}",
            "RABBITMQ_DIST_PORT": str(erlang),
            "RABBITMQ_MNESIA_BASE": "{folder}/mnesia",
            "RABBITMQ_LOG_BASE": "{folder}/log.d",
            "RABBITMQ_PID_FILE": "{folder}/pid",
            "RABBITMQ_ENABLED_PLUGINS_FILE": "{folder}/plugins",
            "ERL_EPMD_PORT": names,
            "LANG": "C.UTF-8",
        },
    )


class KafkaMock:
    """librdkafka's mock cluster, which lives as long as its producer."""

    def __init__(self) -> None:
        from confluent_kafka import Producer  # noqa: PLC0415 - a heavy library for one broker

        self._producer: Any = Producer({"test.mock.num.brokers": 1, "log_level": 0})
        brokers = self._producer.list_topics(timeout=10).brokers.values()
        self.servers = ",".join(f"{one.host}:{one.port}" for one in brokers)
