"""A tiny cloud for random walks: one plug-in of one pool, as a line of states in time.

It knows what the rules cannot know: when a request really takes effect.  A send may take
effect at once, as late as the settle time, or never; its answer may be lost either way.
Reads may fail, and may show the state of some seconds ago.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from jobs.inputs import merged
from jobs.model import PluginSeen

BUSY: Final = frozenset({"Pending", "Updating", "Deleting"})

DEFAULTS: Final = {"level": "info", "custom": {"ndots": "2", "search": ""}}
"""What the cloud resets every input to that a request leaves out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """One request that arrived, and when it takes effect; None is never."""

    at_us: int
    version: str
    inputs: Mapping[str, Any]
    effect_us: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """How a change goes once it has begun; times in microseconds.

    Attributes:
        flash_us: So long it shows Running at the new version before it is in progress.
        run_us: How long it is in progress.
        shows_new: Whether version and inputs are the new ones already while in progress.
        flap_us: How long it is Abnormal before it settles; 0 is not at all.
        breaks: It ends Abnormal, at the version it came from when `keeps_old`.
        keeps_old: See `breaks`.
    """

    run_us: int
    flash_us: int = 0
    shows_new: bool = True
    flap_us: int = 0
    breaks: bool = False
    keeps_old: bool = False


class ModelCloud:
    """The plug-in's whole life, past and to come."""

    def __init__(self, name: str, start: PluginSeen | None) -> None:
        self._name = name
        self._line: list[tuple[int, PluginSeen | None]] = [(0, start)]
        self.sent: list[Sent] = []

    def at(self, us: int) -> PluginSeen | None:
        """Return how the plug-in is at that instant."""
        return self._entry(us)[1]

    def since(self, us: int) -> int:
        """Return since when it has been as it is at that instant."""
        return self._entry(us)[0]

    def end(self) -> PluginSeen | None:
        """Return how it will be when everything has settled."""
        return self._line[-1][1]

    def settled_us(self) -> int:
        """Return from when on it does not change any more."""
        return self._line[-1][0]

    def show(self, from_us: int, plugin: PluginSeen | None) -> None:
        """Let it be so from that instant on; whatever was to come later is forgotten."""
        self._line = [(us, state) for us, state in self._line if us < from_us]
        self._line.append((from_us, plugin))

    def is_busy(self, us: int) -> bool:
        """Whether somebody's change is in progress at that instant."""
        plugin = self.at(us)
        return plugin is not None and plugin.phase in BUSY

    def take(self, sent: Sent, course: Course) -> None:
        """Let a request arrive, and take its effect when its time comes."""
        self.sent.append(sent)
        if sent.effect_us is None:
            return
        begin_us = sent.effect_us
        before = self.at(begin_us)
        new = PluginSeen(
            name=self._name,
            version=sent.version,
            phase="Running",
            inputs={**merged(DEFAULTS, sent.inputs), "cloud": "own"},
            created_at=f"created {begin_us}" if before is None else before.created_at,
        )
        self.change(begin_us, new, course)

    def change(self, begin_us: int, new: PluginSeen, course: Course) -> None:
        """Let the plug-in become *new* in that course."""
        before = self.at(begin_us)
        shown = new if course.shows_new or before is None else before
        if course.flash_us:
            self.show(begin_us, new)
        busy_us = begin_us + course.flash_us
        self.show(busy_us, replace(shown, phase="Pending" if before is None else "Updating"))
        over_us = busy_us + course.run_us
        old = before.version if before is not None else None
        broken = replace(new, phase="Abnormal", version=old if course.keeps_old else new.version)
        if course.breaks:
            self.show(over_us, broken)
            return
        if course.flap_us:
            self.show(over_us, replace(new, phase="Abnormal"))
        self.show(over_us + course.flap_us, new)

    def has_effect(self) -> bool:
        """Whether a send has taken effect, or still will."""
        return any(sent.effect_us is not None for sent in self.sent)

    def comes_later(self, us: int) -> bool:
        """Whether a send will take effect after that instant."""
        return any(sent.effect_us is not None and sent.effect_us > us for sent in self.sent)

    def _entry(self, us: int) -> tuple[int, PluginSeen | None]:
        found = self._line[0]
        for entry in self._line:
            if entry[0] > us:
                break
            found = entry
        return found
