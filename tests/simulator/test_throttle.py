"""The limit: strict, for each credential, and said in the text of the refusal."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from tests.simulator.asking import QUICK, Client, asking
from worker.simulator.throttle import LimitKind, Permitted, Throttle

MESSAGE = (
    "The throttling threshold has been reached: policy user over ratelimit,limit:3,time:1 second"
)


async def _statuses(client: Client, count: int, **headers: str) -> list[int]:
    path = client.plugins_path()
    return [(await client.ask("GET", path, headers=headers)).status for _ in range(count)]


async def test_one_over_the_limit_is_refused_with_the_limit_in_the_text() -> None:
    """429, APIG.0308, the documented sentence, and a request id."""
    async with asking(replace(QUICK, limit=3)) as client:
        statuses = await _statuses(client, 3)
        got = await client.get(client.plugins_path())

    assert statuses == [200, 200, 200]
    assert got.status == 429
    assert got.told == {
        "error_code": "APIG.0308",
        "error_msg": MESSAGE,
        "request_id": got.headers["X-Request-Id"],
    }
    assert "Retry-After" not in got.headers


async def test_the_window_slides() -> None:
    """The second that counts is the last one, wherever it began; there is no fresh start."""
    async with asking(replace(QUICK, limit=2)) as client:
        seen = await _statuses(client, 1)
        client.clock.advance(0.9)
        seen += await _statuses(client, 1)
        client.clock.advance(0.1)
        seen += await _statuses(client, 2)
        client.clock.advance(0.9)
        seen += await _statuses(client, 2)

    assert seen == [200, 200, 200, 429, 200, 429]


async def test_a_refused_request_does_not_count() -> None:
    """Hammering does not keep the door shut."""
    async with asking(replace(QUICK, limit=2)) as client:
        await _statuses(client, 2)
        client.clock.advance(0.5)
        refused = await _statuses(client, 5)
        client.clock.advance(0.5)
        after = await _statuses(client, 2)

    assert set(refused) == {429}
    assert after == [200, 200]


async def test_a_refused_write_has_no_effect() -> None:
    """Throttled is certain: nothing was done."""
    async with asking(replace(QUICK, limit=1)) as client:
        await _statuses(client, 1)
        got = await client.create()

    assert got.status == 429
    assert client.cloud.installed(client.project, client.pool) == {}


async def test_every_credential_has_a_limit_of_its_own() -> None:
    """Tokens, access keys and nobody are told apart."""
    keyed = "SDK-HMAC-SHA256 Access=AKAKAK, SignedHeaders=x-sdk-date, Signature=00"
    async with asking(replace(QUICK, limit=1)) as client:
        seen = [
            await _statuses(client, 2, **{"X-Auth-Token": "one"}),
            await _statuses(client, 2, **{"X-Auth-Token": "two"}),
            await _statuses(client, 2, Authorization=keyed),
            await _statuses(client, 2),
        ]

    assert seen == [[200, 429]] * 4


async def test_retry_after_is_told_on_demand() -> None:
    """One second, the length of the window."""
    async with asking(replace(QUICK, limit=1, retry_after=True)) as client:
        await _statuses(client, 1)
        got = await client.get(client.plugins_path())

    assert got.headers["Retry-After"] == "1"


async def test_the_daily_quota_has_the_same_code_and_another_text() -> None:
    """It ends with the day (UTC), not with the second."""
    async with asking(replace(QUICK, daily_quota=2)) as client:
        await _statuses(client, 2)
        client.clock.advance(hours=1)
        spent = await client.get(client.plugins_path())
        client.clock.advance(hours=11)
        fresh = await _statuses(client, 1)

    assert (spent.status, spent.error_code) == (429, "APIG.0308")
    assert spent.told["error_msg"] == "Daily quota exhausted"
    assert fresh == [200]


async def test_the_limit_can_change_while_it_runs() -> None:
    """A limit that moves is what a learning client has to cope with."""
    async with asking(replace(QUICK, limit=1)) as client:
        before = await _statuses(client, 2)
        client.cloud.change(limit=3)
        after = await _statuses(client, 3)
        client.cloud.change(limit=None)
        without = await _statuses(client, 5)

    assert before == [200, 429]
    assert after == [200, 200, 429]
    assert set(without) == {200}


@pytest.mark.parametrize("gap_us", [1, 99_999, 250_001, 333_333])
def test_no_second_holds_more_than_the_limit(gap_us: int) -> None:
    """Whatever the pace of asking, every window of one second keeps the limit."""
    throttle = Throttle()
    passed = [
        at
        for at in range(0, 3_000_000, max(gap_us, 997))
        if throttle.refusal("me", at, permitted=Permitted(limit=5), daily_quota=None) is None
    ]

    assert len(passed) >= 9
    for first, sixth in zip(passed, passed[5:], strict=False):
        assert sixth - first >= 1_000_000


def passed(permitted: Permitted, times_ms: Sequence[int]) -> list[int]:
    """Return which of the requests at these milliseconds are let through."""
    throttle = Throttle()
    return [
        at
        for at in times_ms
        if throttle.refusal("me", at * 1000, permitted=permitted, daily_quota=None) is None
    ]


@pytest.mark.parametrize(
    ("kind", "let_through"),
    [
        pytest.param("sliding", [500, 501, 502, 1500, 1501], id="sliding"),
        pytest.param("fixed", [500, 501, 502, 1000, 1001, 1500], id="fixed"),
        pytest.param("bucket", [500, 501, 502, 1000, 1500, 1501], id="bucket"),
    ],
)
def test_each_kind_of_limit_counts_in_its_own_way(kind: LimitKind, let_through: list[int]) -> None:
    """Three in a second: of a sliding one, of each full one, or of tokens that come evenly."""
    times = [500, 501, 502, 503, 1000, 1001, 1500, 1501]

    assert passed(Permitted(limit=3, kind=kind), times) == let_through


def test_a_limit_may_be_counted_for_each_project() -> None:
    """Two projects of one user have one each; two users of one project share it."""
    throttle, permitted = Throttle(), Permitted(limit=1, scope="project")

    def ask(who: str, project: str) -> bool:
        over = throttle.refusal(who, 0, permitted=permitted, daily_quota=None, project=project)
        return over is None

    assert [ask("a", "p"), ask("a", "q"), ask("b", "p")] == [True, True, False]


@pytest.mark.parametrize(
    ("permitted", "text"),
    [
        (Permitted(limit=1, window_s=60.0), ": policy user over ratelimit,limit:1,time:1 minute"),
        (Permitted(limit=1, window_s=10.0), ": policy user over ratelimit,limit:1,time:10 second"),
        (Permitted(limit=1, named=False), ""),
    ],
    ids=["a-minute", "ten-seconds", "unnamed"],
)
def test_a_refusal_names_the_limit_unless_it_is_told_not_to(
    permitted: Permitted, text: str
) -> None:
    """As the cloud's gateway writes it, or without anything to learn from."""
    throttle = Throttle()
    over = [throttle.refusal("me", 0, permitted=permitted, daily_quota=None) for _ in range(2)][1]

    assert over is not None
    assert over.message == f"The throttling threshold has been reached{text}"


async def test_a_limit_can_change_while_it_runs() -> None:
    """What was let through before still counts under the new one."""
    async with asking(replace(QUICK, limit=5)) as client:
        seen = await _statuses(client, 4)
        client.cloud.change(limit=2)
        seen += await _statuses(client, 1)
        client.clock.advance(1.0)
        seen += await _statuses(client, 3)

    assert seen == [200, 200, 200, 200, 429, 200, 200, 429]
