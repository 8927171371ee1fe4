"""How large, how old and how fast: the figures of `store stats`."""

from collections.abc import Sequence
from typing import Final

from jobs.clock import MICROSECONDS, Clock
from jobs.store.facts import Figure
from jobs.store.postgres.transaction import NOW
from jobs.store.postgres.wire import Wire
from jobs.store.schema import FIRST_FINAL, LATELY_EVENTS, LATELY_S, lately

_SIZES: Final = """
SELECT pg_database_size(current_database()),
       pg_total_relation_size('plugwave.jobs'),
       (SELECT coalesce(sum(pg_total_relation_size(format('plugwave.%I', name)::regclass)), 0)
          FROM plugwave.event_weeks)::bigint,
       pg_total_relation_size('plugwave.attempts'),
       pg_total_relation_size('plugwave.idempotency')
"""
_SIZE_NAMES: Final = ("database", "jobs", "history", "attempts", "keys")
_OLDEST: Final = "SELECT min(created_us) FROM plugwave.jobs WHERE place < 6"
_LATELY: Final = f"""
SELECT count(*) FILTER (WHERE event = 'created'), count(*) FILTER (WHERE state >= {FIRST_FINAL}),
       count(*), min(at_us)
  FROM (SELECT event, state, at_us FROM plugwave.events WHERE at_us > $1
         ORDER BY xid DESC, seq DESC LIMIT {LATELY_EVENTS}) AS last
"""  # noqa: S608 - made of constants only
_DEAD: Final = """
SELECT 100.0 * n_dead_tup / greatest(n_live_tup + n_dead_tup, 1)
  FROM pg_stat_user_tables WHERE schemaname = 'plugwave' AND relname = 'jobs'
"""
_OLDEST_TRANSACTION: Final = """
SELECT coalesce(max(extract(epoch FROM clock_timestamp() - xact_start)), 0)::double precision
  FROM pg_stat_activity
 WHERE datname = current_database() AND pid <> pg_backend_pid() AND xact_start IS NOT NULL
   AND backend_type = 'client backend'
"""
_SESSIONS: Final = """
SELECT count(*) FROM pg_stat_activity
 WHERE datname = current_database() AND application_name = 'plugwave'
"""
_UNREPORTED: Final = """
SELECT count(*) FROM plugwave.workers w
  JOIN plugwave.results r ON r.worker = w.id AND r.seq > w.reported
"""
_WEEKS: Final = "SELECT count(*) FROM plugwave.event_weeks"


async def figures(wire: Wire, fixed: Clock | None) -> Sequence[Figure]:
    """See `OperatorStore.figures`."""
    now_us = fixed.now_us() if fixed is not None else int(await wire.value(f"SELECT {NOW}"))
    sizes = await wire.row(_SIZES)
    assert sizes is not None
    found = [
        Figure(name=name, value=size, unit="bytes")
        for name, size in zip(_SIZE_NAMES, sizes, strict=True)
    ]
    oldest = await wire.value(_OLDEST)
    if oldest is not None:
        age_s = max(0, now_us - oldest) / MICROSECONDS
        found.append(Figure(name="oldest open job", value=age_s, unit="s"))
    row = await wire.row(_LATELY, now_us - round(LATELY_S * MICROSECONDS))
    assert row is not None
    found += lately(*row, now_us=now_us)
    dead = round(float(await wire.value(_DEAD) or 0.0), 1)
    oldest_s = round(await wire.value(_OLDEST_TRANSACTION), 1)
    return [
        *found,
        Figure(name="dead rows of jobs", value=dead, unit="%"),
        Figure(name="oldest transaction", value=oldest_s, unit="s"),
        Figure(name="sessions", value=await wire.value(_SESSIONS)),
        Figure(name="parts of the history", value=await wire.value(_WEEKS)),
        Figure(name="unreported results", value=await wire.value(_UNREPORTED)),
    ]
