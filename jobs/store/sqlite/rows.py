"""Turn rows into jobs and back."""

from collections.abc import Sequence
from typing import Any, Final

from jobs.clock import MICROSECONDS
from jobs.model import Job, JobId, JobRequest, RolloutId, Target, WorkerId
from jobs.store.protocol import Event, JobFilter, WorkerInfo, WorkerRow
from jobs.store.schema import (
    NO_PROFILE,
    REASONS,
    STATE_CODES,
    STATES,
    json_text,
    json_value,
    pack_digest,
    profiles_value,
    progress_value,
    unpack_digest,
    wish_value,
)

Row = Sequence[Any]

COLUMNS: Final = """
       j.id, j.state, j.reason, j.run_at_us, j.worker, j.fence, j.cancel_asked, j.priority,
       j.created_us, j.started_us, j.deadline_us, j.finished_us, j.progress,
       j.not_before_us, j.deadline_s, j.source, j.idempotency_key, j.fingerprint, j.natural_key,
       j.labels, r.name, p.region, p.name, s.body, p.id, p.fence, j.profile,
       j.rollout, j.wave
"""
"""What `job` and `request` read."""

JOINS: Final = """
  JOIN pools p ON p.id = j.pool
  JOIN projects r ON r.id = j.project
  JOIN specs s ON s.id = j.spec
"""
JOBS: Final = f"SELECT {COLUMNS} FROM jobs j {JOINS}"  # noqa: S608 - made of constants only
"""A WHERE follows."""

STATE: Final = 1
WORKER: Final = 4
FENCE: Final = 5
STARTED: Final = 9
DEADLINE: Final = 10
DEADLINE_S: Final = 14
POOL: Final = 24
POOL_FENCE: Final = 25
WAVE: Final = 28
"""Where the claim finds in such a row what it changes."""


def request(row: Row) -> JobRequest:
    """Return the request of one row of JOBS."""
    plugin, terms = wish_value(row[23])
    return JobRequest(
        target=Target(project_id=row[20], region=row[21] or None, pool_name=row[22]),
        plugin=plugin,
        fingerprint=unpack_digest(row[17]),
        natural_key=unpack_digest(row[18]),
        source=row[15],
        idempotency_key=row[16],
        profile=row[26] or None,
        priority=row[7],
        not_before_us=row[13],
        deadline_s=row[14],
        labels=json_value(row[19]) or {},
        terms=terms,
    )


def job(row: Row) -> Job:
    """Return the job of one row of JOBS."""
    state = STATES[row[1]]
    return Job(
        id=JobId(row[0]),
        request=request(row),
        state=state,
        created_us=row[8],
        reason=REASONS[row[2]],
        run_at_us=row[3],
        started_us=row[9],
        deadline_us=row[10],
        finished_us=row[11],
        fence=row[5],
        worker=None if row[4] is None else WorkerId(row[4]),
        cancel_asked=bool(row[6]),
        progress=progress_value(row[12]),
        rollout=None if row[27] is None else RolloutId(row[27]),
        wave=row[28],
    )


_NEW: Final = (
    "id, state, open, holds, reason, run_at_us, fence, cancel_asked, priority, project, pool,"
    " spec, created_us, not_before_us, deadline_s, source, idempotency_key, fingerprint,"
    " natural_key, labels, profile"
)
_NEW_CELLS: Final = "?, ?, 1, 0, ?, ?, 0, 0, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?"
ADD_JOB: Final = f"INSERT INTO jobs({_NEW}) VALUES ({_NEW_CELLS})"  # noqa: S608 - made of constants only
"""What `request_cells` fill from the ninth value on."""

ADD_TO_LINE: Final = f"""
INSERT INTO jobs({_NEW}, rollout, wave, rank) VALUES ({_NEW_CELLS}, ?, ?, ?)
"""  # noqa: S608 - made of constants only
"""The same for a job of a rollout."""


def request_cells(wanted: JobRequest) -> tuple[Any, ...]:
    """Return what a new job's row keeps of its request beside project, pool and spec."""
    return (
        wanted.not_before_us,
        wanted.deadline_s,
        wanted.source,
        wanted.idempotency_key,
        pack_digest(wanted.fingerprint),
        pack_digest(wanted.natural_key),
        json_text(wanted.labels) if wanted.labels else None,
        wanted.profile or NO_PROFILE,
    )


EVENTS: Final = "SELECT seq, at_us, job, event, state, data FROM events"


def event(row: Row) -> Event:
    """Return the event of one row of EVENTS."""
    state = STATES[row[4]]
    data = json_value(row[5]) or {}
    return Event(seq=row[0], at_us=row[1], job=JobId(row[2]), event=row[3], state=state, data=data)


WORKERS: Final = """
SELECT id, name, host, pid, started_us, heartbeat_us, lease_until_us, dead_us IS NULL,
       (SELECT count(*) FROM jobs WHERE worker = workers.id), profiles
  FROM workers
"""


def worker(row: Row) -> WorkerRow:
    """Return the worker of one row of WORKERS."""
    return WorkerRow(
        id=WorkerId(row[0]),
        info=WorkerInfo(name=row[1], host=row[2], pid=row[3], profiles=profiles_value(row[9])),
        started_us=row[4],
        heartbeat_us=row[5],
        lease_until_us=row[6],
        alive=bool(row[7]),
        jobs=row[8],
    )


def condition(matching: JobFilter) -> tuple[str, list[Any]]:
    """Return *matching* as SQL over the tables of JOBS, beginning with AND, and its bindings."""
    terms: list[str] = []
    values: list[Any] = []
    if matching.states:
        terms.append(f"j.state IN ({', '.join('?' * len(matching.states))})")
        values += sorted(STATE_CODES[state] for state in matching.states)
    plain = {
        "r.name = ?": matching.project_id,
        "p.name = ?": matching.pool_name,
        "s.name = ?": matching.plugin,
        "json_extract(j.progress, '$.cause') = ?": matching.cause,
        "j.source = ?": matching.source,
        "j.created_us >= ?": matching.since_us,
    }
    for term, value in plain.items():
        if value is not None:
            terms.append(term)
            values.append(value)
    return "".join(f" AND {term}" for term in terms), values


def deadline_us(now_us: int, own_s: float | None, default_s: float) -> int:
    """Return when a job first claimed at *now_us* must be final."""
    return now_us + round((default_s if own_s is None else own_s) * MICROSECONDS)
