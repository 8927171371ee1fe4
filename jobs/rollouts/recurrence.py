"""A schedule as it is run: its times, its policies, and which plans it may apply by itself."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from zoneinfo import ZoneInfo

from jobs.clock import iso
from jobs.rollouts.actions import Action
from jobs.rollouts.fields import amount_text
from jobs.rollouts.manifest import Manifest
from jobs.rollouts.plan import Plan
from jobs.rollouts.recurring import ScheduleManifest, kept_schedule, rollout_of, schedule_body
from jobs.rollouts.ticks import CatchUp, Overlap, Timing
from jobs.rollouts.timing import AutoApply
from jobs.store.rollouts import Word
from jobs.store.schedules import NewSchedule, ScheduleRow


@dataclass(frozen=True, slots=True, kw_only=True)
class Recurrence:
    """When a schedule fires and what happens then."""

    name: str
    timing: Timing
    overlap: Overlap
    pause_after: int | None
    limits: AutoApply
    manifest: Manifest = field(repr=False)
    """Of the rollout of each tick."""


def recurrence_of(schedule: ScheduleManifest) -> Recurrence:
    """Return how a schedule is run."""
    spec = schedule.spec
    return Recurrence(
        name=schedule.metadata.name,
        timing=Timing(
            cron=spec.cron,
            zone=ZoneInfo(spec.time_zone),
            jitter_s=spec.jitter,
            misfire_grace_s=spec.misfire_grace,
            catch_up=CatchUp(spec.catch_up),
        ),
        overlap=Overlap(spec.overlap),
        pause_after=spec.pause_after_failures,
        limits=spec.auto_apply,
        manifest=rollout_of(schedule),
    )


def recurrence_of_row(row: ScheduleRow) -> Recurrence:
    """Return the same for what the store has."""
    return recurrence_of(kept_schedule(row.body))


def new_schedule(
    schedule: ScheduleManifest, word: Word, *, fleet: str | None = None, profile: str | None = None
) -> NewSchedule:
    """Return what is written down of a schedule; *fleet* is the content of its fleet file."""
    return NewSchedule(
        name=schedule.metadata.name,
        body=schedule_body(schedule),
        timing=f"{schedule.spec.cron} {schedule.spec.time_zone}",
        word=word,
        fleet=fleet,
        profile=profile,
    )


def tick_key(row: ScheduleRow, at_us: int) -> str:
    """Return the key of a tick's rollout, by which it is begun once whoever begins it."""
    return f"schedule {row.name} {iso(at_us)} #{row.id}"


def beyond(limits: AutoApply, plan: Plan) -> list[str]:
    """Return by what a plan exceeds the limits of what is applied by itself; empty if by nothing.

    Shares are of the pools that are meant, rounded down; a share of pools to change is at
    least one pool.
    """
    actions = Counter(row.action for row in plan.rows)
    told = _too_many(limits, plan, actions)
    wrong = [row.action for row in plan.acting if row.action.value not in limits.actions]
    told += [
        f"{number} pools would {action.value}, and a person must see that"
        for action, number in Counter(wrong).items()
    ]
    return told


def _too_many(limits: AutoApply, plan: Plan, actions: Mapping[Action, int]) -> list[str]:
    told = []
    if limits.pools_at_most is not None:
        most = max(_number(limits.pools_at_most, plan.included), int(limits.pools_at_most != 0))
        if len(plan.acting) > most:
            told.append(
                f"{len(plan.acting)} pools would be changed, poolsAtMost is "
                f"{amount_text(limits.pools_at_most)}"
            )
    if limits.blocked_at_most is not None:
        bad = actions.get(Action.BLOCKED, 0) + actions.get(Action.UNKNOWN, 0)
        if bad > _number(limits.blocked_at_most, plan.included):
            told.append(
                f"{bad} of {plan.included} pools are blocked or could not be read, blockedAtMost "
                f"is {amount_text(limits.blocked_at_most)}"
            )
    return told


def _number(amount: int | Fraction, of: int) -> int:
    return amount if isinstance(amount, int) else int(amount * of)
