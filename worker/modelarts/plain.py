"""Read the usual answer of a server from its bytes: one whole message of known length.

Nearly every answer is of this kind, and taking it apart here costs a tenth of what aiohttp's
parser, queue and stream need for it (6 µs for 60).  Whatever is not exactly of this kind is
left to aiohttp: half a head, interim answers, chunks, compression, a body without a length or
a large one, a closing connection, folded or foreign header lines, anything after the end.
"""

import re
from enum import Enum
from typing import Final, NamedTuple

from multidict import CIMultiDict

MOST_BYTES: Final = 256 * 1024
"""Larger answers are left to aiohttp, which does not put their pieces together again and again."""

MOST_HEAD_BYTES: Final = 8 * 1024
"""aiohttp refuses longer lines; so a longer head is left to it."""

_HEAD: Final = re.compile(
    rb"HTTP/1\.1 ([2-5][0-9][0-9])(?: [\t\x20-\x7e]*)?\r\n"
    rb"((?:[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t\x20-\x7e]*\r\n)+)\r\n"
)
"""A status line and plain ASCII header lines (RFC 9112, sections 4 and 5)."""

_OTHERWISE: Final = ("Transfer-Encoding", "Content-Encoding", "Upgrade")
"""Headers that make an answer end, or mean, something else than its length says."""

_WITHOUT_BODY: Final = frozenset({204, 304})


class Plain(NamedTuple):
    """A whole answer."""

    status: int
    headers: CIMultiDict[str]
    body: bytes


class Unread(Enum):
    """Why there is no answer."""

    INCOMPLETE = "incomplete"  # the head is plain, and more of the body is to come
    UNUSUAL = "unusual"  # aiohttp must read it: what is there, and what may come


def plain_answer(data: bytes) -> Plain | Unread:
    """Return the answer that *data* is from its first to its last byte, or why it is none."""
    found = _HEAD.match(data)
    if found is None:
        return Unread.UNUSUAL
    status, begin = int(found[1]), found.end()
    headers = _headers(found[2])
    length = _length(headers)
    if length is None or status in _WITHOUT_BODY or begin > MOST_HEAD_BYTES:
        return Unread.UNUSUAL
    missing = begin + length - len(data)
    if missing > 0:
        return Unread.INCOMPLETE
    return Plain(status, headers, data[begin:]) if missing == 0 else Unread.UNUSUAL


def _headers(lines: bytes) -> CIMultiDict[str]:
    """Return the headers as aiohttp would."""
    headers: CIMultiDict[str] = CIMultiDict()
    for line in lines.decode("ascii").split("\r\n")[:-1]:
        name, _, value = line.partition(":")
        headers.add(name, value.strip(" \t"))
    return headers


def _length(headers: CIMultiDict[str]) -> int | None:
    """Return how long the body is; None when that is not told once and by a length alone."""
    told = headers.getall("Content-Length", ())
    if len(told) != 1 or not told[0].isdecimal() or len(told[0]) > len(str(MOST_BYTES)):
        return None
    for name in _OTHERWISE:
        if name in headers:
            return None
    if headers.get("Connection", "keep-alive").lower() != "keep-alive":
        return None
    length = int(told[0])
    return length if length <= MOST_BYTES else None
