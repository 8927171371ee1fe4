"""A rollout manifest: the whole model, and the presets that spare most of it.

`apiVersion: plugwave/v1, kind: Rollout`.  What is left out is filled from the preset, so
that the expanded manifest in a plan says everything.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Annotated, Any, Final, Literal

from pydantic import Field, model_validator

from jobs.rollouts.fields import Closed, Duration, wrong
from jobs.rollouts.shape import Metadata, Plugin, Targets
from jobs.rollouts.strategy import (
    MAX_RULES,
    MAX_WAVES,
    Budgets,
    OnStop,
    Rollback,
    StopRule,
    Wave,
)
from jobs.rollouts.timing import Freeze, JobTerms, Notify, Schedule, Window

API_VERSION: Final = "plugwave/v1"
DEFAULT_PRESET: Final = "careful"

_EVIDENCE: Final = {"name": "evidence", "evidence": {}, "scope": "rollout"}
_RATIO: Final = {"name": "ratio", "ratio": "15%", "minFinished": 20, "scope": "wave"}
_CAP: Final = {"name": "cap", "failures": "5%", "scope": "rollout"}
_REST: Final = {"name": "rest", "pick": {"rest": True}}

PRESETS: Final[Mapping[str, Mapping[str, Any]]] = MappingProxyType(
    {
        "careful": {
            "waves": [
                {"name": "canary", "pick": {"perRegion": 1}, "tolerate": 0, "bake": "2h"},
                {"name": "early", "pick": {"percent": 10, "spread": "region"}, "bake": "24h"},
                {"name": "broad", "pick": {"percent": 40, "spread": "region"}, "bake": "24h"},
                _REST,
            ],
            "stop": [_CAP, _RATIO, _EVIDENCE],
        },
        "first-batch-pause": {
            "waves": [
                {
                    "name": "first",
                    "pick": {"count": 1},
                    "tolerate": 0,
                    "after": [{"approval": {}}],
                },
                _REST,
            ],
            "stop": [_RATIO, _EVIDENCE],
        },
        "fast": {
            "waves": [{"name": "early", "pick": {"percent": 10, "spread": "region"}}, _REST],
            "stop": [_RATIO, _EVIDENCE],
        },
        "one-by-one": {
            "waves": [{**_REST, "tolerate": 0}],
            "stop": [{"name": "any", "failures": 0, "scope": "rollout"}],
            "budgets": {"concurrency": 1},
        },
    }
)
"""What each preset fills in where the manifest says nothing."""

PresetName = Literal["careful", "first-batch-pause", "fast", "one-by-one"]


class Spec(Closed):
    """What is rolled out, where and how."""

    plugin: Plugin
    """What."""

    targets: Targets = Field(default_factory=Targets)
    """Where."""

    preset: PresetName = DEFAULT_PRESET
    """What fills in waves, stop and budgets where they are left out."""

    waves: Annotated[list[Wave], Field(min_length=1, max_length=MAX_WAVES)]
    """In which order; the preset's without it."""

    budgets: Budgets = Field(default_factory=Budgets)
    """How much at a time."""

    stop: Annotated[list[StopRule], Field(max_length=MAX_RULES)]
    """When it stops by itself; the preset's without it, none with []."""

    overshoot: Literal["bounded", "fast"] = "bounded"
    """bounded: fewer at a time as failures use up what is allowed; fast: always all."""

    on_stop: OnStop = Field(default_factory=OnStop)
    """What happens then."""

    rollback: Rollback = Field(default_factory=Rollback)
    """How it is undone."""

    job: JobTerms = Field(default_factory=JobTerms)
    """One job."""

    windows: Annotated[list[Window], Field(max_length=100)] = Field(default_factory=list)
    """When jobs may start."""

    window_fit: Literal["p95", "none"] = "p95"
    """p95: no job starts that would most likely not end inside the window."""

    freezes: Annotated[list[Freeze], Field(max_length=200)] = Field(default_factory=list)
    """When nothing may start."""

    schedule: Schedule | None = None
    """A cron trigger."""

    expires: Duration = 1_814_400.0
    """How long the rollout may take in all."""

    notify: Annotated[list[Notify], Field(max_length=20)] = Field(default_factory=list)
    """Who is told."""

    @model_validator(mode="after")
    def _names_are_unique(self) -> "Spec":
        lists: dict[str, Sequence[Wave | StopRule | Window | Freeze]] = {
            "waves": self.waves,
            "stop": self.stop,
            "windows": self.windows,
            "freezes": self.freezes,
        }
        for key, items in lists.items():
            seen: set[str] = set()
            for place, item in enumerate(items):
                if item.name in seen:
                    raise wrong(f"the name '{item.name}' is there twice", None, key, place, "name")
                seen.add(item.name)
        rests = [place for place, wave in enumerate(self.waves) if wave.pick.rest]
        if len(rests) > 1:
            raise wrong("there is a rest already", None, "waves", rests[1], "pick", "rest")
        return self

    @model_validator(mode="after")
    def _shares_fit(self) -> "Spec":
        total = sum((wave.pick.percent or 0 for wave in self.waves), start=0)
        if total > 1:
            raise wrong(
                f"the percents of the waves add up to {float(total * 100):g}%",
                "each is a share of the whole fleet, so together at most 100%",
                "waves",
            )
        return self


class Manifest(Closed):
    """A rollout, as a person writes it."""

    api_version: Literal["plugwave/v1"]
    """plugwave/v1"""

    kind: Literal["Rollout"]
    """Rollout"""

    metadata: Metadata
    """Name and labels."""

    spec: Spec
    """What, where and how."""


def with_preset(document: Any) -> Any:  # noqa: ANN401 - whatever a file holds
    """Return a manifest's document with what its preset fills in; anything else as it is.

    An unknown preset fills in the default one, so that the model complains about the name
    alone.
    """
    spec = document.get("spec") if isinstance(document, dict) else None
    if not isinstance(spec, dict):
        return document
    name = spec.get("preset", DEFAULT_PRESET)
    preset = PRESETS.get(name if isinstance(name, str) else "", PRESETS[DEFAULT_PRESET])
    filled = {key: spec.get(key) if spec.get(key) is not None else preset[key] for key in preset}
    return {**document, "spec": {**spec, **filled}}


def expanded(manifest: Manifest) -> dict[str, Any]:
    """Return the manifest as a document that says everything, without what is null."""
    return manifest.model_dump(mode="json", by_alias=True, exclude_none=True)


def manifest_schema() -> dict[str, Any]:
    """Return the JSON Schema of a manifest, for editors."""
    return {"title": "plugwave rollout", **rollout_schema(Manifest)}


def rollout_schema(model: type[Closed]) -> dict[str, Any]:
    """Return the JSON Schema of a model with a `Spec` in it: what a preset fills in is optional."""
    schema = model.model_json_schema()
    filled = {key for preset in PRESETS.values() for key in preset}
    spec = schema["$defs"]["Spec"]
    spec["required"] = [name for name in spec["required"] if name not in filled]
    return schema
