"""Apply what workers say about jobs they hold, and nothing once they hold them no more.

A group of calls is one transaction and a handful of statements.  The rows are locked and read
first, then each call is decided by itself, so one that is late or makes no sense fails alone.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from jobs.errors import IllegalTransitionError, LeaseLostError
from jobs.model import Job, JobRequest, Lease, Progress, job_name
from jobs.states import FINAL_STATES, TRANSITIONS, JobEvent, JobState, WaitReason, next_state
from jobs.store.postgres import lines, rows
from jobs.store.postgres.pools import free, lock_pools_of
from jobs.store.postgres.transaction import Transaction, columns
from jobs.store.postgres.wire import Row
from jobs.store.protocol import Change
from jobs.store.schema import (
    POOL_KEEPING,
    REASON_CODES,
    STATE_CODES,
    STATES,
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

_HELD: Final = """
SELECT j.id, j.state, j.pool, j.project, j.cancel_asked, j.created_us, j.started_us, j.deadline_us
  FROM unnest($1::bigint[], $2::bigint[], $3::bigint[]) AS u(id, worker, fence)
  JOIN plugwave.jobs j ON j.id = u.id AND j.worker = u.worker AND j.fence = u.fence
 ORDER BY j.id FOR NO KEY UPDATE OF j
"""
_MOVE: Final = """
UPDATE plugwave.jobs j
   SET state = u.state, place = u.place, reason = u.reason, run_at_us = u.run_at_us,
       worker = u.worker, finished_us = u.finished_us, progress = u.progress
  FROM unnest($1::bigint[], $2::smallint[], $3::smallint[], $4::smallint[], $5::bigint[],
              $6::bigint[], $7::bigint[], $8::text[])
       AS u(id, state, place, reason, run_at_us, worker, finished_us, progress)
 WHERE j.id = u.id
"""
_ADD_RESULTS: Final = """
INSERT INTO plugwave.results(worker, seq, job, project)
SELECT u.worker,
       coalesce((SELECT max(seq) FROM plugwave.results r WHERE r.worker = u.worker), 0)
       + row_number() OVER (PARTITION BY u.worker ORDER BY u.n), u.job, u.project
  FROM unnest($1::bigint[], $2::bigint[], $3::integer[])
       WITH ORDINALITY AS u(worker, job, project, n)
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
_REQUESTS: Final = f"{rows.JOBS} WHERE j.id = ANY($1::bigint[])"

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
class _Group:
    """What the calls of one group want written."""

    jobs: list[Row] = field(default_factory=list)
    results: list[Row] = field(default_factory=list)
    opened: list[Row] = field(default_factory=list)
    closed: list[Row] = field(default_factory=list)
    freed: list[tuple[int, int]] = field(default_factory=list)


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
    for places in rounds(calls):
        some = [calls[place] for place in places]
        for place, outcome in zip(places, await _record_round(transaction, some), strict=True):
            outcomes[place] = outcome
    return outcomes


async def _record_round(transaction: Transaction, calls: Sequence[Call]) -> list[Job | Exception]:
    freeing = [c.lease.job for c in calls if isinstance(c, Change) and c.event in MAY_FREE]
    if freeing:
        await lock_pools_of(transaction, freeing)
    leases = [(call.lease.job, call.lease.worker, call.lease.fence) for call in calls]
    held = {row[0]: row for row in await transaction.wire.rows(_HELD, *columns(leases, 3))}
    requests = await _requests(transaction, held)
    group = _Group()
    outcomes: list[Job | Exception] = []
    for call in calls:
        row = held.get(call.lease.job)
        if row is None:
            outcomes.append(lease_lost(call.lease))
            continue
        try:
            outcomes.append(_decide(transaction, group, call, row, requests[row[0]]))
        except (IllegalTransitionError, ValueError) as error:
            outcomes.append(error)
        except Exception as error:  # noqa: BLE001 - what cannot be written as JSON fails alone
            outcomes.append(error)
    await _write(transaction, group)
    return outcomes


async def _requests(transaction: Transaction, jobs: Mapping[int, Row]) -> Mapping[int, JobRequest]:
    known = transaction.memory.requests
    unknown = [job for job in jobs if job not in known]
    if unknown:
        for row in await transaction.wire.rows(_REQUESTS, unknown):
            known[row[0]] = rows.request(row)
    return {job: known[job] for job in jobs}


def _decide(
    transaction: Transaction, group: _Group, call: Call, row: Row, request: JobRequest
) -> Job:
    """Gather what *call* writes; nothing is gathered when it fails."""
    old = STATES[row[1]]
    if isinstance(call, Note):
        text, data = progress_text(call.progress), _data(call.data)
        group.jobs.append((row[0], row[1], lines.IN_HAND, 0, None, call.lease.worker, None, text))
        transaction.happened(row[0], row[3], "seen", old, data)
        return _job(call, row, request, old)
    new = next_state(old, call.event)
    reason, run_at_us = _wait(call) if new is JobState.WAITING else (None, None)
    stays = new not in FINAL_STATES and new not in _OUT_OF_HAND and call.event not in LEAVING
    final = new in FINAL_STATES
    place = lines.line_of(new, reason, run_at_us=run_at_us, held=stays)
    worker = call.lease.worker if stays else None
    finished_us = transaction.now_us if final else None
    written = (place, REASON_CODES[reason], run_at_us, worker, finished_us)
    text, told = progress_text(call.progress), _told(call, reason)
    opened, closed = _attempt(transaction, call, row, old)
    group.opened += opened
    group.closed += closed
    group.jobs.append((row[0], STATE_CODES[new], *written, text))
    if final:
        group.results.append((call.lease.worker, row[0], row[3]))
    if final or (new is JobState.WAITING and reason not in POOL_KEEPING):
        group.freed.append((row[2], row[0]))
    if not stays:
        transaction.memory.requests.pop(row[0], None)
    transaction.moved((row[1], 0), (STATE_CODES[new], REASON_CODES[reason]))
    transaction.happened(row[0], row[3], call.event, new, told)
    waits = {"reason": reason, "run_at_us": run_at_us, "finished_us": finished_us}
    return _job(call, row, request, new, worker=worker, **waits)


def _job(
    call: Call,
    row: Row,
    request: JobRequest,
    state: JobState,
    **more: Any,  # noqa: ANN401 - fields of Job
) -> Job:
    facts: dict[str, Any] = {"worker": call.lease.worker, **more}
    return Job(
        id=call.lease.job,
        request=request,
        state=state,
        created_us=row[5],
        started_us=row[6],
        deadline_us=row[7],
        fence=call.lease.fence,
        cancel_asked=row[4],
        progress=call.progress,
        **facts,
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


def _attempt(
    transaction: Transaction, change: Change, row: Row, old: JobState
) -> tuple[list[Row], list[Row]]:
    """Return the attempt that this change opens, and the one that it closes."""
    lease, progress = change.lease, change.progress
    if change.event is JobEvent.INTENDED:
        before = None if progress.before is None else json_text(progress.before)
        inputs = None if progress.inputs is None else json_text(progress.inputs)
        who = (lease.job, progress.sends, row[3], lease.fence, lease.worker, transaction.now_us)
        return [(*who, progress.sent_us, progress.not_before_us, before, inputs)], []
    if old is JobState.SENDING:
        answer = (progress.http_status, progress.cloud_request_id)
        return [], [(lease.job, change.event, *answer)]
    return [], []


def _data(data: Mapping[str, Any]) -> str | None:
    return json_text(data) if data else None


def _told(change: Change, reason: WaitReason | None) -> str | None:
    """Return what the history says beside the event; a wait always says why and until when."""
    if reason is None:
        return _data(change.data)
    return json_text({"reason": reason, "run_at_us": change.run_at_us, **change.data})


async def _write(transaction: Transaction, group: _Group) -> None:
    wire = transaction.wire
    if group.jobs:
        await wire.rows(_MOVE, *columns(group.jobs, 8))
    if group.opened:
        await wire.rows(_OPEN_ATTEMPTS, *columns(group.opened, 10))
    if group.closed:
        await wire.rows(CLOSE_ATTEMPTS, transaction.now_us, *columns(group.closed, 4))
    if group.results:
        await wire.rows(_ADD_RESULTS, *columns(group.results, 3))
    await free(transaction, group.freed)
