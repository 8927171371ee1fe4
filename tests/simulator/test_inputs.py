"""What becomes of inputs that are not sent: the reset that costs customers their settings."""

from dataclasses import replace
from typing import Any

from tests.simulator.asking import DNS, QUICK, asking
from worker.simulator.inputs import merged

OURS: dict[str, Any] = {"custom": {"ndots": "8", "search": "example.org"}}


async def test_an_install_fills_in_the_templates_defaults() -> None:
    """The default flavor and every custom value are there without being asked for."""
    async with asking(QUICK) as client:
        await client.create(inputs={"custom": {"ndots": "8"}})
        inputs = (await client.listed())["spec"]["template"]["inputs"]

    assert inputs["custom"] == {
        "enable_dnsconfig_admission": False,
        "nameserver": "",
        "ndots": "8",
        "search": "",
    }
    assert inputs["flavor"]["name"] == "HA"
    assert "is_default" not in inputs["flavor"]


async def test_what_is_not_sent_on_an_upgrade_is_reset_to_the_defaults() -> None:
    """An upgrade that names one value loses all others, down to the last leaf."""
    async with asking(QUICK) as client:
        await client.settled(inputs=OURS)
        await client.create(version="1.6.64", inputs={"custom": {"search": "example.org"}})
        client.clock.advance(30)
        custom = client.cloud.installed(client.project, client.pool)[DNS].inputs["custom"]

    assert custom["search"] == "example.org"
    assert custom["ndots"] == "5"


async def test_an_upgrade_without_inputs_resets_the_whole_tree() -> None:
    """Nothing sent, nothing kept."""
    async with asking(QUICK) as client:
        await client.create(pool=client.cloud.targets[1][1], version="1.6.64")
        await client.settled(inputs=OURS)
        await client.create(version="1.6.64")
        client.clock.advance(30)
        ours = client.cloud.installed(client.project, client.pool)[DNS].inputs
        fresh = client.cloud.installed(*client.cloud.targets[1])[DNS].inputs

    assert ours == fresh


async def test_a_cloud_that_keeps_inputs_keeps_what_is_not_sent() -> None:
    """The other reading of the documentation, on demand."""
    async with asking(replace(QUICK, keep_inputs=True)) as client:
        await client.settled(inputs=OURS)
        await client.create(version="1.6.64", inputs={"custom": {"ndots": "3"}})
        client.clock.advance(30)
        custom = client.cloud.installed(client.project, client.pool)[DNS].inputs["custom"]

    assert (custom["ndots"], custom["search"]) == ("3", "example.org")


async def test_an_installed_pool_has_inputs_of_its_own() -> None:
    """The oldest version, not the defaults, and on each pool something no other pool has."""
    async with asking(replace(QUICK, installed=1.0)) as client:
        first = await client.listed()
        second = await client.listed(pool=client.cloud.targets[1][1])
    customs = [item["spec"]["template"]["inputs"]["custom"] for item in (first, second)]

    assert first["status"]["version"] == "1.6.36"
    assert [custom["ndots"] for custom in customs] == ["8", "8"]
    assert customs[0]["search"] != customs[1]["search"]


async def test_values_repeat_the_inputs_in_the_chosen_shape() -> None:
    """Absent, JSON in a string, or an object: no documentation shows which."""
    async with asking(QUICK) as client:
        await client.settled(inputs=OURS)
        absent = await client.listed()
        client.cloud.change(values_shape="text")
        text = await client.listed()
        client.cloud.change(values_shape="object")
        plain = await client.listed()

    assert "values" not in absent["status"]
    assert '"ndots":"8"' in text["status"]["values"]
    assert plain["status"]["values"] == plain["spec"]["template"]["inputs"]


async def test_hidden_inputs_leave_only_the_name_in_a_list_item() -> None:
    """Like the documented gpu-beta item: a client cannot know what an upgrade would reset."""
    async with asking(replace(QUICK, hide_inputs=True)) as client:
        await client.settled(inputs=OURS)
        item = await client.listed()

    assert item["spec"] == {"template": {"name": DNS}}
    assert item["status"]["version"] == "1.6.36"


def test_merging_changes_neither_side() -> None:
    """Defaults are shared by all pools, so nobody may write into them."""
    base: dict[str, Any] = {"a": {"b": 1, "c": [1, 2]}}
    over: dict[str, Any] = {"a": {"c": [3]}, "d": {}}

    assert merged(base, over) == {"a": {"b": 1, "c": [3]}, "d": {}}
    assert base == {"a": {"b": 1, "c": [1, 2]}}
    assert over == {"a": {"c": [3]}, "d": {}}
