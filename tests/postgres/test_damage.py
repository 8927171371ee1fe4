"""Damage is found and named; attempts, poisoned rows and refused values are treated by name."""

from dataclasses import replace
from typing import Any

import anyio
import pytest

from jobs.errors import (
    BadRequestError,
    IllegalTransitionError,
    LeaseLostError,
    RolloutHeldError,
    StoreError,
)
from jobs.model import JobId, Lease, WorkerId
from jobs.states import JobEvent, JobState, WaitReason
from jobs.store.postgres import PostgresStore
from jobs.store.rollouts import OrderKind
from tests.builders import a_request, digest
from tests.contract import damages
from tests.contract.rollout_steps import in_hand, order, running
from tests.contract.steps import (
    SENT,
    accept,
    all_is_well,
    bring,
    claim,
    claimed,
    move,
)
from tests.postgres.steps import admin, run

DAMAGES = [
    ("counters", "UPDATE plugwave.counts SET jobs = jobs + 1"),
    ("heads", "UPDATE plugwave.pools SET head_job = NULL WHERE name = 'pool-a'"),
    ("heads", "UPDATE plugwave.pools SET head_job = 4711 WHERE name = 'pool-b'"),
    ("fences", "UPDATE plugwave.pools SET fence = 0 WHERE name = 'pool-a'"),
    ("attempts", "UPDATE plugwave.attempts SET outcome = 'accepted'"),
    ("attempts", "UPDATE plugwave.attempts SET job = 2"),
    ("keys", "DELETE FROM plugwave.idempotency"),
    ("references", "UPDATE plugwave.jobs SET spec = 4711 WHERE id = 1"),
    ("hands", "UPDATE plugwave.jobs SET reason = 1 WHERE id = 1"),
    ("hands", "UPDATE plugwave.jobs SET finished_us = 1 WHERE id = 2"),
    ("workers", "UPDATE plugwave.workers SET dead_us = 1"),
    ("schema", "INSERT INTO plugwave.schema_version VALUES (999, 0)"),
]


@pytest.mark.parametrize(("name", "sql"), DAMAGES)
async def test_each_damage_is_found_and_named(
    store: PostgresStore, worker: WorkerId, dsn: str, name: str, sql: str
) -> None:
    """What must be true of every healthy store is asked, and what is not is told."""
    await accept(store, a_request(key="1"), a_request("pool-b", key="2"))
    await bring(store, worker, JobState.SENDING)
    healthy = [one for one in await store.check() if not one.ok]
    await run(dsn, sql)

    wrong = [one.name for one in await store.check() if not one.ok]

    await run(dsn, "DELETE FROM plugwave.schema_version WHERE version = 999")
    assert healthy == []
    assert name in wrong


async def test_two_jobs_in_hand_of_one_pool_are_impossible(
    store: PostgresStore, worker: WorkerId, dsn: str
) -> None:
    """The database itself refuses a second writer of a pool, whatever the program does."""
    await accept(store, a_request(key="1"), a_request(key="2"))
    await bring(store, worker, JobState.CHECKING)

    with pytest.raises(Exception, match="jobs_one_holder"):
        await run(
            dsn,
            "UPDATE plugwave.jobs SET state = 3, place = 4, reason = 0, worker = $1 WHERE id = 2",
            worker,
        )


async def test_a_server_that_may_lose_commits_is_reported(store: PostgresStore, dsn: str) -> None:
    """Accepted means on disk, so a setting that breaks it is something a person must see."""
    await run(dsn, "ALTER ROLE postgres SET synchronous_commit = off")
    try:
        async with admin(dsn) as connection:
            await connection.execute("SELECT 1")
        wrong = [one for one in await _checked_anew(store, dsn) if not one.ok]
    finally:
        await run(dsn, "ALTER ROLE postgres RESET synchronous_commit")

    assert [one.name for one in wrong] == ["durability"]
    assert "synchronous_commit" in wrong[0].detail


async def _checked_anew(store: PostgresStore, dsn: str) -> Any:
    from tests.postgres.steps import kill_backends  # noqa: PLC0415 - one use

    await kill_backends(dsn)
    return await store.check()


async def attempts(dsn: str) -> list[Any]:
    """Return what is kept of the attempts."""
    sql = "SELECT n, outcome, http_status, before IS NULL FROM plugwave.attempts ORDER BY job, n"
    return [tuple(row) for row in await run(dsn, sql)]


async def test_an_intent_opens_an_attempt_and_its_answer_closes_it(
    store: PostgresStore, worker: WorkerId, dsn: str
) -> None:
    """What was about to be sent is on disk before the send, and what came of it after."""
    await accept(store)
    lease = await bring(store, worker, JobState.SENDING)
    opened = await attempts(dsn)

    await move(store, lease, JobEvent.ACCEPTED, progress=SENT.__class__(sends=1, http_status=202))

    assert opened == [(1, None, None, False)]
    assert await attempts(dsn) == [(1, "accepted", 202, False)]


async def test_a_lost_lease_closes_the_attempt_too(
    store: PostgresStore, worker: WorkerId, dsn: str
) -> None:
    """An attempt whose worker has gone is not left open."""
    await accept(store)
    await bring(store, worker, JobState.SENDING)

    await store.leave(worker)

    assert await attempts(dsn) == [(1, "lease-lost", None, False)]


async def test_a_row_that_cannot_be_read_is_set_aside(
    store: PostgresStore, worker: WorkerId, dsn: str
) -> None:
    """One poisoned job in a claim delays no other; it waits for a person, its pool goes on."""
    jobs = await accept(
        store, a_request(key="1"), a_request(key="2"), a_request("b"), a_request("c")
    )
    await run(dsn, "UPDATE plugwave.jobs SET labels = '{broken' WHERE id = $1", jobs[0])

    assert await claimed(store, worker) == jobs[2:]
    assert await claimed(store, worker) == [jobs[1]]
    sql = "SELECT state, reason FROM plugwave.jobs WHERE id = $1"
    assert [tuple(row) for row in await run(dsn, sql, jobs[0])] == [(1, 10)]
    assert (await store.waiting_counts()) == {WaitReason.PAUSED: 1}


@pytest.mark.parametrize(
    "poison",
    [
        {"source": "a\0b"},
        {"idempotency_key": "a\0b"},
        {"priority": 2**70},
        {"idempotency_key": "".join(digest(n) for n in range(200))},
    ],
)
async def test_what_postgresql_cannot_hold_is_refused(
    store: PostgresStore, poison: dict[str, Any]
) -> None:
    """A request with a NUL, a number beyond 64 bits or an endless key stores nothing."""
    good = a_request("pool-good")

    with pytest.raises(BadRequestError):
        await store.enqueue([good, replace(a_request("pool-bad"), **poison)])

    assert await store.open_jobs() == 0
    await all_is_well(store)


@pytest.mark.parametrize(
    ("name", "sql"),
    [*damages.DAMAGES, ("places", "UPDATE plugwave.jobs SET rank = 0")],
)
async def test_the_check_recounts_rollouts(
    store: PostgresStore, worker: WorkerId, dsn: str, name: str, sql: str
) -> None:
    """A tally that is not what its jobs say is found, and so is a job in no line."""
    await damages.a_rollout(store, worker)
    healthy = [one for one in await store.check() if not one.ok]
    await run(dsn, sql.format(s="plugwave.", waves="plugwave.tallies", no="false"))

    assert healthy == []
    assert name in {one.name for one in await store.check() if not one.ok}


async def test_the_lock_of_a_rollout_is_found_by_jobs_nobody_remembers(
    store: PostgresStore, worker: WorkerId
) -> None:
    """A process that has forgotten a job looks up whose it is before it lets it send."""
    rollout = await running(store, 1)
    [lease] = await in_hand(store, worker, rollout)
    store._transactions._memory.held.clear()
    await order(store, rollout, OrderKind.PAUSE)

    with pytest.raises(RolloutHeldError):
        await move(store, lease, JobEvent.INTENDED)
    await order(store, rollout, OrderKind.RESUME)
    assert (await move(store, lease, JobEvent.INTENDED)).state is JobState.SENDING


async def test_what_a_process_remembers_is_never_trusted(
    store: PostgresStore, worker: WorkerId
) -> None:
    """A memory that is out of date saves no question; it cannot write what the row forbids."""
    await accept(store)
    lease = await bring(store, worker, JobState.CHECKING)
    held = store._transactions._memory.held[lease.job]
    ahead = replace(lease, fence=lease.fence + 1)

    job = held.job
    held.job = replace(job, state=JobState.SENDING)
    with pytest.raises(IllegalTransitionError):
        await move(store, lease, JobEvent.ACCEPTED)
    held.job = replace(job, fence=ahead.fence)
    with pytest.raises(LeaseLostError):
        await move(store, ahead, JobEvent.INTENDED)

    assert (await move(store, lease, JobEvent.INTENDED)).state is JobState.SENDING


async def test_text_that_cannot_be_written_fails_alone(
    store: PostgresStore, worker: WorkerId
) -> None:
    """One answer with a NUL in its request id is refused; the others of its group are recorded."""
    await accept(store, *[a_request(f"pool-{n}") for n in range(5)])
    leases = [lease for _, lease in await claim(store, worker)]
    for lease in leases:
        await move(store, lease, JobEvent.INTENDED)
    refused: list[JobId] = []

    async def answer(lease: Lease) -> None:
        text = "a\0b" if lease == leases[2] else "ab"
        try:
            await move(
                store, lease, JobEvent.ACCEPTED, progress=replace(SENT, cloud_request_id=text)
            )
        except StoreError:
            refused.append(lease.job)

    async with anyio.create_task_group() as group:
        for lease in leases:
            group.start_soon(answer, lease)

    assert refused == [leases[2].job]
    assert await store.counts() == {JobState.WATCHING: 4, JobState.SENDING: 1}
    await all_is_well(store)
