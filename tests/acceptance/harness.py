"""Start, watch, stop and kill real processes: the chaos cloud and plugwave's own commands.

Waiting is on what the cloud records, which arrives here line by line, or on the end of a
process; every wait has a deadline.  Each plugwave process writes its log to a file of its
own, so that a kill loses nothing that was written.
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from tests.acceptance.evidence import Evidence, parse_lines
from tests.acceptance.scenario import Scenario

REPOSITORY: Final = Path(__file__).resolve().parents[2]


class HarnessError(AssertionError):
    """What the test waited for did not come in time."""


def _environment(extra: Mapping[str, str]) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PLUGWAVE_")}
    paths = [str(REPOSITORY), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**kept, "PYTHONPATH": os.pathsep.join(paths), **extra}


class Cloud:
    """A running chaos cloud and its record, as a context manager."""

    def __init__(self, folder: Path, state: Path, *options: str) -> None:
        self._record: list[dict[str, Any]] = []
        self._kinds: Counter[str] = Counter()
        self._news = threading.Condition()
        self._command = [
            *(sys.executable, "-m", "tests.acceptance.chaos_cloud", "--port", "0", "--echo"),
            *("--state", str(state), "--log", str(folder / "cloud.jsonl"), *options),
        ]

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            self._command, cwd=REPOSITORY, env=_environment({}), stdout=subprocess.PIPE, text=True
        )
        self._reader = threading.Thread(target=self._read, name="cloud record")
        self._reader.start()
        self.wait_for(bool, within_s=15)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def endpoint(self) -> str:
        """The base URL."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self.lines()[0]["port"])

    def lines(self) -> list[dict[str, Any]]:
        """Return the record so far."""
        with self._news:
            return list(self._record)

    def arrived(self) -> int:
        """Return how many requests have come so far."""
        return self.count("request")

    def count(self, kind: str) -> int:
        """Return how many lines of that kind the record has so far."""
        with self._news:
            return self._kinds[kind]

    def wait_for(
        self, holds: Callable[[Sequence[Mapping[str, Any]]], bool], *, within_s: float
    ) -> None:
        """Wait until *holds* says yes to the record.

        Raises:
            HarnessError: If it does not in time.
        """
        with self._news:
            if not self._news.wait_for(lambda: holds(self._record), timeout=within_s):
                raise HarnessError(f"not seen within {within_s} s; {len(self._record)} lines")

    def wait_for_requests(self, count: int, *, within_s: float) -> None:
        """Wait until that many requests have come in all."""
        self.wait_for(lambda _: self._kinds["request"] >= count, within_s=within_s)

    def signal(self, number: int) -> None:
        """Send the cloud's process a signal."""
        self._process.send_signal(number)

    def stop(self) -> list[dict[str, Any]]:
        """End the cloud in order and return the whole record; harmless when repeated."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(timeout=10)
        self._reader.join(timeout=10)
        if self._process.stdout is not None:
            self._process.stdout.close()
        return self.lines()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for text in self._process.stdout:
            line = json.loads(text)
            with self._news:
                self._record.append(line)
                self._kinds[line["kind"]] += 1
                self._news.notify_all()


@dataclass(slots=True)
class Worker:
    """One `plugwave work` process; *started* is when it was started, in monotonic seconds."""

    process: subprocess.Popen[bytes]
    log: Path
    started: float
    signals: int = 0
    """How many it got."""

    killed: float | None = None
    """When it was killed, in monotonic seconds."""

    def signal(self, number: int) -> None:
        """Send a signal."""
        self.signals += 1
        self.process.send_signal(number)

    def ended_within(self, seconds: float) -> bool:
        """Wait for the end; say whether it came."""
        try:
            self.process.wait(timeout=max(seconds, 0.0))
        except subprocess.TimeoutExpired:
            return False
        return True

    def end(self, *, within_s: float) -> int:
        """Return the exit code; negative is the signal that ended it.

        Raises:
            HarnessError: If it does not end in time; it is killed then.
        """
        if not self.ended_within(within_s):
            self.process.kill()
            self.process.wait(timeout=10)
            raise HarnessError(f"worker did not end within {within_s} s: {tail(self.log)}")
        return self.process.returncode

    def kill(self) -> None:
        """End it at once, as a power cut would."""
        self.killed = time.monotonic()
        self.signal(signal.SIGKILL)
        self.process.wait(timeout=10)


@dataclass(slots=True)
class Plugwave:
    """plugwave's commands with one configuration and one store, in a folder of their own."""

    folder: Path
    endpoint: str
    rate: int
    settings: Mapping[str, str] = field(default_factory=dict)
    logs: list[Path] = field(default_factory=list)
    workers: list[Worker] = field(default_factory=list)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave no process behind."""
        for worker in self.workers:
            if worker.process.poll() is None:
                worker.kill()

    def environment(self) -> dict[str, str]:
        """Return what every command is started with."""
        return _environment(
            {
                "HOME": str(self.folder),
                "PLUGWAVE_CLOUD__ENDPOINT": self.endpoint,
                "PLUGWAVE_CLOUD__AUTH": "none",
                "PLUGWAVE_CLOUD__RATE": str(self.rate),
                "PLUGWAVE_CLOUD__SETTLE": "4s",
                "PLUGWAVE_CLOUD__REQUEST_TIMEOUT": "2s",
                "PLUGWAVE_CLOUD__POLL_FIRST": "0.2s",
                "PLUGWAVE_STORE__URL": f"sqlite:///{self.folder / 'plugwave.db'}",
                "PLUGWAVE_WORKER__LEASE": "5s",
                "PLUGWAVE_WORKER__HEARTBEAT": "1s",
                "PLUGWAVE_LOGS__FORMAT": "json",
                **self.settings,
            }
        )

    def run(self, *arguments: str, within_s: float = 30) -> subprocess.CompletedProcess[bytes]:
        """Run a command to its end; what it printed joins the evidence."""
        done = subprocess.run(
            [sys.executable, "-m", "worker", *arguments],
            cwd=self.folder,
            env=self.environment(),
            capture_output=True,
            timeout=within_s,
            check=False,
        )
        for stream, data in (("out", done.stdout), ("err", done.stderr)):
            path = self.folder / f"command-{len(self.logs):03d}.{stream}"
            path.write_bytes(data)
            self.logs.append(path)
        return done

    def enqueue(self, jobs: Path) -> None:
        """Queue the file.

        Raises:
            HarnessError: If the command does not say that all were accepted.
        """
        done = self.run("enqueue", str(jobs))
        if done.returncode != 0:
            text = (done.stderr or done.stdout).decode(errors="replace")
            raise HarnessError(f"enqueue ended with {done.returncode}: {text[-1500:]}")

    def start_worker(self, *inside: str) -> Worker:
        """Start `plugwave work --until-empty`; *inside* is a command to run it with."""
        log = self.folder / f"worker-{len(self.workers):03d}.err"
        out = log.with_suffix(".out")
        started = time.monotonic()
        with log.open("ab") as errors, out.open("ab") as output:
            process = subprocess.Popen(
                [*inside, sys.executable, "-m", "worker", "work", "--until-empty"],
                cwd=self.folder,
                env=self.environment(),
                stdout=output,
                stderr=errors,
            )
        worker = Worker(process, log, started)
        self.workers.append(worker)
        return worker

    def evidence(self, scenario: Scenario, record: Sequence[Mapping[str, Any]]) -> Evidence:
        """Return all that is known about the run, once every process has ended."""
        logs = [worker.log for worker in self.workers]
        printed = [*logs, *(log.with_suffix(".out") for log in logs), *self.logs]
        parsed, other = parse_lines(logs)
        said = "\n".join(path.read_text(encoding="utf-8", errors="replace") for path in printed)
        killed = [worker for worker in self.workers if worker.process.returncode == -signal.SIGKILL]
        return Evidence(
            record=record,
            log=parsed,
            expected=scenario.expected,
            limit=self.rate,
            settle_s=4.0,
            kills=len(killed),
            interruptions=sum(worker.signals for worker in self.workers),
            other=other,
            secrets=scenario.secrets,
            said=said,
        )


def tail(path: Path, characters: int = 1500) -> str:
    """Return the end of a file."""
    return path.read_text(encoding="utf-8", errors="replace")[-characters:]
