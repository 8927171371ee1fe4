"""A labelled text on lines that fit the terminal, also in a script without spaces."""

import re
from typing import Final

from worker.cli.lazy import WIDTH
from worker.cli.printing import cells

_TOKEN: Final = re.compile(
    # A wide character or a word, with the closing marks that may not begin a line.
    "(?:[\u2e80-\uffff]|[^\\s\u2e80-\uffff]+)[\u3001\u3002\uff0c\uff1a\uff1b\uff09\u201d]*\\s*"
)


def labelled(label: str, text: str, *, indent: int, label_cells: int) -> list[str]:
    """Return *text* beside its label, wrapped so that no line is wider than WIDTH.

    A word that is wider than a line stands on one of its own.
    """
    space = " " * max(0, label_cells - cells(label))
    head, blank = " " * indent + label + space, " " * (indent + label_cells)
    first, *rest = wrapped(text, WIDTH - len(blank)) or ["-"]
    return [head + first, *(blank + line for line in rest)]


def wrapped(text: str, width: int) -> list[str]:
    """Return *text* as lines of at most *width* columns."""
    lines: list[str] = []
    line = ""
    for token in _TOKEN.findall(text):
        if line and cells(line + token.rstrip()) > width:
            lines.append(line.rstrip())
            line = ""
        line += token
    return [*lines, line.rstrip()] if line else lines
