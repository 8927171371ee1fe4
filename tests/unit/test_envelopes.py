"""What a broker's message says, and the key that makes a redelivery the same job."""

import base64
from typing import Any

import orjson
import pytest

from jobs.intake.envelopes import Arrived, fitting, opened

REQUEST: dict[str, Any] = {"project_id": "p", "pool_name": "a", "plugin": {"name": "volcano"}}
EVENT = {"specversion": "1.0", "id": "7", "source": "/tickets", "type": "job.requested"}


def message(value: object, position: str | None = "redis:jobs:1-0", **headers: str) -> Arrived:
    """Return a message whose body is *value* as JSON; underscores in names are dashes."""
    told = {name.replace("_", "-"): text for name, text in headers.items()}
    return Arrived(body=orjson.dumps(value), headers=told, position=position)


def key_of(arrived: Arrived, key_from: str | None = None) -> object:
    """Return the key of the request in a message that holds one."""
    found = opened(arrived, key_from=key_from)
    assert found.problems == ()
    assert isinstance(found.value, dict)
    return found.value.get("idempotency_key")


@pytest.mark.parametrize(
    "arrived",
    [
        message(REQUEST),
        message({**EVENT, "data": REQUEST}, content_type="application/cloudevents+json"),
        message({**EVENT, "data": REQUEST}),
        message({**EVENT, "data_base64": base64.b64encode(orjson.dumps(REQUEST)).decode()}),
        message(REQUEST, **{f"ce-{name}": text for name, text in EVENT.items()}),
        message(REQUEST, **{f"cloudEvents:{name}": text for name, text in EVENT.items()}),
        Arrived(
            body=orjson.dumps(REQUEST),
            headers={f"ce_{name}": text for name, text in EVENT.items()},
            position="kafka:t:0:1",
        ),
    ],
    ids=["plain", "structured", "unannounced", "base64", "binary", "amqp", "kafka"],
)
def test_every_form_holds_the_same_request(arrived: Arrived) -> None:
    """Plain JSON and CloudEvents in all modes come to the same request, each with a key."""
    found = opened(arrived)

    assert found.problems == ()
    assert isinstance(found.value, dict)
    assert found.value.pop("idempotency_key")
    assert found.value == REQUEST


def test_the_key_is_what_the_profile_names_then_its_own_then_the_events_then_the_place() -> None:
    """The order in which keys win."""
    own = {**REQUEST, "idempotency_key": "own"}
    event = {**EVENT, "ticket": "ext-9", "data": own}

    assert key_of(message(event), "ticket") == "ext-9"
    assert key_of(message(event)) == "own"
    assert key_of(message({**event, "data": REQUEST})) == "/tickets 7"
    assert key_of(message(REQUEST)) == "redis:jobs:1-0"
    assert key_of(message(REQUEST, position=None)) is None


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("data.ticket", {**REQUEST, "ticket": 4711}),
        ("data.labels.ticket", {**REQUEST, "labels": {"ticket": "4711"}}),
        ("header.X-Ticket", REQUEST),
    ],
)
def test_a_key_is_found_where_the_profile_says(path: str, value: dict[str, Any]) -> None:
    """In a field, a label or a header; a field that no request has is taken out."""
    found = opened(message(value, x_ticket="4711"), key_from=path)

    assert isinstance(found.value, dict)
    assert found.value["idempotency_key"] == "4711"
    assert "ticket" not in found.value


@pytest.mark.parametrize(
    ("arrived", "path", "word"),
    [
        (Arrived(body=b"{"), None, "missing"),
        (Arrived(body=b"\xff\xfe"), None, "UTF-8"),
        (message([1]), None, "JSON object"),
        (message({**EVENT, "specversion": "0.3", "data": REQUEST}), None, "1.0"),
        (message({**EVENT, "id": "", "data": REQUEST}), None, "no id"),
        (message({**EVENT, "source": None, "data": REQUEST}), None, "no source"),
        (message({**EVENT, "data_base64": "%%%"}), None, "base64"),
        (message({**EVENT, "data_base64": 5}), None, "base64"),
        (message(EVENT), None, "no job request"),
        (message(REQUEST), "data.ticket", "data.ticket"),
        (message({**REQUEST, "ticket": True}), "data.ticket", "data.ticket"),
        (message(REQUEST), "subject", "subject"),
        (Arrived(body=b"[" * 300_000), None, "256 KiB"),
    ],
)
def test_what_holds_no_request_says_why(arrived: Arrived, path: str | None, word: str) -> None:
    """Each broken message has one reason, and never an exception."""
    [problem] = opened(arrived, key_from=path).problems

    assert word in problem.message + (problem.suggestion or "")


@pytest.mark.parametrize("text", ["é", "a\nb", "x" * 256, "\ud800"])
def test_a_key_that_cannot_be_one_is_replaced_by_its_digest(text: str) -> None:
    """The same text has the same key, and another text another."""
    assert fitting(text).startswith("sha256:")
    assert fitting(text) == fitting(text)
    assert fitting(text) != fitting(text + "!")
