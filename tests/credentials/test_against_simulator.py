"""Every kind of credential opens the simulated cloud, which reads the contract by itself."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from yarl import URL

from config.settings import Settings
from jobs.clock import SystemClock
from jobs.errors import CredentialsRefusedError
from jobs.model import PoolRead, Target
from jobs.outcomes import Answer, Outcome
from jobs.states import JobState
from jobs.store.protocol import JobFilter
from tests.builders import a_request
from tests.credentials.surroundings import Machine, settings, wired
from tests.fakes import FakeClock
from worker.app import Work
from worker.credentials.wallet import Credential, Wallet
from worker.modelarts.client import ModelArtsClient
from worker.modelarts.urls import Urls
from worker.simulator import Simulator, SimulatorOptions
from worker.simulator.iam.directory import AGENCY
from worker.stores import opened_store

OPTIONS = SimulatorOptions(projects=2, pools=1, auth="any", metadata="hardened")


class Asker:
    """Reads pools of a simulated cloud as one credential."""

    def __init__(self, cloud: Simulator, clock: FakeClock, theirs: FakeClock) -> None:
        self.cloud = cloud
        self.clock = clock
        self.theirs = theirs
        self.credential: Credential | None = None

    async def read(self, client: ModelArtsClient, number: int = 0) -> PoolRead | Answer:
        """Read a pool's plug-ins."""
        project, pool = self.cloud.targets[number]
        target = Target(project_id=project, pool_name=pool)
        return await client.list_plugins(target, gate=lambda: None, timeout_s=5)

    @property
    def statuses(self) -> list[int]:
        """What the cloud answered to reads of pools."""
        lines = self.cloud.journal.entries()
        return [line["status"] for line in lines if "/pools/" in line["path"]]


@asynccontextmanager
async def asking(
    machine: Machine, setup: Callable[[Machine, Simulator], dict[str, Any]]
) -> AsyncIterator[tuple[Asker, ModelArtsClient]]:
    """Start a cloud, set a credential up, and ask as it."""
    clock, theirs = FakeClock(), FakeClock()
    async with Simulator(OPTIONS, clock=theirs) as cloud, wired(clock) as (fetcher, _):
        profile = setup(machine, cloud)
        told = settings({"p": profile}, endpoint=cloud.url, profile="p")
        wallet = Wallet(told, machine.around, fetcher, metadata=URL(cloud.url))
        asker = Asker(cloud, clock, theirs)
        asker.credential = wallet.get()
        urls = Urls(cloud.url)
        yield asker, ModelArtsClient(fetcher._transport, urls, asker.credential.authorizer, clock)


def key(machine: Machine, cloud: Simulator) -> dict[str, Any]:
    """Set a lasting key up."""
    one = cloud.identity.directory.keys[0]
    machine.set({"HUAWEICLOUD_SDK_AK": one.access, "HUAWEICLOUD_SDK_SK": one.secret})
    return {"credentials": "env"}


def login(machine: Machine, cloud: Simulator) -> dict[str, Any]:
    """Set a user with a password up."""
    user = cloud.identity.directory.users[0]
    machine.set({"HW_USER_NAME": user.name, "HW_USER_PASSWORD": user.password})
    machine.set({"HW_DOMAIN_NAME": user.account.name, "HW_AUTH_URL": f"{cloud.url}/v3"})
    return {"credentials": "env"}


def agency(machine: Machine, cloud: Simulator) -> dict[str, Any]:
    """Set an agency up that a key may assume."""
    account = cloud.identity.directory.accounts[0]
    named = {"agency_name": AGENCY, "agency_domain_name": account.name}
    return {**key(machine, cloud), **named}


def agency_by_login(machine: Machine, cloud: Simulator) -> dict[str, Any]:
    """Set an agency up that a user may assume."""
    account = cloud.identity.directory.accounts[0]
    machine.set({"HW_PROJECT_NAME": cloud.options.region})
    named = {"agency_name": AGENCY, "agency_domain_id": account.id}
    return {**login(machine, cloud), **named}


def id_token(machine: Machine, cloud: Simulator) -> dict[str, Any]:
    """Set the id token of another provider up."""
    directory = cloud.identity.directory
    path = machine.write("id-token", directory.id_token)
    machine.set({"HUAWEICLOUD_SDK_IDP_ID": directory.provider})
    machine.set({"HUAWEICLOUD_SDK_ID_TOKEN_FILE": str(path)})
    return {"credentials": "env"}


def pod(machine: Machine, cloud: Simulator) -> dict[str, Any]:
    """Be in a pod."""
    machine.pod(f"{cloud.url}/v1/credentials")
    machine.write("pod/token", cloud.identity.directory.pod_token)
    return {"credentials": "pod"}


def metadata(machine: Machine, cloud: Simulator) -> dict[str, Any]:
    """Be on an ECS with an agency."""
    return {"credentials": "metadata"}


RENEWABLE = [login, agency, agency_by_login, id_token, pod, metadata]


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """Return a machine on which nothing is set."""
    return Machine(tmp_path)


@pytest.mark.parametrize("setup", [key, *RENEWABLE])
async def test_every_kind_of_credential_is_let_in(
    machine: Machine, setup: Callable[[Machine, Simulator], dict[str, Any]]
) -> None:
    """Signed or with a token, lasting or temporary: the cloud accepts it in every project."""
    async with asking(machine, setup) as (asker, client):
        seen = [await asker.read(client, number) for number in range(2)]

    assert all(isinstance(one, PoolRead) for one in seen), seen
    assert asker.statuses == [200, 200]


@pytest.mark.parametrize("setup", RENEWABLE)
async def test_a_credential_is_renewed_before_it_ends(
    machine: Machine, setup: Callable[[Machine, Simulator], dict[str, Any]]
) -> None:
    """Over three days of reads the cloud never sees one that has ended."""
    async with asking(machine, setup) as (asker, client):
        for _ in range(72):
            assert isinstance(await asker.read(client), PoolRead)
            asker.clock.advance(hours=1)
            asker.theirs.advance(hours=1)

    assert set(asker.statuses) == {200}


async def test_a_token_that_the_cloud_ends_first_costs_one_refusal(machine: Machine) -> None:
    """Clocks differ: the cloud says that it ended, one renewal follows, all goes on."""
    async with asking(machine, login) as (asker, client):
        first = await asker.read(client)
        asker.clock.advance(hours=2)
        asker.theirs.advance(hours=25)
        refused = await asker.read(client)
        # The new token is of the cloud's time, a day ahead of ours.
        after = [await asker.read(client) for _ in range(3)]

    assert isinstance(first, PoolRead)
    assert isinstance(refused, Answer)
    assert refused.outcome is Outcome.CREDENTIAL_ENDED
    assert all(isinstance(one, PoolRead) for one in after)
    assert asker.statuses == [200, 401, 200, 200, 200]


@pytest.mark.parametrize("setup", [key, agency, pod])
async def test_a_machine_that_was_paused_signs_with_the_right_date_afterwards(
    machine: Machine, setup: Callable[[Machine, Simulator], dict[str, Any]]
) -> None:
    """Its clock stood still for a day and is set then: nothing it signs is refused, no restart."""
    async with asking(machine, setup) as (asker, client):
        assert isinstance(await asker.read(client), PoolRead)
        asker.theirs.advance(hours=25)
        asker.clock.step(25 * 3600)

        seen = await asker.read(client)

    assert isinstance(seen, PoolRead), seen
    assert asker.statuses == [200, 200]


def work_settings(url: str, folder: Path, **cloud: Any) -> Settings:
    """Return settings for a quick worker."""
    values: dict[str, Any] = {
        "store": {"url": f"sqlite:///{folder / 'store.db'}"},
        "cloud": {"endpoint": url, "rate": 500, "poll_first": "0.1s", "settle": "1s", **cloud},
    }
    return Settings.model_validate(values)


async def run(cloud: Simulator, told: Settings) -> set[JobState]:
    """Queue a job for each pool, work, and return how they ended."""
    async with opened_store(told.store) as store:
        await store.enqueue(
            [a_request(pool=pool, project=one, key=pool) for one, pool in cloud.targets]
        )
    try:
        await Work(told, slots=64, until_empty=True).run()
    finally:
        async with opened_store(told.store) as store:
            ended = {job.state async for job in store.jobs(JobFilter())}
    return ended


@pytest.mark.slow
@pytest.mark.parametrize("auth", ["aksk", "token"])
async def test_a_worker_signs_with_what_its_environment_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, auth: Any
) -> None:
    """What the simulator prints is exported, and a whole queue is worked off."""
    options = SimulatorOptions(projects=2, pools=10, speed=1000, auth=auth)
    monkeypatch.setenv("HOME", str(tmp_path))
    async with Simulator(options) as cloud:
        for name, value in cloud.environment.items():
            if not name.startswith("PLUGWAVE_"):
                monkeypatch.setenv(name, value)
        ended = await run(cloud, work_settings(cloud.url, tmp_path))
        refused = [line for line in cloud.journal.entries() if line["status"] == 401]

    assert ended == {JobState.SUCCEEDED}
    assert refused == []


class Stepping(SystemClock):
    """The machine's clock, which is a day ahead once it was looked at a few dozen times.

    By looks, not by time: on a busy machine half a second may be over before the first token.
    """

    def __init__(self) -> None:
        super().__init__()
        self._looks = 0

    def now_us(self) -> int:
        """Return the time, or the time of tomorrow."""
        self._looks += 1
        ahead_us = 25 * 3600 * 1_000_000 if self._looks > 60 else 0
        return super().now_us() + ahead_us


@pytest.mark.slow
async def test_a_token_that_expires_in_mid_run_costs_one_refresh_and_no_failed_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cloud ends the token while jobs are on their way; none of them notices."""
    options = SimulatorOptions(projects=1, pools=30, speed=200, auth="token")
    monkeypatch.setenv("HOME", str(tmp_path))
    async with Simulator(options, clock=Stepping()) as cloud:
        for name, value in cloud.environment.items():
            if not name.startswith("PLUGWAVE_"):
                monkeypatch.setenv(name, value)
        ended = await run(cloud, work_settings(cloud.url, tmp_path, rate=60))
        lines = cloud.journal.entries()

    issued = [line for line in lines if line["path"].startswith("/v3/auth/tokens")]
    assert ended == {JobState.SUCCEEDED}
    assert any(line["status"] == 401 for line in lines)
    assert len(issued) == 2


@pytest.mark.slow
async def test_a_wrong_secret_costs_one_bad_signature(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Six would lock the key for everybody; the cloud sees one."""
    options = SimulatorOptions(projects=2, pools=20, speed=1000, auth="aksk")
    monkeypatch.setenv("HOME", str(tmp_path))
    async with Simulator(options) as cloud:
        monkeypatch.setenv("HUAWEICLOUD_SDK_AK", cloud.identity.directory.keys[0].access)
        monkeypatch.setenv("HUAWEICLOUD_SDK_SK", "wrong-secret")
        with pytest.raises(CredentialsRefusedError):
            await run(cloud, work_settings(cloud.url, tmp_path))

        assert cloud.identity.bad_signatures == 1


@pytest.mark.slow
async def test_a_wrong_secret_behind_an_agency_costs_one_bad_signature(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The key that asks for the agency's is guarded like the one that signs requests."""
    options = SimulatorOptions(projects=2, pools=20, speed=1000, auth="aksk")
    monkeypatch.setenv("HOME", str(tmp_path))
    async with Simulator(options) as cloud:
        account = cloud.identity.directory.accounts[0]
        monkeypatch.setenv("HW_ACCESS_KEY", cloud.identity.directory.keys[0].access)
        monkeypatch.setenv("HW_SECRET_KEY", "wrong-secret")
        monkeypatch.setenv("HW_ASSUME_ROLE_AGENCY_NAME", AGENCY)
        monkeypatch.setenv("HW_ASSUME_ROLE_DOMAIN_NAME", account.name)
        told = work_settings(cloud.url, tmp_path)
        for _ in range(3):
            with pytest.raises(CredentialsRefusedError):
                await run(cloud, told)

        assert cloud.identity.bad_signatures == 1
