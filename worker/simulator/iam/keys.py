"""The calls that hand out temporary keys: IAM's, a machine's metadata, a pod's identity."""

import hmac
from collections.abc import Mapping
from typing import Any, Final

from worker.simulator.answers import Answer, document
from worker.simulator.asked import Asked
from worker.simulator.credentials import Rejected
from worker.simulator.iam.desk import Desk, identity_in, part
from worker.simulator.iam.directory import AGENCY
from worker.simulator.iam.gate import bearer_of
from worker.simulator.iam.passes import Bearer, TemporaryKey
from worker.simulator.iam.times import in_microseconds
from worker.simulator.world import Visit

SHORTEST_S: Final = 900
LONGEST_S: Final = 86_400
"""How long a temporary key may be asked to live."""

LONGEST_METADATA_S: Final = 21_600
"""The same for a token of the metadata service."""

TTL: Final = "X-Metadata-Token-Ttl-Seconds"


def security_token(desk: Desk, visit: Visit, asked: Asked) -> Answer:
    """Answer 201 with a temporary key, for a token or for an agency."""
    identity = part(identity_in(asked), "identity")
    match identity.get("methods"):
        case ["token"]:
            bearer = _by_token(desk, visit, asked, part(identity, "token"))
            wanted = part(identity, "token")
        case ["assume_role"]:
            bearer = _by_agency(desk, visit, asked, part(identity, "assume_role"))
            wanted = part(identity, "assume_role")
        case _:
            return desk.sorry(visit, 400, "The request body is invalid: unknown method.")
    if isinstance(bearer, Answer):
        return bearer
    life_s = wanted.get("duration_seconds", SHORTEST_S)
    if not _is_life(life_s):
        message = f"duration_seconds must be {SHORTEST_S} to {LONGEST_S}."
        return desk.sorry(visit, 400, message)
    life_s = min(life_s, desk.world.options.token_life_s)
    key = desk.passes.issue_key(bearer, desk.now_us, life_s)
    return desk.told(visit, {"credential": _told(key)}, 201)


def metadata_token(desk: Desk, visit: Visit, asked: Asked) -> Answer:
    """Answer with a token for the metadata service, as plain text."""
    if desk.world.options.metadata == "off":
        return _plain(404, "404 Not Found")
    told = asked.headers.get(TTL, "")
    life_s = int(told) if told.isascii() and told.isdigit() and len(told) < 9 else 0
    if not 1 <= life_s <= LONGEST_METADATA_S:
        return _plain(400, f"{TTL} must be 1 to {LONGEST_METADATA_S}")
    visit.credential = _machine(desk).principal
    return _plain(200, desk.passes.issue_metadata_token(desk.now_us, life_s))


def metadata_key(desk: Desk, visit: Visit, asked: Asked) -> Answer:
    """Answer with the temporary key of the machine's agency."""
    match desk.world.options.metadata:
        case "off":
            return _plain(404, "404 Not Found")
        case "no-agency":
            return _plain(401, "Please configure Cloud Service Agency first")
        case "hardened" if not _opens(desk, asked):
            return _plain(401, "401 Unauthorized")
        case _:
            key = _standing(desk, visit)
            return document({"credential": _told(key)})


def pod_identity(desk: Desk, visit: Visit, asked: Asked) -> Answer:
    """Answer with the temporary key of the pod's agency, given the pod's token."""
    shown = asked.headers.get("Authorization", "").encode("utf-8", "surrogateescape")
    if not hmac.compare_digest(shown, desk.directory.pod_token.encode()):
        return document({"error_msg": "the token of the pod is not valid"}, 401)
    key = _standing(desk, visit)
    account = desk.directory.accounts[0]
    return document(
        {
            "assumedAgency": {"urn": f"iam::{account.id}:agency:{AGENCY}", "id": account.id},
            "audience": "",
            "credentials": {
                "accessKeyId": key.access,
                "secretAccessKey": key.secret,
                "securityToken": key.security_token,
                "expiration": in_microseconds(key.expires_us),
            },
            "podIdentityAssociationId": "",
            "subject": {"namespace": "default", "serviceAccount": "plugwave"},
        }
    )


def _by_token(desk: Desk, visit: Visit, asked: Asked, told: Mapping[str, Any]) -> Bearer | Answer:
    text = told.get("id") or asked.headers.get("X-Auth-Token")
    token = desk.gate.token(text if isinstance(text, str) else "")
    if isinstance(token, Rejected):
        return desk.sorry(visit, 401, token.message)
    visit.credential = token.principal
    return bearer_of(token)


def _by_agency(desk: Desk, visit: Visit, asked: Asked, told: Mapping[str, Any]) -> Bearer | Answer:
    refused = desk.admit(visit, asked)
    if refused is not None:
        return refused
    account = desk.directory.account(name=told.get("domain_name"), account_id=told.get("domain_id"))
    if account is None or told.get("agency_name") != AGENCY:
        # Neither the status nor the text is published.
        return desk.sorry(visit, 404, "The agency does not exist.")
    return Bearer(principal=account.agency, account=account)


def _is_life(value: object) -> bool:
    return (
        isinstance(value, int) and not isinstance(value, bool) and SHORTEST_S <= value <= LONGEST_S
    )


def _told(key: TemporaryKey) -> dict[str, str]:
    return {
        "access": key.access,
        "secret": key.secret,
        "securitytoken": key.security_token,
        "expires_at": in_microseconds(key.expires_us),
    }


def _opens(desk: Desk, asked: Asked) -> bool:
    return desk.passes.opens_metadata(asked.headers.get("X-Metadata-Token"), desk.now_us)


def _machine(desk: Desk) -> Bearer:
    """Return whose agency machines and pods have: the first account's."""
    account = desk.directory.accounts[0]
    return Bearer(principal=account.agency, account=account)


def _standing(desk: Desk, visit: Visit) -> TemporaryKey:
    bearer = _machine(desk)
    visit.credential = bearer.principal
    return desk.passes.standing_key(bearer, desk.now_us, desk.world.options.token_life_s)


def _plain(status: int, text: str) -> Answer:
    return Answer(status=status, body=text.encode(), content_type="text/plain")
