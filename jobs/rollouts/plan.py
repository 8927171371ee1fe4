"""A plan: a manifest resolved against the observed fleet; immutable, with a digest.

The digest is the SHA-256 over the canonical JSON of everything but the digest itself and
the instant it was made, so two plans of one manifest and one fleet are the same.  A plan
holds what the manifest says, plug-in inputs included; of what is installed it holds masked
texts and digests alone.
"""

import hashlib
from typing import Annotated, Any, Final, Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from jobs.errors import StalePlanError
from jobs.model import Target
from jobs.requests import canonical
from jobs.rollouts.actions import ACTING, Action, Undo
from jobs.rollouts.icsevents import Event

SCHEMA: Final = "plugwave/v1"
NOT_DIGESTED: Final = frozenset({"digest", "made_at"})
ADDED_LATER: Final = frozenset({"calendars", "places"})
"""Left out while there is nothing in it, so that plans of before keep their digests."""

SHORT_DIGEST: Final = 12  # digits by which people name a plan


class _Part(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, use_attribute_docstrings=True
    )


class InputChange(_Part):
    """One input that changes; values are masked texts, ``-`` for none."""

    path: str
    before: str
    after: str


class PlanRow(_Part):
    """One pool."""

    region: str | None = None
    project_id: str
    pool_name: str
    display_name: str | None = None
    action: Action
    version_from: str | None = None
    version_to: str | None = None
    why: str | None = None
    """Why nothing is done, or cannot be."""

    note: str | None = None
    wave: str | None = None
    place: int | None = None
    """Its turn inside the wave, counting from 1."""

    inputs: tuple[InputChange, ...] = ()
    before_sha256: str | None = None
    """Of the installed inputs: a later read tells whether they are the same."""

    after_sha256: str | None = None
    """Of the full inputs that are to be sent."""

    rollback: Undo | None = None
    rollback_why: str | None = None

    anyhow: Annotated[bool, Field(exclude_if=lambda told: not told)] = False
    """Whether an undo takes the pool although somebody has changed it since."""

    @property
    def target(self) -> Target:
        """The pool as the cloud addresses it."""
        return Target(project_id=self.project_id, pool_name=self.pool_name, region=self.region)

    @property
    def acts(self) -> bool:
        """Whether something is sent to it."""
        return self.action in ACTING


class PlanWave(_Part):
    """One wave, with its numbers resolved."""

    name: str
    pools: int
    at_once: int
    stops: tuple[str, ...]
    """When it is stopped: rules that count in this wave."""

    then: tuple[str, ...]
    """What must pass before the next one."""


class PlanEstimate(_Part):
    """Time without approvals and windows, in seconds, and requests."""

    quick_s: float
    slow_s: float
    bake_s: float
    calls: int


class PlanPlace(_Part):
    """One project that was looked into."""

    project_id: str
    region: str | None = None


class PlanCalendar(_Part):
    """The events of one freeze's calendar file, as they were when the plan was made."""

    freeze: str
    file: str
    sha256: str
    """Of the file's bytes."""

    events: tuple[Event, ...]


class Plan(_Part):
    """The whole plan."""

    schema_: Annotated[Literal["plugwave/v1"], Field(alias="schema")] = SCHEMA
    kind: Literal["Plan"] = "Plan"
    name: str
    digest: str = ""
    made_at: str
    manifest: Annotated[dict[str, Any], Field(repr=False)]
    """The expanded manifest."""

    plugin: str
    version: str
    included: int
    """Pools that the targets mean."""

    down: int
    """How many of them were not Running when it was made."""

    rows: tuple[PlanRow, ...]
    """Every one of them, by region, project and name."""

    waves: tuple[PlanWave, ...]
    stops: tuple[str, ...]
    """When the rollout is stopped: rules that count over all waves."""

    most_broken: int
    """Pools that can break at most before the rules act."""

    estimate: PlanEstimate
    warnings: tuple[str, ...] = ()
    calendars: tuple[PlanCalendar, ...] = ()
    """What the calendar files of its freezes say."""

    places: tuple[PlanPlace, ...] = ()
    """With continuous membership: where pools that come later are looked for."""

    restores: Annotated[int | None, Field(exclude_if=lambda told: told is None)] = None
    """The rollout that this plan undoes."""

    @property
    def acting(self) -> list[PlanRow]:
        """The pools on which something is done."""
        return [row for row in self.rows if row.acts]

    def of(self, action: Action) -> list[PlanRow]:
        """Return the pools of one action."""
        return [row for row in self.rows if row.action is action]


def document(plan: Plan) -> dict[str, Any]:
    """Return the plan as a JSON document."""
    return plan.model_dump(mode="json", by_alias=True)


def digest_of(plan: Plan) -> str:
    """Return the SHA-256 (hex) of what the plan says."""
    return hashlib.sha256(plan_body(plan).encode()).hexdigest()


def sealed(plan: Plan) -> Plan:
    """Return the plan with its digest."""
    return plan.model_copy(update={"digest": digest_of(plan)})


def plan_body(plan: Plan) -> str:
    """Return the canonical JSON of which the digest is made, as a store keeps it."""
    told = document(plan).items()
    return canonical(
        {
            key: value
            for key, value in told
            if key not in NOT_DIGESTED and (value or key not in ADDED_LATER)
        }
    ).decode()


def kept_plan(body: str, digest: str, made_at: str) -> Plan:
    """Return the plan that a store kept; *made_at* as `Plan.made_at`.

    Raises:
        StalePlanError: If it is not what it was.
    """
    content = {**orjson.loads(body), "digest": digest, "made_at": made_at}
    return read_plan(orjson.dumps(content), f"plan {digest[:SHORT_DIGEST]}")


def plan_bytes(plan: Plan) -> bytes:
    """Return the content of a plan file: canonical JSON in one line."""
    return canonical(document(plan)) + b"\n"


def read_plan(data: bytes, name: str) -> Plan:
    """Return the plan that a file holds.

    Raises:
        StalePlanError: If it is no plan, or not what it was when its digest was made.
    """
    try:
        plan = Plan.model_validate(orjson.loads(data))
    except (ValidationError, ValueError):
        plan = None
    if plan is None:
        raise StalePlanError(f"{name} is no plan of this version")
    if digest_of(plan) != plan.digest:
        raise StalePlanError(
            f"{name} is not the plan that was made",
            why="something in the file was changed, so its digest does not fit",
        )
    return plan
