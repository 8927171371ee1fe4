"""The store's file: whose it is, what is refused, and what survives."""

# ruff: noqa: ASYNC220, ASYNC240 - tests look at files and start processes themselves
import os
import signal
import subprocess
import sys
from pathlib import Path

import apsw
import pytest

from jobs.errors import (
    StoreCorruptError,
    StoreError,
    StoreReadOnlyError,
    StoreVersionError,
)
from jobs.store.protocol import JobFilter
from jobs.store.sqlite import SqliteStore, migrating, open_sqlite
from jobs.store.sqlite.connection import check_library
from tests.contract.steps import (
    a_worker,
    accept,
    all_is_well,
    claim,
    story,
)
from tests.fakes import FakeClock
from tests.unit.sqlite.steps import writing


async def test_the_store_is_the_owners_alone(tmp_path: Path, clock: FakeClock) -> None:
    """Missing folders get mode 0700 and every file 0600, whatever the umask."""
    path = tmp_path / "new" / "state" / "jobs.db"
    old = os.umask(0)
    try:
        store = await open_sqlite(path, clock)
        await a_worker(store)
    finally:
        os.umask(old)
    files = [found for found in (tmp_path / "new").rglob("*") if found.is_file()]
    folders = [found for found in (tmp_path / "new").rglob("*") if found.is_dir()]
    modes = {found.stat().st_mode & 0o777 for found in files}
    folder_modes = {one.stat().st_mode & 0o777 for one in [tmp_path / "new", *folders]}
    await store.close()

    assert len(files) >= 4  # the store, its WAL and shared memory, the worker's lock
    assert (modes, folder_modes) == ({0o600}, {0o700})


async def test_a_commit_is_synced(store: SqliteStore) -> None:
    """The file is in WAL mode with full synchronisation, and references are enforced."""
    told = [writing(store).pragma(name) for name in ("journal_mode", "synchronous", "foreign_keys")]

    assert told == ["wal", 2, 1]


async def test_closing_leaves_one_file(path: Path, clock: FakeClock) -> None:
    """A clean close folds the WAL into the file."""
    store = await open_sqlite(path, clock)
    await accept(store)
    await store.close()

    wal = path.with_name(path.name + "-wal")
    assert not wal.exists() or wal.stat().st_size == 0


async def test_a_file_of_text_is_no_store(path: Path, clock: FakeClock) -> None:
    """Something else under that name is refused and left as it is."""
    path.write_text("just a note, longer than the header of a database would be" * 20)

    with pytest.raises(StoreCorruptError, match="not a plugwave store"):
        await open_sqlite(path, clock)

    assert path.read_text().startswith("just a note")


async def test_the_database_of_another_program_is_left_alone(path: Path, clock: FakeClock) -> None:
    """An SQLite file that is not ours is refused before anything in it is changed."""
    foreign = apsw.Connection(str(path))
    foreign.execute("CREATE TABLE notes(text)")
    foreign.close()
    before = path.read_bytes()

    with pytest.raises(StoreCorruptError, match="not a plugwave store"):
        await open_sqlite(path, clock)

    assert path.read_bytes() == before


async def test_a_newer_store_is_refused(path: Path, clock: FakeClock) -> None:
    """A program never works on a schema that it does not know."""
    await (await open_sqlite(path, clock)).close()
    connection = apsw.Connection(str(path))
    connection.execute("INSERT INTO schema_version VALUES (99, 0)")
    connection.close()

    with pytest.raises(StoreVersionError, match="schema 99"):
        await open_sqlite(path, clock)


async def test_an_older_store_is_brought_up_to_date(
    path: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Missing steps are applied once; a reader that may not do that says so."""
    await (await open_sqlite(path, clock)).close()
    newer = max(migrating.steps()) + 1
    steps = {**migrating.steps(), newer: "CREATE TABLE extra(id INTEGER PRIMARY KEY);"}
    monkeypatch.setattr(migrating, "steps", lambda: steps)

    with pytest.raises(StoreVersionError, match="older schema"):
        await open_sqlite(path, clock, read_only=True)
    for _ in range(2):
        await (await open_sqlite(path, clock)).close()

    connection = apsw.Connection(str(path))
    versions = connection.execute("SELECT version FROM schema_version ORDER BY 1").fetchall()
    connection.close()
    assert [version for (version,) in versions] == sorted(steps)


async def test_a_migration_that_fails_changes_nothing(
    path: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All steps are one transaction: half a schema never exists."""
    await (await open_sqlite(path, clock)).close()
    newer = max(migrating.steps()) + 1
    broken = {**migrating.steps(), newer: "CREATE TABLE extra(id); SELECT nonsense FROM nowhere;"}
    with monkeypatch.context() as patched:
        patched.setattr(migrating, "steps", lambda: broken)
        with pytest.raises(StoreError):
            await open_sqlite(path, clock)

    store = await open_sqlite(path, clock)
    await all_is_well(store)
    await store.close()


def test_migrations_are_numbered_without_gaps() -> None:
    """Each step has the next number, so two programs never disagree on what a version means."""
    assert list(migrating.steps()) == list(range(1, migrating.schema_version() + 1))


@pytest.mark.parametrize("version", ["3.40.1", "3.51.2"])
def test_an_sqlite_that_loses_pages_is_refused(version: str) -> None:
    """Before 3.51.3 two writing processes can lose committed jobs; we do not start."""
    with pytest.raises(StoreVersionError, match="too old"):
        check_library(version)


def test_a_sound_sqlite_is_taken() -> None:
    """From 3.51.3 on all is well, and so is the one that came with apsw."""
    check_library("3.51.3")
    check_library("3.52.0")
    check_library(apsw.sqlite_lib_version())


async def test_a_folder_is_no_store(tmp_path: Path, clock: FakeClock) -> None:
    """A path that cannot be a file is an error that names it."""
    with pytest.raises(StoreError, match=str(tmp_path)):
        await open_sqlite(tmp_path, clock)


async def test_a_reader_reads_and_does_not_write(
    store: SqliteStore, path: Path, clock: FakeClock
) -> None:
    """A store opened for reading answers questions and refuses everything else."""
    [job] = await accept(store)
    reader = await open_sqlite(path, clock, read_only=True)

    found = await reader.job(job)
    with pytest.raises(StoreReadOnlyError):
        await accept(reader)
    await all_is_well(reader)
    await reader.close()

    assert found == await store.job(job)


async def test_a_reader_makes_no_store(path: Path, clock: FakeClock) -> None:
    """Looking at a store that does not exist is an error and leaves nothing behind."""
    with pytest.raises(StoreError, match="no store at"):
        await open_sqlite(path, clock, read_only=True)

    assert not path.exists()


WRITER = """
import anyio, sys
from pathlib import Path
from jobs.clock import SystemClock
from jobs.store.sqlite import open_sqlite
from tests.builders import a_request

async def main():
    store = await open_sqlite(Path(sys.argv[1]), SystemClock())
    number = 0
    while True:
        requests = [a_request(f"pool-{number}-{n}", key=f"{number}-{n}") for n in range(3)]
        for answer in await store.enqueue(requests):
            print(answer.job, flush=True)
        number += 1

anyio.run(main)
"""


@pytest.mark.slow
@pytest.mark.timeout(60)
async def test_what_was_acknowledged_survives_kill_9(path: Path, clock: FakeClock) -> None:
    """Every job whose acceptance was told is there after the process was killed."""
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        told = [int(process.stdout.readline()) for _ in range(100)]
        process.send_signal(signal.SIGKILL)
        told += [int(line) for line in process.stdout.read().split("\n")[:-1]]

    store = await open_sqlite(path, clock)
    found = {job.id async for job in store.jobs(JobFilter())}
    await all_is_well(store)
    await store.close()
    assert set(told) <= found
    assert len(found) % 3 == 0, "a transaction is whole or not there"


FIRST_EDITION = """
INSERT INTO schema_version VALUES (1, 0);
INSERT INTO projects(name) VALUES ('project');
INSERT INTO specs(sha256, name, body)
  VALUES (x'00', 'p', '{"base":"current","inputs":null,"name":"p","version":"1"}');
INSERT INTO pools(id, project, region, name, head_job)
  VALUES (1, 1, '', 'pool-1', 1), (2, 1, '', 'pool-2', 2);
INSERT INTO jobs(id, state, open, holds, reason, fence, cancel_asked, priority, project, pool, spec,
                 created_us, source, fingerprint, natural_key)
  SELECT id, 2, 1, 0, 0, 0, 0, 0, 1, id, 1, 0, 'test', 'a', 'a' FROM pools;
INSERT INTO events(seq, job, at_us, event, state) VALUES (1, 1, 0, 'created', 2),
                                                         (2, 2, 0, 'created', 2);
INSERT INTO counts VALUES (2, 0, 2);
UPDATE sequences SET last = 2;
"""


async def test_a_store_of_the_first_edition_keeps_its_jobs(path: Path, clock: FakeClock) -> None:
    """Its jobs name no profile, any worker takes them, and their history goes on."""
    connection = apsw.Connection(str(path))
    connection.execute(migrating._FIRST)
    connection.execute(migrating.steps()[1])
    connection.execute(FIRST_EDITION)
    connection.close()

    store = await open_sqlite(path, clock)
    found = await claim(store, await a_worker(store))
    await all_is_well(store)
    told = [await story(store, job.id) for job, _ in found]
    await accept(store)
    await store.close()

    assert [(job.id, job.request.profile) for job, _ in found] == [(1, None), (2, None)]
    assert told == [["created", "claimed"]] * 2


def test_a_step_only_adds() -> None:
    """Every column keeps its name and type, and none is asked for that the version before lacks.

    So the statements of workers that run while a step is brought in stay right.
    """
    connection = apsw.Connection(":memory:")
    connection.execute("CREATE TABLE schema_version (version INTEGER, applied_us INTEGER) STRICT")
    before: dict[str, str] = {}
    tables: set[str] = set()
    for sql in migrating.steps().values():
        connection.execute(sql)
        found = {
            f"{table}.{column}": (kind, bool(needed) and default is None)
            for table, column, kind, needed, default in connection.execute(
                'SELECT t.name, c.name, c.type, c."notnull", c.dflt_value'
                " FROM sqlite_schema t, pragma_table_info(t.name) c WHERE t.type = 'table'"
            )
        }
        after = {name: kind for name, (kind, _) in found.items()}
        assert before.items() <= after.items()
        new = {name for name in after.keys() - before.keys() if name.split(".")[0] in tables}
        assert [name for name in new if found[name][1]] == []
        before, tables = after, {name.split(".")[0] for name in after}
    connection.close()
