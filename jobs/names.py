"""Which names may go into a URL: an allow-list, because encoding does not stop path escape.

Percent-encoding leaves dots alone and URL libraries fold them, so a pool called ``..``
would address another resource (reliability notes, finding 8).  What passes here is sent
as it stands; the finished URL is checked once more before sending (`worker.modelarts.urls`).
"""

import re
from typing import Final

PROJECT_PATTERN: Final = r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$"
"""Real project ids are 32 hex digits; private clouds and simulators use other plain ids."""

NAME_PATTERN: Final = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$"
"""Pools and plug-in templates.  The documented minimum of 36 is broken by its own examples."""

REGION_PATTERN: Final = r"^[a-z0-9][a-z0-9-]{0,63}$"
VERSION_PATTERN: Final = r"^[A-Za-z0-9][A-Za-z0-9._+-]{0,127}$"
"""Versions are free text (dates, dashes) and never parsed for equality."""

_PROJECT: Final = re.compile(PROJECT_PATTERN, re.ASCII)
_NAME: Final = re.compile(NAME_PATTERN, re.ASCII)
_REGION: Final = re.compile(REGION_PATTERN, re.ASCII)
_VERSION: Final = re.compile(VERSION_PATTERN, re.ASCII)


def is_project(text: str) -> bool:
    """Whether *text* may stand in a URL as the project id."""
    return _PROJECT.fullmatch(text) is not None


def is_name(text: str) -> bool:
    """Whether *text* may stand in a URL as a pool or template name."""
    return _NAME.fullmatch(text) is not None and ".." not in text


def is_region(text: str) -> bool:
    """Whether *text* may be part of an endpoint's host name."""
    return _REGION.fullmatch(text) is not None


def is_version(text: str) -> bool:
    """Whether *text* is a plausible version."""
    return _VERSION.fullmatch(text) is not None
