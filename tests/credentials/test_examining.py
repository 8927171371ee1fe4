"""What the doctor says about who we are, before anything is signed."""

from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest

from tests.builders import NOON_US
from tests.credentials.surroundings import (
    HW,
    HW_LOGIN,
    SAMPLES,
    SDK,
    Doorman,
    Machine,
    settings,
    wired,
)
from tests.modelarts.scripted import Cloud, cloud, http
from worker.credentials.examining import CheckLine, Verdict, examine

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
    given = {"endpoint": served.endpoint, "region": "cn-north-4", **told}
    async with wired() as (fetcher, watching):
        lines = await examine(settings(**given), machine.around, fetcher)
    if doorman is not None:
        doorman.turns += watching.turns
    return {line.topic: line for line in lines}


async def test_all_is_well(machine: Machine) -> None:
    """Which key from where, a clock that agrees, where requests go."""
    async with cloud(http(404, b"", date(0))) as served:
        lines = await examined(machine, served)

    assert {line.verdict for line in lines.values()} == {Verdict.OK}
    assert list(lines) == ["credentials", "clock", "region", "project"]
    assert lines["credentials"].text == (
        "HUAWEICLOUD_SDK_AK / _SK from the environment, key AKSD…SDK1"
    )
    assert lines["clock"].text == "0 s apart from the cloud"
    assert lines["region"].text == f"cn-north-4, {served.endpoint}"


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
        (899, Verdict.WARN, "899 s behind"),
        (900, Verdict.FAIL, "900 s behind the cloud; signatures are refused from 15 min on"),
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


async def test_without_a_credential_that_is_all_there_is_to_say(tmp_path: Path) -> None:
    """And what to set."""
    async with cloud() as served:
        lines = await examined(Machine(tmp_path), served)

    assert list(lines) == ["credentials"]
    assert lines["credentials"].verdict is Verdict.FAIL
    assert "HUAWEICLOUD_SDK_AK" in (lines["credentials"].do or "")
    assert served.requests == []


async def test_a_token_that_cannot_be_had_is_told_with_its_proof(tmp_path: Path) -> None:
    """A wrong password is seen here, before any job."""
    refused = http(401, {"error": {"code": 401, "message": "wrong", "title": "Unauthorized"}})
    async with cloud(refused) as served:
        line = (await examined(Machine(tmp_path).set(HW_LOGIN), served))["credentials"]

    assert line.verdict is Verdict.FAIL
    assert "wrong" in line.text
    assert "401" in line.text


async def test_a_token_is_fetched_to_see_that_it_can_be(tmp_path: Path) -> None:
    """The doctor does what the worker will do."""
    issued = http(201, {"token": {}}, {"X-Subject-Token": "MIIt", **date(0)})
    async with cloud(issued) as served:
        line = (await examined(Machine(tmp_path).set(HW_LOGIN), served))["credentials"]

    assert line.verdict is Verdict.OK
    assert line.text.startswith("HW_USER_NAME / HW_USER_PASSWORD from the environment, token-")


async def test_without_a_region_jobs_must_name_theirs(machine: Machine) -> None:
    """There is no endpoint to ask then."""
    async with wired() as (fetcher, _):
        lines = await examine(settings(), machine.around, fetcher)

    by_topic = {line.topic: line for line in lines}
    assert by_topic["region"].verdict is Verdict.WARN
    assert "clock" not in by_topic


async def test_a_credentials_own_region_counts(tmp_path: Path) -> None:
    """Terraform's and KooCLI's settings say where they work."""
    machine = Machine(tmp_path).set(HW, {"HW_REGION_NAME": "cn-east-3", "HW_PROJECT_ID": "p"})
    async with wired() as (fetcher, _):
        lines = await examine(settings(endpoint="http://127.0.0.1:1"), machine.around, fetcher)

    by_topic = {line.topic: line for line in lines}
    assert by_topic["region"].text == "cn-east-3, http://127.0.0.1:1"
    assert by_topic["project"].text == "p"


async def test_a_simulator_needs_none(tmp_path: Path) -> None:
    """That is said, too."""
    async with cloud(http(404, b"", date(0))) as served:
        lines = await examined(Machine(tmp_path), served, auth="none")

    assert lines["credentials"].text == "none, for a simulator on this machine"
