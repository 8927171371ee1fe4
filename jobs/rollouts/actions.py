"""What is to be done on one pool: install, upgrade, reconfigure, nothing, or why not.

The same eyes as a job's own check before it sends (`jobs.sightings`, `jobs.inputs`), so
that a plan says what its jobs will do.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from jobs.inputs import merged
from jobs.model import Inputs, InputsBase
from jobs.rollouts.observed import Observed
from jobs.rollouts.shape import Plugin
from jobs.rollouts.versions import CONSISTENT, Order, direction, is_exact
from jobs.sightings import Sighting, sighting

NEVER_DOWN: Final = frozenset({"volcano"})
"""Plug-ins that must not get an older version.  Source: cloud API notes, section 3."""

VERSIONS_SHOWN: Final = 5


class Action(StrEnum):
    """What happens on a pool."""

    INSTALL = "install"
    UPGRADE = "upgrade"
    DOWNGRADE = "downgrade"
    RECONFIGURE = "reconfigure"
    NO_OP = "no-op"
    BLOCKED = "blocked"
    UNKNOWN = "unknown"


ACTING: Final = frozenset({Action.INSTALL, Action.UPGRADE, Action.DOWNGRADE, Action.RECONFIGURE})
"""Actions that send something."""


class Undo(StrEnum):
    """Whether a pool can get back what it had."""

    READY = "ready"
    LOSSY = "lossy"  # the version, but not the inputs
    IMPOSSIBLE = "impossible"


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What is to be done on one pool.

    ``after`` is the full input tree that will be sent, for an acting decision; ``undo`` is
    None for others.  ``why`` is there for no-op, blocked and unknown, ``note`` for a person.
    """

    action: Action
    version: str | None = None
    why: str | None = None
    note: str | None = None
    after: Inputs | None = field(default=None, repr=False)
    undo: Undo | None = None
    undo_why: str | None = None


def needs_offers(plugin: Plugin, pool: Observed, if_absent: str) -> bool:
    """Whether the versions on offer matter for what is done on a pool that was looked at."""
    if _without_looking(pool, if_absent) is not None:
        return False
    seen = sighting(pool.plugin, plugin.version, plugin.inputs.merge)
    return not (is_exact(plugin.version) and seen is Sighting.TARGET)


def decide(plugin: Plugin, pool: Observed, version: str | None, if_absent: str) -> Decision:
    """Return what is to be done on *pool*.

    Args:
        plugin: What the manifest wants.
        pool: As it was observed.
        version: What the wanted version is for this pool; None when nothing on offer is meant.
        if_absent: ``install`` or ``skip``.
    """
    early = _without_looking(pool, if_absent)
    if early is not None:
        return early
    exact = plugin.version if is_exact(plugin.version) else None
    wanted = version or exact
    seen = sighting(pool.plugin, wanted, plugin.inputs.merge)
    if wanted is not None and seen is Sighting.TARGET:
        return Decision(action=Action.NO_OP, version=wanted, why=f"already {wanted}")
    if pool.offers is None:
        return _unknown("the versions on offer were not read")
    if version is None:
        return _blocked(_not_offered(plugin, pool))
    return _change(plugin, pool, version, seen)


def _without_looking(pool: Observed, if_absent: str) -> Decision | None:
    """Return the decision that needs neither version nor inputs, None when they matter."""
    if pool.trouble is not None:
        return _unknown(pool.trouble)
    if pool.pool is None:
        return _unknown("the cloud does not show this pool")
    if pool.blocked is not None:
        return _blocked(pool.blocked)
    if not pool.looked:
        return _unknown("its plug-ins were not read")
    if pool.plugin is None and if_absent == "skip":
        return Decision(action=Action.NO_OP, why="not installed, and ifAbsent is skip")
    return None


def _change(plugin: Plugin, pool: Observed, version: str, seen: Sighting) -> Decision:
    """Return the change, or why it must not be made."""
    installed = pool.plugin
    if installed is not None and installed.version is None:
        return _unknown("the cloud does not tell the installed version")
    action = _action(pool, version, plugin)
    if isinstance(action, Decision):
        return action
    base = _base(plugin, pool, version)
    if isinstance(base, str):
        return _blocked(base)
    undo, undo_why = _undo(plugin, pool, action)
    return Decision(
        action=action,
        version=version,
        note=_note(seen, pool),
        after=merged(base, plugin.inputs.merge),
        undo=undo,
        undo_why=undo_why,
    )


def _action(pool: Observed, version: str, plugin: Plugin) -> Action | Decision:
    """Return what kind of change it is, or why it must not be made."""
    installed = pool.installed
    if installed is None:
        return Action.INSTALL
    if installed == version:
        return Action.RECONFIGURE
    order = direction(installed, version, pool.versions)
    if order is Order.OLDER and plugin.name in NEVER_DOWN:
        return _blocked(f"{plugin.name} must never get an older version than {installed}")
    if order is Order.OLDER and not plugin.allow_downgrade:
        return _blocked(f"{installed} is newer than {version}, and allowDowngrade is false")
    if order is Order.UNKNOWN and not plugin.allow_downgrade:
        return _unknown(
            f"nobody can tell whether {version} is newer than {installed}; "
            "allowDowngrade: true takes it either way"
        )
    return Action.DOWNGRADE if order is Order.OLDER else Action.UPGRADE


def _base(plugin: Plugin, pool: Observed, version: str) -> Inputs | str:
    """Return what the input tree starts from, or why it cannot be known."""
    if plugin.inputs.base is InputsBase.TEMPLATE:
        offer = next((one for one in pool.offers or () if one.version == version), None)
        if offer is None or offer.defaults is None:
            return f"the template tells no default inputs of {version}"
        return offer.defaults
    if plugin.inputs.base is InputsBase.EMPTY or pool.plugin is None:
        return {}
    if pool.plugin.inputs is None:
        return "its inputs cannot be read, so they would be reset; inputs.base decides"
    return pool.plugin.inputs


def _undo(plugin: Plugin, pool: Observed, action: Action) -> tuple[Undo, str | None]:
    """Say whether the pool could get back what it has now."""
    before = pool.plugin
    if before is None:
        return Undo.IMPOSSIBLE, "nothing was installed before, and nothing is removed by itself"
    if action is Action.UPGRADE and plugin.name in NEVER_DOWN:
        return Undo.IMPOSSIBLE, "downgrade forbidden"
    if before.version not in pool.versions:
        return Undo.IMPOSSIBLE, f"{before.version} is not on offer any more"
    if before.inputs is None:
        return Undo.LOSSY, "inputs not readable"
    return Undo.READY, None


def _note(seen: Sighting, pool: Observed) -> str | None:
    phase = None if pool.plugin is None else pool.plugin.phase
    match seen:
        case Sighting.TARGET_COMING | Sighting.COMING | Sighting.DELETING | Sighting.STRANGE:
            return f"{phase or 'in no phase'} now; its job waits until that is over"
        case Sighting.ABNORMAL:
            return "Abnormal now"
        case _:
            return None


def _not_offered(plugin: Plugin, pool: Observed) -> str:
    found = pool.versions
    if not found:
        return f"no version of {plugin.name} is offered for this pool"
    more = ", …" if len(found) > VERSIONS_SHOWN else ""
    listed = f"{', '.join(found[:VERSIONS_SHOWN])}{more}"
    if plugin.version == CONSISTENT:
        return f"no version is offered for every pool (offered for this one: {listed})"
    return f"{plugin.version} is not offered for this pool (offered: {listed})"


def _blocked(why: str) -> Decision:
    return Decision(action=Action.BLOCKED, why=why)


def _unknown(why: str) -> Decision:
    return Decision(action=Action.UNKNOWN, why=why)
