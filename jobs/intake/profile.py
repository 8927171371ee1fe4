"""What another system may ask for: ``kind: Intake``, one file for each system and broker.

A closed model; everything that is wrong with a file is told at once, with its place.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Annotated, Any, Final, Literal, TypeVar
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, Field, ValidationError, model_validator

from jobs.model import JobRequest
from jobs.requests import Problem, quoted
from jobs.rollouts.fields import Closed, Duration, wrong
from jobs.rollouts.findings import findings_of
from jobs.rollouts.reading import document_of, refusal
from jobs.rollouts.shape import Metadata

M = TypeVar("M", bound=BaseModel)

_PLACES: Final = ("env:", "file:")
_WITH_PASSWORD: Final = re.compile(r"(://[^:/@\s]*:)([^@\s]+)@")


def _check_address(text: str) -> str:
    """An address in the file; one with a password stands elsewhere."""
    if text.startswith(_PLACES):
        return text
    try:
        secret = any(urlsplit(one.strip()).password for one in text.split(","))
    except ValueError:
        raise wrong("this is no address", "write it as nats://host:4222") from None
    if secret:
        raise wrong(
            "the address holds a password",
            "write env:NAME or file:PATH, and put the whole address there",
        )
    return text


Address = Annotated[str, Field(min_length=1, max_length=500), AfterValidator(_check_address)]
Name = Annotated[
    str, Field(min_length=1, max_length=200, pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/-]*$")
]


class NatsPlace(Closed):
    """A stream of NATS JetStream and a durable consumer of it."""

    url: Address
    """``nats://host:4222`` or ``tls://…``; several with commas."""

    stream: Name
    """The stream; it must be there."""

    consumer: Name = "plugwave"
    """The durable consumer; made when it is not there."""

    subject: Name | None = None
    """Which of the stream's messages; all without it."""


class RabbitPlace(Closed):
    """A queue of RabbitMQ."""

    url: Address
    """``amqp://host/`` or ``amqps://…``."""

    queue: Name
    """The queue; it must be there."""


class RedisPlace(Closed):
    """A stream of Redis and a consumer group of it."""

    url: Address
    """``redis://host:6379/0`` or ``rediss://…``."""

    stream: Name
    """The stream's key."""

    group: Name = "plugwave"
    """The consumer group; made when it is not there."""

    field: Name = "body"
    """Which field of an entry is the message; the others are its headers."""


class KafkaPlace(Closed):
    """A topic of Kafka and a consumer group."""

    url: Address
    """``host:9092``; several with commas."""

    topic: Name
    """The topic; it must be there."""

    group: Name = "plugwave"
    """The consumer group."""


class From(Closed):
    """Which broker: exactly one."""

    nats: NatsPlace | None = None
    """NATS JetStream."""

    rabbitmq: RabbitPlace | None = None
    """RabbitMQ."""

    redis: RedisPlace | None = None
    """Redis Streams."""

    kafka: KafkaPlace | None = None
    """Kafka, and what speaks its protocol."""

    @model_validator(mode="after")
    def _one(self) -> "From":
        named = [name for name in type(self).model_fields if getattr(self, name) is not None]
        if len(named) != 1:
            raise wrong(
                f"{len(named)} brokers are named; it is exactly one",
                "write one of nats, rabbitmq, redis, kafka",
            )
        return self


class Allow(Closed):
    """What may be asked for; an empty list allows all."""

    plugins: list[Name] = Field(default_factory=list)
    """Names of plug-ins."""

    projects: list[Name] = Field(default_factory=list)
    """Ids of projects."""

    regions: list[Name] = Field(default_factory=list)
    """Regions; a request that names none is judged by the region it gets."""


class Limits(Closed):
    """How much is taken; the rest stays with the broker."""

    per_minute: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    """Messages a minute."""

    max_queued: Annotated[int, Field(ge=1, le=10_000_000)] | None = None
    """Nothing is taken while so many jobs of the store have not begun."""


class Given(Closed):
    """What requests get that they do not say."""

    region: Name | None = None
    """The region."""

    profile: Name | None = None
    """The account, by the name of its profile."""

    priority: Annotated[int, Field(ge=-1000, le=1000)] | None = None
    """The priority."""

    deadline: Duration | None = None
    """The deadline."""


class Idempotency(Closed):
    """Where the key stands."""

    from_: Annotated[
        str, Field(alias="from", pattern=r"^(data\.|header\.)?[A-Za-z_][A-Za-z0-9_.-]{0,127}$")
    ]
    """``data.FIELD``, ``header.NAME``, or an attribute of a CloudEvent."""


class IntakeSpec(Closed):
    """Where jobs come from, and what they may be."""

    from_: Annotated[From, Field(alias="from")]
    """The broker."""

    allow: Allow = Field(default_factory=Allow)
    """What may be asked for."""

    defaults: Given = Field(default_factory=Given)
    """What requests get that they do not say."""

    limits: Limits = Field(default_factory=Limits)
    """How much is taken."""

    idempotency: Idempotency | None = None
    """Where the key stands; without it the request's own, the event's (source, id), or the
    message's place in the broker."""

    dead_letter: Name | None = None
    """Where messages go that are no acceptable request, with the reason; beside the source, with
    ``.dead`` at the end of its name, without it."""

    prefetch: Annotated[int, Field(ge=1, le=10_000)] = 500
    """How many messages are in hand at once."""

    redeliver_after: Duration = 30.0
    """How long a message may be in hand before another consumer gets it."""


class IntakeProfile(Closed):
    """The whole file."""

    api_version: Literal["plugwave/v1"]
    """``plugwave/v1``."""

    kind: Literal["Intake"]
    """``Intake``."""

    metadata: Metadata
    """Its name is the scope of idempotency keys."""

    spec: IntakeSpec
    """The rest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What the intake's loop goes by.

    Attributes:
        name: The scope of idempotency keys.
        key_from: Where the key stands; None for the usual places.
        allow: What may be asked for.
        defaults: What requests get that they do not say.
        limits: How much is taken.
        prefetch: How many messages are in hand at once.
    """

    name: str
    key_from: str | None = None
    allow: Allow = field(default_factory=Allow)
    defaults: Given = field(default_factory=Given)
    limits: Limits = field(default_factory=Limits)
    prefetch: int = 500


def terms_of(profile: IntakeProfile) -> Terms:
    """Return what the profile says to the loop."""
    spec = profile.spec
    return Terms(
        name=profile.metadata.name,
        key_from=spec.idempotency.from_ if spec.idempotency else None,
        allow=spec.allow,
        defaults=spec.defaults,
        limits=spec.limits,
        prefetch=spec.prefetch,
    )


def read_profile(data: bytes, name: str) -> IntakeProfile:
    """Return the intake profile that a file holds; see `read_closed`."""
    return read_closed(data, name, IntakeProfile)


def read_closed(data: bytes, name: str, model: type[M]) -> M:
    """Return what a file of that kind holds; a password in an address is never shown.

    Raises:
        ManifestError: If it is not acceptable; tells all findings at once, with their places.
    """
    document = document_of(data, name, shown=_shown)
    try:
        return model.model_validate(document.value)
    except ValidationError as error:
        found = findings_of(error, document, model)
    raise refusal(found, name, [_shown(line) for line in document.lines])


def _shown(line: str) -> str:
    """Return a line of the file with stars where a password stands, as many as it has letters."""
    return _WITH_PASSWORD.sub(lambda found: f"{found[1]}{'*' * len(found[2])}@", line)


def filled(value: object, given: Given) -> object:
    """Return the request's JSON with what it does not say filled in."""
    if not isinstance(value, Mapping):
        return value
    told = {name: field for name, field in _given(given).items() if value.get(name) is None}
    return {**value, **told}


def _given(given: Given) -> Mapping[str, Any]:
    fields = {
        "region": given.region,
        "profile": given.profile,
        "priority": given.priority,
        "deadline": given.deadline,
    }
    return MappingProxyType({name: field for name, field in fields.items() if field is not None})


def not_allowed(request: JobRequest, allow: Allow, name: str) -> tuple[Problem, ...]:
    """Return what of the request the intake *name* does not allow."""
    return tuple(_refused(request, allow, name))


def _refused(request: JobRequest, allow: Allow, name: str) -> Iterator[Problem]:
    asked = (
        ("plugin.name", "the plug-in", request.plugin.name, allow.plugins),
        ("project_id", "the project", request.target.project_id, allow.projects),
        ("region", "the region", request.target.region or "(none)", allow.regions),
    )
    for path, what, value, allowed in asked:
        if allowed and value not in allowed:
            message = f"{what} {quoted(value)} is not among those that the intake {name} allows"
            hint = f"it allows {', '.join(sorted(allowed)[:10])}"
            yield Problem(path=path, message=message, suggestion=hint)
