"""`plugwave doctor`: what it looks at, how it ends, and that it does no harm."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.from_thread import start_blocking_portal

from jobs.clock import SystemClock
from jobs.errors import ConfigError
from jobs.store.protocol import Store
from tests.builders import a_request
from tests.cli.running import Cli, Ran
from worker.cli.choices import Choices
from worker.cli.session import loaded_settings
from worker.doctor.checkup import Asked, checkup
from worker.doctor.lines import Verdict
from worker.guard import SHOWN_IN_A_ROW
from worker.simulator import Simulator, SimulatorOptions

Start = Callable[..., Simulator]
NOWHERE = "http://127.0.0.1:1"
WRONG = "plantedWrongSecret4711"
ORDER = ["credentials", "clock", "region", "project", "read", "write", "store", "breaker"]


@pytest.fixture
def start(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Start a simulated cloud that checks signatures, with its first key in the environment."""
    for name in list(os.environ):
        if name.startswith(("HUAWEICLOUD_", "HW_", "CLOUD_SDK_", "HC_")):
            monkeypatch.delenv(name)
    with ExitStack() as stack:
        portal = stack.enter_context(start_blocking_portal())

        def started(**options: Any) -> Simulator:
            wanted = {"projects": 1, "pools": 2, "auth": "any", **options}
            cloud = stack.enter_context(
                portal.wrap_async_context_manager(Simulator(SimulatorOptions(**wanted)))
            )
            key = cloud.identity.directory.keys[0]
            told = {
                "PLUGWAVE_CLOUD__ENDPOINT": cloud.url,
                "PLUGWAVE_CLOUD__REGION": "cn-north-4",
                "PLUGWAVE_CLOUD__RATE": "1000",
                "HUAWEICLOUD_SDK_AK": key.access,
                "HUAWEICLOUD_SDK_SK": key.secret,
            }
            for name, value in told.items():
                monkeypatch.setenv(name, value)
            return cloud

        yield started


def checks(ran: Ran) -> dict[str, dict[str, Any]]:
    """Return the lines by what they are about."""
    return {line["check"]: line for line in ran.document["checks"]}


def statuses(cloud: Simulator) -> list[int]:
    """Return what the cloud answered to all but the question for its time."""
    return [line["status"] for line in cloud.journal.entries() if line["path"] != "/"]


def refusals(cli: Cli) -> dict[str, str | None]:
    """Return the marks of refused secrets by credential."""

    async def rows(store: Store) -> dict[str, str | None]:
        found = await store.buckets()
        return {key: row.refused for key, row in found.items() if key.startswith("breaker|")}

    return cli.with_store(rows)


@pytest.mark.slow
def test_a_healthy_place_is_green(cli: Cli, start: Start) -> None:
    """A line for each thing, in order; the last says what to do next."""
    cloud = start()
    cli.add(a_request())

    ran = cli("doctor")
    body = cli("doctor", "-o", "json")

    assert (ran.code, body.code) == (0, 0)
    assert [line.split()[1] for line in ran.lines[:-1]] == ORDER
    assert ran.lines[-1] == "Ready. Next:  plugwave work"
    assert body.document["ok"] is True
    seen = checks(body)
    assert seen["project"]["text"] == f"{cloud.targets[0][0]} found through IAM"
    assert seen["read"]["text"].startswith("2 pools, ")
    assert "plug-in templates" in seen["read"]["text"]
    assert seen["write"]["verdict"] == "skip"
    assert seen["store"]["text"].startswith(f"sqlite {cli.store_path}, schema ")
    assert "GB free" in seen["store"]["text"]
    assert {line["verdict"] for line in seen.values()} == {"ok", "skip"}
    assert set(statuses(cloud)) == {200}


@pytest.mark.slow
def test_without_a_store_it_says_so_and_makes_none(cli: Cli, start: Start) -> None:
    """Who has just installed it asks the doctor first."""
    start()

    ran = cli("doctor", "-o", "json")

    assert ran.code == 0
    assert checks(ran)["store"]["verdict"] == "warn"
    assert "store migrate" in checks(ran)["store"]["do"]
    assert checks(ran)["read"]["verdict"] == "ok"
    assert ran.document["next"] == "Ready. Next:  plugwave enqueue FILE"
    assert not cli.store_path.exists()


@pytest.mark.slow
def test_a_wrong_secret_is_shown_once_and_never_told(
    cli: Cli, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Why, what to do and the proof; one request, with the most talkative logs, too."""
    cloud = start()
    right = os.environ["HUAWEICLOUD_SDK_SK"]
    cli.add(a_request())
    monkeypatch.setenv("HUAWEICLOUD_SDK_SK", WRONG)

    ran = cli("doctor", "-vv")

    assert ran.code == 4
    assert statuses(cloud) == [401]
    assert "fail  credentials  error[AUTH-01]: " in ran.out
    for name in ("why", "do", "proof  status 401, code APIG.0301"):
        assert f"  {name}" in ran.out
    assert ran.lines[-1].startswith("Not ready. ")
    access = os.environ["HUAWEICLOUD_SDK_AK"]
    for secret in (WRONG, right, access):
        assert secret not in ran.out + ran.err
    assert f"{access[:4]}…{access[-4:]}" in ran.out
    assert list(refusals(cli).values()) != [None]


@pytest.mark.slow
def test_asking_again_and_again_does_not_lock_the_key(
    cli: Cli, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A doctor in a loop stops before the sixth; the mended secret is tried at once."""
    cloud = start(lock_s=3600.0)
    right = os.environ["HUAWEICLOUD_SDK_SK"]
    cli.add(a_request())
    monkeypatch.setenv("HUAWEICLOUD_SDK_SK", WRONG)

    codes = [cli("doctor", "--project", cloud.targets[0][0]).code for _ in range(7)]
    refused = statuses(cloud)
    monkeypatch.setenv("HUAWEICLOUD_SDK_SK", right)

    assert codes == [4] * 7
    assert refused == [401] * SHOWN_IN_A_ROW
    assert cli("doctor").code == 0


@pytest.mark.slow
def test_a_green_read_closes_the_breaker(cli: Cli, start: Start) -> None:
    """Also of a secret that is the same as before: somebody gave the key its right back."""
    cloud = start()
    cli.add(a_request())
    key = cloud.identity.directory.keys[0]
    known = cloud.identity.directory._by_access
    known[key.access] = replace(key, secret=WRONG)
    assert cli("doctor").code == 4
    known[key.access] = key

    ran = cli("doctor", "-o", "json")

    assert ran.code == 0
    assert checks(ran)["breaker"]["text"] == "was open, is closed now; 0 parked jobs"
    assert list(refusals(cli).values()) == [None]
    assert checks(cli("doctor", "-o", "json"))["breaker"]["text"] == "closed"


@pytest.mark.slow
def test_a_read_that_is_not_green_closes_nothing(cli: Cli, start: Start) -> None:
    """IAM knows the key, and ModelArts does not show the pools: its jobs stay parked."""
    cloud = start(accounts=2, projects=2, key_pairs=2, users=2)
    directory = cloud.identity.directory
    key = directory.keys[0]
    foreign = next(one for one, _ in cloud.targets if directory.owner(one) != key.user.account)
    cli.add(a_request())
    directory._by_access[key.access] = replace(key, secret=WRONG)
    assert cli("doctor").code == 4
    before = refusals(cli)
    assert None not in before.values()
    directory._by_access[key.access] = key

    ran = cli("doctor", "--project", foreign, "-o", "json")

    assert ran.code == 4
    assert checks(ran)["read"]["verdict"] == "fail"
    assert "status 403" in checks(ran)["read"]["proof"]
    assert refusals(cli) == before


@pytest.mark.slow
def test_a_cloud_that_does_not_answer_is_9(
    cli: Cli, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is signed for an endpoint that nobody listens at."""
    start()
    monkeypatch.setenv("PLUGWAVE_CLOUD__ENDPOINT", NOWHERE)

    ran = cli("doctor", "-o", "json")

    assert ran.code == 9
    assert checks(ran)["clock"]["code"] == "CLOUD-01"
    assert checks(ran)["read"]["verdict"] == "skip"


@pytest.mark.slow
def test_with_a_wrong_clock_nothing_is_signed(cli: Cli, start: Start) -> None:
    """The cloud would refuse the date, and count it as a bad signature."""
    cloud = start()
    wrong = SystemClock(wall=lambda: time.time_ns() - 3600 * 10**9)

    report = anyio.run(checkup, loaded_settings(Choices()), Asked(), wrong)

    lines = {line.topic: line for line in report.lines}
    assert report.exit_code == 4
    assert lines["clock"].as_dict()["code"] == "AUTH-02"
    assert lines["read"].verdict is Verdict.SKIP
    assert statuses(cloud) == []


@pytest.mark.slow
def test_another_profile_can_be_looked_at(cli: Cli, start: Start) -> None:
    """With its project, and as its credential; one that does not exist is told."""
    cloud = start(projects=2)
    key, project = cloud.identity.directory.keys[1], cloud.targets[3][0]
    (cli.folder / "keys").write_text(f"[b]\nak = {key.access}\nsk = {key.secret}\n")
    profile = f'credentials = "file:{cli.folder / "keys"}#b"\nproject = "{project}"\n'
    (cli.folder / "plugwave.toml").write_text(f"[profiles.other]\n{profile}")
    loaded = loaded_settings(Choices())

    report = anyio.run(checkup, loaded, Asked(profile="other"))

    lines = {line.topic: line.text for line in report.lines}
    assert report.exit_code == 0
    assert lines["credentials"].startswith("profile other, section [b] of ")
    assert lines["project"] == f"{project} (named by profile other)"
    with pytest.raises(ConfigError, match="there is no profile nobody"):
        anyio.run(checkup, loaded, Asked(profile="nobody"))


@pytest.mark.slow
def test_a_profile_of_another_cloud_is_looked_at_there(
    cli: Cli, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its own endpoint and region go before the others, for the clock as for the pools."""
    cloud = start()
    monkeypatch.setenv("PLUGWAVE_CLOUD__ENDPOINT", NOWHERE)
    monkeypatch.setenv("PLUGWAVE_CLOUD__REGION", "cn-east-3")
    own = f'credentials = "env"\nendpoint = "{cloud.url}"\nregion = "cn-north-4"\n'
    (cli.folder / "plugwave.toml").write_text(f"[profiles.here]\n{own}")

    ran = cli("doctor", "--profile", "here", "-o", "json")
    elsewhere = cli("doctor", "--profile", "here", "--region", "cn-east-3", "-o", "json")

    assert ran.code == 0
    assert checks(ran)["region"]["text"] == (
        f"cn-north-4 ({cli.folder}/plugwave.toml:4), {cloud.url} "
        f"(profiles.here.endpoint from {cli.folder}/plugwave.toml:3)"
    )
    assert checks(elsewhere)["region"]["text"].startswith("cn-east-3 (--region), ")
    assert cli("doctor", "--profile", "nobody").code == 2


def test_a_store_that_cannot_be_used_is_9_and_nothing_is_asked(cli: Cli, start: Start) -> None:
    """The limit that all share is in it: no request may leave without."""
    cloud = start()
    cli.store_path.write_bytes(b"this is no database" * 100)

    ran = cli("doctor", "-o", "json")

    assert ran.code == 9
    assert checks(ran)["store"]["code"] == "STORE-05"
    assert checks(ran)["read"]["verdict"] == checks(ran)["clock"]["verdict"] == "skip"
    assert checks(ran)["credentials"]["verdict"] == "ok"
    assert cloud.journal.entries() == []


def test_a_store_is_not_brought_up_to_date(cli: Cli, start: Start) -> None:
    """The doctor looks; `store migrate` changes."""
    cloud = start()
    cli.store_path.touch()

    ran = cli("doctor", "-o", "json")

    assert ran.code == 9
    assert checks(ran)["store"]["code"] == "STORE-06"
    assert "store migrate" in checks(ran)["store"]["do"]
    assert cloud.journal.entries() == []
    assert cli.store_path.stat().st_size == 0


def test_without_a_credential_it_is_2(
    cli: Cli, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says which variables to set, and still looks at the store."""
    start()
    monkeypatch.delenv("HUAWEICLOUD_SDK_AK")
    monkeypatch.delenv("HUAWEICLOUD_SDK_SK")

    ran = cli("doctor", "-o", "json")

    assert ran.code == 2
    assert checks(ran)["credentials"]["code"] == "CONF-02"
    assert "HUAWEICLOUD_SDK_AK" in checks(ran)["credentials"]["do"]
    assert "store" in checks(ran)


@pytest.mark.parametrize(
    "flags", [["--project", "../x"], ["--region", "a/b"], ["-o", "name"]], ids="".join
)
def test_what_makes_no_sense_is_2(cli: Cli, start: Start, flags: list[str]) -> None:
    """And costs no request."""
    cloud = start()

    assert cli("doctor", *flags).code == 2
    assert cloud.journal.entries() == []


@pytest.mark.slow
def test_a_project_that_does_not_exist_is_2(cli: Cli, start: Start) -> None:
    """The credential is right, and the setting is not."""
    start()

    ran = cli("doctor", "--project", "nobody", "-o", "json")

    assert checks(ran)["read"]["verdict"] == "fail"
    assert (ran.code, checks(ran)["read"]["code"]) == (2, "CONF-02")


@pytest.mark.slow
def test_what_is_set_too_is_named(cli: Cli, start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second credential is a usual cause of surprise; it is no reason to be red."""
    start()
    monkeypatch.setenv("HW_ACCESS_KEY", "AKHW000000000000HW02")
    monkeypatch.setenv("HW_SECRET_KEY", "plantedTerraform")

    ran = cli("doctor")

    assert ran.code == 0
    assert "is set too and is ignored (key AKHW…HW02)" in ran.out
    assert "plantedTerraform" not in ran.out + ran.err


@pytest.mark.slow
def test_its_requests_take_turns_with_all_others(
    cli: Cli, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At one request in a window no window has two, whatever is asked."""
    cloud = start()
    cli.add(a_request())
    monkeypatch.setenv("PLUGWAVE_CLOUD__RATE", "4")

    assert cli("doctor").code == 0

    times = sorted(line["received_us"] for line in cloud.journal.entries())
    apart = [later - sooner for sooner, later in pairwise(times)]
    assert len(times) >= 4
    assert min(apart) > 200_000


@pytest.mark.slow
def test_a_temporary_key_tells_when_it_ends(
    cli: Cli, start: Start, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What was fetched is renewed by itself; the doctor fetches it as a worker would."""
    cloud = start()
    monkeypatch.delenv("HUAWEICLOUD_SDK_AK")
    monkeypatch.delenv("HUAWEICLOUD_SDK_SK")
    token = tmp_path / "token"
    token.write_text(cloud.identity.directory.pod_token)
    monkeypatch.setenv("HC_CONTAINER_CREDENTIALS_FULL_URI", f"{cloud.url}/v1/credentials")
    monkeypatch.setenv("HC_CONTAINER_AUTHORIZATION_TOKEN_FILE", str(token))

    ran = cli("doctor", "-o", "json")

    assert ran.code == 0
    assert " left), renewed" in checks(ran)["credentials"]["text"]
