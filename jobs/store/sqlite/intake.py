"""Take requests in: decide created, duplicate or conflict, and write what is new.

One INSERT … ON CONFLICT decides about each key; there is no check-then-insert.  A call
gathers its rows in memory and writes table by table, which is what makes a million jobs
affordable.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, final

from jobs.errors import BadRequestError
from jobs.model import JobId, JobRequest
from jobs.states import HistoryNote, JobState, WaitReason
from jobs.store.protocol import Enqueued, IntakePosition, Verdict
from jobs.store.rollouts import PlannedJob
from jobs.store.schema import REASON_CODES, STATE_CODES, pack_digest, wish_text
from jobs.store.sqlite import rows
from jobs.store.sqlite.pools import BEHIND, READY
from jobs.store.sqlite.transaction import Transaction

LATER: Final = (STATE_CODES[JobState.WAITING], REASON_CODES[WaitReason.NOT_BEFORE])
IN_LINE: Final = (STATE_CODES[JobState.WAITING], REASON_CODES[WaitReason.WAVE])

_TAKE_KEY: Final = """
INSERT INTO idempotency(source, key, fingerprint, job) VALUES (?, ?, ?, ?)
ON CONFLICT DO NOTHING RETURNING job
"""
_FIRST_OF_KEY: Final = "SELECT fingerprint, job FROM idempotency WHERE source = ? AND key = ?"
_EQUAL_OPEN_JOB: Final = """
SELECT id FROM jobs
 WHERE open = 1 AND pool = ?1 AND substr(natural_key, 1, 6) = substr(?2, 1, 6) AND natural_key = ?2
   AND rollout IS NULL
 ORDER BY id LIMIT 1
"""
_PROJECT: Final = "SELECT id FROM projects WHERE name = ?"
_ADD_PROJECT: Final = "INSERT INTO projects(name) VALUES (?) RETURNING id"
_SPEC: Final = "SELECT id, unused_us FROM specs WHERE sha256 = ?"
_USE_SPEC: Final = "UPDATE specs SET unused_us = NULL WHERE id = ?"
_ADD_SPEC: Final = "INSERT INTO specs(sha256, name, body) VALUES (?, ?, ?) RETURNING id"
_POOL: Final = "SELECT id, head_job FROM pools WHERE project = ? AND region = ? AND name = ?"
_ADD_POOL: Final = "INSERT INTO pools(id, project, region, name, head_job) VALUES (?, ?, ?, ?, ?)"
_SET_HEAD: Final = "UPDATE pools SET head_job = ? WHERE id = ?"
_SET_POSITION: Final = """
INSERT INTO intake_positions(source, digest, records) VALUES (?, ?, ?)
ON CONFLICT DO UPDATE SET records = max(records, excluded.records)
"""
POSITION: Final = "SELECT records FROM intake_positions WHERE source = ? AND digest = ?"


@dataclass(slots=True)
class _Pool:
    """A pool as this call sees it."""

    id: int
    project: int
    head: int | None
    fresh: bool
    changed: bool = False


def enqueue(
    transaction: Transaction, requests: Sequence[JobRequest], position: IntakePosition | None
) -> Sequence[Enqueued]:
    """See `IntakeStore.enqueue`."""
    try:
        intake = _Intake(transaction, len(requests))
        answers = intake.take(requests)
        intake.write()
    except (UnicodeEncodeError, OverflowError):
        raise BadRequestError("a request holds text or a number that cannot be stored") from None
    if position is not None:
        transaction.change(_SET_POSITION, (position.source, position.digest, position.records))
    return answers


def line_up(
    transaction: Transaction, rollout: int, jobs: Sequence[PlannedJob]
) -> list[tuple[int, int]]:
    """Write jobs into the lines of their waves; return the (job, pool) of each, in order.

    Raises:
        BadRequestError: If one of them cannot be stored.
    """
    try:
        intake = _Intake(transaction, len(jobs))
        lined = intake.line_up(rollout, jobs)
        intake.write()
    except (UnicodeEncodeError, OverflowError):
        raise BadRequestError("a request holds text or a number that cannot be stored") from None
    return lined


@final
class _Intake:
    """One call's requests on their way into the tables."""

    def __init__(self, transaction: Transaction, count: int) -> None:
        self._transaction = transaction
        self._first = transaction.take_numbers("jobs", count)
        self._pools: dict[tuple[str, str, str], _Pool] = {}
        self._natural: dict[tuple[int, str], int] = {}
        self._specs: dict[bytes, int] = {}
        self._jobs: list[tuple[Any, ...]] = []
        self._lined: list[tuple[Any, ...]] = []

    def take(self, requests: Sequence[JobRequest]) -> list[Enqueued]:
        """Answer each request in order and gather the rows of the new ones."""
        owners = self._take_keys(requests)
        answers: list[Enqueued] = []
        for number, request in enumerate(requests, self._first):
            answer = self._known(request, number in owners)
            if answer is None:
                self._create(number, request)
                answer = Enqueued(verdict=Verdict.CREATED, job=JobId(number))
            answers.append(answer)
        return answers

    def line_up(self, rollout: int, jobs: Sequence[PlannedJob]) -> list[tuple[int, int]]:
        """Gather the rows of jobs of a rollout; they hold no pool, and nobody joins them."""
        transaction = self._transaction
        lined = []
        for number, planned in enumerate(jobs, self._first):
            request = planned.request
            pool = self._pool(request)
            spec = self._spec(request)
            where = (number, *IN_LINE, None, request.priority, pool.project, pool.id, spec)
            row = (*where, transaction.now_us, *rows.request_cells(request))
            self._lined.append((*row, rollout, planned.wave, planned.rank))
            transaction.moved(None, IN_LINE)
            transaction.happened(number, HistoryNote.CREATED, JobState.WAITING)
            lined.append((number, pool.id))
        return lined

    def _take_keys(self, requests: Sequence[JobRequest]) -> set[int]:
        """Reserve the keys that are new; return the jobs that own theirs."""
        keyed = [
            (request.source, request.idempotency_key, pack_digest(request.fingerprint), number)
            for number, request in enumerate(requests, self._first)
            if request.idempotency_key is not None
        ]
        return {int(job) for (job,) in self._transaction.each(_TAKE_KEY, keyed)}

    def _known(self, request: JobRequest, owns_key: bool) -> Enqueued | None:  # noqa: FBT001 - reads as a fact at its one caller
        """Return the answer for a request that is not new, None for one that is."""
        if owns_key:
            return None
        if request.idempotency_key is None:
            equal = self._equal_open_job(request)
            return None if equal is None else Enqueued(verdict=Verdict.DUPLICATE, job=JobId(equal))
        found = self._transaction.row(_FIRST_OF_KEY, (request.source, request.idempotency_key))
        assert found is not None
        same = found[0] == pack_digest(request.fingerprint)
        verdict = Verdict.DUPLICATE if same else Verdict.CONFLICT
        return Enqueued(verdict=verdict, job=JobId(found[1]))

    def _equal_open_job(self, request: JobRequest) -> int | None:
        pool = self._pool(request)
        gathered = self._natural.get((pool.id, request.natural_key))
        if pool.fresh:
            return gathered
        key = pack_digest(request.natural_key)
        stored = self._transaction.row(_EQUAL_OPEN_JOB, (pool.id, key))
        return gathered if stored is None else int(stored[0])

    def _create(self, number: int, request: JobRequest) -> None:
        transaction = self._transaction
        pool = self._pool(request)
        later = request.not_before_us is not None and request.not_before_us > transaction.now_us
        if later:
            place = LATER
        elif pool.head is not None:
            place = BEHIND
        else:
            place = READY
            pool.head, pool.changed = number, True
        run_at_us = request.not_before_us if later else None
        spec = self._spec(request)
        where = (number, *place, run_at_us, request.priority, pool.project, pool.id, spec)
        self._jobs.append((*where, transaction.now_us, *rows.request_cells(request)))
        self._natural.setdefault((pool.id, request.natural_key), number)
        transaction.moved(None, place)
        transaction.happened(number, HistoryNote.CREATED, _STATE_AT[place])

    def _pool(self, request: JobRequest) -> _Pool:
        key = request.target.pool
        pool = self._pools.get(key)
        if pool is None:
            region, project_name, name = key
            project = self._project(project_name)
            found = self._transaction.row(_POOL, (project, region, name))
            if found is None:
                number = self._transaction.take_numbers("pools", 1)
                pool = _Pool(number, project, None, fresh=True)
            else:
                pool = _Pool(found[0], project, found[1], fresh=False)
            self._pools[key] = pool
        return pool

    def _project(self, name: str) -> int:
        known = self._transaction.memory.projects
        if name not in known:
            row = self._transaction.row(_PROJECT, (name,))
            row = row or self._transaction.row(_ADD_PROJECT, (name,))
            assert row is not None
            known[name] = int(row[0])
        return known[name]

    def _spec(self, request: JobRequest) -> int:
        # Looked up in each call: what no job has asked for lately may be gone.
        known = self._specs
        text = wish_text(request.plugin, request.terms)
        address = hashlib.sha256(text.encode()).digest()
        if address not in known:
            row = self._transaction.row(_SPEC, (address,))
            if row is None:
                row = self._transaction.row(_ADD_SPEC, (address, request.plugin.name, text))
            elif row[1] is not None:
                self._transaction.change(_USE_SPEC, (row[0],))
            assert row is not None
            known[address] = int(row[0])
        return known[address]

    def write(self) -> None:
        """Write what was gathered."""
        # A pool that only a duplicate or a conflict has named is not worth a row.
        used = {row[6] for row in (*self._jobs, *self._lined)}
        fresh = [
            (pool.id, pool.project, region, name, pool.head)
            for (region, _, name), pool in self._pools.items()
            if pool.fresh and pool.id in used
        ]
        self._transaction.each(_ADD_POOL, fresh)
        heads = [
            (pool.head, pool.id) for pool in self._pools.values() if pool.changed and not pool.fresh
        ]
        self._transaction.each(_SET_HEAD, heads)
        self._transaction.each(rows.ADD_JOB, self._jobs)
        self._transaction.each(rows.ADD_TO_LINE, self._lined)


_STATE_AT: Final = {
    READY: JobState.READY,
    BEHIND: JobState.WAITING,
    LATER: JobState.WAITING,
}
