"""What a rollout comes to: its exit code, and what is told of it in one line; pure."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from jobs.rollout_states import RolloutState
from jobs.rollouts.advancing import STOPPED
from jobs.store.rollouts import RolloutRow

WELL: Final = 0
PARTLY: Final = 3
STOPPED_EXIT: Final = 5

EXIT_OF: Final[Mapping[RolloutState, int]] = MappingProxyType(
    {
        RolloutState.SUCCEEDED: WELL,
        RolloutState.ROLLED_BACK: WELL,
        RolloutState.PARTIAL: PARTLY,
        RolloutState.ROLLBACK_INCOMPLETE: PARTLY,
        RolloutState.ABORTED: STOPPED_EXIT,
        RolloutState.EXPIRED: STOPPED_EXIT,
        RolloutState.SUPERSEDED: STOPPED_EXIT,
    }
)
"""The exit code of every end."""


def verdict_of(row: RolloutRow) -> int | None:
    """Return the exit code, None while there is nothing to say yet.

    A rollout that a rule has paused goes on only by a person's word: that is a verdict.
    """
    if row.state is RolloutState.PAUSED and STOPPED in row.facts:
        return STOPPED_EXIT
    return EXIT_OF.get(row.state)


def stopped_by(row: RolloutRow) -> str | None:
    """Return the rule that has stopped the rollout, with its numbers; None when none has."""
    stop = row.facts.get(STOPPED)
    return None if stop is None else str(stop["why"])


def done_of(row: RolloutRow) -> tuple[int, int, int]:
    """Return how many jobs have ended, how many there are, and how many ended badly."""
    tallies = [wave.tally for wave in row.waves]
    return (
        sum(tally.ended for tally in tallies),
        sum(tally.size for tally in tallies),
        sum(tally.failed + tally.unresolved for tally in tallies),
    )
