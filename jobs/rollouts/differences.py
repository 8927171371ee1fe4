"""What changes in a pool's inputs: dotted paths, with texts that may be shown.

Inputs may hold secrets, and this package does not know which; so the caller hands in what
masks them, and nothing else of the values leaves this module.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

import orjson

from jobs.inputs import changed_paths
from jobs.model import Inputs

Mask = Callable[[Inputs], Mapping[str, Any]]
"""Returns the same tree with secrets masked, its keys in the same order."""

TEXT_LIMIT: Final = 60  # characters of one value
ABSENT: Final = "-"
HIDDEN: Final = "***"


def input_changes(
    before: Inputs | None, after: Inputs | None, mask: Mask
) -> list[tuple[str, str, str]]:
    """Return path, text before and text after for each path that differs, sorted.

    ``-`` stands for a key that is not there.
    """
    paths = changed_paths(before, after)
    old, new = _texts(before, mask), _texts(after, mask)
    return [(path, old.get(path, ABSENT), new.get(path, ABSENT)) for path in paths]


def _texts(inputs: Inputs | None, mask: Mask) -> dict[str, str]:
    """Return the text of every node of the tree by its dotted path."""
    found: dict[str, str] = {}
    if inputs:
        _collect(inputs, mask(inputs), "", found)
    return found


def _collect(raw: Inputs, masked: Mapping[str, Any], prefix: str, found: dict[str, str]) -> None:
    # The mask may clean keys; where two become one, nobody can tell them apart any more.
    pairs = (
        zip(raw.items(), masked.values(), strict=False)
        if len(raw) == len(masked)
        else ((item, HIDDEN) for item in raw.items())
    )
    for (key, value), shown in pairs:
        path = f"{prefix}{key}"
        found[path] = _text(shown)
        if isinstance(value, Mapping) and isinstance(shown, Mapping):
            _collect(value, shown, f"{path}.", found)


def _text(value: object) -> str:
    text = value if isinstance(value, str) and not value.isdecimal() else _json(value)
    return text if len(text) <= TEXT_LIMIT else text[: TEXT_LIMIT - 1] + "…"


def _json(value: object) -> str:
    return orjson.dumps(value).decode()
