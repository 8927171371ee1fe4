"""Give jobs to a worker: freed ones that may have been sent first, then READY ones in turn.

Whose turn it is goes by lanes: the READY jobs of one project that are sent as one profile.  A
claim looks at the lanes of the worker's own profiles alone.

A claim looks only at indexes that hold nothing but candidates, so its cost follows the
number of jobs it takes and not the number that are queued.
"""

from collections.abc import Mapping, Sequence
from itertools import zip_longest
from typing import Final

from jobs.errors import WorkerFencedError
from jobs.fairness import DEFAULT_WEIGHT, Weights
from jobs.model import Job, JobId, Lease, WorkerId
from jobs.states import JobEvent, JobState, WaitReason, next_state
from jobs.store.moving import claimed
from jobs.store.rows import COLUMNS, POOL, STATE
from jobs.store.schema import (
    FIRST_LANE,
    NO_PROFILE,
    REASON_CODES,
    STATE_CODES,
    STATES,
    WEIGHED_LANES,
    Lane,
    json_text,
    profiles_value,
)
from jobs.store.sqlite import line, rows
from jobs.store.sqlite.pools import RANK, READY, free, move_due_on
from jobs.store.sqlite.transaction import Cells, Transaction

ORPHANED: Final = """
SELECT id FROM jobs WHERE worker IS NULL AND state IN (5, 6) AND profile = ? ORDER BY id LIMIT ?
"""
# An index skip scan: one seek for each project that has ready jobs of the profile.
LANES: Final = """
WITH RECURSIVE lane(project) AS (
  SELECT (SELECT project FROM jobs WHERE state = 2 AND profile = ?1 AND project > ?2
           ORDER BY project LIMIT 1)
  UNION ALL
  SELECT (SELECT project FROM jobs WHERE state = 2 AND profile = ?1 AND project > lane.project
           ORDER BY project LIMIT 1)
    FROM lane WHERE lane.project IS NOT NULL
)
SELECT project FROM lane WHERE project IS NOT NULL LIMIT ?3
"""
LANE: Final = f"""
SELECT id FROM jobs WHERE state = 2 AND profile = ? AND project = ?
 ORDER BY {RANK}, id LIMIT ?
"""  # noqa: S608 - made of constants only
_PROJECT: Final = "SELECT id FROM projects WHERE name = ?"
# In the order of the list; one look for all of them.
_JOBS: Final = f"""
SELECT {COLUMNS} FROM json_each(?) u CROSS JOIN jobs j ON j.id = u.value {rows.JOINS}
"""  # noqa: S608 - made of constants only
_SET_FENCE: Final = "UPDATE pools SET fence = ? WHERE id = ?"
_TAKE: Final = """
UPDATE jobs SET state = ?, holds = 1, worker = ?, fence = ?, started_us = ?, deadline_us = ?
 WHERE id = ?
"""
_PARK: Final = "UPDATE jobs SET state = 1, reason = ? WHERE id = ?"
_ALIVE: Final = "SELECT profiles FROM workers WHERE id = ? AND dead_us IS NULL"


def served_by(transaction: Transaction, worker: WorkerId) -> Sequence[str]:
    """Return the profiles whose jobs the worker takes, in order, NO_PROFILE first.

    Raises:
        WorkerFencedError: If it was declared dead, or never was registered.
    """
    row = transaction.row(_ALIVE, (worker,))
    if row is None:
        raise WorkerFencedError(f"worker {worker} was declared dead", worker=worker)
    return (NO_PROFILE, *profiles_value(row[0]))


def claim(
    transaction: Transaction,
    worker: WorkerId,
    limit: int,
    deadline_s: float,
    weights: Weights,
) -> Sequence[tuple[Job, Lease]]:
    """See `WorkStore.claim`."""
    profiles = served_by(transaction, worker)
    move_due_on(transaction)
    if limit <= 0:
        return []
    chosen: list[int] = []
    for profile in profiles:
        missing = limit - len(chosen)
        if missing > 0:
            chosen += [job for (job,) in transaction.rows(ORPHANED, (profile, missing))]
    if not line.is_stopped(transaction):
        chosen += _in_turn(transaction, profiles, limit - len(chosen), weights)
    return _take(transaction, worker, chosen, deadline_s)


def _in_turn(
    transaction: Transaction, profiles: Sequence[str], limit: int, weights: Weights
) -> list[int]:
    """Return READY jobs of the lanes in turn, by weight, going on after the one served last."""
    if limit <= 0:
        return []
    most = max(limit, WEIGHED_LANES) if weights else limit
    lanes = _lanes(transaction, profiles, transaction.memory.last_lane, most)
    if len(lanes) < most:
        seen = set(lanes)
        around = _lanes(transaction, profiles, FIRST_LANE, most)
        lanes += [lane for lane in around if lane not in seen][: most - len(lanes)]
    return _deal(transaction, lanes, limit, _weights(transaction, weights))


def _weights(transaction: Transaction, weights: Weights) -> dict[int, float]:
    """Return the weights by the numbers that projects have in lanes."""
    known = ((transaction.row(_PROJECT, (name,)), weight) for name, weight in weights.items())
    return {row[0]: weight for row, weight in known if row is not None}


def _lanes(
    transaction: Transaction, profiles: Sequence[str], after: Lane, limit: int
) -> list[Lane]:
    """Return up to *limit* lanes that have READY jobs: those that come after *after*, in order."""
    lanes: list[Lane] = []
    project, last = after
    for profile in profiles:
        # The project served last comes again for the profiles that follow the one served.
        beyond = project if profile <= last else project - 1
        found = transaction.rows(LANES, (profile, beyond, limit))
        lanes += [(lane, profile) for (lane,) in found]
    return sorted(lanes)[:limit]


def _deal(
    transaction: Transaction, lanes: Sequence[Lane], limit: int, weights: Mapping[int, float]
) -> list[int]:
    """Return up to *limit* jobs of the lanes, and remember what each was served.

    A lane that has fewer than its turns gives the rest back, and they are dealt again.
    """
    piles: dict[Lane, list[int]] = {lane: [] for lane in lanes}
    turns = transaction.memory.turns

    def weight_of(lane: Lane) -> float:
        return weights.get(lane[0], DEFAULT_WEIGHT)

    going = list(lanes)
    while going and (missing := limit - sum(map(len, piles.values()))) > 0:
        for lane, count in turns.deal(going, weight_of, missing).items():
            wanted = len(piles[lane]) + count
            found = transaction.rows(LANE, (lane[1], lane[0], wanted))
            piles[lane] = [job for (job,) in found]
            if len(piles[lane]) < wanted:
                turns.give_back(lane, weight_of(lane), wanted - len(piles[lane]))
                going.remove(lane)
    served = [lane for lane in lanes if piles[lane]]
    if served:
        transaction.memory.last_lane = served[-1]
    rounds = zip_longest(*piles.values())
    return [job for turn in rounds for job in turn if job is not None]


def _take(
    transaction: Transaction, worker: WorkerId, chosen: Sequence[int], deadline_s: float
) -> list[tuple[Job, Lease]]:
    """Put the chosen jobs into the worker's hands."""
    taken: list[tuple[Job, Lease]] = []
    fences: list[Cells] = []
    changes: list[Cells] = []
    event_data = json_text({"worker": worker})
    for row in list(transaction.rows(_JOBS, (json_text(chosen),))):
        try:
            job = claimed(rows.job(row), row, worker, transaction.now_us, deadline_s)
        except (ValueError, TypeError, KeyError):
            _park(transaction, row)
            continue
        taken.append((job, Lease(job=job.id, worker=worker, fence=job.fence)))
        code = STATE_CODES[job.state]
        told = (code, worker, job.fence, job.started_us, job.deadline_us)
        changes.append((*told, job.id))
        fences.append((job.fence, row[POOL]))
        transaction.memory.held[job.id] = job
        transaction.moved((row[STATE], 0), (code, 0))
        transaction.happened(job.id, JobEvent.CLAIMED, job.state, event_data)
    transaction.each(_SET_FENCE, fences)
    transaction.each(_TAKE, changes)
    return taken


def _park(transaction: Transaction, row: rows.Row) -> None:
    """Set a READY job aside whose row cannot be read, so that it does not block the others.

    One that may have been sent stays where it is: its pool must not be touched.
    """
    state = STATES[row[STATE]]
    if state is not JobState.READY:
        return
    job = JobId(row[0])
    reason = REASON_CODES[WaitReason.PAUSED]
    transaction.change(_PARK, (reason, job))
    new = next_state(state, JobEvent.HELD)
    transaction.moved(READY, (STATE_CODES[new], reason))
    data = json_text({"reason": WaitReason.PAUSED, "detail": "the stored row cannot be read"})
    transaction.happened(job, JobEvent.HELD, new, data)
    free(transaction, [(row[POOL], job)])
