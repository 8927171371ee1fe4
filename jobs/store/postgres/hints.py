"""Tell others that something was written, and hear it from them: hints, never the truth.

A NOTIFY takes a lock of the whole database when its transaction commits, so a process sends
one at most every `Patience.hint_every_s`, empty, with the commit it speaks of.  A hint that was
held back is sent with a later commit, at the next housekeeping, or when the store closes.
Who hears nothing asks once in `Patience.poll_s` all the same: losing every hint costs one
second and never a job.
"""

from collections.abc import Callable
from typing import Final, final

from jobs.clock import Clock
from jobs.store.postgres.connections import Patience

CHANNEL: Final = "plugwave"
NOTIFY: Final = f"NOTIFY {CHANNEL}"


@final
class Hints:
    """What this process has to tell, and what it has heard."""

    def __init__(self, clock: Clock, patience: Patience) -> None:
        self._clock = clock
        self._patience = patience
        self._told_at = -patience.hint_every_s
        self._asked_at = clock.monotonic()
        self._changed = False
        self.owed = False
        """Whether a hint was held back."""

    def with_notice(self, commit: str) -> str:
        """Return the statements for a commit with news: with a NOTIFY if it is time for one."""
        now = self._clock.monotonic()
        if now - self._told_at < self._patience.hint_every_s:
            self.owed = True
            return commit
        self._told_at = now
        self.owed = False
        return f"{NOTIFY}; {commit}"

    def wrote(self) -> None:
        """Note that this process has committed something."""
        self._changed = True

    def owes(self) -> bool:
        """Whether a hint was held back and its time has come."""
        due = self._clock.monotonic() - self._told_at >= self._patience.hint_every_s
        return self.owed and due

    def sent(self) -> None:
        """Note that a hint was sent by itself."""
        self._told_at = self._clock.monotonic()
        self.owed = False

    def hearer(self, is_ours: Callable[[int], bool]) -> Callable[[int], None]:
        """Return what to call on a notification: our own ones are known already."""

        def heard(sender: int) -> None:
            if not is_ours(sender):
                self._changed = True

        return heard

    def changed(self) -> bool:
        """See `WorkStore.changed`."""
        now = self._clock.monotonic()
        if not self._changed and now - self._asked_at < self._patience.poll_s:
            return False
        self._changed = False
        self._asked_at = now
        return True
