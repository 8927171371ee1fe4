"""Which call a path and method name; the table of the contract's first section."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import unquote

from worker.simulator.options import Site


class Call(StrEnum):
    """Every call the simulator answers."""

    CREATE = "create"
    LIST_PLUGINS = "list-plugins"
    SHOW = "show"
    PATCH = "patch"
    DELETE = "delete"
    LIST_TEMPLATES = "list-templates"
    SHOW_DRIVER = "show-driver"
    LIST_POOLS = "list-pools"
    SHOW_POOL = "show-pool"
    LIST_NODES = "list-nodes"

    # Who asks: IAM, the metadata of a machine, the identity of a pod.
    SIGN_IN = "sign-in"
    FEDERATED_SIGN_IN = "federated-sign-in"
    ISSUE_KEY = "issue-key"
    LIST_PROJECTS = "list-projects"
    LIST_OWN_PROJECTS = "list-own-projects"
    LIST_OWN_ACCOUNTS = "list-own-accounts"
    OPEN_METADATA = "open-metadata"
    METADATA_KEY = "metadata-key"
    POD_IDENTITY = "pod-identity"


class _Resource(StrEnum):
    POOLS = "pools"
    POOL = "pool"
    NODES = "nodes"
    PLUGINS = "plugins"
    PLUGIN = "plugin"
    TEMPLATES = "templates"
    DRIVER = "driver"


_CALLS: Final[Mapping[tuple[_Resource, str], Call]] = MappingProxyType(
    {
        (_Resource.PLUGINS, "POST"): Call.CREATE,
        (_Resource.PLUGINS, "GET"): Call.LIST_PLUGINS,
        (_Resource.PLUGIN, "GET"): Call.SHOW,
        (_Resource.PLUGIN, "PATCH"): Call.PATCH,
        (_Resource.PLUGIN, "DELETE"): Call.DELETE,
        (_Resource.TEMPLATES, "GET"): Call.LIST_TEMPLATES,
        (_Resource.DRIVER, "GET"): Call.SHOW_DRIVER,
        (_Resource.POOLS, "GET"): Call.LIST_POOLS,
        (_Resource.POOL, "GET"): Call.SHOW_POOL,
        (_Resource.NODES, "GET"): Call.LIST_NODES,
    }
)

_IDENTITY_CALLS: Final[Mapping[tuple[str, str], Call]] = MappingProxyType(
    {
        ("POST", "/v3/auth/tokens"): Call.SIGN_IN,
        ("POST", "/v3.0/OS-AUTH/id-token/tokens"): Call.FEDERATED_SIGN_IN,
        ("POST", "/v3.0/OS-CREDENTIAL/securitytokens"): Call.ISSUE_KEY,
        ("GET", "/v3/projects"): Call.LIST_PROJECTS,
        ("GET", "/v3/auth/projects"): Call.LIST_OWN_PROJECTS,
        ("GET", "/v3/auth/domains"): Call.LIST_OWN_ACCOUNTS,
        ("PUT", "/meta-data/latest/api/token"): Call.OPEN_METADATA,
        ("GET", "/openstack/latest/securitykey"): Call.METADATA_KEY,
        ("POST", "/v1/credentials"): Call.POD_IDENTITY,
    }
)
"""In life they have hosts of their own; here one server answers them all."""

WRITES: Final = frozenset({Call.CREATE, Call.PATCH, Call.DELETE})

EU_ONLY: Final = frozenset({Call.SHOW, Call.PATCH, Call.DELETE})
"""Documented for Europe alone; elsewhere the gateway knows no such API."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """What a request names; everything is None when it names nothing.

    ``is_identity`` is for the calls that have to do with who asks, not with pools.
    """

    call: Call | None = None
    project_id: str | None = None
    pool_name: str | None = None
    template: str | None = None
    is_identity: bool = False


NOWHERE: Final = Place()


def place_of(method: str, raw_path: str, site: Site) -> Place:
    """Return what *method* and *raw_path* name; a trailing slash names nothing."""
    path = raw_path.partition("?")[0]
    parts = path.split("/")
    if "%" in path:
        parts = [unquote(part) for part in parts]
    resource, names = _resource(parts)
    if resource is None:
        identity = _IDENTITY_CALLS.get((method, path))
        return Place(call=identity, is_identity=True) if identity is not None else NOWHERE
    call = _CALLS.get((resource, method))
    if call is None or (call in EU_ONLY and site == "cn"):
        return NOWHERE
    return Place(call=call, **names)


def _resource(parts: list[str]) -> tuple[_Resource | None, dict[str, Any]]:
    found: _Resource | None = None
    names: dict[str, Any] = {}
    match parts:
        case ["", "v2", project, "pools"]:
            found, names = _Resource.POOLS, {"project_id": project}
        case ["", "v2", project, "pools", pool] if pool:
            found, names = _Resource.POOL, {"project_id": project, "pool_name": pool}
        case ["", "v2", project, "pools", pool, "nodes"]:
            found, names = _Resource.NODES, {"project_id": project, "pool_name": pool}
        case ["", "v2", project, "pools", pool, "plugins"]:
            found, names = _Resource.PLUGINS, {"project_id": project, "pool_name": pool}
        case ["", "v2", project, "pools", pool, "plugins", template] if template:
            names = {"project_id": project, "pool_name": pool, "template": template}
            found = _Resource.PLUGIN
        case ["", "v2", project, "plugintemplates"]:
            found, names = _Resource.TEMPLATES, {"project_id": project}
        case ["", "v1", project, "plugintemplates", template] if template:
            found, names = _Resource.DRIVER, {"project_id": project, "template": template}
    return found, names
