"""The claim's cost follows what it takes: each statement goes by its own small index."""

import re
from typing import Any

import pytest

from jobs.store.postgres import (
    PostgresStore,
    advancing,
    claiming,
    intake,
    pools,
    reading,
    recording,
    rollout_reading,
    rollout_writing,
)
from tests.builders import PROJECT, a_request
from tests.contract.steps import a_worker, accept, claim
from tests.postgres.steps import admin

STATEMENTS = [
    (claiming.ORPHANED, "jobs_orphaned", (["", "prod"], 10)),
    (claiming.LANES, "jobs_ready", (["", "prod"], [0, 0], 10)),
    (claiming.PILES, "jobs_ready", ([1, 2, 3], ["", "", "prod"], [10, 10, 10])),
    (reading.LEFT, "jobs_named", (6, [12])),
    (pools.DUE, "jobs_due", (1, 10)),
    (pools._FREE, "jobs_behind", ("{1}", "{1}")),
    (reading.NEXT_DUE, "jobs_due", ()),
    (reading.POOL_JOBS, "jobs_open", (PROJECT, "", "pool-a")),
    (claiming._JOBS, "jobs_pkey", ([1],)),
    (claiming._TAKE, "jobs_pkey", (1, "{1}", "{3}", "{1}", "{1}", "{1}")),
    (recording.MOVE, "jobs_pkey", (*("{1}" for _ in range(10)), '{"{}"}')),
    (rollout_reading.IN_LINE, "jobs_in_line", (1, 0, 9, 10)),
    (rollout_reading.IN_FLIGHT, "jobs_admitted", (1, 0, 9, 10)),
    (advancing.IN_LINE, "jobs_in_line", (1, 10)),
    (advancing.ADMITTED_IDLE, "jobs_admitted", (1, 10)),
    (rollout_writing.TAKEN, "jobs_of_rollout", (1, 0, 0, 9)),
    (advancing.WAITING_ONES, "jobs_pkey", ([1], 1, 10)),
    (intake.EQUAL_OPEN_JOBS, "jobs_open", ([1], [1], [b"x"])),
]


@pytest.mark.parametrize(("sql", "index", "values"), STATEMENTS)
async def test_a_statement_goes_by_its_index(
    store: PostgresStore, dsn: str, sql: str, index: str, values: tuple[Any, ...]
) -> None:
    """With generic plans too, none of them reads the jobs from one end to the other."""
    await accept(store, *[a_request(f"pool-{n}", f"project-{n % 7}") for n in range(2000)])
    await claim(store, await a_worker(store), 50)
    async with admin(dsn) as connection:
        await connection.execute("ANALYZE plugwave.jobs; ANALYZE plugwave.pools")
        for mode in ("force_custom_plan", "force_generic_plan"):
            await connection.execute(f"SET plan_cache_mode = {mode}")
            plan = "\n".join(row[0] for row in await connection.fetch(f"EXPLAIN {sql}", *values))

            assert re.search(rf"(using|on) {index}\b", plan), plan
            assert "Seq Scan on jobs" not in plan, plan


async def test_a_move_of_a_job_in_hand_touches_no_index(store: PostgresStore, dsn: str) -> None:
    """The columns that change while a job is in hand occur in no index, so updates stay HOT."""
    changing = {"state", "progress", "cancel_asked", "reason", "finished_us"}
    async with admin(dsn) as connection:
        found = await connection.fetch(
            "SELECT pg_get_indexdef(indexrelid) FROM pg_index"
            " WHERE indrelid = 'plugwave.jobs'::regclass"
        )

    words = {word for (told,) in found for word in re.findall(r"\w+", told)}
    assert words & changing == set()
