"""Servers that a measurement needs beside the cloud: started here, on free ports, and ended here.

A peer whose package or server is missing is left out with a line that says what to install.
PostgreSQL comes from the wheel that the tests use, with fsync on; its files lie in memory where
there is room, as do those of Redis and NATS, so that no disk is measured.
"""

import contextlib
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import anyio
import asyncpg  # type: ignore[import-untyped]  # it ships no types

from tests.postgres.server import PrivateServer

MEMORY: Final = Path("/dev/shm")

POSTGRES: Final = {
    "shared_buffers": "512MB",
    "max_wal_size": "4GB",
    "shared_preload_libraries": "pg_stat_statements",
    "pg_stat_statements.max": "10000",
    "autovacuum_naptime": "15s",
}


class MissingError(Exception):
    """A server is not installed; the message says what to do."""


def scratch() -> Path:
    """Return a place for files whose disk shall not be measured."""
    return MEMORY if MEMORY.is_dir() else Path(tempfile.gettempdir())


def free_port() -> int:
    """Return a port that nobody uses right now."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


class Postgres:
    """A server of its own; each measurement gets an empty database."""

    def __init__(self) -> None:
        self._server = PrivateServer(in_memory=True, friends="", **POSTGRES)
        self._made = 0
        self._sql(self._server.dsn, "CREATE EXTENSION pg_stat_statements")

    @property
    def pid(self) -> int:
        """The process id of the server."""
        return self._server.pid

    def database(self) -> str:
        """Make an empty database and return its address."""
        self._made += 1
        name = f"bench_{self._made}"
        self._sql(self._server.dsn, f"CREATE DATABASE {name}")
        return self._server.dsn.removesuffix("postgres") + name

    def asked(self, dsn: str) -> dict[str, float]:
        """Return what the database of *dsn* was asked so far: statements and commits."""
        name = dsn.rpartition("/")[2]
        time.sleep(1.2)  # sessions hand their figures in once a second
        statements = (
            "SELECT coalesce(sum(calls), 0)::bigint FROM pg_stat_statements s JOIN pg_database d"
            f" ON d.oid = s.dbid WHERE d.datname = '{name}' AND s.toplevel"
        )
        commits = f"SELECT xact_commit FROM pg_stat_database WHERE datname = '{name}'"
        return {
            "statements": self._sql(self._server.dsn, statements),
            "commits": self._sql(self._server.dsn, commits),
        }

    def stop(self) -> None:
        """End it and remove its files."""
        self._server.remove()

    @staticmethod
    def _sql(dsn: str, query: str) -> float:
        async def ask() -> float:
            connection = await asyncpg.connect(dsn)
            try:
                return float(await connection.fetchval(query) or 0)
            finally:
                await connection.close()

        return anyio.run(ask)


@contextmanager
def postgres() -> Iterator[Postgres]:
    """Run a PostgreSQL.

    Raises:
        MissingError: If there is none.
    """
    try:
        server = Postgres()
    except RuntimeError as error:
        raise MissingError(f"no PostgreSQL: {error}") from None
    try:
        yield server
    finally:
        server.stop()


@contextmanager
def daemon(program: str, package: str, *arguments: str) -> Iterator[tuple[int, int]]:
    """Run *program* with ``{port}`` and ``{folder}`` filled in; yield its port and process id.

    Raises:
        MissingError: If it is not installed.
    """
    found = shutil.which(program) or shutil.which(program, path="/usr/sbin:/usr/local/sbin")
    if found is None:
        raise MissingError(f"{program} is not installed (Debian: apt install {package})")
    port = free_port()
    folder = tempfile.mkdtemp(prefix="pwbench-", dir=scratch())
    filled = [one.format(port=port, folder=folder) for one in arguments]
    process = subprocess.Popen(
        [found, *filled], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=folder
    )
    try:
        _wait_for(port, process)
        yield port, process.pid
    finally:
        process.terminate()
        process.wait(10)
        shutil.rmtree(folder, ignore_errors=True)


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.2):
            return
        time.sleep(0.05)
    raise MissingError(f"{process.args!r} did not start")


def redis() -> contextlib.AbstractContextManager[tuple[int, int]]:
    """Run a Redis that writes every command to its log before it answers (appendfsync always)."""
    return daemon(
        "redis-server",
        "redis-server",
        *("--port", "{port}", "--bind", "127.0.0.1", "--dir", "{folder}", "--save", ""),
        *("--appendonly", "yes", "--appendfsync", "always"),
    )


def nats() -> contextlib.AbstractContextManager[tuple[int, int]]:
    """Run a NATS server with JetStream on files."""
    return daemon(
        "nats-server", "nats-server", "-js", "-a", "127.0.0.1", "-p", "{port}", "-sd", "{folder}"
    )
