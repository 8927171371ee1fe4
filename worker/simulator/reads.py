"""The calls that change nothing: plug-ins, templates, pools and nodes as they are now."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, Protocol

from worker.simulator import machines, shapes
from worker.simulator.answers import (
    Answer,
    absent_plugin,
    bad_request,
    document,
    unknown_pool,
    unknown_project,
    unknown_template,
)
from worker.simulator.catalogue import CATALOGUE, DRIVERS
from worker.simulator.fleet import DEFAULT_WORKSPACE, Pool
from worker.simulator.offers import offered
from worker.simulator.routes import Call
from worker.simulator.state import view
from worker.simulator.world import Visit, World

MOST_NODES: Final = 500


class Read(Protocol):
    """One call that changes nothing, at the simulated second *now_s*."""

    def __call__(self, world: World, visit: Visit, now_s: float) -> Answer:
        """Return what the call answers."""
        ...


def list_plugins(world: World, visit: Visit, now_s: float) -> Answer:
    """Answer with every plug-in of the pool."""
    pool = world.find(visit.place)
    if pool is None:
        return unknown_pool(visit.place.pool_name or "")
    items = [
        shapes.plugin_item(pool, plugin, view(plugin, now_s), world.options)
        for plugin in pool.present(now_s)
    ]
    return document({"kind": "PluginList", "apiVersion": "v2", "items": items})


def show_plugin(world: World, visit: Visit, now_s: float) -> Answer:
    """Answer with one plug-in; ``detail=true`` adds what it runs as."""
    pool = world.find(visit.place)
    if pool is None:
        return unknown_pool(visit.place.pool_name or "")
    name = visit.place.template or ""
    plugin = pool.plugin(name, now_s)
    if plugin is None:
        return absent_plugin(name)
    told = shapes.plugin(pool, plugin, view(plugin, now_s), world.options)
    if visit.query("detail") == "true":
        told["status"]["resources"] = shapes.resources(name)
    return document(told)


def list_templates(world: World, visit: Visit, now_s: float) -> Answer:
    """Answer with what is on offer, at all or for one pool."""
    del now_s
    project_id = visit.place.project_id or ""
    make = world.options.open_fleet
    if world.fleet.pools_of(project_id, make=make) is None:
        return unknown_project(project_id)
    pool_name = visit.query("poolName")
    pool = world.fleet.find(project_id, pool_name, make=make) if pool_name else None
    if pool_name and pool is None:
        return unknown_pool(pool_name)
    name = visit.query("templateName")
    if name and name not in CATALOGUE:
        return unknown_template(name)
    wanted = [CATALOGUE[name]] if name else CATALOGUE.values()
    offers = ((one, offered(world, pool, one.name)) for one in wanted)
    items = [shapes.template(one, found, world.options) for one, found in offers if found]
    version = "v1" if world.options.site == "cn" else "v2"
    return document({"kind": "PluginTemplateList", "apiVersion": version, "items": items})


def show_driver(world: World, visit: Visit, now_s: float) -> Answer:
    """Answer with a driver template, the only kind v1 knows."""
    del now_s
    name = visit.place.template or ""
    if name not in DRIVERS:
        return unknown_template(name)
    return document(shapes.driver_template(name, DRIVERS[name], world.options))


def list_pools(world: World, visit: Visit, now_s: float) -> Answer:
    """Answer with the project's pools, without pages, as documented."""
    project_id = visit.place.project_id or ""
    pools = world.fleet.pools_of(project_id, make=world.options.open_fleet)
    if pools is None:
        return unknown_project(project_id)
    wanted = _labels(visit.query("labelSelector") or "")
    if wanted is None:
        return bad_request("invalid labelSelector")
    wanted["os.modelarts/workspace.id"] = visit.query("workspaceId") or DEFAULT_WORKSPACE
    status = visit.query("status")
    items = [
        machines.pool_document(pool, world.condition(pool, now_s), world.options)
        for pool in pools
        if wanted.items() <= machines.pool_labels(pool, world.options).items()
        and _has_status(world, pool, now_s, status)
    ]
    return document({"kind": "PoolList", "apiVersion": "v2", "items": items})


def show_pool(world: World, visit: Visit, now_s: float) -> Answer:
    """Answer with one pool."""
    pool = world.find(visit.place)
    if pool is None:
        return unknown_pool(visit.place.pool_name or "")
    condition = world.condition(pool, now_s)
    return document(machines.pool_document(pool, condition, world.options))


def list_nodes(world: World, visit: Visit, now_s: float) -> Answer:
    """Answer with one page of the pool's nodes."""
    del now_s
    pool = world.find(visit.place)
    if pool is None:
        return unknown_pool(visit.place.pool_name or "")
    limit = _whole(visit.query("limit"), MOST_NODES)
    first = _whole(visit.query("continue"), 0)
    if limit is None or first is None or limit > MOST_NODES:
        return bad_request("limit must be 0 to 500, continue must come from the page before")
    last = min(first + (limit or MOST_NODES), pool.nodes)
    left = pool.nodes - last
    page: dict[str, Any] = {"continue": str(last), "remainingItemCount": left} if left > 0 else {}
    items = [machines.node(pool, number, world.options) for number in range(first, last)]
    return document({"kind": "NodeList", "apiVersion": "v2", "metadata": page, "items": items})


READS: Final[Mapping[Call, Read]] = MappingProxyType(
    {
        Call.LIST_PLUGINS: list_plugins,
        Call.SHOW: show_plugin,
        Call.LIST_TEMPLATES: list_templates,
        Call.SHOW_DRIVER: show_driver,
        Call.LIST_POOLS: list_pools,
        Call.SHOW_POOL: show_pool,
        Call.LIST_NODES: list_nodes,
    }
)


def _labels(selector: str) -> dict[str, str] | None:
    """Return a selector's equalities, None when it has anything else.

    The grammar is unpublished; equality is its natural reading.
    """
    wanted: dict[str, str] = {}
    for term in filter(None, selector.split(",")):
        name, sign, value = term.replace("==", "=").partition("=")
        if not sign or name.endswith("!"):
            return None
        wanted[name.strip()] = value.strip()
    return wanted


def _has_status(world: World, pool: Pool, now_s: float, status: str | None) -> bool:
    """Whether the pool is in the group that ``status`` asks for; no pool of ours has failed."""
    if status is None:
        return True
    phase = machines.pool_phase(world.condition(pool, now_s))
    return status == ("creating" if phase == "Creating" else "created")


def _whole(text: str | None, default: int) -> int | None:
    """Return a query's whole number, None when it is not one."""
    if text is None:
        return default
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 9 else None
