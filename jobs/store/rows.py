"""Turn rows of either engine into jobs, events and workers.

Both engines select the same columns in the same order; how a digest is packed is their own.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

from jobs.model import Job, JobId, JobRequest, RolloutId, Target, WorkerId
from jobs.store.protocol import Event, WorkerInfo, WorkerRow
from jobs.store.schema import (
    REASONS,
    STATES,
    json_value,
    profiles_value,
    progress_value,
    wish_value,
)

Row = Sequence[Any]
"""One row of an answer, by position."""

COLUMNS: Final = """
       j.id, j.state, j.reason, j.run_at_us, j.worker, j.fence, j.cancel_asked, j.priority,
       j.created_us, j.started_us, j.deadline_us, j.finished_us, j.progress,
       j.not_before_us, j.deadline_s, j.source, j.idempotency_key, j.fingerprint, j.natural_key,
       j.labels, r.name, p.region, p.name, s.body, p.id, p.fence, j.project, j.profile,
       j.rollout, j.wave
"""
"""What `job` reads, of jobs j, projects r, pools p and specs s."""

STATE: Final = 1
POOL: Final = 24
POOL_FENCE: Final = 25
PROJECT: Final = 26
WAVE: Final = 29
"""Where the engines find in such a row what they need beside the job."""


def request(row: Row, unpack: Callable[[Any], str]) -> JobRequest:
    """Return the request of one row of COLUMNS; *unpack* reads a digest as the engine keeps it."""
    plugin, terms = wish_value(row[23])
    return JobRequest(
        target=Target(project_id=row[20], region=row[21] or None, pool_name=row[22]),
        plugin=plugin,
        fingerprint=unpack(row[17]),
        natural_key=unpack(row[18]),
        source=row[15],
        idempotency_key=row[16],
        profile=row[27] or None,
        priority=row[7],
        not_before_us=row[13],
        deadline_s=row[14],
        labels=json_value(row[19]) or {},
        terms=terms,
    )


def job(row: Row, unpack: Callable[[Any], str]) -> Job:
    """Return the job of one row of COLUMNS; *unpack* reads a digest as the engine keeps it."""
    return Job(
        id=JobId(row[0]),
        request=request(row, unpack),
        state=STATES[row[1]],
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
        rollout=None if row[28] is None else RolloutId(row[28]),
        wave=row[29],
    )


def event(row: Row) -> Event:
    """Return the event of a row (seq, at_us, job, event, state, data)."""
    data = json_value(row[5]) or {}
    state = STATES[row[4]]
    return Event(seq=row[0], at_us=row[1], job=JobId(row[2]), event=row[3], state=state, data=data)


def worker(row: Row) -> WorkerRow:
    """Return the worker of a row that ends with whether it lives, its jobs and its profiles."""
    return WorkerRow(
        id=WorkerId(row[0]),
        info=WorkerInfo(name=row[1], host=row[2], pid=row[3], profiles=profiles_value(row[9])),
        started_us=row[4],
        heartbeat_us=row[5],
        lease_until_us=row[6],
        alive=bool(row[7]),
        jobs=row[8],
    )
