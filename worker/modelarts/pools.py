"""Pools as the cloud lists them: enough to choose, name and refuse one."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from worker.modelarts.faults import UnreadableError
from worker.modelarts.reading import Document, child, items, line, name_in, objects, texts, whole

DISPLAY_NAME: Final = "os.modelarts/name"
WORKSPACE: Final = "os.modelarts/workspace.id"
READY_NODES: Final = "available"
NODE_STATES: Final = (READY_NODES, "creating", "deleting", "abnormal")
"""The four lists of ``status.resources``; the SDK models each as one object."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolSeen:
    """One pool; *name* goes into a path, *display_name* is what people see.

    ``nodes`` and ``ready_nodes`` are None when the answer does not tell.  ``control_mode`` is a
    bit set: 1 billing-cycle change limited, 2 flavor change limited, 4 service limited,
    8 frozen, 16 frozen by authorities.
    """

    name: str
    display_name: str | None = None
    workspace: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    phase: str | None = None
    message: str | None = None
    nodes: int | None = None
    ready_nodes: int | None = None
    control_mode: int | None = None
    kind: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolPage:
    """Pools in the order of the answer; *continue_from* when the cloud says that there are more."""

    pools: tuple[PoolSeen, ...]
    continue_from: str | None = None


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
    token = child(answer, "metadata").get("continue")
    return PoolPage(
        pools=tuple(read_pool(entry) for entry in items(answer)),
        continue_from=token if type(token) is str and token else None,
    )
