"""The truth about what was asked and what it did: one line for each request, never changed.

A checker reads it to find a request that was sent twice, an effect nobody asked for or two
operations on one pool at the same time.  A line is written before its answer leaves, so
whoever has an answer finds its line.  Inputs are never in it, only their SHA-256.

With a file every line is on it and only the latest are also in memory; without one the
oldest are forgotten.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import orjson

KEPT: Final = 100_000
"""Lines held in memory, about 50 MB."""


class Journal:
    """An append-only log of requests, numbered from 1."""

    def __init__(self, path: Path | None = None, *, kept: int = KEPT) -> None:
        self._path = path
        self._lines: deque[tuple[int, bytes]] = deque(maxlen=kept)
        self._seq = 0
        self._file = None
        if path is not None:
            self._seq = _last_seq(path)
            # Open as long as the journal is.  Unbuffered: a line written is a line others can read.
            self._file = path.open("ab", buffering=0)

    @property
    def last_seq(self) -> int:
        """The number of the latest line; 0 before the first."""
        return self._seq

    def append(self, entry: Mapping[str, Any]) -> int:
        """Write *entry* as the next line and return its number."""
        self._seq += 1
        line = orjson.dumps({"seq": self._seq, **entry}, option=orjson.OPT_APPEND_NEWLINE)
        if self._file is not None:
            self._file.write(line)
        self._lines.append((self._seq, line))
        return self._seq

    def lines(self, after: int = 0) -> Iterator[bytes]:
        """Yield the lines numbered above *after*, oldest first."""
        held_from = self._lines[0][0] if self._lines else self._seq + 1
        if self._path is not None and after + 1 < held_from:
            yield from _between(self._path, after, held_from)
        for seq, line in self._lines:
            if seq > after:
                yield line

    def entries(self, after: int = 0) -> list[dict[str, Any]]:
        """Return the lines numbered above *after*, decoded."""
        return [orjson.loads(line) for line in self.lines(after)]

    def close(self) -> None:
        """Close the file; what is in memory can still be read."""
        if self._file is not None:
            self._file.close()
            self._file = None


def _between(path: Path, after: int, before: int) -> Iterable[bytes]:
    with path.open("rb") as file:
        for line in file:
            if after < _seq_of(line) < before:
                yield line


def _last_seq(path: Path) -> int:
    """Return the highest number in the file, after ending a line that a kill cut off."""
    if not path.exists():
        return 0
    last = 0
    cut = False
    with path.open("rb") as file:
        for line in file:
            last = max(last, _seq_of(line))
            cut = not line.endswith(b"\n")
    if cut:
        with path.open("ab") as file:
            file.write(b"\n")
    return last


def _seq_of(line: bytes) -> int:
    """Return the line's number, 0 for a line that a kill cut off."""
    try:
        return int(orjson.loads(line)["seq"])
    except (ValueError, KeyError, TypeError):
        return 0
