"""Which version is meant: an exact one, the newest, the newest of a range, one for all pools.

Versions are free text.  What is newer is told by their order on offer (newest first); only
ranges and versions that are not on offer any more are compared by their numbers, and where
these do not tell, nobody guesses.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from jobs.names import is_version

LATEST: Final = "latest"
CONSISTENT: Final = "consistent"

_BOUND: Final = re.compile(r"\s*(>=|<=|>|<|==|!=)\s*([A-Za-z0-9._+-]{1,128})\s*", re.ASCII)
_PIECE: Final = re.compile(r"[0-9]+|[A-Za-z]+", re.ASCII)


class Order(StrEnum):
    """How one version stands to another."""

    OLDER = "older"
    SAME = "same"
    NEWER = "newer"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class VersionRange:
    """Bounds that all must hold, as ``>=1.3,<2`` writes them."""

    bounds: tuple[tuple[str, str], ...]

    def holds(self, version: str) -> bool:
        """Whether *version* is within; one that cannot be compared is not."""
        return all(_within(version, sign, bound) for sign, bound in self.bounds)


def parse_range(text: str) -> VersionRange | None:
    """Return the range that *text* writes, None if it writes none."""
    parts = [_BOUND.fullmatch(part) for part in text.split(",")]
    found = tuple((part[1], part[2]) for part in parts if part is not None)
    complete = len(found) == len(parts) and all(is_version(bound) for _, bound in found)
    return VersionRange(found) if complete else None


def is_version_wish(text: str) -> bool:
    """Whether *text* is an exact version, a range, or one of the two words."""
    return is_version(text) or parse_range(text) is not None


def _within(version: str, sign: str, bound: str) -> bool:
    order = compared(version, bound)
    match sign:
        case ">=":
            return order in {Order.SAME, Order.NEWER}
        case "<=":
            return order in {Order.SAME, Order.OLDER}
        case ">":
            return order is Order.NEWER
        case "<":
            return order is Order.OLDER
        case "==":
            return order is Order.SAME
        case _:
            return order in {Order.OLDER, Order.NEWER}


def compared(one: str, other: str) -> Order:
    """Say how *one* stands to *other* by their numbers alone.

    Pieces are compared from the left: numbers as numbers, words only for equality.  What is
    missing counts as 0, so ``1.6`` is ``1.6.0``; a word that the other one lacks (``-rc1``)
    makes the two incomparable, because vendors use such words for both older and newer ones.
    """
    if one == other:
        return Order.SAME
    mine, theirs = _pieces(one), _pieces(other)
    for place in range(max(len(mine), len(theirs))):
        left = mine[place] if place < len(mine) else 0
        right = theirs[place] if place < len(theirs) else 0
        if left == right:
            continue
        if isinstance(left, str) or isinstance(right, str):
            return Order.UNKNOWN
        return Order.NEWER if left > right else Order.OLDER
    return Order.SAME


def _pieces(version: str) -> list[int | str]:
    found: list[int | str] = [
        int(piece) if piece.isdigit() else piece.lower() for piece in _PIECE.findall(version)
    ]
    return found[1:] if found[:1] == ["v"] else found


def direction(installed: str, wanted: str, offers: Sequence[str]) -> Order:
    """Say how *wanted* stands to what is *installed*: by the order on offer, else by numbers."""
    if installed == wanted:
        return Order.SAME
    if installed in offers and wanted in offers:
        newer = offers.index(wanted) < offers.index(installed)
        return Order.NEWER if newer else Order.OLDER
    return compared(wanted, installed)


def is_exact(wish: str) -> bool:
    """Whether a version wish names one version."""
    return wish not in {LATEST, CONSISTENT} and is_version(wish)


def resolved(wish: str, offers: Sequence[str]) -> str | None:
    """Return the version that *wish* means on a pool with these *offers*, newest first.

    None when nothing on offer is meant.  An exact version is meant only where it is offered.
    """
    if wish in {LATEST, CONSISTENT}:
        return offers[0] if offers else None
    bounds = parse_range(wish)
    if bounds is not None and not is_version(wish):
        return next((version for version in offers if bounds.holds(version)), None)
    return wish if wish in offers else None


def newest_common(offers: Iterable[Sequence[str]]) -> str | None:
    """Return the newest version that every pool offers; None when there is none, or no pool.

    Newest by the order of the first pool's offers.
    """
    lists = list(offers)
    if not lists:
        return None
    shared = set(lists[0]).intersection(*lists[1:])
    return next((version for version in lists[0] if version in shared), None)


def installed_matches(wish: str, installed: str | None) -> bool:
    """Whether what is installed is what a selector asks for: a version, a range or ``absent``."""
    if wish == "absent":
        return installed is None
    if installed is None:
        return False
    bounds = parse_range(wish)
    if wish == "any":
        return True
    return installed == wish if bounds is None or is_version(wish) else bounds.holds(installed)
