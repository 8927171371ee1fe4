"""Shares of a fleet as whole pools: largest remainders, and never nothing.

Source: Hamilton's method of apportionment.
"""

from collections.abc import Sequence
from fractions import Fraction


def shares(total: int, parts: Sequence[Fraction]) -> list[int]:
    """Return how many of *total* pools each share of 1 is.

    Together they are the sum of the shares, rounded half up; whole numbers first, what is
    left goes to the largest remainders, earlier ones first.  A share is never 0 pools: it
    takes one from the largest that has more than one, or one more of the fleet.

    Args:
        total: Pools of the whole fleet; 0 gives nothing to anybody.
        parts: Each above 0, together at most 1.
    """
    if total == 0:
        return [0] * len(parts)
    exact = [total * part for part in parts]
    found = [int(one) for one in exact]
    together = int(sum(exact, start=Fraction()) + Fraction(1, 2))
    order = sorted(range(len(parts)), key=lambda place: (found[place] - exact[place], place))
    for place in order[: together - sum(found)]:
        found[place] += 1
    for place, amount in enumerate(found):
        if amount:
            continue
        giver = max(range(len(found)), key=lambda other: (found[other], -other))
        if found[giver] > 1:
            found[giver] -= 1
        found[place] = 1
    return found


def share_of(total: int, part: Fraction) -> int:
    """Return how many of *total* pools one share is, as a limit: rounded down."""
    return int(total * part)
