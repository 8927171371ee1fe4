"""What a job request gets that it does not say: the account, and that account's region.

Filled in once, when the request is taken in, and part of its content from then on.  So every
door must use the same values, and what a stored job means never depends on who reads it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final


def _no_region(_profile: str | None) -> str | None:
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Defaults:
    """The account and the region of requests that name none.

    Attributes:
        profile: The selected profile; None leaves it to the worker.
        region_of: The region of a profile's jobs, None where it is not known; asked with None
            for requests without a profile.
    """

    profile: str | None = None
    region_of: Callable[[str | None], str | None] = _no_region


NO_DEFAULTS: Final = Defaults()
