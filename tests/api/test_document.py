"""The document is the interface: every route is in it, and every answer is as it says."""

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from jobs.catalogue.lookup import named
from jobs.errors import PlugwaveError
from jobs.model import job_name
from tests.api.calling import Answered, House, a_house, a_job
from tests.api.rollouts_there import with_rollout
from tests.api.test_rights import call
from worker.api.calls import PROBLEM, Route
from worker.api.openapi import document, refusals_of
from worker.api.problems import STATUSES
from worker.api.router import Router
from worker.api.routes import ROUTES, routes_of
from worker.api.shapes import JobShape, ProblemShape

HOSTILE = (
    "", "0", "-1", "1e9", "true", "null", "x" * 5000, "%00", "%ff", "..", "%2e%2e%2f", "'; --",
    "job-0", "job-99999999999999999999", "running", "2026-11-24", "1h", "0-0", "9-9", "ü", "a=b",
)  # fmt: skip
"""Values that people and attackers send."""

BODIES: tuple[Any, ...] = (
    {}, [], None, 1, "x", True, {"jobs": {}}, {"jobs": [None]}, {"jobs": [[]]}, {"a": {"b": []}},
    {"project_id": 1, "pool_name": [], "plugin": "x"}, {"reason": 1}, {"reason": "x" * 1000},
    {"wave": -1}, {"plan": ""}, {"plan": "../../etc"}, {"plan": "a" * 64}, {"key": False},
)  # fmt: skip


def test_the_document_names_the_routes_and_no_others() -> None:
    """Document, router and table have the same methods and paths."""
    told = document(ROUTES, "1.2.3")
    in_document = {(method.upper(), path) for path, one in told["paths"].items() for method in one}

    assert in_document == {(route.method, route.path) for route in ROUTES}
    assert len({route.name for route in ROUTES}) == len(ROUTES)


def test_every_path_means_one_route() -> None:
    """No path of one route is taken by another."""
    router = Router(ROUTES)
    for route in ROUTES:
        path = route.path.format(job="job-1", code="JOB-01", rollout="ro-1", plan="abc")
        match = router.match(path)
        assert match is not None
        assert match.route(route.method) is route


def test_what_is_not_written_plainly_means_nothing() -> None:
    """Encoded, doubled and trailing slashes, dots and case are no other way to a route."""
    router = Router(ROUTES)
    for path in ("/api/v1/jobs/", "/api/v1//jobs", "/API/v1/jobs", "/api/v1/jobs/a%2fb", "/"):
        assert router.match(path) is None
    assert router.match("/api/v1/jobs/a/b") is None


def test_a_server_that_only_shows_has_no_route_that_changes() -> None:
    """Read-only is not a rule that could be forgotten: the routes are not there."""
    assert {route.method for route in routes_of(read_only=True)} == {"GET"}


def references(value: object) -> Iterator[str]:
    """Yield every reference in a document."""
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for one in value.values():
            yield from references(one)
    elif isinstance(value, list):
        for one in value:
            yield from references(one)


def test_every_reference_of_the_document_leads_somewhere() -> None:
    """The document is complete in itself."""
    told = document(ROUTES, "1.2.3")
    known = {f"#/components/schemas/{name}" for name in told["components"]["schemas"]}

    assert set(references(told)) <= known


def test_every_status_has_an_entry_in_the_catalogue() -> None:
    """A problem's `type` leads to an explanation, whatever its code is."""
    for kind, status in STATUSES:
        assert 400 <= status < 600
        assert issubclass(kind, PlugwaveError)
        assert named(kind.code), kind.code


def holds(route: Route, answer: Answered) -> None:
    """Check one answer against the document.

    Raises:
        AssertionError: If it is not as documented.
    """
    if answer.status >= 400:
        assert answer.status in {*refusals_of(route), 405}, (route.name, answer)
        ProblemShape.model_validate(answer.body)
        assert answer.status < 500 or answer.status == 503, (route.name, answer.body)
        return
    models: dict[int, type[BaseModel]] = {
        one.status: one.model for one in route.answers if one.model is not None
    }
    assert answer.status in models, (route.name, answer.status)
    models[answer.status].model_validate(answer.body)


async def with_everything(house: House) -> None:
    """Fill the store with a job in some states, and a rollout."""
    for number in range(3):
        await house.anybody("POST", "/api/v1/jobs", a_job(f"p{number}"), key=f"k{number}")
    await house.anybody("POST", "/api/v1/jobs/job-1:cancel")
    await with_rollout(house)


@pytest.mark.slow
async def test_every_route_answers_as_documented(tmp_path: Path) -> None:
    """Each route, called in good order, answers what its model says."""
    async with a_house(tmp_path) as house:
        await with_everything(house)
        for route in ROUTES:
            holds(route, await call(house.anybody, route, rollout="ro-1"))
        page = await house.anybody("GET", "/api/v1/jobs")
        for item in page.body["items"]:
            JobShape.model_validate(item)


def hostile_targets(route: Route, rng: random.Random) -> Iterator[str]:
    """Yield targets for a route with values that nobody expects."""
    path = route.path
    for part in ("job", "code", "rollout", "plan"):
        if f"{{{part}}}" in path:
            for value in HOSTILE:
                yield path.replace(f"{{{part}}}", value)
            path = path.replace(f"{{{part}}}", "job-1" if part == "job" else "ro-1")
    names = [*(route.query.model_fields if route.query is not None else ()), "unknown"]
    waits = "timeout=0&" if path.endswith(":wait") else ""
    for name in names:
        for value in HOSTILE if name != "timeout" else ("-1", "x", "0", "121"):
            yield f"{path}?{waits if name != 'timeout' else ''}{name}={value}"
    pairs = [f"{rng.choice(names)}={rng.choice(HOSTILE)}" for _ in range(6)]
    if "timeout" not in "".join(pairs):
        yield f"{path}?{waits}{'&'.join(pairs)}"


@pytest.mark.slow
async def test_whatever_comes_is_answered_as_documented(tmp_path: Path) -> None:
    """No value in path, query or body is answered with 5xx, or with what is not documented."""
    rng, calls = random.Random(7), 0
    async with a_house(tmp_path) as house:
        await with_everything(house)
        for route in ROUTES:
            for target in hostile_targets(route, rng):
                body: Any = {} if route.body is not None else None
                answer = await house.anybody(route.method, target, body, key="a-key")
                path = target.partition("?")[0]
                found = Router(ROUTES).match(path)
                if found is None:
                    assert answer.status == 404
                else:
                    holds(found.route(route.method) or route, answer)
                calls += 1
            if route.body is not None:
                target = route.path.replace("{rollout}", "ro-1")
                for body in BODIES:
                    key = f"key-{rng.random()}"
                    holds(route, await house.anybody(route.method, target, body, key=key))

    assert calls > 400


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "TRACE", "OPTIONS", "BREW"])
async def test_another_method_is_refused_with_those_that_are_served(
    tmp_path: Path, method: str
) -> None:
    """405 names in Allow what the path is served with."""
    async with a_house(tmp_path) as house:
        answer = await house.anybody(method, "/api/v1/jobs")

    assert (answer.status, answer.headers["Allow"]) == (405, "GET, HEAD, POST")


async def test_a_bug_is_told_without_its_inside(tmp_path: Path) -> None:
    """What nobody expected is 500 with a request id; what it was stays in the server's log."""
    async with a_house(tmp_path) as house:
        await house.store.close()  # every question to it fails from here on
        known = await house.anybody("GET", "/api/v1/jobs")
        object.__setattr__(house.rooms, "store", None)
        unknown = await house.anybody("GET", "/api/v1/jobs")

    assert (known.status, known.body["code"]) == (503, "STORE-01")
    assert known.headers["Retry-After"]
    assert (unknown.status, unknown.body["code"]) == (500, "BUG-01")
    assert "NoneType" not in unknown.raw.decode()


async def test_pages_follow_one_another_without_gaps(tmp_path: Path) -> None:
    """Following `next` shows every job once, newest first."""
    async with a_house(tmp_path) as house:
        for number in range(7):
            await house.anybody("POST", "/api/v1/jobs", a_job(f"p{number}"), key=f"k{number}")
        seen, after = [], ""
        for _ in range(9):
            page = (await house.anybody("GET", f"/api/v1/jobs?limit=3{after}")).body
            seen += [item["job"] for item in page["items"]]
            if page["next"] is None:
                break
            after = f"&after={page['next']}"

    assert seen == [job_name(number) for number in range(7, 0, -1)]  # type: ignore[arg-type] # job ids


def test_a_problem_is_of_its_own_media_type() -> None:
    """Problems are application/problem+json in the document, too."""
    told = document(ROUTES, "1.2.3")
    for operations in told["paths"].values():
        for operation in operations.values():
            for status, answer in operation["responses"].items():
                if int(status) >= 400:
                    assert list(answer["content"]) == [PROBLEM]
