"""Asking for a credential: in turn, over https, to nobody else, and never twice unasked."""

from collections.abc import Mapping

import pytest
from yarl import URL

from jobs.errors import ConfigError
from jobs.outcomes import Outcome
from jobs.pacing import Limit
from tests import planted
from tests.credentials.surroundings import wired
from tests.modelarts.scripted import Cloud, Reply, Then, cloud, http, known
from worker.credentials.fetching import Request, checked_url, is_local, may_carry_secrets
from worker.modelarts.auth import NoCredentialError
from worker.modelarts.faults import GateClosed
from worker.modelarts.transport import TransportSettings

PASSWORD = planted.credential("Password-4711-")


def asking(at: Cloud | str, headers: Mapping[str, str] | None = None) -> Request:
    """Return a request that carries a secret."""
    origin = at if isinstance(at, str) else at.endpoint
    return Request(
        who="ak-AKSDSDK1",
        what="token from IAM",
        method="POST",
        url=URL(f"{origin}/v3/auth/tokens?nocatalog=true", encoded=True),
        headers=headers or {},
        body=f'{{"password":"{PASSWORD}"}}'.encode(),
        secrets=(PASSWORD,),
    )


async def refusal(at: Cloud | str) -> NoCredentialError:
    """Return why there is no credential."""
    async with wired() as (fetcher, _):
        with pytest.raises(NoCredentialError) as caught:
            await fetcher.fetch(asking(at))
    return caught.value


async def test_a_fetch_takes_a_turn_and_is_counted() -> None:
    """Every wire request counts, those for tokens too."""
    async with cloud(http(201, {"a": 1})) as served, wired() as (fetcher, doorman):
        answer = await fetcher.fetch(asking(served, {"X-Extra": "1"}))

    assert answer.status == 201
    assert doorman.turns == [("ak-AKSDSDK1", served.endpoint)]
    assert doorman.sent == 1
    head = served.requests[0].lower()
    assert b"content-type: application/json;charset=utf8" in head
    assert b"x-extra: 1" in head


async def test_a_late_turn_is_followed_by_another() -> None:
    """A turn is used on time or not at all."""
    async with cloud(http(201, {})) as served, wired() as (fetcher, doorman):
        doorman.late = [GateClosed("late"), GateClosed("late")]
        await fetcher.fetch(asking(served))

    assert (len(doorman.turns), doorman.sent, len(served.requests)) == (3, 1, 1)


async def test_a_redirect_is_not_followed() -> None:
    """A password does not go where an answer points."""
    async with cloud(http(200, {})) as elsewhere:
        location = {"Location": f"{elsewhere.endpoint}/v3/auth/tokens"}
        async with cloud(http(302, b"", location)) as served:
            error = await refusal(served)

    assert elsewhere.requests == []
    assert error.answer.outcome is Outcome.CONNECT_TIMEOUT


@pytest.mark.parametrize(
    "url",
    [
        "http://iam.example.com",
        "http://169.254.169.253",
        "http://10.0.0.1",
        "http://127.0.0.1.example.com",
        "ftp://127.0.0.1",
        "http://user@127.0.0.1",
        "https://user:password@iam.example.com",
    ],
)
async def test_a_secret_goes_nowhere_over_plain_http(url: str) -> None:
    """Plain http is for this machine and its metadata service alone."""
    error = await refusal(url)

    assert error.answer.outcome is Outcome.UNAUTHENTICATED
    assert error.answer.sent is False
    assert not may_carry_secrets(URL(url))


@pytest.mark.parametrize(
    ("url", "local"),
    [
        ("https://iam.myhuaweicloud.com", False),
        ("http://127.0.0.1:80", True),
        ("http://localhost", True),
        ("http://[::1]:8080", True),
        ("http://169.254.169.254", True),
    ],
)
def test_where_a_secret_may_go(url: str, local: bool) -> None:  # noqa: FBT001 - a table's column
    """What is local is also never asked through a proxy."""
    assert may_carry_secrets(URL(url))
    assert is_local(URL(url)) is local


async def test_this_machine_is_never_asked_through_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy variable does not lead the key of this machine to the proxy."""
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    async with cloud(http(200, {})) as proxy, cloud(http(201, {})) as served:
        monkeypatch.setenv("HTTP_PROXY", proxy.endpoint)
        async with wired(wire=TransportSettings(trust_env=True)) as (fetcher, _):
            answer = await fetcher.fetch(asking(served))

    assert (answer.status, proxy.requests) == (201, [])


@pytest.mark.parametrize(
    ("reply", "outcome", "status"),
    [
        (
            http(401, {"error": {"code": 401, "message": "wrong", "title": "Unauthorized"}}),
            Outcome.UNAUTHENTICATED,
            401,
        ),
        (known(401, "APIGW.0301", "verify aksk signature fail"), Outcome.UNAUTHENTICATED, 401),
        (known(403, "APIGW.0302"), Outcome.UNAUTHENTICATED, 403),
        (http(404, b"nothing here"), Outcome.UNAUTHENTICATED, 404),
        (
            http(400, {"error": {"code": 400, "message": "m", "title": "Bad"}}),
            Outcome.UNAUTHENTICATED,
            400,
        ),
        (http(500, b"oops"), Outcome.CONNECT_TIMEOUT, None),
        (http(503, b"oops"), Outcome.CONNECT_TIMEOUT, None),
        (known(429, "APIGW.0308", "limit:5,time:1 minute"), Outcome.CONNECT_TIMEOUT, None),
        (Reply(then=Then.RESET), Outcome.CONNECT_TIMEOUT, None),
        (http(204), Outcome.CONNECT_TIMEOUT, None),
    ],
)
async def test_what_a_failure_means_for_the_request_that_needed_it(
    reply: Reply, outcome: Outcome, status: int | None
) -> None:
    """A refusal is the credential's trouble; everything else passes, and nothing was sent."""
    async with cloud(reply) as served:
        error = await refusal(served)

    answer = error.answer
    assert (answer.outcome, answer.http_status) == (outcome, status)
    # A refusal must reach the credential's guard, which learns from what was sent.
    assert answer.sent is (outcome is Outcome.UNAUTHENTICATED)
    assert answer.message.startswith("no token from IAM; ")


async def test_nobody_there_is_told_as_it_is() -> None:
    """A refused connection stays one: the endpoint is in trouble, not the credential."""
    async with cloud() as served:
        port = served.port
    error = await refusal(f"http://127.0.0.1:{port}")

    assert error.answer.outcome is Outcome.CONNECT_REFUSED
    assert error.answer.sent is False


async def test_a_429_teaches_the_limiter() -> None:
    """IAM's limit is learned like any other."""
    reply = known(429, "APIGW.0308", "policy user over ratelimit,limit:5,time:1 minute")
    async with cloud(reply) as served, wired() as (fetcher, doorman):
        with pytest.raises(NoCredentialError):
            await fetcher.fetch(asking(served))

    assert [one.limit for one in doorman.taught] == [Limit(count=5, window_s=60.0)]


async def test_a_refusal_does_not_repeat_the_secret() -> None:
    """An answer that echoes the password is shown without it."""
    told = {"code": 401, "message": f"bad password {PASSWORD}", "title": "Unauthorized"}
    async with cloud(http(401, {"error": told})) as served:
        error = await refusal(served)

    shown = repr(error) + str(error) + repr(error.answer) + repr(asking(served))
    assert PASSWORD not in shown
    assert "bad password ***" in error.answer.message


@pytest.mark.parametrize(
    "text",
    [
        "",
        "iam.example.com",
        "http://iam.example.com",
        "https://u:planted@iam.example.com",
        "https://iam.example.com/#planted",
        "https://iam exa.mple",
        "https://x:99999",
        "http://[planted",
        "file:///etc/planted",
    ],
)
def test_an_address_that_may_not_be_asked_is_refused_unseen(text: str) -> None:
    """It may hold a password, so the message names only where it was set."""
    with pytest.raises(ConfigError) as caught:
        checked_url(text, "HW_AUTH_URL")

    assert "HW_AUTH_URL" in str(caught.value)
    assert "planted" not in str(caught.value.as_dict())
