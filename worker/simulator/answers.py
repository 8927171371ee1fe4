"""What goes back over the wire: refusals and broken answers, in the shapes of the contract.

ModelArts tells ``error_code`` and ``error_msg``; the gateway in front of it adds
``request_id``.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Final

import orjson

from worker.simulator.credentials import Rejected

JSON: Final = "application/json"

BAD_REQUEST: Final = "ModelArts.50004000"
WRONG_CONTENT_TYPE: Final = "ModelArts.50004100"
INTERNAL: Final = "ModelArts.50005000"
UNKNOWN_TEMPLATE: Final = "ModelArts.50005101"
ALREADY_EXISTS: Final = "ModelArts.50015000"
"""Published for a pool of that name; the code for a plug-in is unpublished."""
UNKNOWN_POOL: Final = "ModelArts.50015001"
UNKNOWN_PROJECT: Final = "ModelArts.2786"
IN_OPERATION: Final = "ModelArts.5044"
"""Published as "operations conflict, try later"; the code for a busy plug-in is unpublished."""
POOL_INITIALISING: Final = "ModelArts.6355"
POOL_NOT_RUNNING: Final = "ModelArts.2887"
NOT_AUTHORISED: Final = "ModelArts.0108"

NO_SUCH_API: Final = "APIG.0101"
TOO_LARGE: Final = "APIG.0201"
THROTTLED: Final = "APIG.0308"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One HTTP answer; the request id is added to its headers when it leaves."""

    status: int
    body: bytes
    content_type: str = JSON
    retry_after_s: int | None = None
    headers: Mapping[str, str] | None = None

    @property
    def is_success(self) -> bool:
        """Whether the call was accepted."""
        return self.status < 300

    def with_headers(self, headers: Mapping[str, str]) -> "Answer":
        """Return the answer with these headers of its own."""
        return replace(self, headers=headers)


def document(value: Mapping[str, Any], status: int = 200) -> Answer:
    """Return *value* as a JSON answer."""
    return Answer(status=status, body=orjson.dumps(value))


def refusal(status: int, code: str, message: str) -> Answer:
    """Return an error of ModelArts itself."""
    return document({"error_code": code, "error_msg": message}, status)


def gateway_refusal(
    status: int, code: str, message: str, request_id: str, *, retry_after_s: int | None = None
) -> Answer:
    """Return an error of the gateway, which the service never saw."""
    told = {"error_code": code, "error_msg": message, "request_id": request_id}
    return replace(document(told, status), retry_after_s=retry_after_s)


def rejection(who: Rejected, request_id: str) -> Answer:
    """Return why a credential is refused: by ModelArts itself, or by the gateway before it."""
    if who.code.startswith("ModelArts."):
        return refusal(who.status, who.code, who.message)
    return gateway_refusal(who.status, who.code, who.message, request_id)


def no_such_api(request_id: str) -> Answer:
    """Return what an unpublished path or method answers."""
    message = "The API does not exist or has not been published in the environment"
    return gateway_refusal(404, NO_SUCH_API, message, request_id)


def bad_request(detail: str) -> Answer:
    """Return the refusal of a body or query that makes no sense."""
    return refusal(400, BAD_REQUEST, f"Bad request. {detail}")


def unknown_project(project_id: str) -> Answer:
    """Return the refusal of a project nobody has."""
    return refusal(404, UNKNOWN_PROJECT, f"Project {project_id} does not match.")


def unknown_pool(name: str) -> Answer:
    """Return the refusal of a pool nobody has."""
    return refusal(404, UNKNOWN_POOL, f"Pool {name} not found.")


def unknown_template(name: str) -> Answer:
    """Return the refusal of a template nobody offers."""
    return refusal(404, UNKNOWN_TEMPLATE, f"Plugintemplate {name} not found.")


def absent_plugin(name: str) -> Answer:
    """Return the refusal of a plug-in the pool has not; its exact text is unpublished."""
    return refusal(404, UNKNOWN_TEMPLATE, f"Plugin {name} not found.")


SERVER_ERRORS: Final[Mapping[int, tuple[str, str]]] = MappingProxyType(
    {
        500: (INTERNAL, "Internal error."),
        502: ("APIG.0202", "Backend unavailable"),
        503: ("APIG.0613", "IAM unavailable"),
        504: ("APIG.0203", "Backend timeout"),
    }
)


def server_error(status: int, request_id: str) -> Answer:
    """Return 500 from ModelArts, or 502, 503 or 504 from the gateway."""
    code, message = SERVER_ERRORS[status]
    if code == INTERNAL:
        return refusal(status, code, message)
    return gateway_refusal(status, code, message, request_id)


def html_page(status: int) -> Answer:
    """Return a page as some proxy on the way would."""
    title = "502 Bad Gateway" if status == 502 else "Please wait"
    page = f"<html><head><title>{title}</title></head><body><h1>{title}</h1></body></html>\r\n"
    return Answer(status=status, body=page.encode(), content_type="text/html")


EMPTY: Final = Answer(status=200, body=b"")

WRONG_TYPES: Final = (
    b"[]",
    b'"accepted"',
    b"null",
    b'{"apiVersion":2,"kind":["Plugin"],"spec":[],"status":"Running"}',
    b'{"apiVersion":"v2","kind":"Plugin","spec":{"template":"node-local-dns"},"metadata":7}',
)
"""JSON that parses and is no plug-in."""
