"""Give jobs to a worker: freed ones that may have been sent first, then READY ones in turn.

Whose turn it is goes by lanes: the READY jobs of one project that are sent as one profile.  A
claim looks at the lanes of the worker's own profiles alone.

A claim looks only at indexes that hold nothing but candidates, so its cost follows the
number of jobs it takes and not the number that are queued.  The lock is that of the job's pool,
and locked ones are passed over, so claims never wait for each other or for anybody.
"""

from collections.abc import Mapping, Sequence
from itertools import zip_longest
from typing import Final

from jobs.errors import WorkerFencedError
from jobs.fairness import DEFAULT_WEIGHT, Weights
from jobs.model import Job, JobId, Lease, WorkerId
from jobs.states import JobEvent, JobState, WaitReason, next_state
from jobs.store.moving import claimed
from jobs.store.postgres import line, lines, rows
from jobs.store.postgres.pools import RANK, READY, free, move_due_on
from jobs.store.postgres.transaction import Held, Transaction, columns, numbers
from jobs.store.postgres.wire import Row
from jobs.store.rows import POOL, PROJECT, STATE
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

# Shared: a burial of this worker waits for the claim, and then finds what it took.
_ALIVE: Final = """
SELECT profiles FROM plugwave.workers WHERE id = $1 AND dead_us IS NULL FOR SHARE
"""
ORPHANED: Final = """
SELECT q.id
  FROM unnest($1::text[]) AS u(profile)
 CROSS JOIN LATERAL (
       SELECT j.id FROM plugwave.jobs j
         JOIN plugwave.pools p ON p.id = j.pool AND p.project = j.project
        WHERE j.place = 5 AND j.profile = u.profile
        ORDER BY j.id LIMIT $2
          FOR NO KEY UPDATE OF p SKIP LOCKED) q
 LIMIT $2
"""
# An index skip scan: one seek for each project that has ready jobs of the profile.
LANES: Final = """
SELECT q.project, u.profile
  FROM unnest($1::text[], $2::integer[]) AS u(profile, beyond)
 CROSS JOIN LATERAL (
       WITH RECURSIVE lane(project) AS (
         SELECT (SELECT project FROM plugwave.jobs
                  WHERE place = 1 AND profile = u.profile AND project > u.beyond
                  ORDER BY project LIMIT 1)
         UNION ALL
         SELECT (SELECT project FROM plugwave.jobs
                  WHERE place = 1 AND profile = u.profile AND project > lane.project
                  ORDER BY project LIMIT 1)
           FROM lane WHERE lane.project IS NOT NULL
       )
       SELECT project FROM lane WHERE project IS NOT NULL LIMIT $3) q
"""
PILES: Final = f"""
SELECT u.project, u.profile, q.id
  FROM unnest($1::integer[], $2::text[], $3::integer[]) AS u(project, profile, wanted)
 CROSS JOIN LATERAL (
       SELECT j.id FROM plugwave.jobs j
         JOIN plugwave.pools p ON p.id = j.pool AND p.project = j.project
        WHERE j.place = 1 AND j.profile = u.profile AND j.project = u.project
        ORDER BY {RANK}, j.id LIMIT u.wanted
          FOR NO KEY UPDATE OF p SKIP LOCKED) q
"""  # noqa: S608 - made of constants only
_PROJECTS: Final = "SELECT name, id FROM plugwave.projects WHERE name = ANY($1::text[])"
# A statement of its own, under the locks: who was faster has taken the job away by now.
_JOBS: Final = f"{rows.JOBS} WHERE j.id = ANY($1::bigint[]) AND j.place IN (1, 5)"
_SET_FENCES: Final = """
UPDATE plugwave.pools p SET fence = u.fence
  FROM unnest($1::text::bigint[], $2::text::bigint[]) AS u(pool, fence) WHERE p.id = u.pool
"""
_TAKE: Final = """
UPDATE plugwave.jobs j
   SET state = u.state, place = 4, worker = $1, fence = u.fence, started_us = u.started_us,
       deadline_us = u.deadline_us
  FROM unnest($2::text::bigint[], $3::text::smallint[], $4::text::bigint[], $5::text::bigint[],
              $6::text::bigint[])
       AS u(id, state, fence, started_us, deadline_us)
 WHERE j.id = u.id
"""
_PARK: Final = "UPDATE plugwave.jobs SET state = 1, place = 0, reason = $2 WHERE id = $1"


MOST_LOOKS: Final = 5
"""Times a claim looks anew when all that it saw was taken before it had the locks."""


async def served_by(transaction: Transaction, worker: WorkerId) -> Sequence[str]:
    """Return the profiles whose jobs the worker takes, in order, NO_PROFILE first.

    Raises:
        WorkerFencedError: If it was declared dead, or never was registered.
    """
    row = await transaction.wire.row(_ALIVE, worker)
    if row is None:
        raise WorkerFencedError(f"worker {worker} was declared dead", worker=worker)
    return (NO_PROFILE, *profiles_value(row[0]))


async def claim(
    transaction: Transaction,
    worker: WorkerId,
    limit: int,
    deadline_s: float,
    weights: Weights,
) -> Sequence[tuple[Job, Lease]]:
    """See `WorkStore.claim`."""
    profiles = await served_by(transaction, worker)
    await move_due_on(transaction)
    if limit <= 0:
        return []
    stopped = (await line.line(transaction.wire)).stopped
    for _ in range(MOST_LOOKS):
        chosen = [job for (job,) in await transaction.wire.rows(ORPHANED, profiles, limit)]
        if not stopped:
            chosen += await _in_turn(transaction, profiles, limit - len(chosen), weights)
        if not chosen:
            return []
        found = {row[0]: row for row in await transaction.wire.rows(_JOBS, chosen)}
        if found:
            still = [found[job] for job in chosen if job in found]
            return await _take(transaction, worker, still, deadline_s)
    return []


async def _in_turn(
    transaction: Transaction, profiles: Sequence[str], limit: int, weights: Weights
) -> list[int]:
    """Return READY jobs of the lanes in turn, by weight, going on after the one served last.

    A lane that has fewer than its turns, or whose jobs others have locked, gives the rest back,
    and they are dealt again.
    """
    if limit <= 0:
        return []
    most = max(limit, WEIGHED_LANES) if weights else limit
    lanes = await _lanes(transaction, profiles, most)
    by_project = await _weights(transaction, weights)
    piles: dict[Lane, list[int]] = {lane: [] for lane in lanes}
    turns = transaction.memory.turns

    def weight_of(lane: Lane) -> float:
        return by_project.get(lane[0], DEFAULT_WEIGHT)

    going = list(lanes)
    while going and (missing := limit - sum(map(len, piles.values()))) > 0:
        dealt = turns.deal(going, weight_of, missing)
        wanted = {lane: len(piles[lane]) + count for lane, count in dealt.items()}
        piles.update(await _piles(transaction, wanted))
        for lane, count in wanted.items():
            if len(piles[lane]) < count:
                turns.give_back(lane, weight_of(lane), count - len(piles[lane]))
                going.remove(lane)
    served = [lane for lane in lanes if piles[lane]]
    if served:
        transaction.memory.last_lane = served[-1]
    return [job for turn in zip_longest(*piles.values()) for job in turn if job is not None]


async def _weights(transaction: Transaction, weights: Weights) -> dict[int, float]:
    """Return the weights by the numbers that projects have in lanes."""
    if not weights:
        return {}
    found = await transaction.wire.rows(_PROJECTS, list(weights))
    return {number: weights[name] for name, number in found}


async def _lanes(transaction: Transaction, profiles: Sequence[str], limit: int) -> list[Lane]:
    last = transaction.memory.last_lane
    lanes = await _lanes_after(transaction, profiles, last, limit)
    if len(lanes) < limit and last != FIRST_LANE:
        around = await _lanes_after(transaction, profiles, FIRST_LANE, limit)
        lanes += [lane for lane in around if lane <= last][: limit - len(lanes)]
    return lanes


async def _lanes_after(
    transaction: Transaction, profiles: Sequence[str], after: Lane, limit: int
) -> list[Lane]:
    """Return up to *limit* lanes that have READY jobs and come after *after*, in order."""
    project, last = after
    # The project served last comes again for the profiles that follow the one served.
    beyond = [project if profile <= last else project - 1 for profile in profiles]
    found = await transaction.wire.rows(LANES, profiles, beyond, limit)
    return sorted((lane, profile) for lane, profile in found)[:limit]


async def _piles(transaction: Transaction, wanted: Mapping[Lane, int]) -> dict[Lane, list[int]]:
    """Lock and return the first so many jobs of each lane that nobody else has locked."""
    piles: dict[Lane, list[int]] = {lane: [] for lane in wanted}
    asked = columns([(*lane, count) for lane, count in wanted.items()], 3)
    for project, profile, job in await transaction.wire.rows(PILES, *asked):
        piles[project, profile].append(job)
    return piles


async def _take(
    transaction: Transaction, worker: WorkerId, chosen: Sequence[Row], deadline_s: float
) -> list[tuple[Job, Lease]]:
    """Put the chosen jobs into the worker's hands; their pools are locked."""
    taken: list[tuple[Job, Lease]] = []
    changes: list[Row] = []
    fences: list[Row] = []
    event_data = json_text({"worker": worker})
    for row in chosen:
        try:
            job = claimed(rows.job(row), row, worker, transaction.now_us, deadline_s)
        except (ValueError, TypeError, KeyError):
            await _park(transaction, row)
            continue
        taken.append((job, Lease(job=job.id, worker=worker, fence=job.fence)))
        code, project = STATE_CODES[job.state], row[PROJECT]
        changes.append((job.id, code, job.fence, job.started_us, job.deadline_us))
        fences.append((row[POOL], job.fence))
        transaction.memory.held[job.id] = Held(job, row[POOL], project)
        transaction.moved((row[STATE], 0), (code, 0))
        transaction.happened(job.id, project, JobEvent.CLAIMED, job.state, event_data)
    await transaction.wire.rows(_SET_FENCES, *map(numbers, columns(fences, 2)))
    await transaction.wire.rows(_TAKE, worker, *map(numbers, columns(changes, 5)))
    return taken


async def _park(transaction: Transaction, row: Row) -> None:
    """Set a READY job aside whose row cannot be read, so that it does not block the others.

    One that may have been sent stays where it is: its pool must not be touched.
    """
    state = STATES[row[STATE]]
    if state is not JobState.READY:
        return
    job = JobId(row[0])
    reason = REASON_CODES[WaitReason.PAUSED]
    await transaction.wire.rows(_PARK, job, reason)
    new = next_state(state, JobEvent.HELD)
    transaction.moved(READY, (STATE_CODES[new], reason))
    data = json_text({"reason": WaitReason.PAUSED, "detail": "the stored row cannot be read"})
    transaction.happened(job, row[PROJECT], JobEvent.HELD, new, data)
    await free(transaction, [(row[POOL], job)])


assert lines.line_of(JobState.CHECKING, held=True) == 4  # what _TAKE writes
