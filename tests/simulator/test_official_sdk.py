"""The official SDK, unchanged, signs its calls and cannot tell the simulator from the cloud."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.simulator.official import (
    Official,
    Package,
    Shifted,
    basic,
    connected,
    core,
    load,
    official,
)
from worker.simulator import Simulator, SimulatorOptions
from worker.simulator.options import Metadata

pytestmark = pytest.mark.slow  # the SDK alone takes a second to import

SIGNED = SimulatorOptions(
    auth="aksk", projects=1, pools=2, install_s=(0.0, 0.0), upgrade_s=(0.0, 0.0)
)
EUROPE = replace(SIGNED, site="eu")
DNS = "node-local-dns"


@pytest.fixture
def sdk(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Package:
    """The SDK's package."""
    return load(monkeypatch, tmp_path)


@asynccontextmanager
async def refused(code: int) -> AsyncIterator[Any]:
    """Expect the SDK to report a refusal with that status; yields the report."""
    exceptions = core("exceptions.exceptions")
    with pytest.raises(exceptions.ServiceResponseException) as caught:
        yield caught
    assert caught.value.status_code == code


async def test_create_is_accepted_and_listed(sdk: Package) -> None:
    """A signed POST installs; the list tells phase, version, reason and inputs."""
    async with official(sdk, SIGNED) as client:
        created = await client.create(custom={"ndots": "8"})
        listed = await client.plugins()

    assert (created.status_code, created.kind, created.api_version) == (200, "Plugin", "v2")
    assert (created.metadata, created.status) == (None, None)
    (plugin,) = listed.items
    assert plugin.metadata.name == f"{client.pool}-{DNS}"
    assert (plugin.status.phase, plugin.status.version) == ("Running", "1.6.36")
    assert plugin.status.reason == "Install complete"
    assert plugin.spec.template.inputs["custom"]["ndots"] == "8"


async def test_templates_tell_versions_and_default_inputs(sdk: Package) -> None:
    """The query is signed too, and in whatever order it is sent."""
    async with official(sdk, SIGNED) as client:
        told = await client.call(
            "list_plugin_templates",
            sdk.ListPluginTemplatesRequest(template_name=DNS, pool_name=client.pool),
        )
        everything = await client.call("list_plugin_templates", sdk.ListPluginTemplatesRequest())

    (template,) = told.items
    assert template.metadata.annotations == {
        "os.modelarts.plugin/release.name": "NodeLocal DNSCache"
    }
    assert [one.version for one in template.spec.versions] == ["1.6.64", "1.6.63", "1.6.36"]
    assert template.spec.versions[0].inputs["parameters"]["flavor1"]["is_default"] is True
    assert len(everything.items) == 6


async def test_a_driver_template_tells_its_versions(sdk: Package) -> None:
    """The first version of the API: a map of versions, where the SDK looks for it."""
    async with official(sdk, SIGNED) as client:
        told = await client.call(
            "show_plugin_template", sdk.ShowPluginTemplateRequest(plugintemplate_name="npu-driver")
        )

    assert told.spec.type == "npuDriver"
    assert told.spec.versions["78-21.0.2"].version == "78-21.0.2"


async def test_pools_a_pool_and_its_nodes_are_told(sdk: Package) -> None:
    """Labels, phase and nodes in pages; the counts are lists, which the SDK cannot type."""
    async with official(sdk, SIGNED) as client:
        pools = await client.call(
            "list_pools", sdk.ListPoolsRequest(workspace_id="0", status="created")
        )
        pool = await client.call("show_pool", sdk.ShowPoolRequest(pool_name=client.pool))
        nodes = await client.call(
            "list_pool_nodes", sdk.ListPoolNodesRequest(pool_name=client.pool, limit=500)
        )

    assert [one.metadata.name for one in pools.items] == [name for _, name in client.cloud.targets]
    assert pool.metadata.labels.os_modelarts_name == "cn-north-4-001"
    assert (pool.kind, pool.status.phase, pool.spec.type) == ("Pool", "Running", "Dedicate")
    # The known flaw of the SDK: its typed view of these lists is empty.
    assert pool.status.resources.available.count is None
    counted = json.loads(pool.raw_content)["status"]["resources"]["available"][0]["count"]
    assert len(nodes.items) == counted
    assert {node.status.phase for node in nodes.items} == {"Available"}


async def test_the_european_calls_are_signed_by_hand(sdk: Package) -> None:
    """Show, patch (with an unsigned body) and delete, which the SDK has no method for."""
    patch = {"Content-Type": "application/merge-patch+json"}
    spec = {"spec": {"template": {"version": "1.6.63"}}}
    path = f"/plugins/{DNS}"
    async with official(sdk, EUROPE) as client:
        await client.create()
        shown = await client.raw("GET", path, query_params=[("detail", "true")])
        patched = await client.raw("PATCH", path, header_params=patch, body=spec)
        after = await client.raw("GET", path)
        deleted = await client.raw(
            "DELETE", path, header_params={"Content-Type": "application/json"}, body={}
        )
        left = await client.plugins()

    assert [one.involved_object.kind for one in shown.status.resources] == [
        "DaemonSet",
        "Deployment",
    ]
    assert (patched.metadata, patched.spec.template.version) == (None, "1.6.63")
    assert (after.status.version, after.status.reason) == ("1.6.63", "Upgrade complete")
    assert deleted.status.phase == "Running"
    assert left.items == []


async def test_a_delete_without_a_body_is_signed_as_the_sdk_does_it(sdk: Package) -> None:
    """It declares the absent body unsigned and signs the digest of nothing."""
    async with official(sdk, EUROPE) as client:
        await client.create()
        head = {"Content-Type": "application/merge-patch+json"}
        deleted = await client.raw("DELETE", f"/plugins/{DNS}", header_params=head)

    assert deleted.status_code == 200


async def test_a_patch_of_another_type_is_refused(sdk: Package) -> None:
    """400 ModelArts.50004100, with the request id of the header."""
    async with official(sdk, EUROPE) as client:
        await client.create()
        async with refused(400) as caught:
            await client.raw(
                "PATCH",
                f"/plugins/{DNS}",
                header_params={"Content-Type": "application/json"},
                body={"spec": {"template": {"version": "1.6.63"}}},
            )

    assert caught.value.error_code == "ModelArts.50004100"
    assert caught.value.request_id == client.cloud.journal.entries()[-1]["request_id"]


async def test_a_refusal_arrives_with_code_text_and_request_id(sdk: Package) -> None:
    """From ModelArts (404) and from the gateway before it (404 for a call of another site)."""
    exceptions = core("exceptions.exceptions")
    async with official(sdk, SIGNED) as client:
        client.pool = "pool-unknown"
        async with refused(404) as unknown:
            await client.create()
        async with refused(404) as unpublished:
            await client.raw("GET", f"/plugins/{DNS}")
        ids = [line["request_id"] for line in client.cloud.journal.entries()]

    assert isinstance(unknown.value, exceptions.ClientRequestException)
    assert unknown.value.error_code == "ModelArts.50015001"
    assert unknown.value.error_msg == "Pool pool-unknown not found."
    assert unpublished.value.error_code == "APIG.0101"
    assert [unknown.value.request_id, unpublished.value.request_id] == ids


async def test_throttling_arrives_as_the_sdk_reports_it(sdk: Package) -> None:
    """A 429 on a POST keeps its code and id; on a GET the SDK loses both."""
    async with official(sdk, replace(SIGNED, limit=1)) as client:
        await client.plugins()
        async with refused(429) as posted:
            await client.create()
        async with refused(429) as read:
            await client.plugins()

    assert posted.value.error_code == "APIG.0308"
    assert posted.value.error_msg.endswith("policy user over ratelimit,limit:1,time:1 second")
    assert len(posted.value.request_id) == 32
    assert (read.value.error_code, read.value.request_id) == ("429", "")


async def test_a_failing_service_and_a_lost_connection_are_told_apart(sdk: Package) -> None:
    """5xx is a ServerResponseException with code and id, a reset a ConnectionException."""
    exceptions = core("exceptions.exceptions")
    async with official(sdk, replace(SIGNED, error_before=1.0)) as client:
        with pytest.raises(exceptions.ServerResponseException) as failed:
            await client.create()
        client.cloud.change(error_before=0.0, lost_after=1.0)
        with pytest.raises(exceptions.ConnectionException):
            await client.create()

    assert failed.value.status_code >= 500
    assert failed.value.request_id


async def test_a_wrong_secret_locks_the_key_after_six(sdk: Package) -> None:
    """Six wrong signatures, then even the right one is refused for five minutes."""

    def mistaken(cloud: Simulator) -> Any:
        right = basic(cloud)
        return core("auth.credentials").BasicCredentials(right.ak, "no", right.project_id)

    texts = []
    async with official(sdk, SIGNED, mistaken) as client:
        for _ in range(7):
            async with refused(401) as caught:
                await client.plugins()
            texts.append(caught.value.error_msg)
            assert caught.value.error_code == "APIG.0301"
        async with connected(sdk, client.cloud, basic(client.cloud)) as right:
            async with refused(401) as locked:
                await right.plugins()
            client.cloud.identity.unlock()
            unlocked = await right.plugins()

    prefix = "Incorrect IAM authentication information: "
    assert all(text.startswith(f"{prefix}verify aksk signature fail") for text in texts[:6])
    limit = f"{prefix}AK access failed to reach the limit,forbidden"
    assert [texts[6], locked.value.error_msg] == [limit, limit]
    assert client.cloud.identity.bad_signatures == 6
    assert unlocked.status_code == 200


@pytest.mark.parametrize(("seconds", "status"), [(880, 200), (-880, 200), (920, 401), (-920, 401)])
async def test_a_clock_may_be_off_by_a_quarter_of_an_hour(
    sdk: Package, seconds: float, status: int
) -> None:
    """Beyond it the gateway names both times and says APIG.0303."""
    async with (
        Simulator(SIGNED, clock=Shifted(seconds)) as cloud,
        connected(sdk, cloud, basic(cloud)) as client,
    ):
        if status == 200:
            assert (await client.plugins()).status_code == 200
            return
        async with refused(401) as caught:
            await client.plugins()

    assert caught.value.error_code == "APIG.0303"
    assert "signature expired, signature time:" in caught.value.error_msg


async def test_an_unknown_key_is_named(sdk: Package) -> None:
    """It does not exist, and so it cannot be locked."""

    def stranger(cloud: Simulator) -> Any:
        return core("auth.credentials").BasicCredentials("NOBODY", "no", cloud.targets[0][0])

    async with official(sdk, SIGNED, stranger) as client, refused(401) as caught:
        await client.plugins()

    assert "Get secretKey failed,ak:NOBODY,err:ak not exist" in caught.value.error_msg


async def test_the_project_is_found_by_the_name_of_the_region(
    sdk: Package, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a project id the SDK asks IAM, finds exactly one, and goes on with it."""
    credentials = core("auth.credentials").BasicCredentials
    monkeypatch.setattr(credentials, "_CACHE", {})
    async with Simulator(replace(SIGNED, projects=3)) as cloud:
        monkeypatch.setenv("HUAWEICLOUD_SDK_IAM_ENDPOINT", cloud.url)
        region = core("region.region").Region("cn-north-4", cloud.url)
        key = cloud.identity.directory.keys[0]
        found = credentials(key.access, key.secret)
        async with connected(sdk, cloud, found, lambda one: one.with_region(region)) as client:
            listed = await client.plugins()

    assert found.project_id == cloud.targets[0][0]
    assert listed.status_code == 200
    assert cloud.journal.entries()[0]["path"] == "/v3/projects?name=cn-north-4"


async def test_a_federated_identity_gets_a_temporary_key(sdk: Package, tmp_path: Path) -> None:
    """An id token becomes a token, the token a key, and the key signs with its security token."""
    async with Simulator(SIGNED) as cloud:
        file = tmp_path / "id-token"
        file.write_text(cloud.identity.directory.id_token)
        credentials = (
            core("auth.credentials")
            .BasicCredentials(project_id=cloud.targets[0][0])
            .with_idp_id(cloud.identity.directory.provider)
            .with_id_token_file(str(file))
            .with_iam_endpoint(cloud.url)
        )
        async with connected(sdk, cloud, credentials) as client:
            first, second = await client.plugins(), await client.plugins()

    assert (first.status_code, second.status_code) == (200, 200)
    paths = [line["path"] for line in cloud.journal.entries()]
    assert paths[:2] == ["/v3.0/OS-AUTH/id-token/tokens", "/v3.0/OS-CREDENTIAL/securitytokens"]
    assert len(paths) == 4


@pytest.mark.parametrize("metadata", ["open", "hardened"])
async def test_a_machine_gets_its_key_from_metadata(
    sdk: Package, monkeypatch: pytest.MonkeyPatch, metadata: Metadata
) -> None:
    """With a metadata token where the machine wants one."""
    options = replace(SIGNED, metadata=metadata)
    async with Simulator(options) as cloud:
        accessor = core("auth.internal").MetadataAccessor
        monkeypatch.setattr(accessor, "_METADATA_ENDPOINT", cloud.url)
        credentials = core("auth.credentials").BasicCredentials(project_id=cloud.targets[0][0])
        async with connected(sdk, cloud, credentials) as client:
            listed = await client.plugins()

    assert listed.status_code == 200
    assert credentials.ak.startswith("HST")


async def test_a_machine_without_an_agency_says_so(
    sdk: Package, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The text is what the SDK knows from the real service, so it does not ask again."""
    async with Simulator(replace(SIGNED, metadata="no-agency")) as cloud:
        accessor = core("auth.internal").MetadataAccessor
        monkeypatch.setattr(accessor, "_METADATA_ENDPOINT", cloud.url)
        credentials = core("auth.credentials").BasicCredentials(project_id=cloud.targets[0][0])
        async with connected(sdk, cloud, credentials) as client, refused(401):
            await client.plugins()

    assert [line["method"] for line in cloud.journal.entries()] == ["PUT", "GET"]


async def test_a_pod_gets_its_key_for_its_token(sdk: Package, tmp_path: Path) -> None:
    """The token file is what a pod is given, the address is in its environment."""
    async with Simulator(SIGNED) as cloud:
        file = tmp_path / "token"
        file.write_text(cloud.identity.directory.pod_token)
        accessor = core("auth.internal").PodIdentityAccessor
        credentials = core("auth.credentials").BasicCredentials(project_id=cloud.targets[0][0])
        credentials.sts_accessor = accessor(f"{cloud.url}/v1/credentials", str(file))
        async with connected(sdk, cloud, credentials) as client:
            listed = await client.plugins()

    assert listed.status_code == 200


async def test_a_key_opens_the_projects_of_its_account_alone(sdk: Package) -> None:
    """Another account's project is forbidden, and so is an id that differs from the path's."""
    options = replace(SIGNED, projects=2, accounts=2)
    async with Simulator(options) as cloud:
        other = cloud.targets[-1][0]
        async with connected(sdk, cloud, basic(cloud, project_id=other)) as client:
            client.pool = cloud.targets[-1][1]
            async with refused(403) as forbidden:
                await client.plugins()
        async with connected(sdk, cloud, basic(cloud, 1, project_id=other)) as owner:
            owner.pool = cloud.targets[-1][1]
            allowed = await owner.plugins()

    assert forbidden.value.error_code == "APIG.0302"
    assert allowed.status_code == 200


async def test_nothing_is_checked_unless_it_is_asked_for(sdk: Package) -> None:
    """Without `auth` any key of anybody will do, as before."""

    def anybody(cloud: Simulator) -> Any:
        return core("auth.credentials").BasicCredentials("MADE", "up", cloud.targets[0][0])

    async with official(sdk, replace(SIGNED, auth="none"), anybody) as client:
        listed = await client.plugins()

    assert isinstance(client, Official)
    assert listed.items == []
