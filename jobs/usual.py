"""How long a plug-in usually takes to settle, learned from those that did.

A success tells a stretch: it was not there at one look, and at the next one it was.  From many
such stretches an estimate is kept that about three in five do not exceed: raised a little by
one that took longer, lowered a little less by one that was there already.  Looking first at
that time finds most jobs settled; the others are looked at again soon (`Rules.next_look_s`).

Kept for each plug-in and version, and for the plug-in alone until its version is known.  It is
the memory of one process: others, and the next one, learn anew from their first success.
"""

from typing import Final

STEP: Final = 0.08
"""Part of the estimate by which it moves at most; also how fast it follows a change."""

SHARE: Final = 0.6
"""Part of the successes that do not exceed the estimate."""

FOLLOW: Final = 0.25
"""Part of the way to what was seen, where that is far away."""

MOST_KNOWN: Final = 1_000
"""Estimates kept; the oldest are forgotten first."""


class UsualTimes:
    """Estimates by plug-in and version; in seconds from acceptance."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str | None], float] = {}

    def seconds(self, plugin: str, version: str | None) -> float | None:
        """Return how long it usually takes, None when nobody knows."""
        exact = self._known.get((plugin, version))
        return exact if exact is not None else self._known.get((plugin, None))

    def took(self, plugin: str, version: str | None, *, over_s: float, by_s: float) -> None:
        """Learn that one took more than *over_s* and not more than *by_s*."""
        for key in ((plugin, version), (plugin, None)):
            old = self._known.pop(key, None)  # what was learned last is at the end
            self._known[key] = _estimate(old, over_s, by_s)
        while len(self._known) > MOST_KNOWN:
            del self._known[next(iter(self._known))]


def _estimate(old: float | None, over_s: float, by_s: float) -> float:
    if old is None:
        return by_s - (by_s - over_s) / 4 if over_s > 0 else by_s
    if over_s < old * (1 - STEP):
        if by_s <= old * (1 + STEP):
            # It was there when it was looked for, or before.
            return min(old * (1 - STEP * (1 - SHARE)), old - FOLLOW * (old - by_s))
        return old  # nobody looked in between
    middle = (max(over_s, old) + by_s) / 2
    return max(old * (1 + STEP * SHARE), old + FOLLOW * (middle - old))
