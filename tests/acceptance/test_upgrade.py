"""Upgrade a store with work in flight: the old workers go on, the new ones take over, no pause.

The newer program is a copy of this one with one more migration, or, in the long test, this one
beside the program of the commit before its newest migration.  All are real processes.
"""

import os
import shutil
import signal
import subprocess
import sys
import tarfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from io import BytesIO
from pathlib import Path
from typing import Final

import anyio
import anyio.to_thread
import apsw
import orjson
import pytest

from jobs.clock import SystemClock
from tests.postgres.server import dsn_for, shared_dsn, with_database
from tests.postgres.steps import run as run_sql
from worker.simulator import Simulator, SimulatorOptions

ROOT: Final = Path(__file__).resolve().parents[2]
PACKAGES: Final = ("worker", "config", "jobs")
LATER: Final = {
    "sqlite": """
        CREATE TABLE later (id INTEGER PRIMARY KEY) STRICT;
        ALTER TABLE jobs ADD COLUMN later TEXT;
        CREATE INDEX jobs_later ON jobs(later) WHERE later IS NOT NULL;
    """,
    "postgres": """
        CREATE TABLE IF NOT EXISTS plugwave.later (id bigint PRIMARY KEY);
        -- part
        ALTER TABLE plugwave.jobs ADD COLUMN later text;
        CREATE INDEX jobs_later ON plugwave.jobs(later) WHERE later IS NOT NULL;
    """,
}
"""What a migration does, on the busiest table."""


def newer_program(folder: Path) -> Path:
    """Return a copy of this program that knows one more migration."""
    for package in PACKAGES:
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / package, folder / package, ignore=ignored)
    for engine, sql in LATER.items():
        place = folder / "jobs" / "store" / engine / "migrations"
        number = max(int(file.name[:4]) for file in place.glob("*.sql")) + 1
        text = "\n".join(line.strip() for line in sql.splitlines())
        (place / f"{number:04d}_later.sql").write_text(text)
    return folder


def older_program(folder: Path) -> Path:
    """Return the program as it was before its newest migration."""
    newest = max((ROOT / "jobs/store/sqlite/migrations").glob("*.sql")).relative_to(ROOT)
    log = ["git", "log", "-1", "--format=%H", "--diff-filter=A", "--", str(newest)]
    found = subprocess.run(log, cwd=ROOT, capture_output=True, text=True, check=False)
    if not found.stdout.strip():
        pytest.skip("needs the repository's history")
    archive = ["git", "archive", f"{found.stdout.strip()}^", *PACKAGES]
    packed = subprocess.run(archive, cwd=ROOT, capture_output=True, check=True)
    with tarfile.open(fileobj=BytesIO(packed.stdout)) as opened:
        opened.extractall(folder, filter="data")
    return folder


class Shell:
    """Runs one program or the other on one store and one cloud."""

    def __init__(self, folder: Path, store: str, endpoint: str) -> None:
        self._folder = folder
        kept = {name: value for name, value in os.environ.items() if "PLUGWAVE" not in name}
        settings = {
            "STORE__URL": store,
            "CLOUD__ENDPOINT": endpoint,
            "CLOUD__AUTH": "none",
            "CLOUD__RATE": "30",
            "CLOUD__POLL_FIRST": "0.3s",
            "CLOUD__SETTLE": "1s",
        }
        own = {f"PLUGWAVE_{name}": value for name, value in settings.items()}
        self._environ = {**kept, **own, "HOME": str(folder), "XDG_STATE_HOME": str(folder)}

    def start(self, program: Path, *words: str) -> subprocess.Popen[bytes]:
        """Start a command of *program*."""
        command = [sys.executable, "-m", "worker", *words]
        environ = {**self._environ, "PYTHONPATH": str(program)}
        with (self._folder / "log").open("ab") as log:
            return subprocess.Popen(
                command, cwd=program, env=environ, stdout=subprocess.PIPE, stderr=log
            )

    async def run(self, program: Path, *words: str) -> tuple[int, bytes]:
        """Run a command of *program* to its end."""

        def ended() -> tuple[int, bytes]:
            process = self.start(program, *words)
            out, _ = process.communicate(timeout=60)
            return process.returncode, out

        return await anyio.to_thread.run_sync(ended)


async def ended(store: str) -> int:
    """Return how many jobs have ended, whichever program made the store."""
    if store.startswith("sqlite"):
        connection = apsw.Connection(store.removeprefix("sqlite:///"))
        connection.set_busy_timeout(5000)
        found = connection.execute("SELECT sum(jobs) FROM counts WHERE state > 6").fetchall()
        connection.close()
    else:
        found = await run_sql(store, "SELECT sum(jobs) FROM plugwave.counts WHERE state > 6")
    return int(found[0][0] or 0)


async def wait_for(store: str, jobs: int, worker: subprocess.Popen[bytes]) -> None:
    """Wait until so many jobs have ended while the worker lives."""
    clock = SystemClock()
    with anyio.fail_after(30):
        while await ended(store) < jobs:
            assert worker.poll() is None
            await clock.sleep(0.05)


@asynccontextmanager
async def fresh_store(engine: str, folder: Path) -> AsyncIterator[str]:
    """Yield the address of a store that nobody has made yet."""
    if engine == "sqlite":
        yield f"sqlite:///{folder / 'state.db'}"
        return
    await dsn_for(folder)  # the server is there
    name = f"plugwave_upgrade_{os.getpid()}"
    await run_sql(shared_dsn(), f"CREATE DATABASE {name}")
    try:
        yield with_database(shared_dsn(), name)
    finally:
        await run_sql(shared_dsn(), f"DROP DATABASE {name} WITH (FORCE)")


async def roll(engine: str, folder: Path, old: Path, new: Path) -> None:
    """Upgrade from *old* to *new* with work in flight, and check every promise about it."""
    options = SimulatorOptions(projects=2, pools=20, speed=200, installed=0.5)
    async with Simulator(options) as cloud, fresh_store(engine, folder) as store:
        shell = Shell(folder, store, cloud.url)
        lines = [
            orjson.dumps(
                {
                    "project_id": project,
                    "pool_name": pool,
                    "plugin": {"name": "node-local-dns", "version": "1.6.64"},
                    "idempotency_key": f"{project}-{pool}",
                }
            )
            for project, pool in cloud.targets
        ]
        (folder / "jobs.jsonl").write_bytes(b"\n".join(lines))
        assert (await shell.run(old, "enqueue", str(folder / "jobs.jsonl")))[0] == 0
        worker = shell.start(old, "work", "--slots", "8")
        try:
            await wait_for(store, 2, worker)
            migrated, _ = await shell.run(new, "store", "migrate")
            at_once = await ended(store)
            await wait_for(store, at_once + 5, worker)
            refused, _ = await shell.run(old, "store", "stats")
        finally:
            worker.send_signal(signal.SIGTERM)
            await anyio.to_thread.run_sync(worker.communicate)
        left, _ = await shell.run(new, "work", "--until-empty")
        checked, findings = await shell.run(new, "store", "check")
        all_ended = await ended(store)

    assert migrated == 0
    assert worker.returncode == 143
    assert refused == 9
    assert left == 0
    assert checked == 0, findings.decode()
    assert all_ended == len(lines) > at_once + 5


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.parametrize("engine", ["postgres", "sqlite"])
async def test_workers_go_on_while_the_schema_is_brought_in(engine: str, tmp_path: Path) -> None:
    """A migration with jobs in hand stops nothing; the newer program ends what the older left."""
    newer = newer_program(tmp_path / "newer")

    await roll(engine, tmp_path, ROOT, newer)


@pytest.mark.soak
@pytest.mark.timeout(300)
@pytest.mark.parametrize("engine", ["postgres", "sqlite"])
async def test_the_program_before_this_one_goes_on(engine: str, tmp_path: Path) -> None:
    """The same from the program of the commit before the newest migration to this one."""
    older = older_program(tmp_path / "older")

    await roll(engine, tmp_path, older, ROOT)
