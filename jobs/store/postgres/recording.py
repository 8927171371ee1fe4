"""Apply what workers say about jobs they hold, and nothing once they hold them no more.

A group of calls is one transaction and a handful of statements.  Each call is decided by itself
from what this process remembers of the job, and written on condition that the row agrees.
Where it does not, the row is locked, read, and the call decided anew; so one call that is
late or makes no sense fails alone.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from jobs.changing import changed
from jobs.model import Job, WorkerId
from jobs.states import FINAL_STATES, TRANSITIONS, HistoryNote, JobEvent, JobState
from jobs.store.moving import Call, Move, Note, decide, intent, lease_lost, rounds
from jobs.store.postgres import lines, rows
from jobs.store.postgres.pools import free, lock_pools_of
from jobs.store.postgres.sending import States, lock_states
from jobs.store.postgres.transaction import TEXTS, Held, Transaction, columns, numbers, texts
from jobs.store.postgres.wire import Row
from jobs.store.protocol import Change
from jobs.store.rollout_rows import ended_as
from jobs.store.rows import POOL, PROJECT
from jobs.store.schema import REASON_CODES, STATE_CODES

_HELD: Final = f"""
{rows.JOBS}
  JOIN unnest($1::bigint[], $2::bigint[], $3::bigint[]) AS u(id, worker, fence)
    ON j.id = u.id AND j.worker = u.worker AND j.fence = u.fence
 ORDER BY j.id FOR NO KEY UPDATE OF j
"""
# Only under the lease, and only from the state that was believed in.
MOVE: Final = f"""
UPDATE plugwave.jobs j
   SET state = u.state, place = u.place, reason = u.reason, run_at_us = u.run_at_us,
       worker = u.worker, finished_us = u.finished_us, progress = u.progress
  FROM unnest($1::text::bigint[], $2::text::bigint[], $3::text::bigint[], $4::text::smallint[],
              $5::text::smallint[], $6::text::smallint[], $7::text::smallint[],
              $8::text::bigint[], $9::text::bigint[], $10::text::bigint[], {TEXTS.format(11)})
       AS u(id, holder, fence, old, state, place, reason, run_at_us, worker, finished_us, progress)
 WHERE j.id = u.id AND j.worker = u.holder AND j.fence = u.fence AND j.state = u.old
RETURNING j.id, j.cancel_asked
"""  # noqa: S608 - made of constants only
_ADD_RESULTS: Final = """
INSERT INTO plugwave.results(worker, seq, job, project)
SELECT $1, u.n + coalesce((SELECT max(seq) FROM plugwave.results WHERE worker = $1), 0),
       u.job, u.project
  FROM unnest($2::text::bigint[], $3::text::integer[]) WITH ORDINALITY AS u(job, project, n)
RETURNING job, seq
"""
# A number comes back when it turned out that nothing had been sent.
_OPEN_ATTEMPTS: Final = f"""
INSERT INTO plugwave.attempts AS a (job, n, project, fence, worker, intended_us, sent_us,
                                    not_before_us, before, inputs)
SELECT u.* FROM unnest($1::text::bigint[], $2::text::bigint[], $3::text::integer[],
                       $4::text::bigint[], $5::text::bigint[], $6::text::bigint[],
                       $7::text::bigint[], $8::text::bigint[],
                       {TEXTS.format(9)}, {TEXTS.format(10)}) u
ON CONFLICT (job, n, project) DO UPDATE
   SET fence = excluded.fence, worker = excluded.worker, intended_us = excluded.intended_us,
       sent_us = excluded.sent_us, not_before_us = excluded.not_before_us,
       before = excluded.before, inputs = excluded.inputs,
       ended_us = NULL, outcome = NULL, http_status = NULL, request_id = NULL
"""  # noqa: S608 - made of constants only
_CLOSE_ATTEMPTS: Final = """
UPDATE plugwave.attempts a
   SET ended_us = $1, outcome = u.outcome, http_status = u.http_status, request_id = u.request_id
  FROM unnest($2::text::bigint[], $3::text[], $4::text::integer[], $5::text[])
       AS u(job, outcome, http_status, request_id)
 WHERE a.job = u.job AND a.outcome IS NULL
"""
MAY_FREE: Final = frozenset(
    event
    for moves in TRANSITIONS.values()
    for event, new in moves.items()
    if new in FINAL_STATES or new is JobState.WAITING
)
"""Events that may free the pool, so that it is locked before the job."""


async def record(transaction: Transaction, calls: Sequence[Call]) -> list[Job | Exception]:
    """Apply each call; return the job as it is then, or why nothing of that call was written.

    See `WorkStore.record` and `WorkStore.note`.
    """
    outcomes: list[Job | Exception] = [LookupError()] * len(calls)
    states = await lock_states(transaction, _intents(calls, transaction.memory.held))
    for places in rounds(calls):
        some = [calls[place] for place in places]
        told = await _record_round(transaction, some, states)
        for place, outcome in zip(places, told, strict=True):
            outcomes[place] = outcome
    return outcomes


def _intents(calls: Sequence[Call], known: Mapping[int, Held]) -> list[int]:
    """Return the jobs that may send: by an intent, or by one that is renewed."""
    return [call.lease.job for call in calls if _may_be_intent(call, known.get(call.lease.job))]


def _may_be_intent(call: Call, held: Held | None) -> bool:
    if isinstance(call, Note):
        return held is None or held.job.state is JobState.SENDING
    return call.event is JobEvent.INTENDED


async def _record_round(
    transaction: Transaction, calls: Sequence[Call], states: States
) -> list[Job | Exception]:
    freeing = [c.lease.job for c in calls if isinstance(c, Change) and c.event in MAY_FREE]
    if freeing:
        await lock_pools_of(transaction, freeing)
    # First by what is remembered, which is nearly always right and spares a look.
    first = await _try(transaction, calls, transaction.memory.held, states)
    outcomes: dict[int, Job | Exception] = {
        job: told for job, told in first.items() if isinstance(told, Job)
    }
    doubtful = [call for call in calls if call.lease.job not in outcomes]
    if doubtful:
        known = await _locked(transaction, doubtful)
        outcomes |= await _try(transaction, doubtful, known, states)
    return [outcomes.get(call.lease.job) or lease_lost(call.lease) for call in calls]


async def _locked(transaction: Transaction, calls: Sequence[Call]) -> Mapping[int, Held]:
    """Lock the rows under leases that hold, and return them as they are."""
    leases = [(call.lease.job, call.lease.worker, call.lease.fence) for call in calls]
    found = await transaction.wire.rows(_HELD, *columns(leases, 3))
    return {row[0]: Held(rows.job(row), row[POOL], row[PROJECT]) for row in found}


async def _try(
    transaction: Transaction, calls: Sequence[Call], known: Mapping[int, Held], states: States
) -> dict[int, Job | Exception]:
    """Write what fits the jobs as they are *known*; what the rows do not bear out is left out."""
    outcomes: dict[int, Job | Exception] = {}
    moves: dict[int, Move] = {}
    for call in calls:
        lease = call.lease
        held = known.get(lease.job)
        if held is None or (held.job.worker, held.job.fence) != (lease.worker, lease.fence):
            continue
        try:
            moves[lease.job] = decide(transaction.now_us, call, held.job, states.check)
        except Exception as error:  # noqa: BLE001 - a call that makes no sense fails alone
            outcomes[lease.job] = error
    if not moves:
        return outcomes
    written = columns([_cells(moves[job]) for job in sorted(moves)], 11)
    told = [*map(numbers, written[:10]), texts(written[10])]
    asked = {row[0]: row[1] for row in await transaction.wire.rows(MOVE, *told)}
    done: list[tuple[Move, Held]] = []
    for job, move in moves.items():  # in the order of the calls, by which results are numbered
        if job not in asked:
            continue
        if move.job.cancel_asked is not asked[job]:
            move.job = changed(move.job, cancel_asked=asked[job])
        outcomes[job] = move.job
        done.append((move, known[job]))
    await _write_beside(transaction, done)
    return outcomes


def _cells(move: Move) -> Row:
    """Return what `MOVE` is given: under which lease and from which state, and the new values."""
    job, lease = move.job, move.call.lease
    line = lines.line_of(job.state, job.reason, run_at_us=job.run_at_us, held=move.stays)
    under = (lease.job, lease.worker, lease.fence, STATE_CODES[move.old])
    where = (STATE_CODES[job.state], line, REASON_CODES[job.reason], job.run_at_us, job.worker)
    return (*under, *where, job.finished_us, move.progress)


async def _write_beside(transaction: Transaction, moves: Sequence[tuple[Move, Held]]) -> None:
    """Write what goes with moves that were written: attempts, results, and who follows."""
    opened: list[Row] = []
    closed: list[Row] = []
    ended: dict[WorkerId, list[Row]] = {}
    freed: list[tuple[int, int]] = []
    for move, held in moves:
        _remember(transaction, move, held)
        job, project = move.job, held.project
        if move.opens:
            opened.append(_opened(transaction.now_us, move, project))
        elif move.closes:
            answer = (job.progress.http_status, job.progress.cloud_request_id)
            closed.append((job.id, move.event, *answer))
        if move.ends:
            ended.setdefault(move.call.lease.worker, []).append((job.id, project))
            if job.rollout is not None and job.wave is not None:
                counted = ended_as(job.state, rejected=move.rejected)
                transaction.tallied(job.rollout, job.wave, counted, ended=True)
        if move.frees:
            freed.append((held.pool, job.id))
    if opened:
        cells = columns(opened, 10)
        told = [*map(numbers, cells[:8]), *map(texts, cells[8:])]
        await transaction.wire.rows(_OPEN_ATTEMPTS, *told)
    await close_attempts(transaction, closed)
    for worker, rows_of in ended.items():
        found = await add_results(transaction, worker, rows_of)
        transaction.memory.numbers.update(found)
    await free(transaction, sorted(freed))


def _remember(transaction: Transaction, move: Move, held: Held) -> None:
    """Count and tell a move that was written."""
    job, memory = move.job, transaction.memory.held
    if move.event is not HistoryNote.SEEN:
        transaction.moved((STATE_CODES[move.old], 0), move.place)
    transaction.happened(job.id, held.project, move.event, job.state, move.told)
    if move.stays:
        held.job = job
        memory[job.id] = held
    else:
        memory.pop(job.id, None)


def _opened(now_us: int, move: Move, project: int) -> Row:
    """Return the attempt that an intent to send opens."""
    job, lease = move.job, move.call.lease
    who = (job.id, job.progress.sends, project, lease.fence, lease.worker, now_us)
    return (*who, *intent(job.progress))


async def close_attempts(transaction: Transaction, closed: Sequence[Row]) -> None:
    """Close the attempts of each (job, outcome, HTTP status, request id)."""
    if closed:
        job, outcome, http_status, request_id = columns(closed, 4)
        told = (numbers(job), outcome, numbers(http_status), request_id)
        await transaction.wire.rows(_CLOSE_ATTEMPTS, transaction.now_us, *told)


async def add_results(
    transaction: Transaction, worker: WorkerId, jobs: Sequence[Row]
) -> dict[int, int]:
    """Append each (job, project) to the worker's results; return the numbers by job."""
    told = map(numbers, columns(jobs, 2))
    added = await transaction.wire.rows(_ADD_RESULTS, worker, *told)
    return {job: seq for job, seq in added}  # noqa: C416 - a dict of rows has no types
