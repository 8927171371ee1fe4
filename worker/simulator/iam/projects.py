"""The calls that say which projects and accounts there are."""

from typing import Any, Final

from worker.simulator.answers import Answer
from worker.simulator.asked import Asked
from worker.simulator.iam.desk import Desk, own_url
from worker.simulator.iam.directory import Project
from worker.simulator.world import Visit

MOST_ON_A_PAGE: Final = 5000


def list_projects(desk: Desk, visit: Visit, asked: Asked) -> Answer:
    """Answer with the projects of who asks, filtered and in pages as asked for."""
    refused = desk.admit(visit, asked)
    if refused is not None:
        return refused
    page, size = _number(visit, "page", 1), _number(visit, "per_page", MOST_ON_A_PAGE)
    if page is None or size is None or size > MOST_ON_A_PAGE:
        return desk.sorry(visit, 400, f"page from 1, per_page 1 to {MOST_ON_A_PAGE}.")
    found = [told for told in _all(desk, visit, asked) if _is_wanted(visit, told)]
    return _told(desk, visit, asked, found[(page - 1) * size : page * size])


def list_own_projects(desk: Desk, visit: Visit, asked: Asked) -> Answer:
    """Answer with the projects of who asks; it needs no permission and has no pages."""
    refused = desk.admit(visit, asked)
    return refused or _told(desk, visit, asked, _all(desk, visit, asked))


def list_own_accounts(desk: Desk, visit: Visit, asked: Asked) -> Answer:
    """Answer with the account of who asks."""
    refused = desk.admit(visit, asked)
    if refused is not None:
        return refused
    domains = [
        {
            "id": account.id,
            "name": account.name,
            "enabled": True,
            "description": "",
            "links": _links(asked, f"/v3/domains/{account.id}"),
        }
        for account in desk.accounts_of(visit)
    ]
    return desk.told(visit, {"domains": domains, "links": _links(asked, "/v3/auth/domains")})


def _all(desk: Desk, visit: Visit, asked: Asked) -> list[dict[str, Any]]:
    return [
        _project(asked, project)
        for account in desk.accounts_of(visit)
        for project in desk.directory.projects(account)
    ]


def _project(asked: Asked, project: Project) -> dict[str, Any]:
    return {
        "id": project.id,
        "name": project.name,
        "domain_id": project.account.id,
        "parent_id": project.parent_id,
        "is_domain": False,
        "enabled": True,
        "description": "",
        "links": _links(asked, f"/v3/projects/{project.id}"),
    }


def _is_wanted(visit: Visit, told: dict[str, Any]) -> bool:
    wanted = {name: visit.query(name) for name in ("domain_id", "name", "parent_id")}
    if visit.query("enabled") == "false":
        return False
    return all(value is None or told[name] == value for name, value in wanted.items())


def _told(desk: Desk, visit: Visit, asked: Asked, found: list[dict[str, Any]]) -> Answer:
    path = asked.raw_path.partition("?")[0]
    return desk.told(visit, {"links": _links(asked, path), "projects": found})


def _links(asked: Asked, path: str) -> dict[str, str | None]:
    return {"self": f"{own_url(asked)}{path}", "previous": None, "next": None}


def _number(visit: Visit, name: str, default: int) -> int | None:
    """Return a query's number from 1, None when it is not one."""
    text = visit.query(name)
    if text is None:
        return default
    number = int(text) if text.isascii() and text.isdigit() and len(text) < 9 else 0
    return number if number >= 1 else None
