"""Refuse what is over the limit: the kinds of limit that gateways have, and a daily quota.

    sliding   in no window, wherever it starts, are more than the limit let through
    fixed     windows stand beside each other; each begins empty
    bucket    tokens come evenly, as many as a window may hold are kept

A request that is refused does not count.  Kind, limit and window may change while it runs: what
was let through before still counts.
"""

from collections import defaultdict, deque
from dataclasses import dataclass
from typing import Final, Literal

from jobs.clock import MICROSECONDS

LimitKind = Literal["sliding", "fixed", "bucket"]
LimitScope = Literal["user", "project"]

_DAY_US: Final = 86_400 * MICROSECONDS


@dataclass(frozen=True, slots=True, kw_only=True)
class Permitted:
    """What is let through: *limit* requests in *window_s* seconds, counted as *kind* says."""

    limit: int
    window_s: float = 1.0
    kind: LimitKind = "sliding"
    scope: LimitScope = "user"
    named: bool = True
    """Whether a refusal tells limit and window."""

    @property
    def window_us(self) -> int:
        """The window in microseconds."""
        return round(self.window_s * MICROSECONDS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why a request was not let through; ``wait_s`` is None when it is the day's quota."""

    message: str
    wait_s: int | None


@dataclass(slots=True)
class _Counted:
    """What was let through for one of those who are counted."""

    lately: deque[int]
    tokens: float = -1.0
    filled_us: int = 0


class Throttle:
    """The requests let through lately, by who is counted."""

    def __init__(self) -> None:
        self._counted: defaultdict[tuple[LimitScope, str], _Counted] = defaultdict(
            lambda: _Counted(lately=deque())
        )
        self._today: defaultdict[str, int] = defaultdict(int)
        self._day = -1

    def refusal(
        self,
        credential: str,
        now_us: int,
        *,
        permitted: Permitted | None,
        daily_quota: int | None,
        project: str = "",
    ) -> Refusal | None:
        """Let one request of *credential* in *project* through, or say why not."""
        if daily_quota is not None and self._spent(credential, now_us) >= daily_quota:
            return Refusal(message="Daily quota exhausted", wait_s=None)
        if permitted is not None:
            who = credential if permitted.scope == "user" else project
            if not _admits(self._counted[permitted.scope, who], permitted, now_us):
                wait_s = max(1, round(permitted.window_s))
                return Refusal(message=_message(permitted), wait_s=wait_s)
        if daily_quota is not None:
            self._today[credential] += 1
        return None

    def _spent(self, credential: str, now_us: int) -> int:
        day = now_us // _DAY_US
        if day != self._day:
            self._day = day
            self._today.clear()
        return self._today[credential]


def _message(permitted: Permitted) -> str:
    message = "The throttling threshold has been reached"
    if not permitted.named:
        return message
    seconds = f"{permitted.window_s:g}"
    window = "1 minute" if seconds == "60" else f"{seconds} second"
    named = f"limit:{permitted.limit},time:{window}"
    return f"{message}: policy {permitted.scope} over ratelimit,{named}"


def _admits(counted: _Counted, permitted: Permitted, now_us: int) -> bool:
    """Count one request if there is room for it; what was let through is kept for any kind."""
    window_us, lately = permitted.window_us, counted.lately
    while lately and lately[0] <= now_us - window_us:
        lately.popleft()
    room = _room(counted, permitted, now_us) >= 1.0
    if room:
        counted.tokens = max(0.0, counted.tokens - 1.0)
        lately.append(now_us)
    return room


def _room(counted: _Counted, permitted: Permitted, now_us: int) -> float:
    """Return how many requests may still pass at this instant."""
    tokens = _tokens(counted, permitted, now_us)
    match permitted.kind:
        case "sliding":
            return permitted.limit - len(counted.lately)
        case "fixed":
            begun_us = now_us - now_us % permitted.window_us
            return permitted.limit - sum(at_us >= begun_us for at_us in counted.lately)
        case "bucket":
            return tokens


def _tokens(counted: _Counted, permitted: Permitted, now_us: int) -> float:
    """Return the tokens there are now; a bucket begins full."""
    gained = (now_us - counted.filled_us) * permitted.limit / permitted.window_us
    kept = permitted.limit if counted.tokens < 0 else counted.tokens + gained
    counted.tokens = min(kept, float(permitted.limit))
    counted.filled_us = now_us
    return counted.tokens
