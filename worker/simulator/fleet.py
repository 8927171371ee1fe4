"""The projects and pools of the simulated cloud.

Their names follow from the seed, so that anybody can write jobs for them without asking:

* project number P (from 0): the first 32 hex digits of SHA-256 of ``{seed}/project/P``
* its pool number N (from 0): ``pool-`` and the first 32 hex digits of SHA-256 of
  ``{seed}/pool/P/N``

More pools or projects with the same seed leave the names of the first ones as they were.
A pool is only a name until somebody speaks of it.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from typing import Final

from worker.simulator.catalogue import CATALOGUE
from worker.simulator.chance import chance, hexadecimal, spread
from worker.simulator.inputs import altered
from worker.simulator.options import SimulatorOptions
from worker.simulator.state import Phase, Plugin, is_moving, settled

BORN_US: Final = 1_742_214_558_000_000
"""2025-03-17T12:29:18Z, the documented example's creation time."""

DEFAULT_WORKSPACE: Final = "0"

_PLAIN: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}", re.ASCII)


class Condition(StrEnum):
    """What is special about a pool."""

    ORDINARY = "ordinary"
    CREATING = "creating"
    ABNORMAL = "abnormal"
    FROZEN = "frozen"


ODD: Final = (Condition.CREATING, Condition.ABNORMAL, Condition.FROZEN)


@dataclass(slots=True, kw_only=True)
class Pool:
    """One pool and what was done to it.

    Attributes:
        project_id: Where it belongs.
        name: What stands in paths.
        title: The name people see.
        number: Its place in the fleet, None for a stranger.
        nodes: How many it has.
        workspace: The id of its workspace.
        account_id: Whose it is.
        condition: What is special about it.
        plugins: By template name.
        writes: Write requests that named it; the faults of the next follow from it.
        reads: The same for read requests.
        operations: Applied operations by template name.
        overlaps: How many of them began while another was under way.
    """

    project_id: str
    name: str
    title: str
    number: int | None
    nodes: int
    workspace: str = DEFAULT_WORKSPACE
    account_id: str = ""
    condition: Condition = Condition.ORDINARY
    plugins: dict[str, Plugin] = field(default_factory=dict)
    writes: int = 0
    reads: int = 0
    operations: dict[str, int] = field(default_factory=dict)
    overlaps: int = 0

    def plugin(self, name: str, now_s: float) -> Plugin | None:
        """Return the plug-in as it is now, or None when the pool has none of that name."""
        plugin = self.plugins.get(name)
        if plugin is None or plugin.change is None:
            return plugin
        after = settled(plugin, now_s)
        if after is None:
            del self.plugins[name]
        else:
            self.plugins[name] = after
        return after

    def present(self, now_s: float) -> list[Plugin]:
        """Return the plug-ins as they are now."""
        found = (self.plugin(name, now_s) for name in tuple(self.plugins))
        return [plugin for plugin in found if plugin is not None]

    def is_moving(self, now_s: float) -> bool:
        """Whether an operation is under way on any of its plug-ins."""
        return any(is_moving(plugin, now_s) for plugin in self.plugins.values())


class Fleet:
    """All projects and pools by name."""

    def __init__(self, options: SimulatorOptions) -> None:
        self._options = options
        self._pools: dict[str, dict[str, int]] = {}
        for project in range(options.projects):
            first = project * options.pools
            self._pools[hexadecimal(options.seed, "project", project)] = {
                "pool-" + hexadecimal(options.seed, "pool", project, pool): first + pool
                for pool in range(options.pools)
            }
        self._met: dict[tuple[str, str], Pool] = {}
        self._luck: dict[str, Sequence[float]] = {}

    @property
    def projects(self) -> list[str]:
        """The project ids."""
        return list(self._pools)

    @property
    def targets(self) -> list[tuple[str, str]]:
        """Every (project id, pool name), project by project."""
        return [(project, pool) for project, pools in self._pools.items() for pool in pools]

    @property
    def met(self) -> list[Pool]:
        """The pools somebody has spoken of."""
        return list(self._met.values())

    def find(self, project_id: str, name: str, *, make: bool = False) -> Pool | None:
        """Return the pool, or None; with *make* an unknown one with a plain name comes to be."""
        pool = self._met.get((project_id, name))
        if pool is None and self._may_exist(project_id, name, make=make):
            pool = self._meet(project_id, name)
            self._met[project_id, name] = pool
        return pool

    def pools_of(self, project_id: str, *, make: bool = False) -> Iterator[Pool] | None:
        """Return the pools of a project, or None when there is no such project."""
        if make and _is_plain(project_id):
            self._pools.setdefault(project_id, {})
        names = self._pools.get(project_id)
        if names is None:
            return None
        found = (self.find(project_id, name, make=make) for name in tuple(names))
        return (pool for pool in found if pool is not None)

    @property
    def workspaces(self) -> list[str]:
        """The ids of the workspaces the pools are in."""
        return [self._workspace(number) for number in range(self._options.workspaces)]

    def luck(self, purpose: str, pool: Pool) -> float:
        """Return the pool's lot for *purpose*; the pools below a fraction are that fraction."""
        if pool.number is None:
            return chance(self._options.seed, purpose, pool.project_id, pool.name)
        if purpose not in self._luck:
            count = self._options.projects * self._options.pools
            self._luck[purpose] = spread(count, self._options.seed, purpose)
        return self._luck[purpose][pool.number]

    def _may_exist(self, project_id: str, name: str, *, make: bool) -> bool:
        if name in self._pools.get(project_id, {}):
            return True
        if not (make and _is_plain(project_id) and _is_plain(name)):
            return False
        # A stranger has no number of its own in the fleet; -1 only fills the place.
        self._pools.setdefault(project_id, {})[name] = -1
        return True

    def _meet(self, project_id: str, name: str) -> Pool:
        number = self._pools[project_id][name]
        nodes = 1 + int(16 * chance(self._options.seed, "nodes", project_id, name))
        title = f"{self._options.region}-{number + 1:03d}" if number >= 0 else name
        pool = Pool(
            project_id=project_id,
            name=name,
            title=title,
            number=number if number >= 0 else None,
            nodes=nodes,
            workspace=self._workspace(number),
            account_id=self._account_id(number),
        )
        if self._options.odd_pools and self.luck("odd", pool) < self._options.odd_pools:
            kind = chance(self._options.seed, "oddity", project_id, name)
            pool.condition = ODD[int(len(ODD) * kind) if pool.number is None else number % len(ODD)]
        if self._options.installed and self.luck("installed", pool) < self._options.installed:
            pool.plugins = _oldest_plugins(name)
        return pool

    def _workspace(self, number: int) -> str:
        place = max(number, 0) % self._options.workspaces
        if place == 0:
            return DEFAULT_WORKSPACE
        return hexadecimal(self._options.seed, "workspace", place)

    def _account_id(self, number: int) -> str:
        options = self._options
        project = max(number, 0) // options.pools if options.pools else 0
        return account_id(options.seed, project % options.accounts)


@lru_cache(maxsize=64)
def account_id(seed: int, number: int) -> str:
    """Return the id of the account with that number, counting from 0."""
    return hexadecimal(seed, "account", number)


def _oldest_plugins(pool_name: str) -> dict[str, Plugin]:
    """Return every plug-in that has a newer version, in its oldest one, with altered inputs."""
    return {
        template.name: Plugin(
            name=template.name,
            version=template.oldest,
            wanted=template.oldest,
            inputs=altered(template, pool_name),
            created_us=BORN_US,
            phase=Phase.RUNNING,
            reason="Install complete",
        )
        for template in CATALOGUE.values()
        if template.newest != template.oldest
    }


def _is_plain(name: str) -> bool:
    return _PLAIN.fullmatch(name) is not None and ".." not in name
