"""When to try again after a failure: exponential backoff with full jitter."""

import random
from typing import Final

BASE_S: Final = 0.5
"""First bound; doubles with each failure in a row."""

CEILING_S: Final = 30.0

RETRY_AFTER_CEILING_S: Final = 900.0
"""A server's wish is honoured up to 15 minutes; beyond that the scope is parked."""


def backoff_s(failures: int, rng: random.Random, *, retry_after_s: float | None = None) -> float:
    """Return the wait in seconds after that many failures in a row, counting from 1.

    Uniform between zero and ``BASE_S * 2 ** (failures - 1)``, never above CEILING_S.  A
    server's own ``Retry-After`` wins when it asks for more.

    Source:
        Full jitter: Brooker, "Exponential Backoff and Jitter", AWS, 2015.
        Retry-After: RFC 9110, section 10.2.3.
    """
    doublings = min(max(failures, 1) - 1, 10)  # 2**10 is past the ceiling
    bound = min(BASE_S * (1 << doublings), CEILING_S)
    wait = bound * rng.random()
    if retry_after_s is None:
        return wait
    return max(wait, min(retry_after_s, RETRY_AFTER_CEILING_S))
