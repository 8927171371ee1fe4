"""Look into the running simulator and change it: ``/_sim/…``, from this machine only.

    GET, POST /_sim/options            the options in force; a JSON object of others
    GET, POST /_sim/credentials        who there is, with secrets; {"unlock": true} lets locked
                                       keys in, {"revoke": true} voids what was handed out
    GET       /_sim/fleet              project ids and pool names, workspaces
    GET       /_sim/state[?all=true]   plug-ins and operations of each pool that was met, or of all
    GET       /_sim/journal?after=N    the journal's lines above N, one JSON object each
    GET       /_sim/jobs?plugin=&version=&keys=   a job request for each pool, one a line

None of this is throttled, faulted or written to the journal.
"""

import ipaddress
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import parse_qs

import orjson

from jobs.errors import ConfigError
from worker.simulator.answers import Answer, document
from worker.simulator.catalogue import CATALOGUE
from worker.simulator.cloud import Cloud
from worker.simulator.fleet import Pool

PREFIX: Final = "/_sim/"
LINES: Final = "application/x-ndjson"

Query = Mapping[str, str]

_FORWARDED: Final = ("Forwarded", "X-Forwarded-For", "X-Real-IP")


def is_local(peer: object, headers: Mapping[str, str]) -> bool:
    """Whether a request comes from this machine itself and not through a proxy on it.

    Args:
        peer: The other end of the connection, as the transport names it.
        headers: Of the request.
    """
    if not isinstance(peer, tuple) or not peer:
        return False
    try:
        address = ipaddress.ip_address(str(peer[0]))
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback and not any(name in headers for name in _FORWARDED)


def forbidden() -> Answer:
    """Return the refusal of a request from elsewhere."""
    return _refusal(403, "only from this machine")


def answer(cloud: Cloud, method: str, raw_path: str, body: bytes) -> Answer:
    """Answer one request to ``/_sim/…``."""
    path, _, text = raw_path.partition("?")
    query = {name: values[0] for name, values in parse_qs(text).items()}
    page = path.removeprefix(PREFIX)
    if method == "POST" and page in _CHANGES:
        return _CHANGES[page](cloud, body)
    if method != "GET" or page not in _PAGES:
        return _refusal(404, f"there is no such page; GET one of {', '.join(_PAGES)}")
    return _PAGES[page](cloud, query)


def job_requests(
    cloud: Cloud, plugin: str, version: str | None = None, keys: str | None = None
) -> list[dict[str, Any]]:
    """Return a job request for each pool; *keys* is what their idempotency keys begin with."""
    wish = {"name": plugin} if version is None else {"name": plugin, "version": version}
    region = cloud.options.region
    jobs: list[dict[str, Any]] = []
    for number, (project_id, pool_name) in enumerate(cloud.fleet.targets, start=1):
        job = {"project_id": project_id, "pool_name": pool_name, "region": region, "plugin": wish}
        jobs.append(job if keys is None else {**job, "idempotency_key": f"{keys}-{number}"})
    return jobs


def _change(cloud: Cloud, body: bytes) -> Answer:
    try:
        wanted = orjson.loads(body)
    except ValueError:
        return _refusal(400, "the body is not JSON")
    if not isinstance(wanted, dict):
        return _refusal(400, "the body must be a JSON object of options")
    try:
        return document(cloud.change(wanted).as_dict())
    except ConfigError as error:
        return _refusal(400, str(error))


def _act(cloud: Cloud, body: bytes) -> Answer:
    try:
        wanted = orjson.loads(body)
    except ValueError:
        return _refusal(400, "the body is not JSON")
    actions = {"unlock": cloud.identity.unlock, "revoke": cloud.identity.revoke}
    if not isinstance(wanted, dict) or not wanted or wanted.keys() - actions.keys():
        return _refusal(400, f"the body must be a JSON object with {' or '.join(actions)}")
    if any(value is not True for value in wanted.values()):
        return _refusal(400, "an action is asked for with true")
    for name in wanted:
        actions[name]()
    return document(cloud.identity.portrait())


def _credentials(cloud: Cloud, query: Query) -> Answer:
    del query
    return document(cloud.identity.portrait())


def _options(cloud: Cloud, query: Query) -> Answer:
    del query
    return document(cloud.options.as_dict())


def _fleet(cloud: Cloud, query: Query) -> Answer:
    del query
    projects: dict[str, list[str]] = {project_id: [] for project_id in cloud.fleet.projects}
    for project_id, pool_name in cloud.fleet.targets:
        projects[project_id].append(pool_name)
    told = [{"project_id": project_id, "pools": pools} for project_id, pools in projects.items()]
    head = {"region": cloud.options.region, "workspaces": cloud.fleet.workspaces}
    return document({**head, "projects": told})


def _state(cloud: Cloud, query: Query) -> Answer:
    if query.get("all") == "true":
        for project_id, pool_name in cloud.fleet.targets:
            cloud.fleet.find(project_id, pool_name)
    return document({"pools": [_pool(cloud, pool) for pool in cloud.fleet.met]})


def _pool(cloud: Cloud, pool: Pool) -> dict[str, Any]:
    installed = cloud.installed(pool.project_id, pool.name)
    return {
        "project_id": pool.project_id,
        "pool_name": pool.name,
        "operations": sum(pool.operations.values()),
        "overlaps": pool.overlaps,
        "plugins": {
            name: {
                "version": seen.version,
                "phase": seen.phase,
                "reason": seen.reason,
                "operations": pool.operations.get(name, 0),
            }
            for name, seen in installed.items()
        },
    }


def _journal(cloud: Cloud, query: Query) -> Answer:
    after = query.get("after", "0")
    if not (after.isascii() and after.isdigit()):
        return _refusal(400, "after must be a line's number")
    cloud.settle_now()
    return Answer(status=200, body=b"".join(cloud.journal.lines(int(after))), content_type=LINES)


def _jobs(cloud: Cloud, query: Query) -> Answer:
    plugin = query.get("plugin", "")
    if plugin not in CATALOGUE:
        return _refusal(400, f"plugin must be one of {', '.join(CATALOGUE)}")
    version = query.get("version")
    if version is not None and not CATALOGUE[plugin].offers(version):
        return _refusal(400, f"{plugin} has no version {version}")
    lines = (
        orjson.dumps(job, option=orjson.OPT_APPEND_NEWLINE)
        for job in job_requests(cloud, plugin, version, query.get("keys"))
    )
    return Answer(status=200, body=b"".join(lines), content_type=LINES)


_PAGES: Final[Mapping[str, Callable[[Cloud, Query], Answer]]] = MappingProxyType(
    {
        "options": _options,
        "credentials": _credentials,
        "fleet": _fleet,
        "state": _state,
        "journal": _journal,
        "jobs": _jobs,
    }
)

_CHANGES: Final[Mapping[str, Callable[[Cloud, bytes], Answer]]] = MappingProxyType(
    {"options": _change, "credentials": _act}
)


def _refusal(status: int, message: str) -> Answer:
    return document({"error": message}, status)
