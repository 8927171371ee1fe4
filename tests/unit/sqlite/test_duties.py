"""What the duties leave in the file: plans, attempts, lock files, parked rows and findings."""

# ruff: noqa: ASYNC220 - a test starts a process itself
import re
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from jobs.errors import (
    LeaseLostError,
    StoreError,
)
from jobs.model import WorkerId
from jobs.states import JobEvent, JobState, WaitReason
from jobs.store.schema import json_text
from jobs.store.sqlite import (
    SqliteStore,
    advancing,
    claiming,
    intake,
    pools,
    reading,
    rollout_reading,
    rollout_writing,
    workers,
)
from jobs.store.sqlite.liveness import lock_folder
from tests.builders import a_request
from tests.contract import damages
from tests.contract.steps import (
    LEASE_S,
    PATHS,
    SENT,
    TWO,
    a_worker,
    accept,
    all_is_well,
    bring,
    claim,
    claimed,
    move,
    state_of,
    story,
)
from tests.fakes import FakeClock
from tests.unit.sqlite.steps import damage, run, writing


@pytest.mark.parametrize(
    ("sql", "index"),
    [
        (claiming.ORPHANED, "jobs_orphaned"),
        (claiming.LANES, "jobs_ready"),
        (claiming.LANE, "jobs_ready"),
        (reading._LEFT, "jobs_named"),
        (pools.DUE, "jobs_due"),
        (pools._FREE, "jobs_behind"),
        (reading.NEXT_DUE, "jobs_due"),
        (intake._EQUAL_OPEN_JOB, "jobs_open"),
        (reading._POOL_JOBS, "jobs_open"),
        (rollout_reading.IN_LINE, "jobs_in_line"),
        (rollout_reading.IN_FLIGHT, "jobs_admitted"),
        (advancing.IN_LINE, "jobs_in_line"),
        (advancing.ADMITTED_IDLE, "jobs_admitted"),
        (rollout_writing.TAKEN, "jobs_of_rollout"),
    ],
)
async def test_the_hot_questions_use_their_index(store: SqliteStore, sql: str, index: str) -> None:
    """The state constants in the statements prove the partial indexes; no table is scanned."""
    numbered = sorted(set(re.findall(r"\?\d", sql)))
    bindings = (1,) * (len(numbered) or sql.count("?"))
    plan = [
        row[3]
        for row in await run(
            store,
            lambda transaction: list(transaction.rows(f"EXPLAIN QUERY PLAN {sql}", bindings)),
        )
    ]

    assert any(f"INDEX {index}" in line for line in plan), plan
    assert not [line for line in plan if line.startswith("SCAN jobs") and "INDEX" not in line]
    if sql != reading._POOL_JOBS:  # a page may sort the few jobs of one pool
        assert not [line for line in plan if "TEMP B-TREE" in line], plan


async def attempts(store: SqliteStore) -> list[Any]:
    """Return what is kept of the attempts."""
    sql = "SELECT n, outcome, http_status, request_id, before IS NULL, inputs FROM attempts"
    rows: list[Any] = await store._reader.run(lambda snapshot: snapshot.rows(sql))
    return rows


async def test_an_intent_opens_an_attempt_and_its_answer_closes_it(store: SqliteStore) -> None:
    """What was about to be sent is on disk before the send, and what came of it after."""
    await accept(store)
    worker = await a_worker(store)
    lease = await bring(store, worker, JobState.SENDING)
    opened = await attempts(store)
    answered = SENT.__class__(sends=1, http_status=202, cloud_request_id="r-1")

    await move(store, lease, JobEvent.ACCEPTED, progress=answered)

    inputs = json_text(SENT.inputs)
    assert opened == [(1, None, None, None, 0, inputs)]
    assert await attempts(store) == [(1, "accepted", 202, "r-1", 0, inputs)]


@pytest.mark.parametrize("state", list(PATHS))
async def test_no_attempt_of_a_dead_worker_stays_open(store: SqliteStore, state: JobState) -> None:
    """A rescue closes the attempt whose outcome nobody will ever hear."""
    await accept(store)
    worker = await a_worker(store)
    await bring(store, worker, state)

    await store.leave(worker)

    assert None not in [row[1] for row in await attempts(store)]
    await all_is_well(store)


async def test_the_lock_file_goes_with_its_worker(store: SqliteStore, path: Path) -> None:
    """A live worker has a lock file, a dead one has none."""
    one, two = await a_worker(store), await a_worker(store, TWO)
    alive = sorted(file.name for file in lock_folder(path).iterdir())

    await store.leave(one)
    left = [file.name for file in lock_folder(path).iterdir()]

    assert alive == [f"{one}.lock", f"{two}.lock"]
    assert left == [f"{two}.lock"]


async def test_without_the_lock_file_the_lease_decides(
    store: SqliteStore, path: Path, clock: FakeClock
) -> None:
    """A vanished lock file proves nothing: the worker is dead when its lease says so."""
    [job] = await accept(store)
    worker = await a_worker(store)
    await bring(store, worker, JobState.SENDING)
    for file in lock_folder(path).iterdir():
        file.unlink()

    early = await store.rescue(grace_s=5)
    clock.advance(LEASE_S + 6)

    assert early == []
    assert await store.rescue(grace_s=5) == [job]


async def test_a_heartbeat_in_the_last_moment_counts(store: SqliteStore) -> None:
    """Between the look at a lease and the sentence it is looked at once more."""
    worker = await a_worker(store)  # by now its lease is good again
    sentence = partial(workers.bury, worker=worker, unless_alive_within_us=0)

    assert await run(store, sentence) is None
    await store.heartbeat(worker, lease_s=LEASE_S)


@pytest.mark.slow
@pytest.mark.timeout(60)
async def test_the_kernel_tells_of_a_killed_worker(store: SqliteStore, path: Path) -> None:
    """A worker process that is killed is proven dead at once, long before its lease ends."""
    script = """
import anyio, sys
from pathlib import Path
from jobs.clock import SystemClock
from jobs.store.protocol import WorkerInfo
from jobs.store.sqlite import open_sqlite

async def main():
    store = await open_sqlite(Path(sys.argv[1]), SystemClock())
    worker = await store.register(WorkerInfo(name="w", host="h", pid=1), lease_s=1e6)
    await store.claim(worker, limit=1, deadline_s=60)
    print("holding", flush=True)
    await anyio.sleep_forever()

anyio.run(main)
"""
    [job] = await accept(store)
    with subprocess.Popen(
        [sys.executable, "-c", script, str(path)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        before = await store.rescue(grace_s=1e7)
        process.kill()
        process.wait()

    assert before == []
    assert await store.rescue(grace_s=1e7) == [job]
    assert await state_of(store, job) is JobState.READY


async def test_a_row_that_cannot_be_read_blocks_nobody(store: SqliteStore) -> None:
    """A poisoned job is set aside with a reason; the others of the claim are taken."""
    good, bad, behind, last = await accept(
        store,
        a_request("a"),
        a_request("b", key="1", version="9.9.9"),
        a_request("b", key="2"),
        a_request("c"),
    )
    await damage(store, "UPDATE specs SET body = '{' WHERE body LIKE '%9.9.9%'")
    worker = await a_worker(store)

    first, second = await claimed(store, worker), await claimed(store, worker)

    assert (first, second) == ([good, last], [behind])
    assert await store.waiting_counts() == {WaitReason.PAUSED: 1}
    assert (await story(store, bad))[-1] == JobEvent.HELD
    await all_is_well(store)


@pytest.mark.parametrize(
    ("name", "sql"),
    [
        ("counters", "UPDATE counts SET jobs = jobs + 1 WHERE state = 2"),
        ("counters", "DELETE FROM counts"),
        ("hands", "UPDATE jobs SET worker = NULL WHERE state = 4"),
        ("hands", "UPDATE jobs SET reason = 0 WHERE state = 1"),
        ("heads", "UPDATE pools SET head_job = NULL WHERE name = 'pool-a'"),
        ("heads", "UPDATE pools SET head_job = 4711 WHERE name = 'pool-b'"),
        ("fences", "UPDATE pools SET fence = 0"),
        ("attempts", "DELETE FROM attempts"),
        ("attempts", "UPDATE attempts SET outcome = NULL WHERE job = 3"),
        ("keys", "UPDATE idempotency SET job = 4711"),
        ("workers", "UPDATE workers SET dead_us = 1"),
        ("workers", "UPDATE workers SET lease_until_us = 1"),
        ("references", "UPDATE jobs SET spec = 4711"),
        ("schema", "INSERT INTO schema_version VALUES (99, 0)"),
    ],
)
async def test_the_check_finds_damage(store: SqliteStore, name: str, sql: str) -> None:
    """Each kind of damage is found by the finding that is named after it."""
    await accept(
        store,
        a_request(key="sending"),
        a_request(key="behind"),
        a_request("pool-c"),
        a_request("pool-b"),
    )
    worker = await a_worker(store)
    [(_, sending), (_, watching)] = await claim(store, worker, 2)
    for lease in (sending, watching):
        await move(store, lease, JobEvent.INTENDED)
    await move(store, watching, JobEvent.ACCEPTED)
    healthy = {finding.name for finding in await store.check() if not finding.ok}
    writing(store).pragma("foreign_keys", 0)
    await damage(store, sql)

    wrong = {finding.name for finding in await store.check() if not finding.ok}

    assert healthy == set()
    assert name in wrong


@pytest.mark.parametrize(("name", "sql"), damages.DAMAGES)
async def test_the_check_recounts_rollouts(store: SqliteStore, name: str, sql: str) -> None:
    """A tally that is not what its jobs say is found, and so is a job in no line."""
    await damages.a_rollout(store, await a_worker(store))
    healthy = {finding.name for finding in await store.check() if not finding.ok}
    writing(store).pragma("foreign_keys", 0)
    await damage(store, sql.format(s="", waves="waves", no=0))

    wrong = {finding.name for finding in await store.check() if not finding.ok}

    assert healthy == set()
    assert name in wrong


async def test_a_place_of_a_rollout_has_one_job(store: SqliteStore) -> None:
    """Even a bug of ours cannot put two jobs at one place."""
    await damages.a_rollout(store, await a_worker(store))

    with pytest.raises(StoreError):
        await damage(store, "UPDATE jobs SET rank = 0")


async def test_the_file_itself_keeps_the_one_writer_rule(store: SqliteStore) -> None:
    """Even a bug of ours cannot put two jobs of one pool in hand."""
    await accept(store, a_request(key="1"), a_request(key="2"))
    await claim(store, await a_worker(store))

    with pytest.raises(StoreError):
        await damage(store, "UPDATE jobs SET state = 3, holds = 1, reason = 0 WHERE state = 1")


async def test_a_lost_lease_is_no_secret_but_shows_nothing(store: SqliteStore) -> None:
    """The error names job and worker, and none of what was to be sent."""
    await accept(store, a_request(inputs={"password": "canary"}))
    worker = await a_worker(store)
    lease = await bring(store, worker, JobState.CHECKING)
    await store.leave(worker)

    with pytest.raises(LeaseLostError) as caught:
        await move(store, lease, JobEvent.INTENDED, data={"canary": 1})

    assert "canary" not in repr(caught.value.as_dict())
    assert caught.value.facts == {"job": lease.job, "worker": WorkerId(worker)}
