"""What commands and pages ask, each answer from one snapshot that is let go at once."""

from collections.abc import Mapping, Sequence
from typing import Final

from jobs.model import Job, JobId, Target, WorkerId
from jobs.states import JobState, WaitReason
from jobs.store.protocol import Event, JobFilter, Result, WorkerRow
from jobs.store.rows import COLUMNS, event, worker
from jobs.store.schema import LAST_OPEN, NOT_BY_ITSELF, REASON_CODES, REASONS, STATES
from jobs.store.sqlite import pools, rows
from jobs.store.sqlite.intake import POSITION
from jobs.store.sqlite.transaction import Snapshot

PAGE_IDS: Final = 1_000
"""Ids looked at in one read, so that no reader stays long and holds up the checkpoint."""

_JOB: Final = f"{rows.JOBS} WHERE j.id = ?"
_POOL_JOBS: Final = f"""
{rows.JOBS} WHERE j.open = 1 AND r.name = ? AND p.region = ? AND p.name = ?
 ORDER BY p.head_job IS NOT j.id, j.run_at_us IS NOT NULL, j.run_at_us, {pools.RANK}, j.id
"""
_RESULTS: Final = f"""
SELECT {COLUMNS}, x.seq, w.name
  FROM results x
  JOIN workers w ON w.id = x.worker
  JOIN jobs j ON j.id = x.job
  {rows.JOINS}
 WHERE x.worker = ? AND x.seq > ? ORDER BY x.seq
"""  # noqa: S608 - made of constants only
_WORKERS: Final = f"""
{rows.WORKERS} WHERE dead_us IS NULL OR id IN (SELECT worker FROM jobs WHERE worker IS NOT NULL)
 ORDER BY id
"""  # noqa: S608 - made of constants only
_NOT_LEFT: Final = ", ".join(str(REASON_CODES[reason]) for reason in NOT_BY_ITSELF)
# With each that is not behind another go those that are behind it.
_LEFT: Final = f"""
SELECT h.profile, sum(1 + iif(p.head_job = h.id, (
         SELECT count(*) FROM jobs b
          WHERE b.pool = h.pool AND b.state = 1 AND b.reason = 9 AND b.run_at_us IS NULL), 0))
  FROM jobs h JOIN pools p ON p.id = h.pool
 WHERE h.open = 1 AND h.profile <> ''
   AND NOT (h.state = 1 AND (h.reason IN ({_NOT_LEFT}) OR h.reason = 9 AND h.run_at_us IS NULL))
 GROUP BY h.profile
"""  # noqa: S608 - made of constants only
_LEFT_AT_ALL: Final = f"""
SELECT sum(jobs) FROM counts WHERE state <= ? AND NOT (state = 1 AND reason IN ({_NOT_LEFT}))
"""  # noqa: S608 - made of constants only
NEXT_DUE: Final = """
SELECT min(run_at_us) FROM jobs WHERE state = 1 AND run_at_us IS NOT NULL
"""


def job(snapshot: Snapshot, wanted: JobId) -> Job | None:
    """See `OperatorStore.job`."""
    found = snapshot.rows(_JOB, (wanted,))
    return rows.job(found[0]) if found else None


def page(
    snapshot: Snapshot,
    matching: JobFilter,
    *,
    newest_first: bool,
    after: int | None,
) -> tuple[Sequence[Job], int | None]:
    """Return the matching jobs of the next PAGE_IDS ids, and where to go on; None at the end."""
    last = snapshot.number("SELECT max(id) FROM jobs") or 0
    first = snapshot.number("SELECT min(id) FROM jobs") or 1  # the oldest may be gone
    if newest_first:
        high = last if after is None else min(after - 1, last)
        low, order, where_next = high - PAGE_IDS + 1, "DESC", high - PAGE_IDS + 1
        ended = low <= first
    else:
        low = max(first, 0 if after is None else after + 1)
        high, order, where_next = low + PAGE_IDS - 1, "ASC", low + PAGE_IDS - 1
        ended = high >= last
    terms, values = rows.condition(matching)
    sql = f"{rows.JOBS} WHERE j.id BETWEEN ? AND ?{terms} ORDER BY j.id {order}"
    found = [rows.job(row) for row in snapshot.rows(sql, (low, high, *values))]
    return found, None if ended else where_next


def history(snapshot: Snapshot, wanted: JobId) -> Sequence[Event]:
    """See `OperatorStore.history`."""
    found = snapshot.rows(f"{rows.EVENTS} WHERE job = ? ORDER BY seq", (wanted,))
    return [event(row) for row in found]


def pool_jobs(snapshot: Snapshot, target: Target) -> Sequence[Job]:
    """See `OperatorStore.pool_jobs`."""
    region, project, name = target.pool
    return [rows.job(row) for row in snapshot.rows(_POOL_JOBS, (project, region, name))]


def counts(snapshot: Snapshot) -> Mapping[JobState, int]:
    """See `OperatorStore.counts`."""
    told: dict[JobState, int] = {}
    sql = "SELECT state, sum(jobs) FROM counts GROUP BY state HAVING sum(jobs) <> 0"
    for code, number in snapshot.rows(sql):
        state = STATES[code]
        told[state] = number
    return told


def waiting_counts(snapshot: Snapshot) -> Mapping[WaitReason, int]:
    """See `OperatorStore.waiting_counts`."""
    told: dict[WaitReason, int] = {}
    for code, number in snapshot.rows("SELECT reason, jobs FROM counts WHERE reason > 0"):
        reason = REASONS[code]
        assert reason is not None
        if number:
            told[reason] = number
    return told


def workers(snapshot: Snapshot) -> Sequence[WorkerRow]:
    """See `OperatorStore.workers`."""
    return [worker(row) for row in snapshot.rows(_WORKERS)]


def results_after(snapshot: Snapshot, worker: WorkerId, seq: int) -> Sequence[Result]:
    """See `WorkStore.results_after`."""
    found = snapshot.rows(_RESULTS, (worker, seq))
    return [Result(seq=row[-2], worker_name=row[-1], job=rows.job(row)) for row in found]


def next_due_us(snapshot: Snapshot) -> int | None:
    """See `WorkStore.next_due_us`."""
    return snapshot.number(NEXT_DUE)


def open_jobs(snapshot: Snapshot) -> int:
    """See `WorkStore.open_jobs`."""
    return snapshot.number("SELECT sum(jobs) FROM counts WHERE state <= ?", (LAST_OPEN,)) or 0


def left_by_profile(snapshot: Snapshot) -> Mapping[str | None, int]:
    """See `WorkStore.left_by_profile`."""
    left: dict[str | None, int] = dict(snapshot.rows(_LEFT))
    others = sum(left.values())
    unnamed = (snapshot.number(_LEFT_AT_ALL, (LAST_OPEN,)) or 0) - others
    return {**left, None: unnamed} if unnamed else left


def intake_position(snapshot: Snapshot, source: str, digest: str) -> int:
    """See `IntakeStore.intake_position`."""
    return snapshot.number(POSITION, (source, digest)) or 0
