"""Remove what is old enough, a few rows at a time.

Reading comes first and outside of the write lock: a job that may go will always be allowed
to, unless its rollout lives again, which is looked at once more.  Only then a handful of jobs
is removed in one call.
"""

from collections.abc import Sequence
from typing import Final

from jobs.clock import seconds_to_us
from jobs.retention import UNUSED_S, Retention, cutoffs
from jobs.store.keeping import Forgotten, Pruned, Tidied
from jobs.store.schema import FIRST_FINAL
from jobs.store.sifting import Going, key_goes, sift
from jobs.store.sqlite.transaction import Snapshot, Transaction

MOST_LOOKS: Final = 500
"""Jobs looked at in one step."""

MOST_PRUNED: Final = 50
"""Jobs removed in one step: some 3 ms of the write lock, with their history."""

MOST_UNUSED: Final = 10_000
"""Contents that go in one day at most."""

MOST_TIDIED: Final = 500
"""Keys or workers removed in one step."""

# A worker of the version before does not tell how far it has reported; once it is dead, its
# results count as reported when their time has come.
_FACTS: Final = """
SELECT j.id, j.created_us, j.finished_us, j.source, j.idempotency_key,
       r.seq IS NULL OR CASE WHEN w.reported IS NULL THEN w.dead_us IS NOT NULL
                             ELSE r.seq <= w.reported END,
       r.seq IS NOT NULL AND w.dead_us IS NULL
         AND r.seq = (SELECT max(seq) FROM results WHERE worker = w.id),
       coalesce((SELECT live FROM rollouts WHERE id = j.rollout), 0)
  FROM jobs j
  LEFT JOIN results r ON r.job = j.id
  LEFT JOIN workers w ON w.id = r.worker
 WHERE j.id > ? ORDER BY j.id LIMIT ?
"""
_ROLLOUT: Final = """
SELECT id, live FROM rollouts WHERE id = (SELECT rollout FROM jobs WHERE id = ?)
"""
_PRUNED: Final = "UPDATE rollouts SET pruned = 1 WHERE id = ? AND pruned = 0"
_OF_JOB: Final = (
    "DELETE FROM attempts WHERE job = ?",
    "DELETE FROM events WHERE job = ?",
    "DELETE FROM results WHERE job = ?",
    "DELETE FROM late_failures WHERE job = ?",
)
_JOB: Final = f"DELETE FROM jobs WHERE id = ? AND state >= {FIRST_FINAL} RETURNING state"  # noqa: S608 - made of constants only
_KEY: Final = "DELETE FROM idempotency WHERE source = ? AND key = ? AND job = ?"
_KEEP_KEY: Final = (
    "INSERT OR IGNORE INTO ended_keys(ended_us, source, key, job) VALUES (?, ?, ?, ?)"
)
_ENDED: Final = """
SELECT ended_us, source, key, job FROM ended_keys WHERE ended_us < ? ORDER BY ended_us LIMIT ?
"""
_FORGET: Final = "DELETE FROM ended_keys WHERE ended_us = ? AND source = ? AND key = ?"
_RECEIPTS: Final = """
DELETE FROM receipts WHERE (source, key) IN (
  SELECT source, key FROM receipts WHERE at_us < ? ORDER BY at_us LIMIT ?)
"""
_WORKERS: Final = """
DELETE FROM workers WHERE id IN (
  SELECT id FROM workers w
   WHERE dead_us < ?
     AND NOT EXISTS (SELECT 1 FROM jobs WHERE worker = w.id)
     AND NOT EXISTS (SELECT 1 FROM results WHERE worker = w.id)
   LIMIT ?)
"""
_UNUSED: Final = """
SELECT id FROM specs
 WHERE body <> '' AND (unused_us IS NULL OR unused_us < ?)
   AND id NOT IN (SELECT spec FROM jobs)
 LIMIT ?
"""
_MARK: Final = "UPDATE specs SET unused_us = ? WHERE id = ? AND unused_us IS NULL"
# The row stays without its content: SQLite would look through all jobs for each that goes.
_EMPTY: Final = """
UPDATE specs SET sha256 = CAST('gone ' || id AS BLOB), name = '', body = ''
 WHERE id = ? AND unused_us < ?
"""
# No turn is further away than one interval: a clock that was ahead must not stop a duty.
_TURN: Final = """
INSERT INTO duties(name, next_us) VALUES (?1, ?2 + ?3)
ON CONFLICT DO UPDATE SET next_us = excluded.next_us
 WHERE next_us <= ?2 OR next_us > excluded.next_us
RETURNING 1
"""


def take_turn(transaction: Transaction, duty: str, every_s: float) -> bool:
    """See `KeepingStore.take_turn`."""
    bindings = (duty, transaction.now_us, seconds_to_us(every_s))
    return transaction.row(_TURN, bindings) is not None


def look(
    snapshot: Snapshot, retention: Retention, now_us: int, after: int, *, unreported: bool
) -> tuple[Going, Pruned]:
    """Return the jobs that may go, and what `KeepingStore.prune` says of them on a dry run."""
    cutoff = cutoffs(retention, now_us)
    facts = [] if cutoff.jobs_us is None else snapshot.rows(_FACTS, (after, MOST_LOOKS))
    return sift(facts, cutoff, looked_for=MOST_LOOKS, most=MOST_PRUNED, unreported=unreported)


def remove(transaction: Transaction, going: Going, retention: Retention) -> tuple[int, int]:
    """Remove the jobs; return how many jobs and keys were still there."""
    cutoff = cutoffs(retention, transaction.now_us)
    jobs = keys = 0
    for job, finished_us, source, key in going:
        if not _let_go(transaction, job):
            continue
        for sql in _OF_JOB:
            transaction.change(sql, (job,))
        row = transaction.row(_JOB, (job,))
        if row is None:
            continue
        jobs += 1
        transaction.left((row[0], 0))
        transaction.memory.held.pop(job, None)
        if key is None:
            continue
        if key_goes(finished_us, cutoff):
            keys += transaction.change(_KEY, (source, key, job))
        else:
            transaction.change(_KEEP_KEY, (finished_us, source, key, job))
    return jobs, keys


def _let_go(transaction: Transaction, job: int) -> bool:
    """Whether the job's rollout, if it has one, still needs it no more; it is told so."""
    row = transaction.row(_ROLLOUT, (job,))
    if row is None:
        return True
    rollout, live = row
    if not live:
        transaction.change(_PRUNED, (rollout,))
    return not live


def tidy(transaction: Transaction, retention: Retention) -> Tidied:
    """See `KeepingStore.tidy`."""
    cutoff = cutoffs(retention, transaction.now_us)
    keys = workers = looked = receipts = 0
    if cutoff.keys_us is not None:
        receipts = transaction.change(_RECEIPTS, (cutoff.keys_us, MOST_TIDIED))
        ended = list(transaction.rows(_ENDED, (cutoff.keys_us, MOST_TIDIED)))
        looked = len(ended)
        for ended_us, source, key, job in ended:
            keys += transaction.change(_KEY, (source, key, job))
            transaction.change(_FORGET, (ended_us, source, key))
    if cutoff.jobs_us is not None:
        workers = transaction.change(_WORKERS, (cutoff.jobs_us, MOST_TIDIED))
    more = MOST_TIDIED in {looked, workers, receipts}
    return Tidied(keys=keys + receipts, workers=workers, more=more)


def unused(snapshot: Snapshot, now_us: int) -> Sequence[int]:
    """Return contents that no job asks for, new ones and those that were found so long ago."""
    before_us = now_us - seconds_to_us(UNUSED_S)
    return [spec for (spec,) in snapshot.rows(_UNUSED, (before_us, MOST_UNUSED))]


def forget(transaction: Transaction, specs: Sequence[int]) -> Forgotten:
    """See `KeepingStore.forget`; whoever asked for one of them meanwhile has taken its mark."""
    before_us = transaction.now_us - seconds_to_us(UNUSED_S)
    gone = 0
    for spec in specs:
        if transaction.change(_EMPTY, (spec, before_us)):
            gone += 1
        else:
            transaction.change(_MARK, (transaction.now_us, spec))
    return Forgotten(contents=gone)
