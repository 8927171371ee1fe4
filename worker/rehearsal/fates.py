"""What happens to each pool of a rehearsal: how long its change takes, and whether it breaks.

A pool's fate follows from the seed and the pool alone, never from who came first.  So one seed
means the same pools in every rehearsal, at every speed, and a pool that breaks at a failure
rate of 2 % also breaks at 5 %.
"""

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from jobs.model import Target
from jobs.rollouts.estimate import QUICK_S, SLOW_S

SAMPLE: Final = 5
"""From so many successes on, durations are drawn from them instead of being assumed."""

AROUND: Final = 0.3
"""How far, as a share, an assumed duration lies from the usual one at most."""


@dataclass(frozen=True, slots=True)
class Fate:
    """How long the cloud works on the pool, in seconds, and whether that ends Abnormal."""

    takes_s: float
    breaks: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Fates:
    """The fates of one run.

    Attributes:
        seed: What they follow from.
        rate: The true failure rate, 0 to 1.
        successes_s: How long successes took before.  When these are fewer than SAMPLE, one
            duration from 1 to 4 minutes is assumed for the run, and each pool's is around it:
            which one it is, is what nobody knows.
        slower: How many times longer a failure takes than a success.
    """

    seed: int
    rate: float
    successes_s: Sequence[float] = ()
    slower: float = 1.0

    def of(self, target: Target) -> Fate:
        """Return what becomes of a pool."""
        pool = f"{self.seed} {target.region or ''} {target.project_id} {target.pool_name}"
        chance = random.Random(pool)  # noqa: S311 - a rehearsal, not a secret
        breaks = chance.random() < self.rate
        takes_s = self._takes_s(chance)
        return Fate(takes_s * self.slower if breaks else takes_s, breaks)

    def chance(self) -> random.Random:
        """Return the source of everything else that is left to chance in this run."""
        return random.Random(self.seed)  # noqa: S311 - a rehearsal, not a secret

    def _takes_s(self, chance: random.Random) -> float:
        if len(self.successes_s) >= SAMPLE:
            return chance.choice(self.successes_s)
        # The bounds are far apart, so that their middle is the geometric one.
        usual_s = QUICK_S * math.exp(self.chance().random() * math.log(SLOW_S / QUICK_S))
        return usual_s * chance.uniform(1 - AROUND, 1 + AROUND)
