"""The accounts of one process: one for each profile, made of what that profile says."""

from pathlib import Path
from typing import Any

import anyio
import pytest
from structlog.testing import capture_logs
from yarl import URL

from jobs.clock import SystemClock
from jobs.errors import ConfigError
from jobs.outcomes import Answer, Outcome
from tests.builders import NOON_US, a_job, a_request
from tests.credentials.surroundings import SDK, FakeFetcher, Machine, raw, settings
from tests.fakes import FakeClock
from worker.accounts import Accounts, note_refusals
from worker.calls import CallCounts
from worker.credentials.chain import choose
from worker.credentials.wallet import Wallet
from worker.lease import NoLease
from worker.modelarts.transport import Transport
from worker.rows import RowsInMemory
from worker.switchboard import Switchboard
from worker.troubles import Troubles

FILE = "[one]\nak = AKONE0000000000000ONE\nsk = s1\n[two]\nak = AKTWO0000000000000TWO\nsk = s2\n"
POOLS = URL("https://modelarts.cn-north-4.myhuaweicloud.com/v2/p1/pools")
REFUSED = Answer(outcome=Outcome.UNAUTHENTICATED, sent=True, http_status=401, error_code="x")


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """Return a machine on which the SDK's key is set."""
    return Machine(tmp_path).set(SDK)


def accounts_of(machine: Machine, profiles: dict[str, Any], **cloud: Any) -> Accounts:
    """Return the accounts of these settings."""
    told = settings(profiles, **cloud)
    clock = FakeClock()
    wallet = Wallet(told, machine.around, FakeFetcher(lambda _: raw()))
    wire = Transport(SystemClock())
    return Accounts(told, wallet, wire, store=RowsInMemory(clock), clock=clock)


def test_each_profile_has_its_account_and_jobs_without_one_have_theirs(machine: Machine) -> None:
    """Credential, region and endpoint are the profile's; what it does not say is the cloud's."""
    path = machine.write("keys", FILE)
    served = accounts_of(
        machine,
        {
            "one": {"credentials": f"file:{path}#one", "region": "cn-south-1"},
            "two": {
                "credentials": f"file:{path}#two",
                "endpoint": "https://modelarts.eu-de.otc.t-systems.com",
            },
        },
        region="cn-north-4",
    ).all()

    assert list(served) == [None, "one", "two"]
    assert len({account.credential for account in served.values()}) == 3
    assert [account.region for account in served.values()] == [
        "cn-north-4",
        "cn-south-1",
        "cn-north-4",
    ]
    assert [str(account.urls.endpoint(account.region)) for account in served.values()] == [
        "https://modelarts.cn-north-4.myhuaweicloud.com",
        "https://modelarts.cn-south-1.myhuaweicloud.com",
        "https://modelarts.eu-de.otc.t-systems.com",
    ]


def test_a_profile_that_cannot_be_used_is_left_out_and_told(machine: Machine) -> None:
    """The others serve; nobody learns a secret from the warning."""
    accounts = accounts_of(machine, {"gone": {"credentials": "file:/nowhere#x"}})
    with capture_logs() as lines:
        served = accounts.all()

    assert list(served) == [None]
    [line] = [one for one in lines if one["event"] == "profile.unusable"]
    assert line["profile"] == "gone"
    assert line["do"]


def test_profiles_of_one_key_share_its_breaker_and_others_do_not(machine: Machine) -> None:
    """One key in five regions is shown to the cloud once when it is wrong."""
    regions = {f"r{n}": {"credentials": "env", "region": f"cn-north-{n}"} for n in range(5)}
    path = machine.write("keys", FILE)
    other = {"other": {"credentials": f"file:{path}#one"}}
    served = accounts_of(machine, {**regions, **other}).all()

    guards = {profile: account.guard for profile, account in served.items()}
    assert {guards[name] for name in (None, *regions)} == {guards[None]}
    assert guards["other"] is not guards[None]


async def test_a_mended_secret_is_taken_by_every_profile_of_its_key(machine: Machine) -> None:
    """The breaker reads the place again for all of them, so none goes on with the old one."""
    path = machine.write("keys", FILE.replace("s1", "wrong"))
    one = {"credentials": f"file:{path}#one"}
    profiles = {"a": {**one, "region": "cn-north-4"}, "b": {**one, "region": "cn-south-1"}}
    told = settings(profiles)
    clock = FakeClock()
    wallet = Wallet(told, machine.around, FakeFetcher(lambda _: raw()))
    served = Accounts(
        told, wallet, Transport(SystemClock()), store=RowsInMemory(clock), clock=clock
    ).all()
    guard = served["a"].guard

    def signed(profile: str) -> str:
        authorizer = wallet.get(profile).authorizer
        return authorizer.headers("GET", POOLS, b"", NOON_US)["Authorization"]

    before = signed("b")
    await guard.learn(REFUSED)
    assert not await served["b"].guard.admits()

    machine.write("keys", FILE)
    clock.advance(seconds=10)

    assert await guard.admits()
    assert signed("a") == signed("b") != before


async def test_what_was_refused_before_is_known_when_a_finite_run_begins(machine: Machine) -> None:
    """Its account alone; the run goes on with the others."""
    path = machine.write("keys", FILE)
    accounts = accounts_of(machine, {"one": {"credentials": f"file:{path}#one"}})
    served = accounts.all()
    await served["one"].guard.learn(REFUSED)
    troubles = Troubles(FakeClock())

    await note_refusals(served, troubles)

    assert list(troubles.refused) == [served["one"].credential]


def test_without_a_credential_the_profiles_are_named(tmp_path: Path) -> None:
    """Who has profiles and selected none is told how to."""
    bare = Machine(tmp_path)
    with pytest.raises(ConfigError) as caught:
        choose(settings({"cn": {"credentials": "env"}}), bare.around)

    assert caught.value.do.startswith("name a profile (cn) with --profile or cloud.profile, or set")


async def test_a_job_is_sent_as_its_profile_to_that_profiles_endpoint(machine: Machine) -> None:
    """One limit for each credential and endpoint, whatever the number of profiles that share it."""
    path = machine.write("keys", FILE)
    own = {"credentials": f"file:{path}#one", "endpoint": "https://modelarts.example.com"}
    same = {"credentials": "env", "region": "cn-north-4"}
    told = settings({"own": own, "same": same}, region="cn-north-4")
    clock = FakeClock()
    served = accounts_of(machine, {"own": own, "same": same}, region="cn-north-4").all()
    async with anyio.create_task_group() as tasks:
        board = Switchboard(
            served,
            told.cloud,
            NoLease(),
            CallCounts(Troubles(clock)),
            store=RowsInMemory(clock),
            tasks=tasks,
        )
        calls = {
            name: board.calls_for(a_job(request=a_request(profile=name)))
            for name in (None, "own", "same")
        }
        buckets = [one.limiter._key for one in calls.values() if one is not None]
        tasks.cancel_scope.cancel()

    north = f"{served[None].credential}|https://modelarts.cn-north-4.myhuaweicloud.com"
    assert buckets == [north, f"{served['own'].credential}|https://modelarts.example.com", north]
    assert len(board.limiters) == 2
