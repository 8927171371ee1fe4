"""Undo a rollout by a rollout of its own, so that whoever is interrupted can go on.

The undoing is written down first, without jobs: that is the decision, and it is one row.  Then
the rollout is aborted, where it had not ended, and once nothing of it is in flight any more the
jobs follow.  Any worker that meets an undoing without jobs takes it further, so it matters to
nobody who dies where.
"""

from collections.abc import Sequence
from contextlib import suppress
from typing import Final

import structlog

from jobs.clock import iso, seconds_to_us
from jobs.errors import ConflictError, IllegalTransitionError, PlugwaveError
from jobs.model import rollout_name
from jobs.rollout_states import LIVE_ROLLOUTS, RolloutState
from jobs.rollouts.course import course_of, manifest_of
from jobs.rollouts.plan import Plan, kept_plan
from jobs.rollouts.restoring import Scope, Undoing, Wanted, undo_jobs, undo_plan, wave_meant
from jobs.store.rollouts import (
    NewRollout,
    Order,
    OrderKind,
    RolloutKind,
    RolloutRow,
    RolloutStore,
    Word,
)
from worker.applying import Begun, applied, batches, stored
from worker.sighting import all_deeds

log = structlog.get_logger()

MOST_ROLLOUTS: Final = 1_000
"""How far back the undoing of a rollout is looked for."""

USUAL_RATE: Final = 5.0
"""Requests a second by which an undoing that nobody reads is estimated."""


async def plan_of(store: RolloutStore, row: RolloutRow) -> Plan:
    """Return the plan of a rollout."""
    kept = await store.plan(row.plan)
    assert kept is not None, "the store keeps the plan of every rollout"
    return kept_plan(kept.body, kept.digest, iso(kept.made_us) or "")


async def undoings_of(store: RolloutStore, row: RolloutRow) -> Sequence[RolloutRow]:
    """Return what undoes a rollout, or did, newest first."""
    found = await store.rollouts(limit=MOST_ROLLOUTS)
    return [one for one in found if one.of == row.id and one.kind is RolloutKind.ROLLBACK]


async def live_undoing(store: RolloutStore, row: RolloutRow) -> RolloutRow | None:
    """Return what undoes a rollout now."""
    found = await undoings_of(store, row)
    return next((one for one in found if one.state in LIVE_ROLLOUTS), None)


async def begin_undoing(
    store: RolloutStore, row: RolloutRow, plan: Plan, word: Word, now_us: int
) -> Begun:
    """Write down that *row* is undone by *plan*, and take that as far as it goes now.

    Raises:
        ConflictError: If something else has the name of its undoing.
    """
    live = await live_undoing(store, row)
    if live is not None:
        return Begun(row=await carry_on(store, live), again=True)
    await store.keep_plan(stored(plan))
    new = NewRollout(
        name=plan.name,
        plan=plan.digest,
        sizes=tuple(wave.pools for wave in plan.waves),
        word=word,
        kind=RolloutKind.ROLLBACK,
        of=row.id,
        expires_us=now_us + seconds_to_us(course_of(plan).expires_s),
        labels=dict(manifest_of(plan).metadata.labels),
    )
    try:
        started = await store.start_rollout(new)
    except ConflictError:
        live = await live_undoing(store, row)  # somebody else was faster
        if live is None:
            raise
        return Begun(row=await carry_on(store, live), again=True)
    begun = await store.rollout(rollout_name(started.rollout))
    assert begun is not None
    return Begun(row=await carry_on(store, begun), again=False)


async def carry_on(store: RolloutStore, row: RolloutRow) -> RolloutRow:
    """Take an undoing further whose jobs are not written down; return it as it is now."""
    if row.state is not RolloutState.PLANNED or row.of is None:
        return row
    of = await store.rollout(rollout_name(row.of))
    assert of is not None, "an undoing has what it undoes"
    if of.state in LIVE_ROLLOUTS:
        if of.state is not RolloutState.ABORTING:
            await _abort(store, of, row)
        return row
    plan = await plan_of(store, row)
    deeds = [deed async for deed in all_deeds(store, of.id)]
    try:
        for jobs in batches(undo_jobs(plan, deeds)):
            await store.plan_jobs(row.id, jobs)
    except (ConflictError, LookupError) as error:
        why = str(error) if isinstance(error, PlugwaveError) else "what a pool had is gone"
        return (await store.order(_order(row, OrderKind.ABORT, why))).row
    return await applied(store, row)


async def _abort(store: RolloutStore, of: RolloutRow, undoing: RolloutRow) -> None:
    """End the rollout that is undone; whoever said that it is undone has said this, too."""
    with suppress(IllegalTransitionError):  # it has ended meanwhile
        await store.order(_order(of, OrderKind.ABORT, f"{undoing.name} undoes it"))


def _order(row: RolloutRow, kind: OrderKind, why: str) -> Order:
    return Order(rollout=row.id, kind=kind, word=Word(by="plugwave", why=why))


async def undo_by_itself(store: RolloutStore, row: RolloutRow, now_us: int) -> RolloutRow | None:
    """Let the undoing of a stopped rollout be there, as its manifest wants it; None for none.

    Nobody is asked, so what is lossy is left alone, and each job looks for itself whether
    somebody has changed its pool since.
    """
    live = await live_undoing(store, row)
    if live is not None:
        return live
    plan = await plan_of(store, row)
    wanted = manifest_of(plan).spec.rollback
    deeds = [deed async for deed in all_deeds(store, row.id)]
    made = undo_plan(
        Undoing(row=row, plan=plan, deeds=deeds),
        Wanted(
            scope=Scope(wanted.scope),
            wave=wave_meant(row),
            newest_first=wanted.order == "newest-first",
        ),
        now_us,
        USUAL_RATE,
    )
    if not made.acting:
        log.warning("rollout.nothing_to_undo", rollout=rollout_name(row.id))
        return None
    word = Word(by="the plan", why=f"{row.name} was stopped")
    return (await begin_undoing(store, row, made, word, now_us)).row
