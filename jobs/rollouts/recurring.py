"""A schedule's manifest: `kind: Schedule`, and a rollout's manifest with `schedule:`.

Both say the same and are kept in one form: when it fires, and the rollout of each tick.  The
rollouts of a schedule have its name.
"""

from collections.abc import Mapping
from typing import Any, Final, Literal

from pydantic import model_validator

from jobs.requests import canonical
from jobs.rollouts.fields import Closed, wrong
from jobs.rollouts.manifest import API_VERSION, Manifest, Spec, rollout_schema, with_preset
from jobs.rollouts.shape import Metadata
from jobs.rollouts.timing import Schedule

KIND: Final = "Schedule"


class ScheduleSpec(Schedule):
    """When, and what each time."""

    rollout: Spec
    """The rollout of each tick, as in `spec` of a rollout."""

    @model_validator(mode="after")
    def _one_clock(self) -> "ScheduleSpec":
        if self.rollout.schedule is not None:
            raise wrong("means nothing inside of a schedule", None, "rollout", "schedule")
        return self


class ScheduleManifest(Closed):
    """A schedule, as a person writes it."""

    api_version: Literal["plugwave/v1"]
    """plugwave/v1"""

    kind: Literal["Schedule"]
    """Schedule"""

    metadata: Metadata
    """Name and labels, also those of its rollouts."""

    spec: ScheduleSpec
    """When, and what each time."""


def with_inner_preset(document: Any) -> Any:  # noqa: ANN401 - whatever a file holds
    """Return a schedule's document with what the preset of its rollout fills in."""
    spec = document.get("spec") if isinstance(document, dict) else None
    if not isinstance(spec, dict) or not isinstance(spec.get("rollout"), dict):
        return document
    inner = with_preset({"spec": spec["rollout"]})["spec"]
    return {**document, "spec": {**spec, "rollout": inner}}


def rollout_of(schedule: ScheduleManifest) -> Manifest:
    """Return the manifest of the rollout that a schedule makes."""
    return Manifest.model_construct(
        api_version=API_VERSION,
        kind="Rollout",
        metadata=schedule.metadata,
        spec=schedule.spec.rollout,
    )


def schedule_of(manifest: Manifest) -> ScheduleManifest | None:
    """Return what a rollout's manifest with `schedule:` says as a schedule; None without."""
    schedule = manifest.spec.schedule
    if schedule is None:
        return None
    inner = manifest.spec.model_copy(update={"schedule": None})
    times = {name: getattr(schedule, name) for name in Schedule.model_fields}
    return ScheduleManifest.model_construct(
        api_version=API_VERSION,
        kind=KIND,
        metadata=manifest.metadata,
        spec=ScheduleSpec.model_construct(**times, rollout=inner),
    )


def schedule_body(schedule: ScheduleManifest) -> str:
    """Return the canonical JSON that a store keeps."""
    told = schedule.model_dump(mode="json", by_alias=True, exclude_none=True)
    return canonical(told).decode()


def kept_schedule(body: str) -> ScheduleManifest:
    """Return the manifest that a store kept."""
    return ScheduleManifest.model_validate_json(body)


def schedule_schema() -> Mapping[str, Any]:
    """Return the JSON Schema of a schedule's manifest: what a preset fills in is optional."""
    return {"title": "plugwave schedule", **rollout_schema(ScheduleManifest)}
