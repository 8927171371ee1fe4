"""What a rollout manifest says about order and safety: waves, gates, budgets, stop rules."""

from fractions import Fraction
from typing import Annotated, Final, Literal

from pydantic import Field, PositiveInt, model_validator

from jobs.rollouts.fields import (
    Amount,
    ClockTime,
    Closed,
    Duration,
    FleetShare,
    LocalTime,
    Percent,
    Title,
    Zone,
    wrong,
)
from jobs.rollouts.shape import Installed, LabelWishes, Pools, Projects, Regions, Texts

MAX_WAVES: Final = 100
MAX_RULES: Final = 50

Count = Annotated[int, Field(ge=0, le=1_000_000)]


class Pick(Closed):
    """Which pools a wave takes, of those that no wave before it took."""

    regions: Regions | None = None
    """Only pools of these regions."""

    projects: Projects | None = None
    """Only pools of these projects."""

    pools: Pools | None = None
    """Only these pools; * and ? stand for parts."""

    labels: LabelWishes | None = None
    """Only pools with these labels."""

    types: Texts | None = None
    """Only pools of these types."""

    installed: Installed | None = None
    """Only pools with this version installed."""

    count: PositiveInt | None = None
    """At most this many."""

    per_region: PositiveInt | None = None
    """At most this many in each region."""

    percent: FleetShare | None = None
    """This share of all included pools, such as 10 or 10%; never 0 pools."""

    rest: Literal[True] | None = None
    """Everything that no other wave took."""

    spread: Literal["region", "none"] = "none"
    """region: the regions take turns."""

    @property
    def selects(self) -> bool:
        """Whether it names pools by what is observed."""
        named = (self.regions, self.projects, self.pools, self.labels, self.types, self.installed)
        return any(one is not None for one in named)

    @model_validator(mode="after")
    def _one_size(self) -> "Pick":
        sizes = {
            "count": self.count,
            "perRegion": self.per_region,
            "percent": self.percent,
            "rest": self.rest,
        }
        given = [name for name, size in sizes.items() if size is not None]
        if len(given) > 1:
            raise wrong(f"{given[0]} and {given[1]} cannot both be", None, given[1])
        if given == ["rest"] and self.selects:
            raise wrong("rest takes all that is left, so it selects nothing", None, "rest")
        if not given and not self.selects:
            raise wrong("picks nothing", "write count, perRegion, percent, rest: true, or labels")
        return self


class BakeNeeds(Closed):
    """Evidence that the bake waits for beside its time."""

    finished: PositiveInt
    """Jobs of the rollout that must have ended."""


class StartAt(Closed):
    """A moment before which a wave does not start."""

    at: LocalTime | None = None
    """A date and time, "2027-01-25T01:00"."""

    weekday: Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"] | None = None
    """The next such day; any day without it."""

    time: ClockTime | None = None
    """The time of that day, in quotes: "01:00"."""

    time_zone: Zone
    """IANA zone, such as Asia/Shanghai."""

    @model_validator(mode="after")
    def _one_moment(self) -> "StartAt":
        if (self.at is None) == (self.time is None):
            raise wrong("names no moment", "write either at, or time with a weekday or without")
        if self.at is not None and self.weekday is not None:
            raise wrong("weekday goes with time, not with at", None, "weekday")
        return self


class Approval(Closed):
    """A person's word, bound to the plan."""

    groups: Annotated[list[Title], Field(max_length=50)] = Field(default_factory=list)
    """Who may give it; anybody without it."""

    count: Annotated[int, Field(ge=1, le=50)] = 1
    """How many different persons."""

    four_eyes: bool = False
    """Whether it must be another person than the one who started the rollout."""

    expires: Duration = 259_200.0
    """How long it is waited for; the rollout expires then."""

    @property
    def words(self) -> str:
        """What is asked for: ``approval``, ``2 approvals by sre or lead``."""
        number = "approval" if self.count == 1 else f"{self.count} approvals"
        return number + (f" by {' or '.join(self.groups)}" if self.groups else "")


class Gate(Closed):
    """Something that must pass before a wave starts, or before the next one does."""

    approval: Approval | None = None
    """A person's word."""

    start_at: StartAt | None = None
    """A moment."""

    @model_validator(mode="after")
    def _one_thing(self) -> "Gate":
        if (self.approval is None) == (self.start_at is None):
            raise wrong("a gate is one thing", "write either approval or startAt")
        return self


Gates = Annotated[list[Gate], Field(max_length=10)]


class Wave(Closed):
    """An ordered slice of the plan."""

    name: Title
    """Name of the wave."""

    pick: Pick
    """Its pools."""

    tolerate: Count | None = None
    """Failures it may have; one more fails the wave. 0: any failure does."""

    bake: Duration = 0.0
    """How long its pools are watched after the last job ended."""

    bake_needs: BakeNeeds | None = None
    """Evidence that is waited for beside the time."""

    before: Gates = Field(default_factory=list)
    """What must pass before it starts."""

    after: Gates = Field(default_factory=list)
    """What must pass before the next one starts; runs beside the bake."""


class Starts(Closed):
    """How fast jobs are started: a ramp."""

    per_minute: Annotated[float, Field(gt=0, le=6000, strict=False)]
    """Starts in a minute at the beginning."""

    factor: Annotated[float, Field(ge=1, le=100, strict=False)] = 1.0
    """What that is multiplied with, after each `everySucceeded` successes."""

    every_succeeded: PositiveInt = 20
    """Successes to the next step."""

    max: Annotated[float, Field(gt=0, le=6000, strict=False)] | None = None
    """The most starts in a minute."""


class Budgets(Closed):
    """How much may be under way at a time; a job needs room in all of them."""

    concurrency: Annotated[int, Field(ge=1, le=10_000)] = 20
    """Jobs in the whole rollout."""

    per_project: PositiveInt | None = None
    """Jobs in one project."""

    per_region: PositiveInt | None = None
    """Jobs in one region."""

    per_pool: Literal[1] = 1
    """Jobs on one pool; never more than 1."""

    max_unavailable: Amount | None = None
    """Pools that may be not Running, by us or already before: a number or a share."""

    starts: Starts | None = None
    """A ramp."""


class Evidence(Closed):
    """A sequential test: stop once failures are that much more likely at `bad` than at `ok`."""

    ok: Percent = Fraction(5, 100)
    """A true failure rate up to this is fine."""

    bad: Percent = Fraction(20, 100)
    """A true failure rate from here on is not."""

    alpha: Annotated[float, Field(gt=0, le=0.5)] = 0.05
    """The chance to stop a rollout whose true rate is at most `ok`."""

    @model_validator(mode="after")
    def _bad_is_worse(self) -> "Evidence":
        if not self.ok < self.bad < 1:
            raise wrong("must be above ok and below 100%", None, "bad")
        return self


class StopRule(Closed):
    """One rule; the first that trips wins. Jobs that are retried do not count until spent."""

    name: Title
    """Name of the rule, shown when it stops the rollout."""

    failures: Amount | None = None
    """Stops when more than this many jobs failed: a number, or a share of the scope's jobs."""

    ratio: Percent | None = None
    """Stops when more than this share failed."""

    evidence: Evidence | None = None
    """Stops by the sequential test."""

    rejected: Amount | None = None
    """Stops when more than this many jobs were refused before anything was sent."""

    of: Literal["finished", "planned"] = "finished"
    """What `ratio` is a share of: jobs that ended, or all jobs of the scope."""

    min_finished: PositiveInt | None = None
    """`ratio` says nothing before this many jobs ended; 20 without it."""

    scope: Literal["rollout", "wave"] = "rollout"
    """Whether it counts over the rollout or over the wave that runs."""

    @model_validator(mode="after")
    def _one_rule(self) -> "StopRule":
        kinds = ("failures", "ratio", "evidence", "rejected")
        given = [kind for kind in kinds if getattr(self, kind) is not None]
        if len(given) != 1:
            raise wrong(
                "a stop rule has one of failures, ratio, evidence, rejected",
                f"it has {' and '.join(given)}" if given else None,
            )
        if given != ["ratio"] and self.of != "finished":
            raise wrong("of goes with ratio only", "take it out", "of")
        if given != ["ratio"] and self.min_finished is not None:
            raise wrong("minFinished goes with ratio only", "take it out", "minFinished")
        return self


class OnStop(Closed):
    """What happens when a rule trips."""

    do: Literal["pause", "abort", "rollback"] = "pause"
    """pause: a person decides; abort: what has not started never does; rollback: undo."""

    in_flight: Literal["finish"] = "finish"
    """Jobs under way end; the cloud has no way to take them back."""

    expires: Duration = 604_800.0
    """How long a pause waits for a person."""


class Rollback(Closed):
    """How it is undone: each pool gets its own version and inputs back."""

    to: Literal["baseline"] = "baseline"
    """What each pool had before the first write."""

    scope: Literal["failed", "wave", "all"] = "failed"
    """Which pools."""

    order: Literal["newest-first", "oldest-first"] = "newest-first"
    """Which first."""

    trigger: Literal["manual", "on-stop"] = "manual"
    """Who starts it: a person, or the rule that stops the rollout."""

    expires: Duration = 86_400.0
    """How long undoing may take; then it has failed, and what is left is for a person."""
