"""Run the command line in this process, on a store and a home of its own."""

import io
import os
import sys
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import anyio
import orjson
import pytest

from config.logs import reset
from jobs.clock import SystemClock
from jobs.model import Job, JobRequest, Progress, WorkerId
from jobs.states import JobEvent
from jobs.store.protocol import Change, Store, WorkerInfo
from jobs.store.sqlite import open_sqlite
from worker.cli.main import run
from worker.simulator import Simulator

T = TypeVar("T")
Start = Callable[..., Simulator]
"""Starts a simulated cloud with the options given, and points the settings at it."""


@dataclass(frozen=True)
class Ran:
    """What a command did: exit code, stdout, stderr."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()

    @property
    def document(self) -> Any:
        """The one JSON document on stdout."""
        return orjson.loads(self.out)


class Cli:
    """The command line with its own store."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self.store_path = folder / "state.db"
        self._capsys = capsys

    def __call__(self, *arguments: str, stdin: bytes = b"", pipe: bytes | None = None) -> Ran:
        """Run one command line; standard input is a file, or a pipe that cannot be read twice."""
        self._capsys.readouterr()
        file = io.BytesIO(stdin) if pipe is None else _pipe_of(pipe)
        before, sys.stdin = sys.stdin, io.TextIOWrapper(file)
        try:
            code = run(list(arguments))
        finally:
            sys.stdin.close()
            sys.stdin = before
            reset()
        out, err = self._capsys.readouterr()
        return Ran(code, out, err)

    def with_store(self, work: Callable[[Store], Coroutine[Any, Any, T]]) -> T:
        """Do something with the store and close it again."""

        async def opened() -> T:
            store = await open_sqlite(self.store_path, SystemClock())
            try:
                return await work(store)
            finally:
                await store.close()

        return anyio.run(opened)

    def add(self, *requests: JobRequest) -> None:
        """Queue requests."""

        async def enqueue(store: Store) -> None:
            await store.enqueue(list(requests))

        self.with_store(enqueue)

    def end(self, event: JobEvent, **progress: Any) -> None:
        """Let a worker claim everything that is ready and end it with *event* from CHECKING."""

        async def end_all(store: Store) -> None:
            worker = await store.register(A_WORKER, lease_s=20)
            for _, lease in await store.claim(worker, limit=100, deadline_s=60):
                await store.record(Change(lease=lease, event=event, progress=Progress(**progress)))
            await store.leave(worker)

        self.with_store(end_all)


def _pipe_of(content: bytes) -> BinaryIO:
    reading, writing = os.pipe()
    os.write(writing, content)
    os.close(writing)
    return os.fdopen(reading, "rb")


A_WORKER = WorkerInfo(name="w1", host="here", pid=1)


async def claim_all(store: Store) -> tuple[WorkerId, list[Job]]:
    """Register a worker that takes every ready job in hand."""
    worker = await store.register(A_WORKER, lease_s=20)
    return worker, [job for job, _ in await store.claim(worker, limit=100, deadline_s=60)]


@contextmanager
def own_home(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Leave nothing of this machine's settings in the way."""
    for name in ("NO_COLOR", "FORCE_COLOR", "CI", "XDG_CONFIG_HOME", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.setenv("PLUGWAVE_STORE__URL", f"sqlite:///{folder / 'state.db'}")
    monkeypatch.chdir(folder)
    yield


__all__ = ["A_WORKER", "Cli", "Ran", "Start", "claim_all", "own_home"]
