"""Make foreign text harmless: one line, no control or direction characters, bounded."""

from typing import Final

LINE_LIMIT: Final = 300
"""Characters of a message that are kept."""


def clean_line(text: str, limit: int = LINE_LIMIT) -> str:
    """Return *text* as one line of at most *limit* characters, fit for logs and terminals.

    What Python calls unprintable becomes a space: C0 and C1 controls, bidi marks, invisible
    and unassigned characters, lone surrogates, and spaces of other kinds.
    """
    if len(text) <= limit and text.isprintable():
        return text
    shown = "".join(char if char.isprintable() else " " for char in text[: 4 * limit])
    line = " ".join(shown.split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


def masked(text: str, secrets: tuple[str, ...]) -> str:
    """Return *text* without any of the exact *secrets*."""
    for secret in secrets:
        text = text.replace(secret, "***")
    return text
