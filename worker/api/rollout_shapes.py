"""What calls about rollouts and plans are answered with; as `worker.api.shapes`."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from worker.api.shapes import Explanation, Shape, Text


class ApprovalShape(Shape):
    """One person's approval of a wave, and the counts that this person saw."""

    by: str
    at: Text
    groups: list[str]
    reason: Text
    where: Text
    seen: dict[str, Any]


class WaveShape(Shape):
    """One wave of a rollout."""

    wave: int
    """Counting from 0."""
    state: str
    size: int
    ended: int
    succeeded: int
    unchanged: int
    failed: int
    unresolved: int
    skipped: int
    cancelled: int
    opened_at: Text
    ended_at: Text
    approved_by: Text
    approvals: list[ApprovalShape]


class RolloutShape(Shape):
    """A rollout."""

    rollout: str
    name: str
    rollout_kind: str
    state: str
    plan: str
    """The plan's digest."""
    stopped_by: Text
    created_at: str
    started_at: Text
    finished_at: Text
    expires_at: Text
    labels: dict[str, str]
    joined: int
    """Pools that came later and joined."""
    held: int
    """Pools that came later and wait for a person."""
    waves: list[WaveShape]


class HoldShape(Shape):
    """What holds a rollout."""

    reason: str
    wave: int | None
    text: str
    until: Text


class RolloutHeld(RolloutShape):
    """A rollout with what holds it."""

    holds: list[HoldShape]


class Rollouts(Shape):
    """Rollouts, newest first."""

    kind: Literal["rollouts"]
    rollouts: list[RolloutShape]


class Already(Shape):
    """Whose the same order was before."""

    by: str
    at: Text


class Ordered(RolloutShape):
    """A rollout after an order."""

    order: str
    already: Already | None


class Begun(RolloutShape):
    """A rollout that was started."""

    again: bool
    """It was started before, by the same key or plan."""


class Why(Shape):
    """Why something is where it is."""

    subject: str
    answers: list[Explanation]
    more: int
    """Jobs that are not explained here."""
    rollouts: list[RolloutHeld]


class PlanShape(BaseModel):
    """A plan, as `plugwave plan -o json` prints it; secret-looking inputs are masked."""

    model_config = ConfigDict(frozen=True, extra="allow", use_attribute_docstrings=True)

    kind: Literal["Plan"]
    name: str
    digest: str
    counts: dict[str, int]
    """Pools by what would be done with them."""
    complete: bool | None
    """Whether everything could be read when it was made; none of one that was kept."""
