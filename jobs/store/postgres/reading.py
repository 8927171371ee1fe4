"""What commands and pages ask."""

from collections.abc import Mapping, Sequence
from typing import Final

from jobs.model import Job, JobId, Target, WorkerId
from jobs.states import JobState, WaitReason
from jobs.store.postgres import pools, rows
from jobs.store.postgres.intake import POSITION
from jobs.store.postgres.wire import Wire
from jobs.store.protocol import Event, JobFilter, Result, WorkerRow
from jobs.store.rows import COLUMNS, event, worker
from jobs.store.schema import LAST_OPEN, NOT_BY_ITSELF, REASON_CODES, REASONS, STATES

PAGE_IDS: Final = 1_000
"""Jobs looked at in one statement, so that none runs long and holds back the vacuum."""

_JOB: Final = f"{rows.JOBS} WHERE j.id = $1"
POOL_JOBS: Final = f"""
{rows.JOBS} WHERE j.place < 6 AND r.name = $1 AND p.region = $2 AND p.name = $3
 ORDER BY p.head_job IS DISTINCT FROM j.id, j.run_at_us IS NOT NULL, j.run_at_us,
          {pools.RANK}, j.id
"""
_NEWEST: Final = """
SELECT min(id), max(id), count(*) FROM (
  SELECT id FROM plugwave.jobs WHERE id < $1 ORDER BY id DESC LIMIT $2) w
"""
_OLDEST: Final = """
SELECT min(id), max(id), count(*) FROM (
  SELECT id FROM plugwave.jobs WHERE id > $1 ORDER BY id LIMIT $2) w
"""
_RESULTS: Final = f"""
SELECT {COLUMNS}, x.seq, w.name
  FROM plugwave.results x
  JOIN plugwave.workers w ON w.id = x.worker
  JOIN plugwave.jobs j ON j.id = x.job AND j.project = x.project
  {rows.JOINS}
 WHERE x.worker = $1 AND x.seq > $2 ORDER BY x.seq
"""  # noqa: S608 - made of constants only
# The history of a job that was removed may be there for some days more.
_HISTORY: Final = f"""
{rows.EVENTS}
 WHERE job = $1 AND EXISTS (SELECT FROM plugwave.jobs WHERE id = $1) ORDER BY seq
"""
NEXT_DUE: Final = """
SELECT run_at_us FROM plugwave.jobs WHERE place = 2 ORDER BY run_at_us LIMIT 1
"""
_COUNTS: Final = """
SELECT state, sum(jobs)::bigint FROM plugwave.counts GROUP BY state HAVING sum(jobs) <> 0
"""
_WAITING: Final = """
SELECT reason, sum(jobs)::bigint FROM plugwave.counts WHERE reason > 0
 GROUP BY reason HAVING sum(jobs) <> 0
"""
_OPEN: Final = "SELECT coalesce(sum(jobs), 0)::bigint FROM plugwave.counts WHERE state <= $1"

# With each job that is not behind another go those that are behind it.  One statement, so that
# all of it is of one instant.
LEFT: Final = """
WITH named AS (
  SELECT h.profile, sum(1 + CASE WHEN p.head_job = h.id THEN (
           SELECT count(*) FROM plugwave.jobs b WHERE b.pool = h.pool AND b.place = 3)
         ELSE 0 END) AS jobs
    FROM plugwave.jobs h JOIN plugwave.pools p ON p.id = h.pool AND p.project = h.project
   WHERE h.place < 6 AND h.profile <> '' AND h.place <> 3
     AND NOT (h.state = 1 AND h.reason = ANY($2::smallint[]))
   GROUP BY h.profile
), unnamed AS (
  SELECT coalesce(sum(jobs), 0) - coalesce((SELECT sum(jobs) FROM named), 0) AS jobs
    FROM plugwave.counts WHERE state <= $1 AND NOT (state = 1 AND reason = ANY($2::smallint[]))
)
SELECT profile, jobs::bigint FROM named
 UNION ALL SELECT '', jobs::bigint FROM unnamed WHERE jobs <> 0
"""
_NOT_LEFT: Final = [REASON_CODES[reason] for reason in NOT_BY_ITSELF]


async def job(wire: Wire, wanted: JobId) -> Job | None:
    """See `OperatorStore.job`."""
    row = await wire.row(_JOB, wanted)
    return None if row is None else rows.job(row)


async def page(
    wire: Wire, matching: JobFilter, *, newest_first: bool, after: int | None
) -> tuple[Sequence[Job], int | None]:
    """Return the matching jobs of the next PAGE_IDS ids, and where to go on; None at the end."""
    if newest_first:
        window = await wire.row(_NEWEST, 2**62 if after is None else after, PAGE_IDS)
    else:
        window = await wire.row(_OLDEST, 0 if after is None else after, PAGE_IDS)
    assert window is not None
    low, high, seen = window
    if not seen:
        return [], None
    order = "DESC" if newest_first else "ASC"
    terms, values = rows.condition(matching, first=3)
    sql = f"{rows.JOBS} WHERE j.id BETWEEN $1 AND $2{terms} ORDER BY j.id {order}"
    found = [rows.job(row) for row in await wire.rows(sql, low, high, *values)]
    where_next = low if newest_first else high
    return found, where_next if seen == PAGE_IDS else None


async def history(wire: Wire, wanted: JobId) -> Sequence[Event]:
    """See `OperatorStore.history`."""
    found = await wire.rows(_HISTORY, wanted)
    return [event(row) for row in found]


async def pool_jobs(wire: Wire, target: Target) -> Sequence[Job]:
    """See `OperatorStore.pool_jobs`."""
    region, project, name = target.pool
    return [rows.job(row) for row in await wire.rows(POOL_JOBS, project, region, name)]


async def counts(wire: Wire) -> Mapping[JobState, int]:
    """See `OperatorStore.counts`."""
    return {STATES[code]: number for code, number in await wire.rows(_COUNTS)}


async def waiting_counts(wire: Wire) -> Mapping[WaitReason, int]:
    """See `OperatorStore.waiting_counts`."""
    told: dict[WaitReason, int] = {}
    for code, number in await wire.rows(_WAITING):
        reason = REASONS[code]
        assert reason is not None
        told[reason] = number
    return told


async def workers(wire: Wire) -> Sequence[WorkerRow]:
    """See `OperatorStore.workers`."""
    return [worker(row) for row in await wire.rows(rows.WORKERS)]


async def results_after(wire: Wire, worker: WorkerId, seq: int) -> Sequence[Result]:
    """See `WorkStore.results_after`."""
    found = await wire.rows(_RESULTS, worker, seq)
    return [Result(seq=row[-2], worker_name=row[-1], job=rows.job(row)) for row in found]


async def next_due_us(wire: Wire) -> int | None:
    """See `WorkStore.next_due_us`."""
    due: int | None = await wire.value(NEXT_DUE)
    return due


async def open_jobs(wire: Wire) -> int:
    """See `WorkStore.open_jobs`."""
    return int(await wire.value(_OPEN, LAST_OPEN))


async def left_by_profile(wire: Wire) -> Mapping[str | None, int]:
    """See `WorkStore.left_by_profile`."""
    return {name or None: count for name, count in await wire.rows(LEFT, LAST_OPEN, _NOT_LEFT)}


async def intake_position(wire: Wire, source: str, digest: str) -> int:
    """See `IntakeStore.intake_position`."""
    return int(await wire.value(POSITION, source, digest) or 0)
