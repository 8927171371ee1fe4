"""Whether a pool can take a plug-in now, and if not, why: a table of phases and one of bits.

What is not in the tables blocks too: a change that is sent to a pool in a state nobody knows
cannot be taken back.  A pool that is blocked now may take plug-ins later, so whoever asks
asks again.

Source: cloud API notes, section 1.7 (phases of two sites, the bits of ``controlMode``).
"""

from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Final

from jobs.model import PoolSeen

DEFAULT_WORKSPACE: Final = "0"
"""The workspace that is meant when none is named."""

PHASES: Final[Mapping[str, str | None]] = MappingProxyType(
    {
        "Running": None,
        "Creating": "the pool is still being created",
        "Waiting": "the pool's order is not paid yet",
        "Deleting": "the pool is being deleted",
        "Error": "the pool is in phase Error",
        "Abnormal": "the pool is Abnormal",
        "CreationFailed": "the pool could not be created",
        "ScalingFailed": "the pool's last change of size failed",
    }
)
"""Every documented phase of a pool with why it blocks; None does not."""

CONTROL_BITS: Final = (
    (16, "the pool is frozen by the authorities"),
    (8, "the pool is frozen"),
)
"""The bits of ``controlMode`` that block, the weightier first.

The lower bits (1, 2, 4) limit billing, flavors and services, not plug-ins.
"""


def blocked(pool: PoolSeen, workspaces: Collection[str] = (DEFAULT_WORKSPACE,)) -> str | None:
    """Return why *pool* cannot take a plug-in now, as words for a person; None when it can.

    Args:
        pool: As a read has just shown it.
        workspaces: Those that were asked for; a pool that does not tell its own is in them.
    """
    if pool.workspace is not None and pool.workspace not in workspaces:
        return f"the pool is in workspace {pool.workspace}, which was not asked for"
    bits = pool.control_mode or 0
    for bit, why in CONTROL_BITS:
        if bits & bit:
            return why
    if pool.phase is None:
        return "the cloud does not tell the pool's phase"
    why_not = PHASES.get(pool.phase, f"the pool is in phase {pool.phase}, which is not known here")
    if why_not is not None and pool.message:
        return f"{why_not}: {pool.message}"
    return why_not
