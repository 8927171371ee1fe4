"""Pools and their nodes as the contract spells them.

What is the same for every pool is written once, so that a list of many pools costs little
more than their names.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from worker.simulator.chance import hexadecimal
from worker.simulator.fleet import BORN_US, Condition, Pool
from worker.simulator.options import SimulatorOptions, Site
from worker.simulator.shapes import timestamp

FROZEN_BIT: Final = 8

_FLAVOR: Final = "modelarts.vm.gpu.v100"
_DRIVER_VERSION: Final = "535.54.03"
_SCOPES: Final = ("Train", "Infer", "Notebook")
_OS: Final = {"name": "EulerOS", "imageId": "image-sim", "imageType": "gold"}
_ROOT_VOLUME: Final = {"volumeType": "SSD", "size": "150Gi", "count": 1}
_DISKS: Final = {"dockerBaseSize": "50", "runtime": "containerd"}
_NODE_LIMITS: Final = {"cpu": "64", "memory": "524288Mi", "nvidia.com/gpu": "8"}
_NODE_FREE: Final = {"cpu": "60", "memory": "516096Mi", "nvidia.com/gpu": "8"}
_SAME_ANNOTATIONS: Final = {
    "os.modelarts/description": "",
    "os.modelarts/billing.mode": "0",
    "os.modelarts.pool/subpools.count": "0",
}
_DEPENDENCY: Final = '{"type":"Enabled","status":"True","message":""}'
_ANNOTATIONS: Final[Mapping[Site, dict[str, str]]] = MappingProxyType(
    {
        "cn": {
            **_SAME_ANNOTATIONS,
            "os.modelarts.pool/scope.external.dependency.train": _DEPENDENCY,
        },
        "eu": {
            **_SAME_ANNOTATIONS,
            "os.modelarts.pool/scope.external.dependency.Train": _DEPENDENCY,
            "os.modelarts/external-access": "elb",
        },
    }
)
_TOLD_STATES: Final[Mapping[Condition, str]] = MappingProxyType(
    {Condition.CREATING: "creating", Condition.ABNORMAL: "abnormal"}
)


def pool_labels(pool: Pool, options: SimulatorOptions) -> dict[str, str]:
    """Return the labels a selector can ask for."""
    return {
        "os.modelarts/name": pool.title,
        "os.modelarts/workspace.id": pool.workspace,
        "os.modelarts/resource.id": f"maos-{pool.name}",
        "os.modelarts/node.prefix": "os-node",
        "os.modelarts/tenant.domain.id": pool.account_id,
        "os.modelarts/tenant.project.id": pool.project_id,
        "os.modelarts/enterprise.project.id": "0",
        "os.modelarts/create-from": "admin-console",
        "os.modelarts/region": options.region,
    }


def pool_document(pool: Pool, condition: Condition, options: SimulatorOptions) -> dict[str, Any]:
    """Return one pool; *condition* is what it is in now."""
    return {
        "kind": "Pool",
        "apiVersion": "v2",
        "metadata": {
            "name": pool.name,
            "creationTimestamp": timestamp(BORN_US),
            "labels": pool_labels(pool, options),
            "annotations": _ANNOTATIONS[options.site],
        },
        "spec": _pool_spec(pool, condition, options),
        "status": _pool_status(pool, condition, options),
    }


def _pool_spec(pool: Pool, condition: Condition, options: SimulatorOptions) -> dict[str, Any]:
    resources = {**_wanted(pool, options), "extendParams": _DISKS, "os": _OS}
    return {
        "type": "Dedicate",
        "scope": _SCOPES,
        "resources": [resources],
        "network": {"name": f"network-maos-{pool.account_id}"},
        "containernetwork": {"mode": "vpc-router"},
        "jobFlavors": [_FLAVOR],
        "driver": {"gpuVersion": _DRIVER_VERSION, "updateStrategy": "idle"},
        "controlMode": FROZEN_BIT if condition is Condition.FROZEN else 0,
    }


def _pool_status(pool: Pool, condition: Condition, options: SimulatorOptions) -> dict[str, Any]:
    counted: dict[str, list[Any]] = {
        "creating": [],
        "available": [],
        "abnormal": [],
        "deleting": [],
    }
    group = {**_wanted(pool, options), "nodePool": f"{_FLAVOR}-default"}
    counted[_TOLD_STATES.get(condition, "available")] = [group]
    cluster = {
        "name": f"{pool.name}-cce",
        "clusterFlavor": "cce.s2.large",
        "type": "CCE",
        "version": "v1.28",
        "plugins": {"name": "gpu-beta"},
    }
    return {
        "phase": pool_phase(condition),
        "message": "",
        # A pool that is not part of another one is its own root.
        "root": pool.name,
        "resources": counted,
        "scope": [{"scopeType": kind, "state": "Enabled"} for kind in _SCOPES],
        "clusters": [cluster],
        "driver": {"gpu": {"version": _DRIVER_VERSION, "state": "Running"}},
    }


def _wanted(pool: Pool, options: SimulatorOptions) -> dict[str, Any]:
    return {
        "flavor": _FLAVOR,
        "count": pool.nodes,
        "maxCount": pool.nodes,
        "azs": [{"az": f"{options.region}a", "count": pool.nodes}],
    }


def pool_phase(condition: Condition) -> str:
    """Return the phase of a pool; a frozen one goes on running."""
    return _TOLD_STATES.get(condition, "running").capitalize()


def node(pool: Pool, number: int, options: SimulatorOptions) -> dict[str, Any]:
    """Return one node of a pool, counting from 0."""
    name = f"os-node-{hexadecimal(pool.name, number, digits=12)}"
    return {
        "kind": "Node",
        "apiVersion": "v2",
        "metadata": {
            "name": name,
            "creationTimestamp": timestamp(BORN_US),
            "labels": {
                "os.modelarts.node/cluster": f"{pool.name}-cce",
                "os.modelarts.node/nodepool": f"{_FLAVOR}-default",
                "os.modelarts/resource.id": f"maos-{name}",
                "os.modelarts/tenant.domain.id": pool.account_id,
                "os.modelarts/tenant.project.id": pool.project_id,
                "os.modelarts/billing.status": "normal",
            },
            "annotations": {},
        },
        "spec": {
            "flavor": _FLAVOR,
            "os": _OS,
            "hostNetwork": {
                "vpc": hexadecimal("vpc", pool.account_id),
                "subnet": hexadecimal("subnet", pool.account_id),
                "securityGroups": [hexadecimal("group", pool.account_id)],
            },
            "rootVolume": _ROOT_VOLUME,
            "dataVolumes": [_ROOT_VOLUME],
            "extendParams": _DISKS,
        },
        "status": {
            "phase": "Available",
            "az": f"{options.region}a",
            "privateIp": f"192.168.{number // 250}.{number % 250 + 1}",
            "resources": _NODE_LIMITS,
            "availableResources": _NODE_FREE,
            # Not in the reference; a well-known client reads it.
            "driver": {"phase": "Running", "version": _DRIVER_VERSION},
        },
    }
