"""Pools and their plug-ins as the chaos cloud keeps them, and every change to them on record.

The fleet knows no HTTP and no faults: it applies a wish at an instant, lets the operation
run for a while, and writes an ``effect`` and a ``settled`` line for each.  It is strict on
purpose: a second operation into a running one is applied, not refused, and recorded as a
violation, so that nothing a worker does wrong is hidden by a kind server.

Inputs follow the documented hazard: every input that is not sent takes the template's
default, leaf by leaf.
"""

import hashlib
import json
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

Inputs = dict[str, Any]
Line = dict[str, Any]

PICTURES: Final = 16
"""How many past pictures of a pool are kept for stale reads."""


class NoSuchPoolError(LookupError):
    """The project has no pool of that name."""


class NoSuchTemplateError(LookupError):
    """The cloud offers no such plug-in, or not in that version."""


def digest(inputs: Mapping[str, Any] | None) -> str:
    """Return a short fingerprint of *inputs*; what the log holds instead of them."""
    text = json.dumps(inputs, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def over(defaults: Mapping[str, Any], given: Mapping[str, Any]) -> Inputs:
    """Return *defaults* with every leaf of *given* put over them; lists count as leaves."""
    merged: Inputs = dict(defaults)
    for key, value in given.items():
        below = merged.get(key)
        if isinstance(below, dict) and isinstance(value, dict):
            merged[key] = over(below, value)
        else:
            merged[key] = value
    return merged


@dataclass(slots=True)
class Template:
    """A plug-in on offer: versions from oldest to newest, and the default inputs."""

    name: str
    versions: list[str]
    defaults: Inputs


@dataclass(slots=True)
class Plugin:
    """One installed plug-in; *shown* says where a read shows its inputs: spec, values or none."""

    name: str
    version: str
    inputs: Inputs
    phase: str = "Running"
    reason: str = "Install complete"
    shown: str = "spec"
    created: str = "2025-03-17T12:29:18Z"
    running: int = 0
    """Operations that have begun and not settled; never above 1 with a careful worker."""

    def item(self, pool: str) -> dict[str, Any]:
        """Return it as the list call shows it."""
        template: dict[str, Any] = {"name": self.name}
        status = {"phase": self.phase, "version": self.version, "reason": self.reason}
        if self.shown == "spec":
            template |= {"version": self.version, "inputs": self.inputs}
        elif self.shown == "values":
            status["values"] = json.dumps(self.inputs)
        return {
            "apiVersion": "v2",
            "kind": "Plugin",
            "metadata": {"name": f"{pool}-{self.name}", "creationTimestamp": self.created},
            "spec": {"template": template},
            "status": status,
        }


@dataclass(slots=True)
class Pool:
    """One pool, with the pictures a stale read may show: (since, items as JSON text)."""

    project: str
    name: str
    plugins: dict[str, Plugin] = field(default_factory=dict)
    pictures: list[tuple[float, str]] = field(default_factory=list)

    def items(self) -> list[dict[str, Any]]:
        """Return the plug-ins as the list call shows them."""
        return [plugin.item(self.name) for plugin in self.plugins.values()]

    def keep_picture(self, now: float) -> None:
        """Remember how the pool looks from *now* on."""
        self.pictures.append((now, json.dumps(self.items())))
        del self.pictures[:-PICTURES]

    def items_at(self, instant: float) -> list[dict[str, Any]]:
        """Return the plug-ins as they looked at *instant*, as far back as pictures go."""
        shown = self.pictures[0][1]
        for since, text in self.pictures:
            if since <= instant:
                shown = text
        items: list[dict[str, Any]] = json.loads(shown)
        return items


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a send asks for."""

    name: str
    version: str | None
    inputs: Inputs | None


class Fleet:
    """All pools; the one place that changes them."""

    def __init__(
        self,
        state: Mapping[str, Any],
        *,
        settle_range: tuple[float, float],
        reset_inputs: bool,
        call_at: Callable[[float, Callable[[], None]], object],
        log: Callable[[Line], None],
    ) -> None:
        self._settle_range = settle_range
        self._reset_inputs = reset_inputs
        self._call_at = call_at
        self._log = log
        self.templates = {
            name: Template(name, list(told["versions"]), dict(told["defaults"]))
            for name, told in state["templates"].items()
        }
        self.pools: dict[tuple[str, str], Pool] = {}
        for told in state["pools"]:
            pool = Pool(told["project"], told["name"])
            for name, plugin in told.get("plugins", {}).items():
                pool.plugins[name] = Plugin(name=name, **plugin)
            pool.keep_picture(0.0)
            self.pools[pool.project, pool.name] = pool

    def pool(self, project: str, name: str) -> Pool:
        """Return the pool.

        Raises:
            NoSuchPoolError: If there is none.
        """
        try:
            return self.pools[project, name]
        except KeyError:
            raise NoSuchPoolError(name) from None

    def check(self, wish: Wish) -> str:
        """Return the version the wish comes to.

        Raises:
            NoSuchTemplateError: If the plug-in or the version is not on offer.
        """
        template = self.templates.get(wish.name)
        if template is None or not template.versions:
            raise NoSuchTemplateError(wish.name)
        version = wish.version or template.versions[-1]
        if version not in template.versions:
            raise NoSuchTemplateError(f"{wish.name} {version}")
        return version

    def apply(
        self, pool: Pool, wish: Wish, *, request: int, now: float, dice: random.Random
    ) -> None:
        """Begin the operation that *wish* asks for, and let it settle by itself.

        A checked wish only.  Never refuses: an operation into a running one, and one that
        changes nothing, are begun all the same and recorded as violations.
        """
        version = self.check(wish)
        before = pool.plugins.get(wish.name)
        inputs = self._inputs_after(wish, before)
        line: Line = {
            "kind": "effect",
            "at": now,
            "request": request,
            "project": pool.project,
            "pool": pool.name,
            "plugin": wish.name,
            "version": version,
            "inputs": digest(inputs),
            "before_version": before.version if before else None,
            "before_inputs": digest(before.inputs) if before else None,
        }
        self._log(line)
        busy = [plugin.name for plugin in pool.plugins.values() if plugin.running]
        if busy:
            self._violation("overlap", request, now, f"{pool.name}: {busy[0]} is being changed")
        if before is not None and (before.version, before.inputs) == (version, inputs):
            self._violation("applied_twice", request, now, f"{pool.name}: {wish.name} {version}")
        duration = dice.uniform(*self._settle_range)
        if before is None:
            # As the cloud does, the new plug-in shows the wanted version while Pending.
            plugin = Plugin(wish.name, version, inputs, phase="Pending", reason="", created=_utc())
            pool.plugins[wish.name] = plugin
        else:
            plugin = before
            plugin.phase, plugin.reason = "Updating", ""
        plugin.running += 1
        pool.keep_picture(now)
        self._call_at(
            now + duration,
            lambda: self._settle(pool, plugin, version, inputs, request, now + duration),
        )

    def final_lines(self) -> list[Line]:
        """Return how every plug-in stands, one line each."""
        return [
            {
                "kind": "final",
                "project": pool.project,
                "pool": pool.name,
                "plugin": plugin.name,
                "phase": plugin.phase,
                "version": plugin.version,
                "inputs": digest(plugin.inputs),
            }
            for pool in self.pools.values()
            for plugin in pool.plugins.values()
        ]

    def _inputs_after(self, wish: Wish, before: Plugin | None) -> Inputs:
        defaults = self.templates[wish.name].defaults
        if not self._reset_inputs and before is not None:
            defaults = before.inputs
        return over(defaults, wish.inputs or {})

    def _settle(
        self, pool: Pool, plugin: Plugin, version: str, inputs: Inputs, request: int, due: float
    ) -> None:
        plugin.running -= 1
        plugin.reason = "Upgrade complete" if plugin.phase == "Updating" else "Install complete"
        plugin.version, plugin.inputs = version, inputs
        plugin.phase = "Updating" if plugin.running else "Running"
        pool.keep_picture(due)
        self._log(
            {
                "kind": "settled",
                "at": due,
                "request": request,
                "project": pool.project,
                "pool": pool.name,
                "plugin": plugin.name,
                "phase": plugin.phase,
                "version": version,
                "inputs": digest(inputs),
            }
        )

    def _violation(self, name: str, request: int, now: float, detail: str) -> None:
        self._log(
            {"kind": "violation", "name": name, "at": now, "request": request, "detail": detail}
        )


def _utc() -> str:
    """Return the wall time as the cloud prints it: UTC, whole seconds."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
