"""How large, how old and how fast: the figures of `store stats`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from jobs.clock import MICROSECONDS
from jobs.store.facts import Figure
from jobs.store.schema import FIRST_FINAL, LAST_OPEN, LATELY_EVENTS, LATELY_S, lately
from jobs.store.sqlite.transaction import Snapshot

_OLDEST: Final = f"SELECT min(created_us) FROM jobs WHERE open = 1 AND state <= {LAST_OPEN}"  # noqa: S608 - made of constants only
_LATELY: Final = f"""
SELECT coalesce(sum(event = 'created'), 0), coalesce(sum(state >= {FIRST_FINAL}), 0), count(*),
       min(at_us)
  FROM (SELECT event, state, at_us FROM events ORDER BY seq DESC LIMIT {LATELY_EVENTS})
 WHERE at_us > ?
"""  # noqa: S608 - made of constants only
_UNREPORTED: Final = """
SELECT count(*) FROM workers w JOIN results r ON r.worker = w.id AND r.seq > w.reported
"""
_ROWS: Final = (
    ("keys", "SELECT count(*) FROM idempotency"),
    ("events", "SELECT count(*) FROM events"),
    ("attempts", "SELECT count(*) FROM attempts"),
    ("distinct requests", "SELECT count(*) FROM specs"),
    ("unreported results", _UNREPORTED),
)


def figures(snapshot: Snapshot, path: Path, now_us: int) -> Sequence[Figure]:
    """See `OperatorStore.figures`."""
    page = snapshot.number("PRAGMA page_size") or 0
    wal = path.with_name(path.name + "-wal")
    found = [
        Figure(name="file", value=page * (snapshot.number("PRAGMA page_count") or 0), unit="bytes"),
        Figure(name="free in it", value=page * (_free(snapshot)), unit="bytes"),
        Figure(name="wal", value=wal.stat().st_size if wal.exists() else 0, unit="bytes"),
    ]
    oldest = snapshot.number(_OLDEST)
    if oldest is not None:
        age_s = max(0, now_us - oldest) / MICROSECONDS
        found.append(Figure(name="oldest open job", value=age_s, unit="s"))
    row = snapshot.rows(_LATELY, (now_us - round(LATELY_S * MICROSECONDS),))[0]
    found += lately(*row, now_us=now_us)
    found += [Figure(name=name, value=snapshot.number(sql) or 0) for name, sql in _ROWS]
    return found


def _free(snapshot: Snapshot) -> int:
    return snapshot.number("PRAGMA freelist_count") or 0
