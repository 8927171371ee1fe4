"""The documentation's own example: node-local-dns 1.6.36, asked for word for word."""

import orjson
import pytest

from tests.simulator.asking import QUICK, asking
from worker.simulator import SimulatorOptions

EXAMPLE = b"""{
  "apiVersion" : "v2",
  "kind" : "Plugin",
  "spec" : {
    "template" : {
      "version" : "1.6.36",
      "name" : "node-local-dns"
    }
  }
}"""

JSON = {"Content-Type": "application/json;charset=utf-8"}


async def test_the_documented_request_is_answered_200_with_spec_alone() -> None:
    """The documented answer has apiVersion, kind and spec, and neither metadata nor status."""
    async with asking(SimulatorOptions()) as client:
        got = await client.ask("POST", client.plugins_path(), EXAMPLE, JSON)

    assert got.status == 200
    assert got.headers["Content-Type"] == "application/json"
    assert set(got.told) == {"apiVersion", "kind", "spec"}
    assert (got.told["apiVersion"], got.told["kind"]) == ("v2", "Plugin")
    template = got.told["spec"]["template"]
    assert (template["name"], template["version"]) == ("node-local-dns", "1.6.36")
    assert set(template["inputs"]) == {"custom", "flavor"}


async def test_the_documented_request_installs_the_plug_in() -> None:
    """The list then shows it as documented, with a reason although all went well."""
    async with asking(QUICK) as client:
        await client.ask("POST", client.plugins_path(), EXAMPLE, JSON)
        client.clock.advance(20)
        item = await client.listed()

    assert item["metadata"]["name"] == f"{client.pool}-node-local-dns"
    assert item["metadata"]["creationTimestamp"] == "2026-11-24T12:00:00Z"
    assert item["status"] == {
        "phase": "Running",
        "version": "1.6.36",
        "reason": "Install complete",
    }


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="no body"),
        pytest.param(b"{", id="no JSON"),
        pytest.param(b"[]", id="no object"),
        pytest.param(EXAMPLE.replace(b'"v2"', b'"Plugin"'), id="apiVersion as the table says"),
        pytest.param(EXAMPLE.replace(b'"Plugin"', b'"v2"'), id="kind as the table says"),
        pytest.param(EXAMPLE.replace(b"node-local-dns", b""), id="no name"),
        pytest.param(EXAMPLE.replace(b"1.6.36", b"9.9.9"), id="no such version"),
        pytest.param(EXAMPLE.replace(b'"1.6.36"', b"1"), id="version is no string"),
        pytest.param(EXAMPLE.replace(b'"name"', b'"inputs":[],"name"'), id="inputs no object"),
        pytest.param(b'{"apiVersion":"v2","kind":"Plugin"}', id="no spec"),
    ],
)
async def test_a_body_that_makes_no_sense_is_answered_400_as_documented(body: bytes) -> None:
    """400 says ModelArts.50004000 and "Bad request.", and nothing is installed."""
    async with asking(QUICK) as client:
        got = await client.ask("POST", client.plugins_path(), body, JSON)
        installed = client.cloud.installed(client.project, client.pool)

    assert got.status == 400
    assert set(got.told) == {"error_code", "error_msg"}
    assert got.error_code == "ModelArts.50004000"
    assert got.told["error_msg"].startswith("Bad request.")
    assert installed == {}


async def test_a_request_in_other_white_space_is_the_same_request() -> None:
    """The SDK writes spaces after separators, others do not; both are accepted."""
    async with asking(QUICK) as client:
        compact = orjson.dumps(orjson.loads(EXAMPLE))
        first = await client.ask("POST", client.plugins_path(), compact, JSON)
        pool = client.cloud.targets[1][1]
        second = await client.ask("POST", client.plugins_path(pool), EXAMPLE, JSON)

    assert first.told == second.told
