"""Check SDK-HMAC-SHA256 signatures as the gateway does: from the bytes that arrived.

The list of signed headers comes from the request itself.  One client signs everything it
sends, another adds project and security token afterwards, unsigned; both are right.

Source:
    API Request Signing Guide; what the guide leaves open (a stray ``&``, an empty value, a
    body of another type than JSON) follows what the well-known clients send.
"""

import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from urllib.parse import quote_from_bytes, unquote_to_bytes

from jobs.clock import MICROSECONDS
from worker.simulator.asked import Asked

DATE: Final = "X-Sdk-Date"
CONTENT: Final = "X-Sdk-Content-Sha256"
UNSIGNED: Final = "UNSIGNED-PAYLOAD"
_NAME: Final = "SDK-HMAC-SHA256"
_DATE_FORM: Final = "%Y%m%dT%H%M%SZ"
_CLAIM: Final = re.compile(
    rf"{_NAME} +Access=([\w-]{{1,128}}), *SignedHeaders=([\w;-]+), *Signature=([0-9a-f]{{64}})",
    re.ASCII,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What an ``Authorization`` header says; header names are in lower case, as they are listed."""

    access: str
    names: tuple[str, ...]
    signature: str


def claim_of(authorization: str) -> Claim | None:
    """Return what the header claims, None when it is of another form or algorithm."""
    found = _CLAIM.fullmatch(authorization.strip())
    if found is None:
        return None
    access, names, signature = found.groups()
    return Claim(access=access, names=tuple(names.lower().split(";")), signature=signature)


def signed_us(headers: Mapping[str, str]) -> int | None:
    """Return the instant the request says it was signed at, None when it says none."""
    try:
        moment = datetime.strptime(headers.get(DATE, ""), _DATE_FORM).replace(tzinfo=UTC)
    except ValueError:
        return None
    return int(moment.timestamp()) * MICROSECONDS


def stamp(instant_us: int) -> str:
    """Return the instant as signatures are dated."""
    return datetime.fromtimestamp(instant_us // MICROSECONDS, tz=UTC).strftime(_DATE_FORM)


def is_signed(claim: Claim, asked: Asked, secret: str) -> bool:
    """Whether the claimed signature was made with *secret* over this very request."""
    if DATE.lower() not in claim.names or any(name not in asked.headers for name in claim.names):
        return False
    date = asked.headers[DATE].strip(" \t")
    for content in _contents(asked):
        told = hashlib.sha256(canonical(claim, asked, content)).hexdigest()
        text = f"{_NAME}\n{date}\n{told}".encode()
        made = hmac.new(secret.encode(), text, hashlib.sha256).hexdigest()
        if hmac.compare_digest(made, claim.signature):
            return True
    return False


def canonical(claim: Claim, asked: Asked, content: str | None = None) -> bytes:
    """Return the request in the form that is signed; *content* stands for its body."""
    path, _, query = asked.raw_path.partition("?")
    headers = [
        f"{name}:{asked.headers.get(name, '').strip(chr(32) + chr(9))}\n" for name in claim.names
    ]
    lines = (
        asked.method,
        _path(path),
        _query(query),
        "".join(headers),
        ";".join(claim.names),
        content or (_contents(asked) or ("",))[0],
    )
    # A header's bytes that are no UTF-8 arrive as surrogates.
    return "\n".join(lines).encode("utf-8", "surrogateescape")


def _contents(asked: Asked) -> tuple[str, ...]:
    """Return what may stand for the body; nothing when the request contradicts itself."""
    body = asked.body or b""
    digest = hashlib.sha256(body).hexdigest()
    declared = asked.headers.get(CONTENT)
    if declared is None or declared == digest:
        return (digest,)
    if declared != UNSIGNED:
        return ()
    # The official SDK declares an absent body unsigned and signs its digest all the same.
    return (UNSIGNED,) if body else (UNSIGNED, digest)


def _path(path: str) -> str:
    """Return the path with every segment encoded once; it ends with a slash, sent or not."""
    segments = unquote_to_bytes(path).split(b"/")
    encoded = "/".join(_quoted(segment) for segment in segments)
    return encoded if encoded.endswith("/") else f"{encoded}/"


def _query(query: str) -> str:
    """Return the query sorted by name and value, each encoded once; a bare name gets its ``=``."""
    pairs = []
    for part in filter(None, query.split("&")):
        name, _, value = part.replace("+", " ").partition("=")
        pairs.append((unquote_to_bytes(name), unquote_to_bytes(value)))
    return "&".join(f"{_quoted(name)}={_quoted(value)}" for name, value in sorted(pairs))


def _quoted(text: bytes) -> str:
    return quote_from_bytes(text, safe="~")
