"""The official SDK as a client of the simulator: imported late, used in a thread, then closed.

It writes a file below the home folder when it is imported and listens to the proxy
variables, so both are set before.
"""

import importlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio.to_thread
import pytest

from jobs.clock import SystemClock, seconds_to_us
from worker.simulator import Simulator, SimulatorOptions

# The SDK brings no types.
Package = Any


def load(monkeypatch: pytest.MonkeyPatch, home: Path) -> Package:
    """Return ``huaweicloudsdkmodelarts.v1``, with a home folder and a network of its own."""
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)
    return importlib.import_module("huaweicloudsdkmodelarts.v1")


def core(name: str) -> Any:
    """Return a module of ``huaweicloudsdkcore``; only after `load`."""
    return importlib.import_module(f"huaweicloudsdkcore.{name}")


class Official:
    """One SDK client, called in a thread because it blocks."""

    def __init__(self, package: Package, client: Any, cloud: Simulator) -> None:
        self.sdk = package
        self.cloud = cloud
        self._client = client
        self.project, self.pool = cloud.targets[0]

    async def call(self, method: str, request: Any) -> Any:
        """Call ``client.method(request)``."""
        return await anyio.to_thread.run_sync(getattr(self._client, method), request)

    async def raw(self, method: str, path: str, **more: Any) -> Any:
        """Make a signed call that the SDK has no method for; *path* is below the pool."""

        def ask() -> Any:
            return self._client.do_http_request(
                method=method,
                resource_path="/v2/{project_id}/pools/{pool_name}" + path,
                path_params={"pool_name": self.pool},
                response_type="CreatePoolPluginResponse",
                **more,
            )

        return await anyio.to_thread.run_sync(ask)

    async def create(
        self, name: str = "node-local-dns", version: str | None = "1.6.36", **inputs: Any
    ) -> Any:
        """Install or upgrade a plug-in on the first pool."""
        sdk = self.sdk
        template = sdk.Template(name=name, version=version, inputs=inputs or None)
        body = sdk.CreatePluginRequestBody(
            api_version="v2", kind="Plugin", spec=sdk.PluginSpec(template=template)
        )
        request = sdk.CreatePoolPluginRequest(pool_name=self.pool, body=body)
        return await self.call("create_pool_plugin", request)

    async def plugins(self) -> Any:
        """Return the plug-ins of the first pool."""
        return await self.call(
            "list_pool_plugins", self.sdk.ListPoolPluginsRequest(pool_name=self.pool)
        )


def basic(cloud: Simulator, number: int = 0, *, project_id: str | None = None) -> Any:
    """Return credentials of a key the simulator knows, for the first project or another."""
    key = cloud.identity.directory.keys[number]
    basic_credentials = core("auth.credentials").BasicCredentials
    return basic_credentials(key.access, key.secret, project_id or cloud.targets[0][0])


@asynccontextmanager
async def connected(
    package: Package,
    cloud: Simulator,
    credentials: Any,
    adjust: Callable[[Any], Any] = lambda builder: builder,
) -> AsyncIterator[Official]:
    """Yield a client of *cloud* with these credentials; *adjust* changes its builder."""
    builder = package.ModelArtsClient.new_builder().with_credentials(credentials)
    builder = adjust(builder.with_endpoints([cloud.url]))
    client = await anyio.to_thread.run_sync(builder.build)
    try:
        yield Official(package, client, cloud)
    finally:
        http = client.get_http_client()
        http.close()
        http.executor.shutdown()


@asynccontextmanager
async def official(
    package: Package,
    options: SimulatorOptions,
    credentials: Callable[[Simulator], Any] = basic,
) -> AsyncIterator[Official]:
    """Yield a client of a simulator of its own, on the machine's clock."""
    async with Simulator(options) as cloud, connected(package, cloud, credentials(cloud)) as client:
        yield client


class Shifted(SystemClock):
    """The machine's clock, some seconds off."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self._shift_us = seconds_to_us(seconds)

    def now_us(self) -> int:
        return super().now_us() + self._shift_us
