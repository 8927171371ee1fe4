"""Build each URL once, and prove that it addresses what was meant.

Encoding does not stop path escape: percent-encoding leaves dots alone and yarl folds them,
so a pool called ``..`` would address another resource.  So names pass an allow-list
(`jobs.names`), the URL is put together from them as it stands, and the finished URL is
taken apart again: same scheme, host and port as configured, and exactly the expected path.

Source: reliability notes, finding 8 and rules 5.3 (2) and (3).
"""

import ipaddress
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Final
from urllib.parse import quote

from yarl import URL

from jobs.errors import ConfigError
from jobs.model import Target
from jobs.names import is_name, is_project, is_region
from worker.modelarts.faults import NotSendableError

REMEMBERED: Final = 8192
"""URLs kept ready; a rollout touches few pools at a time."""

CONTINUE_LIMIT: Final = 2048
"""Characters of a continue token that are sent back."""

_PATH: Final = re.compile(r"(?:/(?!\.+(?:/|$))[A-Za-z0-9._-]+)+", re.ASCII)
_HOST: Final = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?", re.ASCII)


def default_endpoint(region: str) -> str:
    """Return the public endpoint of *region*.

    Source: cloud API notes, section 7; Europe has its own domain.
    """
    domain = "myhuaweicloud.eu" if region.startswith("eu-west-1") else "myhuaweicloud.com"
    return f"https://modelarts.{region}.{domain}"


def default_iam_endpoint(region: str | None) -> str:
    """Return the public endpoint of IAM in *region*; the global one without a region.

    Source: cloud API notes, section 7.
    """
    if region is None:
        return "https://iam.myhuaweicloud.com"
    return default_endpoint(region).replace("modelarts", "iam", 1)


def checked_endpoint(text: str) -> URL:
    """Return *text* as the origin it names.

    Raises:
        ConfigError: If it is not ``https://HOST[:PORT]``, or ``http`` to a loopback host.
            The message shows the host alone: a URL can hold a password.
    """
    try:
        url = URL(text)
        port = url.port
    except ValueError:
        raise ConfigError("the cloud endpoint is not a URL") from None
    host = url.raw_host or ""
    if url.scheme not in {"https", "http"} or not host or port is None or not text.isascii():
        raise ConfigError("the cloud endpoint must be https://HOST or https://HOST:PORT")
    if "@" in text or url.raw_query_string or url.raw_fragment or url.raw_path not in {"", "/"}:
        raise ConfigError(
            f"the cloud endpoint for {host} must be scheme, host and port, nothing else"
        )
    if not _is_address(host) and _HOST.fullmatch(host) is None:
        raise ConfigError("the cloud endpoint's host name has characters no host name has")
    if url.scheme == "http" and not is_loopback(host):
        raise ConfigError(
            f"the cloud endpoint for {host} must be https",
            why="over http anybody on the way could read the credential; loopback alone is exempt",
        )
    return url.origin()


def is_loopback(host: str) -> bool:
    """Whether *host* is this machine: 127.0.0.0/8, ::1 or localhost."""
    if host == "localhost":
        return True
    return _is_address(host) and ipaddress.ip_address(host).is_loopback


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


class Urls:
    """The URLs of one configuration; each is built and checked once, then remembered.

    Every method raises `NotSendableError` when a name is not on the allow-list, when the
    region is unknown, or when the finished URL is not exactly what was meant.
    """

    def __init__(
        self,
        endpoint: str | None = None,
        endpoints: Mapping[str, str] | None = None,
        *,
        iam: str | None = None,
    ) -> None:
        """Check the endpoints.

        Args:
            endpoint: For every region without its own; None means the region's public one.
            endpoints: By region.
            iam: Where IAM is; None means beside ModelArts.

        Raises:
            ConfigError: If one of them is not acceptable.
        """
        self._endpoint = None if endpoint is None else checked_endpoint(endpoint)
        self._endpoints = {
            region: checked_endpoint(one) for region, one in (endpoints or {}).items()
        }
        self._iam = None if iam is None else checked_endpoint(iam)
        self._plugins = lru_cache(REMEMBERED)(self._build_plugins)

    def endpoint(self, region: str | None) -> URL:
        """Return the origin that serves *region*."""
        own = self._configured(region)
        if own is not None:
            return own
        if region is None or not is_region(region):
            raise NotSendableError(
                "no endpoint is configured and the region is not a region's name"
            )
        return checked_endpoint(default_endpoint(region))

    def iam(self, region: str | None) -> URL:
        """Return the origin of IAM for *region*.

        A credential must not go to another cloud than the one it is of.  So a configured
        ModelArts endpoint has its IAM beside it, under the same domain, or it must be named.
        """
        if self._iam is not None:
            return self._iam
        beside = self._configured(region)
        if beside is None:
            if region is not None and not is_region(region):
                raise NotSendableError("the region is not a region's name")
            return checked_endpoint(default_iam_endpoint(region))
        host = beside.raw_host or ""
        if is_loopback(host):
            return beside
        if not host.startswith("modelarts."):
            raise NotSendableError("cloud.endpoint does not tell where IAM is; set iam_endpoint")
        return beside.with_host(f"iam.{host.removeprefix('modelarts.')}")

    def _configured(self, region: str | None) -> URL | None:
        own = None if region is None else self._endpoints.get(region)
        return own if own is not None else self._endpoint

    def plugins(self, target: Target) -> URL:
        """Return ``/v2/{project_id}/pools/{pool_name}/plugins``."""
        return self._plugins(target.region, target.project_id, target.pool_name)

    def _build_plugins(self, region: str | None, project_id: str, pool_name: str) -> URL:
        path = ("v2", _project(project_id), "pools", _name(pool_name, "pool"), "plugins")
        return self._checked(region, path)

    def plugin(self, target: Target, name: str, *, detail: bool = False) -> URL:
        """Return ``/v2/{project_id}/pools/{pool_name}/plugins/{template_name}``."""
        pool, plugin = _name(target.pool_name, "pool"), _name(name, "plug-in")
        path = ("v2", _project(target.project_id), "pools", pool, "plugins", plugin)
        return self._checked(target.region, path, [("detail", "true")] if detail else None)

    def templates(self, target: Target, name: str | None) -> URL:
        """Return ``/v2/{project_id}/plugintemplates`` for what that pool may install."""
        query = [("poolName", _name(target.pool_name, "pool"))]
        if name is not None:
            query.insert(0, ("templateName", _name(name, "plug-in")))
        path = ("v2", _project(target.project_id), "plugintemplates")
        return self._checked(target.region, path, query)

    def driver(self, region: str | None, project_id: str, name: str) -> URL:
        """Return ``/v1/{project_id}/plugintemplates/{plugintemplate_name}``."""
        path = ("v1", _project(project_id), "plugintemplates", _name(name, "plug-in"))
        return self._checked(region, path)

    def pools(
        self,
        region: str | None,
        project_id: str,
        continue_from: str | None = None,
        *,
        workspace: str | None = None,
    ) -> URL:
        """Return ``/v2/{project_id}/pools``, of a workspace and from a token on if given."""
        path = ("v2", _project(project_id), "pools")
        query = [] if workspace is None else [("workspaceId", _name(workspace, "workspace"))]
        return self._checked(region, path, [*query, *_continued(continue_from)])

    def pool(self, target: Target) -> URL:
        """Return ``/v2/{project_id}/pools/{pool_name}``."""
        path = ("v2", _project(target.project_id), "pools", _name(target.pool_name, "pool"))
        return self._checked(target.region, path)

    def nodes(
        self, target: Target, continue_from: str | None = None, *, limit: int | None = None
    ) -> URL:
        """Return ``/v2/{project_id}/pools/{pool_name}/nodes``, one page of it."""
        pool = _name(target.pool_name, "pool")
        query = [] if limit is None else [("limit", str(limit))]
        path = ("v2", _project(target.project_id), "pools", pool, "nodes")
        return self._checked(target.region, path, [*query, *_continued(continue_from)])

    def own_projects(self, region: str | None) -> URL:
        """Return IAM's ``/v3/auth/projects``."""
        return _checked(self.iam(region), ("v3", "auth", "projects"))

    def projects(self, region: str | None, *, page: int, per_page: int) -> URL:
        """Return one page of IAM's ``/v3/projects``; pages count from 1."""
        query = [("page", str(page)), ("per_page", str(per_page))]
        return _checked(self.iam(region), ("v3", "projects"), query)

    def _checked(
        self,
        region: str | None,
        path: tuple[str, ...],
        query: list[tuple[str, str]] | None = None,
    ) -> URL:
        return _checked(self.endpoint(region), path, query)


def _checked(origin: URL, path: tuple[str, ...], query: list[tuple[str, str]] | None = None) -> URL:
    """Put the URL together, then take it apart and compare."""
    expected = "/" + "/".join(path)
    asked = "&".join(f"{name}={_quoted(value)}" for name, value in query or ())
    url = URL(f"{origin}{expected}{'?' if asked else ''}{asked}", encoded=True)
    # Compared as they stand, user and port included: what is not decoded costs half as much.
    same = (url.scheme, url.raw_authority) == (origin.scheme, origin.raw_authority)
    exact = url.raw_path == expected and expected.count("/") == len(path)
    rest = (url.raw_query_string, url.raw_fragment) == (asked, "")
    if not (same and exact and rest and _PATH.fullmatch(expected)):
        raise NotSendableError("the finished URL is not the one that was meant")
    return url


def _continued(token: str | None) -> list[tuple[str, str]]:
    """Return the query that goes on where the page before ended; nothing for the first page."""
    if token is None:
        return []
    if len(token) > CONTINUE_LIMIT:
        raise NotSendableError("the continue token is too long to be sent back")
    return [("continue", token)]


def _quoted(value: str) -> str:
    try:
        return quote(value, safe="")
    except UnicodeEncodeError:
        raise NotSendableError("a query value is not text") from None


def _project(project_id: str) -> str:
    if not is_project(project_id):
        raise NotSendableError("the project id is not a plain name")
    return project_id


def _name(name: str, what: str) -> str:
    if not is_name(name):
        raise NotSendableError(f"the {what} name is not a plain name")
    return name
