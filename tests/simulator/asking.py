"""A simulator on virtual time, and a plain HTTP client in front of it that retries nothing."""

import io
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import orjson
from yarl import URL

from tests.fakes import FakeClock
from worker.simulator import Authenticator, Simulator, SimulatorOptions

DNS = "node-local-dns"
QUICK = SimulatorOptions(projects=1, pools=2, install_s=(20.0, 20.0), upgrade_s=(30.0, 30.0))
"""Two pools, and changes that take exactly that many seconds."""


@dataclass(frozen=True, kw_only=True)
class Got:
    """A complete answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def told(self) -> Any:
        return orjson.loads(self.body)

    @property
    def error_code(self) -> str:
        return str(self.told["error_code"])


class Client:
    """Asks the simulator; the first pool unless another is named."""

    def __init__(self, cloud: Simulator, clock: FakeClock, session: aiohttp.ClientSession) -> None:
        self.cloud = cloud
        self.clock = clock
        self._session = session
        self.project, self.pool = cloud.targets[0] if cloud.targets else ("p" * 32, "pool-x")

    async def ask(
        self,
        method: str,
        path: str,
        body: bytes | io.BytesIO = b"",
        headers: Mapping[str, str] | None = None,
    ) -> Got:
        """Send one request; the path goes out as it stands."""
        url = URL(self.cloud.url + path, encoded=True)
        async with self._session.request(method, url, data=body, headers=headers) as answer:
            return Got(status=answer.status, headers=answer.headers, body=await answer.read())

    def plugins_path(self, pool: str | None = None) -> str:
        return f"/v2/{self.project}/pools/{pool or self.pool}/plugins"

    async def get(self, path: str) -> Got:
        return await self.ask("GET", path)

    async def create(
        self,
        name: str = DNS,
        version: str | None = "1.6.36",
        inputs: Mapping[str, Any] | None = None,
        *,
        pool: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Got:
        """Install or upgrade; what is None is left out of the body."""
        wanted = {"name": name, "version": version, "inputs": inputs}
        template = {key: value for key, value in wanted.items() if value is not None}
        body = {"apiVersion": "v2", "kind": "Plugin", "spec": {"template": template}}
        head = {"Content-Type": "application/json", **(headers or {})}
        return await self.ask("POST", self.plugins_path(pool), orjson.dumps(body), head)

    async def patch(self, template: Mapping[str, Any], content_type: str) -> Got:
        body = orjson.dumps({"spec": {"template": template}})
        path = f"{self.plugins_path()}/{DNS}"
        return await self.ask("PATCH", path, body, {"Content-Type": content_type})

    async def listed(self, name: str = DNS, *, pool: str | None = None) -> Any:
        """Return the list's item of that name, None when there is none."""
        items = (await self.get(self.plugins_path(pool))).told["items"]
        found = [item for item in items if item["spec"]["template"]["name"] == name]
        return found[0] if found else None

    async def phase(self, name: str = DNS) -> str | None:
        item = await self.listed(name)
        return None if item is None else str(item["status"]["phase"])

    async def settled(self, version: str = "1.6.36", **more: Any) -> None:
        """Install that version and wait until it is Running."""
        assert (await self.create(version=version, **more)).status == 200
        self.clock.advance(20)

    @property
    def journal(self) -> list[dict[str, Any]]:
        return self.cloud.journal.entries()

    @property
    def posts(self) -> list[dict[str, Any]]:
        return [line for line in self.journal if line["method"] == "POST"]


@asynccontextmanager
async def asking(
    options: SimulatorOptions = QUICK,
    *,
    journal: Path | None = None,
    authenticator: Authenticator | None = None,
) -> AsyncIterator[Client]:
    """Yield a client of a running simulator; each request has a connection of its own."""
    clock = FakeClock()
    simulator = Simulator(options, clock=clock, journal=journal, authenticator=authenticator)
    connector = aiohttp.TCPConnector(force_close=True)
    async with simulator, aiohttp.ClientSession(connector=connector) as session:
        yield Client(simulator, clock, session)
