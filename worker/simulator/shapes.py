"""Plug-ins and their templates as the contract spells them."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import orjson

from jobs.clock import MICROSECONDS
from worker.simulator.catalogue import Template
from worker.simulator.chance import hexadecimal
from worker.simulator.fleet import BORN_US, Pool
from worker.simulator.options import SimulatorOptions
from worker.simulator.state import Plugin, View


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


def template(
    one: Template, offers: Iterable[tuple[str, str]], options: SimulatorOptions
) -> dict[str, Any]:
    """Return one plug-in on offer; *offers* are oldest first, they are told newest first."""
    annotations = {"os.modelarts.plugin/release.name": one.title} if one.title else {}
    versions = [
        {
            "version": version,
            "creationTimestamp": created,
            "inputs": {"parameters": one.parameters},
            "translate": {"en_US": {}, "zh_CN": {}},
            "description": one.title or one.name,
            "detail": f"{one.name} {version}",
        }
        for version, created in reversed(tuple(offers))
    ]
    return {
        # The two documentations disagree about this word.
        "apiVersion": "v1" if options.site == "cn" else "v2",
        "kind": "PluginTemplate",
        "metadata": {"name": one.name, "annotations": annotations},
        "spec": {
            "optional": one.removable,
            "type": one.kind,
            "logoURL": f"https://logos.example.com/{one.name}.svg",
            "description": one.title or one.name,
            "versions": versions,
        },
    }


def driver_template(
    name: str, versions: Iterable[str], options: SimulatorOptions
) -> dict[str, Any]:
    """Return a driver template as v1 tells it: its versions are a map.

    The reference puts them into the spec and the example at the top; so does each site.
    """
    kind = "npuDriver" if name == "npu-driver" else "gpuDriver"
    told = {
        version: {
            "version": version,
            "creationTimestamp": timestamp(BORN_US),
            "inputs": {},
            "translate": {},
            "description": name,
            "detail": f"{name} {version}",
        }
        for version in versions
    }
    spec: dict[str, Any] = {"type": kind, "description": name}
    document: dict[str, Any] = {
        "kind": "PluginTemplate",
        "apiVersion": "v1",
        "metadata": {"name": name, "annotations": {}},
        "spec": spec,
    }
    (spec if options.site == "cn" else document)["versions"] = told
    return document
