"""The life of one plug-in on one pool, as values and pure functions.

    (absent) ── install ──> Pending ──> Running | Abnormal
    Running, Abnormal ── upgrade ──> (old state for a while) ──> Updating ──> Running | Abnormal
    Running, Abnormal ── delete ──> Deleting ──> (absent)

A change is written down once, with the moments at which it shows and ends; what a reader
sees follows from the time of reading.  Times are simulated seconds.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final, assert_never

from worker.simulator.options import PostMode


class Phase(StrEnum):
    """What the cloud calls a plug-in's state."""

    PENDING = "Pending"
    RUNNING = "Running"
    UPDATING = "Updating"
    ABNORMAL = "Abnormal"
    DELETING = "Deleting"


UNDOCUMENTED_PHASE: Final = "Reconciling"
"""Shown in the middle third of a change that is told to; no list of phases has it."""


class ChangeKind(StrEnum):
    """What is being done to a plug-in."""

    INSTALL = "install"
    UPGRADE = "upgrade"
    DELETE = "delete"


PHASE_DURING: Final[Mapping[ChangeKind, Phase]] = MappingProxyType(
    {
        ChangeKind.INSTALL: Phase.PENDING,
        ChangeKind.UPGRADE: Phase.UPDATING,
        ChangeKind.DELETE: Phase.DELETING,
    }
)

REASON_AFTER: Final[Mapping[ChangeKind, str]] = MappingProxyType(
    {
        ChangeKind.INSTALL: "Install complete",
        ChangeKind.UPGRADE: "Upgrade complete",
        ChangeKind.DELETE: "",
    }
)
"""A reason is filled on success too; that is documented."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One accepted operation.

    Attributes:
        kind: What is done.
        version: Where it leads.
        inputs: The full inputs it leads to.
        shown_s: Until then a reader sees the plug-in as it was before.
        ends_s: From then on it is done.
        broken: The reason it ends Abnormal with; None when it ends well.
        odd: Whether it shows `UNDOCUMENTED_PHASE` half-way.
    """

    kind: ChangeKind
    version: str
    inputs: Mapping[str, Any] = field(repr=False)
    shown_s: float
    ends_s: float
    broken: str | None = None
    odd: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Plugin:
    """A plug-in on a pool: as it was before `change`, and the change.

    Attributes:
        name: Its template.
        version: What is installed.
        wanted: What the spec asks for; differs from `version` after a failed upgrade.
        inputs: What the spec asks for.
        created_us: When it was installed, in microseconds since 1970 (UTC).
        phase: Its phase when no change is under way.
        reason: The cloud's text.
        change: The operation under way, if any.
    """

    name: str
    version: str
    wanted: str
    inputs: Mapping[str, Any] = field(repr=False)
    created_us: int
    phase: Phase
    reason: str = ""
    change: Change | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """A plug-in as a reader sees it at one moment."""

    phase: str
    reason: str
    version: str
    wanted: str
    inputs: Mapping[str, Any] = field(repr=False)


class Decision(StrEnum):
    """What becomes of a create call."""

    INSTALL = "install"
    UPGRADE = "upgrade"
    BUSY = "busy"  # something is being done to this plug-in
    EXISTS_409 = "exists-409"
    EXISTS_400 = "exists-400"
    IGNORE = "ignore"  # answered as if accepted


def decide(plugin: Plugin | None, now_s: float, mode: PostMode) -> Decision:
    """Say what a create call does to *plugin*, which is settled and None when absent.

    While an accepted upgrade is not shown yet the plug-in does not look busy, and another
    call is accepted and starts it again: the trap for a client that sends twice.
    """
    if plugin is None:
        return Decision.INSTALL
    if is_busy(plugin, now_s):
        return Decision.BUSY
    match mode:
        case "upsert":
            return Decision.UPGRADE
        case "conflict-409":
            return Decision.EXISTS_409
        case "conflict-400":
            return Decision.EXISTS_400
        case "no-op":
            return Decision.IGNORE
        case _:
            assert_never(mode)


def installing(name: str, change: Change, created_us: int) -> Plugin:
    """Return the plug-in from the moment its install is accepted."""
    return Plugin(
        name=name,
        version=change.version,
        wanted=change.version,
        inputs=change.inputs,
        created_us=created_us,
        phase=Phase.PENDING,
        change=change,
    )


def is_moving(plugin: Plugin, now_s: float) -> bool:
    """Whether an operation is under way, shown or not."""
    return plugin.change is not None and now_s < plugin.change.ends_s


def is_busy(plugin: Plugin, now_s: float) -> bool:
    """Whether an operation is under way and shows."""
    change = plugin.change
    return change is not None and change.shown_s <= now_s < change.ends_s


def settled(plugin: Plugin, now_s: float) -> Plugin | None:
    """Return the plug-in with a change that has ended folded in; None when it is gone."""
    change = plugin.change
    if change is None or now_s < change.ends_s:
        return plugin
    if change.kind is ChangeKind.DELETE:
        return None
    after = replace(plugin, wanted=change.version, inputs=change.inputs, change=None)
    if change.broken is not None:
        return replace(after, phase=Phase.ABNORMAL, reason=change.broken)
    reason = REASON_AFTER[change.kind]
    return replace(after, version=change.version, phase=Phase.RUNNING, reason=reason)


def view(plugin: Plugin, now_s: float) -> View:
    """Return what a reader sees of a settled plug-in."""
    change = plugin.change
    if change is None or now_s < change.shown_s:
        return View(
            phase=plugin.phase,
            reason=plugin.reason,
            version=plugin.version,
            wanted=plugin.wanted,
            inputs=plugin.inputs,
        )
    return View(
        phase=_phase_during(change, now_s),
        reason="",
        version=plugin.version,
        wanted=change.version,
        inputs=change.inputs,
    )


def _phase_during(change: Change, now_s: float) -> str:
    third_s = (change.ends_s - change.shown_s) / 3
    if change.odd and change.shown_s + third_s <= now_s < change.ends_s - third_s:
        return UNDOCUMENTED_PHASE
    return PHASE_DURING[change.kind]
