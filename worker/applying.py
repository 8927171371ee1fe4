"""Write a plan down as a rollout, so that workers run it: each step repeatable.

The plan, then the rollout, then its jobs in batches, then the move that lets it begin.  Who is
interrupted repeats the whole; what is there stays as it is.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Final

from jobs.clock import MICROSECONDS, iso, seconds_to_us
from jobs.errors import ConflictError, ManifestContradictionError, StaleRevisionError
from jobs.model import RolloutId, rollout_name
from jobs.requests import canonical
from jobs.rollout_states import LIVE_ROLLOUTS, RolloutEvent, RolloutState
from jobs.rollouts.course import course_of, manifest_of, planned_jobs
from jobs.rollouts.gates import SUBMITTER
from jobs.rollouts.joining import PROFILE
from jobs.rollouts.plan import Plan, kept_plan, plan_body
from jobs.rollouts.unserved import unserved
from jobs.store.rollouts import (
    Advance,
    NewRollout,
    Order,
    OrderKind,
    PlannedJob,
    RolloutRow,
    RolloutStore,
    StoredPlan,
    Word,
)

BATCH: Final = 500
"""Jobs that are written down in one transaction."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """Whose plan it is, and what makes it repeatable.

    ``profile`` is the account that its jobs are sent as; None for the worker's own.
    """

    plan: Plan
    word: Word
    key: str | None = None
    profile: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """The rollout of a submission; *again* says that it was there before."""

    row: RolloutRow
    again: bool


def insist_served(plan: Plan) -> None:
    """Refuse a plan that relies on what nobody would do.

    Raises:
        ManifestContradictionError: With every field that asks for it.
    """
    found = unserved(manifest_of(plan).spec)
    if found:
        raise ManifestContradictionError(
            "this version does not do all that the manifest asks for:\n" + "\n".join(found),
            do="change these fields; nothing was started",
            fields=found,
        )


async def begin(store: RolloutStore, asked: Submission, now_us: int) -> Begun:
    """Start the rollout of a plan, or find the one that the key or an equal plan began.

    Raises:
        ConflictError: If the key belongs to another manifest, another live rollout has the
            name, or one changes the same plug-in of one of the pools.
        ManifestContradictionError: If the manifest relies on what nobody would do.
    """
    insist_served(asked.plan)
    plan = asked.plan
    await store.keep_plan(stored(plan))
    live = await store.rollout(plan.name)
    if live is not None and live.state in LIVE_ROLLOUTS and live.plan == plan.digest:
        return Begun(row=await _written(store, live.id, asked), again=True)
    started = await store.start_rollout(_new(asked, now_us))
    if started.outcome == "conflict":
        raise ConflictError(
            f"the key '{asked.key}' began {rollout_name(started.rollout)} with another manifest"
        )
    again = started.outcome == "duplicate"
    return Begun(row=await _written(store, started.rollout, asked), again=again)


def stored(plan: Plan) -> StoredPlan:
    """Return a plan as a store keeps it."""
    made_us = round(datetime.fromisoformat(plan.made_at).timestamp() * MICROSECONDS)
    return StoredPlan(digest=plan.digest, name=plan.name, body=plan_body(plan), made_us=made_us)


def _new(asked: Submission, now_us: int) -> NewRollout:
    plan = asked.plan
    # Of the manifest and not of the plan: the fleet of a repeated submission is another one.
    content = hashlib.sha256(canonical(plan.manifest)).hexdigest()
    return NewRollout(
        name=plan.name,
        plan=plan.digest,
        sizes=tuple(wave.pools for wave in plan.waves),
        word=asked.word,
        key=asked.key,
        fingerprint=content,
        expires_us=now_us + seconds_to_us(course_of(plan).expires_s),
        labels=dict(manifest_of(plan).metadata.labels),
    )


async def _written(store: RolloutStore, rollout: RolloutId, asked: Submission) -> RolloutRow:
    """Write the jobs down and let the rollout begin, where that was not done before."""
    row = await _row(store, rollout)
    if row.state is not RolloutState.PLANNED:
        return row
    plan = await _own_plan(store, row, asked.plan)
    try:
        for jobs in batches(planned_jobs(plan, profile=asked.profile)):
            await store.plan_jobs(rollout, jobs)
    except ConflictError as error:
        why = Word(by=asked.word.by, why=str(error), where=asked.word.where)
        await store.order(Order(rollout=rollout, kind=OrderKind.ABORT, word=why))
        raise
    return await applied(store, row, asked.profile)


async def _own_plan(store: RolloutStore, row: RolloutRow, asked: Plan) -> Plan:
    """Return the plan that the rollout was started with.

    Whoever repeats a submission by its key has planned anew, and the fleet may have moved.
    """
    if row.plan == asked.digest:
        return asked
    kept = await store.plan(row.plan)
    assert kept is not None, "the store keeps the plan of every rollout"
    return kept_plan(kept.body, kept.digest, iso(kept.made_us) or "")


async def applied(store: RolloutStore, row: RolloutRow, profile: str | None = None) -> RolloutRow:
    """Let a rollout begin whose jobs are written down, whoever else does the same."""
    while True:
        facts = {**row.facts, SUBMITTER: await _submitter(store, row.id), PROFILE: profile}
        applied = Advance(
            rollout=row.id, rev=row.rev, moves=[(RolloutEvent.APPLIED, {})], facts=facts
        )
        try:
            return await store.advance(applied)
        except StaleRevisionError:
            row = await _row(store, row.id)
        if row.state is not RolloutState.PLANNED:
            return row


async def _submitter(store: RolloutStore, rollout: RolloutId) -> str:
    """Return who started it, which may be another than who helps a stopped `apply` to its end."""
    first, *_ = await store.record_of(rollout)
    return str(first.data["by"])


def batches(jobs: Iterator[PlannedJob]) -> Iterator[Sequence[PlannedJob]]:
    """Yield the jobs in as many as are written down in one transaction."""
    while batch := tuple(islice(jobs, BATCH)):
        yield batch


async def _row(store: RolloutStore, rollout: RolloutId) -> RolloutRow:
    row = await store.rollout(rollout_name(rollout))
    assert row is not None, "a rollout that was started is there"
    return row
