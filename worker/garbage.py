"""How often Python looks for circular garbage while a worker runs."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

GARBAGE_AFTER: Final = 200_000
"""Objects made and not let go of before Python looks for circles among them."""


@contextmanager
def collected_rarely() -> Iterator[None]:
    """Look for circular garbage seldom: the hot path makes none.

    By default Python walks over every held job again and again, a tenth of all CPU time with
    two thousand of them.  What is there at the start, modules above all, is never walked over.
    """
    before = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(GARBAGE_AFTER, 20, 100)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()
