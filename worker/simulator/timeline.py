"""Simulated seconds: the clock's time, run faster or slower.

Nothing waits for simulated time.  What a plug-in shows is worked out from it when
somebody looks, so that a hundred thousand pools cost nothing while nobody does.
"""

from jobs.clock import MICROSECONDS


class Timeline:
    """Simulated seconds since the start; the speed may change on the way."""

    def __init__(self, start_us: int, speed: float) -> None:
        self._from_us = start_us
        self._from_s = 0.0
        self._speed = speed

    def at(self, instant_us: int) -> float:
        """Return the simulated second at an instant after the last change of speed."""
        return self._from_s + (instant_us - self._from_us) / MICROSECONDS * self._speed

    def run_at(self, speed: float, now_us: int) -> None:
        """Go on at *speed* from now; what has passed stays as it was."""
        self._from_s = self.at(now_us)
        self._from_us = now_us
        self._speed = speed
