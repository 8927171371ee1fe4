"""What is asked for a token or a temporary key, and how the answer is read."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from yarl import URL

from jobs.outcomes import Outcome
from tests.builders import NOON_US
from tests.credentials.surroundings import FakeFetcher, raw, wired
from worker.credentials.fetching import Request
from worker.credentials.grants import (
    AgencyGrant,
    Asking,
    IdTokenGrant,
    MetadataGrant,
    PasswordGrant,
    PodGrant,
    TokenFileGrant,
)
from worker.credentials.sources import Agency, Login
from worker.modelarts.auth import AkSkAuth, Fixed, NoCredentialError
from worker.modelarts.keys import AccessKey, Secret
from worker.modelarts.transport import RawAnswer

IAM = URL("https://iam.cn-north-4.myhuaweicloud.com")
LOGIN = Login(password=Secret("pass word"), user_name="robot", domain_name="acme")
EXPIRES, EXPIRES_US = "2026-11-24T18:30:00.855000Z", 1_795_545_000_855_000
KEY = {
    "access": "AKTMP0000000000TMP01",
    "secret": "tmp-secret",
    "securitytoken": "tmp-token",
    "expires_at": EXPIRES,
}
SPELLINGS = {
    "iam": {"credential": KEY},
    "pod": {
        "credentials": {
            "accessKeyId": KEY["access"],
            "secretAccessKey": KEY["secret"],
            "securityToken": KEY["securitytoken"],
            "expiration": EXPIRES,
        },
        "podIdentityAssociationId": "",
    },
    "sts": {
        "credentials": {
            "access_key_id": KEY["access"],
            "secret_access_key": KEY["secret"],
            "security_token": KEY["securitytoken"],
            "expiration": EXPIRES,
        }
    },
    "flat": KEY,
}


def asking(answer: Callable[[Request], RawAnswer]) -> tuple[Asking, FakeFetcher]:
    """Return who asks an IAM that answers like that."""
    fetcher = FakeFetcher(answer)
    return Asking(who="me", iam=IAM, fetcher=fetcher), fetcher


def token_answer(body: object = None, text: str = "MIItoken") -> RawAnswer:
    """Return what IAM hands out a token with."""
    told = {"token": {"expires_at": EXPIRES}} if body is None else body
    return raw(201, told, {"X-Subject-Token": text})


def shown(key: AccessKey) -> tuple[str, str, str | None, int | None]:
    """Return a key's parts."""
    token = None if key.security_token is None else key.security_token.reveal()
    return key.access.reveal(), key.secret.reveal(), token, key.expires_us


WHOLE = (KEY["access"], KEY["secret"], KEY["securitytoken"], EXPIRES_US)


async def test_a_token_is_asked_for_with_a_password() -> None:
    """The documented request, without the catalogue, scoped to one project."""
    asked_by, fetcher = asking(lambda _: token_answer())

    token = await PasswordGrant(asking=asked_by, login=LOGIN, project="p1").fetch()

    [request] = fetcher.asked
    assert (request.method, str(request.url)) == ("POST", f"{IAM}/v3/auth/tokens?nocatalog=true")
    assert orjson.loads(request.body or b"") == {
        "auth": {
            "identity": {
                "methods": ["password"],
                "password": {
                    "user": {
                        "name": "robot",
                        "password": "pass word",
                        "domain": {"name": "acme"},
                    }
                },
            },
            "scope": {"project": {"id": "p1"}},
        }
    }
    assert (token.secret.reveal(), token.expires_us) == ("MIItoken", EXPIRES_US)


@pytest.mark.parametrize(
    ("login", "user"),
    [
        (Login(password=Secret("p"), user_id="u1"), {"id": "u1", "password": "p"}),
        (
            Login(password=Secret("p"), user_name="n", domain_id="d1"),
            {"name": "n", "password": "p", "domain": {"id": "d1"}},
        ),
    ],
)
async def test_ids_are_used_where_they_are_known(login: Login, user: dict[str, Any]) -> None:
    """User and account may be named or given by id; a region's project by its name."""
    asked_by, fetcher = asking(lambda _: token_answer())

    await PasswordGrant(asking=asked_by, login=login, project_name="cn-north-4").fetch()

    auth = orjson.loads(fetcher.asked[0].body or b"")["auth"]
    assert auth["identity"]["password"]["user"] == user
    assert auth["scope"] == {"project": {"name": "cn-north-4"}}


async def test_a_token_of_no_project_is_not_asked_for() -> None:
    """ModelArts takes project-scoped tokens alone."""
    asked_by, fetcher = asking(lambda _: token_answer())

    with pytest.raises(NoCredentialError, match="neither a project nor a region"):
        await PasswordGrant(asking=asked_by, login=LOGIN).fetch()
    assert fetcher.asked == []


@pytest.mark.parametrize(
    "answer",
    [token_answer(text=""), token_answer(text="two words"), raw(201), token_answer(["no object"])],
)
async def test_an_answer_without_a_token_is_no_token(answer: RawAnswer) -> None:
    """An unreadable answer is a trouble that may pass."""
    asked_by, _ = asking(lambda _: answer)

    with pytest.raises(NoCredentialError) as caught:
        await PasswordGrant(asking=asked_by, login=LOGIN, project="p").fetch()
    assert caught.value.answer.outcome is Outcome.CONNECT_TIMEOUT
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("told", [{}, {"token": None}, {"token": {"expires_at": "soon"}}])
async def test_a_token_that_tells_no_end_lives_a_day(told: object) -> None:
    """The documented life is assumed."""
    asked_by, _ = asking(lambda _: token_answer(told))

    token = await PasswordGrant(asking=asked_by, login=LOGIN, project="p").fetch()

    assert token.expires_us == NOON_US + 86_400_000_000


async def test_an_agency_is_asked_for_as_somebody_else() -> None:
    """The request is signed by the base credential and says whose agency and how long."""
    asked_by, fetcher = asking(lambda _: raw(201, SPELLINGS["iam"]))
    base = AkSkAuth(Fixed(AccessKey.of("AKBASE000000000BASE1", "base-secret")))
    agency = Agency(name="ops", domain_name="acme", duration_s=3600)

    key = await AgencyGrant(asking=asked_by, agency=agency, base=base).fetch()

    [request] = fetcher.asked
    assert str(request.url) == f"{IAM}/v3.0/OS-CREDENTIAL/securitytokens"
    assert "Access=AKBASE000000000BASE1" in request.headers["Authorization"]
    assert "X-Project-Id" not in request.headers
    assert orjson.loads(request.body or b"") == {
        "auth": {
            "identity": {
                "methods": ["assume_role"],
                "assume_role": {
                    "agency_name": "ops",
                    "domain_name": "acme",
                    "duration_seconds": 3600,
                },
            }
        }
    }
    assert "AKBASE000000000BASE1" in request.secrets
    assert shown(key) == WHOLE


async def test_an_id_token_becomes_a_key_in_two_steps(tmp_path: Path) -> None:
    """First an unscoped token, then a temporary key for it."""
    path = tmp_path / "id"
    path.write_text("id-token-1\n")

    def answer(request: Request) -> RawAnswer:
        return token_answer() if "id-token" in request.url.path else raw(201, SPELLINGS["iam"])

    asked_by, fetcher = asking(answer)

    key = await IdTokenGrant(asking=asked_by, provider="idp", path=path).fetch()

    first, second = fetcher.asked
    assert first.headers == {"X-Idp-Id": "idp"}
    assert orjson.loads(first.body or b"") == {"auth": {"id_token": {"id": "id-token-1"}}}
    assert orjson.loads(second.body or b"")["auth"]["identity"]["token"]["id"] == "MIItoken"
    assert shown(key) == WHOLE


@pytest.mark.parametrize("spelling", SPELLINGS)
async def test_every_spelling_of_a_key_is_read(tmp_path: Path, spelling: str) -> None:
    """IAM, metadata, pods and STS each write the same things differently."""
    path = tmp_path / "t"
    path.write_text("pod-token\n")
    fetcher = FakeFetcher(lambda _: raw(200, SPELLINGS[spelling]))
    url = URL("http://127.0.0.1:9/v1/credentials")

    key = await PodGrant(who="pod", url=url, path=path, fetcher=fetcher).fetch()

    assert shown(key) == WHOLE
    assert fetcher.asked[0].headers == {"Authorization": "pod-token"}
    assert fetcher.asked[0].method == "POST"


@pytest.mark.parametrize(
    "told",
    [
        {"credential": {"access": "A"}},
        {"credential": []},
        {"credential": {**KEY, "secret": "two words"}},
        {"credential": {**KEY, "access": 7}},
        {"credential": {**KEY, "securitytoken": ""}},
        {},
    ],
)
async def test_an_answer_without_a_whole_key_is_no_key(tmp_path: Path, told: object) -> None:
    """Half a key is none."""
    path = tmp_path / "t"
    path.write_text("pod-token")
    fetcher = FakeFetcher(lambda _: raw(200, told))

    with pytest.raises(NoCredentialError, match="cannot be read"):
        await PodGrant(who="p", url=URL("http://localhost"), path=path, fetcher=fetcher).fetch()


async def test_a_key_that_tells_no_end_lives_a_quarter_of_an_hour(tmp_path: Path) -> None:
    """The shortest documented life is assumed."""
    path = tmp_path / "t"
    path.write_text("pod-token")
    told = {name: value for name, value in KEY.items() if name != "expires_at"}
    fetcher = FakeFetcher(lambda _: raw(200, {"credential": told}))

    key = await PodGrant(who="p", url=URL("http://localhost"), path=path, fetcher=fetcher).fetch()

    assert key.expires_us == NOON_US + 900_000_000


async def test_files_are_read_anew_for_each_fetch(tmp_path: Path) -> None:
    """Clusters change the files of tokens while the process runs."""
    path = tmp_path / "t"
    path.write_text("first")
    fetcher = FakeFetcher(lambda _: raw())
    grant = TokenFileGrant(path=path, fetcher=fetcher)

    before = (await grant.fetch()).secret.reveal()
    path.write_text("second\n")
    after = (await grant.fetch()).secret.reveal()
    path.unlink()

    assert (before, after) == ("first", "second")
    with pytest.raises(NoCredentialError, match="does not exist") as caught:
        await grant.fetch()
    assert caught.value.answer.outcome is Outcome.UNAUTHENTICATED


class Machine:
    """The metadata service of an ECS."""

    def __init__(self, *, hardened: bool, agency: bool = True) -> None:
        self.hardened, self.agency = hardened, agency
        self.tokens = 0
        self.asked: list[tuple[str, str, str | None]] = []

    async def answer(self, request: web.Request) -> web.Response:
        """Answer as the documentation says."""
        token = request.headers.get("X-Metadata-Token")
        self.asked.append((request.method, request.path, token))
        if request.path == "/meta-data/latest/api/token":
            assert request.headers["X-Metadata-Token-Ttl-Seconds"] == "21600"
            self.tokens += 1
            return web.Response(text=f"metadata-token-{self.tokens}")
        if not self.agency:
            return web.Response(status=401, text="Please configure Cloud Service Agency first")
        if self.hardened and token != f"metadata-token-{self.tokens}":
            return web.Response(status=401)
        return web.json_response({"credential": KEY})

    def server(self) -> TestServer:
        """Return the service as a server."""
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self.answer)
        return TestServer(app)


SECURITY_KEY = "/openstack/latest/securitykey"


async def test_the_agency_of_a_machine_is_asked_of_its_metadata() -> None:
    """One request where the machine is open."""
    machine = Machine(hardened=False)
    async with machine.server() as server, wired() as (fetcher, _):
        key = await MetadataGrant("ecs", fetcher, server.make_url("/")).fetch()

    assert shown(key) == WHOLE
    assert machine.asked == [("GET", SECURITY_KEY, None)]


async def test_a_hardened_machine_wants_a_token_of_its_own_first() -> None:
    """The token is asked for when it is needed, kept, and replaced when it has ended."""
    machine = Machine(hardened=True)
    async with machine.server() as server, wired() as (fetcher, _):
        grant = MetadataGrant("ecs", fetcher, server.make_url("/"))
        await grant.fetch()
        first = len(machine.asked)
        await grant.fetch()
        second = len(machine.asked)
        machine.tokens += 1  # the one we have is worth nothing now
        key = await grant.fetch()

    assert machine.asked[:3] == [
        ("GET", SECURITY_KEY, None),
        ("PUT", "/meta-data/latest/api/token", None),
        ("GET", SECURITY_KEY, "metadata-token-1"),
    ]
    assert (first, second, len(machine.asked)) == (3, 4, 7)
    assert shown(key) == WHOLE


async def test_a_machine_without_an_agency_is_told() -> None:
    """The service's own words say what to do."""
    machine = Machine(hardened=True, agency=False)
    async with machine.server() as server, wired() as (fetcher, _):
        with pytest.raises(NoCredentialError) as caught:
            await MetadataGrant("ecs", fetcher, server.make_url("/")).fetch()

    assert caught.value.answer.outcome is Outcome.UNAUTHENTICATED
    assert "configure Cloud Service Agency" in caught.value.answer.message


def test_a_grant_shows_no_secret() -> None:
    """What asks holds passwords and shows none."""
    asked_by, _ = asking(lambda _: raw())
    grant = PasswordGrant(asking=asked_by, login=LOGIN, project="p")

    shown_headers: Mapping[str, str] = {"Authorization": "planted"}
    request = Request(who="w", what="x", method="GET", url=IAM, headers=shown_headers)

    assert "pass word" not in repr(grant)
    assert "planted" not in repr(request)
