"""The two symbol sets: one sign for each state, and the small drawing parts.

A sign never stands without its word; the ASCII set serves terminals that are not UTF-8.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from jobs.states import JobState


@dataclass(frozen=True, slots=True, kw_only=True)
class Symbols:
    """One sign for each state; *full* and *empty* draw bars, *more* marks a cut text."""

    states: Mapping[JobState, str]
    full: str
    empty: str
    more: str
    arrow: str


_SIGNS: Final[Mapping[JobState, tuple[str, str]]] = MappingProxyType(
    {
        JobState.WAITING: ("⏳", "~"),
        JobState.READY: ("·", "."),
        JobState.CHECKING: ("▶", ">"),
        JobState.SENDING: ("▶", ">"),
        JobState.UNKNOWN: ("▶", ">"),
        JobState.WATCHING: ("▶", ">"),
        JobState.SUCCEEDED: ("✓", "ok"),
        JobState.UNCHANGED: ("=", "="),
        JobState.FAILED: ("✗", "X"),
        JobState.UNRESOLVED: ("?", "?"),
        JobState.SKIPPED: ("\N{EN DASH}", "-"),
        JobState.CANCELLED: ("\N{EN DASH}", "-"),
    }
)

UNICODE: Final = Symbols(
    states=MappingProxyType({state: signs[0] for state, signs in _SIGNS.items()}),
    full="█",
    empty="·",
    more="…",
    arrow="→",
)
ASCII: Final = Symbols(
    states=MappingProxyType({state: signs[1] for state, signs in _SIGNS.items()}),
    full="#",
    empty=".",
    more="...",
    arrow="->",
)
