"""The plug-ins on offer, as data: versions and inputs.

Names, versions and the inputs of ``node-local-dns`` and ``os-node-agent`` are the published
ones; the inputs of the others are made up in the same shape.

A template's inputs are not shaped like an installed plug-in's: the template has
``parameters`` with ``custom`` and one or more ``flavorN``, one of them marked
``is_default``; the plug-in has ``custom`` and ``flavor``.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """One plug-in on offer.

    Attributes:
        name: What stands in paths and bodies.
        title: The name people see; None when there is none.
        kind: ``helm`` or ``ccePlugin``.
        removable: Whether it can be deleted; default plug-ins cannot.
        versions: (version, creation time), oldest first.
        parameters: The template's inputs.
        altered: What an `installed` pool has set instead of the defaults.
        marker: Where in the inputs an `installed` pool writes its own name, so that inputs
            that end up on the wrong pool are seen.
    """

    name: str
    title: str | None = None
    kind: str = "ccePlugin"
    removable: bool = True
    versions: tuple[tuple[str, str], ...]
    parameters: Mapping[str, Any]
    altered: Mapping[str, Any] = field(default_factory=dict)
    marker: tuple[str, ...] = ("custom", "note")

    @property
    def newest(self) -> str:
        """The version that is installed when none is asked for."""
        return self.versions[-1][0]

    @property
    def oldest(self) -> str:
        """The version an `installed` pool has."""
        return self.versions[0][0]

    def offers(self, version: str) -> bool:
        """Whether *version* can be installed."""
        return any(version == offered for offered, _ in self.versions)


def _dated(*versions: str) -> tuple[tuple[str, str], ...]:
    """Give each version a creation time, the first the earliest, two months apart."""
    return tuple(
        (version, f"20{23 + number // 6}-{number % 6 * 2 + 1:02d}-17T08:00:00Z")
        for number, version in enumerate(versions)
    )


def _sized(name: str, replicas: int | None, cpu: str, memory: str, least: str) -> dict[str, Any]:
    """Return what one part of a plug-in may use."""
    count = {} if replicas is None else {"replicas": replicas}
    return {
        "name": name,
        **count,
        "limitsCpu": cpu,
        "limitsMem": memory,
        "requestsCpu": cpu if replicas else "25m",
        "requestsMem": least,
    }


def _flavor(name: str, size: str, *resources: dict[str, Any], **more: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    return {"name": name, "size": size, "resources": list(resources), **more}


_NODE_LOCAL_DNS = Template(
    name="node-local-dns",
    title="NodeLocal DNSCache",
    versions=_dated("1.6.36", "1.6.63", "1.6.64"),
    parameters={
        "custom": {
            "enable_dnsconfig_admission": False,
            "nameserver": "",
            "ndots": "5",
            "search": "",
        },
        "flavor1": _flavor(
            "HA",
            "large",
            _sized("node-local-dns-admission-controller", 2, "250m", "512Mi", "512Mi"),
            _sized("node-local-dns-cache", None, "500m", "512Mi", "5Mi"),
            description="High avaiable",  # the documentation's own spelling
            replicas=2,
            is_default=True,
        ),
        "flavor2": _flavor(
            "Single",
            "small",
            _sized("node-local-dns-admission-controller", 1, "250m", "512Mi", "512Mi"),
            _sized("node-local-dns-cache", None, "500m", "512Mi", "5Mi"),
            description="Has only one instance",
            replicas=1,
        ),
        "flavor3": _flavor(
            "custom-resources",
            "custom",
            _sized("node-local-dns-admission-controller", 2, "250m", "512Mi", "512Mi"),
            _sized("node-local-dns-cache", None, "500m", "512Mi", "5Mi"),
            description="custom resources",
            replicas=2,
        ),
    },
    altered={
        "custom": {"enable_dnsconfig_admission": True, "nameserver": "135.0.0.1", "ndots": "8"}
    },
    marker=("custom", "search"),
)

_LOG_AGENT = Template(
    name="log-agent",
    title="Cloud native log collection",
    versions=_dated("1.7.3"),
    parameters={
        "custom": {"ltsGroupID": "", "ltsStreamID": "", "collectSubPools": False},
        "flavor1": _flavor(
            "Low",
            "small",
            _sized("fluent-bit", None, "500m", "500Mi", "100Mi"),
            _sized("log-operator", 1, "100m", "256Mi", "100Mi"),
            is_default=True,
        ),
    },
)

_VOLCANO = Template(
    name="volcano",
    title="Volcano Scheduler",
    removable=False,
    versions=_dated("1.13.5", "1.15.6", "1.15.8", "1.16.8", "1.17.11", "1.18.3"),
    parameters={
        "custom": {
            "default_scheduler_conf": {"actions": "enqueue, allocate, backfill"},
            "oversubscription_ratio": 60,
            "enable_workload_balancer": False,
        },
        "flavor1": _flavor(
            "Standalone",
            "small",
            _sized("volcano-scheduler", 1, "2000m", "2000Mi", "500Mi"),
            _sized("volcano-controller", 1, "2000m", "2000Mi", "500Mi"),
            _sized("volcano-admission", 1, "200m", "500Mi", "500Mi"),
            is_default=True,
        ),
        "flavor2": _flavor(
            "HA",
            "large",
            _sized("volcano-scheduler", 2, "2000m", "2000Mi", "500Mi"),
            _sized("volcano-controller", 2, "2000m", "2000Mi", "500Mi"),
            _sized("volcano-admission", 2, "200m", "500Mi", "500Mi"),
        ),
    },
    altered={"custom": {"oversubscription_ratio": 80, "enable_workload_balancer": True}},
)

_GPU_BETA = Template(
    name="gpu-beta",
    title="AI Suite (NV GPU)",
    removable=False,
    versions=_dated("1.2.15", "2.0.48"),
    parameters={
        "custom": {"compatible_with_legacy_api": False, "driver_version": ""},
        "flavor1": _flavor("Default", "default", is_default=True),
    },
    altered={"custom": {"compatible_with_legacy_api": True}},
)

_OS_NODE_AGENT = Template(
    name="os-node-agent",
    kind="helm",
    removable=False,
    versions=_dated("6.8.0-20250219120620", "7.2.0", "7.3.1", "7.5.0"),
    parameters={
        "configs": {
            "metric_config": {
                "enable": True,
                "backNodeUp": True,
                "uplink": "both",
                "namespaces": ["monitoring"],
                "exporter": {"enable": False, "port": "10120"},
                "prometheus": {"accessCode": "", "prometheusId": ""},
            }
        }
    },
    altered={"configs": {"metric_config": {"exporter": {"enable": True}}}},
    marker=("configs", "metric_config", "prometheus", "prometheusId"),
)

_METRIC_COLLECTOR = Template(
    name="metric-collector",
    kind="helm",
    removable=False,
    versions=_dated("7.3.0", "7.3.1", "7.5.0"),
    parameters={"custom": {"scrape_interval_s": 30, "remote_write": {"url": "", "username": ""}}},
    altered={"custom": {"scrape_interval_s": 60}},
)

CATALOGUE: Final[Mapping[str, Template]] = MappingProxyType(
    {
        template.name: template
        for template in (
            _NODE_LOCAL_DNS,
            _LOG_AGENT,
            _VOLCANO,
            _GPU_BETA,
            _OS_NODE_AGENT,
            _METRIC_COLLECTOR,
        )
    }
)

DRIVERS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "npu-driver": ("7.1.0.7.220-23.0.5", "78-21.0.2", "77-21.0.cr1"),
        "gpu-driver": ("470.57.02", "535.54.03"),
    }
)
"""The templates that only the v1 call knows."""
