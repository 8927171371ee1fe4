"""How many jobs may be started now, and when a slow one holds the others.

*Bounded overshoot*: what is in flight may all fail, so with every rule of a count no more
is in flight than would make it trip once.  So a limit of L is never exceeded by more than
one.  *Suspects*: success takes minutes and failure the whole deadline, so a rule that
counts only ends looks healthy just while it matters; a job that takes clearly longer than
successes do is taken for a failure when it is asked whether to start another, and never
otherwise.
"""

import math
from collections.abc import Sequence
from typing import Final

from jobs.rollouts.fields import Amount
from jobs.rollouts.rounding import share_of
from jobs.rollouts.stopping import Rule, RuleKind, Tally, trips

SUSPECT_FACTOR: Final = 1.5
SUSPECT_SAMPLE: Final = 5
"""Successes before their durations are trusted."""


def startable(
    rules: Sequence[Rule], wave: Tally, rollout: Tally, budget: int, *, bounded: bool = True
) -> int:
    """Return how many more jobs may be started now; 0 also when a rule has tripped.

    Args:
        rules: Those of the running wave and of the rollout.
        wave: The wave's jobs.
        rollout: All jobs.
        budget: Jobs that may be in flight in the rollout.
        bounded: Whether failures in flight may not exceed a limit by more than one.
    """
    left = wave.planned - wave.finished - wave.rejected - wave.in_flight
    room = min(left, budget - rollout.in_flight)
    for rule in rules:
        tally = wave if rule.per_wave else rollout
        if trips(rule, tally.suspecting()):
            return 0
        if bounded and rule.kind is RuleKind.FAILURES:
            room = min(room, rule.limit + 1 - rule.failed(tally) - tally.in_flight)
    return max(0, room)


def suspect_after_s(setting: str | float, successes_s: Sequence[float], deadline_s: float) -> float:
    """Return the age in seconds from which a job is a suspect; infinite for never.

    Args:
        setting: ``auto``, ``never``, or seconds.
        successes_s: How long successes of this plug-in took.
        deadline_s: The job's own; half of it serves while there are fewer than five successes.
    """
    if setting == "never":
        return math.inf
    if not isinstance(setting, str):
        return setting
    if len(successes_s) < SUSPECT_SAMPLE:
        return deadline_s / 2
    return SUSPECT_FACTOR * percentile(successes_s, 95)


def most_down(amount: Amount | None, included: int) -> int | None:
    """Return how many of *included* pools may be not Running at a time; a share is at least 1."""
    if amount is None or isinstance(amount, int):
        return amount
    return max(1, share_of(included, amount))


def percentile(values: Sequence[float], percent: int) -> float:
    """Return the nearest-rank percentile of at least one value."""
    ordered = sorted(values)
    return ordered[math.ceil(len(ordered) * percent / 100) - 1]
