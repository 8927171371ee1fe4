"""Remove what is old enough, a few rows at a time, and keep the history's weeks in order.

Reading comes first and holds no lock: a job that may go will always be allowed to, so what was
read stays true.  History is not removed row by row: a week of it goes when its jobs have gone,
and until then `history` does not show it.
"""

from collections.abc import Sequence
from typing import Final

from jobs.clock import Clock, seconds_to_us
from jobs.retention import UNUSED_S, Retention, cutoffs
from jobs.store.keeping import Pruned, Tidied
from jobs.store.postgres.transaction import NOW, Transaction, columns
from jobs.store.postgres.wire import Wire
from jobs.store.schema import FIRST_FINAL
from jobs.store.sifting import Going, key_goes, sift

MOST_LOOKS: Final = 500
"""Jobs looked at in one step."""

MOST_PRUNED: Final = 100
"""Jobs removed in one step: some 3 ms of the server's time."""

MOST_UNUSED: Final = 10_000
"""Contents that go in one day at most."""

MOST_TIDIED: Final = 500
"""Keys, workers or stray events removed in one step."""

WEEK_S: Final = 604_800.0
WEEKS_AHEAD: Final = 5
"""Partitions that are there before their week begins; a month without any worker is fine."""

MOST_KEPT: Final = 50_000
"""Events of jobs that are still there, up to which a week is made small instead of kept."""

# A worker of the version before does not tell how far it has reported; once it is dead, its
# results count as reported when their time has come.
_FACTS: Final = """
SELECT j.id, j.created_us, j.finished_us, j.source, j.idempotency_key,
       w.id IS NULL OR CASE WHEN w.reported IS NULL THEN w.dead_us IS NOT NULL
                            ELSE r.seq <= w.reported END,
       w.id IS NOT NULL AND w.dead_us IS NULL
         AND r.seq = (SELECT max(seq) FROM plugwave.results x WHERE x.worker = w.id),
       coalesce((SELECT live FROM plugwave.rollouts o WHERE o.id = j.rollout), false)
  FROM (SELECT * FROM plugwave.jobs WHERE id > $1 ORDER BY id LIMIT $2) j
  LEFT JOIN plugwave.results r ON r.job = j.id
  LEFT JOIN plugwave.workers w ON w.id = r.worker
 ORDER BY j.id
"""
_ATTEMPTS: Final = "DELETE FROM plugwave.attempts WHERE job = ANY($1::bigint[])"
_RESULTS: Final = "DELETE FROM plugwave.results WHERE job = ANY($1::bigint[])"
_LATE: Final = "DELETE FROM plugwave.late_failures WHERE job = ANY($1::bigint[])"
# A rollout that is retried meanwhile is either marked before, or keeps its jobs.
_PRUNED: Final = """
UPDATE plugwave.rollouts SET pruned = true
 WHERE NOT live AND NOT pruned
   AND id = ANY(ARRAY(SELECT rollout FROM plugwave.jobs WHERE id = ANY($1::bigint[])))
"""
_JOBS: Final = f"""
DELETE FROM plugwave.jobs j
 WHERE id = ANY($1::bigint[]) AND place = 6 AND state >= {FIRST_FINAL}
   AND NOT EXISTS (SELECT FROM plugwave.rollouts o WHERE o.id = j.rollout AND o.live)
RETURNING id, state
"""  # noqa: S608 - made of constants only
_KEYS: Final = """
WITH gone AS (
  DELETE FROM plugwave.idempotency i
   USING unnest($1::text[], $2::text[], $3::bigint[]) AS u(source, key, job)
   WHERE i.source = u.source AND i.key = u.key AND i.job = u.job
  RETURNING 1
)
SELECT count(*) FROM gone
"""
_KEEP_KEYS: Final = """
INSERT INTO plugwave.ended_keys(ended_us, source, key, job)
SELECT * FROM unnest($1::bigint[], $2::text[], $3::text[], $4::bigint[])
ON CONFLICT DO NOTHING
"""
_ENDED: Final = """
DELETE FROM plugwave.ended_keys WHERE ctid = ANY(ARRAY(
  SELECT ctid FROM plugwave.ended_keys WHERE ended_us < $1
   ORDER BY ended_us LIMIT $2 FOR UPDATE SKIP LOCKED))
RETURNING source, key, job
"""
_RECEIPTS: Final = """
WITH gone AS (
  DELETE FROM plugwave.receipts WHERE ctid = ANY(ARRAY(
    SELECT ctid FROM plugwave.receipts WHERE at_us < $1
     ORDER BY at_us LIMIT $2 FOR UPDATE SKIP LOCKED))
  RETURNING 1
)
SELECT count(*) FROM gone
"""
_WORKERS: Final = """
WITH gone AS (
  DELETE FROM plugwave.workers w
   WHERE w.id = ANY(ARRAY(
         SELECT d.id FROM plugwave.workers d
          WHERE d.dead_us < $1
            AND NOT EXISTS (SELECT FROM plugwave.results r WHERE r.worker = d.id)
            AND NOT EXISTS (SELECT FROM plugwave.jobs j
                             WHERE j.place IN (4, 5) AND j.worker = d.id)
          LIMIT $2))
  RETURNING 1
)
SELECT count(*) FROM gone
"""
# Events that came when there was no partition for them.
_STRAY: Final = """
WITH gone AS (
  DELETE FROM plugwave.events_rest WHERE ctid = ANY(ARRAY(
    SELECT e.ctid FROM plugwave.events_rest e
     WHERE e.at_us < $1 AND NOT EXISTS (SELECT FROM plugwave.jobs j WHERE j.id = e.job)
     LIMIT $2))
  RETURNING 1
)
SELECT count(*) FROM gone
"""
AHEAD_US: Final = "SELECT max(to_us) FROM plugwave.event_weeks"
_ADD_WEEKS: Final = "SELECT plugwave.add_event_weeks($1)"
_DROP_WEEKS: Final = "SELECT count(*) FROM plugwave.drop_event_weeks($1, $2)"
_UNUSED: Final = """
SELECT s.id FROM plugwave.specs s
 WHERE NOT EXISTS (SELECT FROM plugwave.jobs j WHERE j.spec = s.id) LIMIT $1
"""
_MARK: Final = """
UPDATE plugwave.specs SET unused_us = $2 WHERE id = ANY($1::bigint[]) AND unused_us IS NULL
"""
_EMPTY: Final = """
WITH gone AS (
  DELETE FROM plugwave.specs WHERE id = ANY($1::bigint[]) AND unused_us < $2 RETURNING 1
)
SELECT count(*) FROM gone
"""
# No turn is further away than one interval: a clock that was ahead must not stop a duty.
_TURN: Final = """
INSERT INTO plugwave.duties AS d (name, next_us) VALUES ($1, $2::bigint + $3::bigint)
ON CONFLICT (name) DO UPDATE SET next_us = excluded.next_us
 WHERE d.next_us <= $2 OR d.next_us > excluded.next_us
RETURNING 1
"""
_REPORTED: Final = "UPDATE plugwave.workers SET reported = $2 WHERE id = $1 AND reported < $2"


async def take_turn(transaction: Transaction, duty: str, every_s: float) -> bool:
    """See `KeepingStore.take_turn`."""
    values = (duty, transaction.now_us, seconds_to_us(every_s))
    return await transaction.wire.row(_TURN, *values) is not None


async def reported(transaction: Transaction, worker: int, seq: int) -> None:
    """See `WorkStore.reported`."""
    await transaction.wire.rows(_REPORTED, worker, seq)


async def look(
    wire: Wire, retention: Retention, fixed: Clock | None, after: int, *, unreported: bool
) -> tuple[Going, Pruned]:
    """Return the jobs that may go, and what `KeepingStore.prune` says of them on a dry run."""
    now_us = fixed.now_us() if fixed is not None else int(await wire.value(f"SELECT {NOW}"))
    cutoff = cutoffs(retention, now_us)
    facts = [] if cutoff.jobs_us is None else await wire.rows(_FACTS, after, MOST_LOOKS)
    return sift(facts, cutoff, looked_for=MOST_LOOKS, most=MOST_PRUNED, unreported=unreported)


async def remove(transaction: Transaction, going: Going, retention: Retention) -> tuple[int, int]:
    """Remove the jobs; return how many jobs and keys were still there.

    Locks as everywhere: keys, then jobs by id.
    """
    wire, cutoff = transaction.wire, cutoffs(retention, transaction.now_us)
    keyed = [row for row in going if row[3] is not None]
    gone = sorted((row[2], row[3], row[0]) for row in keyed if key_goes(row[1], cutoff))
    keys = int(await wire.value(_KEYS, *columns(gone, 3))) if gone else 0
    kept = sorted((row[1], row[2], row[3], row[0]) for row in keyed if not key_goes(row[1], cutoff))
    if kept:
        await wire.rows(_KEEP_KEYS, *columns(kept, 4))
    ids = sorted(row[0] for row in going)
    await wire.rows(_PRUNED, ids)
    removed = await wire.rows(_JOBS, ids)
    for sql in (_ATTEMPTS, _RESULTS, _LATE):
        await wire.rows(sql, sorted(row[0] for row in removed))
    for _, state in removed:
        transaction.left((state, 0))
    return len(removed), keys


async def tidy(transaction: Transaction, retention: Retention) -> Tidied:
    """See `KeepingStore.tidy`."""
    wire, cutoff = transaction.wire, cutoffs(retention, transaction.now_us)
    keys = workers = strays = looked = receipts = 0
    if cutoff.keys_us is not None:
        receipts = int(await wire.value(_RECEIPTS, cutoff.keys_us, MOST_TIDIED))
        ended = await wire.rows(_ENDED, cutoff.keys_us, MOST_TIDIED)
        looked = len(ended)
        if ended:
            keys = int(await wire.value(_KEYS, *columns(sorted(map(tuple, ended)), 3)))
    if cutoff.jobs_us is not None:
        workers = int(await wire.value(_WORKERS, cutoff.jobs_us, MOST_TIDIED))
        strays = int(await wire.value(_STRAY, cutoff.jobs_us, MOST_TIDIED))
    more = MOST_TIDIED in {looked, workers, strays, receipts}
    return Tidied(keys=keys + receipts, workers=workers, more=more)


async def keep_weeks_ahead(transaction: Transaction) -> int:
    """Make partitions for the coming weeks; return how many were missing."""
    until_us = transaction.now_us + seconds_to_us(WEEKS_AHEAD * WEEK_S)
    ahead_us = await transaction.wire.value(AHEAD_US)
    if ahead_us is None or ahead_us >= until_us:
        return 0
    return int(await transaction.wire.value(_ADD_WEEKS, until_us))


async def drop_weeks(transaction: Transaction, retention: Retention) -> int:
    """Drop the weeks of history whose jobs have gone; return how many."""
    cutoff = cutoffs(retention, transaction.now_us)
    if cutoff.jobs_us is None:
        return 0
    return int(await transaction.wire.value(_DROP_WEEKS, cutoff.jobs_us, MOST_KEPT))


async def unused(wire: Wire) -> Sequence[int]:
    """Return contents that no job asks for."""
    return [spec for (spec,) in await wire.rows(_UNUSED, MOST_UNUSED)]


async def forget_contents(transaction: Transaction, specs: Sequence[int]) -> int:
    """Remove those that were found so before; whoever asked for one since has taken its mark."""
    before_us = transaction.now_us - seconds_to_us(UNUSED_S)
    gone = int(await transaction.wire.value(_EMPTY, specs, before_us))
    await transaction.wire.rows(_MARK, specs, transaction.now_us)
    return gone
