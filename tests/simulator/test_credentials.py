"""Who may ask: anybody, the holders of a token, or whom a checker of your own lets in."""

from collections.abc import Mapping
from dataclasses import replace

from tests.simulator.asking import QUICK, asking
from worker.simulator import Rejected, StaticToken


class OnlySigned:
    """An authenticator as a user would write it: it notes what it was shown."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str, str | None, bytes]] = []

    def check(
        self, method: str, raw_path: str, headers: Mapping[str, str], body: bytes
    ) -> str | Rejected:
        self.seen.append((method, raw_path, headers.get("AUTHORIZATION"), body))
        if "Authorization" in headers:
            return "somebody"
        return Rejected(status=401, code="APIG.0303", message="not signed")


async def test_without_an_authenticator_everybody_may_ask() -> None:
    """A token is not checked, only told apart."""
    async with asking(QUICK) as client:
        got = await client.ask("GET", client.plugins_path(), headers={"X-Auth-Token": "made up"})

    assert got.status == 200


async def test_a_known_token_may_ask() -> None:
    """Any of the given tokens will do."""
    async with asking(QUICK, authenticator=StaticToken(["one", "two"])) as client:
        got = await client.create(headers={"X-Auth-Token": "two"})

    assert got.status == 200


async def test_a_wrong_token_is_refused_without_effect() -> None:
    """401 APIG.0301, "decrypt token fail", and nothing is installed."""
    async with asking(QUICK, authenticator=StaticToken(["one"])) as client:
        got = await client.create(headers={"X-Auth-Token": "tokén"})

    assert (got.status, got.error_code) == (401, "APIG.0301")
    assert "decrypt token fail" in got.told["error_msg"]
    assert got.told["request_id"] == got.headers["X-Request-Id"]
    assert client.cloud.installed(client.project, client.pool) == {}
    assert client.journal[-1]["credential"] is None


async def test_a_missing_token_is_refused_with_another_text() -> None:
    """The code is the same; only the text tells the two apart."""
    async with asking(QUICK, authenticator=StaticToken(["one"])) as client:
        got = await client.create()

    assert (got.status, got.error_code) == (401, "APIG.0301")
    assert "x-auth-token not found" in got.told["error_msg"]


async def test_a_refused_credential_does_not_use_up_the_limit() -> None:
    """The throttle counts whom it knows."""
    options = replace(QUICK, limit=1)
    async with asking(options, authenticator=StaticToken(["one"])) as client:
        await client.create(headers={"X-Auth-Token": "wrong"})
        got = await client.create(headers={"X-Auth-Token": "one"})

    assert got.status == 200


async def test_an_authenticator_sees_the_request_as_it_was_sent() -> None:
    """Method, path and query byte for byte, headers in any spelling, the body unparsed."""
    checker = OnlySigned()
    async with asking(QUICK, authenticator=checker) as client:
        path = client.plugins_path() + "?b=%7E&a=%20+"
        head = {"authorization": "SDK-HMAC-SHA256 x"}
        await client.ask("POST", path, b'{ "a" :1}', head)
        refused = await client.get(path)

    assert checker.seen[0] == ("POST", path, "SDK-HMAC-SHA256 x", b'{ "a" :1}')
    assert (refused.status, refused.error_code) == (401, "APIG.0303")
    assert client.journal[0]["credential"] == "somebody"
