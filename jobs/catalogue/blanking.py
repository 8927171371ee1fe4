"""Blank out of a text what differs from case to case, so that equal failures look equal.

Ids, numbers, addresses, names, times and quoted values become one word each, in angle
brackets.  The result depends on the text alone, so it is the same in every process, and it
shows nothing of whose failure it was.
"""

import re
from collections.abc import Iterable
from typing import Final

LOOKED_AT: Final = 2_000
"""Characters of a text that are read."""

KEPT: Final = 160
"""Characters of the blanked text that are kept.

The cloud's texts are cut at 300 characters before they get here.  What was blanked may have
been longer in one text than in another, so the last part of them differs for no reason.
"""

_MARK: Final = re.compile(r"(<(?:time|ip|path|id|n|value)>)")
_TIME: Final = r"\d{1,2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?:Z|[+-]\d{2}:?\d{2})?"

_STEPS: Final = tuple(
    (re.compile(pattern, re.ASCII | re.IGNORECASE), mark)
    for pattern, mark in (
        (r'"[^"]*"?|`[^`]*`?|(?<!\w)\'[^\']*\'(?!\w)', "<value>"),
        ("“[^”]*”?|‘[^’]*’(?![a-z])|「[^」]*」?", "<value>"),  # noqa: RUF001 - quotes of texts
        (r"[a-z][a-z0-9+.-]*://[^\s,;<>]+", "<path>"),
        (r"(?<![\w/])(?=[^\s,;<>]*[a-z])(?=[^\s,;<>]*[.:\d])[\w.:@-]*(?:/[\w.:@%-]+)+", "<path>"),
        (rf"\b\d{{4}}-\d{{2}}-\d{{2}}(?:[T ]{_TIME})?|\b\d{{1,2}}:\d{{2}}:\d{{2}}\b", "<time>"),
        (r"\b(?:\d{1,3}\.){3}\d{1,3}(?::\d+)?\b", "<ip>"),
        (r"(?<![\w:])(?:[0-9a-f]{0,4}:){2,7}[0-9a-f]{1,4}\b", "<ip>"),
        (r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", "<id>"),
        (r"\b(?:0x[0-9a-f]+|[0-9a-f]{8,})\b", "<id>"),
        (r"\b(?:pool|project|node|user|domain|network)[-_][\w.-]*\w", "<id>"),
        (r"(?<=\bpool )[\w.-]*[-_.][\w.-]*\w", "<id>"),
        (r"(?<=\btemplate )[\w.-]*[-_.][\w.-]*\w", "<id>"),
        (r"(?<=\bproject )[\w.-]*[-_.][\w.-]*\w", "<id>"),
        # A number with its unit, or a version; then whatever else has a digit in it.
        (r"(?<![\w<-])[+-]?v?\d+(?:[._,]\d+)*(?:[a-z]{1,3}|%)?(?![\w-])", "<n>"),
        (r"(?<![\w<.-])(?!(?:x509|k8s|ipv4|ipv6|http2|oauth2|sha256)\b)[\w.-]*\d[\w.-]*", "<id>"),
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
    for pattern, mark in _STEPS:
        told = _outside_marks(told, pattern, mark)
    told = told.lower().rstrip(" .。…!")  # noqa: RUF001 - how Chinese sentences end
    return told if len(told) <= KEPT else told[:KEPT].rstrip() + "…"


def _without(text: str, names: Iterable[str]) -> str:
    known = sorted({name for name in names if len(name) > 1}, key=lambda name: (-len(name), name))
    if not known:
        return text
    either = "|".join(re.escape(name) for name in known)
    return re.sub(rf"(?<![\w-])(?:{either})(?![\w-])", "<id>", text, flags=re.IGNORECASE)


def _outside_marks(text: str, pattern: re.Pattern[str], mark: str) -> str:
    """Replace in what no earlier step has marked."""
    parts = _MARK.split(text)
    return "".join(
        part if number % 2 else pattern.sub(mark, part) for number, part in enumerate(parts)
    )
