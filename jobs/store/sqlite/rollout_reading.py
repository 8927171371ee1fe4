"""What is asked about plans and rollouts."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Protocol

from jobs.errors import ConflictError
from jobs.model import RolloutId
from jobs.store.rollout_rows import (
    ROLLOUT,
    TALLY,
    Cells,
    entry_value,
    job_value,
    plan_value,
    rollout_number,
    rollout_value,
    wave_value,
)
from jobs.store.rollouts import RecordEntry, RolloutJob, RolloutRow, StoredPlan
from jobs.store.sqlite.transaction import Snapshot
from jobs.store.steering import check_digest

_PLANS: Final = """
SELECT digest, name, body, made_us FROM plans WHERE digest >= ?1 AND digest < ?1 || 'g' LIMIT 2
"""
_BY_ID: Final = f"SELECT {ROLLOUT} FROM rollouts WHERE id = ?"  # noqa: S608 - made of constants only
_BY_NAME: Final = f"""
SELECT {ROLLOUT} FROM rollouts WHERE name = ? ORDER BY id DESC LIMIT 1
"""  # noqa: S608 - made of constants only
_NEWEST: Final = f"""
SELECT {ROLLOUT} FROM rollouts WHERE live >= ? ORDER BY id DESC LIMIT ?
"""  # noqa: S608 - made of constants only
_WAVES: Final = f"""
SELECT n, state, size, written, opened_us, approved, facts, last_us, {", ".join(TALLY)}
  FROM waves WHERE rollout = ? ORDER BY n
"""  # noqa: S608 - made of constants only
LIVE: Final = """
SELECT r.id, r.rev + (SELECT coalesce(sum(changes), 0) FROM waves WHERE rollout = r.id)
  FROM rollouts r WHERE r.live = 1
"""
_RECORD: Final = """
SELECT seq, at_us, event, wave, data FROM rollout_record WHERE rollout = ? ORDER BY seq
"""
_JOBS: Final = """
SELECT j.id, j.wave, j.rank, r.name, p.name, p.region, j.state, j.reason, j.left_us, j.started_us
  FROM jobs j JOIN pools p ON p.id = j.pool JOIN projects r ON r.id = j.project
 WHERE j.rollout = ?1 AND {which} AND j.wave >= ?2 AND j.wave <= ?3
 ORDER BY j.wave, j.rank LIMIT ?4
"""
IN_LINE: Final = _JOBS.format(which="j.left_us IS NULL")
IN_FLIGHT: Final = _JOBS.format(which="j.left_us IS NOT NULL AND j.open = 1")

_LAST_WAVE: Final = 2**31


class Readable(Protocol):
    """A snapshot, or a transaction that is under way."""

    def rows(self, sql: str, bindings: tuple[Any, ...] = ()) -> Iterable[Cells]:
        """Return every row of one statement."""
        ...


def plan(snapshot: Snapshot, digest: str) -> StoredPlan | None:
    """See `RolloutStore.plan`."""
    check_digest(digest)
    found = snapshot.rows(_PLANS, (digest,))
    if len(found) > 1:
        raise ConflictError(
            f"more than one plan begins with {digest}", do="name more of its digest"
        )
    return plan_value(found[0]) if found else None


def rollout_of(source: Readable, rollout: int) -> RolloutRow | None:
    """Return the rollout with its waves as *source* sees it."""
    return _with_waves(source, list(source.rows(_BY_ID, (rollout,))))


def _with_waves(source: Readable, found: Sequence[Cells]) -> RolloutRow | None:
    if not found:
        return None
    waves = [wave_value(row) for row in source.rows(_WAVES, (found[0][0],))]
    return rollout_value(found[0], waves)


def rollout(snapshot: Snapshot, name_or_id: str) -> RolloutRow | None:
    """See `RolloutStore.rollout`."""
    number = rollout_number(name_or_id)
    found = None if number is None else rollout_of(snapshot, number)
    return found or _with_waves(snapshot, snapshot.rows(_BY_NAME, (name_or_id,)))


def rollouts(snapshot: Snapshot, *, live: bool, limit: int) -> Sequence[RolloutRow]:
    """See `RolloutStore.rollouts`."""
    told = (_with_waves(snapshot, [row]) for row in snapshot.rows(_NEWEST, (live, limit)))
    return [row for row in told if row is not None]


def live_revisions(snapshot: Snapshot) -> Mapping[RolloutId, int]:
    """See `RolloutStore.live_revisions`."""
    return {RolloutId(row[0]): int(row[1]) for row in snapshot.rows(LIVE)}


def record_of(source: Readable, rollout: RolloutId) -> Sequence[RecordEntry]:
    """See `RolloutStore.record_of`."""
    return [entry_value(row) for row in source.rows(_RECORD, (rollout,))]


def rollout_jobs(
    snapshot: Snapshot, rollout: RolloutId, *, in_flight: bool, wave: int | None, limit: int
) -> Sequence[RolloutJob]:
    """See `RolloutStore.rollout_jobs`."""
    waves = (0, _LAST_WAVE) if wave is None else (wave, wave)
    sql = IN_FLIGHT if in_flight else IN_LINE
    return [job_value(row) for row in snapshot.rows(sql, (rollout, *waves, limit))]
