"""What is asked about plans and rollouts."""

from collections.abc import Mapping, Sequence
from typing import Final

from jobs.errors import ConflictError
from jobs.model import RolloutId
from jobs.store.postgres.wire import Row, Wire
from jobs.store.rollout_rows import (
    ROLLOUT,
    TALLY,
    entry_value,
    job_value,
    plan_value,
    rollout_number,
    rollout_value,
    wave_value,
)
from jobs.store.rollouts import RecordEntry, RolloutJob, RolloutRow, StoredPlan, WaveRow
from jobs.store.steering import check_digest

_PLANS: Final = """
SELECT digest, name, body, made_us FROM plugwave.plans
 WHERE digest >= $1 AND digest < $1 || 'g' LIMIT 2
"""
_BY_ID: Final = f"SELECT {ROLLOUT} FROM plugwave.rollouts WHERE id = $1"  # noqa: S608 - made of constants only
_LOCK: Final = f"{_BY_ID} FOR NO KEY UPDATE"
_BY_NAME: Final = f"""
SELECT {ROLLOUT} FROM plugwave.rollouts WHERE name = $1 ORDER BY id DESC LIMIT 1
"""  # noqa: S608 - made of constants only
_NEWEST: Final = f"""
SELECT {ROLLOUT} FROM plugwave.rollouts WHERE live OR NOT $1 ORDER BY id DESC LIMIT $2
"""  # noqa: S608 - made of constants only
_WAVES: Final = f"""
SELECT w.rollout, w.n, w.state, w.size, w.written, w.opened_us, w.approved, w.facts,
       max(t.last_us), {", ".join(f"coalesce(sum(t.{name}), 0)::bigint" for name in TALLY)}
  FROM plugwave.waves w
  LEFT JOIN plugwave.tallies t ON t.rollout = w.rollout AND t.wave = w.n
 WHERE w.rollout = ANY($1::bigint[])
 GROUP BY w.rollout, w.n ORDER BY w.rollout, w.n
"""  # noqa: S608 - made of constants only
LIVE: Final = """
SELECT r.id, r.rev + coalesce((SELECT sum(t.changes) FROM plugwave.tallies t
                                WHERE t.rollout = r.id), 0)::bigint
  FROM plugwave.rollouts r WHERE r.live
"""
_RECORD: Final = """
SELECT seq, at_us, event, wave, data FROM plugwave.rollout_record WHERE rollout = $1 ORDER BY seq
"""
_JOBS: Final = """
SELECT j.id, j.wave, j.rank, r.name, p.name, p.region, j.state, j.reason, j.left_us, j.started_us
  FROM plugwave.jobs j
  JOIN plugwave.pools p ON p.id = j.pool AND p.project = j.project
  JOIN plugwave.projects r ON r.id = j.project
 WHERE j.rollout = $1 AND {which} AND j.wave >= $2 AND j.wave <= $3
 ORDER BY j.wave, j.rank LIMIT $4
"""
IN_LINE: Final = _JOBS.format(which="j.left_us IS NULL")
IN_FLIGHT: Final = _JOBS.format(which="j.left_us IS NOT NULL AND j.place < 6")

_LAST_WAVE: Final = 2**31 - 1


async def plan(wire: Wire, digest: str) -> StoredPlan | None:
    """See `RolloutStore.plan`."""
    check_digest(digest)
    found = await wire.rows(_PLANS, digest)
    if len(found) > 1:
        raise ConflictError(
            f"more than one plan begins with {digest}", do="name more of its digest"
        )
    return plan_value(found[0]) if found else None


async def rollout_of(wire: Wire, rollout: int, *, lock: bool = False) -> RolloutRow | None:
    """Return the rollout with its waves, with *lock* under its lock."""
    return await _with_waves(wire, await wire.row(_LOCK if lock else _BY_ID, rollout))


async def _with_waves(wire: Wire, row: Row | None) -> RolloutRow | None:
    if row is None:
        return None
    [told] = await _all_with_waves(wire, [row])
    return told


async def _all_with_waves(wire: Wire, rows: Sequence[Row]) -> list[RolloutRow]:
    waves: dict[int, list[WaveRow]] = {row[0]: [] for row in rows}
    for rollout, *cells in await wire.rows(_WAVES, list(waves)):
        waves[rollout].append(wave_value(cells))
    return [rollout_value(row, waves[row[0]]) for row in rows]


async def rollout(wire: Wire, name_or_id: str) -> RolloutRow | None:
    """See `RolloutStore.rollout`."""
    number = rollout_number(name_or_id)
    found = None if number is None else await rollout_of(wire, number)
    return found or await _with_waves(wire, await wire.row(_BY_NAME, name_or_id))


async def rollouts(wire: Wire, *, live: bool, limit: int) -> Sequence[RolloutRow]:
    """See `RolloutStore.rollouts`."""
    return await _all_with_waves(wire, await wire.rows(_NEWEST, live, limit))


async def live_revisions(wire: Wire) -> Mapping[RolloutId, int]:
    """See `RolloutStore.live_revisions`."""
    return {RolloutId(row[0]): int(row[1]) for row in await wire.rows(LIVE)}


async def record_of(wire: Wire, rollout: RolloutId) -> Sequence[RecordEntry]:
    """See `RolloutStore.record_of`."""
    return [entry_value(row) for row in await wire.rows(_RECORD, rollout)]


async def rollout_jobs(
    wire: Wire, rollout: RolloutId, *, in_flight: bool, wave: int | None, limit: int
) -> Sequence[RolloutJob]:
    """See `RolloutStore.rollout_jobs`."""
    waves = (0, _LAST_WAVE) if wave is None else (wave, wave)
    sql = IN_FLIGHT if in_flight else IN_LINE
    return [job_value(row) for row in await wire.rows(sql, rollout, *waves, limit)]
