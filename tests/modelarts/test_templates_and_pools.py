"""What may be installed where: templates with versions and defaults, pools with their state."""

from typing import Any

import pytest

from jobs.model import PoolSeen
from jobs.outcomes import Outcome
from tests.modelarts.scripted import LONG_S, TARGET, caller, cloud, http, known, open_gate
from worker.modelarts.faults import UnreadableError
from worker.modelarts.pools import PoolPage, read_pool, read_pool_page
from worker.modelarts.templates import default_inputs, read_templates

HA = {"name": "HA", "size": "large", "resources": [{"name": "cache"}]}
PARAMETERS = {
    "custom": {"nameserver": "", "ndots": "5"},
    "flavor1": {**HA, "is_default": True},
    "flavor2": {"name": "custom-resources", "is_default": False},
}


def template(*versions: Any, **spec: Any) -> dict[str, Any]:
    """Return a list of one template."""
    told = {"type": "ccePlugin", "versions": list(versions), **spec}
    item = {"kind": "PluginTemplate", "metadata": {"name": "node-local-dns"}, "spec": told}
    return {"items": [item]}


def names(told: dict[str, Any]) -> list[str]:
    """Return the versions of the one template in their order."""
    [one] = read_templates(told)
    return [version.version for version in one.versions]


def test_the_newest_version_comes_first() -> None:
    """Versions are ordered by when they were made, whatever their names look like."""
    told = template(
        {"version": "1.6.9", "creationTimestamp": "2024-01-01T00:00:00Z"},
        {"version": "1.6.36", "creation_timestamp": "2025-01-01T00:00:00Z"},
        {"version": "1.6.4", "creationtimestamp": "2025-06-01T08:00:00+08:00"},
    )

    assert names(told) == ["1.6.4", "1.6.36", "1.6.9"]


def test_without_all_instants_the_given_order_stays() -> None:
    """A version that does not tell its age leaves the cloud's own order standing."""
    told = template({"version": "b", "creationTimestamp": "2024-01-01"}, {"version": "c"})

    assert names(told) == ["b", "c"]


def test_the_defaults_have_the_shape_of_an_instance() -> None:
    """The template's parameters become custom and the flavor that is the default one."""
    assert default_inputs({"parameters": PARAMETERS}) == {
        "custom": {"nameserver": "", "ndots": "5"},
        "flavor": HA,
    }


@pytest.mark.parametrize("inputs", [None, [], {}, {"parameters": None}, {"parameters": {}}])
def test_a_template_that_tells_no_defaults_has_none(inputs: Any) -> None:
    """Not told is not the same as empty."""
    assert default_inputs(inputs) is None


def test_a_driver_template_keys_its_versions() -> None:
    """Where versions are an object, its keys are their names."""
    told = {
        "items": [{"metadata": {"name": "npu-driver"}, "spec": {"versions": {"78-21.0.2": {}}}}]
    }

    assert names(told) == ["78-21.0.2"]


@pytest.mark.parametrize(
    "told",
    [
        {},
        {"items": None},
        {"items": [{}]},
        {"items": [{"metadata": {"name": "a"}, "spec": {"versions": 7}}]},
        {"items": [{"metadata": {"name": "a"}, "spec": {"versions": [7]}}]},
        {"items": [{"metadata": {"name": "a"}, "spec": {"versions": [{}]}}]},
    ],
)
def test_a_template_list_in_doubt_is_unreadable(told: dict[str, Any]) -> None:
    """Nobody resolves a version from a list that cannot be read."""
    with pytest.raises(UnreadableError):
        read_templates(told)


async def test_templates_are_asked_for_the_pool() -> None:
    """Only what the pool may install is asked for, by name if one is wanted."""
    async with cloud(http(200, template({"version": "1"}))) as served, caller(served) as call:
        got = await call.client.templates(TARGET, "volcano", gate=open_gate, timeout_s=LONG_S)

    line = served.requests[0].split(b"\r\n")[0].decode()
    assert isinstance(got, tuple)
    assert got[0].kind == "ccePlugin"
    assert line.endswith(f"?templateName=volcano&poolName={TARGET.pool_name} HTTP/1.1")


async def test_an_unknown_template_is_not_found() -> None:
    """The cloud answers 404 with its own code, not an empty list."""
    async with cloud(known(404, "ModelArts.50005101")) as served, caller(served) as call:
        got = await call.client.templates(TARGET, "volcano", gate=open_gate, timeout_s=LONG_S)

    assert getattr(got, "outcome", None) is Outcome.NOT_FOUND


LABELS = {"os.modelarts/name": "training", "os.modelarts/workspace.id": "0"}
POOL = {
    "metadata": {"name": "pool-6f5d", "labels": {**LABELS, "odd": 7}},
    "spec": {"type": "Dedicate", "controlMode": 9},
    "status": {
        "phase": "Running",
        "message": "fine\n",
        "resources": {
            "available": [{"flavor": "a", "count": 3}, {"flavor": "b", "count": "2"}],
            "abnormal": {"count": 1},
            "creating": None,
        },
    },
}


def test_a_pool_is_read_from_lists_and_from_single_objects() -> None:
    """The SDK models each node list as one object, the service sends lists: both are counted."""
    assert read_pool(POOL) == PoolSeen(
        name="pool-6f5d",
        display_name="training",
        workspace="0",
        labels=LABELS,
        phase="Running",
        message="fine",
        nodes=6,
        ready_nodes=5,
        control_mode=9,
        kind="Dedicate",
    )


def test_a_pool_that_tells_little_has_little() -> None:
    """Not told is None, never zero."""
    assert read_pool({"metadata": {"name": "p"}}) == PoolSeen(name="p")


def test_a_page_says_whether_there_is_more() -> None:
    """A token to continue with is passed on, so that nobody takes a part for the whole."""
    page = {"kind": "PoolList", "items": [POOL], "metadata": {"continue": "next"}}

    assert read_pool_page(page).continue_from == "next"
    assert read_pool_page({"kind": "PoolList", "items": []}) == PoolPage(pools=())


@pytest.mark.parametrize(
    "told",
    [
        {},
        {"items": 1},
        {"items": [{}]},
        {"kind": "PluginList", "items": []},
        {"items": [{**POOL, "status": []}]},
    ],
)
def test_a_pool_list_in_doubt_is_unreadable(told: dict[str, Any]) -> None:
    """A list of something else is no list of pools."""
    with pytest.raises(UnreadableError):
        read_pool_page(told)


async def test_pools_are_asked_for_by_project_and_page() -> None:
    """The token goes back as it came, as one value."""
    page = {"kind": "PoolList", "items": [POOL]}
    async with cloud(http(200, page)) as served, caller(served) as call:
        got = await call.client.pools(
            TARGET.project_id, continue_from="a&b=/c", gate=open_gate, timeout_s=LONG_S
        )

    assert isinstance(got, PoolPage)
    assert b"/pools?continue=a%26b%3D%2Fc HTTP/1.1" in served.requests[0]


@pytest.mark.parametrize("name", [TARGET.pool_name, "pool-other"])
async def test_one_pool_is_the_one_that_was_asked_for(name: str) -> None:
    """An answer about another pool is no answer."""
    told = {**POOL, "metadata": {"name": name}}
    async with cloud(http(200, told)) as served, caller(served) as call:
        got = await call.client.pool(TARGET, gate=open_gate, timeout_s=LONG_S)

    if name == TARGET.pool_name:
        assert isinstance(got, PoolSeen)
    else:
        assert getattr(got, "outcome", None) is Outcome.UNREADABLE_SUCCESS
