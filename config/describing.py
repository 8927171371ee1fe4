"""Settings as people read them: each key with its value and origin, and the reference page.

Secrets are never shown, not even their length; of a store's address only the password is
hidden.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from pydantic import SecretStr

from config.fields import is_duration
from config.keys import Key, all_keys, profile_keys, variable_of
from config.loading import DEFAULT, Loaded
from config.masking import mask_text

HIDDEN: Final = "set, not shown"
NONE: Final = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of `plugwave config show --origin`."""

    key: str
    value_text: str
    origin: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """One line of the settings page."""

    key: str
    variable: str
    default: str
    meaning: str


def describe(loaded: Loaded) -> list[Row]:
    """Return a row for each key in the order of the settings; safe to show to anybody."""
    rows: list[Row] = []
    for key in all_keys().values():
        value = getattr(getattr(loaded.settings, key.path[0]), key.path[1])
        if key.keyed and value:
            rows += [
                Row(key=name, value_text=_item_text(item), origin=loaded.origins[name])
                for name, item in ((f"{key.name}.{below}", value[below]) for below in sorted(value))
            ]
        else:
            text = value_text(key, value)
            rows.append(Row(key=key.name, value_text=text, origin=loaded.origins[key.name]))
    return rows + _profile_rows(loaded)


def _item_text(item: object) -> str:
    return ", ".join(item) if isinstance(item, tuple) else str(item)


def _profile_rows(loaded: Loaded) -> list[Row]:
    return [
        Row(
            key=key.name,
            value_text=value_text(key, getattr(profile, key.path[2])),
            origin=loaded.origins.get(key.name, DEFAULT),
        )
        for name, profile in sorted(loaded.settings.profiles.items())
        for key in profile_keys(name)
    ]


def settings_reference() -> list[Reference]:
    """Return every key with variable, default and meaning, for the settings page and its test."""
    return [
        Reference(
            key=".".join((*key.path, *_below(key))),
            variable=variable_of((*key.path, *_below(key))),
            default=_default_text(key),
            meaning=" ".join((key.field.description or "").split()),
        )
        for key in (*all_keys().values(), *profile_keys("NAME"))
    ]


def _below(key: Key) -> tuple[str, ...]:
    """Return what stands for the names below a key that has some."""
    return (str(_extra(key).get("below", "REGION")),) if key.keyed else ()


def value_text(key: Key, value: object) -> str:
    """Return *value* as a file would write it, secrets left out."""
    if isinstance(value, SecretStr):
        return mask_text(value.get_secret_value()) if _extra(key).get("address") else HIDDEN
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Enum):
        return str(value.value)
    if isinstance(value, float):
        return seconds_text(value) if is_duration(key.field) else f"{value:.12g}"
    if isinstance(value, int):
        return str(value)
    return str(value) if value else str(_extra(key).get("shown", NONE))


def seconds_text(seconds: float) -> str:
    """Return the duration as settings are written: exact, in one unit (``90s``, ``45m``, ``28ms``).

    `jobs.durations.format_duration` is for reading times and rounds; a setting is shown as it is.
    """
    if 0 < seconds < 1:
        return f"{seconds * 1000:.12g}ms"
    if seconds >= 120 and seconds % 60 == 0:
        return f"{seconds / 60:.0f}m"
    return f"{seconds:.12g}s"


def _default_text(key: Key) -> str:
    shown = _extra(key).get("shown")
    if shown is not None:
        return str(shown)
    return value_text(key, key.field.get_default(call_default_factory=True))


def _extra(key: Key) -> dict[str, Any]:
    extra = key.field.json_schema_extra
    return extra if isinstance(extra, dict) else {}
