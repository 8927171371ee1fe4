"""The error codes that can reach this worker, as data.

The same digits occur with different statuses and mean different things there, so a code is
always read together with its status: the status decides, and SPECIAL lists the few places
where the digits say more.  The gateway's prefix differs by installation (``APIG.``,
``APIGW.``, ``APIC.``), so gateway codes are matched on their digits.

Source: cloud API notes, sections 5.2 (ModelArts resource management, seen in examples), 5.3
(the general ModelArts table) and 5.4 (the gateway's table).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from jobs.outcomes import Outcome


class Family(StrEnum):
    """Who speaks in an error envelope that we know."""

    MODELARTS = "modelarts"
    GATEWAY = "gateway"
    IAM = "iam"


@dataclass(frozen=True, slots=True)
class KnownCode:
    """One row of the published tables."""

    family: Family
    digits: str
    statuses: tuple[int, ...]
    meaning: str


_M = Family.MODELARTS
_G = Family.GATEWAY

KNOWN_CODES: Final = (
    KnownCode(_M, "50001000", (401,), "the token is invalid"),
    KnownCode(_M, "50004000", (400,), "bad request"),
    KnownCode(_M, "50004100", (400, 415), "content type not supported"),
    KnownCode(_M, "50005000", (500,), "internal error"),
    KnownCode(_M, "50005101", (404,), "no such plug-in template"),
    KnownCode(_M, "50015000", (409,), "the pool exists already"),
    KnownCode(_M, "50015001", (404,), "no such pool"),
    KnownCode(_M, "50025001", (404,), "no such network"),
    KnownCode(_M, "0201", (401,), "no token"),
    KnownCode(_M, "0202", (401,), "the token has expired"),
    KnownCode(_M, "0203", (401, 403), "the token is invalid"),
    KnownCode(_M, "0204", (400, 401), "the token cannot be parsed or has no project"),
    KnownCode(_M, "0207", (401,), "the token has no project"),
    KnownCode(_M, "0212", (401,), "the token has no project"),
    KnownCode(_M, "0108", (403,), "not authorised"),
    KnownCode(_M, "0206", (403,), "the access key is invalid"),
    KnownCode(_M, "0210", (400, 401, 403), "the project differs from the credential's"),
    KnownCode(_M, "2786", (404,), "the project does not match"),
    KnownCode(_M, "2890", (404,), "no such pool"),
    KnownCode(_M, "0101", (400,), "a parameter is wrong"),
    KnownCode(_M, "0104", (400,), "a parameter is wrong"),
    KnownCode(_M, "0118", (400,), "a quota does not allow it"),
    KnownCode(_M, "2887", (400,), "the pool is not running"),
    KnownCode(_M, "6355", (400,), "the pool is being initialised"),
    KnownCode(_M, "5044", (409,), "operations conflict"),
    KnownCode(_M, "2799", (429,), "too many requests"),
    KnownCode(_M, "4206", (429,), "too many requests"),
    KnownCode(_M, "4395", (429,), "too many requests"),
    KnownCode(_M, "6101", (429,), "too many requests"),
    KnownCode(_M, "5039", (500,), "too much traffic"),
    KnownCode(_M, "4302", (503,), "a service is not available"),
    KnownCode(_M, "4700", (503,), "a service is not available"),
    KnownCode(_M, "4503", (504,), "a service did not answer in time"),
    KnownCode(_G, "0101", (404, 405), "this endpoint has no such API"),
    KnownCode(_G, "0103", (500, 400, 404), "the gateway is not set up for this API"),
    KnownCode(_G, "0104", (500, 400, 404), "the gateway is not set up for this API"),
    KnownCode(_G, "0105", (500, 400, 404), "the gateway is not set up for this API"),
    KnownCode(_G, "0106", (500, 400, 404), "the gateway is not set up for this API"),
    KnownCode(_G, "0201", (400, 413, 414, 494, 500, 502, 504), "the gateway refused or failed"),
    KnownCode(_G, "0202", (502,), "the backend is not available"),
    KnownCode(_G, "0203", (504,), "the backend did not answer in time"),
    KnownCode(_G, "0301", (401,), "the credential was refused"),
    KnownCode(_G, "0302", (403,), "the user is not allowed to call this API"),
    KnownCode(_G, "0303", (401,), "the signature or its time was refused"),
    KnownCode(_G, "0304", (403,), "the app is not allowed to call this API"),
    KnownCode(_G, "0305", (401,), "the authentication was refused"),
    KnownCode(_G, "0306", (403,), "access to this API was refused"),
    KnownCode(_G, "0307", (401,), "the token has expired or is of another region"),
    KnownCode(_G, "0308", (429,), "over the rate limit"),
    KnownCode(_G, "0310", (403,), "the project is not available"),
    KnownCode(_G, "0401", (403,), "this address is not allowed"),
    KnownCode(_G, "0402", (403,), "this address is not allowed"),
    KnownCode(_G, "0405", (403,), "this address is not allowed"),
    KnownCode(_G, "0501", (405,), "the quota of this API is used up"),
    KnownCode(_G, "0502", (405,), "this API is frozen for the account"),
    KnownCode(_G, "0601", (500,), "internal error of the gateway"),
    KnownCode(_G, "0602", (400,), "the gateway refused the request"),
    KnownCode(_G, "0606", (500,), "internal error of the gateway"),
    KnownCode(_G, "0608", (500,), "internal error of the gateway"),
    KnownCode(_G, "0610", (502,), "no backend"),
    KnownCode(_G, "0613", (503,), "IAM is not available"),
    KnownCode(_G, "0802", (403,), "the IAM user is disabled in this region"),
)

SPECIAL: Final[Mapping[tuple[Family, str, int], Outcome]] = MappingProxyType(
    {
        (_M, "6355", 400): Outcome.POOL_NOT_READY,
        (_M, "2887", 400): Outcome.POOL_NOT_READY,
        (_G, "0101", 404): Outcome.NO_SUCH_API,
        (_G, "0101", 405): Outcome.NO_SUCH_API,
        # A gateway that is not set up for the API says so with 404 on some installations.
        (_G, "0103", 404): Outcome.NO_SUCH_API,
        (_G, "0104", 404): Outcome.NO_SUCH_API,
        (_G, "0105", 404): Outcome.NO_SUCH_API,
        (_G, "0106", 404): Outcome.NO_SUCH_API,
        # Used up or frozen for the whole account: trying the next job would change nothing.
        (_G, "0501", 405): Outcome.QUOTA_SPENT,
        (_G, "0502", 405): Outcome.QUOTA_SPENT,
    }
)
"""Where the digits say more than the status."""

BY_STATUS: Final[Mapping[int, Outcome]] = MappingProxyType(
    {
        403: Outcome.FORBIDDEN,
        408: Outcome.REQUEST_TIMEOUT,
        425: Outcome.REQUEST_TIMEOUT,
        409: Outcome.CONFLICT,
        **dict.fromkeys((413, 414, 415, 431, 494), Outcome.TOO_LARGE),
        **dict.fromkeys((499, 500, 502, 503, 504, *range(520, 530)), Outcome.SERVER_ERROR),
        501: Outcome.NOT_SUPPORTED,
        505: Outcome.NOT_SUPPORTED,
        **dict.fromkeys(range(300, 400), Outcome.REDIRECTED),
        **dict.fromkeys(range(200, 300), Outcome.UNREADABLE_SUCCESS),
    }
)
"""Where the status decides alone.  A 2xx that comes here is one that its reader refused."""

_PREFIXES: Final = (
    (re.compile(r"modelarts\.(\d{1,12})", re.ASCII | re.IGNORECASE), Family.MODELARTS),
    (re.compile(r"api(?:g|gw|c)\.(\d{1,12})", re.ASCII | re.IGNORECASE), Family.GATEWAY),
    (re.compile(r"iam\.(\d{1,12})", re.ASCII | re.IGNORECASE), Family.IAM),
)

_MEANINGS: Final = MappingProxyType({(one.family, one.digits): one.meaning for one in KNOWN_CODES})


def family_of(code: str) -> tuple[Family, str] | None:
    """Return whose code this is and its digits; None when it is nobody's we know."""
    for pattern, family in _PREFIXES:
        found = pattern.fullmatch(code)
        if found is not None:
            return family, found[1]
    return None


def meaning_of(code: str) -> str | None:
    """Return what the published tables say about *code*, such as ``APIGW.0308``; else None."""
    found = family_of(code)
    return None if found is None else _MEANINGS.get(found)
