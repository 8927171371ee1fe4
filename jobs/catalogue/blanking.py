"""Blank out of a text what differs from case to case, so that equal failures look equal.

Ids, numbers, addresses, names, times and quoted values all become ``<*>``; one mark for all
of them, because whether a short id looks like a number is chance.  The result depends on the
text alone, so it is the same in every process, and it shows nothing of whose failure it was.
"""

import re
from collections.abc import Iterable
from typing import Final

from jobs.catalogue.entries import LOOKED_AT

BLANK: Final = "<*>"

KEPT: Final = 160
"""Characters of the blanked text that are kept.

The cloud's texts are cut at 300 characters before they get here.  What was blanked may have
been longer in one text than in another, so their last parts differ for no reason.
"""

_TIME: Final = r"\d{1,2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?:Z|[+-]\d{2}:?\d{2})?"

_STEPS: Final = tuple(
    re.compile(pattern, re.ASCII | re.IGNORECASE)
    for pattern in (
        # Quoted values; a quote that was cut off holds the rest.
        r'"[^"]*"?|`[^`]*`?|(?<!\w)\'[^\']*\'(?!\w)|\u201c[^\u201d]*\u201d?|\u300c[^\u300d]*\u300d?',
        # Addresses of the web; then paths and images: a slash in a word with a dot, colon or digit.
        r"[a-z][a-z0-9+.-]{0,30}://[^\s,;<>]+",
        r"(?<![\w/])(?=[^\s,;<>]*[a-z])(?=[^\s,;<>]*[.:\d])[\w.:@-]*(?:/[\w.:@%-]+)+",
        rf"\b\d{{4}}-\d{{2}}-\d{{2}}(?:[T ]{_TIME})?|\b\d{{1,2}}:\d{{2}}:\d{{2}}(?:\.\d+)?\b",
        # Names: by how they begin, and by the word before them.
        r"\b(?:pool|project|node|user|domain|network)[-_][\w.-]*\w",
        r"(?:(?<=\bpool )|(?<=\bproject )|(?<=template ))[\w.-]*[-_.][\w.-]*\w",
        # IPv4 with its port, IPv6.
        r"\b(?:\d{1,3}\.){3}\d{1,3}(?::\d+)?\b",
        r"(?<![\w:])(?:[0-9a-f]{0,4}:){2,7}[0-9a-f]{1,4}\b",
        # Hexadecimal; an English word of eight such letters is rarer than an id without a digit.
        r"(?<![\w.-])[0-9a-f]{8,}(?![\w-])",
        # Whatever else has a digit in it, but for the names of a few standards.
        r"(?<![\w.-])(?!(?:x509|k8s|ipv4|ipv6|http2|oauth2|sha256)\b)[\w.+-]*\d(?:[\w.-]*\w)?%?",
    )
)
"""In this order: what may hold other things comes before what it holds."""


def blanked(text: str, names: Iterable[str] = ()) -> str:
    """Return *text* in lower case, with everything blanked that tells whose case it was.

    Args:
        text: One line, as the cloud said it.
        names: Names that the caller knows to be particular, such as this pool's and project's.
    """
    told = " ".join(text[:LOOKED_AT].split())
    told = _without(told, names)
    for pattern in _STEPS:
        told = BLANK.join(pattern.sub(BLANK, part) for part in told.split(BLANK))
    told = told.lower().rstrip(" .!\u3002\u2026")
    return told if len(told) <= KEPT else told[:KEPT].rstrip() + "\u2026"


def _without(text: str, names: Iterable[str]) -> str:
    known = sorted({name for name in names if len(name) > 1}, key=lambda name: (-len(name), name))
    if not known:
        return text
    either = "|".join(re.escape(name) for name in known)
    return re.sub(rf"(?<![\w-])(?:{either})(?![\w-])", BLANK, text, flags=re.IGNORECASE)
