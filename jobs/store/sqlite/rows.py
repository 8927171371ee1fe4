"""Rows of this engine: what is selected, and what a new one holds."""

from collections.abc import Sequence
from functools import partial
from typing import Any, Final

from jobs.model import JobRequest
from jobs.store import rows
from jobs.store.protocol import JobFilter
from jobs.store.schema import (
    NO_PROFILE,
    STATE_CODES,
    json_text,
    pack_digest,
    unpack_digest,
)

Row = Sequence[Any]

JOINS: Final = """
  JOIN pools p ON p.id = j.pool
  JOIN projects r ON r.id = j.project
  JOIN specs s ON s.id = j.spec
"""
JOBS: Final = f"SELECT {rows.COLUMNS} FROM jobs j {JOINS}"  # noqa: S608 - made of constants only
"""A WHERE follows."""

request = partial(rows.request, unpack=unpack_digest)
job = partial(rows.job, unpack=unpack_digest)
"""What a row of JOBS tells."""

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

WORKERS: Final = """
SELECT id, name, host, pid, started_us, heartbeat_us, lease_until_us, dead_us IS NULL,
       (SELECT count(*) FROM jobs WHERE worker = workers.id), profiles
  FROM workers
"""


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
