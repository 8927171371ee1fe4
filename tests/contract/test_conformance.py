"""Twenty faults that other queues have shipped; each line names the tests that keep it out of ours.

The list is that of the store notes, section 11.  `POINTS` maps each of its points to the tests;
`test_the_list_is_whole_and_names_tests_that_exist` compares it with the files.  A test in
`tests/contract` runs on both engines; where an engine needs its own way (its connections, its
hints), each has a test in its own folder.  A point that is not built yet says so.
"""

import ast
import os
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Final

import anyio
import asyncpg  # type: ignore[import-untyped]  # it ships no types
import pytest

from jobs.errors import BadRequestError, LeaseLostError
from jobs.rollouts.recurrence import new_schedule
from jobs.schedule_states import Skipped, TickState
from jobs.states import JobEvent, JobState
from jobs.store.protocol import JobFilter, Store
from tests.builders import a_request
from tests.contract.conftest import ENGINES
from tests.contract.steps import (
    ONE,
    SENT,
    TWO,
    a_worker,
    accept,
    all_is_well,
    bring,
    claim,
    claimed,
    move,
)
from tests.engine.scheduled import ANA, a_schedule
from tests.engine.schedulers import Planner, a_scheduler, look
from tests.fakes import FakeClock
from tests.postgres.server import dsn_for

TESTS: Final = Path(__file__).resolve().parents[1]
HERE: Final = "contract/test_conformance.py"

POINTS: Final[Mapping[int, tuple[str, tuple[str, ...]]]] = {
    1: (
        "a stale ack changes nothing",
        (
            "contract/test_record.py::test_a_lease_that_was_lost_writes_nothing",
            "contract/test_record.py::test_a_lease_of_another_worker_or_fence_writes_nothing",
            "contract/test_record.py::test_one_stale_record_in_a_crowd_fails_alone",
        ),
    ),
    2: (
        "two jobs of one pool in one claim, and in two racing claims",
        (
            "contract/test_claim.py::test_one_claim_takes_one_job_of_a_pool",
            "contract/test_claim.py::test_racing_claims_take_one_job_of_a_pool",
            "postgres/test_workers.py::test_racing_claims_never_share_a_pool",
        ),
    ),
    3: (
        "a worker's row is pruned before its jobs",
        (
            "contract/test_rescue.py::test_workers_are_listed_while_they_live_or_hold_jobs",
            "contract/test_rescue.py::test_a_dead_workers_results_stay",
            "contract/test_rescue.py::test_worker_ids_are_never_used_twice",
        ),
    ),
    4: (
        "the backend is killed during claim, ack and heartbeat",
        (
            "postgres/test_outages.py::test_a_killed_connection_costs_a_call_nothing",
            "postgres/test_outages.py::test_a_commit_without_an_answer_is_looked_up",
            "postgres/test_outages.py::test_a_line_that_keeps_breaking_repeats_nothing",
            "unit/sqlite/test_engine.py::test_a_commit_that_fails_fails_every_call",
            "unit/sqlite/test_file.py::test_what_was_acknowledged_survives_kill_9",
        ),
    ),
    5: (
        "the database is restarted",
        (
            "postgres/test_outages.py::test_a_server_that_crashes_loses_and_repeats_nothing",
            "contract/test_intake.py::test_an_accepted_job_survives_the_store",
        ),
    ),
    6: (
        "SIGTERM with everything claimed",
        (
            "contract/test_record.py::test_a_job_handed_back_is_free_but_keeps_its_pool",
            "contract/test_rescue.py::test_a_worker_that_leaves_frees_its_jobs",
            "acceptance/test_worker_trials.py::test_a_drain_loses_nothing",
        ),
    ),
    7: (
        "SIGKILL at each phase boundary",
        (
            "contract/test_rescue.py::test_a_silent_workers_job_is_freed",
            "contract/test_rescue.py::test_a_killed_workers_job_is_freed_at_once",
            "acceptance/test_worker_trials.py::test_a_killed_worker_loses_and_repeats_nothing",
        ),
    ),
    8: (
        "the clock steps by an hour, forwards and back",
        (
            f"{HERE}::test_a_step_of_the_clock",
            f"{HERE}::test_a_step_of_the_clock_over_a_lease",
        ),
    ),
    9: (
        "cron under 20 workers, missed by 3 h",
        (
            f"{HERE}::test_cron_under_20_workers_missed_by_3_hours",
            "contract/test_schedules.py::test_of_many_schedulers_one_writes_a_tick",
            "rollouts/test_firing.py::test_a_scheduler_that_slept_three_hours",
            "engine/test_scheduler.py::test_two_schedulers_make_one_rollout_of_a_tick",
            "engine/test_scheduler.py::test_a_kill_after_any_write_neither_loses_nor_doubles_the_tick",
        ),
    ),
    10: (
        "a poison row inside a batch of 500",
        (
            f"{HERE}::test_one_bad_request_of_500",
            "postgres/test_damage.py::test_a_row_that_cannot_be_read_is_set_aside",
            "unit/sqlite/test_duties.py::test_a_row_that_cannot_be_read_blocks_nobody",
        ),
    ),
    11: (
        "somebody keeps an old snapshot open",
        (
            f"{HERE}::test_a_snapshot_that_stays_open",
            "contract/test_operator.py::test_jobs_may_be_listed_while_they_change",
        ),
    ),
    12: (
        "1,000 jobs on one busy pool do not slow the others",
        (
            "contract/test_claim.py::test_a_crowd_on_one_busy_pool_delays_nobody",
            "postgres/test_workers.py::test_a_thousand_jobs_behind_a_busy_pool_cost_a_claim_nothing",
            "unit/sqlite/test_duties.py::test_the_hot_questions_use_their_index",
        ),
    ),
    13: (
        "a project with 10^6 jobs beside one with 10",
        (
            "contract/test_claim.py::test_a_small_project_beside_a_large_one_is_served_at_once",
            f"{HERE}::test_ten_jobs_beside_a_million",
        ),
    ),
    14: (
        "key replay, key conflict, key in flight, key expired",
        (
            "contract/test_intake.py::test_the_same_key_and_content_is_the_same_job",
            "contract/test_intake.py::test_the_same_key_with_other_content_is_refused",
            "contract/test_intake.py::test_many_calls_with_one_key_make_one_job",
            "contract/test_intake.py::test_a_key_is_remembered_after_its_job_ended",
            "contract/test_retention.py::test_a_key_is_known_longer_than_its_job",
        ),
    ),
    15: (
        "counters equal a recount after 10^5 random moves with kills",
        (
            "contract/test_any_order.py::test_counters_equal_a_recount_after_many_moves",
            "contract/test_any_order.py::test_counters_equal_a_recount_after_100_000_moves",
        ),
    ),
    16: (
        "a hint is lost",
        (
            "postgres/test_hearing.py::test_a_lost_hint_costs_no_more_than_the_poll",
            "contract/test_sharing.py::test_changed_notices_every_write_once",
        ),
    ),
    17: (
        "separate processes on one store",
        (
            f"{HERE}::test_separate_processes",
            "contract/test_sharing.py::test_two_opening_at_once_find_one_store",
            "unit/sqlite/test_mounts.py::test_a_store_on_a_network_file_system_is_refused",
        ),
    ),
    18: (
        "a reader of events misses nothing under concurrent commits",
        (
            f"{HERE}::test_events_under_concurrent_commits",
            "contract/test_events.py::test_a_reader_misses_nothing_while_others_write",
            "postgres/test_hearing.py::test_a_reader_of_all_events_misses_none",
            "postgres/test_hearing.py::test_a_reader_sees_every_event_of_a_busy_store_once",
            "postgres/test_hearing.py::test_a_reader_of_results_misses_none",
        ),
    ),
    19: (
        "a lease is lost while a POST hangs: no second POST before the takeover time",
        (
            "contract/test_rescue.py::test_nothing_is_sent_before_the_settle_time_of_a_hanging_send",
            "contract/test_rescue.py::test_a_lease_is_good_until_the_grace_is_over",
        ),
    ),
    20: (
        "upgrade of a schema with 1 M rows",
        (
            "postgres/test_million.py::test_a_million_jobs_are_brought_up_to_date_on_postgresql",
            "postgres/test_million.py::test_a_million_jobs_are_brought_up_to_date_on_sqlite",
            "acceptance/test_upgrade.py::test_workers_go_on_while_the_schema_is_brought_in",
        ),
    ),
}
"""Each point of the list with the tests that stand for it, as FILE::TEST below tests/."""

NOT_BUILT: Final[Mapping[int, str]] = {}
"""Points without a test, and why."""


@cache
def names_in(file: str) -> frozenset[str]:
    """Return the names of the tests in a file below tests/."""
    tree = ast.parse((TESTS / file).read_text())
    kinds = ast.FunctionDef | ast.AsyncFunctionDef
    return frozenset(one.name for one in ast.walk(tree) if isinstance(one, kinds))


def test_the_list_is_whole_and_names_tests_that_exist() -> None:
    """Every point has tests that exist, or stands in NOT_BUILT with the reason."""
    named = [name.split("::") for _, names in POINTS.values() for name in names]

    assert list(POINTS) == list(range(1, 21))
    assert [f"{file}::{test}" for file, test in named if test not in names_in(file)] == []
    assert {point for point, (_, names) in POINTS.items() if not names} == set(NOT_BUILT)


@pytest.mark.parametrize("hours", [1, -1])
async def test_a_step_of_the_clock(
    store: Store, other: Store, clock: FakeClock, hours: int
) -> None:
    """Point 8: a worker that still speaks keeps its job over a jump, and nobody else gets it."""
    await accept(store)
    one, two = await a_worker(store, ONE), await a_worker(other, TWO)
    lease = await bring(store, one, JobState.SENDING)

    clock.advance(hours=hours)
    await store.heartbeat(one, lease_s=20)
    await other.heartbeat(two, lease_s=20)
    freed = await other.rescue(grace_s=2)
    taken = await claimed(other, two)
    job = await move(store, lease, JobEvent.ACCEPTED)

    assert (freed, taken, job.state) == ([], [], JobState.WATCHING)
    await all_is_well(store)


async def test_a_step_of_the_clock_over_a_lease(
    store: Store, other: Store, clock: FakeClock
) -> None:
    """Point 8: whose lease a jump has ended may write nothing, and its send is not repeated."""
    [job] = await accept(store)
    lease = await bring(store, await a_worker(store, ONE), JobState.SENDING)

    clock.advance(hours=1)
    two = await a_worker(other, TWO)
    freed = await other.rescue(grace_s=2)
    clock.advance(hours=-1)
    with pytest.raises(LeaseLostError):
        await move(store, lease, JobEvent.ACCEPTED)

    await other.heartbeat(two, lease_s=20)
    [(taken, _)] = await claim(other, two)
    assert (list(freed), taken.id, taken.state) == ([job], job, JobState.UNKNOWN)
    assert taken.progress.not_before_us == SENT.not_before_us
    await all_is_well(store)


async def test_one_bad_request_of_500(store: Store) -> None:
    """Point 10: what cannot be stored refuses its own call; 499 beside it are accepted."""
    refused: list[int] = []

    async def enqueue(number: int) -> None:
        bad = number == 250
        labels = {"broken": "\ud800"} if bad else {}
        try:
            await store.enqueue([replace(a_request(f"pool-{number}"), labels=labels)])
        except BadRequestError:
            refused.append(number)

    async with anyio.create_task_group() as group:
        for number in range(500):
            group.start_soon(enqueue, number)

    assert refused == [250]
    assert await store.open_jobs() == 499
    await all_is_well(store)


@asynccontextmanager
async def old_snapshot(engine: str, place: Path) -> AsyncIterator[None]:
    """Keep a transaction open that has read, as a forgotten console or a backup does."""
    if engine == "sqlite":
        with sqlite3.connect(place / "jobs.db", isolation_level=None) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM jobs").fetchall()
            yield
            reader.execute("ROLLBACK")
        reader.close()
        return
    connection = await asyncpg.connect(await dsn_for(place))
    async with connection.transaction(isolation="repeatable_read"):
        await connection.fetch("SELECT count(*) FROM plugwave.jobs")
        yield
    await connection.close()


@pytest.mark.slow
@pytest.mark.parametrize("engine", sorted(ENGINES))
async def test_a_snapshot_that_stays_open(engine: str, tmp_path: Path, clock: FakeClock) -> None:
    """Point 11: intake, claims and records go on beside it, and everything adds up after it."""
    store = await ENGINES[engine](tmp_path, clock)
    await accept(store, a_request("first"))
    worker = await a_worker(store)

    async with old_snapshot(engine, tmp_path):
        await accept(store, *[a_request(f"pool-{n}") for n in range(300)])
        while taken := await claim(store, worker, 50):
            for _, lease in taken:
                await move(store, lease, JobEvent.ALREADY)

    assert await store.counts() == {JobState.UNCHANGED: 301}
    await all_is_well(store)
    await store.close()


@pytest.mark.soak
@pytest.mark.timeout(900)
async def test_ten_jobs_beside_a_million(store: Store) -> None:
    """Point 13: the ten are in the first claim, also behind a million of another project."""
    one = await a_worker(store)
    for part in range(200):
        await accept(
            store, *[a_request(f"a-{part}-{n}", project="a", inputs=None) for n in range(5000)]
        )
    small = await accept(store, *[a_request(f"b-{n}", project="b") for n in range(10)])

    got = await claimed(store, one, 20)

    assert set(small) <= set(got)


@pytest.mark.slow
async def test_cron_under_20_workers_missed_by_3_hours(
    store: Store, other: Store, clock: FakeClock
) -> None:
    """Point 9: twenty wake up together; each missed tick has one fate, and one rollout begins."""
    schedule = a_schedule("misfireGrace: 90m", cron="0 * * * *")
    await store.schedules.put_schedule(new_schedule(schedule, ANA))
    planner = Planner()
    workers = [await a_scheduler((store, other)[n % 2], clock, planner) for n in range(20)]
    clock.advance(hours=3, minutes=10)

    for _ in range(3):
        await look(*workers)

    [row] = await store.schedules.schedules()
    ticks = await store.schedules.ticks(row.id)
    fates = [tick.skipped or tick.state for tick in reversed(ticks)]
    assert fates == [Skipped.MISSED, Skipped.CAUGHT_UP, TickState.STARTED]
    assert planner.plans == len(await store.rollouts.rollouts()) == 1
    await all_is_well(store)


WORK: Final = """
import sys, anyio
from pathlib import Path
from jobs.clock import SystemClock
from jobs.states import JobEvent
from jobs.store.postgres import open_postgres
from jobs.store.protocol import Change, WorkerInfo
from jobs.store.sqlite import open_sqlite
from tests.builders import a_request
from tests.contract.steps import SENT

async def main(url, name, jobs):
    opened = open_postgres if "://" in url else lambda url, clock: open_sqlite(Path(url), clock)
    store = await opened(url, SystemClock())
    for n in range(jobs):
        await store.enqueue([a_request(f"pool-{n % 7}", key=f"{name}-{n}")])
    worker = await store.register(WorkerInfo(name=name, host="h", pid=1), lease_s=20)
    while await store.open_jobs():
        for job, lease in await store.claim(worker, limit=5, deadline_s=60):
            await store.record(Change(lease=lease, event=JobEvent.ALREADY, progress=SENT))
            print(job.id)
    await store.leave(worker)
    await store.close()

anyio.run(main, sys.argv[1], sys.argv[2], int(sys.argv[3]))
"""
"""A process that takes in, claims and ends jobs until the queue is empty; prints what it ended."""


@pytest.mark.slow
@pytest.mark.timeout(60)
@pytest.mark.parametrize("engine", sorted(ENGINES))
async def test_separate_processes(engine: str, tmp_path: Path) -> None:
    """Point 17: three processes on one store, not even made before, end each job once."""
    url = await dsn_for(tmp_path) if engine == "postgres" else str(tmp_path / "jobs.db")
    environment = {**os.environ, "PYTHONPATH": str(TESTS.parent)}
    commands = [[sys.executable, "-c", WORK, url, f"p{number}", "20"] for number in range(3)]
    done: list[subprocess.CompletedProcess[bytes]] = []

    async def run(command: list[str]) -> None:
        done.append(await anyio.run_process(command, env=environment))

    async with anyio.create_task_group() as group:
        for command in commands:
            group.start_soon(run, command)
    ended = [int(line) for one in done for line in one.stdout.splitlines()]

    assert len(done) == 3
    assert len(ended) == len(set(ended)) == 60


async def test_events_under_concurrent_commits(store: Store, other: Store) -> None:
    """Point 18: the history of each job is whole and in order while two processes write."""

    async def write(target: Store, side: str) -> None:
        for number in range(20):
            await accept(target, a_request(f"{side}-{number}", key=f"{side}{number}"))

    async with anyio.create_task_group() as group:
        group.start_soon(write, store, "a")
        group.start_soon(write, other, "b")

    jobs = [job async for job in store.jobs(JobFilter())]
    histories = [await store.history(job.id) for job in jobs]
    numbers = [event.seq for history in histories for event in history]
    assert len(jobs) == 40
    assert all(len(history) == 1 for history in histories)
    assert len(set(numbers)) == 40
