"""A plug-in's inputs as JSON trees: merged in full, compared by what we asked for.

The cloud resets every input that a request leaves out to the template's default, so what
is sent is always the full tree.  The cloud may add keys of its own to what it shows, so a
comparison asks only for the keys that were sent.
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeGuard

import orjson

from jobs.model import Inputs

PATHS_SHOWN: Final = 20
"""A diff names at most this many paths; the rest is counted by the reader."""


_LEAVES: Final = frozenset({str, int, float, bool, list, type(None)})


def _is_object(value: object) -> TypeGuard[Inputs]:
    """Whether it is a JSON object; `isinstance` of an abstract class costs ten exact looks."""
    kind = type(value)
    return kind is dict or (kind not in _LEAVES and isinstance(value, Mapping))


def merged(under: Inputs, over: Inputs | None) -> dict[str, Any]:
    """Return *under* with *over* laid on it, object by object; lists and scalars are replaced."""
    result = dict(under)
    for key, value in (over or {}).items():
        below: Any = result.get(key)
        if type(value) is not str and _is_object(value) and _is_object(below):
            result[key] = merged(below, value)
        else:
            result[key] = value
    return result


def contains(shown: Any, asked: Any) -> bool:  # noqa: ANN401 - any JSON value
    """Whether *shown* has everything that *asked* names; keys beyond that are the cloud's own.

    JSON values are compared as JSON does: ``true`` is not ``1``, ``1`` equals ``1.0``.
    """
    kind = type(asked)  # exact types first, as most are
    if kind is str or (kind is int and type(shown) is int):
        return bool(shown == asked)
    if _is_object(asked):
        return _is_object(shown) and _has_all(shown, asked)
    if kind is list:
        return (
            isinstance(shown, list)
            and len(shown) == len(asked)
            and all(contains(mine, theirs) for mine, theirs in zip(shown, asked, strict=True))
        )
    if kind is bool or isinstance(shown, bool):
        return asked is shown
    return bool(shown == asked)


def _has_all(shown: Inputs, asked: Inputs) -> bool:
    for key, value in asked.items():
        if key not in shown:
            return False
        mine = shown[key]
        if type(value) is str:  # spares the calls; most leaves are text
            if mine != value:
                return False
        elif not contains(mine, value):
            return False
    return True


def changed_paths(before: Inputs | None, after: Inputs | None) -> Sequence[str]:
    """Return the dotted paths at which *after* differs from *before*, sorted, values left out."""
    paths: list[str] = []
    _collect(before or {}, after or {}, "", paths)
    return tuple(sorted(paths)[:PATHS_SHOWN])


def _collect(before: Inputs, after: Inputs, prefix: str, paths: list[str]) -> None:
    for key in before.keys() | after.keys():
        path = f"{prefix}{key}"
        mine, theirs = before.get(key), after.get(key)
        if type(mine) is not str and _is_object(mine) and _is_object(theirs):
            _collect(mine, theirs, f"{path}.", paths)
        elif (key in before) != (key in after) or not equal(mine, theirs):
            paths.append(path)


def equal(mine: Any, theirs: Any) -> bool:  # noqa: ANN401 - any JSON value
    """Whether two JSON values are the same."""
    return contains(mine, theirs) and contains(theirs, mine)


def inputs_digest(inputs: Inputs) -> str:
    """Return the SHA-256 (hex) of the canonical JSON of inputs."""
    return hashlib.sha256(orjson.dumps(inputs, option=orjson.OPT_SORT_KEYS)).hexdigest()
