"""What rollouts have left on their pools, and what became of it since."""

from collections.abc import Sequence
from typing import Final

from jobs.model import RolloutId
from jobs.rollout_states import LIVE_ROLLOUTS
from jobs.states import JobState
from jobs.store.aftermath import (
    ATTEMPT,
    DEED,
    LATE_TALLY,
    deeds_of,
    late_line,
    next_looks,
    pause_us,
    stood_at,
    told_late,
)
from jobs.store.postgres.rollout_writing import existing, write_lines
from jobs.store.postgres.transaction import Transaction
from jobs.store.postgres.wire import Wire
from jobs.store.rollout_rows import TALLY
from jobs.store.rollouts import Deed, LateFailure
from jobs.store.schema import STATE_CODES, json_text

DEEDS: Final = f"""
SELECT {DEED}
  FROM plugwave.jobs j
  JOIN plugwave.pools p ON p.id = j.pool AND p.project = j.project
  JOIN plugwave.projects r ON r.id = j.project
  LEFT JOIN plugwave.late_failures f ON f.job = j.id
 WHERE j.rollout = $1 AND j.successor IS NULL AND (j.wave, j.rank) >= ($2::integer, $3::integer)
 ORDER BY j.wave, j.rank LIMIT $4
"""  # noqa: S608 - made of constants only
BEFORE: Final = """
SELECT id, wave, rank FROM plugwave.jobs
 WHERE rollout = $1 AND successor IS NOT NULL AND (wave, rank) >= ($2::integer, $3::integer)
   AND (wave, rank) <= ($4::integer, $5::integer) ORDER BY id
"""
_ATTEMPTS: Final = f"""
SELECT {ATTEMPT} FROM plugwave.attempts WHERE job = ANY($1::bigint[]) ORDER BY job, n
"""  # noqa: S608 - made of constants only
_LOOKS: Final = """
SELECT w.size, w.looks, w.look_us FROM plugwave.waves w
 WHERE w.rollout = $1 AND w.n = $2
   AND EXISTS (SELECT FROM plugwave.rollouts r WHERE r.id = w.rollout AND r.live) FOR UPDATE
"""
_LOOKED: Final = """
UPDATE plugwave.waves SET looks = $1, look_us = $2 WHERE rollout = $3 AND n = $4
"""
_ADD_LATE: Final = """
INSERT INTO plugwave.late_failures(job, rollout, wave, at_us, told)
SELECT j.id, j.rollout, j.wave, $1, $2 FROM plugwave.jobs j
 WHERE j.id = $3 AND j.rollout = $4 AND j.state = $5 AND j.successor IS NULL
ON CONFLICT DO NOTHING RETURNING wave
"""


async def deeds(
    wire: Wire, rollout: RolloutId, since: tuple[int, int], limit: int
) -> Sequence[Deed]:
    """See `RolloutStore.deeds`."""
    found = await wire.rows(DEEDS, rollout, *since, limit)
    if not found:
        return []
    last = (found[-1][1], found[-1][2])
    stood = stood_at(found, await wire.rows(BEFORE, rollout, *since, *last))
    jobs = [job for one in stood.values() for job in one]
    return deeds_of(found, stood, await wire.rows(_ATTEMPTS, jobs))


async def take_looks(
    transaction: Transaction, rollout: RolloutId, wave: int, every_s: float, most: int
) -> Sequence[Deed]:
    """See `RolloutStore.take_looks`."""
    wire, now_us = transaction.wire, transaction.now_us
    row = await wire.row(_LOOKS, rollout, wave)
    if row is None:
        return []
    size, looks, look_us = row
    chosen = next_looks(size, looks, look_us, now_us, most=most)
    if not chosen.count:
        return []
    due_us = now_us + pause_us(size, chosen.count, every_s)
    await wire.rows(_LOOKED, chosen.looks, due_us, rollout, wave)
    found = await deeds(wire, rollout, (wave, chosen.first), chosen.count)
    return [one for one in found if one.wave == wave and one.rank < chosen.first + chosen.count]


async def late_failure(transaction: Transaction, late: LateFailure) -> bool:
    """See `RolloutStore.late_failure`."""
    row = await existing(transaction, late.rollout)
    if row.state not in LIVE_ROLLOUTS:
        return False
    told = json_text(told_late(late))
    succeeded = STATE_CODES[JobState.SUCCEEDED]
    wave: int | None = await transaction.wire.value(
        _ADD_LATE, transaction.now_us, told, late.job, late.rollout, succeeded
    )
    if wave is None:
        return False
    transaction.tallied(late.rollout, wave, [int(name in LATE_TALLY) for name in TALLY])
    await write_lines(transaction, late.rollout, [late_line(late, wave)])
    return True
