"""Whether a pool is still as a job has left it: what a later look at it means; pure.

While it is being changed nothing is said: it will be looked at again.  Inputs are compared by
their digest as they were shown when the job had settled, so that what the cloud adds is no
change.
"""

from dataclasses import dataclass
from typing import Final

from jobs.inputs import inputs_digest
from jobs.model import PluginSeen
from jobs.store.rollouts import Deed

BAKE_LOOKS: Final = 4
"""How often each pool is looked at during a bake, if that is not more often than MOST_OFTEN_S."""

MOST_OFTEN_S: Final = 30.0
LEAST_OFTEN_S: Final = 300.0
PASSED_EVERY_S: Final = 1800.0
"""How often pools of a wave that bakes, and of one that is through, are looked at."""

READS_PER_S: Final = 0.5
"""Looks at one wave in a second at most, however many pools it has."""


@dataclass(frozen=True, slots=True)
class Turned:
    """How a pool turned bad; *drift* when somebody else has changed it."""

    text: str
    drift: bool


def look_every_s(size: int, bake_s: float | None) -> float:
    """Return the time in which each pool of a wave is looked at once.

    Args:
        size: Its pools.
        bake_s: How long it bakes; None when it is through.
    """
    wanted = PASSED_EVERY_S
    if bake_s is not None:
        wanted = min(max(bake_s / BAKE_LOOKS, MOST_OFTEN_S), LEAST_OFTEN_S)
    return max(wanted, size / READS_PER_S)


def turned(deed: Deed, plugin: PluginSeen | None) -> Turned | None:
    """Return how the pool of a job that succeeded turned bad; None while it has not."""
    pool = deed.target.pool_name
    if plugin is None:
        return Turned(f"{pool}: the plug-in is gone", drift=True)
    if plugin.phase not in {"Running", "Abnormal"}:
        return None
    if deed.version is not None and plugin.version != deed.version:
        return Turned(f"{pool}: now at {plugin.version}, not {deed.version}", drift=True)
    readable = deed.shown is not None and plugin.inputs is not None
    if readable and inputs_digest(plugin.inputs or {}) != deed.shown:
        return Turned(f"{pool}: its inputs were changed", drift=True)
    if plugin.phase == "Abnormal":
        return Turned(f"{pool}: Abnormal after its success", drift=False)
    return None
