"""What keeps a store small: the part of the promise that any worker may call beside its work."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from jobs.model import JobId
from jobs.retention import Kept, Retention


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruned:
    """What one step of pruning removed, and what it left.

    Attributes:
        jobs: Ended jobs that went, with attempts, result and history.
        keys: Idempotency keys that went with them.
        kept: The jobs looked at that stay, by why.
        next: Where to go on; None when no older job is left.
    """

    jobs: int = 0
    keys: int = 0
    kept: Mapping[Kept, int] = field(default_factory=dict)
    next: JobId | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tidied:
    """What went beside the jobs.

    Attributes:
        keys: Idempotency keys that outlived their jobs, and receipts of keyed calls, whose
            time has come.
        workers: Dead workers that nothing refers to.
        more: There may be more to do at once.
    """

    keys: int = 0
    workers: int = 0
    more: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Forgotten:
    """What was left of jobs that have gone.

    Attributes:
        weeks: Partitions of the history that were dropped or made small.
        contents: Plug-ins with their inputs that no job asks for any more.
    """

    weeks: int = 0
    contents: int = 0


class KeepingStore(Protocol):
    """What keeps the store small; any worker may call it, beside the work."""

    async def take_turn(self, duty: str, *, every_s: float) -> bool:
        """Say whether *duty* is due, and if so that the caller does it: one of all callers.

        It is due again *every_s* later, whether or not the caller has done it.
        """
        ...

    async def prune(
        self,
        retention: Retention,
        *,
        after: JobId | None = None,
        unreported: bool = False,
        dry_run: bool = False,
    ) -> Pruned:
        """Look at some jobs after *after*, oldest first, and remove those whose time has come.

        A short step: the caller goes on from ``next``, with pauses.  What goes is
        `jobs.retention.why_kept`; a key stays until its own time has come.

        Args:
            retention: How long what is kept.
            after: The ``next`` of the step before; None for the first.
            unreported: Also those whose result line nobody has written.
            dry_run: Count only.
        """
        ...

    async def tidy(self, retention: Retention) -> Tidied:
        """Remove keys and workers whose time has come, and keep partitions ready; a short step."""
        ...

    async def forget(self, retention: Retention) -> Forgotten:
        """Remove what is left of jobs that have gone: weeks of history, and contents.

        For once a day: it may look at much, and locks little.  A content goes when it was
        without a job twice, at least half a day apart.
        """
        ...
