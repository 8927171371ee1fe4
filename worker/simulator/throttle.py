"""Refuse what is over the limit: a strict sliding second for each credential, and a daily quota.

Strict means: in no second, wherever it starts, are more than `limit` requests let through.
A request that is refused does not count.
"""

from collections import defaultdict, deque
from dataclasses import dataclass
from typing import Final

from jobs.clock import MICROSECONDS

WINDOW_US: Final = MICROSECONDS
_DAY_US: Final = 86_400 * MICROSECONDS


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why a request was not let through; ``wait_s`` is None when it is the day's quota."""

    message: str
    wait_s: int | None


class Throttle:
    """The requests let through lately, by credential."""

    def __init__(self) -> None:
        self._lately: defaultdict[str, deque[int]] = defaultdict(deque)
        self._today: defaultdict[str, int] = defaultdict(int)
        self._day = -1

    def refusal(
        self, credential: str, now_us: int, *, limit: int | None, daily_quota: int | None
    ) -> Refusal | None:
        """Let one request through, or say why not."""
        if daily_quota is not None and self._spent(credential, now_us) >= daily_quota:
            return Refusal(message="Daily quota exhausted", wait_s=None)
        if limit is not None:
            lately = self._lately[credential]
            while lately and lately[0] <= now_us - WINDOW_US:
                lately.popleft()
            if len(lately) >= limit:
                message = (
                    "The throttling threshold has been reached: "
                    f"policy user over ratelimit,limit:{limit},time:1 second"
                )
                return Refusal(message=message, wait_s=1)
            lately.append(now_us)
        if daily_quota is not None:
            self._today[credential] += 1
        return None

    def _spent(self, credential: str, now_us: int) -> int:
        day = now_us // _DAY_US
        if day != self._day:
            self._day = day
            self._today.clear()
        return self._today[credential]
