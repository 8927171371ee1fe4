"""The calls that change nothing, and what every answer has in common."""

import io
import re
from dataclasses import replace
from typing import Any
from urllib.parse import quote

import pytest

from tests.simulator.asking import DNS, QUICK, asking


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("GET", "/v2"),
        ("GET", "/v2/{project}/nothing"),
        ("GET", "/v1/{project}/pools"),
        ("GET", "/v2/{project}/pools/"),
        ("GET", "/v2/{project}/pools/{pool}/plugins/"),
        ("GET", "/v2/{project}/pools/{pool}/plugins/a/b"),
        ("DELETE", "/v2/{project}/pools/{pool}"),
        ("PUT", "/v2/{project}/pools/{pool}/plugins"),
        ("HEAD", "/v2/{project}/pools"),
        ("GET", "/v1/{project}/events?resource=pools"),
    ],
)
async def test_an_unknown_path_or_method_is_no_such_api(method: str, path: str) -> None:
    """404 from the gateway, with its request id in the body too."""
    async with asking(QUICK) as client:
        got = await client.ask(method, path.format(project=client.project, pool=client.pool))

    assert got.status == 404
    if method != "HEAD":
        assert got.error_code == "APIG.0101"
        assert got.told["request_id"] == got.headers["X-Request-Id"]


async def test_every_answer_has_a_request_id_of_its_own() -> None:
    """32 hex digits, on successes and refusals, never the same twice."""
    async with asking(replace(QUICK, limit=4)) as client:
        answers = [
            await client.create(),
            await client.create(),
            await client.get(client.plugins_path()),
            await client.get("/nowhere"),
            await client.get(client.plugins_path()),
        ]
    ids = [got.headers["X-Request-Id"] for got in answers]

    assert [got.status for got in answers] == [200, 409, 200, 404, 429]
    assert all(re.fullmatch("[0-9a-f]{32}", one) for one in ids)
    assert len(set(ids)) == 5


async def test_an_unknown_template_is_not_found() -> None:
    """404 ModelArts.50005101 with the name, for a create and for a look."""
    async with asking(QUICK) as client:
        created = await client.create("no-such-plugin")
        looked = await client.get(
            f"/v2/{client.project}/plugintemplates?templateName=no-such-plugin"
        )

    for got in (created, looked):
        assert (got.status, got.error_code) == (404, "ModelArts.50005101")
        assert got.told["error_msg"] == "Plugintemplate no-such-plugin not found."


async def test_an_unknown_project_is_not_found() -> None:
    """For its pools, its templates, and any pool in it."""
    async with asking(QUICK) as client:
        answers = [
            await client.get(f"/v2/{'f' * 32}/{rest}")
            for rest in ("pools", "plugintemplates", f"pools/{client.pool}/plugins")
        ]

    assert [got.status for got in answers] == [404, 404, 404]


async def test_templates_tell_versions_and_default_inputs() -> None:
    """The parameters have custom and one default flavor, as documented for node-local-dns."""
    async with asking(QUICK) as client:
        # The stray ampersand is what one well-known client sends.
        path = f"/v2/{client.project}/plugintemplates?&templateName={DNS}&poolName={client.pool}"
        told = (await client.get(path)).told
    (template,) = told["items"]
    versions = template["spec"]["versions"]
    parameters = versions[0]["inputs"]["parameters"]

    assert told["kind"] == "PluginTemplateList"
    assert template["metadata"]["annotations"] == {
        "os.modelarts.plugin/release.name": "NodeLocal DNSCache"
    }
    assert [one["version"] for one in versions] == ["1.6.64", "1.6.63", "1.6.36"]
    assert parameters["custom"]["ndots"] == "5"
    flavors = [value for key, value in parameters.items() if key.startswith("flavor")]
    assert [one["name"] for one in flavors if one.get("is_default")] == ["HA"]


async def test_the_newest_version_is_also_the_latest_created() -> None:
    """Order and creation time agree, so a client may go by either."""
    async with asking(QUICK) as client:
        told = (await client.get(f"/v2/{client.project}/plugintemplates")).told

    assert {template["metadata"]["name"] for template in told["items"]} == {
        DNS,
        "log-agent",
        "volcano",
        "gpu-beta",
        "os-node-agent",
        "metric-collector",
    }
    for template in told["items"]:
        created = [one["creationTimestamp"] for one in template["spec"]["versions"]]
        assert created == sorted(created, reverse=True)
        assert len(set(created)) == len(created)


async def test_templates_of_an_unknown_pool_are_not_found() -> None:
    """The pool is the condition, so it has to exist."""
    async with asking(QUICK) as client:
        got = await client.get(f"/v2/{client.project}/plugintemplates?poolName=pool-unknown")

    assert (got.status, got.error_code) == (404, "ModelArts.50015001")


async def test_the_first_version_of_the_api_knows_driver_templates_alone() -> None:
    """Their versions are a map; a plug-in template is not found there."""
    async with asking(QUICK) as client:
        driver = await client.get(f"/v1/{client.project}/plugintemplates/npu-driver")
        plugin = await client.get(f"/v1/{client.project}/plugintemplates/{DNS}")

    assert "78-21.0.2" in driver.told["spec"]["versions"]
    assert (plugin.status, plugin.error_code) == (404, "ModelArts.50005101")


async def test_pools_are_listed_without_pages() -> None:
    """Name, labels, phase and node counts; lists where the service sends lists."""
    async with asking(replace(QUICK, pools=5)) as client:
        told = (await client.get(f"/v2/{client.project}/pools")).told

    assert told["kind"] == "PoolList"
    assert [pool["metadata"]["name"] for pool in told["items"]] == [
        pool for _, pool in client.cloud.targets
    ]
    first = told["items"][0]
    labels = first["metadata"]["labels"]
    assert labels["os.modelarts/name"] == "cn-north-4-001"
    assert labels["os.modelarts/workspace.id"] == "0"
    assert labels["os.modelarts/tenant.project.id"] == client.project
    assert first["status"]["phase"] == "Running"
    assert first["status"]["resources"]["available"][0]["count"] >= 1


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("", 3),
        ("workspaceId=0", 3),
        ("workspaceId=1", 0),
        ("status=created", 3),
        ("status=failed", 0),
        ("status=creating", 0),
        (f"labelSelector={quote('os.modelarts/name=cn-north-4-002')}", 1),
        (f"labelSelector={quote('os.modelarts/name==cn-north-4-002')}", 1),
        (f"labelSelector={quote('os.modelarts/name=elsewhere')}", 0),
    ],
)
async def test_pools_can_be_chosen(query: str, count: int) -> None:
    """By workspace (0 unless said), status, or equality of a label."""
    async with asking(replace(QUICK, pools=3)) as client:
        told = (await client.get(f"/v2/{client.project}/pools?{query}")).told

    assert len(told["items"]) == count


async def test_nodes_come_in_pages() -> None:
    """Limit and continue walk through all of them; the last page tells no continue."""
    async with asking(QUICK) as client:
        path = f"/v2/{client.project}/pools/{client.pool}"
        shown = (await client.get(path)).told
        nodes: list[Any] = []
        query = "?limit=2"
        while query:
            page = (await client.get(f"{path}/nodes{query}")).told
            nodes += page["items"]
            go_on = page["metadata"].get("continue")
            query = f"?limit=2&continue={go_on}" if go_on else ""

    assert len({node["metadata"]["name"] for node in nodes}) == len(nodes)
    assert len(nodes) == shown["status"]["resources"]["available"][0]["count"]


@pytest.mark.parametrize("query", ["limit=501", "limit=-1", "limit=x", "continue=x"])
async def test_a_page_that_makes_no_sense_is_a_bad_request(query: str) -> None:
    """Limit goes from 0 to 500."""
    async with asking(QUICK) as client:
        got = await client.get(f"/v2/{client.project}/pools/{client.pool}/nodes?{query}")

    assert (got.status, got.error_code) == (400, "ModelArts.50004000")


async def test_the_european_site_shows_one_plug_in_in_detail() -> None:
    """`detail=true` adds what it runs as: a DaemonSet without replicas, a Deployment with 2."""
    async with asking(replace(QUICK, site="eu")) as client:
        await client.settled()
        path = f"{client.plugins_path()}/{DNS}"
        plain = (await client.get(path)).told
        detail = (await client.get(f"{path}?detail=true")).told
        absent = await client.get(f"{client.plugins_path()}/volcano")

    assert "resources" not in plain["status"]
    kinds = {one["involvedObject"]["kind"]: one for one in detail["status"]["resources"]}
    assert "replicas" not in kinds["DaemonSet"]
    assert kinds["Deployment"]["replicas"] == 2
    assert absent.status == 404


async def test_a_body_over_the_gateways_limit_is_refused() -> None:
    """413 beyond 12 MB, with nothing done."""
    async with asking(QUICK) as client:
        body = io.BytesIO(b" " * (12 * 1024 * 1024 + 1))
        got = await client.ask("POST", client.plugins_path(), body)

    assert (got.status, got.error_code) == (413, "APIG.0201")
    assert not client.journal[-1]["applied"]
