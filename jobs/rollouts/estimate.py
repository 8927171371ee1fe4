"""How long a plan takes and how many requests it makes: an honest range, not a promise.

Approvals, windows and gates of time are not in it, bakes are.  How long one pool takes is
not known before the first rollout, so a range is assumed and told.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from jobs.rollouts.strategy import Starts
from jobs.rollouts.timing import Poll

QUICK_S: Final = 60.0
SLOW_S: Final = 240.0
"""What one change takes, from and to; the cloud's guide speaks of minutes."""

CALLS_BESIDE_LOOKS: Final = 3
"""The read before, the send, and the versions on offer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WaveTime:
    """One wave: its jobs, how many at once, its bake in seconds (0 for the last)."""

    pools: int
    at_once: int
    bake_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """From and to, in seconds, and the requests of a typical run."""

    quick_s: float
    slow_s: float
    calls: int
    bake_s: float


def estimate(
    waves: Sequence[WaveTime],
    poll: Poll,
    settle_s: float,
    rate: float,
    starts: Starts | None = None,
) -> Estimate:
    """Return the estimate for the acting waves.

    Args:
        waves: In their order; empty ones take no time.
        poll: How often a change is looked at.
        settle_s: How long a success is watched.
        rate: Requests a second that are allowed.
        starts: The ramp of starts.
    """
    each = [CALLS_BESIDE_LOOKS + looks(poll, took + settle_s) for took in (QUICK_S, SLOW_S)]
    found = []
    for took, calls in zip((QUICK_S, SLOW_S), each, strict=True):
        found.append(sum(_wave_s(wave, took + settle_s, calls / rate, starts) for wave in waves))
    pools = sum(wave.pools for wave in waves)
    return Estimate(
        quick_s=found[0],
        slow_s=found[1],
        calls=round(pools * sum(each) / 2),
        bake_s=sum(wave.bake_s for wave in waves if wave.pools),
    )


def _wave_s(wave: WaveTime, job_s: float, turns_s: float, starts: Starts | None) -> float:
    if not wave.pools:
        return 0.0
    rounds = -(-wave.pools // max(1, wave.at_once))
    ramp = 0.0 if starts is None else _ramp_s(wave.pools, starts)
    return max(rounds * job_s, wave.pools * turns_s, ramp) + wave.bake_s


def _ramp_s(jobs: int, starts: Starts) -> float:
    """Return how long it takes to start that many jobs if all succeed."""
    per_minute, seconds = starts.per_minute, 0.0
    most = starts.max or per_minute * starts.factor**20
    while jobs > 0:
        step = min(jobs, starts.every_succeeded)
        seconds += step * 60 / per_minute
        jobs -= step
        per_minute = min(most, per_minute * starts.factor)
    return seconds


def looks(poll: Poll, seconds: float) -> int:
    """Return how often a change that takes *seconds* is looked at."""
    wait, passed, count = max(poll.first, 0.1), 0.0, 0
    while passed < seconds and count < 10_000:
        passed += wait
        wait = min(max(poll.max, 0.1), wait * poll.factor)
        count += 1
    return count
