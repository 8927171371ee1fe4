"""Turn rows into jobs and back."""

from typing import Any, Final

from jobs.clock import MICROSECONDS
from jobs.model import Job, JobId, JobRequest, RolloutId, Target, WorkerId
from jobs.store.postgres.transaction import Held
from jobs.store.postgres.wire import Row
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

COLUMNS: Final = """
       j.id, j.state, j.reason, j.run_at_us, j.worker, j.fence, j.cancel_asked, j.priority,
       j.created_us, j.started_us, j.deadline_us, j.finished_us, j.progress,
       j.not_before_us, j.deadline_s, j.source, j.idempotency_key, j.fingerprint, j.natural_key,
       j.labels, r.name, p.region, p.name, s.body, p.id, p.fence, j.project, j.profile,
       j.rollout, j.wave
"""
"""What `job` and `request` read."""

JOINS: Final = """
  JOIN plugwave.pools p ON p.id = j.pool AND p.project = j.project
  JOIN plugwave.projects r ON r.id = j.project
  JOIN plugwave.specs s ON s.id = j.spec
"""
JOBS: Final = f"SELECT {COLUMNS} FROM plugwave.jobs j {JOINS}"  # noqa: S608 - made of constants only
"""A WHERE follows."""

STATE: Final = 1
WORKER: Final = 4
FENCE: Final = 5
STARTED: Final = 9
DEADLINE: Final = 10
DEADLINE_S: Final = 14
POOL: Final = 24
POOL_FENCE: Final = 25
PROJECT: Final = 26
WAVE: Final = 29
"""Where the claim finds in such a row what it changes."""

_DIGEST: Final = b"\x00"
_TEXT: Final = b"\x01"


def pack_key(text: str) -> bytes:
    """Return a digest or another text as tagged bytes."""
    packed = pack_digest(text)
    return _DIGEST + packed if isinstance(packed, bytes) else _TEXT + packed.encode()


def unpack_key(stored: bytes) -> str:
    """Return what `pack_key` was given."""
    tag, rest = stored[:1], stored[1:]
    return unpack_digest(rest) if tag == _DIGEST else rest.decode()


def tag_of(packed: bytes) -> int:
    """Return the first four bytes of a packed key as a signed number, for a small index."""
    return int.from_bytes(packed[1:5].ljust(4, b"\0"), "big", signed=True)


def request(row: Row) -> JobRequest:
    """Return the request of one row of JOBS."""
    plugin, terms = wish_value(row[23])
    return JobRequest(
        target=Target(project_id=row[20], region=row[21] or None, pool_name=row[22]),
        plugin=plugin,
        fingerprint=unpack_key(row[17]),
        natural_key=unpack_key(row[18]),
        source=row[15],
        idempotency_key=row[16],
        profile=row[27] or None,
        priority=row[7],
        not_before_us=row[13],
        deadline_s=row[14],
        labels=json_value(row[19]) or {},
        terms=terms,
    )


def job(row: Row) -> Job:
    """Return the job of one row of JOBS."""
    return Job(
        id=JobId(row[0]),
        request=request(row),
        state=STATES[row[1]],
        created_us=row[8],
        reason=REASONS[row[2]],
        run_at_us=row[3],
        started_us=row[9],
        deadline_us=row[10],
        finished_us=row[11],
        fence=row[5],
        worker=None if row[4] is None else WorkerId(row[4]),
        cancel_asked=row[6],
        progress=progress_value(row[12]),
        rollout=None if row[28] is None else RolloutId(row[28]),
        wave=row[WAVE],
    )


def held(row: Row, known: JobRequest | None = None) -> Held:
    """Return what is worth remembering of a job in hand, from its row of JOBS."""
    return Held(
        worker=row[WORKER],
        fence=row[FENCE],
        state=STATES[row[STATE]],
        pool=row[POOL],
        project=row[PROJECT],
        created_us=row[8],
        started_us=row[STARTED],
        deadline_us=row[DEADLINE],
        request=known or request(row),
        rollout=None if row[28] is None else RolloutId(row[28]),
        wave=row[WAVE],
    )


NEW_COLUMNS: Final = (
    *("id", "state", "place", "reason", "run_at_us", "priority", "project", "pool", "spec"),
    *("created_us", "not_before_us", "deadline_s", "source", "idempotency_key"),
    *("fingerprint", "natural_key", "natural_tag", "labels", "profile"),
)
"""The columns of a new job; `request_cells` fill them from ``not_before_us`` on."""

LINED_COLUMNS: Final = (*NEW_COLUMNS, "rollout", "wave", "rank")
"""The same for a job of a rollout."""


def request_cells(wanted: JobRequest) -> tuple[Any, ...]:
    """Return what a new job's row keeps of its request beside project, pool and spec."""
    natural_key = pack_key(wanted.natural_key)
    return (
        wanted.not_before_us,
        wanted.deadline_s,
        wanted.source,
        wanted.idempotency_key,
        pack_key(wanted.fingerprint),
        natural_key,
        tag_of(natural_key),
        json_text(wanted.labels) if wanted.labels else None,
        wanted.profile or NO_PROFILE,
    )


EVENTS: Final = "SELECT seq, at_us, job, event, state, data FROM plugwave.events"


def event(row: Row) -> Event:
    """Return the event of one row of EVENTS."""
    data = json_value(row[5]) or {}
    state = STATES[row[4]]
    return Event(seq=row[0], at_us=row[1], job=JobId(row[2]), event=row[3], state=state, data=data)


WORKERS: Final = """
SELECT w.id, w.name, w.host, w.pid, w.started_us, w.heartbeat_us, w.lease_until_us,
       w.dead_us IS NULL, coalesce(h.jobs, 0), w.profiles
  FROM plugwave.workers w
  LEFT JOIN (SELECT worker, count(*) AS jobs FROM plugwave.jobs WHERE place IN (4, 5)
              GROUP BY worker) h ON h.worker = w.id
 WHERE w.dead_us IS NULL OR h.jobs > 0
 ORDER BY w.id
"""


def worker(row: Row) -> WorkerRow:
    """Return the worker of one row of WORKERS."""
    return WorkerRow(
        id=WorkerId(row[0]),
        info=WorkerInfo(name=row[1], host=row[2], pid=row[3], profiles=profiles_value(row[9])),
        started_us=row[4],
        heartbeat_us=row[5],
        lease_until_us=row[6],
        alive=row[7],
        jobs=row[8],
    )


def condition(matching: JobFilter, first: int) -> tuple[str, list[Any]]:
    """Return *matching* as SQL over the tables of JOBS, beginning with AND, and its values.

    Args:
        matching: What to look for.
        first: The number of the first parameter.
    """
    states = sorted(STATE_CODES[state] for state in matching.states) or None
    wanted = {
        "j.state = ANY(${}::smallint[])": states,
        "r.name = ${}": matching.project_id,
        "p.name = ${}": matching.pool_name,
        "s.name = ${}": matching.plugin,
        "j.progress::jsonb ->> 'cause' = ${}": matching.cause,
        "j.source = ${}": matching.source,
        "j.created_us >= ${}": matching.since_us,
    }
    told = [(term, value) for term, value in wanted.items() if value is not None]
    terms = [f" AND {term.format(number)}" for number, (term, _) in enumerate(told, first)]
    return "".join(terms), [value for _, value in told]


def deadline_us(now_us: int, own_s: float | None, default_s: float) -> int:
    """Return when a job first claimed at *now_us* must be final."""
    return now_us + round((default_s if own_s is None else own_s) * MICROSECONDS)
