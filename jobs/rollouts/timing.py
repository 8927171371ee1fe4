"""What a rollout manifest says about time: one job, windows, freezes, the schedule."""

from datetime import datetime
from typing import Annotated, Final, Literal

from pydantic import (
    BeforeValidator,
    Field,
    PlainSerializer,
    PlainValidator,
    PositiveInt,
    model_validator,
)

from jobs.durations import parse_duration
from jobs.rollouts.fields import (
    Amount,
    ClockTime,
    Closed,
    CronLine,
    Duration,
    FileBeside,
    Line,
    LocalTime,
    Recurrence,
    SecretPlace,
    Title,
    Zone,
    duration_text,
    wrong,
)
from jobs.rollouts.shape import Regions

SHORTEST_POLL_S: Final = 0.1
"""No poll interval is shorter: each look is a request of a limited account."""


def _suspicion(value: object) -> str | float:
    if value in {"auto", "never"}:
        return str(value)
    advice = wrong("must be auto, never or a duration", "write auto, never or 12m")
    if not isinstance(value, str):
        raise advice
    try:
        return parse_duration(value)
    except ValueError:
        raise advice from None


Suspicion = Annotated[
    str | float,
    PlainValidator(_suspicion, json_schema_input_type=str),
    PlainSerializer(
        lambda value: value if isinstance(value, str) else duration_text(value), return_type=str
    ),
]


class Backoff(Closed):
    """Waits between tries."""

    first: Duration = 5.0
    """The first wait."""

    factor: Annotated[float, Field(ge=1, le=100, strict=False)] = 2.0
    """How much longer each one is."""

    max: Duration = 120.0
    """The longest wait."""

    jitter: Literal["full", "none"] = "full"
    """full: anything from nothing to the wait."""


class Apply(Closed):
    """How a change is sent."""

    attempts: Annotated[int, Field(ge=1, le=20)] = 3
    """Sends that may have had an effect."""

    backoff: Backoff = Field(default_factory=Backoff)
    """Waits between them."""


class Poll(Closed):
    """How often a change is looked at."""

    first: Duration = 5.0
    """The first wait."""

    factor: Annotated[float, Field(ge=1, le=100, strict=False)] = 1.5
    """How much longer each one is."""

    max: Duration = 60.0
    """The longest wait."""

    @model_validator(mode="after")
    def _is_no_storm(self) -> "Poll":
        if self.first < SHORTEST_POLL_S or self.max < self.first:
            raise wrong("is out of range; it is 100ms to max", "write such as 5s", "first")
        return self


Proof = Literal["phase", "version", "inputs", "fresh"]
NEEDED: Final[tuple[Proof, ...]] = ("phase", "version")


def _all_proofs() -> list[Proof]:
    return ["phase", "version", "inputs", "fresh"]


class Verify(Closed):
    """What proves a success."""

    require: Annotated[list[Proof], Field(min_length=1)] = Field(default_factory=_all_proofs)
    """Running, the version, the inputs, and evidence newer than our write; only the last two
    may be left out."""

    poll: Poll = Field(default_factory=Poll)
    """How often is looked."""

    settle: Duration = 60.0
    """How long it must stay Running."""

    abnormal_grace: Duration = 120.0
    """How long it may be Abnormal before that is a failure."""

    @model_validator(mode="after")
    def _proves_something(self) -> "Verify":
        missing = [proof for proof in NEEDED if proof not in self.require]
        if missing:
            raise wrong(
                f"{missing[0]} is missing: a success is Running at the wanted version",
                "leave out nothing but inputs and fresh",
                "require",
            )
        return self


class JobTerms(Closed):
    """One job: one pool."""

    deadline: Duration = 1_800.0
    """From its start to its end."""

    apply: Apply = Field(default_factory=Apply)
    """Sending."""

    verify: Verify = Field(default_factory=Verify)
    """Proving."""

    suspect_after: Suspicion = "auto"
    """When a slow job holds new starts: auto (1.5 x the p95 of successes), a duration, never."""

    @model_validator(mode="after")
    def _there_is_time(self) -> "JobTerms":
        if not 1.0 <= self.deadline <= 30 * 86_400.0:
            raise wrong("is out of range; it is 1s to 30d", None, "deadline")
        if self.verify.settle >= self.deadline:
            raise wrong(
                "is not shorter than the deadline, so no job could succeed",
                None,
                "verify",
                "settle",
            )
        return self


class Window(Closed):
    """When jobs may start; without any window always."""

    name: Title
    """Name of the window."""

    allow: Recurrence = "FREQ=DAILY"
    """Its days, as in RFC 5545: "FREQ=WEEKLY;BYDAY=TU,WE", "FREQ=MONTHLY;BYDAY=1TU" (the first
    Tuesday), "FREQ=MONTHLY;BYMONTHDAY=1,-1"."""

    start: ClockTime
    """When it opens, in quotes: "22:00"."""

    duration: Duration
    """How long it is open, in elapsed time."""

    time_zone: Zone
    """IANA zone, such as Asia/Shanghai."""

    regions: Regions | None = None
    """Only for pools of these regions."""

    @model_validator(mode="after")
    def _opens(self) -> "Window":
        if not 60 <= self.duration <= 7 * 86_400.0:
            raise wrong("is out of range; it is 1m to 7d", None, "duration")
        return self


def _after(first: str, second: str) -> bool:
    return datetime.fromisoformat(first) >= datetime.fromisoformat(second)


class Freeze(Closed):
    """When nothing may start, whatever the windows say."""

    name: Title
    """Name of the freeze."""

    from_: Annotated[LocalTime | None, Field(alias="from")] = None
    """Its first moment, "2027-01-25T00:00"."""

    until: LocalTime | None = None
    """The first moment after it."""

    time_zone: Zone | None = None
    """IANA zone of both; beside `ics` the zone of days and times that have none there."""

    reason: Line | None = None
    """What is told to whoever waits."""

    ics: FileBeside | None = None
    """A calendar file instead (iCalendar), beside the manifest: each event is a freeze."""

    @model_validator(mode="after")
    def _has_both_ends(self) -> "Freeze":
        ends = {"from": self.from_, "until": self.until, "timeZone": self.time_zone}
        given = [name for name, value in ends.items() if value is not None]
        own = [name for name in given if name != "timeZone"]
        if self.ics is not None and own:
            raise wrong(f"{own[0]} means nothing beside ics", None, own[0])
        if self.ics is None and len(given) < len(ends):
            missing = next(name for name in ends if name not in given)
            raise wrong(f"{missing} is missing", "write from, until and timeZone, or ics")
        if self.from_ is not None and self.until is not None and _after(self.from_, self.until):
            raise wrong("ends before it begins", None, "until")
        return self


def _limits(value: object) -> object:
    """Take true for no limits, and false for a person's word every time."""
    if isinstance(value, bool):
        return {} if value else {"actions": []}
    return value


Acting = Literal["install", "upgrade", "downgrade", "reconfigure"]


def _all_actions() -> list[Acting]:
    return ["install", "upgrade", "downgrade", "reconfigure"]


class AutoApply(Closed):
    """Which plans are applied without a person; any other waits for one."""

    pools_at_most: Amount | None = None
    """Pools that would be changed, as a number or a share of those that are meant."""

    blocked_at_most: Amount | None = None
    """Pools that are blocked or could not be read, likewise."""

    actions: list[Acting] = Field(default_factory=_all_actions)
    """What may be done on pools."""


class Schedule(Closed):
    """A cron trigger that makes rollouts of this manifest."""

    cron: CronLine
    """Five fields: "0 3 * * SUN"."""

    time_zone: Zone
    """IANA zone, such as Asia/Shanghai."""

    jitter: Duration = 0.0
    """Up to this much later, the same for the same tick."""

    misfire_grace: Duration = 7_200.0
    """How late a tick may still fire."""

    catch_up: Literal["none", "latest", "all"] = "latest"
    """Which missed ticks fire."""

    overlap: Literal["skip", "queue-one", "replace"] = "skip"
    """What happens while the rollout before still runs."""

    pause_after_failures: PositiveInt | None = None
    """The schedule pauses after so many rollouts in a row that ended badly."""

    auto_apply: Annotated[
        AutoApply, BeforeValidator(_limits, json_schema_input_type=bool | AutoApply)
    ] = Field(default_factory=AutoApply)
    """Which plans need no person: true for all, false for none, or limits."""


Happening = Literal["started", "paused", "approval-needed", "finished", "failed", "wave-passed"]


class Notify(Closed):
    """Who is told."""

    events: Annotated[list[Happening], Field(min_length=1)]
    """Of what."""

    webhook: SecretPlace
    """Where the address is: env:NAME or file:PATH, because it may hold a token."""
