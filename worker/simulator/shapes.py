"""Plug-ins, templates, pools and nodes as the contract spells them."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final

import orjson

from jobs.clock import MICROSECONDS
from worker.simulator.catalogue import Template
from worker.simulator.chance import hexadecimal
from worker.simulator.fleet import BORN_US, Condition, Pool
from worker.simulator.options import SimulatorOptions
from worker.simulator.state import Plugin, View

_FLAVOR: Final = "modelarts.vm.gpu.v100"
FROZEN_BIT: Final = 8
WORKSPACE: Final = "0"


@lru_cache(maxsize=4096)
def timestamp(instant_us: int) -> str:
    """Return the instant as RFC 3339 in UTC with whole seconds."""
    moment = datetime.fromtimestamp(instant_us // MICROSECONDS, tz=UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def spec(name: str, version: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the part of a plug-in that says what is wanted."""
    return {"template": {"name": name, "version": version, "inputs": inputs}}


def plugin(pool: Pool, one: Plugin, seen: View, options: SimulatorOptions) -> dict[str, Any]:
    """Return a plug-in in full, as show and delete tell it."""
    status: dict[str, Any] = {
        "phase": seen.phase,
        "version": seen.version,
        "reason": seen.reason,
    }
    if options.values_shape == "object":
        status["values"] = seen.inputs
    elif options.values_shape == "text":
        status["values"] = orjson.dumps(seen.inputs).decode()
    return {
        "kind": "Plugin",
        "apiVersion": "v2",
        "metadata": {
            "name": f"{pool.name}-{one.name}",
            "creationTimestamp": timestamp(one.created_us),
        },
        "spec": spec(one.name, seen.wanted, seen.inputs),
        "status": status,
    }


def plugin_item(pool: Pool, one: Plugin, seen: View, options: SimulatorOptions) -> dict[str, Any]:
    """Return a plug-in as the list tells it."""
    item = plugin(pool, one, seen, options)
    if options.hide_inputs:
        item["spec"] = {"template": {"name": one.name}}
    return item


def resources(name: str) -> list[dict[str, Any]]:
    """Return what ``detail=true`` adds: what the plug-in runs as."""
    limits = {"cpu": "500m", "memory": "512Mi"}
    requests = {"cpu": "25m", "memory": "5Mi"}
    return [
        {"involvedObject": _workload("DaemonSet", name), "limits": limits, "requests": requests},
        {
            "involvedObject": _workload("Deployment", f"{name}-controller"),
            "replicas": 2,
            "limits": limits,
            "requests": limits,
        },
    ]


def _workload(kind: str, name: str) -> dict[str, str]:
    digits = hexadecimal("workload", kind, name)
    return {
        "kind": kind,
        "apiVersion": "apps/v1",
        "namespace": "kube-system",
        "name": name,
        "uid": "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:])),
        "resourceVersion": str(int(digits[:6], 16)),
    }


def template(one: Template, options: SimulatorOptions) -> dict[str, Any]:
    """Return one plug-in on offer, newest version first."""
    annotations = {"os.modelarts.plugin/release.name": one.title} if one.title else {}
    versions = [
        {
            "version": version,
            "creationTimestamp": created,
            "inputs": {"parameters": one.parameters},
            "translate": {"en_US": {}, "zh_CN": {}},
            "description": "",
            "detail": "",
        }
        for version, created in reversed(one.versions)
    ]
    return {
        # The two documentations disagree about this word.
        "apiVersion": "v1" if options.site == "cn" else "v2",
        "kind": "PluginTemplate",
        "metadata": {"name": one.name, "annotations": annotations},
        "spec": {
            "optional": one.removable,
            "type": one.kind,
            "logoURL": "",
            "description": one.title or one.name,
            "versions": versions,
        },
    }


def driver_template(name: str, versions: Iterable[str]) -> dict[str, Any]:
    """Return a driver template as v1 tells it: its versions are a map, at the top."""
    return {
        "kind": "PluginTemplate",
        "apiVersion": "v1",
        "metadata": {"name": name},
        "spec": {"type": "npuDriver" if name == "npu-driver" else "gpuDriver"},
        "versions": {
            version: {"version": version, "creationTimestamp": timestamp(BORN_US), "inputs": {}}
            for version in versions
        },
    }


def pool_labels(pool: Pool) -> dict[str, str]:
    """Return the labels a selector can ask for."""
    return {"os.modelarts/name": pool.title, "os.modelarts/workspace.id": WORKSPACE}


def pool_document(pool: Pool, condition: Condition, region: str) -> dict[str, Any]:
    """Return one pool; *condition* is what it is in now."""
    wanted = {
        "flavor": _FLAVOR,
        "count": pool.nodes,
        "maxCount": pool.nodes,
        "azs": [{"az": f"{region}a", "count": pool.nodes}],
    }
    group = {Condition.CREATING: "creating", Condition.ABNORMAL: "abnormal"}.get(condition)
    counted: dict[str, list[Any]] = {"creating": [], "available": [], "abnormal": []}
    counted[group or "available"] = [wanted]
    return {
        "kind": "Pool",
        "apiVersion": "v2",
        "metadata": {
            "name": pool.name,
            "creationTimestamp": timestamp(BORN_US),
            "labels": pool_labels(pool),
            "annotations": {},
        },
        "spec": {
            "type": "Dedicate",
            "scope": ["Train", "Infer"],
            "controlMode": FROZEN_BIT if condition is Condition.FROZEN else 0,
            "resources": [wanted],
        },
        "status": {
            "phase": pool_phase(condition),
            "message": "",
            "resources": {**counted, "deleting": []},
            "scope": [
                {"scopeType": kind, "state": "Enabled"} for kind in ("Train", "Infer", "Notebook")
            ],
            "clusters": [{"name": f"{pool.name}-cce", "type": "CCE", "version": "v1.28"}],
            "driver": {"gpu": {"version": "535.54.03", "state": "Running"}},
        },
    }


def pool_phase(condition: Condition) -> str:
    """Return the phase of a pool; a frozen one goes on running."""
    return {Condition.CREATING: "Creating", Condition.ABNORMAL: "Abnormal"}.get(
        condition, "Running"
    )


def node(pool: Pool, number: int, region: str) -> dict[str, Any]:
    """Return one node of a pool, counting from 0."""
    return {
        "kind": "Node",
        "apiVersion": "v2",
        "metadata": {
            "name": f"os-node-{hexadecimal(pool.name, number, digits=12)}",
            "creationTimestamp": timestamp(BORN_US),
        },
        "spec": {"flavor": _FLAVOR},
        "status": {
            "phase": "Available",
            "az": f"{region}a",
            "driver": {"phase": "Running", "version": "535.54.03"},
        },
    }
