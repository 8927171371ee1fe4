"""What a broker's message says: a CloudEvent or plain JSON becomes a job request and its key.

CloudEvents 1.0 in structured mode (the whole event is the body) and in binary mode (the
attributes are headers).  Anything else is the JSON of one request, as a line of a file.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from jobs.intake.lines import RECORD_LIMIT_BYTES
from jobs.requests import JobRequestBody, Problem, quoted
from jobs.requests.strictjson import JsonError, loads

KEY_FIELD: Final = "idempotency_key"

_PREFIX: Final = re.compile(r"(?:ce[-_]|cloudevents[:_])", re.IGNORECASE)
_REQUIRED: Final = ("specversion", "id", "source", "type")
_PLAIN_KEY: Final = re.compile(r"[\x20-\x7e]{1,255}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrived:
    """A message as a broker gave it.

    Attributes:
        body: Its bytes; they may hold secrets.
        headers: By their names in lower case.
        position: Where the broker keeps it; the same however often it is delivered, and
            unlike any other's.  None where the broker has nothing of the kind.
        key: The idempotency key that came beside it; it counts before all others.
        source: Who asks; None where that is the intake.
    """

    body: bytes = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    position: str | None = None
    key: str | None = None
    source: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """What a message says.

    Attributes:
        value: The job request as JSON; None when none could be read.
        problems: Why none could be read, or why it has no key.
    """

    value: object = field(default=None, repr=False)
    problems: tuple[Problem, ...] = ()


class _BrokenError(Exception):
    def __init__(self, path: str, message: str, do: str | None = None) -> None:
        super().__init__(message)
        self.problem = Problem(path=path, message=message, suggestion=do)


def opened(message: Arrived, *, key_from: str | None = None) -> Opened:
    """Return the request of *message*, with an idempotency key wherever there can be one.

    The key is, in this order: what *key_from* names, or came beside it; the request's own;
    (source, id) of a CloudEvent; the message's position.  So a message that is delivered again
    is no new job.

    Args:
        message: As it came.
        key_from: ``data.FIELD``, ``data.labels.NAME``, ``header.NAME`` or an attribute of
            the event.  A field of the data that a request does not have is taken out of it.
    """
    try:
        attributes, data = _event(message)
        value = dict(_mapping(data))
        key = _named_key(key_from, attributes, value, message) if key_from else message.key
    except _BrokenError as error:
        return Opened(problems=(error.problem,))
    if key is None and value.get(KEY_FIELD) is None:
        key = _event_key(attributes) or message.position
    if key is not None:
        value[KEY_FIELD] = key
    return Opened(value=value)


def _event(message: Arrived) -> tuple[Mapping[str, Any], object]:
    """Return the attributes of the event, none for plain JSON, and its data."""
    attributes = {
        _PREFIX.sub("", name, count=1): text
        for name, text in message.headers.items()
        if _PREFIX.match(name)
    }
    body = _json(message.body)
    if "specversion" in attributes:
        return _checked(attributes), body
    announced = message.headers.get("content-type", "").startswith("application/cloudevents")
    if not announced and not (isinstance(body, Mapping) and "specversion" in body):
        return {}, body
    whole = _mapping(body)
    return _checked(whole), _data(whole)


def _checked(attributes: Mapping[str, Any]) -> Mapping[str, Any]:
    for name in _REQUIRED:
        found = attributes.get(name)
        if not isinstance(found, str) or not found:
            raise _BrokenError(name, f"the CloudEvent has no {name}")
    if attributes["specversion"] != "1.0":
        shown = quoted(str(attributes["specversion"]))
        raise _BrokenError("specversion", f"CloudEvents {shown} is not read", "send version 1.0")
    return attributes


def _data(event: Mapping[str, Any]) -> object:
    packed = event.get("data_base64")
    if packed is None:
        return event.get("data")
    try:
        return _json(base64.b64decode(packed, validate=True))
    except (TypeError, ValueError, binascii.Error):
        raise _BrokenError("data_base64", "data_base64 is no base64") from None


def _json(raw: bytes) -> object:
    if len(raw) > RECORD_LIMIT_BYTES:
        size = f"is longer than {RECORD_LIMIT_BYTES // 1024} KiB"
        raise _BrokenError("", f"the message {size}")
    try:
        return loads(raw)
    except JsonError as error:
        found = error.problem
    raise _BrokenError("", found.message, found.suggestion)


def _mapping(data: object) -> Mapping[str, Any]:
    if isinstance(data, Mapping):
        return data
    raise _BrokenError("data", "the message holds no job request, which is a JSON object")


def _named_key(
    path: str, attributes: Mapping[str, Any], value: dict[str, Any], message: Arrived
) -> str:
    """Return the key that stands at *path*; a foreign top-level field is taken out of *value*."""
    first, _, rest = path.partition(".")
    found: object
    if first == "header":
        found = message.headers.get(rest.lower())
    elif first == "data":
        found = _walk(value, rest.split("."))
        if "." not in rest and rest not in JobRequestBody.model_fields:
            value.pop(rest, None)
    else:
        found = attributes.get(path)
    if isinstance(found, int) and not isinstance(found, bool):
        found = str(found)
    if not isinstance(found, str) or not found:
        raise _BrokenError(path, f"there is no key at {path}, which idempotency.from names")
    return fitting(found)


def _walk(value: object, names: list[str]) -> object:
    for name in names:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def _event_key(attributes: Mapping[str, Any]) -> str | None:
    """Return the key of (source, id), which CloudEvents promise to be one event's alone."""
    if not attributes:
        return None
    return fitting(f"{attributes['source']} {attributes['id']}")


def fitting(text: str) -> str:
    """Return *text* as an idempotency key: itself where it may be one, else its digest."""
    if _PLAIN_KEY.fullmatch(text):
        return text
    return "sha256:" + hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
