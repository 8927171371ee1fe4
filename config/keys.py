"""Every key an operator can set, found from the settings themselves, and the nearest to a typo.

A key is written ``cloud.rate`` in files and on pages and ``PLUGWAVE_CLOUD__RATE`` in the
environment.  ``cloud.endpoints``, ``fairness.weights`` and ``approvals.groups`` have names of
their own below them:
``cloud.endpoints.cn-north-4`` is ``PLUGWAVE_CLOUD__ENDPOINTS__CN_NORTH_4``.  ``profiles`` is
the one section with names of its own: ``profiles.prod.region`` is
``PLUGWAVE_PROFILES__PROD__REGION``.
"""

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Final, get_args, get_origin

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from config.profiles import PROFILES, ProfileSettings
from config.settings import sections

KeyPath = tuple[str, ...]

PREFIX: Final = "PLUGWAVE_"

PROFILE_VARIABLE: Final = "PLUGWAVE_PROFILE"
PROFILE_KEY: Final = ("cloud", "profile")
"""The short name of the variable for the selected profile, and the key that it sets."""

OTHER_VARIABLES: Final = frozenset(
    {"PLUGWAVE_CONFIG", "PLUGWAVE_SERVER", PROFILE_VARIABLE, "PLUGWAVE_NO_COLOR"}
)
"""Variables with our prefix that stand for global options, not for settings."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """One key: *keyed* has names of its own below it, *secret* is never shown."""

    path: KeyPath
    field: FieldInfo
    secret: bool
    keyed: bool

    @property
    def name(self) -> str:
        """The key as files and pages write it."""
        return ".".join(self.path)

    @property
    def variable(self) -> str:
        """The environment variable that sets it."""
        return variable_of(self.path)


def variable_of(path: KeyPath) -> str:
    """Return the environment variable for a key's path."""
    return PREFIX + "__".join(part.replace("-", "_") for part in path).upper()


@cache
def all_keys() -> Mapping[KeyPath, Key]:
    """Return every key by its path, in the order of the settings."""
    return MappingProxyType(
        {
            (section, name): Key(
                path=(section, name),
                field=field,
                secret=_mentions(field.annotation, SecretStr),
                keyed=_mentions(field.annotation, Mapping),
            )
            for section, model in sections().items()
            for name, field in model.model_fields.items()
        }
    )


def profile_keys(name: str) -> list[Key]:
    """Return the keys of the profile *name*."""
    return [
        Key(path=(PROFILES, name, key), field=field, secret=False, keyed=False)
        for key, field in ProfileSettings.model_fields.items()
    ]


def _mentions(annotation: object, wanted: type) -> bool:
    if annotation is wanted or get_origin(annotation) is wanted:
        return True
    return any(_mentions(part, wanted) for part in get_args(annotation))


def find_key(path: KeyPath) -> Key | None:
    """Return the key that *path* sets, itself or by a name below it; None if there is none."""
    if path[0] == PROFILES and len(path) == 3:
        return next((key for key in profile_keys(path[1]) if key.path == path), None)
    key = all_keys().get(path)
    if key is not None:
        return key
    above = all_keys().get(path[:-1])
    return above if above is not None and above.keyed else None


def path_of_variable(variable: str) -> KeyPath | None:
    """Return the path that the variable sets, None if it is no setting's."""
    parts = variable.removeprefix(PREFIX).split("__")
    if variable != variable.upper() or not all(parts):
        return None
    path = tuple(part.lower() for part in parts)
    key = find_key(path)
    if key is not None and len(path) > len(key.path):
        # Regions have dashes, variables cannot.
        return (*key.path, path[-1].replace("_", "-"))
    return path if key is not None else None


def suggestion(wrong: str, known: Iterable[str]) -> str:
    """Return `` — did you mean 'KEY'?`` for the known name nearest to *wrong*, or nothing."""
    names = list(known)
    exact = [name for name in names if _plain(name) == _plain(wrong)]
    same_end = [name for name in names if _last(name) == _last(wrong)]
    by_plain = {_plain(name): name for name in reversed(names)}
    near = difflib.get_close_matches(_plain(wrong), by_plain, n=1, cutoff=0.75)
    found = exact or (same_end if len(same_end) == 1 else []) or [by_plain[name] for name in near]
    return f" — did you mean {found[0]!r}?" if found else ""


def _plain(name: str) -> str:
    """Return the name without what typists get wrong: case, dashes, underscores, dots."""
    return "".join(character for character in name.lower() if character.isalnum())


def _last(name: str) -> str:
    tail = name.removeprefix(PREFIX).replace("__", ".").rsplit(".", 1)[-1]
    return _plain(tail)
