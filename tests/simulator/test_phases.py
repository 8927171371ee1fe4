"""What a reader sees of a plug-in while time goes by."""

from dataclasses import replace

from tests.simulator.asking import QUICK, asking


async def test_an_install_is_pending_and_then_running() -> None:
    """Running begins at the drawn second and not before."""
    async with asking(QUICK) as client:
        await client.create()
        seen = [await client.phase()]
        client.clock.advance(19.9)
        seen.append(await client.phase())
        client.clock.advance(0.1)
        seen.append(await client.phase())

    assert seen == ["Pending", "Pending", "Running"]


async def test_an_upgrade_is_updating_and_then_running_at_the_new_version() -> None:
    """While it lasts status tells the old version; the spec already tells the new one."""
    async with asking(QUICK) as client:
        await client.settled("1.6.36")
        await client.create(version="1.6.64")
        during = await client.listed()
        client.clock.advance(30)
        after = await client.listed()

    assert during["status"] == {"phase": "Updating", "version": "1.6.36", "reason": ""}
    assert during["spec"]["template"]["version"] == "1.6.64"
    assert after["status"] == {
        "phase": "Running",
        "version": "1.6.64",
        "reason": "Upgrade complete",
    }


async def test_the_old_running_is_shown_for_a_while_after_an_accepted_upgrade() -> None:
    """With a lag a read straight after the answer proves nothing: it looks like before."""
    async with asking(replace(QUICK, lag_s=5.0)) as client:
        await client.settled("1.6.36")
        before = await client.listed()
        await client.create(version="1.6.64")
        at_once = await client.listed()
        client.clock.advance(5)
        later = await client.phase()
        client.clock.advance(30)
        after = await client.listed()

    assert at_once == before
    assert later == "Updating"
    assert (after["status"]["phase"], after["status"]["version"]) == ("Running", "1.6.64")


async def test_a_bad_pool_ends_abnormal_after_ten_minutes_and_says_why() -> None:
    """The install stays Pending for 600 seconds, as documented, and is Abnormal from then on."""
    async with asking(replace(QUICK, bad_pools=1.0)) as client:
        await client.create()
        client.clock.advance(599)
        waiting = await client.phase()
        client.clock.advance(1)
        ended = (await client.listed())["status"]

    assert waiting == "Pending"
    assert ended["phase"] == "Abnormal"
    assert ended["reason"] == "ImagePullBackOff: cannot pull image node-local-dns:1.6.36"


async def test_a_failed_upgrade_keeps_the_old_version_installed() -> None:
    """Abnormal tells the version that is there, not the one that was wanted."""
    async with asking(QUICK) as client:
        await client.settled("1.6.36")
        client.cloud.change(bad_pools=1.0)
        await client.create(version="1.6.64")
        client.clock.advance(600)
        ended = (await client.listed())["status"]

    assert (ended["phase"], ended["version"]) == ("Abnormal", "1.6.36")


async def test_the_same_version_with_the_same_inputs_is_an_operation_too() -> None:
    """A second equal POST sets Updating again; a client that sends twice is seen."""
    async with asking(QUICK) as client:
        await client.settled("1.6.36")
        await client.create(version="1.6.36")
        phase = await client.phase()

    assert phase == "Updating"
    assert [line["applied"] for line in client.posts] == [True, True]


async def test_an_undocumented_phase_shows_in_the_middle_of_a_change() -> None:
    """A reader meets a word that is in no list, and later Running all the same."""
    async with asking(replace(QUICK, unknown_phase=1.0, install_s=(30.0, 30.0))) as client:
        await client.create()
        seen = []
        for _ in range(4):
            seen.append(await client.phase())
            client.clock.advance(10)

    assert seen == ["Pending", "Reconciling", "Pending", "Running"]


async def test_speed_shortens_phases() -> None:
    """At speed 10 an install of 20 seconds takes 2."""
    async with asking(replace(QUICK, speed=10.0)) as client:
        await client.create()
        client.clock.advance(1.9)
        early = await client.phase()
        client.clock.advance(0.1)
        late = await client.phase()

    assert (early, late) == ("Pending", "Running")


async def test_a_new_speed_counts_from_its_moment() -> None:
    """What has passed stays passed: 10 of 20 seconds, then ten times as fast."""
    async with asking(QUICK) as client:
        await client.create()
        client.clock.advance(10)
        client.cloud.change(speed=10.0)
        client.clock.advance(0.9)
        early = await client.phase()
        client.clock.advance(0.1)
        late = await client.phase()

    assert (early, late) == ("Pending", "Running")


async def test_without_a_version_the_newest_is_installed() -> None:
    """What is not pinned is the newest on offer."""
    async with asking(QUICK) as client:
        got = await client.create(version=None)

    assert got.told["spec"]["template"]["version"] == "1.6.64"


async def test_a_deleted_plug_in_is_deleting_and_then_gone() -> None:
    """The answer shows it as it was; the list shows Deleting, then nothing."""
    async with asking(replace(QUICK, site="eu")) as client:
        await client.settled()
        answer = await client.ask("DELETE", f"{client.plugins_path()}/node-local-dns", b"{ }")
        during = await client.phase()
        client.clock.advance(20)
        after = await client.listed()

    assert answer.status == 200
    assert answer.told["status"]["phase"] == "Running"
    assert during == "Deleting"
    assert after is None


async def test_a_default_plug_in_cannot_be_deleted() -> None:
    """Volcano belongs to the pool."""
    async with asking(replace(QUICK, site="eu", installed=1.0)) as client:
        got = await client.ask("DELETE", f"{client.plugins_path()}/volcano")

    assert (got.status, got.error_code) == (400, "ModelArts.50004000")
    assert client.cloud.installed(client.project, client.pool)["volcano"].phase == "Running"
