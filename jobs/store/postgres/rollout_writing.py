"""Write rollouts down: plans, what is started, its jobs, its record.

Whoever changes a rollout, or writes jobs into its lines, locks its row first.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final

from jobs.model import JobId, RolloutId
from jobs.rollout_states import WaveState
from jobs.states import BAD_STATES
from jobs.store.postgres import intake, rows
from jobs.store.postgres.rollout_reading import rollout_of
from jobs.store.postgres.transaction import Transaction, columns
from jobs.store.postgres.troubles import AgainError
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
INSERT INTO plugwave.plans(digest, name, body, made_us) VALUES ($1, $2, $3, $4)
ON CONFLICT DO NOTHING
"""
_IS_PLAN: Final = "SELECT EXISTS (SELECT FROM plugwave.plans WHERE digest = $1)"
_IS_ROLLOUT: Final = "SELECT EXISTS (SELECT FROM plugwave.rollouts WHERE id = $1)"
_OF_KEY: Final = "SELECT id, fingerprint FROM plugwave.rollouts WHERE key = $1"
_LIVE_OF_NAME: Final = "SELECT id FROM plugwave.rollouts WHERE live AND name = $1"
# No row: somebody has the key, or the name.
_START: Final = """
INSERT INTO plugwave.rollouts(name, kind, plan, state, live, rev, created_us, expires_us,
                              of_rollout, key, fingerprint, labels)
VALUES ($1, $2, $3, $4, true, 1, $5, $6, $7, $8, $9, $10)
ON CONFLICT DO NOTHING RETURNING id
"""
_ADD_WAVES: Final = """
INSERT INTO plugwave.waves(rollout, n, state, size)
SELECT $1, n - 1, $2, size FROM unnest($3::integer[]) WITH ORDINALITY AS u(size, n)
"""
_SET: Final = """
UPDATE plugwave.rollouts
   SET state = $1, live = $2, rev = $3, started_us = $4, finished_us = $5, asked = $6, facts = $7
 WHERE id = $8
"""
_SET_WAVE: Final = """
UPDATE plugwave.waves SET state = $1, opened_us = $2, approved = $3, facts = $4
 WHERE rollout = $5 AND n = $6
"""
_ADD_LINES: Final = """
INSERT INTO plugwave.rollout_record(rollout, seq, at_us, event, wave, data)
SELECT $1, u.n + coalesce((SELECT max(seq) FROM plugwave.rollout_record WHERE rollout = $1), 0),
       $2, u.event, u.wave, u.data
  FROM unnest($3::text[], $4::integer[], $5::text[]) WITH ORDINALITY AS u(event, wave, data, n)
"""
TAKEN: Final = """
SELECT rank FROM plugwave.jobs
 WHERE rollout = $1 AND successor IS NULL AND wave = $2 AND rank BETWEEN $3 AND $4
"""
_WRITTEN: Final = "UPDATE plugwave.waves SET written = written + $1 WHERE rollout = $2 AND n = $3"
_GROWN: Final = """
UPDATE plugwave.waves SET size = size + $1, written = written + $1
 WHERE rollout = $2 AND n = $3
"""
_REVISED: Final = "UPDATE plugwave.rollouts SET rev = rev + 1 WHERE id = $1"
# Those that do not come back are another live rollout's.
_TAKE_POOLS: Final = """
INSERT INTO plugwave.rollout_pools AS p (pool, plugin, rollout)
SELECT u.pool, u.plugin, $3 FROM unnest($1::bigint[], $2::text[]) AS u(pool, plugin)
 ORDER BY u.pool, u.plugin
ON CONFLICT (pool, plugin) DO UPDATE SET rollout = excluded.rollout
 WHERE p.rollout = excluded.rollout
    OR NOT EXISTS (SELECT FROM plugwave.rollouts r WHERE r.id = p.rollout AND r.live)
RETURNING pool, plugin
"""
_WHOSE_POOL: Final = "SELECT rollout FROM plugwave.rollout_pools WHERE pool = $1 AND plugin = $2"
_FAILED: Final = f"""
SELECT {COLUMNS}, j.rank FROM plugwave.jobs j {rows.JOINS}
 WHERE j.id = ANY($1::bigint[]) AND j.rollout = $2 AND j.successor IS NULL
   AND j.state = ANY($3::smallint[])
 ORDER BY j.id
"""  # noqa: S608 - made of constants only
_SUCCEEDED_BY: Final = """
UPDATE plugwave.jobs j SET successor = u.successor
  FROM unnest($1::bigint[], $2::bigint[]) AS u(id, successor) WHERE j.id = u.id
"""

_BAD_CODES: Final = sorted(STATE_CODES[state] for state in BAD_STATES)


async def keep_plan(transaction: Transaction, plan: StoredPlan) -> None:
    """See `RolloutStore.keep_plan`."""
    await transaction.wire.rows(_KEEP_PLAN, plan.digest, plan.name, plan.body, plan.made_us)


async def existing(transaction: Transaction, rollout: RolloutId) -> RolloutRow:
    """Lock and return the rollout.

    Raises:
        NothingMatchedError: If there is none.
    """
    row = await rollout_of(transaction.wire, rollout, lock=True)
    if row is None:
        raise no_rollout(rollout)
    return row


async def start_rollout(transaction: Transaction, new: NewRollout) -> Started:
    """See `RolloutStore.start_rollout`."""
    wire = transaction.wire
    if (known := await _of_key(transaction, new)) is not None:
        return known
    if not await wire.value(_IS_PLAN, new.plan):
        raise no_plan(new.plan)
    if new.of is not None and not await wire.value(_IS_ROLLOUT, new.of):
        raise no_rollout(new.of)
    number = await wire.value(_START, *new_rollout_cells(new, transaction.now_us))
    if number is None:
        # A statement of its own: the first one may have waited for what this one must see.
        if (known := await _of_key(transaction, new)) is not None:
            return known
        await _check_name(transaction, new.name)
        raise AgainError
    rollout = RolloutId(number)
    await wire.rows(_ADD_WAVES, rollout, WaveState.PENDING.value, list(new.sizes))
    told = {**told_by(new.word), "plan": new.plan, "sizes": list(new.sizes)}
    await write_lines(transaction, rollout, [Line(event=PLANNED, data=told)])
    return Started(outcome="created", rollout=rollout)


async def _of_key(transaction: Transaction, new: NewRollout) -> Started | None:
    if new.key is None:
        return None
    known = await transaction.wire.row(_OF_KEY, new.key)
    if known is None:
        return None
    outcome = "duplicate" if known[1] == new.fingerprint else "conflict"
    return Started(outcome=outcome, rollout=RolloutId(known[0]))


async def _check_name(transaction: Transaction, name: str) -> None:
    live = await transaction.wire.value(_LIVE_OF_NAME, name)
    if live is not None:
        raise name_is_taken(RolloutId(live))


async def write(transaction: Transaction, steered: Steered) -> None:
    """Write what `jobs.store.steering` made of a rollout."""
    row, wire = steered.row, transaction.wire
    await wire.rows(_SET, *rollout_cells(row), row.id)
    for wave in steered.waves:
        await wire.rows(_SET_WAVE, *wave_cells(wave), row.id, wave.n)
    await write_lines(transaction, row.id, steered.lines)


async def write_lines(transaction: Transaction, rollout: int, lines: Iterable[Line]) -> None:
    """Append to the rollout's record, and let others hear of it."""
    transaction.announce()
    told = [(line.event, line.wave, json_text(line.data) if line.data else None) for line in lines]
    if told:
        await transaction.wire.rows(_ADD_LINES, rollout, transaction.now_us, *columns(told, 3))


async def plan_jobs(
    transaction: Transaction, rollout: RolloutId, jobs: Sequence[PlannedJob]
) -> int:
    """See `RolloutStore.plan_jobs`."""
    row = await existing(transaction, rollout)
    check_places(row, jobs)
    new = await _new_ones(transaction, rollout, jobs)
    if new:
        await line_up(transaction, rollout, new)
        added = Counter(planned.wave for planned in new)
        for wave, number in sorted(added.items()):
            await transaction.wire.rows(_WRITTEN, number, rollout, wave)
        await transaction.wire.rows(_REVISED, rollout)
    return sum(wave.written for wave in row.waves) + len(new)


async def join(transaction: Transaction, rollout: RolloutId, jobs: Sequence[PlannedJob]) -> None:
    """Put jobs at the end of the lines of their waves.

    Raises:
        ConflictError: If another live rollout has one of the pools.
    """
    if jobs:
        await line_up(transaction, rollout, jobs)
    for wave, number in sorted(Counter(planned.wave for planned in jobs).items()):
        await transaction.wire.rows(_GROWN, number, rollout, wave)


async def _new_ones(
    transaction: Transaction, rollout: RolloutId, jobs: Sequence[PlannedJob]
) -> list[PlannedJob]:
    """Return the jobs whose place is still free."""
    new: list[PlannedJob] = []
    for wave, ranks in by_place(jobs).items():
        found = await transaction.wire.rows(TAKEN, rollout, wave, min(ranks), max(ranks))
        taken = {rank for (rank,) in found}
        new += [planned for rank, planned in ranks.items() if rank not in taken]
    return new


async def line_up(
    transaction: Transaction, rollout: RolloutId, jobs: Sequence[PlannedJob]
) -> list[tuple[int, int]]:
    """Write jobs into their lines, and take their pools; return the (job, pool) of each.

    Raises:
        ConflictError: If another live rollout has one of the pools.
    """
    wire = transaction.wire
    lined = await intake.line_up(transaction, rollout, jobs)
    wanted = {
        (pool, planned.request.plugin.name): planned.request
        for (_, pool), planned in zip(lined, jobs, strict=True)
    }
    got = await wire.rows(_TAKE_POOLS, *columns(list(wanted), 2), rollout)
    lost = wanted.keys() - {(pool, plugin) for pool, plugin in got}
    if lost:
        first = min(lost)
        raise pool_is_taken(wanted[first], RolloutId(await wire.value(_WHOSE_POOL, *first)))
    return lined


async def retry_jobs(
    transaction: Transaction, rollout: RolloutId, jobs: Sequence[JobId], word: Word
) -> int:
    """See `RolloutStore.retry_jobs`."""
    wire = transaction.wire
    row = await existing(transaction, rollout)
    failed = await wire.rows(_FAILED, sorted(set(jobs)), rollout, _BAD_CODES)
    if not failed:
        return 0
    added = Counter(cells[WAVE] for cells in failed)
    steered = retried(row, added, word, transaction.now_us)
    if await wire.value(_LIVE_OF_NAME, row.name) != rollout:
        await _check_name(transaction, row.name)
    await write(transaction, steered)
    planned = [
        PlannedJob(wave=cells[WAVE], rank=cells[-1], request=rows.request(cells))
        for cells in failed
    ]
    lined = await line_up(transaction, rollout, planned)
    successors = [(cells[0], job) for (job, _), cells in zip(lined, failed, strict=True)]
    await wire.rows(_SUCCEEDED_BY, *columns(successors, 2))
    for cells in failed:
        own = COUNTED_AS[STATES[cells[STATE]]]
        # In line again; it stays a failure.
        back = tuple(-(name in {own, "admitted"}) for name in TALLY)
        transaction.tallied(rollout, cells[WAVE], back)
    return len(failed)
