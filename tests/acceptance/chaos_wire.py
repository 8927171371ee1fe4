"""HTTP/1.1 as the chaos cloud speaks it: cut requests out of bytes, put answers into bytes.

Nothing here knows about pools, faults or sockets.  Only what a client of this API sends is
understood: a request line, headers, and a body with ``Content-Length``.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qsl, unquote, urlsplit

HEAD_END: Final = b"\r\n\r\n"
HEAD_LIMIT_BYTES: Final = 64 * 1024

REASONS: Final[Mapping[int, str]] = {
    200: "OK",
    400: "Bad Request",
    404: "Not Found",
    409: "Conflict",
    415: "Unsupported Media Type",
    429: "Too Many Requests",
    500: "Internal Server Error",
    502: "Bad Gateway",
    504: "Gateway Timeout",
}


class BadWireError(ValueError):
    """The bytes are not a request this server understands."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """A request without its body; *path* is decoded, *segments* are its parts."""

    method: str
    path: str
    segments: tuple[str, ...]
    query: Mapping[str, str]
    headers: Mapping[str, str]
    length: int
    """Length of the head in bytes, the blank line included."""

    body_length: int

    @property
    def closes(self) -> bool:
        """Whether the client asks for the connection to end after this request."""
        return self.headers.get("connection", "").lower() == "close"


def parse_head(data: bytes) -> Head | None:
    """Return the head that *data* begins with, or None while it is not whole.

    Raises:
        BadWireError: If it is too long, malformed, or its body has no stated length.
    """
    end = data.find(HEAD_END)
    if end < 0:
        if len(data) > HEAD_LIMIT_BYTES:
            raise BadWireError("head too long")
        return None
    first, *rest = data[:end].decode("latin-1").split("\r\n")
    parts = first.split(" ")
    if len(parts) != 3 or not parts[2].startswith("HTTP/1."):
        raise BadWireError(f"not a request line: {first[:80]!r}")
    headers: dict[str, str] = {}
    for line in rest:
        name, colon, value = line.partition(":")
        if not colon or name != name.strip():
            raise BadWireError("malformed header")
        headers[name.lower()] = value.strip()
    if "transfer-encoding" in headers:
        raise BadWireError("a body must have Content-Length")
    length = headers.get("content-length", "0")
    if not length.isdecimal():
        raise BadWireError("malformed Content-Length")
    url = urlsplit(parts[1])
    return Head(
        method=parts[0],
        path=unquote(url.path),
        segments=tuple(unquote(part) for part in url.path.split("/")[1:]),
        query=dict(parse_qsl(url.query, keep_blank_values=True)),
        headers=headers,
        length=end + len(HEAD_END),
        body_length=int(length),
    )


def answer(
    status: int,
    body: bytes,
    *,
    request_id: str | None,
    content_type: str = "application/json",
    headers: Mapping[str, str] | None = None,
    stated_length: int | None = None,
) -> bytes:
    """Return a whole answer; *stated_length* lets Content-Length lie."""
    lines = [
        f"HTTP/1.1 {status} {REASONS.get(status, 'Unknown')}",
        f"Content-Type: {content_type}",
        f"Content-Length: {len(body) if stated_length is None else stated_length}",
    ]
    if request_id is not None:
        lines.append(f"X-Request-Id: {request_id}")
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    return "\r\n".join(lines).encode("ascii") + HEAD_END + body


def as_json(value: Any) -> bytes:
    """Return *value* as JSON bytes."""
    return json.dumps(value).encode()


def error_body(code: str, message: str, request_id: str | None = None) -> bytes:
    """Return an error as ModelArts says it (no id inside) or as its gateway does (id inside)."""
    told = {"error_code": code, "error_msg": message}
    return as_json(told if request_id is None else {**told, "request_id": request_id})
