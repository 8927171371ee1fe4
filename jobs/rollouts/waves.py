"""Cut the acting pools into waves.

Slices are cut in this order: waves that select by what is observed, then by count, then by
percent of the whole included fleet, then the rest; a pool belongs to the first that takes
it.  The order inside a wave is a stable hash of rollout and pool, so that no region and no
low number is always first.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Final

from jobs.errors import WavesError
from jobs.rollouts.observed import Observed
from jobs.rollouts.rounding import shares
from jobs.rollouts.strategy import Pick, Wave
from jobs.rollouts.targets import selects

NAMED_LEFTOVERS: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """One wave with its pools, in the order in which they start."""

    wave: Wave
    pools: tuple[Observed, ...]
    wanted: int | None = None
    """How many were asked for; None when the number was left open."""


def cut(waves: Sequence[Wave], acting: Sequence[Observed], included: int, name: str) -> list[Cut]:
    """Return the waves with their pools.

    Args:
        waves: As the manifest has them.
        acting: The pools on which something is to be done.
        included: How many pools the targets mean; percents are of these.
        name: The rollout's, which the order follows from.

    Raises:
        WavesError: If pools are left over.
    """
    left = {pool.key: pool for pool in sorted(acting, key=lambda one: _hash(name, one))}
    quotas = _quotas(waves, included)
    taken: dict[int, tuple[Observed, ...]] = {}
    for place in sorted(range(len(waves)), key=lambda place: (_turn(waves[place].pick), place)):
        pick = waves[place].pick
        taken[place] = _take(pick, quotas.get(place), list(left.values()))
        for pool in taken[place]:
            del left[pool.key]
    if left:
        raise _leftovers(list(left.values()))
    return [
        Cut(wave=wave, pools=taken[place], wanted=quotas.get(place))
        for place, wave in enumerate(waves)
    ]


def _turn(pick: Pick) -> int:
    if pick.selects:
        return 0
    if pick.count is not None or pick.per_region is not None:
        return 1
    return 2 if pick.percent is not None else 3


def _quotas(waves: Sequence[Wave], included: int) -> Mapping[int, int]:
    """Return how many pools each wave of a count or percent takes at most."""
    percents = {
        place: wave.pick.percent
        for place, wave in enumerate(waves)
        if wave.pick.percent is not None
    }
    counted = {
        place: wave.pick.count for place, wave in enumerate(waves) if wave.pick.count is not None
    }
    amounts = shares(included, list(percents.values()))
    return {**counted, **dict(zip(percents, amounts, strict=True))}


def _take(pick: Pick, quota: int | None, left: Sequence[Observed]) -> tuple[Observed, ...]:
    fit = [pool for pool in left if selects(pick, pool)]
    if pick.per_region is not None:
        regions = _by_region(fit)
        fit = _dealt([pools[: pick.per_region] for pools in regions])
    elif pick.spread == "region":
        fit = _dealt(_by_region(fit))
    return tuple(fit if quota is None else fit[:quota])


def _by_region(pools: Sequence[Observed]) -> list[list[Observed]]:
    found: dict[str, list[Observed]] = {}
    for pool in pools:
        found.setdefault(pool.target.region or "", []).append(pool)
    return list(found.values())


def _dealt(lists: Sequence[Sequence[Observed]]) -> list[Observed]:
    """Return the items of the lists in turns."""
    return [one for turn in zip_longest(*lists) for one in turn if one is not None]


def _hash(name: str, pool: Observed) -> bytes:
    return hashlib.sha256("\0".join((name, *pool.key)).encode()).digest()


def _leftovers(pools: Sequence[Observed]) -> WavesError:
    names = sorted("/".join(part for part in pool.key if part) for pool in pools)
    more = len(names) - NAMED_LEFTOVERS
    listed = "\n".join([*names[:NAMED_LEFTOVERS], *([f"and {more} more"] if more > 0 else [])])
    return WavesError(f"no wave takes {len(names)} of the pools:\n{listed}", pools=names)
