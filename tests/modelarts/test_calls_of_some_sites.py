"""Show, update and delete of one plug-in, drivers, nodes: on the wire as documented."""

from typing import Any

import orjson
import pytest

from jobs.model import PluginSeen
from jobs.outcomes import Answer, Outcome
from tests.modelarts.scripted import (
    LONG_S,
    NAME,
    TARGET,
    Caller,
    Cloud,
    Gates,
    Reply,
    Then,
    caller,
    cloud,
    http,
    known,
    open_gate,
)
from worker.modelarts.faults import GateClosed, NotSendableError
from worker.modelarts.models import Plugin, patch_body
from worker.modelarts.pools import NodePage, NodeSeen
from worker.modelarts.sites import Has
from worker.modelarts.templates import PluginTemplate

SPEC = {"spec": {"template": {"name": NAME, "version": "1.6.36", "inputs": {"custom": {}}}}}
FULL = {
    "kind": "Plugin",
    "apiVersion": "v2",
    "metadata": {"name": f"{TARGET.pool_name}-{NAME}"},
    **SPEC,
    "status": {"phase": "Running", "version": "1.6.36", "reason": "Install complete"},
}
WORKLOAD = {
    "involvedObject": {"kind": "Deployment", "namespace": "kube-system", "name": "dns"},
    "replicas": 2,
    "limits": {"cpu": "500m"},
    "requests": {"cpu": "25m"},
}
BODY = patch_body(NAME, version="1.6.36", inputs={"custom": {}})
PLUGIN_PATH = f"/v2/{TARGET.project_id}/pools/{TARGET.pool_name}/plugins/{NAME}"
NOT_HERE = known(404, "APIG.0101", "The API does not exist")


async def update(call: Caller, body: bytes = BODY) -> Any:
    """Update the plug-in that the body names."""
    return await call.client.update(TARGET, body, gate=open_gate, timeout_s=LONG_S)


async def delete(call: Caller) -> Any:
    """Delete the plug-in."""
    return await call.client.delete(TARGET, NAME, gate=open_gate, timeout_s=LONG_S)


async def show(call: Caller) -> Any:
    """Show the plug-in in detail."""
    return await call.client.show_plugin(TARGET, NAME, gate=open_gate, timeout_s=LONG_S)


def request(served: Cloud) -> tuple[str, dict[str, str], bytes]:
    """Return the one request that came: its first line, its headers, its body."""
    [raw] = served.requests
    head, _, body = raw.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = {name.lower(): value for name, _, value in (one.partition(": ") for one in lines)}
    return first, headers, body


async def test_an_update_is_a_merge_patch_of_the_template() -> None:
    """With another content type the cloud refuses it; the body has the spec and nothing else."""
    async with cloud(http(200, SPEC)) as served, caller(served) as call:
        await update(call)

    first, headers, body = request(served)
    assert first == f"PATCH {PLUGIN_PATH} HTTP/1.1"
    assert headers["content-type"] == "application/merge-patch+json"
    assert orjson.loads(body) == SPEC


@pytest.mark.parametrize("status", [200, 201, 202])
@pytest.mark.parametrize(
    "told",
    [SPEC, FULL, {"spec": {"template": {"version": "1.6.36", "inputs": {"custom": {}}}}}],
    ids=["spec alone", "in full", "no name"],
)
async def test_an_accepted_update_tells_the_plug_in(status: int, told: dict[str, Any]) -> None:
    """The documented answer has the spec alone, and its name may be missing as in the request."""
    async with cloud(http(status, told)) as served, caller(served) as call:
        answer = await update(call)

    assert (answer.outcome, answer.http_status) == (Outcome.OK, status)
    assert (answer.plugin.name, answer.plugin.version) == (NAME, "1.6.36")


@pytest.mark.parametrize(
    "reply",
    [
        http(200, {}),
        http(200, {"spec": {"template": {}}}),
        http(200, {"spec": {"template": {"name": "volcano"}}}),
        http(200, {**SPEC, "kind": "Pool"}),
        http(203, SPEC),
        http(200),
        Reply(data=b"HTTP/1.1 204 None\r\n\r\n"),
    ],
)
async def test_a_success_that_proves_nothing_is_no_success(reply: Reply) -> None:
    """An update in doubt is read back, as a create in doubt is."""
    async with cloud(reply) as served, caller(served) as call:
        answer = await update(call)

    assert answer.outcome is Outcome.UNREADABLE_SUCCESS
    assert answer.sent


async def test_an_update_ends_as_a_create_does() -> None:
    """The same answers mean the same, the gate is asked, and nothing is repeated."""
    replies = known(409, "ModelArts.5044", "busy"), http(200, SPEC)
    async with cloud(*replies) as served, caller(served) as call:
        busy = await update(call)
        gate = Gates(GateClosed())
        kept = await call.client.update(TARGET, BODY, gate=gate, timeout_s=LONG_S)

    assert (busy.outcome, busy.error_code) == (Outcome.CONFLICT, "ModelArts.5044")
    assert (kept.outcome, kept.sent, gate.asked) == (Outcome.GATE_CLOSED, False, 1)
    assert len(served.requests) == 1


async def test_a_lost_answer_to_an_update_is_a_lost_answer() -> None:
    """It may have had an effect."""
    async with cloud(Reply(then=Then.RESET)) as served, caller(served) as call:
        answer = await update(call)

    assert (answer.outcome, answer.sent) == (Outcome.CONNECTION_LOST, True)


@pytest.mark.parametrize("name", ["..", "a/b", "a b", ""])
async def test_a_name_that_no_path_can_hold_is_not_sent(name: str) -> None:
    """Nothing leaves that would address something else."""
    body = orjson.dumps({"spec": {"template": {"name": name}}})
    async with cloud(http(200, SPEC)) as served, caller(served) as call:
        answers = [
            await update(call, body),
            await call.client.delete(TARGET, name, gate=open_gate, timeout_s=LONG_S),
            await call.client.show_plugin(TARGET, name, gate=open_gate, timeout_s=LONG_S),
        ]

    assert {getattr(one, "outcome", None) for one in answers} == {Outcome.NOT_SENDABLE}
    assert served.requests == []


def test_inputs_that_are_no_json_make_no_body() -> None:
    """They are refused before anything is sent, without being shown."""
    with pytest.raises(NotSendableError) as caught:
        patch_body(NAME, inputs={"secret": object()})

    assert "secret" not in str(caught.value)


async def test_a_delete_tells_of_the_plug_in_as_it_was() -> None:
    """The documented answer shows it still Running; the request has an empty object as body."""
    async with cloud(http(200, FULL)) as served, caller(served) as call:
        answer = await delete(call)

    first, headers, body = request(served)
    assert (first, body) == (f"DELETE {PLUGIN_PATH} HTTP/1.1", b"{}")
    assert headers["content-type"] == "application/json"
    assert answer.outcome is Outcome.OK
    assert isinstance(answer.plugin, PluginSeen)
    assert answer.plugin.phase == "Running"


async def test_a_delete_without_an_answer_body_is_accepted() -> None:
    """204 is a usual answer to a delete; it tells of nothing."""
    async with cloud(Reply(data=b"HTTP/1.1 204 None\r\n\r\n")) as served, caller(served) as call:
        answer = await delete(call)

    assert (answer.outcome, answer.plugin) == (Outcome.OK, None)


@pytest.mark.parametrize(
    "reply",
    [http(200), http(200, {**FULL, "spec": {"template": {"name": "volcano"}}}), http(201, FULL)],
)
async def test_a_delete_of_something_else_is_no_success(reply: Reply) -> None:
    """Only an answer about this plug-in says that it goes."""
    async with cloud(reply) as served, caller(served) as call:
        answer = await delete(call)

    assert answer.outcome is Outcome.UNREADABLE_SUCCESS


async def test_show_in_detail_tells_what_the_plug_in_runs_as() -> None:
    """The workloads are in the answer when they are asked for."""
    told = {**FULL, "status": {**FULL["status"], "resources": [WORKLOAD]}}  # type: ignore[dict-item] # JSON
    async with cloud(http(200, told)) as served, caller(served) as call:
        shown = await show(call)

    assert request(served)[0] == f"GET {PLUGIN_PATH}?detail=true HTTP/1.1"
    assert isinstance(shown, Plugin)
    assert [(one.kind, one.name, one.replicas) for one in shown.resources] == [
        ("Deployment", "dns", 2)
    ]


async def test_show_answers_about_the_plug_in_that_was_asked_for() -> None:
    """Another one is no answer."""
    told = {**FULL, "spec": {"template": {"name": "volcano"}}}
    async with cloud(http(200, told)) as served, caller(served) as call:
        shown = await show(call)

    assert getattr(shown, "outcome", None) is Outcome.UNREADABLE_SUCCESS


async def test_what_a_site_lacks_is_remembered() -> None:
    """The first answer tells, for each call by itself."""
    replies = NOT_HERE, http(200, SPEC), known(400, "ModelArts.50004000")
    async with cloud(*replies) as served, caller(served) as call:
        before = call.client.site(TARGET.region)
        absent = await show(call)
        await update(call)
        await delete(call)
        site = call.client.site(TARGET.region)

    assert {before.has_show, before.has_patch, before.has_delete} == {Has.UNKNOWN}
    assert absent.outcome is Outcome.NO_SUCH_API
    assert (site.has_show, site.has_patch, site.has_delete) == (Has.NO, Has.YES, Has.YES)


DRIVER = {"kind": "PluginTemplate", "metadata": {"name": "npu-driver"}}
VERSIONS = {"78-21.0.2": {"version": "78-21.0.2"}}


@pytest.mark.parametrize("told", [{"spec": {"versions": VERSIONS}}, {"versions": VERSIONS}])
async def test_a_drivers_template_comes_from_v1(told: dict[str, Any]) -> None:
    """Its versions are keyed by name, in the spec or beside it."""
    async with cloud(http(200, {**DRIVER, **told})) as served, caller(served) as call:
        got = await call.client.driver_template(
            TARGET.project_id, "npu-driver", gate=open_gate, timeout_s=LONG_S
        )

    path = f"/v1/{TARGET.project_id}/plugintemplates/npu-driver"
    assert request(served)[0] == f"GET {path} HTTP/1.1"
    assert isinstance(got, PluginTemplate)
    assert [one.version for one in got.versions] == ["78-21.0.2"]


async def test_a_template_of_another_driver_is_no_answer() -> None:
    """Nobody takes one driver's versions for another's."""
    async with cloud(http(200, DRIVER)) as served, caller(served) as call:
        got = await call.client.driver_template(
            TARGET.project_id, "gpu-driver", gate=open_gate, timeout_s=LONG_S
        )

    assert getattr(got, "outcome", None) is Outcome.UNREADABLE_SUCCESS


NODE = {
    "metadata": {"name": "os-node-1"},
    "status": {"phase": "Available", "driver": {"phase": "Running"}},
}


async def test_nodes_come_in_pages() -> None:
    """How many are left and where to go on is passed on; the token goes back as it came."""
    page = {
        "kind": "NodeList",
        "metadata": {"continue": "a&b", "remainingItemCount": "7"},
        "items": [NODE, {"metadata": {"name": "os-node-2"}}],
    }
    async with cloud(http(200, page)) as served, caller(served) as call:
        got = await call.client.nodes(
            TARGET, limit=2, continue_from="x=/y", gate=open_gate, timeout_s=LONG_S
        )

    assert b"/nodes?limit=2&continue=x%3D%2Fy HTTP/1.1" in served.requests[0]
    assert got == NodePage(
        nodes=(
            NodeSeen(name="os-node-1", phase="Available", driver_phase="Running"),
            NodeSeen(name="os-node-2"),
        ),
        continue_from="a&b",
        remaining=7,
    )


@pytest.mark.parametrize(
    "told", [{}, {"items": 1}, {"kind": "PoolList", "items": []}, {"items": [{}]}]
)
async def test_a_node_list_in_doubt_is_unreadable(told: dict[str, Any]) -> None:
    """A list of something else has no nodes to count."""
    async with cloud(http(200, told)) as served, caller(served) as call:
        got = await call.client.nodes(TARGET, gate=open_gate, timeout_s=LONG_S)

    assert isinstance(got, Answer)
    assert got.outcome is Outcome.UNREADABLE_SUCCESS
