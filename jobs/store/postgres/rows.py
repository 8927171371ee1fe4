"""Rows of this engine: what is selected, and what a new one holds."""

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

JOINS: Final = """
  JOIN plugwave.pools p ON p.id = j.pool AND p.project = j.project
  JOIN plugwave.projects r ON r.id = j.project
  JOIN plugwave.specs s ON s.id = j.spec
"""
JOBS: Final = f"SELECT {rows.COLUMNS} FROM plugwave.jobs j {JOINS}"  # noqa: S608 - made of constants only
"""A WHERE follows."""

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


request = partial(rows.request, unpack=unpack_key)
job = partial(rows.job, unpack=unpack_key)
"""What a row of JOBS tells."""

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

WORKERS: Final = """
SELECT w.id, w.name, w.host, w.pid, w.started_us, w.heartbeat_us, w.lease_until_us,
       w.dead_us IS NULL, coalesce(h.jobs, 0), w.profiles
  FROM plugwave.workers w
  LEFT JOIN (SELECT worker, count(*) AS jobs FROM plugwave.jobs WHERE place IN (4, 5)
              GROUP BY worker) h ON h.worker = w.id
 WHERE w.dead_us IS NULL OR h.jobs > 0
 ORDER BY w.id
"""


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
