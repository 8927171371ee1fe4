"""Who is told what: ``kind: Sink``, one file for each receiver."""

from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field, model_validator

from jobs.intake.profile import Address, KafkaPlace, Name, NatsPlace, RabbitPlace, RedisPlace
from jobs.rollouts.fields import Closed, Duration, SecretPlace, wrong
from jobs.rollouts.shape import Metadata


def _check_url(text: str) -> str:
    if not text.startswith(("https://", "http://", "env:", "file:")):
        raise wrong("this is no address of a webhook", "write it as https://host/path")
    return text


class WebhookPlace(Closed):
    """A receiver by HTTP, signed per Standard Webhooks."""

    url: Annotated[Address, AfterValidator(_check_url)]
    """``https://host/path``; ``env:NAME`` or ``file:PATH`` when it holds a token."""

    secrets: Annotated[list[SecretPlace], Field(min_length=1, max_length=3)]
    """Where the signing secrets (``whsec_…``) stand; while one is changed, the new and the old."""

    ports: Annotated[list[Annotated[int, Field(ge=1, le=65535)]], Field(min_length=1)] = Field(
        default_factory=lambda: [443]
    )
    """Ports that may be called."""

    private: bool = False
    """Whether an address of a private network may be called, and http."""


class FilePlace(Closed):
    """A file, one event on each line."""

    path: Annotated[str, Field(min_length=1, max_length=500)]
    """The file; events are appended."""


class To(Closed):
    """Where events go: exactly one."""

    webhook: WebhookPlace | None = None
    """By HTTP."""

    file: FilePlace | None = None
    """Into a file."""

    nats: NatsPlace | None = None
    """To NATS JetStream; ``subject`` says where."""

    rabbitmq: RabbitPlace | None = None
    """To a queue of RabbitMQ."""

    redis: RedisPlace | None = None
    """To a stream of Redis."""

    kafka: KafkaPlace | None = None
    """To a topic of Kafka."""

    @model_validator(mode="after")
    def _one(self) -> "To":
        named = [name for name in type(self).model_fields if getattr(self, name) is not None]
        if len(named) != 1:
            raise wrong(
                f"{len(named)} receivers are named; it is exactly one",
                "write one of webhook, file, nats, rabbitmq, redis, kafka",
            )
        return self


Outcome = Literal["succeeded", "unchanged", "failed", "skipped", "cancelled", "unresolved"]
EventKind = Literal["queued", "started", "finished"]
FINISHED: Final[EventKind] = "finished"


class Which(Closed):
    """Which jobs are told of; an empty list is all."""

    sources: list[Name] = Field(default_factory=list)
    """Who asked for them."""

    plugins: list[Name] = Field(default_factory=list)
    """Names of plug-ins."""

    outcomes: list[
        Literal["succeeded", "unchanged", "failed", "skipped", "cancelled", "unresolved"]
    ] = Field(default_factory=list)
    """Final states, of the events *finished*."""


class SinkSpec(Closed):
    """What is told, and to whom."""

    to: To
    """The receiver."""

    events: Annotated[list[EventKind], Field(min_length=1)] = Field(
        default_factory=lambda: [FINISHED]
    )
    """What is told of a job."""

    which: Which = Field(default_factory=Which)
    """Of which jobs."""

    batch: Annotated[int, Field(ge=1, le=100)] = 100
    """How many events go together; 1 sends each alone, as an object and not as a list."""

    batch_wait: Duration = 10.0
    """How long the first of them waits for more."""


class SinkProfile(Closed):
    """The whole file."""

    api_version: Literal["plugwave/v1"]
    """``plugwave/v1``."""

    kind: Literal["Sink"]
    """``Sink``."""

    metadata: Metadata
    """Its name is what the store remembers its place by."""

    spec: SinkSpec
    """The rest."""
