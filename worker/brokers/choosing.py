"""Which broker's client an intake needs: the one place that picks it, and reads its address."""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from jobs.errors import ConfigError
from jobs.intake.profile import IntakeProfile, KafkaPlace, NatsPlace, RabbitPlace, RedisPlace
from worker.brokers.deliveries import Broker

ADDRESS_LIMIT: Final = 4096


def broker_of(profile: IntakeProfile, environ: Mapping[str, str] | None = None) -> Broker:
    """Return the broker that the profile names, not yet opened.

    Raises:
        ConfigError: If its client is not installed, or its address cannot be read.
    """
    spec = profile.spec
    around = os.environ if environ is None else environ
    named = spec.from_
    place = named.nats or named.rabbitmq or named.redis or named.kafka
    assert place is not None  # the model takes exactly one
    address = address_at(place.url, around)
    match place:
        case NatsPlace():
            with installed("nats"):
                from worker.brokers.jetstream import JetStream  # noqa: PLC0415 - an extra
            dead, again_s = spec.dead_letter or f"{place.stream}.dead", spec.redeliver_after
            return JetStream(place, address, dead, prefetch=spec.prefetch, again_s=again_s)
        case RabbitPlace():
            with installed("rabbitmq"):
                from worker.brokers.rabbitmq import RabbitQueue  # noqa: PLC0415 - an extra
            dead = spec.dead_letter or f"{place.queue}.dead"
            return RabbitQueue(place, address, dead, prefetch=spec.prefetch)
        case RedisPlace():
            with installed("redis"):
                from worker.brokers.redis_streams import RedisStreams  # noqa: PLC0415 - an extra
            dead = spec.dead_letter or f"{place.stream}.dead"
            return RedisStreams(place, address, dead, again_s=spec.redeliver_after)
        case KafkaPlace():
            with installed("kafka"):
                from worker.brokers.kafka import KafkaTopic  # noqa: PLC0415 - an extra
            return KafkaTopic(place, address, spec.dead_letter or f"{place.topic}.dead")


def address_at(text: str, environ: Mapping[str, str]) -> str:
    """Return the address that stands in the profile, or where it says (``env:``, ``file:``).

    Raises:
        ConfigError: If there is none; never tells what is there.
    """
    kind, _, place = text.partition(":")
    readers: Mapping[str, Callable[[], str]] = {
        "env": lambda: environ[place],
        "file": lambda: Path(place).read_text(encoding="utf-8")[:ADDRESS_LIMIT],
    }
    if kind not in readers:
        return text
    try:
        found = readers[kind]().strip()
    except (KeyError, OSError, UnicodeDecodeError):
        found = ""
    if not found:
        raise ConfigError(
            f"the intake's address is to be read from {text}, and nothing is there",
            do="set the variable, or write the address into the file",
        )
    return found


@contextmanager
def installed(extra: str) -> Iterator[None]:
    """Say it when the extra is missing.

    Raises:
        ConfigError: If the broker's client is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").startswith(("worker", "jobs", "config")):
            raise
        raise ConfigError(
            f"the intake names a broker whose client is not installed ({error.name})",
            do=f"install plugwave with the extra `{extra}`",
        ) from None
