"""Who gets in: by signature or by token, as the options say, and what the gateway says else."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, Final

import anyio
import orjson
import pytest

from tests.simulator.asking import QUICK, Client, Got, asking
from tests.simulator.signing import Signer, signer
from worker.simulator import SimulatorOptions
from worker.simulator.options import Auth

SIGNED: Final = replace(QUICK, auth="aksk")
TOKENS: Final = replace(QUICK, auth="token")
IAM: Final = "Incorrect IAM authentication information: "


class Asker:
    """A client of the simulator with a key or a token."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.signer = signer(client.cloud, client.clock)
        self.path = client.plugins_path()

    async def signed(self, by: Signer | None = None, path: str | None = None, **more: Any) -> Got:
        """Make a signed GET."""
        path = path or self.path
        headers = (by or self.signer).headers("GET", path, **more)
        return await self.client.ask("GET", path, headers=headers)

    def signed_head(self) -> dict[str, str]:
        """Return the headers of a right GET."""
        return self.signer.headers("GET", self.path)

    async def token(self, scope: Mapping[str, Any] | None = None, number: int = 0) -> str:
        """Get a token for a user, scoped to the region's project unless said otherwise."""
        user = self.client.cloud.identity.directory.users[number]
        about = {
            "name": user.name,
            "password": user.password,
            "domain": {"name": user.account.name},
        }
        identity = {"methods": ["password"], "password": {"user": about}}
        if scope is None:
            scope = {"project": {"name": "cn-north-4"}}
        body = {"auth": {"identity": identity, "scope": scope}}
        got = await self.client.ask("POST", "/v3/auth/tokens", orjson.dumps(body))
        assert got.status == 201
        return got.headers["X-Subject-Token"]

    async def shown(self, token: str, path: str | None = None) -> Got:
        """Make a GET with a token."""
        return await self.client.ask("GET", path or self.path, headers={"X-Auth-Token": token})


@asynccontextmanager
async def gated(options: SimulatorOptions) -> AsyncIterator[Asker]:
    """Yield an asker of a simulator with a gate."""
    async with asking(options) as client:
        yield Asker(client)


@pytest.mark.parametrize(
    ("auth", "nothing", "key", "token"),
    [
        ("none", 200, 200, 200),
        ("aksk", 401, 200, 401),
        ("token", 401, 401, 200),
        ("any", 401, 200, 200),
    ],
)
async def test_the_option_says_what_opens(auth: Auth, nothing: int, key: int, token: int) -> None:
    """Nothing, a key, a token: each is enough, or not."""
    async with gated(replace(QUICK, auth=auth)) as asker:
        bare = await asker.client.get(asker.path)
        signed = await asker.signed()
        shown = await asker.shown(await asker.token())

    assert [got.status for got in (bare, signed, shown)] == [nothing, key, token]
    if nothing == 401:
        assert bare.told["error_code"] == "APIG.0301"
        assert bare.told["error_msg"] == f"{IAM}x-auth-token not found"
        assert bare.told["request_id"] == bare.headers["X-Request-Id"]


async def test_it_can_be_switched_while_it_runs() -> None:
    """By the admin page, as every other option."""
    async with gated(QUICK) as asker:
        before = await asker.client.get(asker.path)
        await asker.client.ask("POST", "/_sim/options", b'{"auth": "aksk"}')
        after = await asker.client.get(asker.path)

    assert (before.status, after.status) == (200, 401)


async def test_project_and_security_token_may_follow_unsigned() -> None:
    """One client signs first and adds them then."""
    async with gated(SIGNED) as asker:
        got = await asker.signed(unsigned={"X-Project-Id": asker.client.project})

    assert got.status == 200


async def test_a_wrong_signature_tells_what_the_gateway_has_computed() -> None:
    """The canonical request, bars for line ends; never the secret."""
    async with gated(SIGNED) as asker:
        wrong = Signer(asker.signer.access, "no", asker.client.clock)
        got = await asker.signed(wrong)

    message = got.told["error_msg"]
    assert (got.status, got.error_code) == (401, "APIG.0301")
    assert message.startswith(
        f"{IAM}verify aksk signature fail, canonicalRequest:GET|{asker.path}/|"
    )
    assert asker.signer.secret not in message


async def test_five_wrong_signatures_do_not_lock_a_key() -> None:
    """More than five in a row do; a right one in between starts the count afresh."""
    async with gated(SIGNED) as asker:
        wrong = Signer(asker.signer.access, "no", asker.client.clock)
        for _ in range(2):
            assert [(await asker.signed(wrong)).status for _ in range(5)] == [401] * 5
            assert (await asker.signed()).status == 200

    assert asker.client.cloud.identity.bad_signatures == 10


async def test_a_locked_key_is_locked_for_everybody_for_five_minutes() -> None:
    """Another key of the same account goes on; after 300 s the first one does too."""
    async with gated(SIGNED) as asker:
        wrong = Signer(asker.signer.access, "no", asker.client.clock)
        for _ in range(6):
            await asker.signed(wrong)
        locked = await asker.signed()
        other = await asker.signed(signer(asker.client.cloud, asker.client.clock, 1))
        asker.client.clock.advance(299)
        still = await asker.signed()
        asker.client.clock.advance(1)
        free = await asker.signed()

    assert locked.told["error_msg"] == f"{IAM}AK access failed to reach the limit,forbidden"
    assert [got.status for got in (locked, other, still, free)] == [401, 200, 401, 200]
    assert asker.client.cloud.identity.bad_signatures == 6


async def test_the_admin_page_tells_and_unlocks() -> None:
    """Who is locked for how long, and a way out for a test that cannot wait."""
    async with gated(replace(SIGNED, lock_s=60.0)) as asker:
        wrong = Signer(asker.signer.access, "no", asker.client.clock)
        for _ in range(6):
            await asker.signed(wrong)
        before = (await asker.client.get("/_sim/credentials")).told["keys"]
        after = await asker.client.ask("POST", "/_sim/credentials", b'{"unlock": true}')
        free = await asker.signed()

    states = [(key["wrong_signatures"], key["locked_s"]) for key in before]
    assert states == [(6, 60.0), (0, 0.0)]
    assert before[0]["secret"] == asker.signer.secret
    assert after.told["keys"][0]["locked_s"] == 0.0
    assert free.status == 200


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b'{"unlok": true}', b'{"unlock": 1}', b'{"unlock": false}']
)
async def test_an_action_nobody_knows_is_refused(body: bytes) -> None:
    """400 says what can be done."""
    async with gated(SIGNED) as asker:
        got = await asker.client.ask("POST", "/_sim/credentials", body)

    assert got.status == 400


async def test_a_refused_request_has_no_effect_and_is_nobodys() -> None:
    """The journal has it with the status and without a credential."""
    async with gated(SIGNED) as asker:
        got = await asker.client.create()

    assert got.status == 401
    assert asker.client.cloud.installed(asker.client.project, asker.client.pool) == {}
    line = asker.client.journal[-1]
    assert (line["status"], line["credential"], line["applied"]) == (401, None, False)


async def test_requests_are_limited_for_each_user() -> None:
    """Two keys of one user share the limit, a token of the same user too; another has its own."""
    options = replace(QUICK, auth="any", users=2, key_pairs=3, limit=2)
    async with gated(options) as asker:
        cloud, clock = asker.client.cloud, asker.client.clock
        token = await asker.token()
        first = await asker.signed()
        second = await asker.signed(signer(cloud, clock, 2))
        third = await asker.shown(token)
        other = await asker.signed(signer(cloud, clock, 1))
        names = [line["credential"] for line in asker.client.journal]

    assert [got.status for got in (first, second, third, other)] == [200, 200, 429, 200]
    assert names == ["sim-user-1", "sim-user-1", "sim-user-1", "sim-user-1", "sim-user-2"]


async def test_a_token_counts_until_it_expires() -> None:
    """Then the gateway names the end, with six decimals."""
    async with gated(replace(TOKENS, token_life_s=600.0)) as asker:
        token = await asker.token()
        asker.client.clock.advance(599)
        good = await asker.shown(token)
        asker.client.clock.advance(1)
        late = await asker.shown(token)

    assert good.status == 200
    assert (late.status, late.error_code) == (401, "APIG.0301")
    assert late.told["error_msg"] == f"{IAM}token expires, expires_at: 2026-11-24T12:10:00.000000Z"


async def test_a_token_nobody_was_given_is_not_read() -> None:
    """Made up, or revoked."""
    async with gated(TOKENS) as asker:
        made_up = await asker.shown("MIIF")
        token = await asker.token()
        await asker.client.ask("POST", "/_sim/credentials", b'{"revoke": true}')
        revoked = await asker.shown(token)

    for got in (made_up, revoked):
        assert (got.status, got.error_code) == (401, "APIG.0301")
        assert got.told["error_msg"] == f"{IAM}decrypt token fail"


async def test_a_new_token_does_not_end_the_old_one() -> None:
    """Both count until their own end."""
    async with gated(TOKENS) as asker:
        old, new = await asker.token(), await asker.token()
        seen = [(await asker.shown(token)).status for token in (old, new)]

    assert old != new
    assert seen == [200, 200]


async def test_a_token_is_for_one_project() -> None:
    """403 ModelArts.0210 for another one of the same account; ModelArts tells no request id."""
    async with gated(replace(TOKENS, projects=2)) as asker:
        token = await asker.token()
        other = asker.client.cloud.targets[-1][0]
        got = await asker.shown(token, f"/v2/{other}/pools")
        right = await asker.shown(
            await asker.token({"project": {"id": other}}), f"/v2/{other}/pools"
        )

    assert (got.status, got.error_code) == (403, "ModelArts.0210")
    assert "request_id" not in got.told
    assert right.status == 200


async def test_the_project_of_the_header_is_the_one_of_the_path() -> None:
    """A signature is for one project too, if it names one."""
    async with gated(replace(SIGNED, projects=2)) as asker:
        other = asker.client.cloud.targets[-1][0]
        got = await asker.signed(signed={"X-Project-Id": other})
        right = await asker.signed(signed={"X-Project-Id": asker.client.project})

    assert (got.status, got.error_code) == (403, "ModelArts.0210")
    assert right.status == 200


async def test_a_token_of_another_region_must_be_updated() -> None:
    """401 APIG.0307, as if it had expired."""
    async with gated(TOKENS) as asker:
        token = await asker.token({"project": {"name": "cn-east-3"}})
        got = await asker.shown(token)

    assert (got.status, got.error_code) == (401, "APIG.0307")


async def test_a_token_for_the_account_opens_no_project() -> None:
    """401 ModelArts.0207; without a scope a token is for the account as well."""
    async with gated(TOKENS) as asker:
        account = asker.client.cloud.identity.directory.accounts[0]
        tokens = [await asker.token({"domain": {"name": account.name}}), await asker.token({})]
        seen = [await asker.shown(token) for token in tokens]

    assert [(got.status, got.error_code) for got in seen] == [(401, "ModelArts.0207")] * 2


@pytest.mark.parametrize(
    "path", ["plugins", "plugins/volcano", "", "nodes", "../plugintemplates", "../pools"]
)
async def test_every_call_is_behind_the_gate(path: str) -> None:
    """Reads, writes and whatever is not published: nobody learns anything without a credential."""
    async with gated(replace(SIGNED, site="eu")) as asker:
        project = f"/v2/{asker.client.project}"
        full = f"{project}/{path[3:]}" if path.startswith("../") else f"{asker.path[:-7]}{path}"
        seen = [
            (await asker.client.ask(method, full.rstrip("/"))).status for method in ("GET", "POST")
        ]

    assert seen == [401, 401]


@pytest.mark.parametrize("header", ["Bearer x", "", "SDK-HMAC-SHA256 nonsense"])
async def test_a_signature_of_another_form_is_refused(header: str) -> None:
    """And does not count against anybody's key."""
    async with gated(SIGNED) as asker:
        got = await asker.client.ask("GET", asker.path, headers={"Authorization": header})

    assert (got.status, got.error_code) == (401, "APIG.0301")
    assert asker.client.cloud.identity.bad_signatures == 0


CLAIM: Final = b"SDK-HMAC-SHA256 Access=%s, SignedHeaders=%s, Signature=" + b"0" * 64


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Authorization", b"\xff\xfe"),
        ("Authorization", CLAIM % (b"\xff", b"x-sdk-date")),
        ("Authorization", CLAIM % (b"A", b"\xff")),
        ("Authorization", CLAIM % (b"A", b"host")),
        ("X-Auth-Token", b"\xff"),
        ("X-Sdk-Date", b"\xff"),
    ],
)
async def test_bytes_that_are_no_text_are_refused_and_not_a_crash(name: str, value: bytes) -> None:
    """A header may hold anything; the answer is 401 and can be read."""
    async with gated(replace(QUICK, auth="any")) as asker:
        headers = {key: text.encode() for key, text in asker.signed_head().items()}
        headers[name] = value
        head = b"".join(b"%s: %s\r\n" % (key.encode(), text) for key, text in headers.items())
        port = int(asker.client.cloud.url.rsplit(":", 1)[1])
        async with await anyio.connect_tcp("127.0.0.1", port) as stream:
            await stream.send(b"GET %s HTTP/1.1\r\nHost: \xff\r\n" % asker.path.encode())
            await stream.send(head + b"Connection: close\r\n\r\n")
            answer = b"".join([part async for part in stream])

    assert answer.startswith(b"HTTP/1.1 401 ")
    assert orjson.loads(answer.rpartition(b"\r\n\r\n")[2])["error_code"].startswith("APIG.030")
