"""Which projects a credential may see, and where IAM is asked."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from jobs.outcomes import Outcome
from tests.fakes import FakeClock
from tests.modelarts.scripted import LONG_S, TOKEN, Cloud, cloud, http, known, open_gate
from worker.modelarts.auth import TokenAuth
from worker.modelarts.faults import NotSendableError, UnreadableError
from worker.modelarts.iam import PER_PAGE, IamClient, Project, read_projects
from worker.modelarts.transport import Transport
from worker.modelarts.urls import Urls

ID = "0a1b" * 8
ONE = {"id": ID, "name": "cn-north-4", "enabled": True, "is_domain": False}


@asynccontextmanager
async def iam(served: Cloud) -> AsyncIterator[IamClient]:
    """Open a client of IAM beside the endpoint."""
    clock = FakeClock()
    async with Transport(clock) as transport:
        yield IamClient(transport, Urls(served.endpoint), TokenAuth(TOKEN), clock)


async def test_both_calls_have_their_documented_paths() -> None:
    """One needs no permission and has no pages, the other has both."""
    async with cloud(http(200, {"projects": [ONE]})) as served, iam(served) as client:
        own = await client.own_projects(None, gate=open_gate, timeout_s=LONG_S)
        page = await client.projects(None, page=2, gate=open_gate, timeout_s=LONG_S)

    first, second = (raw.split(b" HTTP/1.1")[0] for raw in served.requests)
    assert first == b"GET /v3/auth/projects"
    assert second == f"GET /v3/projects?page=2&per_page={PER_PAGE}".encode()
    assert own == page == (Project(id=ID, name="cn-north-4"),)


async def test_a_refusal_of_iam_is_an_answer() -> None:
    """Without the permission to list projects nothing breaks."""
    async with cloud(known(403, "IAM.0001")) as served, iam(served) as client:
        got = await client.projects(None, page=1, gate=open_gate, timeout_s=LONG_S)

    assert getattr(got, "outcome", None) is Outcome.FORBIDDEN


def test_what_is_no_project_is_left_out_and_a_disabled_one_says_so() -> None:
    """An account in the list is not a project; not told to be disabled is enabled."""
    told = {"projects": [{"id": "a", "name": "x", "enabled": False}, {**ONE, "is_domain": True}]}

    assert read_projects(told) == (Project(id="a", name="x", enabled=False),)


@pytest.mark.parametrize(
    "told",
    [
        {},
        {"projects": {}},
        {"projects": [{"id": "a"}]},
        {"projects": [{"name": "a"}]},
        {"projects": [{"id": "a/../b", "name": "a"}]},
        {"projects": [{"id": "a\u200b", "name": "a"}]},
    ],
)
def test_a_list_of_projects_in_doubt_is_unreadable(told: dict[str, Any]) -> None:
    """An id that is not plain never becomes part of a path."""
    with pytest.raises(UnreadableError):
        read_projects(told)


@pytest.mark.parametrize(
    ("urls", "region", "origin"),
    [
        (Urls(), None, "https://iam.myhuaweicloud.com"),
        (Urls(), "cn-north-4", "https://iam.cn-north-4.myhuaweicloud.com"),
        (Urls(), "eu-west-101", "https://iam.eu-west-101.myhuaweicloud.eu"),
        (Urls("http://127.0.0.1:8600"), "cn-north-4", "http://127.0.0.1:8600"),
        (
            Urls("https://modelarts.eu-de.otc.example"),
            "eu-de",
            "https://iam.eu-de.otc.example",
        ),
        (
            Urls(None, {"eu-de": "https://modelarts.eu-de.otc.example"}),
            "cn-north-4",
            "https://iam.cn-north-4.myhuaweicloud.com",
        ),
        (Urls("https://cloud.example", iam="https://who.example"), None, "https://who.example"),
    ],
)
def test_iam_is_beside_the_endpoint(urls: Urls, region: str | None, origin: str) -> None:
    """The setting wins; else the same cloud as the configured endpoint, else the region's own."""
    assert str(urls.iam(region)) == origin


@pytest.mark.parametrize(
    ("urls", "region"), [(Urls("https://cloud.example"), None), (Urls(), "evil.example/x")]
)
def test_a_credential_never_goes_to_a_guessed_cloud(urls: Urls, region: str | None) -> None:
    """An endpoint that does not tell where its IAM is gets no guess."""
    with pytest.raises(NotSendableError):
        urls.iam(region)
