"""Seeded chance that depends on what is drawn for, never on the order of drawing.

The n-th write to a pool meets the same fault in every run with the same seed, however
many requests travel side by side.  That is why there is no stream of random numbers here.
"""

import hashlib
from array import array
from collections.abc import Sequence
from typing import Final

_BYTES: Final = 6
_SPAN: Final = 2.0 ** (8 * _BYTES)


def chance(*parts: object) -> float:
    """Return a number from 0 up to but not including 1, always the same for the same parts."""
    text = "/".join(map(str, parts)).encode()
    digest = hashlib.blake2b(text, digest_size=_BYTES).digest()
    return int.from_bytes(digest, "big") / _SPAN


def hexadecimal(*parts: object, digits: int = 32) -> str:
    """Return that many hex digits (at most 64), the first of a SHA-256 over the parts."""
    return hashlib.sha256("/".join(map(str, parts)).encode()).hexdigest()[:digits]


def spread(count: int, *parts: object) -> Sequence[float]:
    """Return *count* numbers between 0 and 1, evenly spread and seeded in order.

    Exactly ``round(fraction * count)`` of them lie below *fraction*, so that "10 % of 20
    pools" are two pools and not one or four.
    """
    order = sorted(range(count), key=lambda number: chance(*parts, number))
    numbers = array("d", bytes(8 * count))
    for rank, number in enumerate(order):
        numbers[number] = (rank + 0.5) / count
    return numbers
