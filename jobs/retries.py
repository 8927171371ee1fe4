"""When to try again after a failure: exponential backoff with full jitter."""

import random
from dataclasses import dataclass
from typing import Final

BASE_S: Final = 0.5
"""First bound; doubles with each failure in a row."""

CEILING_S: Final = 30.0

RETRY_AFTER_CEILING_S: Final = 900.0
"""A server's wish is honoured up to 15 minutes; beyond that the scope is parked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """How waits grow; ``jitter`` takes anything from nothing to the wait."""

    first_s: float = BASE_S
    factor: float = 2.0
    max_s: float = CEILING_S
    jitter: bool = True


USUAL: Final = Backoff()


def backoff_s(
    failures: int,
    rng: random.Random,
    *,
    retry_after_s: float | None = None,
    backoff: Backoff = USUAL,
) -> float:
    """Return the wait in seconds after that many failures in a row, counting from 1.

    Uniform between zero and ``first * factor ** (failures - 1)``, never above the longest
    wait.  A server's own ``Retry-After`` wins when it asks for more.

    Source:
        Full jitter: Brooker, "Exponential Backoff and Jitter", AWS, 2015.
        Retry-After: RFC 9110, section 10.2.3.
    """
    grown = min(max(failures, 1) - 1, 100)  # a factor of at most 100 stays far from overflow
    wait = min(backoff.first_s * backoff.factor**grown, backoff.max_s)
    if backoff.jitter:
        wait *= rng.random()
    if retry_after_s is None:
        return wait
    return max(wait, min(retry_after_s, RETRY_AFTER_CEILING_S))
