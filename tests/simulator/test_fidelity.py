"""Field by field: what the reference and its examples show is in the simulator's answers.

Two directions.  Every attribute of the official SDK's models is told, or stands in a list
that says why not; and every field of a documented example is told by the site that
documents it.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import pytest

from tests.simulator.asking import DNS, QUICK, Client, asking
from tests.simulator.official import load
from worker.simulator.options import Site

RESOURCES: Final = "only the European site shows them, with detail=true"
ORDER: Final = "only for pools that are paid in advance"
NPU: Final = "only for NPU nodes"
SUPER_NODE: Final = "only for nodes of a super node or of a batch"
SUB_POOL: Final = "only for pools that are part of another one"
DISK: Final = "only for pools with data disks of their own"
CHOSEN: Final = "only when somebody chose it"
DELETING: Final = "no node of the simulator is ever being deleted"
OTHER_POOL: Final = "only for pools in that state"

POOL: Final[Mapping[str, str]] = {
    "metadata/annotations/os.modelarts~period": ORDER,
    "metadata/annotations/os.modelarts~auto.renew": ORDER,
    "metadata/annotations/os.modelarts~promotion.info": ORDER,
    "metadata/annotations/os.modelarts~service.console.url": ORDER,
    "metadata/annotations/os.modelarts~order.id": ORDER,
    "metadata/annotations/os.modelarts~flavor.resource.ids": ORDER,
    "metadata/labels/os.modelarts~order.name": ORDER,
    "metadata/labels/os.modelarts~nobilling": ORDER,
    "metadata/annotations/os.modelarts~tms.tags": CHOSEN,
    "metadata/annotations/os.modelarts~tenant.domain.name": CHOSEN,
    "metadata/annotations/os.modelarts.pool~scheduler.queue.strategy": CHOSEN,
    "metadata/labels/os.modelarts.pool~biz": CHOSEN,
    "spec/driver/npuVersion": NPU,
    "status/driver/npu": NPU,
    "spec/resources/dataVolumes": DISK,
    "spec/resources/extendParams/volumeGroup": DISK,
    "spec/resources/volumeGroupConfigs": DISK,
    "spec/resources/os/autoMatch": CHOSEN,
    "status/parent": SUB_POOL,
    "status/resources/deleting/": DELETING,
}

NODE: Final[Mapping[str, str]] = {
    "metadata/annotations/os.modelarts~npu-topology-placement": NPU,
    "metadata/labels/cce.kubectl.kubernetes.io~cabinet": SUPER_NODE,
    "metadata/labels/os.modelarts.node~batch": SUPER_NODE,
    "metadata/labels/os.modelarts.node~spod.id": SUPER_NODE,
    "metadata/labels/os.modelarts.node~underlying.instance.id": SUPER_NODE,
    "metadata/labels/os.modelarts.node~ha.redundant.enabled": SUPER_NODE,
    "metadata/labels/os.modelarts.node~elastic.quota": SUB_POOL,
    "metadata/labels/os.modelarts.node~nodepoolname": CHOSEN,
    "metadata/labels/os.modelarts.node~volcano.scheduler.cabinet-exclusive": SUPER_NODE,
    "spec/extendParams/XParameterPlaneSubnet": SUPER_NODE,
    "spec/extendParams/nodePoolName": CHOSEN,
    "spec/extendParams/postInstall": CHOSEN,
    "spec/extendParams/labelPolicyOnExistingNodes": CHOSEN,
    "spec/extendParams/taintPolicyOnExistingNodes": CHOSEN,
    "spec/extendParams/tagPolicyOnExistingNodes": CHOSEN,
    "spec/os/autoMatch": CHOSEN,
    "status/resources/huawei.com~": NPU,
    "status/availableResources/huawei.com~": NPU,
}


def below(place: str, exceptions: Mapping[str, str]) -> Mapping[str, str]:
    """Return the exceptions for the items of a list."""
    return {f"{place}/{name}": reason for name, reason in exceptions.items()}


@dataclass(frozen=True, kw_only=True)
class Called:
    """One call: its path below the project, the SDK's model of its answer, what is not told."""

    path: str
    model: str
    not_told: Mapping[str, str] = field(default_factory=dict)
    version: str = "v2"


CALLS: Final = [
    Called(
        path="pools/{pool}/plugins",
        model="ListPoolPluginsResponse",
        not_told={"items/status/resources": RESOURCES},
    ),
    Called(path="plugintemplates", model="ListPluginTemplatesResponse"),
    Called(path="plugintemplates/npu-driver", model="ShowPluginTemplateResponse", version="v1"),
    Called(path="pools", model="ListPoolsResponse", not_told=below("items", POOL)),
    Called(
        path="pools/{pool}",
        model="ShowPoolResponse",
        not_told={
            **POOL,
            "status/resources/creating/": OTHER_POOL,
            "status/resources/abnormal/": OTHER_POOL,
        },
    ),
    Called(
        path="pools/{pool}/nodes?limit=1",
        model="ListPoolNodesResponse",
        not_told=below("items", NODE),
    ),
]


def fields_of(models: Any, name: str, before: str = "") -> Iterator[str]:
    """Yield the path of every attribute of a model of the SDK; ``*`` is any key of a map."""
    model = getattr(models, name)
    for attribute, kind in model.openapi_types.items():
        # Names like os.modelarts/name would look like a path.
        path = before + model.attribute_map[attribute].replace("/", "~")
        yield path
        path += "/*" if kind.startswith("dict(") else ""
        for inner in re.findall(r"\w+", kind):
            if hasattr(getattr(models, inner, None), "openapi_types"):
                yield from fields_of(models, inner, f"{path}/")


def told_in(value: Any, before: str = "") -> Iterator[str]:
    """Yield the path of every field of an answer, each key of an object also as ``*``."""
    if isinstance(value, list):
        for one in value:
            yield from told_in(one, before)
    elif isinstance(value, dict):
        for key, one in value.items():
            for name in (key.replace("/", "~"), "*"):
                yield before + name
                yield from told_in(one, f"{before}{name}/")


async def answered(client: Client, called: Called) -> Any:
    """Return what the simulator answers."""
    path = called.path.format(pool=client.pool)
    got = await client.get(f"/{called.version}/{client.project}/{path}")
    assert got.status == 200
    return got.told


@pytest.mark.slow
@pytest.mark.parametrize("called", CALLS, ids=lambda one: one.model)
async def test_every_attribute_of_the_sdks_models_is_told_or_excused(
    called: Called, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Nothing is left out by accident, and no excuse outlives its reason."""
    models = load(monkeypatch, tmp_path).model
    # One pool for each oddity; every plug-in told with what the reference calls values.
    options = replace(QUICK, pools=4, odd_pools=0.75, creating_s=0.0, values_shape="text")
    async with asking(options) as client:
        client.pool = _ordinary(client)
        await client.settled()
        client.cloud.change(creating_s=300.0)
        told = set(told_in(await answered(client, called)))

    left_out = {path for path in fields_of(models, called.model) if path not in told}
    excused = {
        path: prefix for path in left_out for prefix in called.not_told if path.startswith(prefix)
    }
    assert left_out == set(excused)
    assert set(called.not_told) == set(excused.values())


def _ordinary(client: Client) -> str:
    for project, pool in client.cloud.targets:
        found = client.cloud.fleet.find(project, pool)
        if found is not None and found.condition == "ordinary":
            return pool
    raise AssertionError("every pool is odd")


@pytest.mark.slow
async def test_an_accepted_create_tells_every_attribute_when_it_tells_all(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The reference lists metadata and status, its example has neither: both can be had."""
    models = load(monkeypatch, tmp_path).model
    options = replace(QUICK, answer_shape="full", values_shape="text")
    async with asking(options) as client:
        told = set(told_in((await client.create()).told))

    left_out = set(fields_of(models, "CreatePoolPluginResponse")) - told
    assert {path.split("/")[1] for path in left_out} == {"resources"}


async def shown(client: Client) -> Any:
    """Return a plug-in in detail, as only the European site tells it."""
    await client.settled()
    return (await client.get(f"{client.plugins_path()}/{DNS}?detail=true")).told


# The examples' fields, not their values; written down from the reference of the European site.
_EXAMPLE_SHOW: Final[Mapping[str, Any]] = {
    "kind": "Plugin",
    "apiVersion": "v2",
    "metadata": {"name": "", "creationTimestamp": ""},
    "spec": {
        "template": {
            "name": "",
            "version": "",
            "inputs": {
                "custom": {
                    "enable_dnsconfig_admission": True,
                    "nameserver": "",
                    "ndots": "",
                    "search": "",
                },
                "flavor": {
                    "description": "",
                    "name": "",
                    "resources": [
                        {
                            "limitsCpu": "",
                            "limitsMem": "",
                            "name": "",
                            "replicas": 2,
                            "requestsCpu": "",
                            "requestsMem": "",
                        }
                    ],
                    "size": "",
                },
            },
        }
    },
    "status": {
        "phase": "",
        "version": "",
        "reason": "",
        "resources": [
            {
                "limits": {"cpu": "", "memory": ""},
                "requests": {"cpu": "", "memory": ""},
                "involvedObject": {
                    "kind": "",
                    "namespace": "",
                    "name": "",
                    "uid": "",
                    "apiVersion": "",
                    "resourceVersion": "",
                },
                "replicas": 2,
            }
        ],
    },
}
_EXAMPLE_POOL: Final[Mapping[str, Any]] = {
    "kind": "Pool",
    "apiVersion": "v2",
    "metadata": {
        "name": "",
        "creationTimestamp": "",
        "labels": {"os.modelarts/name": "", "os.modelarts/resource.id": ""},
        "annotations": {
            "os.modelarts/description": "",
            "os.modelarts/billing.mode": "0",
            "os.modelarts/external-access": "elb",
            "os.modelarts.pool/scope.external.dependency.Train": "",
        },
    },
    "spec": {
        "type": "Dedicate",
        "scope": [""],
        "resources": [{"flavor": "", "count": 2}],
        "network": {"name": ""},
    },
    "status": {
        "phase": "Running",
        "root": "",
        "scope": [{"scopeType": "", "state": ""}],
        "resources": {"available": [{"flavor": "", "count": 2, "azs": [{"az": "", "count": 2}]}]},
    },
}
_EXAMPLE_NODES: Final[Mapping[str, Any]] = {
    "kind": "NodeList",
    "apiVersion": "v2",
    "metadata": {},
    "items": [
        {
            "kind": "Node",
            "apiVersion": "v2",
            "metadata": {"name": "", "creationTimestamp": ""},
            "spec": {"flavor": ""},
            "status": {
                "phase": "Available",
                "az": "",
                "privateIp": "",
                "resources": {"cpu": "", "memory": ""},
                "availableResources": {"cpu": "", "memory": ""},
            },
        }
    ],
}
_EXAMPLE_DRIVER: Final[Mapping[str, Any]] = {
    "apiVersion": "v1",
    "kind": "PluginTemplate",
    "metadata": {"name": ""},
    "spec": {"type": "npuDriver", "description": ""},
    "versions": {"78-21.0.2": {"detail": ""}, "77-21.0.cr1": {"detail": ""}},
}
_FLAVOR: Final[Mapping[str, Any]] = {
    "description": "",
    "name": "",
    "replicas": 2,
    "resources": [_EXAMPLE_SHOW["spec"]["template"]["inputs"]["flavor"]["resources"][0]],
    "size": "",
}
_EXAMPLE_TEMPLATES: Final[Mapping[str, Any]] = {
    "kind": "PluginTemplateList",
    "apiVersion": "v2",
    "items": [
        {
            "kind": "PluginTemplate",
            "apiVersion": "v2",
            "metadata": {
                "name": "",
                "annotations": {"os.modelarts.plugin/release.name": ""},
            },
            "spec": {
                "optional": True,
                "versions": [
                    {
                        "version": "",
                        "description": "",
                        "creationTimestamp": "",
                        "inputs": {
                            "parameters": {
                                "custom": {"nameserver": "", "ndots": "5", "search": ""},
                                "flavor1": {**_FLAVOR, "is_default": True},
                                "flavor2": _FLAVOR,
                                "flavor3": _FLAVOR,
                            }
                        },
                        "translate": {"zh_CN": {}},
                    }
                ],
                "logoURL": "",
            },
        }
    ],
}

EXAMPLES: Final = [
    pytest.param(_EXAMPLE_SHOW, None, id="show a plug-in"),
    pytest.param(_EXAMPLE_POOL, Called(path="pools/{pool}", model=""), id="show a pool"),
    pytest.param(_EXAMPLE_NODES, Called(path="pools/{pool}/nodes", model=""), id="list nodes"),
    pytest.param(
        _EXAMPLE_DRIVER,
        Called(path="plugintemplates/npu-driver", model="", version="v1"),
        id="show a driver template",
    ),
    pytest.param(
        _EXAMPLE_TEMPLATES,
        Called(path=f"plugintemplates?templateName={DNS}", model=""),
        id="list templates",
    ),
]


@pytest.mark.parametrize(("example", "called"), EXAMPLES)
async def test_every_field_of_a_documented_example_is_told(
    example: Mapping[str, Any], called: Called | None
) -> None:
    """A client that was written from the examples finds all it knows."""
    async with asking(replace(QUICK, site="eu")) as client:
        told = await (shown(client) if called is None else answered(client, called))

    assert set(told_in(example)) <= set(told_in(told))


@pytest.mark.parametrize("site", ["cn", "eu"])
async def test_the_kinds_and_versions_are_the_documented_words(site: Site) -> None:
    """A list of templates calls itself v1 on one site and v2 on the other; the rest agrees."""
    async with asking(replace(QUICK, site=site)) as client:
        words = [
            (told["kind"], told["apiVersion"])
            for called in CALLS
            for told in [await answered(client, called)]
        ]

    assert words == [
        ("PluginList", "v2"),
        ("PluginTemplateList", "v1" if site == "cn" else "v2"),
        ("PluginTemplate", "v1"),
        ("PoolList", "v2"),
        ("Pool", "v2"),
        ("NodeList", "v2"),
    ]


@pytest.mark.slow
async def test_the_sdks_walk_sees_a_field_that_goes_missing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The comparison itself works: an empty answer lacks every attribute."""
    models = load(monkeypatch, tmp_path).model
    paths = list(fields_of(models, "ShowPluginTemplateResponse"))

    assert "spec/versions/*/creationTimestamp" in paths
    assert not set(paths) & set(told_in({}))
