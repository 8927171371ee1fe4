"""Take requests in: decide created, duplicate or conflict, and write what is new.

One INSERT … ON CONFLICT decides about each key; there is no check-then-insert.  Everything
else is decided in memory, under the locks of the pools concerned, and written table by table:
new jobs and their history by COPY, which is what makes a million jobs affordable.

Calls that arrive together are one transaction; what cannot be stored is found out before.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from operator import itemgetter
from typing import Any, Final, final

from jobs.errors import BadRequestError
from jobs.model import JobId, JobRequest
from jobs.states import HistoryNote, JobState, WaitReason
from jobs.store.postgres import lines, rows
from jobs.store.postgres.pools import BEHIND, READY, set_heads
from jobs.store.postgres.transaction import Transaction, columns, numbers
from jobs.store.postgres.troubles import AgainError
from jobs.store.postgres.wire import Row
from jobs.store.protocol import Enqueued, IntakePosition, Verdict
from jobs.store.rollouts import PlannedJob
from jobs.store.schema import REASON_CODES, STATE_CODES, wish_text

LATER: Final = (STATE_CODES[JobState.WAITING], REASON_CODES[WaitReason.NOT_BEFORE])
IN_LINE: Final = (STATE_CODES[JobState.WAITING], REASON_CODES[WaitReason.WAVE])

_STATE_AT: Final = {
    READY: JobState.READY,
    BEHIND: JobState.WAITING,
    LATER: JobState.WAITING,
}
_LINE_AT: Final = {READY: lines.READY, BEHIND: lines.BEHIND, LATER: lines.TIMED}

_IDS: Final = "SELECT array_agg(nextval('plugwave.job_ids')) FROM generate_series(1, $1)"
_POOL_IDS: Final = "SELECT array_agg(nextval('plugwave.pool_ids')) FROM generate_series(1, $1)"
_ADD_PROJECTS: Final = """
INSERT INTO plugwave.projects(name) SELECT unnest($1::text[]) ON CONFLICT (name) DO NOTHING
"""
_PROJECTS: Final = "SELECT name, id FROM plugwave.projects WHERE name = ANY($1::text[])"
_ADD_SPECS: Final = """
INSERT INTO plugwave.specs(sha256, name, body)
SELECT * FROM unnest($1::bytea[], $2::text[], $3::text[])
ON CONFLICT (sha256) DO NOTHING
"""
_SPECS: Final = """
SELECT sha256, id, unused_us IS NOT NULL FROM plugwave.specs WHERE sha256 = ANY($1::bytea[])
"""
_USE_SPECS: Final = """
UPDATE plugwave.specs SET unused_us = NULL WHERE id = ANY($1::bigint[]) RETURNING id
"""
_TAKE_KEYS: Final = """
WITH taken AS (
  INSERT INTO plugwave.idempotency(source, key, fingerprint, job)
  SELECT $1, u.* FROM unnest($2::text[], $3::bytea[], $4::text::bigint[]) u
  ON CONFLICT (source, key) DO NOTHING RETURNING job
)
SELECT array_agg(job) FROM taken
"""
_FIRST_OF_KEYS: Final = """
SELECT i.source, i.key, i.fingerprint, i.job
  FROM unnest($1::text[], $2::text[]) AS u(source, key)
  JOIN plugwave.idempotency i ON i.source = u.source AND i.key = u.key
"""
_POOLS: Final = """
SELECT p.project, p.region, p.name, p.id, p.head_job
  FROM unnest($1::text::integer[], $2::text[], $3::text[]) AS u(project, region, name)
  JOIN plugwave.pools p ON p.project = u.project AND p.region = u.region AND p.name = u.name
 ORDER BY p.id FOR NO KEY UPDATE OF p
"""
EQUAL_OPEN_JOBS: Final = """
SELECT j.pool, j.natural_key, min(j.id)
  FROM unnest($1::bigint[], $2::integer[], $3::bytea[]) AS u(pool, tag, natural_key)
  JOIN plugwave.jobs j ON j.pool = u.pool AND j.natural_tag = u.tag
                      AND j.natural_key = u.natural_key AND j.place < 6
                      AND j.rollout IS NULL
 GROUP BY j.pool, j.natural_key
"""
_POOL_COLUMNS: Final = ("project", "region", "name", "id", "head_job")
_SET_POSITION: Final = """
INSERT INTO plugwave.intake_positions AS p (source, digest, records) VALUES ($1, $2, $3)
ON CONFLICT (source, digest) DO UPDATE SET records = greatest(p.records, excluded.records)
"""
POSITION: Final = """
SELECT records FROM plugwave.intake_positions WHERE source = $1 AND digest = $2
"""

MOST_REQUESTS: Final = 5_000
"""Requests in one group of calls."""

LARGEST: Final = 2**63 - 1

NOT_STORABLE: Final = "a request holds text or a number that cannot be stored"


@dataclass(slots=True)
class _Wanted:
    """One request with everything about it that the database is given."""

    request: JobRequest
    cells: tuple[Any, ...]
    fingerprint: bytes
    natural_key: bytes
    spec: bytes
    spec_text: str


@dataclass(frozen=True, slots=True)
class Batch:
    """One call's requests, ready to be written."""

    wanted: Sequence[_Wanted]
    position: IntakePosition | None


@dataclass(slots=True)
class _Pool:
    """A pool as this transaction sees it."""

    id: int
    project: int
    head: int | None
    fresh: bool
    changed: bool = False
    naturals: dict[bytes, int] = field(default_factory=dict)


def prepare(requests: Sequence[JobRequest], position: IntakePosition | None) -> Batch:
    """Turn a call's requests into what the database is given.

    Raises:
        BadRequestError: If one of them cannot be stored; nothing of the call was.
    """
    try:
        specs: dict[tuple[int, int], tuple[bytes, str]] = {}
        batch = Batch([_wanted(request, specs) for request in requests], position)
        if position is not None:
            _check_text(position.source, position.digest)
    except (UnicodeEncodeError, OverflowError):
        raise BadRequestError(NOT_STORABLE) from None
    return batch


def _wanted(request: JobRequest, specs: dict[tuple[int, int], tuple[bytes, str]]) -> _Wanted:
    target = request.target
    texts = (target.project_id, target.pool_name, target.region, request.source)
    _check_text(*texts, request.plugin.name, request.idempotency_key, request.profile)
    for number in (request.priority, request.not_before_us or 0):
        if not -LARGEST <= number <= LARGEST:
            raise OverflowError
    content = (id(request.plugin), id(request.terms))
    spec = specs.get(content)
    if spec is None:
        text = wish_text(request.plugin, request.terms)
        spec = specs[content] = (hashlib.sha256(text.encode()).digest(), text)
    cells = rows.request_cells(request)
    return _Wanted(request, cells, cells[4], cells[5], *spec)


def _check_text(*texts: str | None) -> None:
    """Refuse what PostgreSQL's text cannot hold.

    Raises:
        UnicodeEncodeError: If a text is not Unicode.
        OverflowError: If it holds the NUL character.
    """
    for text in texts:
        if text is not None and (not text.isascii() or "\0" in text):
            text.encode()
            if "\0" in text:
                raise OverflowError


async def enqueue(transaction: Transaction, batches: Sequence[Batch]) -> list[Sequence[Enqueued]]:
    """See `IntakeStore.enqueue`; one answer for each batch, in order."""
    wanted = [one for batch in batches for one in batch.wanted]
    told: list[Enqueued] = []
    if wanted:
        told = await _Intake(transaction, wanted).take()
    answers: list[Sequence[Enqueued]] = []
    start = 0
    for batch in batches:
        answers.append(told[start : start + len(batch.wanted)])
        start += len(batch.wanted)
    positions = [batch.position for batch in batches if batch.position is not None]
    for position in sorted(positions, key=lambda one: (one.source, one.digest, one.records)):
        values = (position.source, position.digest, position.records)
        await transaction.wire.rows(_SET_POSITION, *values)
    return answers


async def line_up(
    transaction: Transaction, rollout: int, jobs: Sequence[PlannedJob]
) -> list[tuple[int, int]]:
    """Write jobs into the lines of their waves; return the (job, pool) of each, in order.

    Raises:
        BadRequestError: If one of them cannot be stored.
    """
    wanted = prepare([planned.request for planned in jobs], None).wanted
    return await _Intake(transaction, wanted).line_up(rollout, jobs)


@final
class _Intake:
    """The requests of one transaction on their way into the tables."""

    def __init__(self, transaction: Transaction, wanted: Sequence[_Wanted]) -> None:
        self._transaction = transaction
        self._wire = transaction.wire
        self._wanted = wanted
        self._ids: list[int] = []
        self._pools: dict[tuple[str, str, str], _Pool] = {}
        self._jobs: list[Row] = []

    async def take(self) -> list[Enqueued]:
        """Answer each request in order and write the new ones."""
        self._ids = sorted(await self._wire.value(_IDS, len(self._wanted)))
        answers = await self._keys()
        # Without a key, or with one that is new: these need their pool.
        rest = [place for place in range(len(self._wanted)) if place not in answers]
        if rest:
            specs = await self._gather(rest)
            await self._find_equal_jobs(rest)
            for place in rest:
                answers[place] = self._decide(place, specs)
            await self._write(rows.NEW_COLUMNS)
        return [answers[place] for place in range(len(self._wanted))]

    async def line_up(self, rollout: int, jobs: Sequence[PlannedJob]) -> list[tuple[int, int]]:
        """Write the requests as jobs of a rollout; they hold no pool, and nobody joins them."""
        transaction = self._transaction
        self._ids = sorted(await self._wire.value(_IDS, len(self._wanted)))
        specs = await self._gather(range(len(self._wanted)))
        lined = []
        for number, one, planned in zip(self._ids, self._wanted, jobs, strict=True):
            pool = self._pools[one.request.target.pool]
            state, reason = IN_LINE
            stands = (number, state, lines.ASIDE, reason, None, one.request.priority)
            what = (pool.project, pool.id, specs[one.spec], transaction.now_us, *one.cells)
            self._jobs.append((*stands, *what, rollout, planned.wave, planned.rank))
            transaction.moved(None, IN_LINE)
            transaction.happened(number, pool.project, HistoryNote.CREATED, JobState.WAITING)
            lined.append((number, pool.id))
        await self._write(rows.LINED_COLUMNS)
        return lined

    async def _gather(self, places: Sequence[int]) -> dict[bytes, int]:
        """Number what the requests name, and lock their pools; return the contents."""
        projects = await self._projects(places)
        specs = await self._specs(places)
        await self._find_pools(places, projects)
        return specs

    async def _keys(self) -> dict[int, Enqueued]:
        """Reserve the keys that are new; answer the requests whose keys are not."""
        first: dict[tuple[str, str], int] = {}
        keyed: list[tuple[int, tuple[str, str]]] = []
        for place, one in enumerate(self._wanted):
            if one.request.idempotency_key is not None:
                key = (one.request.source, one.request.idempotency_key)
                first.setdefault(key, place)
                keyed.append((place, key))
        if not keyed:
            return {}
        told = [
            (*key, self._wanted[place].fingerprint, self._ids[place])
            for key, place in sorted(first.items())
        ]
        own: set[int] = set()
        for source, some in groupby(told, key=itemgetter(0)):
            _, keys, fingerprints, ids = columns(list(some), 4)
            values = (source, keys, fingerprints, numbers(ids))
            own.update(await self._wire.value(_TAKE_KEYS, *values) or ())
        known: dict[tuple[str, str], tuple[bytes, int]] = {}
        foreign = [(row[0], row[1]) for row in told if row[3] not in own]
        if foreign:
            found = await self._wire.rows(_FIRST_OF_KEYS, *columns(foreign, 2))
            known = {(row[0], row[1]): (row[2], row[3]) for row in found}
        answers: dict[int, Enqueued] = {}
        for place, key in keyed:
            if self._ids[place] in own:
                continue
            one = self._wanted[place]
            mine = (self._wanted[first[key]].fingerprint, self._ids[first[key]])
            if key not in known and mine[1] not in own:
                raise AgainError  # it was there, and has expired meanwhile
            fingerprint, job = known.get(key, mine)
            verdict = Verdict.DUPLICATE if fingerprint == one.fingerprint else Verdict.CONFLICT
            answers[place] = Enqueued(verdict=verdict, job=JobId(job))
        return answers

    async def _projects(self, places: Iterable[int]) -> dict[str, int]:
        wanted = {self._wanted[place].request.target.project_id for place in places}
        memory = self._transaction.memory.projects
        found = {name: memory[name] for name in wanted if name in memory}
        missing = sorted(wanted - found.keys())
        if missing:
            await self._wire.rows(_ADD_PROJECTS, missing)
            found.update((name, key) for name, key in await self._wire.rows(_PROJECTS, missing))
        self._transaction.remember_projects(found)
        return found

    async def _specs(self, places: Iterable[int]) -> dict[bytes, int]:
        """Find or add contents; looked up each time, for what is not asked for goes one day."""
        wanted = {self._wanted[place].spec: self._wanted[place] for place in places}
        found = await self._known_specs(wanted)
        missing = sorted(wanted.keys() - found.keys())
        if missing:
            told = [
                (one, wanted[one].request.plugin.name, wanted[one].spec_text) for one in missing
            ]
            await self._wire.rows(_ADD_SPECS, *columns(told, 3))
            found.update(await self._known_specs(missing))
        return found

    async def _known_specs(self, addresses: Iterable[bytes]) -> dict[bytes, int]:
        rows = await self._wire.rows(_SPECS, sorted(addresses))
        unused = sorted(row[1] for row in rows if row[2])
        if unused and len(await self._wire.rows(_USE_SPECS, unused)) < len(unused):
            raise AgainError  # one of them has just gone
        return {address: key for address, key, _ in rows}

    async def _find_pools(self, places: Sequence[int], projects: dict[str, int]) -> None:
        """Lock the pools that exist, and number those that do not."""
        wanted = {self._wanted[place].request.target.pool for place in places}
        names = {project: name for name, project in projects.items()}
        told = [(projects[project], region, name) for region, project, name in wanted]
        of, regions, pool_names = columns(told, 3)
        found = await self._wire.rows(_POOLS, numbers(of), regions, pool_names)
        for project, region, name, pool, head in found:
            self._pools[(region, names[project], name)] = _Pool(pool, project, head, fresh=False)
        fresh = sorted(wanted - self._pools.keys())
        if fresh:
            ids = await self._wire.value(_POOL_IDS, len(fresh))
            for key, number in zip(fresh, ids, strict=True):
                self._pools[key] = _Pool(number, projects[key[1]], None, fresh=True)

    async def _find_equal_jobs(self, places: Sequence[int]) -> None:
        """Find the open jobs that requests without a key would join."""
        told = []
        for place in places:
            one = self._wanted[place]
            pool = self._pools[one.request.target.pool]
            if not pool.fresh and one.request.idempotency_key is None:
                told.append((pool.id, rows.tag_of(one.natural_key), one.natural_key))
        if not told:
            return
        found = await self._wire.rows(EQUAL_OPEN_JOBS, *columns(told, 3))
        pools = {pool.id: pool for pool in self._pools.values()}
        for pool_id, natural_key, job in found:
            pools[pool_id].naturals[natural_key] = job

    def _decide(self, place: int, specs: dict[bytes, int]) -> Enqueued:
        one = self._wanted[place]
        pool = self._pools[one.request.target.pool]
        if one.request.idempotency_key is None:
            equal = pool.naturals.get(one.natural_key)
            if equal is not None:
                return Enqueued(verdict=Verdict.DUPLICATE, job=JobId(equal))
        self._create(place, one, pool, specs[one.spec])
        return Enqueued(verdict=Verdict.CREATED, job=JobId(self._ids[place]))

    def _create(self, place: int, one: _Wanted, pool: _Pool, spec: int) -> None:
        transaction, number, request = self._transaction, self._ids[place], one.request
        later = request.not_before_us is not None and request.not_before_us > transaction.now_us
        if later:
            where = LATER
        elif pool.head is not None:
            where = BEHIND
        else:
            where = READY
            pool.head, pool.changed = number, True
        run_at_us = request.not_before_us if later else None
        state, reason = where
        stands = (number, state, _LINE_AT[where], reason, run_at_us, request.priority)
        self._jobs.append((*stands, pool.project, pool.id, spec, transaction.now_us, *one.cells))
        pool.naturals.setdefault(one.natural_key, number)
        transaction.moved(None, where)
        transaction.happened(number, pool.project, HistoryNote.CREATED, _STATE_AT[where])

    async def _write(self, names: Sequence[str]) -> None:
        # Sorted, so that two who make the same ones wait for each other in one order; who comes
        # second violates their key, and the transaction is run again.  ON CONFLICT instead of
        # COPY would cost twice as much.
        fresh = [
            (pool.project, region, name, pool.id, pool.head)
            for (region, _, name), pool in sorted(self._pools.items())
            if pool.fresh
        ]
        if fresh:
            await self._wire.copy("pools", _POOL_COLUMNS, fresh)
        heads = [p for p in self._pools.values() if p.changed and not p.fresh]
        await set_heads(self._transaction, [(p.id, p.head) for p in heads if p.head is not None])
        if self._jobs:
            await self._wire.copy("jobs", names, self._jobs)
