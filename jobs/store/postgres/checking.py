"""Look for damage: what must be true of every healthy store, asked of the whole database.

Each rule is one query for what breaks it, so a finding can name the first of them.  They all
look at one snapshot, beside the work that goes on.
"""

from collections.abc import Sequence
from typing import Final

from jobs.clock import MICROSECONDS, Clock, seconds_to_us
from jobs.model import JobId, job_name
from jobs.retention import DAY_S
from jobs.store.facts import Finding, StoreFacts
from jobs.store.postgres.migrating import OLDEST_SERVER, schema_version
from jobs.store.postgres.presence import FREE
from jobs.store.postgres.rollout_checking import LINES, PLACES, check_rollouts
from jobs.store.postgres.transaction import NOW
from jobs.store.postgres.wire import Wire
from jobs.store.schema import POOL_KEEPING, REASON_CODES

_KEEPING: Final = ", ".join(str(REASON_CODES[reason]) for reason in sorted(POOL_KEEPING))
_HOLDS: Final = f"(j.state BETWEEN 2 AND 6 OR j.state = 1 AND j.reason IN ({_KEEPING}))"

RULES: Final = (
    (
        "hands",
        "jobs whose place does not fit whether a worker has them",
        """
        SELECT id FROM plugwave.jobs
         WHERE (state IN (3, 4) AND worker IS NULL)
            OR (worker IS NOT NULL AND state NOT BETWEEN 3 AND 6)
            OR (state = 1) <> (reason <> 0)
            OR (state > 6) <> (finished_us IS NOT NULL)
            OR (place = 2) <> (state = 1 AND run_at_us IS NOT NULL)
            OR (place = 3) <> (state = 1 AND reason = 9 AND run_at_us IS NULL)
            OR (place = 5) <> (state IN (5, 6) AND worker IS NULL)
        """,
    ),
    (
        "heads",
        "jobs that hold a pool which does not know it, or wait for a pool that is free",
        f"""
        SELECT j.id FROM plugwave.jobs j
          JOIN plugwave.pools p ON p.id = j.pool AND p.project = j.project
         WHERE {_HOLDS} AND p.head_job IS DISTINCT FROM j.id
            OR j.place = 3 AND p.head_job IS NULL
        UNION ALL
        SELECT p.head_job FROM plugwave.pools p
          LEFT JOIN plugwave.jobs j ON j.id = p.head_job AND j.pool = p.id
         WHERE p.head_job IS NOT NULL AND (j.id IS NULL OR NOT {_HOLDS})
        """,  # noqa: S608 - made of constants only
    ),
    (
        "one writer",
        "jobs that share a pool while more than one of them is in hand",
        """
        SELECT min(id) FROM plugwave.jobs WHERE state BETWEEN 3 AND 6
         GROUP BY pool HAVING count(*) > 1
        """,
    ),
    (
        "fences",
        "jobs whose fence is ahead of their pool's",
        """
        SELECT j.id FROM plugwave.jobs j
          JOIN plugwave.pools p ON p.id = j.pool AND p.project = j.project
         WHERE j.fence > p.fence OR j.worker IS NOT NULL AND j.fence <> p.fence
        """,
    ),
    (
        "attempts",
        "jobs whose open attempt does not fit their state",
        """
        SELECT a.job FROM plugwave.attempts a JOIN plugwave.jobs j ON j.id = a.job
         WHERE a.outcome IS NULL AND j.state NOT IN (4, 5)
        UNION ALL
        SELECT j.id FROM plugwave.jobs j
         WHERE j.place = 4 AND j.state = 4 AND NOT EXISTS (
               SELECT 1 FROM plugwave.attempts a WHERE a.job = j.id AND a.outcome IS NULL)
        """,
    ),
    (
        "keys",
        "jobs that do not own their idempotency key",
        """
        SELECT j.id FROM plugwave.jobs j
          LEFT JOIN plugwave.idempotency i ON i.source = j.source AND i.key = j.idempotency_key
         WHERE j.idempotency_key IS NOT NULL AND i.job IS DISTINCT FROM j.id
        """,
    ),
    (
        "references",
        "jobs whose pool, project or spec is missing",
        """
        SELECT j.id FROM plugwave.jobs j
          LEFT JOIN plugwave.pools p ON p.id = j.pool AND p.project = j.project
          LEFT JOIN plugwave.projects r ON r.id = j.project
          LEFT JOIN plugwave.specs s ON s.id = j.spec
         WHERE p.id IS NULL OR r.id IS NULL OR s.id IS NULL
        """,
    ),
)
"""(name, what breaks it, a query for the jobs that do)."""

_COUNTED: Final = """
SELECT count(*) FROM (
  SELECT state, reason FROM (
    SELECT state, reason, jobs AS told, 0 AS found FROM plugwave.counts
    UNION ALL
    SELECT state, reason, 0, count(*) FROM plugwave.jobs GROUP BY state, reason) b
   GROUP BY state, reason HAVING sum(told) <> sum(found)) w
"""
# A free lock alone may be that of a worker that is just connecting anew.
_HOLDERS: Final = f"""
SELECT h.worker, h.jobs
  FROM (SELECT worker, count(*) AS jobs FROM plugwave.jobs
         WHERE place IN (4, 5) AND worker IS NOT NULL GROUP BY worker) h
  LEFT JOIN plugwave.workers w ON w.id = h.worker
 WHERE w.id IS NULL OR w.dead_us IS NOT NULL
    OR w.lease_until_us < coalesce($1::bigint, {NOW})
    OR w.has_lock AND {FREE} AND w.heartbeat_us + $2 < coalesce($1::bigint, {NOW})
"""  # noqa: S608 - made of constants only
_WEEKS: Final = f"""
SELECT (SELECT max(to_us) FROM plugwave.event_weeks) - coalesce($1::bigint, {NOW}),
       (SELECT count(*) FROM (SELECT FROM plugwave.events_rest LIMIT 10000) r)
"""  # noqa: S608 - made of constants only
_VERSION: Final = "SELECT max(version) FROM plugwave.schema_version"
_SERVER: Final = """
SELECT current_setting('server_version'), current_setting('server_version_num')::integer,
       current_setting('fsync'), current_setting('full_page_writes'),
       current_setting('synchronous_commit')
"""
# Older than that, and every claim wades through dead rows (store notes, 5.4).
_OLDEST_LOOK: Final = """
SELECT coalesce(max(extract(epoch FROM clock_timestamp() - xact_start)), 0)::double precision
  FROM pg_stat_activity
 WHERE datname = current_database() AND pid <> pg_backend_pid() AND xact_start IS NOT NULL
   AND backend_type = 'client backend'
"""
LONG_LOOK_S: Final = 300.0

SILENT_S: Final = 10.0
"""Two heartbeats: whoever has a free lock and is silent for longer is gone."""


LEAST_DAYS_AHEAD: Final = 7.0
"""Workers keep five weeks ahead, so less than one means that none has run for a month."""


async def facts(wire: Wire, place: str) -> StoreFacts:
    """See `OperatorStore.facts`."""
    version = await wire.value("SELECT current_setting('server_version')")
    schema = await wire.value(_VERSION)
    return StoreFacts(place=place, engine=f"PostgreSQL {version}", schema=schema)


async def check(wire: Wire, fixed: Clock | None) -> Sequence[Finding]:
    """See `OperatorStore.check`."""
    fixed_us = None if fixed is None else fixed.now_us()
    return [
        *await _server(wire),
        await _schema(wire),
        await _counters(wire),
        *[await _rule(wire, *rule) for rule in (*RULES, LINES, PLACES)],
        *await check_rollouts(wire),
        await _holders(wire, fixed_us),
        await _weeks(wire, fixed_us),
        await _long_looks(wire),
    ]


async def _server(wire: Wire) -> list[Finding]:
    row = await wire.row(_SERVER)
    assert row is not None
    version, number, fsync, pages, commit = row
    off = [
        name
        for name, value in (
            ("fsync", fsync),
            ("full_page_writes", pages),
            ("synchronous_commit", commit),
        )
        if value == "off"
    ]
    kept = "a commit is on the disk when it is answered"
    lost = f"a crash of the server may lose accepted jobs: {', '.join(off)} is off"
    return [
        Finding(name="server", ok=number >= OLDEST_SERVER, detail=f"PostgreSQL {version}"),
        Finding(name="durability", ok=not off, detail=lost if off else kept),
    ]


async def _schema(wire: Wire) -> Finding:
    version = await wire.value(_VERSION)
    ok = version == schema_version()
    return Finding(name="schema", ok=ok, detail=f"version {version}, known {schema_version()}")


async def _counters(wire: Wire) -> Finding:
    wrong = await wire.value(_COUNTED)
    detail = "the counters equal a recount" if not wrong else f"{wrong} counters are wrong"
    return Finding(name="counters", ok=not wrong, detail=detail)


async def _rule(wire: Wire, name: str, breach: str, sql: str) -> Finding:
    row = await wire.row(f"SELECT count(*), min(id) FROM ({sql}) AS broken(id)")  # noqa: S608 - made of constants only
    assert row is not None
    broken, first = row
    if not broken:
        return Finding(name=name, ok=True, detail=f"no {breach}")
    told = f"{broken} {breach}; the first is {job_name(JobId(first))}"
    return Finding(name=name, ok=False, detail=told)


async def _holders(wire: Wire, fixed_us: int | None) -> Finding:
    """Find jobs in the hands of workers that are dead, provably gone, or silent for too long."""
    gone = await wire.rows(_HOLDERS, fixed_us, seconds_to_us(SILENT_S))
    if not gone:
        return Finding(name="workers", ok=True, detail="every job in hand has a live worker")
    who = ", ".join(str(worker) for worker, _ in gone)
    detail = f"{sum(jobs for _, jobs in gone)} jobs in the hands of workers that are gone: {who}"
    return Finding(name="workers", ok=False, detail=f"{detail}; any running worker frees them")


async def _weeks(wire: Wire, fixed_us: int | None) -> Finding:
    """Find out whether the history's partitions are there before their time."""
    row = await wire.row(_WEEKS, fixed_us)
    assert row is not None
    ahead_days = (row[0] or 0) / MICROSECONDS / DAY_S
    detail = f"its partitions reach {ahead_days:.0f} days ahead"
    if row[1]:
        detail += f"; {row[1]} events came when there was none, and are kept apart"
    if ahead_days >= LEAST_DAYS_AHEAD:
        return Finding(name="history", ok=True, detail=detail)
    return Finding(name="history", ok=False, detail=f"{detail}; run `plugwave store prune`")


async def _long_looks(wire: Wire) -> Finding:
    """Find transactions of others that stay open and keep the vacuum from its work."""
    oldest_s = await wire.value(_OLDEST_LOOK)
    detail = f"the oldest open transaction of this database is {oldest_s:.0f} s old"
    ok = oldest_s < LONG_LOOK_S
    return Finding(name="vacuum", ok=ok, detail=detail if ok else f"{detail}; end it")
