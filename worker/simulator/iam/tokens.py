"""The calls that hand out tokens: for a password, or for another provider's id token."""

import hmac
from collections.abc import Mapping
from typing import Any, Final

from worker.simulator.answers import Answer
from worker.simulator.asked import Asked
from worker.simulator.iam.desk import Desk, identity_in, own_url, part
from worker.simulator.iam.directory import Account, Project, User
from worker.simulator.iam.passes import Bearer, Token
from worker.simulator.iam.times import in_microseconds
from worker.simulator.world import Visit

HEADER: Final = "X-Subject-Token"
_NO_PROJECT: Final = "The project does not exist."


def by_password(desk: Desk, visit: Visit, asked: Asked) -> Answer:
    """Answer 201 with a token for the project or account that is asked for."""
    auth = identity_in(asked)
    identity = part(auth, "identity")
    if identity.get("methods") != ["password"]:
        return desk.sorry(visit, 400, "The request body is invalid: methods must be password.")
    user = _user(desk, part(identity, "password", "user"))
    if user is None:
        return desk.sorry(visit, 401, "The username or password is wrong.")
    visit.credential = user.name
    bearer = _bearer(desk, user, part(auth, "scope"))
    if bearer is None:
        # Neither the status nor the text is published.
        return desk.sorry(visit, 401, _NO_PROJECT)
    token = desk.passes.issue_token(bearer, desk.now_us, desk.world.options.token_life_s)
    about = {"user": _named(user.account, id=user.id, name=user.name, password_expires_at="")}
    catalog = [] if visit.query("nocatalog") else _catalog(desk, asked)
    return _handed_out(desk, visit, token, "password", {**about, "catalog": catalog})


def by_id_token(desk: Desk, visit: Visit, asked: Asked) -> Answer:
    """Answer 201 with a token for the account, given the id token of the known provider."""
    directory = desk.directory
    auth = identity_in(asked)
    shown = part(auth, "id_token").get("id")
    known = asked.headers.get("X-Idp-Id") == directory.provider
    if not (known and isinstance(shown, str) and _same(shown, directory.id_token)):
        return desk.sorry(visit, 401, "The id token is invalid.")
    account = directory.accounts[0]
    visit.credential = account.agency
    bearer = _scoped(desk, account, account.agency, part(auth, "scope"))
    if bearer is None:
        return desk.sorry(visit, 401, _NO_PROJECT)
    token = desk.passes.issue_token(bearer, desk.now_us, desk.world.options.token_life_s)
    user = _named(account, id="federated", name="FederationUser")
    return _handed_out(desk, visit, token, "mapped", {"user": user})


def _user(desk: Desk, told: Mapping[str, Any]) -> User | None:
    """Return the user whose name and password are told."""
    user = desk.directory.user(name=told.get("name"), account=part(told, "domain").get("name"))
    password = told.get("password")
    if user is None or not isinstance(password, str):
        return None
    return user if _same(password, user.password) else None


def _same(shown: str, known: str) -> bool:
    return hmac.compare_digest(shown.encode("utf-8", "surrogatepass"), known.encode())


def _bearer(desk: Desk, user: User, scope: Mapping[str, Any]) -> Bearer | None:
    return _scoped(desk, user.account, user.name, scope)


def _scoped(
    desk: Desk, account: Account, principal: str, scope: Mapping[str, Any]
) -> Bearer | None:
    """Return who the token is for; None when there is no such project."""
    wanted = scope.get("project")
    if not isinstance(wanted, dict):
        return Bearer(principal=principal, account=account)
    for project in desk.directory.projects(account):
        if project.id == wanted.get("id") or project.name == wanted.get("name"):
            return Bearer(principal=principal, account=account, project=project)
    return None


def _handed_out(
    desk: Desk, visit: Visit, token: Token, method: str, about: Mapping[str, Any]
) -> Answer:
    told: dict[str, Any] = {
        "expires_at": in_microseconds(token.expires_us),
        "issued_at": in_microseconds(token.issued_us),
        "methods": [method],
        "roles": [{"id": "0", "name": "te_admin"}],
        **about,
    }
    project: Project | None = token.project
    if project is None:
        told["domain"] = {"id": token.account.id, "name": token.account.name}
    else:
        told["project"] = _named(project.account, id=project.id, name=project.name)
    answer = desk.told(visit, {"token": told}, 201)
    headers = {**(answer.headers or {}), HEADER: token.text}
    return answer.with_headers(headers)


def _named(account: Account, **more: str) -> dict[str, Any]:
    return {"domain": {"id": account.id, "name": account.name}, **more}


def _catalog(desk: Desk, asked: Asked) -> list[dict[str, Any]]:
    """Return where the services are: all of them here."""
    region = desk.world.options.region
    return [
        {
            "id": service,
            "name": service,
            "type": service,
            "endpoints": [
                {
                    "id": f"{service}-{region}",
                    "interface": "public",
                    "region": region,
                    "region_id": region,
                    "url": own_url(asked),
                }
            ],
        }
        for service in ("iam", "modelarts")
    ]
