"""Pools and plug-ins as commands show them: one row, or one JSON object.

Inputs are shown masked alone, and texts of the cloud cleaned and masked.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from config.masking import masked_inputs
from jobs.model import Inputs, PluginSeen, PoolSeen
from worker.cli.printing import Column
from worker.discovery import PoolFound, newer_offer
from worker.modelarts.models import Resource
from worker.modelarts.templates import PluginTemplate, TemplateVersion
from worker.wording import words

SYSTEM_LABELS: Final = "os.modelarts"
"""Labels of the cloud itself begin so; they are left out of tables."""

POOL_COLUMNS: Final = (
    Column(title="POOL"),
    Column(title="NAME", width=24),
    Column(title="PROJECT"),
    Column(title="PHASE", width=16),
    Column(title="NODES", right=True),
    Column(title="LABELS", width=30),
    Column(title="BLOCKED", width=60),
)

PLUGIN_COLUMNS: Final = (
    Column(title="NAME", width=40),
    Column(title="VERSION", width=30),
    Column(title="PHASE", width=16),
    Column(title="NEWER", width=30),
    Column(title="REASON", width=60),
)

OFFER_COLUMNS: Final = (Column(title="OFFERED", width=40), Column(title="VERSIONS", width=100))

RESOURCE_COLUMNS: Final = (
    Column(title="KIND", width=20),
    Column(title="RUNS AS", width=50),
    Column(title="REPLICAS", right=True),
    Column(title="REQUESTS", width=40),
    Column(title="LIMITS", width=40),
)


def pool_path(found: PoolFound) -> str:
    """Return a pool as other commands take it: [REGION/]PROJECT/POOL."""
    target = found.target
    return "/".join(part for part in (target.region, target.project_id, target.pool_name) if part)


def pool_row(found: PoolFound) -> list[str]:
    """Return one line of a list of pools."""
    pool = found.pool
    return [
        pool.name,
        pool.display_name or "-",
        found.target.project_id,
        pool.phase or "-",
        nodes_words(pool.nodes, pool.ready_nodes),
        ",".join(f"{key}={value}" for key, value in own_labels(pool).items()) or "-",
        words(found.blocked) or "-",
    ]


def own_labels(pool: PoolSeen) -> dict[str, str]:
    """Return the labels that people gave the pool."""
    return {key: value for key, value in pool.labels.items() if not key.startswith(SYSTEM_LABELS)}


def nodes_words(nodes: int | None, ready: int | None) -> str:
    """Return ``8``, or ``6/8`` when not all are ready, or ``-`` when nobody knows."""
    if nodes is None:
        return "-"
    return str(nodes) if ready in {None, nodes} else f"{ready}/{nodes}"


def pool_fields(found: PoolFound) -> dict[str, Any]:
    """Return a pool as JSON shows it; the first three are a job request's."""
    pool = found.pool
    return {
        "project_id": found.target.project_id,
        "pool_name": pool.name,
        "region": found.target.region,
        "name": pool.display_name,
        "workspace": pool.workspace,
        "phase": pool.phase,
        "message": words(pool.message) or None,
        "nodes": pool.nodes,
        "ready_nodes": pool.ready_nodes,
        "type": pool.kind,
        "control_mode": pool.control_mode,
        "labels": dict(pool.labels),
        "blocked": words(found.blocked) or None,
    }


def request_fields(found: PoolFound, plugin: str, version: str | None) -> dict[str, Any]:
    """Return the job request that installs or upgrades *plugin* on the pool."""
    target = found.target
    place = {"project_id": target.project_id, "pool_name": target.pool_name}
    region = {} if target.region is None else {"region": target.region}
    wish = {"name": plugin} if version is None else {"name": plugin, "version": version}
    return {**place, **region, "plugin": wish}


def plugin_row(seen: PluginSeen, template: PluginTemplate | None) -> list[str]:
    """Return one line of a list of plug-ins."""
    return [
        seen.name,
        seen.version or "-",
        seen.phase or "-",
        newer_offer(template, seen.version) or "-",
        words(seen.reason) or "-",
    ]


def plugin_fields(seen: PluginSeen, template: PluginTemplate | None) -> dict[str, Any]:
    """Return a plug-in as JSON shows it, without its inputs."""
    return {
        "plugin": seen.name,
        "version": seen.version,
        "phase": seen.phase,
        "reason": words(seen.reason) or None,
        "created_at": seen.created_at,
        "newer": newer_offer(template, seen.version),
        "newest_offered": newest(template),
    }


def newest(template: PluginTemplate | None) -> str | None:
    """Return the newest version on offer."""
    return template.versions[0].version if template is not None and template.versions else None


def offer_row(template: PluginTemplate) -> list[str]:
    """Return one line of what is on offer, newest first."""
    return [template.name, ", ".join(one.version for one in template.versions) or "-"]


def offer_fields(template: PluginTemplate) -> dict[str, Any]:
    """Return one template as JSON shows it, without the default inputs."""
    return {
        "plugin": template.name,
        "type": template.kind,
        "versions": [one.version for one in template.versions],
    }


def version_fields(one: TemplateVersion) -> dict[str, Any]:
    """Return one version on offer with its default inputs, masked."""
    return {
        "version": one.version,
        "created_at": one.created_at,
        "default_inputs": shown_inputs(one.default_inputs),
    }


def resource_row(one: Resource) -> list[str]:
    """Return one workload of a plug-in."""
    return [
        one.kind or "-",
        "/".join(part for part in (one.namespace, one.name) if part) or "-",
        "-" if one.replicas is None else str(one.replicas),
        _quantities(one.requests),
        _quantities(one.limits),
    ]


def resource_fields(one: Resource) -> dict[str, Any]:
    """Return the same as JSON."""
    return {
        "kind": one.kind,
        "namespace": one.namespace,
        "name": one.name,
        "replicas": one.replicas,
        "requests": dict(one.requests),
        "limits": dict(one.limits),
    }


def _quantities(amounts: Mapping[str, str]) -> str:
    return " ".join(f"{name}={amount}" for name, amount in amounts.items()) or "-"


def shown_inputs(inputs: Inputs | None) -> dict[str, Any] | None:
    """Return inputs as a surface may show them; None stays None: they cannot be read."""
    return None if inputs is None else masked_inputs(inputs)


def template_of(offers: Sequence[PluginTemplate], name: str) -> PluginTemplate | None:
    """Return the template of that name."""
    return next((one for one in offers if one.name == name), None)
