"""Errors as answers: RFC 9457 problems with our codes, and the status that each kind has.

``type`` leads to the catalogue's entry of the code on this very server.
"""

from collections.abc import Sequence
from typing import Any, Final

from config.masking import clean_text, mask_text
from jobs import errors, refusals
from jobs.catalogue.entries import Language
from jobs.catalogue.lookup import named
from jobs.errors import BadRequestError, PlugwaveError
from jobs.requests import Problem, problems_of
from worker.api.calls import PROBLEM, Reply

STATUSES: Final[Sequence[tuple[type[PlugwaveError], int]]] = (
    (refusals.NoSuchPathError, 404),
    (refusals.MethodNotServedError, 405),
    (refusals.QueryError, 400),
    (refusals.BodyError, 400),
    (refusals.BodyTooLargeError, 413),
    (refusals.BodyTooSlowError, 408),
    (refusals.MediaTypeError, 415),
    (refusals.KeyMissingError, 400),
    (refusals.KeyInFlightError, 409),
    (refusals.KeyReusedError, 422),
    (refusals.BodyValueError, 422),
    (refusals.NotLoggedInError, 401),
    (refusals.NotAllowedError, 403),
    (refusals.ForeignHostError, 403),
    (refusals.TooManyCallsError, 429),
    (refusals.QueueFullError, 429),
    (refusals.DrainingError, 503),
    (refusals.CallRefusedError, 400),
    (errors.NoPoolMatchedError, 422),
    (errors.NothingMatchedError, 404),
    (errors.ConflictError, 409),
    (errors.StateError, 409),
    (errors.StoreError, 503),
    (errors.CloudUnreachableError, 503),
    (errors.CredentialsRefusedError, 503),
    (errors.ClockError, 503),
    (errors.ConfigError, 503),
    (errors.UsageError, 422),
)
"""The status of an error is that of the first class here that it belongs to; else 500."""

RETRY_AFTER_S: Final = 5
"""Told with 429 and 503 where nobody knows better."""

DETAIL_LIMIT: Final = 1000

POINTER: Final = "/"


def status_of(error: PlugwaveError) -> int:
    """Return the HTTP status of an error."""
    return next((status for kind, status in STATUSES if isinstance(error, kind)), 500)


def problem_reply(error: PlugwaveError, request_id: str) -> Reply:
    """Return the answer that tells an error."""
    status = status_of(error)
    headers: dict[str, str] = {}
    after = error.facts.get("retry_after_s", RETRY_AFTER_S if status in {429, 503} else None)
    if after is not None:
        headers["Retry-After"] = str(after)
    if status == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="plugwave"'
    allowed = error.facts.get("allow")
    if isinstance(allowed, str):
        headers["Allow"] = allowed
    body = problem_fields(error, status, request_id)
    return Reply(status=status, body=body, headers=headers, media=PROBLEM)


def problem_fields(error: PlugwaveError, status: int, request_id: str) -> dict[str, Any]:
    """Return the problem document of an error; nothing in it is masked away by accident."""
    entry = next(iter(named(error.code)), None)
    told: dict[str, Any] = {
        "type": f"/api/v1/problems/{error.code}",
        "title": entry.texts[Language.EN].title if entry is not None else error.code,
        "status": status,
        "detail": _plain(str(error)),
        "code": error.code,
        "why": None if error.why is None else _plain(error.why),
        "do": [_plain(error.do)],
        "request_id": request_id,
    }
    if isinstance(error, BadRequestError):
        told["errors"] = [problem_item(one) for one in problems_of(error)]
    found = error.facts.get("errors")
    if isinstance(found, list):
        told["errors"] = found
    return told


def problem_item(problem: Problem) -> dict[str, Any]:
    """Return one thing that is wrong with a request, with a JSON pointer to it."""
    return {
        "pointer": pointer_of(problem.path),
        "detail": _plain(problem.message),
        "do": None if problem.suggestion is None else _plain(problem.suggestion),
    }


def pointer_of(path: str) -> str:
    """Return the JSON pointer (RFC 6901) of a dotted path; the whole document for none."""
    if not path:
        return ""
    parts = (part.replace("~", "~0").replace("/", "~1") for part in path.split("."))
    return POINTER + POINTER.join(parts)


def _plain(text: str) -> str:
    return clean_text(mask_text(text), DETAIL_LIMIT)
