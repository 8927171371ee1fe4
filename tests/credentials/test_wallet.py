"""Several accounts in one process: each profile its own credential, put together once."""

from pathlib import Path
from typing import Any

import anyio
import pytest
from yarl import URL

from jobs.errors import ConfigError
from jobs.outcomes import Answer, Outcome
from tests.builders import NOON_US
from tests.credentials.surroundings import (
    HW,
    HW_LOGIN,
    SDK,
    TOKEN,
    FakeFetcher,
    Machine,
    raw,
    settings,
)
from tests.fakes import FakeClock
from tests.modelarts.scripted import OPEN_ANSWER, caller, cloud, http, known
from worker.credentials.fetching import Request, unavailable
from worker.credentials.sources import Source
from worker.credentials.wallet import Wallet, iam_of
from worker.modelarts.keys import Token
from worker.modelarts.transport import RawAnswer

POOLS = URL("https://modelarts.cn-north-4.myhuaweicloud.com/v2/p1/pools")
OTHER = URL("https://modelarts.cn-north-4.myhuaweicloud.com/v2/p2/pools")
IAM = URL("https://iam.cn-north-4.myhuaweicloud.com/v3/auth/domains")


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """Return a machine on which nothing is set."""
    return Machine(tmp_path)


class Issuer:
    """An IAM that hands out a new token or key for each question."""

    def __init__(self) -> None:
        self.handed = 0
        self.fetcher = FakeFetcher(self.answer)

    def answer(self, _: Request) -> RawAnswer:
        """Hand out the next one."""
        self.handed += 1
        end = "2026-11-25T12:00:00.000000Z"
        access = f"AKTMP0000000000TMP0{self.handed}"
        key = {"access": access, "secret": "s", "securitytoken": f"t{self.handed}"}
        told = {"token": {"expires_at": end}, "credential": {**key, "expires_at": end}}
        return raw(201, told, {"X-Subject-Token": f"MIItoken-{self.handed}"})


def wallet(machine: Machine, profiles: dict[str, Any] | None = None, **told: Any) -> Wallet:
    """Return a wallet on that machine."""
    return Wallet(settings(profiles, **told), machine.around, Issuer().fetcher)


async def headers(wallet: Wallet, url: URL = POOLS, name: str | None = None) -> dict[str, str]:
    """Return what a request of that credential carries."""
    authorizer = wallet.get(name).authorizer
    await authorizer.ready(url)
    return dict(authorizer.headers("GET", url, b"", NOON_US))


async def test_each_profile_is_its_own_account(machine: Machine) -> None:
    """A job names a profile and is sent as it; without one, as the settings say."""
    machine.set(SDK).sdk_file()
    profiles = {
        "a": {"credentials": "env"},
        "b": {"credentials": "file:~/.huaweicloud/credentials"},
    }
    held = wallet(machine, profiles)

    default, first, second = [await headers(held, name=name) for name in (None, "a", "b")]

    assert "Access=AKSDK00000000000SDK1," in default["Authorization"]
    assert default == first
    assert "Access=AKFILE000000000FILE6," in second["Authorization"]
    assert held.get("b").name == "ak-AKFIILE6"
    with pytest.raises(ConfigError, match="no profile c"):
        held.get("c")


def test_a_credential_is_put_together_once(machine: Machine) -> None:
    """All jobs of a profile share one credential, and so one renewal and one limit."""
    held = wallet(machine.set(SDK), {"a": {"credentials": "env"}}, profile="a")

    assert held.get() is held.get("a")


def test_kinds_of_authorizers(machine: Machine) -> None:
    """A key signs, a token is sent, and a simulator without login is asked bare."""
    none = wallet(machine, auth="none", endpoint="http://127.0.0.1:1").get()
    token = wallet(machine, token=TOKEN).get()
    key = wallet(machine.set(SDK)).get()

    url = URL("https://localhost/v2/p/pools")
    proofs = [one.authorizer.headers("GET", url, b"", 0) for one in (none, token, key)]
    assert [sorted(proof) for proof in proofs] == [
        [],
        ["X-Auth-Token"],
        ["Authorization", "Host", "X-Project-Id", "X-Sdk-Date"],
    ]
    assert (none.name, none.mark) == ("none", None)
    assert token.mark != key.mark


def test_the_mark_changes_with_the_secret_alone(machine: Machine) -> None:
    """A breaker is closed by a mended secret; the mark tells nothing of it."""
    before = wallet(machine.set(SDK)).get()
    after = wallet(machine.set({"HUAWEICLOUD_SDK_SK": "mended"})).get()

    assert before.name == after.name
    assert before.mark != after.mark
    assert len(before.mark or "") == 8


async def test_a_password_brings_one_token_for_each_project(machine: Machine) -> None:
    """Tokens are of one project, so each project's requests carry their own."""
    held = wallet(machine.set(HW_LOGIN))

    first = await headers(held, POOLS)
    again = await headers(held, POOLS)
    other = await headers(held, OTHER)
    without = await headers(held, IAM)

    assert first == again == {"X-Auth-Token": "MIItoken-1"}
    assert other == {"X-Auth-Token": "MIItoken-2"}
    assert without == {"X-Auth-Token": "MIItoken-3"}


async def test_fifty_requests_of_three_projects_cost_three_tokens(machine: Machine) -> None:
    """However many start at once."""
    issuer = Issuer()
    held = Wallet(settings(), machine.set(HW_LOGIN).around, issuer.fetcher)
    urls = [URL(f"https://m.example/v2/p{number % 3}/pools") for number in range(50)]

    async with anyio.create_task_group() as tasks:
        for url in urls:
            tasks.start_soon(held.get().authorizer.ready, url)

    assert issuer.handed == 3


async def test_an_agency_signs_with_its_temporary_key(machine: Machine) -> None:
    """The base key asks once; requests carry the agency's key and its security token."""
    profiles = {"ops": {"credentials": "env", "agency_name": "ops", "agency_domain_name": "acme"}}
    held = wallet(machine.set(HW), profiles)

    sent = await headers(held, name="ops")

    assert "Access=AKTMP0000000000TMP01," in sent["Authorization"]
    assert sent["X-Security-Token"] == "t1"
    assert held.get("ops").name.startswith("agency-")


@pytest.mark.parametrize("login", [False, True])
async def test_an_agency_may_be_asked_for_with_a_password(machine: Machine, login: bool) -> None:  # noqa: FBT001 - a table's column
    """Whatever the base is, it proves itself to IAM in its own way."""
    issuer = Issuer()
    machine.set(HW_LOGIN if login else HW)
    machine.set({"HW_ASSUME_ROLE_AGENCY_NAME": "ops", "HW_ASSUME_ROLE_DOMAIN_ID": "d1"})
    held = Wallet(settings(), machine.around, issuer.fetcher)

    await headers(held)

    last = issuer.fetcher.asked[-1]
    assert ("X-Auth-Token" in last.headers) is login
    assert ("Authorization" in last.headers) is not login


def source(**told: Any) -> Source:
    """Return a source that says that of itself."""
    return Source(label="x", proof=Token.of("t"), **told)


@pytest.mark.parametrize(
    ("told", "cloud_says", "iam"),
    [
        ({}, {}, "https://iam.myhuaweicloud.com"),
        ({"region": "cn-north-4"}, {}, "https://iam.cn-north-4.myhuaweicloud.com"),
        ({}, {"region": "cn-east-3"}, "https://iam.cn-east-3.myhuaweicloud.com"),
        ({"region": "eu-west-101"}, {}, "https://iam.eu-west-101.myhuaweicloud.eu"),
        ({"region": "r1", "domain": "my.example"}, {}, "https://iam.r1.my.example"),
        ({"domain": "my.example"}, {}, "https://iam.my.example"),
        ({"iam": "https://iam.x.example:443/v3"}, {}, "https://iam.x.example"),
        ({"iam": "https://a.example"}, {"iam_endpoint": "https://b.example"}, "https://b.example"),
        ({}, {"endpoint": "http://127.0.0.1:8788"}, "http://127.0.0.1:8788"),
        ({}, {"endpoint": "https://modelarts.r.example"}, "https://iam.r.example"),
        (
            {"domain": "x.example"},
            {"endpoint": "https://modelarts.r.example"},
            "https://iam.r.example",
        ),
    ],
)
def test_iam_is_where_the_credential_is_known(
    told: dict[str, Any], cloud_says: dict[str, Any], iam: str
) -> None:
    """Settings first, then what the source itself says, then beside ModelArts."""
    assert str(iam_of(source(**told), settings(**cloud_says).cloud)) == iam


@pytest.mark.parametrize(
    ("told", "cloud_says"),
    [
        ({"iam": "http://iam.x.example"}, {}),
        ({"domain": "x.example/evil"}, {}),
        ({"domain": "evil.example@x"}, {}),
        ({}, {"endpoint": "https://api.example"}),
    ],
)
def test_a_secret_is_not_sent_to_an_address_that_is_none(
    told: dict[str, Any], cloud_says: dict[str, Any]
) -> None:
    """An address that cannot be trusted is a mistake in the settings."""
    with pytest.raises(ConfigError):
        iam_of(source(**told), settings(**cloud_says).cloud)


def test_a_pods_address_is_checked(machine: Machine) -> None:
    """The pod's token goes over https, or stays on the machine."""
    with pytest.raises(ConfigError, match="HC_CONTAINER_CREDENTIALS_FULL_URI"):
        wallet(machine.pod("http://10.1.2.3/v1/credentials")).get()


EXPIRED = [
    known(
        401, "APIG.0301", "Incorrect IAM authentication information: token expires, expires_at: x"
    ),
    known(401, "APIGW.0307", "The token must be updated."),
]


@pytest.mark.parametrize("reply", EXPIRED)
async def test_a_token_that_ended_costs_one_renewal_and_no_failure(
    machine: Machine, reply: Any
) -> None:
    """The request is refused in full, so it is made again, with a new token."""
    issuer = Issuer()
    clock = FakeClock()
    issuer.fetcher.clock = clock
    authorizer = Wallet(settings(), machine.set(HW_LOGIN).around, issuer.fetcher).get().authorizer
    async with (
        cloud(http(200, OPEN_ANSWER), reply, http(200, OPEN_ANSWER)) as served,
        caller(served, authorizer=authorizer) as call,
    ):
        first = await call.create()
        clock.advance(hours=1)
        second = await call.create()
        third = await call.create()

    assert [one.outcome for one in (first, second, third)] == [
        Outcome.OK,
        Outcome.CREDENTIAL_ENDED,
        Outcome.OK,
    ]
    assert "renewed" in second.message
    assert issuer.handed == 2
    assert b"MIItoken-1" in served.requests[1]
    assert b"MIItoken-2" in served.requests[2]


@pytest.mark.parametrize("kind", ["token", "key"])
async def test_a_late_refusal_of_the_old_one_does_not_end_the_new_one(
    machine: Machine, kind: str
) -> None:
    """Answers come in any order; each is about the credential its own request carried."""
    issuer = Issuer()
    issuer.fetcher.clock = clock = FakeClock()
    machine.set(HW_LOGIN) if kind == "token" else machine.pod()
    authorizer = Wallet(settings(), machine.around, issuer.fetcher).get().authorizer
    await authorizer.ready(POOLS)
    old = authorizer.headers("GET", POOLS, b"", NOON_US)
    clock.advance(hours=1)

    first = authorizer.ended(POOLS, old)
    await authorizer.ready(POOLS)
    clock.advance(hours=1)
    late = authorizer.ended(POOLS, old)
    await authorizer.ready(POOLS)

    assert (first, late) == (True, True)
    assert issuer.handed == 2


async def test_a_token_that_cannot_be_renewed_is_refused(machine: Machine) -> None:
    """A token written into the settings has ended for good."""
    authorizer = wallet(machine, token=TOKEN).get().authorizer
    async with cloud(EXPIRED[1]) as served, caller(served, authorizer=authorizer) as call:
        answer = await call.create()

    assert answer.outcome is Outcome.UNAUTHENTICATED


async def test_a_wrong_signature_is_never_worth_a_renewal(machine: Machine) -> None:
    """Only what has ended is renewed; a wrong key would be wrong again."""
    issuer = Issuer()
    issuer.fetcher.clock = clock = FakeClock()
    held = Wallet(settings(), machine.pod().around, issuer.fetcher)
    reply = known(401, "APIGW.0301", "verify aksk signature fail")
    authorizer = held.get().authorizer
    async with cloud(reply) as served, caller(served, authorizer=authorizer) as call:
        await call.create()
        clock.advance(hours=1)
        answer = await call.create()

    assert answer.outcome is Outcome.UNAUTHENTICATED
    assert issuer.handed == 1


async def test_without_a_credential_nothing_is_sent(machine: Machine) -> None:
    """A request that cannot be signed is not made; its answer says why."""

    def refuse(request: Request) -> RawAnswer:
        why = Answer(outcome=Outcome.CONNECT_REFUSED, sent=False, message="no connection")
        raise unavailable(request.what, why)

    held = Wallet(settings(), machine.set(HW_LOGIN).around, FakeFetcher(refuse))
    async with cloud() as served, caller(served, authorizer=held.get().authorizer) as call:
        answer = await call.create()

    assert (answer.outcome, answer.sent) == (Outcome.CONNECT_REFUSED, False)
    assert answer.message == "no token from IAM; no connection"
    assert served.requests == []


async def test_an_error_shows_the_access_key_in_part_only(machine: Machine) -> None:
    """The gateway may repeat the key; we do not."""
    access = SDK["HUAWEICLOUD_SDK_AK"]
    reply = known(401, "APIGW.0301", f"Get secretKey failed, ak: {access}")
    authorizer = wallet(machine.set(SDK)).get().authorizer
    async with cloud(reply) as served, caller(served, authorizer=authorizer) as call:
        answer = await call.create()

    assert access.encode() in served.requests[0]
    assert access not in repr(answer)
