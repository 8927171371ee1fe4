"""How far a reader of all events has come."""

import re
from dataclasses import dataclass
from typing import Final, Self

_CURSOR: Final = re.compile(r"([0-9]{1,18})-([0-9]{1,18})", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class EventCursor:
    """How far a reader of all events has come; the first cursor is before everything.

    The numbers mean something to one store alone.  As text, ``xid-seq``, a reader keeps it
    wherever it likes; each reader has its own, so a slow one holds nobody up.
    """

    xid: int = 0
    seq: int = 0

    def __str__(self) -> str:
        return f"{self.xid}-{self.seq}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the cursor that ``str`` wrote.

        Raises:
            ValueError: If it is none.
        """
        match = _CURSOR.fullmatch(text)
        if match is None:
            raise ValueError("a cursor is two numbers, such as 0-4711")
        return cls(xid=int(match[1]), seq=int(match[2]))
