"""Who may what: the whole matrix of routes and callers, made from the table of routes."""

from pathlib import Path
from typing import Any

import pytest

from tests.api.calling import OURS, THEIRS, Answered, Caller, a_house, a_job
from worker.api.calls import KeyRule, Route
from worker.api.gate import FAILURES
from worker.api.routes import ROUTES
from worker.api.terms import Scope
from worker.api.tokens import FRESH_S, digest_of

INCLUDES = {
    Scope.VIEWER: {Scope.VIEWER},
    Scope.SUBMIT: {Scope.SUBMIT},
    Scope.OPERATOR: {Scope.OPERATOR, Scope.VIEWER, Scope.SUBMIT},
    Scope.APPROVER: {Scope.APPROVER, Scope.VIEWER},
}
"""What a scope is good for, written down a second time."""


async def call(caller: Caller, route: Route, **parts: str) -> Answered:
    """Call a route as well as is needed to get past the question of rights."""
    names = {"job": "job-1", "code": "JOB-01", "rollout": "ro-1", "plan": "abcdef123456"}
    path = route.path.format(**{**names, **parts})
    target = f"{path}?timeout=0" if path.endswith(":wait") else path
    key = None if route.key is KeyRule.NONE else "some-key"
    body: Any = {} if route.body is not None else None
    media: dict[str, Any] = {"Content_Type": route.body.media[0]} if route.body is not None else {}
    return await caller(route.method, target, body, key=key, **media)


def good_for(route: Route, scope: Scope) -> bool:
    """Whether a token with this scope alone gets past the question of rights."""
    if route.needs.scope is None or route.needs.scope in INCLUDES[scope]:
        return True
    return route.needs.own and Scope.SUBMIT in INCLUDES[scope]


async def test_nobody_is_served_without_a_live_token(tmp_path: Path) -> None:
    """No token, a wrong one, one that is over and one that was revoked: 401, all the same."""
    async with a_house(tmp_path, login=True) as house:
        over = await house.token("over", *Scope, expires_us=house.clock.now_us() + 1)
        revoked = await house.token("revoked", *Scope)
        await house.store.access.revoke_token("revoked")
        house.clock.advance(seconds=FRESH_S)
        wrong = Caller(house.door, f"pwt_{'A' * 43}")
        found = {}
        for route in ROUTES:
            house.clock.advance(minutes=1)  # else the address would have to wait
            for name, caller in {"none": house.anybody, "wrong": wrong, "over": over,
                                 "revoked": revoked}.items():  # fmt: skip
                answer = await call(caller, route)
                assert answer.status != 401 or answer.headers["WWW-Authenticate"]
                found[route.name, name] = answer.status == 401

    assert found == {
        (route.name, name): route.needs.scope is not None
        for route in ROUTES
        for name in ("none", "wrong", "over", "revoked")
    }


async def test_each_scope_opens_what_it_is_for(tmp_path: Path) -> None:
    """A token opens the routes of its scopes and of those that they include, and no other."""
    async with a_house(tmp_path, login=True) as house:
        callers = {scope: await house.token(f"t-{scope}", scope) for scope in Scope}
        opened = {
            (route.name, scope): (await call(caller, route)).status != 403
            for route in ROUTES
            for scope, caller in callers.items()
        }

    assert opened == {
        (route.name, scope): good_for(route, scope) for route in ROUTES for scope in Scope
    }


async def test_a_token_of_some_projects_touches_no_others(tmp_path: Path) -> None:
    """Routes that touch all projects are closed to it; jobs of others do not exist for it."""
    async with a_house(tmp_path, login=True) as house:
        theirs = await house.token("theirs", *Scope)
        await theirs("POST", "/api/v1/jobs", a_job(project=THEIRS), key="k")
        ours = await house.token("ours", *Scope, projects=frozenset({OURS}))
        found = {route.name: await call(ours, route) for route in ROUTES}

    assert found["listJobs"].body["items"] == []
    for route in ROUTES:
        status = found[route.name].status
        if "{job}" in route.path:
            assert (status, found[route.name].body["code"]) == (404, "JOB-06"), route.name
        else:
            assert (status == 403) is route.needs.fleet, route.name


async def test_whoever_only_queues_sees_its_own_jobs_alone(tmp_path: Path) -> None:
    """A submit token finds the jobs that it has queued, and none of another."""
    of_jobs = [route for route in ROUTES if "{job}" in route.path]
    async with a_house(tmp_path, login=True) as house:
        other = await house.token("other", Scope.SUBMIT)
        me = await house.token("me", Scope.SUBMIT)
        foreign = (await other("POST", "/api/v1/jobs", a_job("a"), key="k")).body["job"]
        own = (await me("POST", "/api/v1/jobs", a_job("b"), key="k")).body["job"]
        listed = await me("GET", "/api/v1/jobs")
        found = {
            route.name: [(await call(me, route, job=job)).status for job in (foreign, own)]
            for route in of_jobs
        }

    # A retry of what has not ended is refused for that reason.
    expected = {route.name: [404, 200] for route in of_jobs} | {"retryJob": [404, 409]}
    assert found == expected
    assert [one["job"] for one in listed.body["items"]] == [own]


async def test_without_a_login_this_machine_may_do_everything(tmp_path: Path) -> None:
    """On loopback nothing is asked for, unless the call names a token: then that one counts."""
    async with a_house(tmp_path) as house:
        viewer = await house.token("viewer", Scope.VIEWER)
        free = await house.anybody("POST", "/api/v1/jobs", a_job(), key="k")
        bound = await viewer("POST", "/api/v1/jobs", a_job(), key="k2")

    assert (free.status, bound.status) == (202, 403)


@pytest.mark.parametrize("header", ["Forwarded", "X-Forwarded-For", "X-Real-IP", "Via"])
async def test_what_a_proxy_passed_on_is_not_of_this_machine(tmp_path: Path, header: str) -> None:
    """A proxy in front of a server without a login would make everybody its master: 401."""
    async with a_house(tmp_path) as house:
        passed_on: dict[str, Any] = {header: "x"}
        answer = await house.anybody("GET", "/api/v1/jobs", **passed_on)

    assert answer.status == 401


@pytest.mark.parametrize(
    ("header", "value"),
    [
        pytest.param("Host", "evil.example", id="rebinding"),
        pytest.param("Host", "", id="none"),
        pytest.param("Origin", "https://evil.example", id="origin"),
        pytest.param("Origin", "null", id="opaque"),
        pytest.param("Origin", "http://localhost@evil.example", id="user"),
        pytest.param("Sec_Fetch_Site", "cross-site", id="page"),
    ],
)
async def test_a_page_of_another_site_gets_nothing(tmp_path: Path, header: str, value: str) -> None:
    """DNS rebinding and cross-site calls are 403, before anything else is looked at."""
    async with a_house(tmp_path) as house:
        foreign: dict[str, Any] = {header: value}
        answer = await house.anybody("POST", "/api/v1/jobs", a_job(), key="k", **foreign)
        count = await house.store.open_jobs()

    assert (answer.status, answer.body["code"], count) == (403, "HTTP-17", 0)


async def test_a_named_host_is_this_server(tmp_path: Path) -> None:
    """Names of `server.hosts` are taken, with a port or without."""
    async with a_house(tmp_path, hosts="plugwave.example:8787") as house:
        hosts = ("plugwave.example", "PLUGWAVE.example:443", "127.0.0.1:8787", "other.example")
        found = [(await house.anybody("GET", "/api/v1/jobs", Host=host)).status for host in hosts]

    assert found == [200, 200, 200, 403]


async def test_a_token_queues_what_its_terms_say_and_no_more(tmp_path: Path) -> None:
    """Projects, plug-ins and regions of a token bind each job, also inside of a batch."""
    async with a_house(tmp_path, login=True) as house:
        terms = {"projects": frozenset({OURS}), "regions": frozenset({"cn-north-4"})}
        caller = await house.token("t", Scope.SUBMIT, **terms)
        jobs = [
            a_job("a", region="cn-north-4"),
            a_job("b", region="cn-east-3"),
            a_job("c", THEIRS, region="cn-north-4"),
        ]
        single = [
            (await caller("POST", "/api/v1/jobs", job, key=f"k{number}")).status
            for number, job in enumerate(jobs)
        ]
        batch = await caller("POST", "/api/v1/jobs:batch", {"jobs": jobs}, key="b")

    assert single == [202, 403, 403]
    verdicts = [item["verdict"] for item in batch.body["items"]]
    assert verdicts == ["duplicate", "invalid", "invalid"]


async def test_a_token_queues_as_many_as_its_terms_say(tmp_path: Path) -> None:
    """Beyond its jobs a minute a token hears 429, and when the next one may come."""
    async with a_house(tmp_path, login=True) as house:
        caller = await house.token("t", Scope.SUBMIT, per_minute=2)
        told = [await caller("POST", "/api/v1/jobs", a_job(), key=f"k{n}") for n in range(3)]
        house.clock.advance(seconds=30)
        later = await caller("POST", "/api/v1/jobs", a_job(), key="k3")

    assert [one.status for one in told] == [202, 202, 429]
    assert told[2].headers["Retry-After"] == "31"
    assert later.status == 202


async def test_tokens_cannot_be_guessed_for_long(tmp_path: Path) -> None:
    """After some wrong tokens an address must wait, with whatever token."""
    async with a_house(tmp_path, login=True) as house:
        right = await house.token("t", *Scope)
        wrong = Caller(house.door, f"pwt_{'B' * 43}")
        told = {(await wrong("GET", "/api/v1/jobs")).status for _ in range(FAILURES)}
        locked = await right("GET", "/api/v1/jobs")
        house.clock.advance(minutes=1)
        free = await right("GET", "/api/v1/jobs")

    assert (told, locked.status, free.status) == ({401}, 429, 200)


async def test_a_revoked_token_ends_within_two_seconds(tmp_path: Path) -> None:
    """The book of tokens is read again often enough."""
    async with a_house(tmp_path, login=True) as house:
        caller = await house.token("t", *Scope)
        before = await caller("GET", "/api/v1/jobs")
        await house.store.access.revoke_token("t")
        house.clock.advance(seconds=2)
        after = await caller("GET", "/api/v1/jobs")

    assert (before.status, after.status) == (200, 401)


async def test_the_store_knows_no_secret(tmp_path: Path) -> None:
    """A token is stored as its SHA-256; its secret is 256 bits and nowhere."""
    async with a_house(tmp_path) as house:
        caller = await house.token("t", *Scope)
        [token] = await house.store.access.tokens()

    assert caller.token is not None
    assert token.digest == digest_of(caller.token)
    assert caller.token.encode() not in (tmp_path / "jobs.db").read_bytes()
    assert "digest" not in repr(token)
