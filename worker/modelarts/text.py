"""Make foreign text harmless: one line, no control or direction characters, bounded."""

import re
from typing import Final

LINE_LIMIT: Final = 300
"""Characters of a message that are kept."""

_STRAY: Final = re.compile(
    "[\x00-\x20\x7f-\xa0\xad\u061c\u180e\u2000-\u200f\u2028-\u202f\u205f-\u206f\u3000"
    "\ud800-\udfff\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]+"
)
"""C0, C1, spaces of every width, bidi marks, invisible characters and lone surrogates."""


def clean_line(text: str, limit: int = LINE_LIMIT) -> str:
    """Return *text* as one line of at most *limit* characters, fit for logs and terminals."""
    if len(text) <= limit and text.isprintable():
        return text
    line = _STRAY.sub(" ", text[: 4 * limit]).strip()
    return line if len(line) <= limit else line[: limit - 1] + "…"


def masked(text: str, secrets: tuple[str, ...]) -> str:
    """Return *text* without any of the exact *secrets*."""
    for secret in secrets:
        text = text.replace(secret, "***")
    return text
