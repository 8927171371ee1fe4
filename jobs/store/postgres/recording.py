"""Apply what workers say about jobs they hold, and nothing once they hold them no more.

A group of calls is one transaction and a handful of statements.  Each call is decided by itself
from what this process remembers of the job, and written on condition that the row agrees.
Where it does not, the row is locked, read, and the call decided anew; so one call that is
late or makes no sense fails alone.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from jobs.errors import LeaseLostError
from jobs.model import Job, Lease, Progress, job_name
from jobs.states import (
    FINAL_STATES,
    TRANSITIONS,
    HistoryNote,
    JobEvent,
    JobState,
    WaitReason,
    next_state,
)
from jobs.store.postgres import lines, rows
from jobs.store.postgres.pools import free, lock_pools_of
from jobs.store.postgres.sending import States, lock_states
from jobs.store.postgres.transaction import Held, Transaction, columns
from jobs.store.postgres.wire import Row
from jobs.store.protocol import Change
from jobs.store.rollout_rows import ended_as, was_rejected
from jobs.store.schema import (
    POOL_KEEPING,
    REASON_CODES,
    STATE_CODES,
    json_text,
    progress_text,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """Where a job stands, without a move."""

    lease: Lease
    progress: Progress
    data: Mapping[str, Any]


Call = Change | Note

_HELD: Final = f"""
{rows.JOBS}
  JOIN unnest($1::bigint[], $2::bigint[], $3::bigint[]) AS u(id, worker, fence)
    ON j.id = u.id AND j.worker = u.worker AND j.fence = u.fence
 ORDER BY j.id FOR NO KEY UPDATE OF j
"""
# Only under the lease, and only from the state that was believed in.
MOVE: Final = """
UPDATE plugwave.jobs j
   SET state = u.state, place = u.place, reason = u.reason, run_at_us = u.run_at_us,
       worker = u.worker, finished_us = u.finished_us, progress = u.progress
  FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::smallint[], $5::smallint[],
              $6::smallint[], $7::smallint[], $8::bigint[], $9::bigint[], $10::bigint[],
              $11::text[])
       AS u(id, holder, fence, old, state, place, reason, run_at_us, worker, finished_us, progress)
 WHERE j.id = u.id AND j.worker = u.holder AND j.fence = u.fence AND j.state = u.old
RETURNING j.id, j.cancel_asked
"""
ADD_RESULTS: Final = """
INSERT INTO plugwave.results(worker, seq, job, project)
SELECT $1, u.n + coalesce((SELECT max(seq) FROM plugwave.results WHERE worker = $1), 0),
       u.job, u.project
  FROM unnest($2::bigint[], $3::integer[]) WITH ORDINALITY AS u(job, project, n)
RETURNING job, seq
"""
# A number comes back when it turned out that nothing had been sent.
_OPEN_ATTEMPTS: Final = """
INSERT INTO plugwave.attempts AS a (job, n, project, fence, worker, intended_us, sent_us,
                                    not_before_us, before, inputs)
SELECT u.* FROM unnest($1::bigint[], $2::bigint[], $3::integer[], $4::bigint[], $5::bigint[],
                       $6::bigint[], $7::bigint[], $8::bigint[], $9::text[], $10::text[]) u
ON CONFLICT (job, n, project) DO UPDATE
   SET fence = excluded.fence, worker = excluded.worker, intended_us = excluded.intended_us,
       sent_us = excluded.sent_us, not_before_us = excluded.not_before_us,
       before = excluded.before, inputs = excluded.inputs,
       ended_us = NULL, outcome = NULL, http_status = NULL, request_id = NULL
"""
CLOSE_ATTEMPTS: Final = """
UPDATE plugwave.attempts a
   SET ended_us = $1, outcome = u.outcome, http_status = u.http_status, request_id = u.request_id
  FROM unnest($2::bigint[], $3::text[], $4::integer[], $5::text[])
       AS u(job, outcome, http_status, request_id)
 WHERE a.job = u.job AND a.outcome IS NULL
"""
LEAVING: Final = frozenset({JobEvent.HANDED_BACK, JobEvent.LEASE_LOST})
"""Events after which the worker has the job no longer, though its state may be the same."""

_OUT_OF_HAND: Final = frozenset({JobState.WAITING, JobState.READY})

MAY_FREE: Final = frozenset(
    event
    for moves in TRANSITIONS.values()
    for event, new in moves.items()
    if new in FINAL_STATES or new is JobState.WAITING
)
"""Events that may free the pool, so that it is locked before the job."""


@dataclass(slots=True)
class _Move:
    """What one call would write, and what it would return."""

    call: Call
    held: Held
    new: JobState
    row: Row
    told: str | None
    reason: WaitReason | None = None
    run_at_us: int | None = None
    finished_us: int | None = None
    stays: bool = True
    opened: Row | None = None
    closed: Row | None = None


def lease_lost(lease: Lease) -> LeaseLostError:
    """Return the error for a lease that does not hold."""
    return LeaseLostError(
        f"worker {lease.worker} holds {job_name(lease.job)} no longer",
        job=lease.job,
        worker=lease.worker,
    )


def rounds(calls: Sequence[Call]) -> Iterable[list[int]]:
    """Split the places of *calls* so that no job is twice in one round; the order holds."""
    left = list(range(len(calls)))
    while left:
        seen: set[int] = set()
        now: list[int] = []
        later: list[int] = []
        for place in left:
            job = calls[place].lease.job
            (later if job in seen else now).append(place)
            seen.add(job)
        yield now
        left = later


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
        return held is None or held.state is JobState.SENDING
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
    return {row[0]: rows.held(row) for row in found}


async def _try(
    transaction: Transaction, calls: Sequence[Call], known: Mapping[int, Held], states: States
) -> dict[int, Job | Exception]:
    """Write what fits the jobs as they are *known*; what the rows do not bear out is left out."""
    outcomes: dict[int, Job | Exception] = {}
    moves: dict[int, _Move] = {}
    for call in calls:
        held = known.get(call.lease.job)
        if held is None or (held.worker, held.fence) != (call.lease.worker, call.lease.fence):
            continue
        try:
            moves[call.lease.job] = _decide(transaction.now_us, call, held, states)
        except Exception as error:  # noqa: BLE001 - a call that makes no sense fails alone
            outcomes[call.lease.job] = error
    if not moves:
        return outcomes
    written = sorted((move.row for move in moves.values()), key=lambda row: int(row[0]))
    done: list[_Move] = []
    asked = {row[0]: row[1] for row in await transaction.wire.rows(MOVE, *columns(written, 11))}
    for job, move in moves.items():
        if job in asked:
            done.append(move)
            outcomes[job] = _told_of(transaction, move, cancel_asked=asked[job])
    await _write_beside(transaction, done)
    return outcomes


def _decide(now_us: int, call: Call, held: Held, states: States) -> _Move:
    """Return what *call* writes.

    Raises:
        Exception: If the state or the rollout does not allow it, or JSON cannot hold it.
    """
    old, lease = held.state, call.lease
    under = (lease.job, lease.worker, lease.fence, STATE_CODES[old])
    text = progress_text(call.progress)
    if isinstance(call, Note):
        if old is JobState.SENDING:
            states.check(held.rollout)
        where: Row = (STATE_CODES[old], lines.IN_HAND, 0, None, lease.worker, None)
        return _Move(call, held, old, (*under, *where, text), _data(call.data))
    new = next_state(old, call.event)
    if call.event is JobEvent.INTENDED:
        states.check(held.rollout)
    reason, run_at_us = _wait(call) if new is JobState.WAITING else (None, None)
    stays = new not in FINAL_STATES and new not in _OUT_OF_HAND and call.event not in LEAVING
    finished_us = now_us if new in FINAL_STATES else None
    line = lines.line_of(new, reason, run_at_us=run_at_us, held=stays)
    worker = lease.worker if stays else None
    where = (STATE_CODES[new], line, REASON_CODES[reason], run_at_us, worker, finished_us)
    return _Move(
        call,
        held,
        new,
        (*under, *where, text),
        _told(call, reason),
        reason=reason,
        run_at_us=run_at_us,
        finished_us=finished_us,
        stays=stays,
        opened=_opened(now_us, call, held) if call.event is JobEvent.INTENDED else None,
        closed=_closed(call) if old is JobState.SENDING else None,
    )


def _told_of(transaction: Transaction, move: _Move, *, cancel_asked: bool) -> Job:
    """Count and tell a move that was written; return the job as it is now."""
    call, held = move.call, move.held
    job, memory = call.lease.job, transaction.memory.held
    if isinstance(call, Note):
        transaction.happened(job, held.project, HistoryNote.SEEN, held.state, move.told)
    else:
        place = (STATE_CODES[move.new], REASON_CODES[move.reason])
        transaction.moved((STATE_CODES[held.state], 0), place)
        transaction.happened(job, held.project, call.event, move.new, move.told)
    if move.stays:
        held.state = move.new
        memory[job] = held
    else:
        memory.pop(job, None)
    return Job(
        id=job,
        request=held.request,
        state=move.new,
        created_us=held.created_us,
        reason=move.reason,
        run_at_us=move.run_at_us,
        started_us=held.started_us,
        deadline_us=held.deadline_us,
        finished_us=move.finished_us,
        fence=call.lease.fence,
        worker=call.lease.worker if move.stays else None,
        cancel_asked=cancel_asked,
        progress=call.progress,
        rollout=held.rollout,
        wave=held.wave,
    )


def _wait(change: Change) -> tuple[WaitReason, int | None]:
    """Return why and until when the job waits.

    Raises:
        ValueError: If nobody could ever tell why it waits, or nothing would wake it.
    """
    if change.reason is None:
        raise ValueError("a move to waiting needs a reason")
    if change.reason in POOL_KEEPING and change.run_at_us is None:
        raise ValueError(f"a wait for {change.reason} keeps the pool and so needs an end")
    return change.reason, change.run_at_us


def _opened(now_us: int, change: Change, held: Held) -> Row:
    """Return the attempt that an intent to send opens."""
    lease, progress = change.lease, change.progress
    before = None if progress.before is None else json_text(progress.before)
    inputs = None if progress.inputs is None else json_text(progress.inputs)
    who = (lease.job, progress.sends, held.project, lease.fence, lease.worker, now_us)
    return (*who, progress.sent_us, progress.not_before_us, before, inputs)


def _closed(change: Change) -> Row:
    """Return how an attempt ended."""
    progress = change.progress
    return (change.lease.job, change.event, progress.http_status, progress.cloud_request_id)


def _data(data: Mapping[str, Any]) -> str | None:
    return json_text(data) if data else None


def _told(change: Change, reason: WaitReason | None) -> str | None:
    """Return what the history says beside the event; a wait always says why and until when."""
    if reason is None:
        return _data(change.data)
    return json_text({"reason": reason, "run_at_us": change.run_at_us, **change.data})


async def _write_beside(transaction: Transaction, moves: Sequence[_Move]) -> None:
    """Write what goes with moves that were written: attempts, results, and who follows."""
    wire = transaction.wire
    opened = [move.opened for move in moves if move.opened is not None]
    if opened:
        await wire.rows(_OPEN_ATTEMPTS, *columns(opened, 10))
    closed = [move.closed for move in moves if move.closed is not None]
    if closed:
        await wire.rows(CLOSE_ATTEMPTS, transaction.now_us, *columns(closed, 4))
    ended: dict[int, list[Row]] = {}
    freed: list[tuple[int, int]] = []
    for move in moves:
        job, held = move.call.lease.job, move.held
        if move.finished_us is not None:
            ended.setdefault(held.worker, []).append((job, held.project))
            if held.rollout is not None and held.wave is not None:
                rejected = isinstance(move.call, Change) and was_rejected(
                    move.call.event, move.call.progress
                )
                counted = ended_as(move.new, rejected=rejected)
                transaction.tallied(held.rollout, held.wave, counted, ended=True)
        if move.finished_us is not None or (
            move.new is JobState.WAITING and move.reason not in POOL_KEEPING
        ):
            freed.append((held.pool, job))
    for worker, jobs in ended.items():
        added = await wire.rows(ADD_RESULTS, worker, *columns(jobs, 2))
        transaction.memory.numbers.update({job: seq for job, seq in added})  # noqa: C416 - a dict of rows has no types
    await free(transaction, sorted(freed))
