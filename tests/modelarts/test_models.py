"""The words of the call: exact out, tolerant in, and never a state out of rubbish."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import orjson
import pytest

from jobs.model import PoolRead
from jobs.outcomes import Answer, Outcome
from tests.builders import NOON_US
from tests.modelarts.scripted import OPEN_ANSWER, caller, cloud, http, known
from worker.modelarts.faults import NotSendableError, UnreadableError
from worker.modelarts.models import (
    Resource,
    plugin_body,
    read_plugin,
    read_plugin_list,
    read_values,
    to_seen,
)
from worker.modelarts.reading import document

DOCUMENTED_REQUEST = {
    "apiVersion": "v2",
    "kind": "Plugin",
    "spec": {"template": {"version": "1.6.36", "name": "node-local-dns"}},
}
CUSTOM = {
    "enable_dnsconfig_admission": True,
    "nameserver": "135.0.0.1",
    "ndots": "8",
    "search": "1321",
}
DOCUMENTED_200 = {
    "apiVersion": "v2",
    "kind": "Plugin",
    "spec": {
        "template": {
            "name": "node-local-dns",
            "version": "1.6.36",
            "inputs": {
                "custom": CUSTOM,
                "flavor": {"name": "HA", "description": "High avaiable", "size": "large"},
            },
        }
    },
}
DOCUMENTED_400 = {"error_code": "ModelArts.50004000", "error_msg": "Bad request."}
DOCUMENTED_LIST = {
    "kind": "PluginList",
    "apiVersion": "v2",
    "items": [
        {
            "kind": "Plugin",
            "apiVersion": "v2",
            "metadata": {"name": "pool-a-gpu-beta", "creationTimestamp": "2025-03-17T12:29:18Z"},
            "spec": {"template": {"name": "gpu-beta"}},
            "status": {"phase": "Running", "version": "1.2.15", "reason": "Upgrade complete"},
        },
        {
            "kind": "Plugin",
            "apiVersion": "v2",
            "metadata": {"name": "pool-a-os-node-agent"},
            "spec": {
                "template": {
                    "name": "os-node-agent",
                    "version": "6.8.0-20250219120620",
                    "inputs": {"configs": {"metric_config": {"enable": True}}},
                }
            },
            "status": {"phase": "Running", "version": "6.8.0-20250219120620", "reason": "done"},
        },
    ],
}


async def test_the_documented_example_is_what_is_sent_and_understood() -> None:
    """The documentation's own request leaves as it stands there, and its 200 means accepted."""
    body = plugin_body("node-local-dns", version="1.6.36")
    async with cloud(http(200, DOCUMENTED_200)) as served, caller(served) as call:
        answer = await call.create(body)
        sent = served.requests[0].partition(b"\r\n\r\n")[2]

    assert sent == orjson.dumps(DOCUMENTED_REQUEST)
    assert (answer.outcome, answer.plugin.version) == (Outcome.OK, "1.6.36")
    assert answer.plugin.inputs["custom"] == CUSTOM
    assert answer.plugin.phase is None


async def test_the_documented_refusal_is_understood() -> None:
    """The documentation's own 400 is a refusal of the content, in the cloud's words."""
    async with cloud(http(400, DOCUMENTED_400)) as served, caller(served) as call:
        answer = await call.create()

    assert answer == Answer(
        outcome=Outcome.REFUSED_CONTENT,
        sent=True,
        http_status=400,
        error_code="ModelArts.50004000",
        message="Bad request.",
    )


async def test_the_documented_list_is_read() -> None:
    """The installed version is the status's, also where the spec has none; asked before it left."""
    async with cloud(http(200, DOCUMENTED_LIST)) as served, caller(served) as call:
        read = await call.list()

    assert isinstance(read, PoolRead)
    assert read.asked_us == NOON_US
    assert (read.plugins["gpu-beta"].version, read.plugins["gpu-beta"].inputs) == ("1.2.15", None)
    assert read.plugins["gpu-beta"].created_at == "2025-03-17T12:29:18Z"
    assert read.plugins["os-node-agent"].inputs == {"configs": {"metric_config": {"enable": True}}}


@pytest.mark.parametrize(
    ("version", "inputs", "template"),
    [
        (None, None, {"name": "volcano"}),
        ("1.2", None, {"version": "1.2", "name": "volcano"}),
        (None, {}, {"name": "volcano", "inputs": {}}),
        (
            "1.2",
            {"a": [1, None]},
            {"version": "1.2", "name": "volcano", "inputs": {"a": [1, None]}},
        ),
        (
            None,
            MappingProxyType({"a": MappingProxyType({})}),
            {"name": "volcano", "inputs": {"a": {}}},
        ),
    ],
)
def test_what_is_not_given_is_left_out(
    version: str | None, inputs: Mapping[str, Any] | None, template: dict[str, Any]
) -> None:
    """No key is sent with null: an empty object of inputs is sent, absent ones are not."""
    body = orjson.loads(plugin_body("volcano", version=version, inputs=inputs))

    assert body == {"apiVersion": "v2", "kind": "Plugin", "spec": {"template": template}}


@pytest.mark.parametrize("inputs", [{"a": object()}, {"a": {1, 2}}, {"a": 2**70}, {1: "a"}])
def test_inputs_that_are_no_json_are_refused_unshown(inputs: Any) -> None:
    """What cannot be written exactly is not sent, and the message does not show it."""
    with pytest.raises(NotSendableError, match=r"^the inputs cannot be written as JSON$"):
        plugin_body("volcano", inputs=inputs)


@pytest.mark.parametrize(
    "spelling", ["creationTimestamp", "creationtimestamp", "creation_timestamp"]
)
def test_the_creation_instant_is_found_in_every_spelling(spelling: str) -> None:
    """Three spellings occur; all are read."""
    plugin = read_plugin({**OPEN_ANSWER, "metadata": {spelling: "2025-03-17T12:29:18Z"}})

    assert to_seen(plugin).created_at == "2025-03-17T12:29:18Z"


def test_every_field_of_an_answer_is_read() -> None:
    """Nothing that the documentation names is lost."""
    involved = {
        "kind": "Deployment",
        "apiVersion": "apps/v1",
        "namespace": "kube-system",
        "name": "dns",
        "uid": "u-1",
        "resourceVersion": "17",
    }
    plugin = read_plugin(
        {
            **DOCUMENTED_200,
            "metadata": {"name": "pool-a-node-local-dns", "creationTimestamp": "2025"},
            "status": {
                "phase": "Updating",
                "version": "1.6.35",
                "reason": "wait",
                "values": '{"custom": {}}',
                "resources": [
                    {
                        "involvedObject": involved,
                        "replicas": 2,
                        "limits": {"cpu": "250m"},
                        "requests": {"memory": "5Mi"},
                    },
                    {"involvedObject": {"kind": "DaemonSet"}},
                ],
            },
        }
    )

    assert (plugin.name, plugin.created_at) == ("pool-a-node-local-dns", "2025")
    assert (plugin.template_version, plugin.version) == ("1.6.36", "1.6.35")
    assert (plugin.phase, plugin.reason, plugin.values) == ("Updating", "wait", {"custom": {}})
    assert plugin.resources[0] == Resource(
        kind="Deployment",
        api_version="apps/v1",
        namespace="kube-system",
        name="dns",
        uid="u-1",
        resource_version="17",
        replicas=2,
        limits={"cpu": "250m"},
        requests={"memory": "5Mi"},
    )
    assert plugin.resources[1] == Resource(kind="DaemonSet")
    assert to_seen(plugin).version == "1.6.35"


@pytest.mark.parametrize(
    ("values", "inputs"),
    [
        ('{"a": 1}', {"a": 1}),
        ({"a": 1}, {"a": 1}),
        ("{}", {}),
        ("{'a': 1}", None),
        ("[1]", None),
        ("", None),
        ("null", None),
        (7, None),
        (None, None),
        (["a"], None),
    ],
)
def test_values_are_inputs_when_an_object_can_be_made_of_them(values: Any, inputs: Any) -> None:
    """Unreadable inputs are told as unreadable, never as empty: empty would reset them."""
    seen = to_seen(read_plugin({**OPEN_ANSWER, "status": {"values": values}}))

    assert read_values(values) == inputs
    assert seen.inputs == inputs


def test_the_inputs_of_the_spec_win_over_the_values() -> None:
    """An empty object under the spec is an answer; rubbish or null there is none."""

    def inputs(told: Any) -> Any:
        template = {"name": "volcano", "inputs": told}
        answer = {"spec": {"template": template}, "status": {"values": '{"from": "values"}'}}
        return to_seen(read_plugin(answer)).inputs

    assert inputs({}) == {}
    assert inputs({"from": "spec"}) == {"from": "spec"}
    assert inputs(None) == inputs("text") == inputs([]) == {"from": "values"}


def test_an_unknown_phase_is_passed_on_as_it_stands() -> None:
    """Nobody guesses what a new word means; foreign text comes out as one clean line."""
    status = {"phase": "rollingBack", "reason": "a\nb\x1b[31m\u202ec" + "x" * 999, "version": 7}
    seen = to_seen(read_plugin({**OPEN_ANSWER, "status": status}))

    assert seen.phase == "rollingBack"
    assert seen.reason is not None
    assert seen.reason.startswith("a b [31m c")
    assert len(seen.reason) == 300
    assert seen.version == "1.6.36"


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"spec": None},
        {"spec": {"template": {}}},
        {"spec": {"template": {"name": ""}}},
        {"spec": {"template": {"name": 7}}},
        {"spec": {"template": {"name": "a\u202eb"}}},
        {"spec": {"template": "volcano"}},
        {"spec": []},
        {**OPEN_ANSWER, "metadata": []},
        {**OPEN_ANSWER, "status": "Running"},
        {**OPEN_ANSWER, "kind": "Pool"},
        {**OPEN_ANSWER, "kind": None},
        {**OPEN_ANSWER, "kind": "v2"},
    ],
)
def test_a_plugin_that_is_none_is_unreadable(answer: dict[str, Any]) -> None:
    """A container of the wrong type, another kind or a missing name is an error, not a guess."""
    with pytest.raises(UnreadableError):
        read_plugin(answer)


def test_the_swapped_field_text_is_understood() -> None:
    """A server that follows the documentation's swapped field text is understood too."""
    swapped = {**OPEN_ANSWER, "kind": "v2", "apiVersion": "Plugin"}

    assert read_plugin(swapped).template_name == "node-local-dns"


ITEM = {"spec": {"template": {"name": "volcano"}}}
UNREADABLE_LISTS: list[Any] = [
    {},
    [],
    None,
    "text",
    {"kind": "PluginList"},
    {"kind": "PluginList", "items": None},
    {"kind": "PluginList", "items": {}},
    {"kind": "PluginList", "items": [None]},
    {"kind": "PluginList", "items": [{}]},
    {"kind": "PluginList", "items": [ITEM, {"spec": {"template": {}}}]},
    {"kind": "PluginList", "items": [ITEM, ITEM]},
    {"kind": "PoolList", "items": [ITEM]},
    {"kind": 7, "items": [ITEM]},
    {"kind": {}, "items": [ITEM]},
    {"items": []},
    {"error_code": "APIG.0101", "error_msg": "no"},
]


@pytest.mark.parametrize("told", UNREADABLE_LISTS)
async def test_a_list_that_cannot_be_read_is_not_a_state(told: Any) -> None:
    """A list in doubt never reads as "nothing is installed"."""
    async with cloud(http(200, told)) as served, caller(served) as call:
        answer = await call.list()

    assert isinstance(answer, Answer)
    assert (answer.outcome, answer.http_status) == (Outcome.UNREADABLE_SUCCESS, 200)


@pytest.mark.parametrize(
    ("told", "names"),
    [
        ({"kind": "PluginList", "items": []}, set()),
        ({"kind": "NodePoolList", "items": [ITEM]}, {"volcano"}),
        ({"items": [ITEM]}, {"volcano"}),
    ],
)
def test_lists_that_are_only_odd_are_read(told: dict[str, Any], names: set[str]) -> None:
    """The kind two sites document by mistake, and a missing one beside real plug-ins, are fine."""
    assert {plugin.template_name for plugin in read_plugin_list(told)} == names


@pytest.mark.parametrize("status", [201, 202, 203, 206])
async def test_a_read_is_a_200(status: int) -> None:
    """Another success is no read."""
    async with cloud(http(status, DOCUMENTED_LIST)) as served, caller(served) as call:
        answer = await call.list()

    assert answer.outcome is Outcome.UNREADABLE_SUCCESS


async def test_a_refused_read_says_why() -> None:
    """A read error is told with the cloud's own code and text."""
    refusal = known(404, "ModelArts.50015001", "Pool x not found.", X_Request_Id="r-1")
    async with cloud(refusal) as served, caller(served) as call:
        answer = await call.list()

    assert answer.outcome is Outcome.NOT_FOUND
    assert (answer.error_code, answer.request_id) == ("ModelArts.50015001", "r-1")


@pytest.mark.parametrize(
    "body", [b"", b" ", b"{", b"[]", b"1", b'"a"', b"\xff\xfe", b"[" * 5000, b'{"a":NaN}', b"null"]
)
def test_only_a_json_object_is_a_document(body: bytes) -> None:
    """Everything else says which way it is wrong, without showing it."""
    with pytest.raises(UnreadableError, match=r"^the body is (empty|not JSON|not a JSON object)$"):
        document(body)
