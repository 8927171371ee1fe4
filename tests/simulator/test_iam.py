"""The calls that hand out credentials and say which projects there are."""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import orjson
import pytest

from tests.simulator.asking import QUICK, Client, Got, asking
from tests.simulator.signing import Signer, signer
from worker.simulator.iam.directory import Account
from worker.simulator.iam.passes import MOST, Bearer, Passes
from worker.simulator.iam.times import in_microseconds
from worker.simulator.options import Metadata

SIGNED: Final = replace(QUICK, auth="any", projects=3)
KEYS: Final = "/v3.0/OS-CREDENTIAL/securitytokens"
METADATA: Final = "/openstack/latest/securitykey"
SIX_DECIMALS: Final = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z"


def password_of(client: Client, **more: Any) -> dict[str, Any]:
    """Return what the first user shows; *more* replaces parts of it."""
    user = client.cloud.identity.directory.users[0]
    about = {"name": user.name, "password": user.password, "domain": {"name": user.account.name}}
    return {"methods": ["password"], "password": {"user": {**about, **more}}}


async def asked(
    client: Client, path: str, auth: object, headers: Mapping[str, str] | None = None
) -> Got:
    """POST that ``auth``."""
    return await client.ask("POST", path, orjson.dumps({"auth": auth}), headers)


async def token_of(client: Client) -> Got:
    """Sign in for the region's project."""
    scope = {"project": {"name": "cn-north-4"}}
    return await asked(client, "/v3/auth/tokens", {"identity": password_of(client), "scope": scope})


async def signed(client: Client, method: str, path: str, body: bytes = b"") -> Got:
    """Make a request that is signed with the first key."""
    headers = signer(client.cloud, client.clock).headers(method, path, body)
    return await client.ask(method, path, body, headers)


async def with_key(client: Client, told: Mapping[str, str], *, security: bool = True) -> Got:
    """List plug-ins with a temporary key."""
    path = client.plugins_path()
    more = {"X-Security-Token": told["securitytoken"]} if security else {}
    headers = Signer(told["access"], told["secret"], client.clock).headers(
        "GET", path, unsigned=more
    )
    return await client.ask("GET", path, headers=headers)


async def test_a_password_gets_a_token_for_a_project() -> None:
    """201, the token in a header, its end with six decimals, project and user in the body."""
    async with asking(SIGNED) as client:
        got = await token_of(client)
    token = got.told["token"]
    user = client.cloud.identity.directory.users[0]

    assert got.status == 201
    assert len(got.headers["X-Subject-Token"]) > 200
    assert got.headers["X-Subject-Token"] not in got.body.decode()
    assert got.headers["X-IAM-Trace-Id"].endswith(got.headers["X-Request-Id"])
    assert token["methods"] == ["password"]
    assert (token["issued_at"], token["expires_at"]) == (
        "2026-11-24T12:00:00.000000Z",
        "2026-11-25T12:00:00.000000Z",
    )
    assert token["project"] == {
        "id": client.project,
        "name": "cn-north-4",
        "domain": {"id": user.account.id, "name": user.account.name},
    }
    assert (token["user"]["name"], token["user"]["domain"]["name"]) == (
        user.name,
        user.account.name,
    )
    assert {one["name"] for one in token["catalog"]} == {"iam", "modelarts"}


async def test_a_token_can_be_had_without_the_catalog() -> None:
    """As the documentation advises."""
    async with asking(SIGNED) as client:
        got = await asked(
            client, "/v3/auth/tokens?nocatalog=true", {"identity": password_of(client)}
        )

    assert got.told["token"]["catalog"] == []
    assert "project" not in got.told["token"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"password": "no"},
        {"password": None},
        {"password": "\u00e9"},
        {"name": "nobody"},
        {"domain": {"name": "elsewhere"}},
        {"domain": None},
    ],
    ids=str,
)
async def test_a_wrong_password_is_refused_in_the_shape_of_iam(wrong: dict[str, Any]) -> None:
    """401 with code, message and title below error; whether the name is known is not told."""
    async with asking(SIGNED) as client:
        got = await asked(client, "/v3/auth/tokens", {"identity": password_of(client, **wrong)})

    assert got.status == 401
    assert got.told == {
        "error": {
            "code": 401,
            "message": "The username or password is wrong.",
            "title": "Unauthorized",
        }
    }


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b'{"auth": 1}', b'{"auth":{"identity":{"methods":["totp"]}}}'],
)
async def test_a_sign_in_that_makes_no_sense_is_a_bad_request(body: bytes) -> None:
    """No JSON, no identity, a method that is not offered."""
    async with asking(SIGNED) as client:
        seen = [await client.ask("POST", path, body) for path in ("/v3/auth/tokens", KEYS)]

    assert [got.status for got in seen] == [400, 400]
    assert [got.told["error"]["code"] for got in seen] == [400, 400]


async def test_a_project_of_nobody_gets_no_token() -> None:
    """Nor does one of another account."""
    async with asking(replace(SIGNED, accounts=2)) as client:
        directory = client.cloud.identity.directory
        other = next(iter(directory.projects(directory.accounts[1])))
        seen = [
            await asked(
                client,
                "/v3/auth/tokens",
                {"identity": password_of(client), "scope": {"project": {"id": project_id}}},
            )
            for project_id in ("f" * 32, other.id)
        ]

    assert [got.status for got in seen] == [401, 401]


async def test_the_projects_of_an_account_are_told() -> None:
    """One is named like the region, the others hang below it; another region and MOS as in life."""
    async with asking(SIGNED) as client:
        told = (await signed(client, "GET", "/v3/projects")).told
        own = (await signed(client, "GET", "/v3/auth/projects")).told
    projects = {project["name"]: project for project in told["projects"]}
    account = client.cloud.identity.directory.accounts[0]

    assert list(projects) == ["cn-north-4", "cn-north-4_001", "cn-north-4_002", "cn-east-3", "MOS"]
    assert projects["cn-north-4"]["id"] == client.project
    assert projects["cn-north-4"]["parent_id"] == account.id
    assert projects["cn-north-4_001"]["parent_id"] == client.project
    assert set(projects["cn-north-4"]) == {
        "id",
        "name",
        "domain_id",
        "parent_id",
        "is_domain",
        "enabled",
        "description",
        "links",
    }
    assert own["projects"] == told["projects"]


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("name=cn-north-4", ["cn-north-4"]),
        ("name=nowhere", []),
        ("enabled=true&name=MOS", ["MOS"]),
        ("enabled=false", []),
        ("domain_id=other", []),
        ("page=1&per_page=2", ["cn-north-4", "cn-north-4_001"]),
        ("page=3&per_page=2", ["MOS"]),
        ("page=4&per_page=2", []),
    ],
)
async def test_projects_can_be_chosen_and_come_in_pages(query: str, names: list[str]) -> None:
    """The query is signed as well."""
    async with asking(SIGNED) as client:
        told = (await signed(client, "GET", f"/v3/projects?{query}")).told

    assert [project["name"] for project in told["projects"]] == names


@pytest.mark.parametrize("query", ["page=0", "page=x", "per_page=0", "per_page=5001"])
async def test_a_page_that_makes_no_sense_is_refused(query: str) -> None:
    """Pages count from 1 and hold up to 5000."""
    async with asking(SIGNED) as client:
        got = await signed(client, "GET", f"/v3/projects?{query}")

    assert got.status == 400


async def test_accounts_see_their_own_projects_alone() -> None:
    """Projects are dealt out; each account has one that is named like the region."""
    async with asking(replace(SIGNED, accounts=2)) as client:
        seen = []
        for number in (0, 1):
            by = signer(client.cloud, client.clock, number)
            headers = by.headers("GET", "/v3/auth/projects")
            told = (await client.ask("GET", "/v3/auth/projects", headers=headers)).told
            seen.append([project["name"] for project in told["projects"]])
        domain = (await signed(client, "GET", "/v3/auth/domains")).told["domains"]

    assert seen == [
        ["cn-north-4", "cn-north-4_001", "cn-east-3", "MOS"],
        ["cn-north-4", "cn-east-3", "MOS"],
    ]
    assert [one["id"] for one in domain] == [client.cloud.identity.directory.accounts[0].id]


@pytest.mark.parametrize("path", ["/v3/projects", "/v3/auth/projects", "/v3/auth/domains"])
async def test_projects_are_not_told_to_strangers(path: str) -> None:
    """The gateway of IAM refuses as the one of ModelArts does; a token or a signature opens."""
    async with asking(SIGNED) as client:
        stranger = await client.get(path)
        token = (await token_of(client)).headers["X-Subject-Token"]
        holder = await client.ask("GET", path, headers={"X-Auth-Token": token})

    assert (stranger.status, stranger.error_code) == (401, "APIG.0301")
    assert holder.status == 200


def agency(client: Client, **more: Any) -> bytes:
    """Return the request for a key of the agency."""
    account = client.cloud.identity.directory.accounts[-1]
    role = {"agency_name": "plugwave-agency", "domain_name": account.name, **more}
    identity = {"methods": ["assume_role"], "assume_role": role}
    return orjson.dumps({"auth": {"identity": identity}})


async def test_an_agency_gives_a_key_that_needs_its_security_token() -> None:
    """201 with three parts and an end; two of them alone are nobody's."""
    async with asking(replace(SIGNED, accounts=2)) as client:
        got = await signed(client, "POST", KEYS, agency(client, duration_seconds=3600))
        told = got.told["credential"]
        client.project, client.pool = client.cloud.targets[2]  # a pool of the other account
        whole = await with_key(client, told)
        part = await with_key(client, told, security=False)
        other = await with_key(client, {**told, "securitytoken": "x"})
        name = client.journal[1]["credential"]

    assert got.status == 201
    assert set(told) == {"access", "secret", "securitytoken", "expires_at"}
    assert told["expires_at"] == "2026-11-24T13:00:00.000000Z"
    assert [one.status for one in (whole, part, other)] == [200, 401, 401]
    assert "ak not exist" in part.told["error_msg"]
    assert name == "plugwave-agency@sim-account-2"


async def test_a_temporary_key_ends() -> None:
    """After what was asked for, or after the life of tokens if that is shorter."""
    async with asking(SIGNED) as client:
        long = (await signed(client, "POST", KEYS, agency(client))).told["credential"]
        client.cloud.change(token_life_s=60.0)
        short = (await signed(client, "POST", KEYS, agency(client))).told["credential"]
        client.clock.advance(60)
        seen = [await with_key(client, told) for told in (long, short)]
        client.clock.advance(840)
        ended = await with_key(client, long)

    assert [got.status for got in seen] == [200, 401]
    assert "token expires, expires_at: " in seen[1].told["error_msg"]
    assert ended.status == 401


@pytest.mark.parametrize(
    ("more", "status"),
    [
        ({"duration_seconds": 899}, 400),
        ({"duration_seconds": 86_401}, 400),
        ({"duration_seconds": "900"}, 400),
        ({"duration_seconds": True}, 400),
        ({"agency_name": "nobody"}, 404),
        ({"domain_name": "elsewhere"}, 404),
        ({"domain_name": None, "domain_id": None}, 404),
    ],
    ids=str,
)
async def test_a_key_that_nobody_gives_is_refused(more: dict[str, Any], status: int) -> None:
    """A life outside of 15 minutes to 24 hours, another agency, another account."""
    async with asking(SIGNED) as client:
        got = await signed(client, "POST", KEYS, agency(client, **more))

    assert got.status == status
    assert got.told["error"]["code"] == status


async def test_an_agency_is_not_for_strangers() -> None:
    """Whoever takes it on must be somebody first."""
    async with asking(SIGNED) as client:
        got = await client.ask("POST", KEYS, agency(client))

    assert (got.status, got.error_code) == (401, "APIG.0301")


async def test_a_token_can_be_changed_for_a_key() -> None:
    """The token stands in the body, or in the header."""
    async with asking(SIGNED) as client:
        token = (await token_of(client)).headers["X-Subject-Token"]
        by_body = await asked(
            client, KEYS, {"identity": {"methods": ["token"], "token": {"id": token}}}
        )
        by_head = await asked(
            client, KEYS, {"identity": {"methods": ["token"]}}, {"X-Auth-Token": token}
        )
        made_up = await asked(
            client, KEYS, {"identity": {"methods": ["token"], "token": {"id": "no"}}}
        )
        seen = [await with_key(client, got.told["credential"]) for got in (by_body, by_head)]

    assert [got.status for got in (by_body, by_head, made_up)] == [201, 201, 401]
    assert [got.status for got in seen] == [200, 200]
    assert client.journal[-1]["credential"] == "sim-user-1"


@pytest.mark.parametrize(
    ("metadata", "bare", "opened"),
    [("open", 200, 200), ("hardened", 401, 200), ("no-agency", 401, 401), ("off", 404, 404)],
)
async def test_metadata_hands_out_the_machines_key(
    metadata: Metadata, bare: int, opened: int
) -> None:
    """Openly, for a token of its own, or not at all."""
    async with asking(replace(SIGNED, metadata=metadata)) as client:
        without = await client.get(METADATA)
        ttl = {"X-Metadata-Token-Ttl-Seconds": "21600"}
        token = await client.ask("PUT", "/meta-data/latest/api/token", headers=ttl)
        head = {"X-Metadata-Token": token.body.decode()}
        with_token = await client.ask("GET", METADATA, headers=head)

    assert (without.status, with_token.status) == (bare, opened)
    assert token.status == (404 if metadata == "off" else 200)
    if metadata == "no-agency":
        assert without.body == b"Please configure Cloud Service Agency first"


async def test_a_metadata_token_ends() -> None:
    """After the seconds that were asked for, which may be up to six hours."""
    path = "/meta-data/latest/api/token"
    async with asking(replace(SIGNED, metadata="hardened")) as client:

        async def token(ttl: str) -> Got:
            return await client.ask("PUT", path, headers={"X-Metadata-Token-Ttl-Seconds": ttl})

        wrong = [(await token(ttl)).status for ttl in ("", "0", "21601", "x", "-1")]
        head = {"X-Metadata-Token": (await token("60")).body.decode()}
        client.clock.advance(59)
        good = await client.ask("GET", METADATA, headers=head)
        client.clock.advance(1)
        late = await client.ask("GET", METADATA, headers=head)

    assert wrong == [400] * 5
    assert (good.status, late.status) == (200, 401)


async def test_a_machine_is_told_the_same_key_until_its_last_half() -> None:
    """Whoever asks again in time gets a fresh one long before the old one ends."""
    async with asking(replace(SIGNED, token_life_s=100.0)) as client:
        first = (await client.get(METADATA)).told["credential"]
        client.clock.advance(50)
        same = (await client.get(METADATA)).told["credential"]
        client.clock.advance(1)
        fresh = (await client.get(METADATA)).told["credential"]
        seen = [(await with_key(client, told)).status for told in (first, fresh)]

    assert first == same
    assert first["access"] != fresh["access"]
    assert re.fullmatch(SIX_DECIMALS, fresh["expires_at"])
    assert seen == [200, 200]


async def test_a_pod_is_told_its_key_for_its_token_alone() -> None:
    """Other names for the same parts, as pods are told them."""
    async with asking(SIGNED) as client:
        token = client.cloud.identity.directory.pod_token
        wrong = await client.ask("POST", "/v1/credentials", b"{}", {"Authorization": "x"})
        right = await client.ask("POST", "/v1/credentials", b"{}", {"Authorization": token})
        told = right.told["credentials"]
        key = {
            "access": told["accessKeyId"],
            "secret": told["secretAccessKey"],
            "securitytoken": told["securityToken"],
        }
        used = await with_key(client, key)

    assert (wrong.status, right.status, used.status) == (401, 200, 200)
    assert re.fullmatch(SIX_DECIMALS, told["expiration"])


async def test_an_id_token_of_the_known_provider_signs_in() -> None:
    """Another provider's does not."""
    path = "/v3.0/OS-AUTH/id-token/tokens"
    async with asking(SIGNED) as client:
        directory = client.cloud.identity.directory
        auth = {"id_token": {"id": directory.id_token}}
        right = await asked(client, path, auth, {"X-Idp-Id": directory.provider})
        other = await asked(client, path, auth, {"X-Idp-Id": "other"})
        wrong = await asked(
            client, path, {"id_token": {"id": "x"}}, {"X-Idp-Id": directory.provider}
        )

    assert [got.status for got in (right, other, wrong)] == [201, 401, 401]
    assert right.told["token"]["methods"] == ["mapped"]


async def test_these_calls_are_neither_throttled_nor_faulted_with_the_others() -> None:
    """They belong to another service; it fails at a rate of its own."""
    async with asking(replace(SIGNED, limit=1, read_faults=1.0)) as client:
        seen = [(await token_of(client)).status for _ in range(3)]
        client.cloud.change(iam_faults=1.0)
        failed = await token_of(client)

    assert seen == [201, 201, 201]
    assert (failed.status, failed.error_code) == (503, "APIG.0613")


async def test_no_secret_gets_into_the_journal() -> None:
    """Passwords, tokens and keys are in bodies and headers, and those are not written down."""
    async with asking(SIGNED) as client:
        token = (await token_of(client)).headers["X-Subject-Token"]
        key = (await signed(client, "POST", KEYS, agency(client))).told["credential"]
        await with_key(client, key)
        await client.get(METADATA)
        directory = client.cloud.identity.directory
    written = orjson.dumps(client.journal).decode()
    secrets = [token, key["secret"], key["securitytoken"], directory.keys[0].secret]

    assert len(client.journal) == 4
    assert [one for one in (*secrets, directory.users[0].password) if one in written] == []


def test_who_is_given_a_pass_is_remembered_and_the_oldest_forgotten() -> None:
    """A client that signs in for every request does not fill the memory."""
    passes = Passes(0)
    bearer = Bearer(principal="x", account=Account(id="i", name="n"))
    texts = [passes.issue_token(bearer, 0, 60.0).text for _ in range(MOST + 1)]

    assert passes.token(texts[0]) is None
    assert passes.token(texts[1]) is not None
    assert len(set(texts)) == MOST + 1


@pytest.mark.parametrize(
    ("instant_us", "text"),
    [
        (0, "1970-01-01T00:00:00.000000Z"),
        (1_550_040_733_855_000, "2019-02-13T06:52:13.855000Z"),
        (1_550_040_733_000_001, "2019-02-13T06:52:13.000001Z"),
    ],
)
def test_an_instant_has_six_decimals(instant_us: int, text: str) -> None:
    """Also when the last of them are zero."""
    assert in_microseconds(instant_us) == text
