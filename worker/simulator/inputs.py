"""A plug-in's inputs: what the template makes of those that are not given.

The documentation says that every input must be sent again and that a missing one takes
the template's default; how deep that goes it does not say.  Here it goes to every leaf.
"""

import hashlib
from collections.abc import Mapping
from functools import cache
from typing import Any, Final

import orjson

from worker.simulator.catalogue import CATALOGUE, Template

_FLAVOR: Final = "flavor"


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Return *base* with every leaf that *over* has; lists are leaves, neither is changed."""
    result = dict(base)
    for key, value in over.items():
        below = result.get(key)
        if isinstance(below, Mapping) and isinstance(value, Mapping):
            result[key] = merged(below, value)
        else:
            result[key] = value
    return result


@cache
def defaults(name: str) -> Mapping[str, Any]:
    """Return what an install without inputs gives the plug-in called *name*."""
    result: dict[str, Any] = {}
    for key, value in CATALOGUE[name].parameters.items():
        if not key.startswith(_FLAVOR):
            result[key] = value
        elif value.get("is_default"):
            result[_FLAVOR] = {field: value[field] for field in value if field != "is_default"}
    return result


def altered(template: Template, pool_name: str) -> dict[str, Any]:
    """Return inputs that are not the defaults and belong to that pool alone."""
    mark: Any = f"{pool_name}.internal"
    for key in reversed(template.marker):
        mark = {key: mark}
    return merged(merged(defaults(template.name), template.altered), mark)


def digest(inputs: Mapping[str, Any] | None) -> str | None:
    """Return the SHA-256 (hex) of the inputs as compact JSON with sorted keys, None for none."""
    if inputs is None:
        return None
    return hashlib.sha256(orjson.dumps(inputs, option=orjson.OPT_SORT_KEYS)).hexdigest()
