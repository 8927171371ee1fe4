"""What the doctor says about who we are, before anything is signed."""

from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest
from yarl import URL

from tests.builders import NOON_US
from tests.credentials.surroundings import (
    HW,
    HW_TOKEN,
    SAMPLES,
    SDK,
    Doorman,
    Machine,
    settings,
    wired,
)
from tests.fakes import FakeClock
from tests.modelarts.scripted import Cloud, cloud, http
from worker.credentials.chain import choose
from worker.doctor.identity import clock_line, credential_line, ignored_lines, region_line
from worker.doctor.lines import CheckLine, Verdict

NOON_S = NOON_US // 1_000_000


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """Return a machine with a key."""
    return Machine(tmp_path).set(SDK)


def date(apart_s: float) -> dict[str, str]:
    """Return the header of a cloud whose clock is that far ahead of ours."""
    return {"Date": formatdate(NOON_S + apart_s, usegmt=True)}


async def examined(
    machine: Machine, served: Cloud, doorman: Doorman | None = None, **told: Any
) -> dict[str, CheckLine]:
    """Return the lines by their topic."""
    given = settings(**{"endpoint": served.endpoint, "region": "cn-north-4", **told})
    found = choose(given, machine.around).found
    endpoint, region = region_line(given.cloud, found, {"cloud.endpoint": "the test"})
    lines = [credential_line(found), region, *ignored_lines(found)]
    if endpoint is not None:
        async with wired() as (fetcher, watching):
            lines.insert(1, await clock_line(fetcher, found, endpoint))
        if doorman is not None:
            doorman.turns += watching.turns
    return {line.topic: line for line in lines}


async def test_all_is_well(machine: Machine) -> None:
    """Which key from where, a clock that agrees, where requests go."""
    async with cloud(http(404, b"", date(0))) as served:
        lines = await examined(machine, served)

    assert {line.verdict for line in lines.values()} == {Verdict.OK}
    assert list(lines) == ["credentials", "clock", "region"]
    assert lines["credentials"].text == (
        "HUAWEICLOUD_SDK_AK / _SK from the environment, key AKSD…SDK1"
    )
    assert lines["clock"].text == "0 s apart from the cloud"
    assert lines["region"].text == (f"cn-north-4, {served.endpoint} (cloud.endpoint from the test)")


async def test_nothing_is_signed_to_find_out(machine: Machine) -> None:
    """A wrong key must not be tried by the doctor's look at the clock; a turn is taken for it."""
    doorman = Doorman()
    async with cloud(http(404, b"", date(0))) as served:
        await examined(machine, served, doorman)

    assert len(served.requests) == 1
    assert b"authorization" not in served.requests[0].lower()
    assert doorman.turns == [("ak-AKSDSDK1", served.endpoint)]


@pytest.mark.parametrize(
    ("apart_s", "verdict", "text"),
    [
        (59, Verdict.OK, "59 s apart from the cloud"),
        (60, Verdict.WARN, "60 s behind the cloud"),
        (-61, Verdict.WARN, "61 s ahead of the cloud"),
        (839, Verdict.WARN, "839 s behind"),
        (840, Verdict.FAIL, "840 s behind the cloud"),
        (-86_400, Verdict.FAIL, "86400 s ahead of"),
    ],
)
async def test_the_clock_is_compared_with_the_clouds(
    machine: Machine, apart_s: int, verdict: Verdict, text: str
) -> None:
    """Signatures need it: from a quarter of an hour on they are refused."""
    async with cloud(http(404, b"", date(apart_s))) as served:
        line = (await examined(machine, served))["clock"]

    assert line.verdict is verdict
    assert text in line.text
    assert (line.do is None) is (verdict is Verdict.OK)


@pytest.mark.parametrize("told", [{}, {"Date": "yesterday"}, {"Date": ""}])
async def test_without_a_date_there_is_nothing_to_compare(
    machine: Machine, told: dict[str, str]
) -> None:
    """A server that tells no time proves nothing."""
    async with cloud(http(200, {}, told)) as served:
        line = (await examined(machine, served))["clock"]

    assert line.verdict is Verdict.SKIP


async def test_an_endpoint_that_does_not_answer_is_told(machine: Machine) -> None:
    """Then nothing can be said about the clock."""
    async with cloud() as served:
        gone = served
    line = (await examined(machine, gone))["clock"]

    assert line.verdict is Verdict.FAIL
    assert "does not answer" in line.text


async def test_what_is_set_too_is_named(machine: Machine) -> None:
    """A second credential is a usual cause of surprise."""
    machine.set(HW, {"HW_REGION_NAME": "cn-east-3"})
    async with cloud(http(404, b"", date(0))) as served:
        line = (await examined(machine, served))["also set"]

    assert line.verdict is Verdict.WARN
    assert line.text == (
        "HW_ACCESS_KEY / HW_SECRET_KEY from the environment is set too and is ignored "
        "(key AKHW…HW02)"
    )


async def test_a_hint_is_passed_on(tmp_path: Path) -> None:
    """The names of code samples work, and the usual ones are told."""
    async with cloud(http(404, b"", date(0))) as served:
        lines = await examined(Machine(tmp_path).set(SAMPLES), served)

    assert lines["hint"].verdict is Verdict.WARN


async def test_a_wrong_clock_is_a_reason_not_to_sign(machine: Machine) -> None:
    """It says why, what to do, and with which code the command leaves."""
    async with cloud(http(404, b"", date(900))) as served:
        line = (await examined(machine, served))["clock"]

    assert line.error is not None
    assert (line.error.code, line.error.exit_code) == ("AUTH-02", 4)
    assert "15 minutes" in (line.error.why or "")
    assert line.as_dict()["code"] == "AUTH-02"


async def test_a_token_has_no_date(tmp_path: Path) -> None:
    """Nothing is signed with it, so a wrong clock is worth a warning only."""
    async with cloud(http(404, b"", date(900))) as served:
        line = (await examined(Machine(tmp_path).set(HW_TOKEN), served))["clock"]

    assert line.verdict is Verdict.WARN


async def test_the_clock_that_signs_is_the_one_that_is_compared(machine: Machine) -> None:
    """A wall clock that was set while this ran counts as it is now."""
    clock = FakeClock()
    clock.step(1000)
    async with cloud(http(404, b"", date(0))) as served, wired(clock) as (fetcher, _):
        found = choose(settings(), machine.around).found
        line = await clock_line(fetcher, found, URL(served.endpoint))

    assert line.text == "the clock is 1000 s ahead of the cloud"


async def test_a_security_token_ends(tmp_path: Path) -> None:
    """Whoever finds one in a variable should know that it ends within a day."""
    machine = Machine(tmp_path).set(SDK, {"HUAWEICLOUD_SDK_SECURITY_TOKEN": "t"})
    async with cloud(http(404, b"", date(0))) as served:
        line = (await examined(machine, served))["credentials"]

    assert "ends within a day" in line.text


def test_without_a_region_jobs_must_name_theirs(machine: Machine) -> None:
    """There is no endpoint to ask then."""
    found = choose(settings(), machine.around).found

    endpoint, line = region_line(settings().cloud, found, {})

    assert endpoint is None
    assert line.verdict is Verdict.WARN


def test_a_credentials_own_region_counts(tmp_path: Path) -> None:
    """Terraform's and KooCLI's settings say where they work."""
    machine = Machine(tmp_path).set(HW, {"HW_REGION_NAME": "cn-east-3"})
    told = settings()
    found = choose(told, machine.around).found

    endpoint, line = region_line(told.cloud, found, {})

    assert str(endpoint) == "https://modelarts.cn-east-3.myhuaweicloud.com"
    assert line.text == f"cn-east-3 (with the credential), {endpoint} (the public one)"


def test_where_an_endpoint_comes_from_is_told(machine: Machine) -> None:
    """The region's own setting goes before the one for all."""
    told = settings(
        endpoint="https://a.example.com",
        endpoints={"cn-north-4": "https://b.example.com"},
        region="cn-north-4",
    )
    origins = {
        "cloud.region": "PLUGWAVE_CLOUD__REGION",
        "cloud.endpoint": "/etc/plugwave/config.toml:3",
        "cloud.endpoints.cn-north-4": "HUAWEICLOUD_SDK_REGION_MODELARTS_CN_NORTH_4",
    }

    _, line = region_line(told.cloud, choose(told, machine.around).found, origins)

    assert line.text == (
        "cn-north-4 (PLUGWAVE_CLOUD__REGION), https://b.example.com "
        "(cloud.endpoints.cn-north-4 from HUAWEICLOUD_SDK_REGION_MODELARTS_CN_NORTH_4)"
    )


async def test_a_simulator_needs_none(tmp_path: Path) -> None:
    """That is said, too."""
    async with cloud(http(404, b"", date(0))) as served:
        lines = await examined(Machine(tmp_path), served, auth="none")

    assert lines["credentials"].text == "none, for a simulator on this machine"
