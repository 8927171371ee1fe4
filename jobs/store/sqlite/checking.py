"""Look for damage: what must be true of every healthy store, asked of the whole file.

Each rule is one query for what breaks it, so a finding can name the first of them.
"""

from collections.abc import Sequence
from typing import Final

import apsw

from jobs.model import JobId, job_name
from jobs.store.facts import Finding, StoreFacts
from jobs.store.schema import POOL_KEEPING, REASON_CODES
from jobs.store.sqlite.connection import OLDEST_SQLITE
from jobs.store.sqlite.liveness import WorkerLocks
from jobs.store.sqlite.migrating import schema_version
from jobs.store.sqlite.rollout_checking import LINES, check_rollouts
from jobs.store.sqlite.transaction import Snapshot

_KEEPING: Final = ", ".join(str(REASON_CODES[reason]) for reason in sorted(POOL_KEEPING))
_HOLDS: Final = f"(j.state BETWEEN 2 AND 6 OR j.state = 1 AND j.reason IN ({_KEEPING}))"

RULES: Final = (
    (
        "hands",
        "jobs whose place does not fit whether a worker has them",
        """
        SELECT id FROM jobs
         WHERE (state IN (3, 4)) > (worker IS NOT NULL)
            OR (worker IS NOT NULL) > (state BETWEEN 3 AND 6)
            OR (state = 1) <> (reason <> 0)
            OR open <> (state <= 6)
            OR (open = 0) <> (finished_us IS NOT NULL)
        """,
    ),
    (
        "heads",
        "jobs that hold a pool which does not know it, or wait for a pool that is free",
        f"""
        SELECT j.id FROM jobs j JOIN pools p ON p.id = j.pool
         WHERE {_HOLDS} AND p.head_job IS NOT j.id
            OR j.state = 1 AND j.reason = 9 AND j.run_at_us IS NULL AND p.head_job IS NULL
        UNION ALL
        SELECT p.head_job FROM pools p LEFT JOIN jobs j ON j.id = p.head_job AND j.pool = p.id
         WHERE p.head_job IS NOT NULL AND (j.id IS NULL OR NOT {_HOLDS})
        """,  # noqa: S608 - made of constants only
    ),
    (
        "one writer",
        "jobs that share a pool while more than one of them is in hand",
        """
        SELECT min(id) FROM jobs WHERE state IN (3, 4, 5, 6) GROUP BY pool HAVING count(*) > 1
        """,
    ),
    (
        "fences",
        "jobs whose fence is ahead of their pool's",
        """
        SELECT j.id FROM jobs j JOIN pools p ON p.id = j.pool
         WHERE j.fence > p.fence OR j.worker IS NOT NULL AND j.fence <> p.fence
        """,
    ),
    (
        "attempts",
        "jobs whose open attempt does not fit their state",
        """
        SELECT a.job FROM attempts a JOIN jobs j ON j.id = a.job
         WHERE a.outcome IS NULL AND j.state NOT IN (4, 5)
        UNION ALL
        SELECT j.id FROM jobs j
         WHERE j.state = 4
           AND NOT EXISTS (SELECT 1 FROM attempts a WHERE a.job = j.id AND a.outcome IS NULL)
        """,
    ),
    (
        "keys",
        "jobs that do not own their idempotency key",
        """
        SELECT j.id FROM jobs j
          LEFT JOIN idempotency i ON i.source = j.source AND i.key = j.idempotency_key
         WHERE j.idempotency_key IS NOT NULL AND i.job IS NOT j.id
        """,
    ),
)
"""(name, what breaks it, a query for the jobs that do)."""

_COUNTED: Final = """
SELECT state, reason, sum(told), sum(found) FROM (
  SELECT state, reason, jobs AS told, 0 AS found FROM counts
  UNION ALL
  SELECT state, reason, 0, count(*) FROM jobs GROUP BY state, reason)
 GROUP BY state, reason HAVING sum(told) <> sum(found)
"""
_HOLDERS: Final = """
SELECT w.id, w.dead_us, w.lease_until_us, count(*) FROM jobs j
  JOIN workers w ON w.id = j.worker GROUP BY w.id
"""


def facts(snapshot: Snapshot, place: str) -> StoreFacts:
    """See `OperatorStore.facts`."""
    version = snapshot.number("SELECT max(version) FROM schema_version")
    return StoreFacts(
        place=place, engine=f"SQLite {apsw.sqlite_lib_version()}", schema=version or 0
    )


def check(snapshot: Snapshot, locks: WorkerLocks, now_us: int) -> Sequence[Finding]:
    """See `OperatorStore.check`."""
    return [
        _library(),
        _schema(snapshot),
        _file(snapshot),
        _references(snapshot),
        _counters(snapshot),
        *(_rule(snapshot, *rule) for rule in (*RULES, LINES)),
        *check_rollouts(snapshot),
        _holders(snapshot, locks, now_us),
    ]


def _library() -> Finding:
    version = apsw.sqlite_lib_version()
    found = tuple(int(part) for part in version.split(".")[:3])
    return Finding(name="sqlite", ok=found >= OLDEST_SQLITE, detail=f"SQLite {version}")


def _schema(snapshot: Snapshot) -> Finding:
    version = snapshot.number("SELECT max(version) FROM schema_version")
    ok = version == schema_version()
    return Finding(name="schema", ok=ok, detail=f"version {version}, known {schema_version()}")


def _file(snapshot: Snapshot) -> Finding:
    told = [str(row[0]) for row in snapshot.rows("PRAGMA integrity_check(10)")]
    ok = told == ["ok"]
    detail = "every page and index is sound" if ok else f"{len(told)} faults, such as {told[0]}"
    return Finding(name="file", ok=ok, detail=detail)


def _references(snapshot: Snapshot) -> Finding:
    lost = len(snapshot.rows("PRAGMA foreign_key_check"))
    detail = "every reference leads somewhere" if not lost else f"{lost} rows refer to nothing"
    return Finding(name="references", ok=not lost, detail=detail)


def _counters(snapshot: Snapshot) -> Finding:
    wrong = snapshot.rows(_COUNTED)
    detail = "the counters equal a recount" if not wrong else f"{len(wrong)} counters are wrong"
    return Finding(name="counters", ok=not wrong, detail=detail)


def _rule(snapshot: Snapshot, name: str, breach: str, sql: str) -> Finding:
    broken = snapshot.rows(sql)
    if not broken:
        return Finding(name=name, ok=True, detail=f"no {breach}")
    first = job_name(JobId(broken[0][0]))
    return Finding(name=name, ok=False, detail=f"{len(broken)} {breach}; the first is {first}")


def _holders(snapshot: Snapshot, locks: WorkerLocks, now_us: int) -> Finding:
    """Find jobs in the hands of workers that are dead, provably gone, or silent for too long."""
    gone = {
        worker: jobs
        for worker, dead_us, until_us, jobs in snapshot.rows(_HOLDERS)
        if dead_us is not None or until_us < now_us or locks.has_gone(worker)
    }
    if not gone:
        return Finding(name="workers", ok=True, detail="every job in hand has a live worker")
    who = ", ".join(str(worker) for worker in sorted(gone))
    detail = f"{sum(gone.values())} jobs in the hands of workers that are gone: {who}"
    return Finding(name="workers", ok=False, detail=f"{detail}; any running worker frees them")
