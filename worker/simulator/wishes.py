"""What the body of a write asks for, read as strictly as the contract is written."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from worker.simulator.answers import WRONG_CONTENT_TYPE, Answer, bad_request, refusal
from worker.simulator.routes import Call, Place

MERGE_PATCH: Final = "application/merge-patch+json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """The plug-in a write is about; version and inputs are None when not given."""

    name: str
    version: str | None = None
    inputs: Mapping[str, Any] | None = field(default=None, repr=False)


def wish_of(place: Place, content_type: str, body: bytes) -> Wish | Answer:
    """Return what the write at *place* asks for, or the refusal of its body."""
    if place.call is Call.DELETE:
        return Wish(name=place.template or "")
    if place.call is Call.PATCH and not content_type.startswith(MERGE_PATCH):
        return refusal(400, WRONG_CONTENT_TYPE, "The content type is not supported.")
    try:
        told = orjson.loads(body)
    except ValueError:
        return bad_request("The body is not JSON.")
    return _read_create(told) if place.call is Call.CREATE else _read_patch(told, place)


def _read_create(told: object) -> Wish | Answer:
    template = _template_of(told)
    if not isinstance(told, dict) or template is None:
        return bad_request("spec.template must be an object.")
    # Fixed values; the documentation's field texts swap them, its example has them right.
    if told.get("apiVersion") != "v2" or told.get("kind") != "Plugin":
        return bad_request("apiVersion must be v2 and kind must be Plugin.")
    name = template.get("name")
    if not isinstance(name, str) or not name:
        return bad_request("spec.template.name is required.")
    return _read_rest(name, template)


def _read_patch(told: object, place: Place) -> Wish | Answer:
    template = _template_of(told)
    if template is None:
        return bad_request("spec.template must be an object.")
    # The documentation marks the name as required, yet its own example leaves it out.
    if template.get("name", place.template) != place.template:
        return bad_request("spec.template.name differs from the path.")
    return _read_rest(place.template or "", template)


def _read_rest(name: str, template: Mapping[str, Any]) -> Wish | Answer:
    version = template.get("version")
    inputs = template.get("inputs")
    if version is not None and not isinstance(version, str):
        return bad_request("spec.template.version must be a string.")
    if inputs is not None and not isinstance(inputs, dict):
        return bad_request("spec.template.inputs must be an object.")
    return Wish(name=name, version=version or None, inputs=inputs)


def _template_of(told: object) -> Mapping[str, Any] | None:
    spec = told.get("spec") if isinstance(told, dict) else None
    template = spec.get("template") if isinstance(spec, dict) else None
    return template if isinstance(template, dict) else None
