"""Write rollouts down: plans, what is started, its jobs, its record."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final

from jobs.model import JobId, RolloutId
from jobs.rollout_states import WaveState
from jobs.states import BAD_STATES, JobState
from jobs.store.rollout_rows import (
    COUNTED_AS,
    TALLY,
    new_rollout_cells,
    rollout_cells,
    wave_cells,
)
from jobs.store.rollout_values import told_by
from jobs.store.rollouts import (
    NewRollout,
    PlannedJob,
    RolloutRow,
    Started,
    StoredPlan,
    Word,
)
from jobs.store.rows import COLUMNS, STATE, WAVE
from jobs.store.schema import STATE_CODES, STATES, json_text
from jobs.store.sqlite import intake, rows
from jobs.store.sqlite.rollout_reading import rollout_of
from jobs.store.sqlite.tallies import count, count_admitted
from jobs.store.sqlite.transaction import Cells, Transaction
from jobs.store.starting import (
    by_place,
    check_places,
    name_is_taken,
    no_plan,
    no_rollout,
    pool_is_taken,
)
from jobs.store.steering import PLANNED, Line, Steered, retried

_KEEP_PLAN: Final = """
INSERT INTO plans(digest, name, body, made_us) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING
"""
_IS_PLAN: Final = "SELECT 1 FROM plans WHERE digest = ?"
_IS_ROLLOUT: Final = "SELECT 1 FROM rollouts WHERE id = ?"
_OF_KEY: Final = "SELECT id, fingerprint FROM rollouts WHERE key = ?"
_LIVE_OF_NAME: Final = "SELECT id FROM rollouts WHERE live = 1 AND name = ?"
_START: Final = """
INSERT INTO rollouts(name, kind, plan, state, live, rev, created_us, expires_us, of_rollout, key,
                     fingerprint, labels)
VALUES (?, ?, ?, ?, 1, 1, ?, ?, ?, ?, ?, ?) RETURNING id
"""
_ADD_WAVE: Final = "INSERT INTO waves(rollout, n, state, size) VALUES (?, ?, ?, ?)"
_SET: Final = """
UPDATE rollouts SET state = ?, live = ?, rev = ?, started_us = ?, finished_us = ?, asked = ?,
                    facts = ?
 WHERE id = ?
"""
_SET_WAVE: Final = """
UPDATE waves SET state = ?, opened_us = ?, approved = ?, facts = ? WHERE rollout = ? AND n = ?
"""
_ADD_LINE: Final = """
INSERT INTO rollout_record(rollout, seq, at_us, event, wave, data)
SELECT ?1, coalesce(max(seq), 0) + 1, ?2, ?3, ?4, ?5 FROM rollout_record WHERE rollout = ?1
"""
TAKEN: Final = """
SELECT rank FROM jobs
 WHERE rollout = ? AND successor IS NULL AND wave = ? AND rank BETWEEN ? AND ?
"""
_WRITTEN: Final = """
UPDATE waves SET written = written + ?, changes = changes + 1 WHERE rollout = ? AND n = ?
"""
_GROWN: Final = """
UPDATE waves SET size = size + ?, written = written + ?, changes = changes + 1
 WHERE rollout = ? AND n = ?
"""
_REVISED: Final = "UPDATE rollouts SET rev = rev + 1 WHERE id = ?"
# No row: it is another live rollout's.
_TAKE_POOL: Final = """
INSERT INTO rollout_pools(pool, plugin, rollout) VALUES (?, ?, ?)
ON CONFLICT DO UPDATE SET rollout = excluded.rollout
 WHERE rollout = excluded.rollout
    OR NOT EXISTS (SELECT 1 FROM rollouts r WHERE r.id = rollout_pools.rollout AND r.live = 1)
RETURNING pool
"""
_WHOSE_POOL: Final = "SELECT rollout FROM rollout_pools WHERE pool = ? AND plugin = ?"
_FAILED: Final = f"""
SELECT {COLUMNS}, j.rank FROM jobs j {rows.JOINS}
 WHERE j.id = ? AND j.rollout = ? AND j.successor IS NULL
"""  # noqa: S608 - made of constants only
_SUCCEEDED_BY: Final = "UPDATE jobs SET successor = ? WHERE id = ?"

_BAD_CODES: Final = frozenset(STATE_CODES[state] for state in BAD_STATES)


def keep_plan(transaction: Transaction, plan: StoredPlan) -> None:
    """See `RolloutStore.keep_plan`."""
    transaction.change(_KEEP_PLAN, (plan.digest, plan.name, plan.body, plan.made_us))


def existing(transaction: Transaction, rollout: RolloutId) -> RolloutRow:
    """Return the rollout.

    Raises:
        NothingMatchedError: If there is none.
    """
    row = rollout_of(transaction, rollout)
    if row is None:
        raise no_rollout(rollout)
    return row


def start_rollout(transaction: Transaction, new: NewRollout) -> Started:
    """See `RolloutStore.start_rollout`."""
    if new.key is not None and (known := transaction.row(_OF_KEY, (new.key,))):
        outcome = "duplicate" if known[1] == new.fingerprint else "conflict"
        return Started(outcome=outcome, rollout=RolloutId(known[0]))
    if transaction.row(_IS_PLAN, (new.plan,)) is None:
        raise no_plan(new.plan)
    if new.of is not None and transaction.row(_IS_ROLLOUT, (new.of,)) is None:
        raise no_rollout(new.of)
    _check_name(transaction, new.name)
    row = transaction.row(_START, new_rollout_cells(new, transaction.now_us))
    assert row is not None
    rollout = RolloutId(row[0])
    waves = ((rollout, n, WaveState.PENDING.value, size) for n, size in enumerate(new.sizes))
    transaction.each(_ADD_WAVE, waves)
    told = {**told_by(new.word), "plan": new.plan, "sizes": list(new.sizes)}
    write_lines(transaction, rollout, [Line(event=PLANNED, data=told)])
    return Started(outcome="created", rollout=rollout)


def _check_name(transaction: Transaction, name: str) -> None:
    live = transaction.row(_LIVE_OF_NAME, (name,))
    if live is not None:
        raise name_is_taken(RolloutId(live[0]))


def write(transaction: Transaction, steered: Steered) -> None:
    """Write what `jobs.store.steering` made of a rollout."""
    row = steered.row
    transaction.change(_SET, (*rollout_cells(row), row.id))
    for wave in steered.waves:
        transaction.change(_SET_WAVE, (*wave_cells(wave), row.id, wave.n))
    write_lines(transaction, row.id, steered.lines)


def write_lines(transaction: Transaction, rollout: int, lines: Iterable[Line]) -> None:
    """Append to the rollout's record."""
    for line in lines:
        data = json_text(line.data) if line.data else None
        bindings = (rollout, transaction.now_us, line.event, line.wave, data)
        transaction.change(_ADD_LINE, bindings)


def plan_jobs(transaction: Transaction, rollout: RolloutId, jobs: Sequence[PlannedJob]) -> int:
    """See `RolloutStore.plan_jobs`."""
    row = existing(transaction, rollout)
    check_places(row, jobs)
    new = _new_ones(transaction, rollout, jobs)
    if new:
        line_up(transaction, rollout, new)
        added = Counter(planned.wave for planned in new)
        for wave, number in added.items():
            transaction.change(_WRITTEN, (number, rollout, wave))
        transaction.change(_REVISED, (rollout,))
    return sum(wave.written for wave in row.waves) + len(new)


def join(transaction: Transaction, rollout: RolloutId, jobs: Sequence[PlannedJob]) -> None:
    """Put jobs at the end of the lines of their waves.

    Raises:
        ConflictError: If another live rollout has one of the pools.
    """
    if jobs:
        line_up(transaction, rollout, jobs)
    for wave, number in Counter(planned.wave for planned in jobs).items():
        transaction.change(_GROWN, (number, number, rollout, wave))


def _new_ones(
    transaction: Transaction, rollout: RolloutId, jobs: Sequence[PlannedJob]
) -> list[PlannedJob]:
    """Return the jobs whose place is still free."""
    new: list[PlannedJob] = []
    for wave, ranks in by_place(jobs).items():
        bindings = (rollout, wave, min(ranks), max(ranks))
        taken = {rank for (rank,) in transaction.rows(TAKEN, bindings)}
        new += [planned for rank, planned in ranks.items() if rank not in taken]
    return new


def line_up(
    transaction: Transaction, rollout: RolloutId, jobs: Sequence[PlannedJob]
) -> list[tuple[int, int]]:
    """Write jobs into their lines, and take their pools; return the (job, pool) of each.

    Raises:
        ConflictError: If another live rollout has one of the pools.
    """
    lined = intake.line_up(transaction, rollout, jobs)
    wanted = [
        (pool, planned.request.plugin.name, rollout)
        for (_, pool), planned in zip(lined, jobs, strict=True)
    ]
    got = {pool for (pool,) in transaction.each(_TAKE_POOL, wanted)}
    for (pool, plugin, _), planned in zip(wanted, jobs, strict=True):
        if pool not in got:
            whose = transaction.row(_WHOSE_POOL, (pool, plugin))
            assert whose is not None
            raise pool_is_taken(planned.request, RolloutId(whose[0]))
    return lined


def retry_jobs(
    transaction: Transaction, rollout: RolloutId, jobs: Sequence[JobId], word: Word
) -> int:
    """See `RolloutStore.retry_jobs`."""
    row = existing(transaction, rollout)
    failed = _failed(transaction, rollout, jobs)
    if not failed:
        return 0
    added = Counter(cells[WAVE] for cells in failed)
    steered = retried(row, added, word, transaction.now_us)
    live = transaction.row(_LIVE_OF_NAME, (row.name,))
    if live is None or live[0] != rollout:
        _check_name(transaction, row.name)
    write(transaction, steered)
    # The old ones leave their places first: a place has one job.
    transaction.each(_SUCCEEDED_BY, ((-1, cells[0]) for cells in failed))
    planned = [
        PlannedJob(wave=cells[WAVE], rank=cells[-1], request=rows.request(cells))
        for cells in failed
    ]
    lined = line_up(transaction, rollout, planned)
    successors = ((job, cells[0]) for (job, _), cells in zip(lined, failed, strict=True))
    transaction.each(_SUCCEEDED_BY, successors)
    for cells in failed:
        _take_back(transaction, rollout, cells[WAVE], STATES[cells[STATE]])
    return len(failed)


def _failed(transaction: Transaction, rollout: RolloutId, jobs: Iterable[JobId]) -> list[Cells]:
    found = [transaction.row(_FAILED, (job, rollout)) for job in dict.fromkeys(jobs)]
    return [row for row in found if row is not None and row[STATE] in _BAD_CODES]


def _take_back(transaction: Transaction, rollout: int, wave: int, state: JobState) -> None:
    """Count a job that ended badly as one that is in line again; it stays a failure."""
    own = COUNTED_AS[state]
    count(transaction, rollout, wave, tuple(-(name == own) for name in TALLY))
    count_admitted(transaction, rollout, wave, -1)
