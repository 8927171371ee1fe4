"""What rollouts have left on their pools, and what became of it since."""

from collections.abc import Sequence
from typing import Final

from jobs.model import RolloutId
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
from jobs.store.rollout_rows import TALLY
from jobs.store.rollouts import Deed, LateFailure
from jobs.store.schema import STATE_CODES, json_text
from jobs.store.sqlite.rollout_reading import Readable
from jobs.store.sqlite.rollout_writing import write_lines
from jobs.store.sqlite.tallies import count
from jobs.store.sqlite.transaction import Transaction

DEEDS: Final = f"""
SELECT {DEED}
  FROM jobs j JOIN pools p ON p.id = j.pool JOIN projects r ON r.id = j.project
  LEFT JOIN late_failures f ON f.job = j.id
 WHERE j.rollout = ?1 AND j.successor IS NULL AND (j.wave, j.rank) >= (?2, ?3)
 ORDER BY j.wave, j.rank LIMIT ?4
"""  # noqa: S608 - made of constants only
BEFORE: Final = """
SELECT id, wave, rank FROM jobs
 WHERE rollout = ?1 AND successor IS NOT NULL AND (wave, rank) >= (?2, ?3)
   AND (wave, rank) <= (?4, ?5) ORDER BY id
"""
_ATTEMPTS: Final = f"SELECT {ATTEMPT} FROM attempts WHERE job = ? ORDER BY n"  # noqa: S608 - made of constants only
_LOOKS: Final = """
SELECT w.size, w.looks, w.look_us FROM waves w JOIN rollouts r ON r.id = w.rollout
 WHERE w.rollout = ? AND w.n = ? AND r.live = 1
"""
_LOOKED: Final = "UPDATE waves SET looks = ?, look_us = ? WHERE rollout = ? AND n = ?"
_ADD_LATE: Final = """
INSERT INTO late_failures(job, rollout, wave, at_us, told)
SELECT j.id, j.rollout, j.wave, ?1, ?2 FROM jobs j JOIN rollouts r ON r.id = j.rollout
 WHERE j.id = ?3 AND j.rollout = ?4 AND j.state = ?5 AND j.successor IS NULL AND r.live = 1
ON CONFLICT DO NOTHING RETURNING wave
"""


def deeds(source: Readable, rollout: RolloutId, since: tuple[int, int], limit: int) -> list[Deed]:
    """See `RolloutStore.deeds`."""
    found = list(source.rows(DEEDS, (rollout, *since, limit)))
    if not found:
        return []
    last = (found[-1][1], found[-1][2])
    stood = stood_at(found, source.rows(BEFORE, (rollout, *since, *last)))
    jobs = [job for one in stood.values() for job in one]
    tried = [row for job in jobs for row in source.rows(_ATTEMPTS, (job,))]
    return deeds_of(found, stood, tried)


def take_looks(
    transaction: Transaction, rollout: RolloutId, wave: int, every_s: float, most: int
) -> Sequence[Deed]:
    """See `RolloutStore.take_looks`."""
    row = transaction.row(_LOOKS, (rollout, wave))
    if row is None:
        return []
    now_us = transaction.now_us
    size, looks, look_us = row
    chosen = next_looks(size, looks, look_us, now_us, most=most)
    if not chosen.count:
        return []
    due_us = now_us + pause_us(size, chosen.count, every_s)
    transaction.change(_LOOKED, (chosen.looks, due_us, rollout, wave))
    found = deeds(transaction, rollout, (wave, chosen.first), chosen.count)
    return [one for one in found if one.wave == wave and one.rank < chosen.first + chosen.count]


def late_failure(transaction: Transaction, late: LateFailure) -> bool:
    """See `RolloutStore.late_failure`."""
    told = json_text(told_late(late))
    succeeded = STATE_CODES[JobState.SUCCEEDED]
    bindings = (transaction.now_us, told, late.job, late.rollout, succeeded)
    row = transaction.row(_ADD_LATE, bindings)
    if row is None:
        return False
    count(transaction, late.rollout, row[0], tuple(int(name in LATE_TALLY) for name in TALLY))
    write_lines(transaction, late.rollout, [late_line(late, row[0])])
    return True
