"""What a rollout manifest says about the plug-in and the pools: closed models.

The docstrings of the fields are the reference page and the texts that editors show.
"""

from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from jobs.model import InputsBase
from jobs.requests import quoted
from jobs.rollouts.fields import (
    Closed,
    FileBeside,
    LabelKey,
    Line,
    PluginName,
    PoolGlob,
    ProjectId,
    RegionName,
    Title,
    wrong,
)
from jobs.rollouts.versions import CONSISTENT, LATEST, is_version_wish

MAX_LABELS: Final = 64
MAX_NAMES: Final = 10_000
MAX_SELECTORS: Final = 200


def _version(text: str) -> str:
    if not is_version_wish(text):
        hint = f'write "1.6.36", {LATEST}, {CONSISTENT}, or a range such as ">=1.3,<2"'
        raise wrong(f"{quoted(text)} is no version", hint)
    return text


def _installed(text: str) -> str:
    if text not in {"any", "absent"} and not is_version_wish(text):
        raise wrong(
            f"{quoted(text)} is no version",
            'write "1.14.5", a range such as "<1.15", any or absent',
        )
    return text


def _listed(value: object) -> object:
    """Take one text for a list of one."""
    return [value] if isinstance(value, str) else value


VersionWish = Annotated[str, AfterValidator(_version)]
InstalledWish = Annotated[str, AfterValidator(_installed)]
Labels = Annotated[dict[LabelKey, str], Field(max_length=MAX_LABELS)]
_OneOrMore = BeforeValidator(_listed, json_schema_input_type=str | list[str])
Regions = Annotated[list[RegionName], _OneOrMore, Field(min_length=1, max_length=MAX_NAMES)]
Projects = Annotated[list[ProjectId], _OneOrMore, Field(min_length=1, max_length=MAX_NAMES)]
Pools = Annotated[list[PoolGlob], _OneOrMore, Field(min_length=1, max_length=MAX_NAMES)]
Texts = Annotated[list[Line], _OneOrMore, Field(min_length=1, max_length=MAX_NAMES)]
Installed = Annotated[list[InstalledWish], _OneOrMore, Field(min_length=1, max_length=100)]
LabelValues = Annotated[list[str], _OneOrMore, Field(min_length=1, max_length=100)]
LabelWishes = Annotated[dict[LabelKey, LabelValues], Field(min_length=1, max_length=MAX_LABELS)]


class Metadata(Closed):
    """What the rollout is called, and notes that go into every result line."""

    name: Title
    """Name of the rollout; also decides the order of the pools inside a wave."""

    labels: Labels = Field(default_factory=dict)
    """Texts such as a change number."""


class InputsWish(Closed):
    """What the plug-in's inputs should be; the full tree is always sent."""

    base: Annotated[InputsBase, Field(strict=False)] = InputsBase.CURRENT
    """What the tree starts from: current (installed), template (defaults) or empty."""

    merge: Annotated[dict[str, Any], Field(repr=False)] = Field(default_factory=dict)
    """What is laid over it; only what stands here is changed."""


class Plugin(Closed):
    """Which plug-in, in which version, with which inputs."""

    name: PluginName
    """The plug-in's template name, such as node-local-dns."""

    version: VersionWish
    """An exact version in quotes; latest (newest on offer for each pool), consistent (newest
    that all pools offer), or a range such as ">=1.3,<2" (newest within). Frozen by the plan."""

    inputs: InputsWish = Field(default_factory=InputsWish)
    """Install parameters."""

    allow_downgrade: bool = False
    """Whether a pool may get an older version than it has."""


class Selector(Closed):
    """Pools by what is observed; every line must hold, any value of a line will do."""

    regions: Regions | None = None
    """Regions."""

    projects: Projects | None = None
    """Project ids."""

    pools: Pools | None = None
    """Pool ids or display names; * and ? stand for parts."""

    labels: LabelWishes | None = None
    """Labels of the pool, each with one value or several."""

    types: Texts | None = None
    """Types of the pool, as `plugwave pools list -o json` shows them."""

    installed: Installed | None = None
    """What is installed of this plug-in: versions, ranges, any, or absent."""

    @model_validator(mode="after")
    def _selects_something(self) -> "Selector":
        if not self.model_fields_set:
            raise wrong(
                "an empty selector would mean every pool",
                "name regions, projects, pools, labels, types or installed",
            )
        return self


class Targets(Closed):
    """Which pools are meant; without `include` and `file` all that discovery finds."""

    file: FileBeside | None = None
    """A fleet file (YAML, CSV or JSON lines) that lists the pools; beside the manifest."""

    include: Annotated[list[Selector], Field(max_length=MAX_SELECTORS)] = Field(
        default_factory=list
    )
    """Pools that one of these selects."""

    exclude: Annotated[list[Selector], Field(max_length=MAX_SELECTORS)] = Field(
        default_factory=list
    )
    """Pools that none of these may select."""

    workspaces: Texts | None = None
    """Workspaces to look into instead of the default one."""

    if_absent: Literal["install", "skip"] = "skip"
    """What happens on pools that do not have the plug-in yet."""

    membership: Literal["snapshot", "continuous"] = "snapshot"
    """Whether pools that come later belong to the rollout."""

    on_join: Literal["ignore", "last-wave", "hold"] = "ignore"
    """What happens to them with `membership: continuous`: nothing, the last wave takes them, or
    they are told and wait for a plan of their own."""

    on_leave: Literal["skip"] = "skip"
    """What happens to pools that are gone: they are skipped, and no failures."""

    @property
    def takes_joiners(self) -> bool:
        """Whether anything happens to pools that come later."""
        return self.membership == "continuous" and self.on_join != "ignore"

    @model_validator(mode="after")
    def _joining_needs_membership(self) -> "Targets":
        if self.membership == "continuous" and self.file is not None:
            raise wrong(
                "membership: continuous means nothing with a file that lists the pools",
                "write include instead of file, or membership: snapshot",
                "membership",
            )
        if self.membership == "snapshot" and self.on_join == "hold":
            raise wrong(
                "onJoin: hold means nothing with membership: snapshot",
                "write membership: continuous, or leave onJoin out",
                "onJoin",
            )
        return self
