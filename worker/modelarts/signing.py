"""Sign a request with SDK-HMAC-SHA256: values in, headers out.

The signature covers the request as it is sent: path and query are taken from the finished
URL, the body is hashed as the bytes that leave.  Canonical is not the same as sent: the
signed path always ends in a slash, and the signed query is sorted and encoded anew.

The key is the plain secret; nothing is derived from it, and region and service do not
matter.  A gateway takes the list of covered headers from the signature and demands only
``X-Sdk-Date`` in it; we cover every header that we pass here.

Source: cloud API notes, section 6.2; vectors made by the official SDK.
"""

import hashlib
import hmac
import re
import time
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Final
from urllib.parse import quote_from_bytes, unquote_to_bytes

from yarl import URL

from jobs.clock import MICROSECONDS
from worker.modelarts.keys import AccessKey

ALGORITHM: Final = "SDK-HMAC-SHA256"
DATE_HEADER: Final = "X-Sdk-Date"
CONTENT_HEADER: Final = "X-Sdk-Content-Sha256"
TOKEN_HEADER: Final = "X-Security-Token"  # noqa: S105 - the name of a header
UNSIGNED: Final = "UNSIGNED-PAYLOAD"
"""The value of CONTENT_HEADER with which the SDK leaves bodies other than JSON unsigned; we
always sign the body's hash and only know it to agree with the SDK."""

EMPTY_HASH: Final = hashlib.sha256(b"").hexdigest()

_PLAIN_PATH: Final = re.compile(r"[A-Za-z0-9._~/-]*", re.ASCII)


def sign(
    method: str,
    url: URL,
    headers: Mapping[str, str],
    body: bytes,
    key: AccessKey,
    now_us: int,
) -> dict[str, str]:
    """Return *headers* with those that prove who sends the request.

    Args:
        method: Upper-case HTTP method.
        url: The finished URL, encoded as it will be sent.
        headers: What the signature covers beside its own; values are sent trimmed.  Names with
            an underscore are passed on and not covered, as in the SDK.
        body: The exact bytes that will be sent; empty when there is none.
        key: Who signs.
        now_us: The signature's date, in microseconds since 1970 (UTC).
    """
    sent = {name: value.strip() for name, value in headers.items()}
    if not any(name.lower() == "host" for name in sent):
        sent["Host"] = url.host_port_subcomponent or ""
    sent[DATE_HEADER] = date = _date(now_us // MICROSECONDS)
    if key.security_token is not None:
        sent[TOKEN_HEADER] = key.security_token.reveal()
    covered = sorted([(name.lower(), value) for name, value in sent.items() if "_" not in name])
    canonical = canonical_request(method, url, covered, body)
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    signature = hmac.digest(
        key.secret.reveal().encode(), f"{ALGORITHM}\n{date}\n{digest}".encode(), "sha256"
    ).hex()
    names = ";".join([name for name, _ in covered])
    sent["Authorization"] = (
        f"{ALGORITHM} Access={key.access.reveal()}, SignedHeaders={names}, Signature={signature}"
    )
    return sent


def canonical_request(
    method: str, url: URL, covered: Iterable[tuple[str, str]], body: bytes
) -> str:
    """Return the text of which the hash is signed.

    Args:
        method: Upper-case HTTP method.
        url: As it will be sent.
        covered: Lower-case names with trimmed values, sorted by name.
        body: As it will be sent.
    """
    pairs = list(covered)
    lines = "".join([f"{name}:{value}\n" for name, value in pairs])
    names = ";".join([name for name, _ in pairs])
    path, query = canonical_path(url.raw_path), canonical_query(url.raw_query_string)
    return f"{method}\n{path}\n{query}\n{lines}\n{names}\n{_payload(pairs, body)}"


def canonical_path(raw_path: str) -> str:
    """Return the path with its segments encoded anew and a slash at its end."""
    path = raw_path
    if _PLAIN_PATH.fullmatch(path) is None:
        path = quote_from_bytes(unquote_to_bytes(path), safe="/~")
    return path if path.endswith("/") else path + "/"


def canonical_query(raw_query: str) -> str:
    """Return the query sorted by name, then value, with everything but A-Za-z0-9-_.~ encoded.

    Sorted is what the names and values are, byte by byte, not how they are encoded.  A plus
    sign is a space, as servers read it; an empty value keeps its equals sign.
    """
    if not raw_query:
        return ""
    pairs = [part.partition("=") for part in raw_query.split("&") if part]
    decoded = sorted([(_decoded(name), _decoded(value)) for name, _, value in pairs])
    return "&".join([f"{_encoded(name)}={_encoded(value)}" for name, value in decoded])


def _decoded(text: str) -> bytes:
    return unquote_to_bytes(text.replace("+", " "))


def _encoded(raw: bytes) -> str:
    return quote_from_bytes(raw, safe="~")


def _payload(pairs: Iterable[tuple[str, str]], body: bytes) -> str:
    if not body:
        return EMPTY_HASH
    named = CONTENT_HEADER.lower()
    told = next((value for name, value in pairs if name == named and value), None)
    return told or hashlib.sha256(body).hexdigest()


@lru_cache(8)
def _date(second: int) -> str:
    return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(second))
