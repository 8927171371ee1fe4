"""A process whose lines are read as they come, so that a test waits for what it says."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from tests.acceptance.harness import REPOSITORY, HarnessError


class Talking:
    """One plugwave process, as a context manager; *lines* is what it wrote to one stream."""

    def __init__(
        self, arguments: Sequence[str], environ: Mapping[str, str], *, stream: str = "stdout"
    ) -> None:
        self._command = [sys.executable, "-m", "worker", *arguments]
        self._environ = {**environ, "PYTHONPATH": str(REPOSITORY), "PATH": os.environ["PATH"]}
        self._stream = stream
        self._news = threading.Condition()
        self._lines: list[str] = []
        self._over = False

    def __enter__(self) -> Self:
        # What is not read goes nowhere: a full pipe would stop the process.
        wanted = dict.fromkeys(("stdout", "stderr"), subprocess.DEVNULL)
        wanted[self._stream] = subprocess.PIPE
        self._process = subprocess.Popen(
            self._command,
            cwd=REPOSITORY,
            env=self._environ,
            text=True,
            stdout=wanted["stdout"],
            stderr=wanted["stderr"],
        )
        self._reader = threading.Thread(target=self._read, name="lines")
        self._reader.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End it in order; kill it when it does not."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                self._process.kill()
        self._reader.join(timeout=10)
        for pipe in (self._process.stdout, self._process.stderr):
            if pipe is not None:
                pipe.close()

    def wait_for(self, holds: Callable[[Sequence[str]], bool], *, within_s: float = 20) -> None:
        """Wait until *holds* says yes to the lines so far.

        Raises:
            HarnessError: If it does not in time, or the process ends before.
        """
        with self._news:
            self._news.wait_for(lambda: self._over or holds(self._lines), timeout=within_s)
            if not holds(self._lines):
                tail = "\n".join(self._lines[-20:])
                raise HarnessError(f"not said within {within_s} s: {tail}")

    def lines(self) -> list[str]:
        """Return what was said so far."""
        with self._news:
            return list(self._lines)

    def _read(self) -> None:
        pipe = self._process.stdout or self._process.stderr
        assert pipe is not None
        for line in pipe:
            with self._news:
                self._lines.append(line.rstrip("\n"))
                self._news.notify_all()
        with self._news:
            self._over = True
            self._news.notify_all()


def events(lines: Sequence[str], name: str) -> list[dict[str, Any]]:
    """Return the log lines of that event."""
    found = [json.loads(line) for line in lines if f'"event":"{name}"' in line]
    return [line for line in found if line["event"] == name]
