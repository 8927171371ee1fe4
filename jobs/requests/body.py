"""The job request as callers write it: a closed pydantic model.

One shape for a line of a file, an HTTP body and a broker message.  The model checks every
field alone; `jobs.requests.parsing` turns it into a `JobRequest` and its complaints into
`Problem`s.  A field that is null counts as left out.
"""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PlainValidator
from pydantic_core import PydanticCustomError

from jobs.durations import format_duration, parse_duration
from jobs.model import InputsBase
from jobs.requests.naming import NAME, PROJECT, REGION, VERSION, Naming, explain
from jobs.requests.problems import quoted

DEADLINE_MIN_S: Final = 1.0
DEADLINE_MAX_S: Final = 30 * 86_400.0
PRIORITY_LIMIT: Final = 1000
MAX_LABELS: Final = 64
LABEL_KEY_LIMIT: Final = 128  # characters
LABEL_VALUE_LIMIT: Final = 256  # characters

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_INSTANT: Final = re.compile(
    r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(?:\.\d{1,9})?(?P<offset>[Zz]|[+-]\d\d:\d\d)?", re.ASCII
)
_KEY: Final = re.compile(r"[\x20-\x7e]{1,255}")
_UNSEEN: Final = re.compile(
    "[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)
"""Controls, line separators and direction marks: what can make a log line or page lie."""


def complaint(message: str, suggestion: str | None = None) -> PydanticCustomError:
    """Return a finding in our own words, which pass through pydantic unchanged."""
    facts = {"message": message, "suggestion": suggestion}
    return PydanticCustomError("complaint", "not acceptable", facts)


def _name_check(path: str, naming: Naming) -> Callable[[str], str]:
    accepts = naming.accepts

    def check(text: str) -> str:
        if accepts(text):
            return text
        raise complaint(*explain(path, text, naming))

    return check


def _check_key(text: str) -> str:
    if _KEY.fullmatch(text) is None:
        found = next((char for char in text if not " " <= char <= "~"), None)
        what = f"has {len(text)} characters" if found is None else f"holds U+{ord(found):04X}"
        raise complaint(f"idempotency_key {what}; it is 1 to 255 printable ASCII characters")
    return text


def _instant_us(value: object) -> int | None:
    if value is None:
        return None
    match = _INSTANT.fullmatch(value) if isinstance(value, str) else None
    if match is None or not isinstance(value, str):
        shown = f" {quoted(value)}" if isinstance(value, str) else ""
        raise complaint(f"not_before{shown} is no time", "write it as 2026-11-24T01:00:00Z")
    if match["offset"] is None:
        raise complaint(
            f"not_before {quoted(value)} has no offset", "end it with Z for UTC, or with +08:00"
        )
    try:
        return (datetime.fromisoformat(value.upper()) - _EPOCH) // _MICROSECOND
    except ValueError as error:
        raise complaint(f"not_before {quoted(value)} is no time: {error}") from None


def _deadline_s(value: object) -> float | None:
    if value is None:
        return None
    if not isinstance(value, str | int | float):
        raise complaint("deadline must be a duration", "write it as 45m, 90s or 1h30m")
    try:
        seconds = parse_duration(value)
    except ValueError as error:
        raise complaint(f"deadline: {error}") from None
    if not DEADLINE_MIN_S <= seconds <= DEADLINE_MAX_S:
        shown = format_duration(min(seconds, 1e12))
        raise complaint(f"deadline {shown} is out of range; it is 1s to 30d")
    return seconds


def _check_labels(labels: dict[str, str]) -> dict[str, str]:
    if len(labels) > MAX_LABELS:
        raise complaint(f"{len(labels)} labels are more than {MAX_LABELS}")
    for key, value in labels.items():
        if not 0 < len(key) <= LABEL_KEY_LIMIT:
            size = f"has {len(key)} characters"
            raise complaint(f"the name of label {quoted(key)} {size}; it is 1 to {LABEL_KEY_LIMIT}")
        if len(value) > LABEL_VALUE_LIMIT:
            size = f"has {len(value)} characters"
            raise complaint(f"label {quoted(key)} {size}; at most {LABEL_VALUE_LIMIT} are kept")
        found = _UNSEEN.search(key) or _UNSEEN.search(value)
        if found:
            code = f"U+{ord(found[0]):04X}"
            raise complaint(f"label {quoted(key)} holds the control character {code}")
    return labels


ProjectId = Annotated[str, AfterValidator(_name_check("project_id", PROJECT))]
PoolName = Annotated[str, AfterValidator(_name_check("pool_name", NAME))]
Region = Annotated[str, AfterValidator(_name_check("region", REGION))]
ProfileName = Annotated[str, AfterValidator(_name_check("profile", NAME))]
TemplateName = Annotated[str, AfterValidator(_name_check("plugin.name", NAME))]
Version = Annotated[str, AfterValidator(_name_check("plugin.version", VERSION))]
Key = Annotated[str, AfterValidator(_check_key)]
Priority = Annotated[int, Field(ge=-PRIORITY_LIMIT, le=PRIORITY_LIMIT)]
Labels = Annotated[dict[str, str], AfterValidator(_check_labels)]
Instant = Annotated[int | None, PlainValidator(_instant_us, json_schema_input_type=str | None)]
Seconds = Annotated[
    float | None, PlainValidator(_deadline_s, json_schema_input_type=str | float | None)
]


class Closed(BaseModel):
    """A body: closed, strict, and silent about what was typed in wrongly."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        hide_input_in_errors=True,
        use_attribute_docstrings=True,
    )


class PluginBody(Closed):
    """Which plug-in, and how it should be."""

    name: TemplateName
    """The plug-in's template name, such as node-local-dns."""

    version: Version | None = None
    """The wanted version, as text; without it the newest offered one is taken."""

    inputs: Annotated[dict[str, Any] | None, Field(repr=False)] = None
    """Install parameters, merged over `base`; at most 64 KiB and 20 levels."""

    base: Annotated[InputsBase | None, Field(strict=False)] = None
    """What the inputs start from: current (the default), template or empty."""


class JobRequestBody(Closed):
    """One job request: one pool and one plug-in change."""

    project_id: ProjectId
    """The project the pool belongs to."""

    pool_name: PoolName
    """The resource pool's name, as in its metadata."""

    region: Region | None = None
    """The region, such as cn-north-4; without it the configured one is taken."""

    profile: ProfileName | None = None
    """The account to send as, by the name of its profile; without it the selected one, else the
    worker's own. Never a credential."""

    plugin: PluginBody
    """The plug-in change."""

    idempotency_key: Key | None = None
    """1 to 255 printable ASCII characters; the same key and content is the same job."""

    priority: Priority | None = None
    """Higher goes first within a project, -1000 to 1000; 0 without it."""

    not_before: Instant = None
    """Earliest start, RFC 3339 with an offset, such as 2026-11-24T01:00:00Z."""

    deadline: Seconds = None
    """From first claim to final state, such as 45m; 1s to 30d."""

    labels: Labels | None = None
    """Up to 64 texts that go into every result line, such as a change number."""


TOP_FIELDS: Final = tuple(JobRequestBody.model_fields)
PLUGIN_FIELDS: Final = tuple(PluginBody.model_fields)

EXPECTED: Final[Mapping[str, str]] = {
    **dict.fromkeys((*TOP_FIELDS, *(f"plugin.{name}" for name in PLUGIN_FIELDS)), "text"),
    "plugin": 'an object such as {"name": "node-local-dns"}',
    "plugin.inputs": "an object",
    "plugin.base": f"one of {', '.join(InputsBase)}",
    "priority": f"a whole number from -{PRIORITY_LIMIT} to {PRIORITY_LIMIT}",
    "labels": "an object of texts",
}
"""What each field must be, for messages: ``priority must be a whole number …``."""
