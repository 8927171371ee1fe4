"""Which receiver a sink's file names: the one place that makes it."""

import os
from functools import partial
from pathlib import Path

from jobs.clock import Clock
from jobs.errors import ConfigError
from jobs.intake.profile import KafkaPlace, NatsPlace, RabbitPlace, RedisPlace
from jobs.outbox.profile import SinkProfile
from worker.brokers.choosing import address_at, installed
from worker.sinks.places import BrokerReceiver, FileReceiver
from worker.sinks.receiving import Receiver


def receiver_of(profile: SinkProfile, clock: Clock) -> Receiver:
    """Return the receiver, not yet opened.

    Raises:
        ConfigError: If its client is not installed, or its address cannot be read or called.
    """
    spec = profile.spec
    if spec.to.webhook is not None:
        with installed("webhooks"):
            from worker.sinks.webhook import WebhookReceiver  # noqa: PLC0415 - an extra
        return WebhookReceiver(spec.to.webhook, clock, batched=spec.batch > 1)
    if spec.to.file is not None:
        return FileReceiver(Path(spec.to.file.path))
    place = spec.to.nats or spec.to.rabbitmq or spec.to.redis or spec.to.kafka
    assert place is not None  # the model takes exactly one
    return _broker(place)


def _broker(place: NatsPlace | RabbitPlace | RedisPlace | KafkaPlace) -> BrokerReceiver:
    address = address_at(place.url, os.environ)
    match place:
        case NatsPlace():
            if place.subject is None:
                what = "spec.to.nats has no subject"
                raise ConfigError(what, do="name the subject that events are published to")
            with installed("nats"):
                from worker.brokers import jetstream  # noqa: PLC0415 - an extra
            return BrokerReceiver("nats", partial(jetstream.publish, place, address))
        case RabbitPlace():
            with installed("rabbitmq"):
                from worker.brokers import rabbitmq  # noqa: PLC0415 - an extra
            return BrokerReceiver("rabbitmq", partial(rabbitmq.publish, place, address))
        case RedisPlace():
            with installed("redis"):
                from worker.brokers import redis_streams  # noqa: PLC0415 - an extra
            return BrokerReceiver("redis", partial(redis_streams.publish, place, address))
        case KafkaPlace():
            with installed("kafka"):
                from worker.brokers import kafka  # noqa: PLC0415 - an extra
            return BrokerReceiver("kafka", partial(kafka.publish, place, address))
