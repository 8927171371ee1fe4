"""Say what a complete answer means that is not the success its reader wanted.

Status first, digits second, text only where the table says so: one code occurs with several
statuses and means something else with each.  An *envelope* is an error body in a shape and
with a code prefix that we know; only such a body proves that the cloud itself refused, so
only with it does a status like 400 or 401 mean that nothing was accepted.  A 401 from nobody
we know (a proxy's login page) is therefore an unknown refusal, not a verdict on the
credential.

Source: cloud API notes, section 5; rows 13 to 27 and 31 of `jobs.outcomes`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import Any, Final

import orjson

from jobs.changing import swift
from jobs.clock import MICROSECONDS
from jobs.outcomes import BY_OUTCOME, Answer, Outcome
from jobs.pacing import Limit
from worker.modelarts.codes import BY_STATUS, SPECIAL, Family, family_of
from worker.modelarts.text import clean_line, masked

RETRY_AFTER_MOST_S: Final = 86_400.0
"""A server that asks for more than a day is misread or mistaken."""

EXCERPT: Final = 4096
"""Characters of a body without a known shape that are looked at."""

_UNIT_S: Final = {"second": 1.0, "minute": 60.0, "hour": 3600.0, "day": 86_400.0}
_LIMIT: Final = re.compile(
    r"limit:\s*(\d{1,9})\s*,\s*time:\s*(\d{1,6})\s*(second|minute|hour|day)",
    re.ASCII | re.IGNORECASE,
)
_DAILY: Final = re.compile(r"daily quota", re.IGNORECASE)
_THERE: Final = re.compile(
    r"already exist|in progress|(?<!not )(?<!n't )(?<!longer )(?<!never )\bexists\b", re.IGNORECASE
)
"""Something is there, or under way; not "does not exist"."""

_ECHO: Final = re.compile(
    r'\{\s*\\?"apiVersion|\\?"(?:inputs|values)\\?"|(?<=signature fail)\b', re.IGNORECASE
)
"""Where a message begins to repeat what we sent: inputs, or the canonical request."""

_PAIRS: Final = (("error_code", "error_msg"), ("errorCode", "errorMsg"), ("code", "message"))
_CODE: Final = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)
_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._:-]{1,128}", re.ASCII)
_TAGS: Final = re.compile(
    r"<(?:script|style)\b.*?</(?:script|style)>|<[^>]*>", re.IGNORECASE | re.DOTALL
)


@swift
@dataclass(frozen=True, kw_only=True)  # no slots: see jobs.changing
class Envelope:
    """An error body as far as it could be read; *family* is None when nobody we know wrote it."""

    code: str | None = None
    message: str = ""
    family: Family | None = None
    digits: str = ""


class AuthFault(StrEnum):
    """Why a credential was refused; what decides between a refresh and a breaker."""

    EXPIRED = "expired"  # worth one refresh; with 0307 also: a token of another region
    SIGNATURE = "signature"  # six in a row lock the key for everybody: stop at the first
    LOCKED = "locked"  # the key is locked for five minutes
    UNKNOWN_KEY = "unknown-key"
    BAD_TOKEN = "bad-token"  # noqa: S105 - the name of a fault, not a password
    MISSING = "missing"  # no credential arrived
    OTHER = "other"


AUTH_PHRASES: Final = (
    ("token expires", AuthFault.EXPIRED),
    ("failed to reach the limit", AuthFault.LOCKED),
    ("verify aksk signature fail", AuthFault.SIGNATURE),
    ("get secretkey failed", AuthFault.UNKNOWN_KEY),
    ("decrypt token fail", AuthFault.BAD_TOKEN),
    ("x-auth-token not found", AuthFault.MISSING),
)
"""Variants of APIG.0301: the code is the same, the message decides (cloud API notes, 5.5)."""

AUTH_CODES: Final = {
    (Family.GATEWAY, "0307"): AuthFault.EXPIRED,
    (Family.GATEWAY, "0303"): AuthFault.SIGNATURE,
    (Family.MODELARTS, "0201"): AuthFault.MISSING,
    (Family.MODELARTS, "0202"): AuthFault.EXPIRED,
    (Family.MODELARTS, "0203"): AuthFault.BAD_TOKEN,
    (Family.MODELARTS, "0204"): AuthFault.BAD_TOKEN,
    (Family.MODELARTS, "50001000"): AuthFault.BAD_TOKEN,
}


def auth_fault(answer: Answer) -> AuthFault:
    """Return why the credential was refused, for an answer with outcome UNAUTHENTICATED."""
    message = answer.message.lower()
    for phrase, fault in AUTH_PHRASES:
        if phrase in message:
            return fault
    found = family_of(answer.error_code or "")
    return AuthFault.OTHER if found is None else AUTH_CODES.get(found, AuthFault.OTHER)


def classify_status(
    status: int,
    headers: Mapping[str, str],
    body: bytes | None,
    *,
    now_us: int,
    secrets: tuple[str, ...] = (),
) -> Answer:
    """Return what a complete answer means.

    Args:
        status: As seen in a complete answer; never one that a library invented.
        headers: The answer's; looked up case-insensitively by their owner.
        body: The raw body; None when it is compressed or too large to be read.
        now_us: For a ``Retry-After`` that is a date.
        secrets: Values that must not be seen again, should the answer repeat them.
    """
    envelope = read_envelope(b"" if body is None else body, status, secrets)
    outcome = outcome_of(status, envelope)
    return Answer(
        outcome=outcome,
        sent=True,
        http_status=status,
        error_code=envelope.code,
        message=envelope.message or BY_OUTCOME[outcome].what,
        request_id=request_id(headers, secrets),
        retry_after_s=retry_after_s(headers.get("Retry-After"), now_us),
        limit=limit_in(envelope.message) if status == 429 else None,
    )


def outcome_of(status: int, envelope: Envelope) -> Outcome:
    """Return the row of the decision table."""
    if envelope.family is not None:
        special = SPECIAL.get((envelope.family, envelope.digits, status))
        if special is not None:
            return special
    if status in {400, 422}:
        return _content(envelope)
    if status == 429:
        return _throttle(envelope)
    if status == 401 and envelope.family is not None:
        return Outcome.UNAUTHENTICATED
    if status == 404 and envelope.family is Family.MODELARTS:
        return Outcome.NOT_FOUND
    return BY_STATUS.get(status, Outcome.UNKNOWN_REFUSAL)


def _content(envelope: Envelope) -> Outcome:
    if envelope.family is None:
        return Outcome.UNKNOWN_REFUSAL
    return Outcome.CONFLICT if _THERE.search(envelope.message) else Outcome.REFUSED_CONTENT


def _throttle(envelope: Envelope) -> Outcome:
    """Return the kind of 429; without a known envelope nobody says that nothing was accepted."""
    if envelope.family is None:
        return Outcome.THROTTLED_BLINDLY
    if limit_in(envelope.message) is None and _DAILY.search(envelope.message):
        return Outcome.QUOTA_SPENT
    return Outcome.THROTTLED


def read_envelope(body: bytes, status: int, secrets: tuple[str, ...] = ()) -> Envelope:
    """Return the error in *body*, whatever its shape: flat, nested one level, IAM, HTML or text."""
    parsed = _parsed(body)
    if type(parsed) is dict:
        places = [parsed, *(part for part in parsed.values() if type(part) is dict)]
        for place in places:
            for code_key, message_key in _PAIRS:
                envelope = _pair(place, code_key, message_key, status, secrets)
                if envelope is not None:
                    return envelope
        return Envelope()
    text = body[:EXCERPT].decode("utf-8", "replace")
    return Envelope(message=_told(_TAGS.sub(" ", masked(text, secrets))))


def _parsed(body: bytes) -> object:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return None


def _pair(
    place: Mapping[str, Any],
    code_key: str,
    message_key: str,
    status: int,
    secrets: tuple[str, ...],
) -> Envelope | None:
    """Return the envelope that the two keys of *place* make, or None."""
    code, message = place.get(code_key), place.get(message_key)
    if type(code) not in {str, int} or type(message) is not str:
        return None
    code = str(code)
    known = family_of(code)
    if known is None and code == str(status) and type(place.get("title")) is str:
        known = (Family.IAM, code)
    shown = _CODE.fullmatch(code) is not None and masked(code, secrets) == code
    return Envelope(
        code=code if shown else None,
        message=_told(masked(message, secrets)),
        family=None if known is None else known[0],
        digits="" if known is None else known[1],
    )


def _told(message: str) -> str:
    """Return *message* as one clean line, up to where it begins to repeat our request."""
    told = message
    if '"' in message or "signature fail" in message.lower():  # else the slow search is in vain
        echo = _ECHO.search(message)
        told = message if echo is None else message[: echo.start()]
    return clean_line(" ".join(told[:EXCERPT].split()))


def limit_in(message: str) -> Limit | None:
    """Return the limit that a 429 names, such as ``limit:10,time:1 minute``; else None.

    A limit of zero or a window over a day is not believed: it would stop everything.
    """
    found = _LIMIT.search(message)
    if found is None:
        return None
    count, window_s = int(found[1]), int(found[2]) * _UNIT_S[found[3].lower()]
    if count < 1 or not 0 < window_s <= RETRY_AFTER_MOST_S:
        return None
    return Limit(count=count, window_s=window_s)


def retry_after_s(value: str | None, now_us: int) -> float | None:
    """Return the seconds that a ``Retry-After`` asks for, from 0 to a day; None if unreadable.

    Source: RFC 9110, section 10.2.3: whole seconds or an HTTP date.
    """
    if value is None:
        return None
    value = value.strip()
    if value.isascii() and value.isdigit():
        return min(float(value[:20]), RETRY_AFTER_MOST_S)
    try:
        moment = parsedate_to_datetime(value)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        seconds = moment.timestamp() - now_us / MICROSECONDS
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return min(max(seconds, 0.0), RETRY_AFTER_MOST_S)


def request_id(headers: Mapping[str, str], secrets: tuple[str, ...] = ()) -> str | None:
    """Return the cloud's request id, if it is one."""
    value = headers.get("X-Request-Id")
    if value is None or _REQUEST_ID.fullmatch(value) is None or masked(value, secrets) != value:
        return None
    return value
