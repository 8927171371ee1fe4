"""The calls of IAM that discovery needs: which projects the credential may see.

The call without pages needs no permission, the other one needs it and has pages; whoever
looks for projects tries both.  As in `client`, nothing is retried and nothing is raised.
"""

from dataclasses import dataclass
from typing import Final

from jobs.clock import Clock
from jobs.names import is_project
from jobs.outcomes import Answer
from worker.modelarts.auth import Authorizer
from worker.modelarts.exchange import Exchange
from worker.modelarts.faults import UnreadableError
from worker.modelarts.reading import Document, line, objects
from worker.modelarts.transport import Gate, Transport
from worker.modelarts.urls import Urls

PER_PAGE: Final = 1000
"""Projects on a page; 5000 are allowed, and would make a body of several megabytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """One project; the one named like a region is that region's own."""

    id: str
    name: str
    enabled: bool = True


class IamClient:
    """IAM beside every ModelArts endpoint, asked as one credential.

    Common parameters are those of `worker.modelarts.client.ModelArtsClient`; *region* says
    which IAM, None the global one.
    """

    def __init__(
        self, transport: Transport, urls: Urls, authorizer: Authorizer, clock: Clock
    ) -> None:
        self._exchange = Exchange(transport, authorizer, clock)
        self._urls = urls

    async def own_projects(
        self, region: str | None, *, gate: Gate, timeout_s: float
    ) -> tuple[Project, ...] | Answer:
        """Return the projects that the credential may use, all at once."""
        return await self._exchange.get(
            lambda: self._urls.own_projects(region),
            lambda answer, _: read_projects(answer),
            gate,
            timeout_s,
        )

    async def projects(
        self, region: str | None, *, page: int, gate: Gate, timeout_s: float
    ) -> tuple[Project, ...] | Answer:
        """Return one page (from 1) of the account's projects; a full one has PER_PAGE of them."""
        return await self._exchange.get(
            lambda: self._urls.projects(region, page=page, per_page=PER_PAGE),
            lambda answer, _: read_projects(answer),
            gate,
            timeout_s,
        )


def read_projects(answer: Document) -> tuple[Project, ...]:
    """Return the projects of a list; one that says of itself that it is an account is none.

    Raises:
        UnreadableError: If it is no list of projects, or one of them has no plain id or no name.
    """
    if type(answer.get("projects")) is not list:
        raise UnreadableError("projects is not a list")
    found = objects(answer, "projects")
    return tuple(_project(one) for one in found if one.get("is_domain") is not True)


def _project(one: Document) -> Project:
    project_id, name = one.get("id"), line(one, "name")
    if type(project_id) is not str or not is_project(project_id) or name is None:
        raise UnreadableError("a project has no plain id or no name")
    return Project(id=project_id, name=name, enabled=one.get("enabled") is not False)
