"""Lines of a binary file, in constant memory however long a line is."""

import codecs
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO, Final

LINE_LIMIT_BYTES: Final = 256 * 1024
"""A longer line, or CSV record, is not taken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A line, or a piece of one.

    Attributes:
        number: Counts lines from 1; pieces of one line share it.
        raw: Without the line's end.
        whole: Whether this is all of the line.
        last: Whether the line ends with this piece.
    """

    number: int
    raw: bytes = field(repr=False)
    whole: bool = True
    last: bool = True
