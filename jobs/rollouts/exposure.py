"""How many pools can break at most before the rules act, whatever happens in whatever order.

An adversary chooses which jobs fail and when they end.  For each number of jobs ended, the
most failures that trip no rule are carried forward; where one more trips a rule, what is
then in flight may fail, too.  Pools that break after they succeeded (during a bake) are
not part of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from jobs.rollouts.stopping import Rule, RuleKind, failures_allowed


@dataclass(frozen=True, slots=True, kw_only=True)
class WaveExposure:
    """One wave: its jobs, how many run at once, and the rules that hold in it."""

    pools: int
    at_once: int
    rules: Sequence[Rule]


def most_broken(waves: Sequence[WaveExposure], *, bounded: bool) -> int:
    """Return the most pools that can fail; all of them when no rule can act."""
    planned = sum(wave.pools for wave in waves)
    most, ended, worst = 0, 0, 0
    for wave in waves:
        most, in_wave = _through(wave, most, ended, planned, bounded=bounded)
        worst = max(worst, in_wave)
        ended += wave.pools
    return max(worst, most)


def _through(
    wave: WaveExposure, before: int, ended: int, planned: int, *, bounded: bool
) -> tuple[int, int]:
    """Return the most failures with which the wave is passed, and the most if it is stopped.

    *low* is the least that the total had to be at any moment of the wave so far, which
    bounds what failures from before can still be there.
    """
    most, in_wave, low, worst = before, 0, before, 0
    for number in range(1, wave.pools + 1):
        wave_cap = _allowed(wave.rules, number, wave.pools, per_wave=True)
        total_cap = _allowed(wave.rules, ended + number, planned, per_wave=False)
        more = min(most + 1, low + in_wave + 1)
        if in_wave + 1 > wave_cap or more > total_cap:
            flying = min(wave.at_once, wave.pools - number + 1) - 1
            worst = max(worst, min(more + flying, _bound(wave, before) if bounded else planned))
        in_wave = min(in_wave + 1, wave_cap)
        most = min(more, total_cap, low + in_wave)
        low = min(low, most)
    return most, worst


def _allowed(rules: Sequence[Rule], finished: int, planned: int, *, per_wave: bool) -> int:
    return min(
        (
            failures_allowed(rule, finished, planned)
            for rule in rules
            if rule.per_wave is per_wave and rule.kind is not RuleKind.REJECTED
        ),
        default=finished + 1,
    )


def _bound(wave: WaveExposure, before: int) -> int:
    """Return what bounded overshoot promises: one more than each limit of a count."""
    counts = [rule for rule in wave.rules if rule.kind is RuleKind.FAILURES]
    return min(
        ((before if rule.per_wave else 0) + rule.limit + 1 for rule in counts),
        default=before + wave.pools,
    )
