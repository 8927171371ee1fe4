"""The life of a tick, as a table, and why one did not run.

A tick is the nominal time at which a schedule fires.  Rule 1: it changes only through
`next_tick_state`.  Rule 2: nothing here knows about clocks, databases or rollouts.

The point is DUE with a plan: once the plan of a tick is written beside it, the tick is begun
with exactly that plan, by whoever comes next, until its rollout is there.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from jobs.errors import IllegalTransitionError


class TickState(StrEnum):
    """Where a tick is; the words of every surface."""

    QUEUED = "queued"  # the run before it is still alive; its end moves it on
    DUE = "due"  # a worker plans it, or begins its rollout
    WAITING = "waiting"  # its plan is outside of what may be applied by itself; a person applies it
    STARTED = "started"  # its rollout is alive
    ENDED = "ended"  # its rollout is over
    NOTHING = "nothing"  # every pool was as wanted
    SKIPPED = "skipped"  # with a reason of `Skipped`
    FAILED = "failed"  # no rollout could be made of it


class TickEvent(StrEnum):
    """What happened to a tick."""

    TURNED = "turned"  # the run before it has ended
    EXCEEDED = "exceeded"  # its plan is outside of the limits
    BEGUN = "begun"
    OVER = "over"
    IDLE = "idle"
    DROPPED = "dropped"
    REFUSED = "refused"


class Skipped(StrEnum):
    """Why a tick did not run."""

    MISSED = "missed"  # nobody could start it within the grace
    CAUGHT_UP = "caught-up"  # a newer missed tick was run instead
    OVERLAP = "overlap"  # the run before it was still alive
    PAUSED = "paused"  # the schedule was paused
    SUPERSEDED = "superseded"  # a newer tick took its place before it had begun


_T = TickState
_E = TickEvent

TICK_TRANSITIONS: Final[Mapping[TickState, Mapping[TickEvent, TickState]]] = MappingProxyType(
    {
        _T.QUEUED: {_E.TURNED: _T.DUE, _E.DROPPED: _T.SKIPPED},
        _T.DUE: {
            _E.BEGUN: _T.STARTED,
            _E.EXCEEDED: _T.WAITING,
            _E.IDLE: _T.NOTHING,
            _E.DROPPED: _T.SKIPPED,
            _E.REFUSED: _T.FAILED,
        },
        _T.WAITING: {_E.BEGUN: _T.STARTED, _E.DROPPED: _T.SKIPPED},
        _T.STARTED: {_E.OVER: _T.ENDED},
        _T.ENDED: {},
        _T.NOTHING: {},
        _T.SKIPPED: {},
        _T.FAILED: {},
    }
)

OPEN_TICKS: Final = frozenset(state for state, moves in TICK_TRANSITIONS.items() if moves)
"""States in which a tick has still a future."""


def next_tick_state(state: TickState, event: TickEvent) -> TickState:
    """Return where *event* takes a tick that is in *state*.

    Raises:
        IllegalTransitionError: If the table has no such move.
    """
    try:
        return TICK_TRANSITIONS[state][event]
    except KeyError:
        message = f"no move of a tick from {state} on {event}"
        raise IllegalTransitionError(message, state=state, event=event) from None
