"""A small client for the chaos cloud's own tests; it tells how each exchange ended."""

import http.client
import json
from collections.abc import Mapping
from typing import Any, Final

from tests.acceptance.harness import Cloud

PROJECT: Final = "p1"
DNS: Final = "node-local-dns"
CUSTOM: Final = {"custom": {"ndots": "8", "search": "x"}, "flavor": {"name": "HA"}}


class Client:
    """One keep-alive connection that says how each exchange ended."""

    def __init__(self, cloud: Cloud) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", cloud.port, timeout=5)

    def ask(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        fault: str | None = None,
        content: str = "application/json",
    ) -> tuple[int | None, bytes, str]:
        """Return status, body, and what went wrong: nothing, reset or cut."""
        headers = {"Content-Type": content} | ({"X-Chaos-Fault": fault} if fault else {})
        data = None if body is None else json.dumps(body).encode()
        try:
            self._connection.request(method, path, data, headers)
            answer = self._connection.getresponse()
            return answer.status, answer.read(), ""
        except ConnectionError:
            self._connection.close()
            return None, b"", "reset"
        except http.client.IncompleteRead:
            self._connection.close()
            return None, b"", "cut"

    def send(
        self,
        pool: str,
        version: str | None = "2",
        inputs: Mapping[str, Any] | None = CUSTOM,
        *,
        fault: str | None = None,
    ) -> tuple[int | None, bytes, str]:
        """Ask for a plug-in."""
        template = {"name": DNS, "version": version, "inputs": inputs}
        body = {
            "apiVersion": "v2",
            "kind": "Plugin",
            "spec": {"template": {key: value for key, value in template.items() if value}},
        }
        return self.ask("POST", f"/v2/{PROJECT}/pools/{pool}/plugins", body, fault=fault)

    def look(self, pool: str, *, fault: str | None = None) -> dict[str, Any]:
        """Return the plug-in as the list call shows it."""
        status, body, wrong = self.ask("GET", f"/v2/{PROJECT}/pools/{pool}/plugins", fault=fault)
        assert (status, wrong) == (200, "")
        found = {item["spec"]["template"]["name"]: item for item in json.loads(body)["items"]}
        item: dict[str, Any] = found[DNS]
        return item

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()
