"""Pools and their nodes as the cloud lists them: enough to choose, name and refuse a pool."""

from dataclasses import dataclass
from typing import Final

from jobs.model import PoolSeen
from worker.modelarts.faults import UnreadableError
from worker.modelarts.reading import Document, child, items, line, name_in, objects, texts, whole

DISPLAY_NAME: Final = "os.modelarts/name"
WORKSPACE: Final = "os.modelarts/workspace.id"
READY_NODES: Final = "available"
NODE_STATES: Final = (READY_NODES, "creating", "deleting", "abnormal")
"""The four lists of ``status.resources``; the SDK models each as one object."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolPage:
    """Pools in the order of the answer; *continue_from* when the cloud says that there are more."""

    pools: tuple[PoolSeen, ...]
    continue_from: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeSeen:
    """One node; *driver_phase* is what its driver is in, where the answer tells."""

    name: str
    phase: str | None = None
    driver_phase: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NodePage:
    """Nodes in the order of the answer.

    *continue_from* when the cloud says that there are more, *remaining* how many.
    """

    nodes: tuple[NodeSeen, ...]
    continue_from: str | None = None
    remaining: int | None = None


def read_pool(answer: Document) -> PoolSeen:
    """Return the pool in *answer*.

    Raises:
        UnreadableError: If it names none, or a part of it has the wrong shape.
    """
    metadata, spec, status = (child(answer, part) for part in ("metadata", "spec", "status"))
    name = name_in(metadata, "metadata")
    labels = texts(metadata, "labels")
    return PoolSeen(
        name=name,
        display_name=labels.get(DISPLAY_NAME),
        workspace=labels.get(WORKSPACE),
        labels=labels,
        phase=line(status, "phase", 64),
        message=line(status, "message", 300),
        nodes=_nodes(status, NODE_STATES),
        ready_nodes=_nodes(status, (READY_NODES,)),
        control_mode=whole(spec, "controlMode"),
        kind=line(spec, "type", 64),
    )


def _nodes(status: Document, states: tuple[str, ...]) -> int | None:
    """Return the sum of the counts under *states*; None when the answer counts nothing."""
    resources = status.get("resources")
    if type(resources) is not dict:
        return None
    return sum(whole(one, "count") or 0 for state in states for one in objects(resources, state))


def read_pool_page(answer: Document) -> PoolPage:
    """Return the pools of a list.

    Raises:
        UnreadableError: If it is no list of pools or one of its items cannot be read.
    """
    kind = answer.get("kind")
    if kind is not None and kind != "PoolList":
        raise UnreadableError("kind is not PoolList")
    return PoolPage(
        pools=tuple(read_pool(entry) for entry in items(answer)),
        continue_from=_continued(child(answer, "metadata")),
    )


def read_node_page(answer: Document) -> NodePage:
    """Return the nodes of a list.

    Raises:
        UnreadableError: If it is no list of nodes or one of its items cannot be read.
    """
    kind = answer.get("kind")
    if kind is not None and kind != "NodeList":
        raise UnreadableError("kind is not NodeList")
    page = child(answer, "metadata")
    return NodePage(
        nodes=tuple(_node(entry) for entry in items(answer)),
        continue_from=_continued(page),
        remaining=whole(page, "remainingItemCount"),
    )


def _node(entry: Document) -> NodeSeen:
    status = child(entry, "status")
    return NodeSeen(
        name=name_in(child(entry, "metadata"), "metadata"),
        phase=line(status, "phase", 64),
        driver_phase=line(child(status, "driver"), "phase", 64),
    )


def _continued(page: Document) -> str | None:
    token = page.get("continue")
    return token if type(token) is str and token else None
