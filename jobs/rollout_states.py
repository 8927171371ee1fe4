"""The life of a rollout and of a wave, as two tables.

Rule 1: both change only through `next_rollout_state` and `next_wave_state`.
Rule 2: nothing here knows about clocks, databases or pools.

Two points carry the rest.  RUNNING means that jobs may start now; a rollout whose waves all
wait for something is WAITING, with its reasons beside it.  And nothing is cut short: PAUSING
and ABORTING last until the last job in flight has ended, because the cloud has no call that
takes a change back.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from jobs.errors import IllegalTransitionError


class RolloutState(StrEnum):
    """Where a rollout is; the words of every surface.  Never "completed"."""

    PLANNED = "planned"  # its jobs are being written down; `apply` moves it on
    WAITING = "waiting"  # no wave may start a job now; time, a gate or a person moves it on
    RUNNING = "running"  # jobs may start; its results and gates move it on
    PAUSING = "pausing"  # nothing new starts; the last job in flight moves it on
    PAUSED = "paused"  # a person resumes or aborts it, or its expiry does
    ABORTING = "aborting"  # what has not started is being cancelled, what is in flight ends
    SUCCEEDED = "succeeded"  # every job succeeded, or was unchanged or skipped by declaration
    PARTIAL = "partial"  # it ran to its end, and some jobs did not succeed
    ABORTED = "aborted"
    EXPIRED = "expired"
    SUPERSEDED = "superseded"  # a newer rollout took its pools over
    ROLLED_BACK = "rolled-back"  # a rollback that restored every pool it was asked to
    ROLLBACK_INCOMPLETE = "rollback-incomplete"


class RolloutEvent(StrEnum):
    """What happened to a rollout; each is appended to its record."""

    APPLIED = "applied"  # all its jobs are written down
    OPENED = "opened"  # a wave may start jobs
    HELD = "held"  # no wave may start jobs; the gates that hold it are in the record
    PAUSED = "paused"  # by a person, or by the stop rule that is named
    RESUMED = "resumed"
    ABORTED = "aborted"  # likewise
    DRAINED = "drained"  # nothing of it is in flight any more
    FINISHED = "finished"  # every job has ended well
    FINISHED_DAMAGED = "finished-damaged"  # every job has ended, not all of them well
    RESTORED = "restored"  # a rollback has restored every pool
    RESTORED_PARTLY = "restored-partly"
    LAPSED = "lapsed"  # its time is over
    REPLACED = "replaced"  # a newer rollout supersedes it


class WaveState(StrEnum):
    """Where a wave is."""

    PENDING = "pending"  # an earlier wave is not through
    GATED = "gated"  # it is its turn; its gates hold it
    RUNNING = "running"
    BAKING = "baking"  # its jobs have ended; time and evidence are being gathered
    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"  # it has no pools, or the rollout ended before it


class WaveEvent(StrEnum):
    """What happened to a wave."""

    REACHED = "reached"  # the wave before it is through
    OPENED = "opened"  # its gates are open
    ENDED = "ended"  # its last job has ended within what is tolerated
    BAKED = "baked"  # its bake is over, with the evidence it needs
    BROKEN = "broken"  # more failed than is tolerated, in the wave or in its bake
    REOPENED = "reopened"  # jobs of it are tried again
    EMPTIED = "emptied"  # there is nothing to do in it


_R = RolloutState
_RE = RolloutEvent
_W = WaveState
_WE = WaveEvent

_ENDS: Final = {
    _RE.FINISHED: _R.SUCCEEDED,
    _RE.FINISHED_DAMAGED: _R.PARTIAL,
    _RE.RESTORED: _R.ROLLED_BACK,
    _RE.RESTORED_PARTLY: _R.ROLLBACK_INCOMPLETE,
}

ROLLOUT_TRANSITIONS: Final[Mapping[RolloutState, Mapping[RolloutEvent, RolloutState]]] = (
    MappingProxyType(
        {
            _R.PLANNED: {
                _RE.APPLIED: _R.WAITING,
                _RE.ABORTED: _R.ABORTING,
                _RE.LAPSED: _R.EXPIRED,
                _RE.REPLACED: _R.SUPERSEDED,
            },
            _R.WAITING: {
                _RE.OPENED: _R.RUNNING,
                _RE.PAUSED: _R.PAUSED,
                _RE.ABORTED: _R.ABORTING,
                _RE.LAPSED: _R.EXPIRED,
                _RE.REPLACED: _R.SUPERSEDED,
                **_ENDS,
            },
            _R.RUNNING: {
                _RE.HELD: _R.WAITING,
                _RE.PAUSED: _R.PAUSING,
                _RE.ABORTED: _R.ABORTING,
                **_ENDS,
            },
            _R.PAUSING: {
                _RE.DRAINED: _R.PAUSED,
                _RE.RESUMED: _R.WAITING,
                _RE.ABORTED: _R.ABORTING,
            },
            _R.PAUSED: {
                _RE.RESUMED: _R.WAITING,
                _RE.ABORTED: _R.ABORTING,
                _RE.LAPSED: _R.EXPIRED,
                _RE.REPLACED: _R.SUPERSEDED,
            },
            _R.ABORTING: {
                _RE.RESTORED_PARTLY: _R.ROLLBACK_INCOMPLETE,  # its time was over before it was done
                _RE.DRAINED: _R.ABORTED,
                _RE.LAPSED: _R.EXPIRED,
                _RE.REPLACED: _R.SUPERSEDED,
            },
            _R.SUCCEEDED: {},
            _R.PARTIAL: {_RE.RESUMED: _R.WAITING},  # only by an explicit `retry`
            _R.ABORTED: {},
            _R.EXPIRED: {},
            _R.SUPERSEDED: {},
            _R.ROLLED_BACK: {},
            _R.ROLLBACK_INCOMPLETE: {_RE.RESUMED: _R.WAITING},
        }
    )
)

WAVE_TRANSITIONS: Final[Mapping[WaveState, Mapping[WaveEvent, WaveState]]] = MappingProxyType(
    {
        _W.PENDING: {_WE.REACHED: _W.GATED, _WE.EMPTIED: _W.SKIPPED},
        _W.GATED: {_WE.OPENED: _W.RUNNING, _WE.EMPTIED: _W.SKIPPED},
        _W.RUNNING: {_WE.ENDED: _W.BAKING, _WE.BROKEN: _W.FAILED},
        _W.BAKING: {_WE.BAKED: _W.PASSED, _WE.BROKEN: _W.FAILED, _WE.REOPENED: _W.RUNNING},
        _W.PASSED: {_WE.REOPENED: _W.RUNNING},
        _W.FAILED: {_WE.REOPENED: _W.RUNNING},
        _W.SKIPPED: {},
    }
)

LIVE_ROLLOUTS: Final = frozenset(
    {_R.PLANNED, _R.WAITING, _R.RUNNING, _R.PAUSING, _R.PAUSED, _R.ABORTING}
)
"""States in which a rollout still holds its pools."""

STARTING_ROLLOUTS: Final = frozenset({_R.WAITING, _R.RUNNING})
"""States in which a job of the rollout may commit its intent to send."""


def next_rollout_state(state: RolloutState, event: RolloutEvent) -> RolloutState:
    """Return where *event* takes a rollout that is in *state*.

    Raises:
        IllegalTransitionError: If the table has no such move.
    """
    try:
        return ROLLOUT_TRANSITIONS[state][event]
    except KeyError:
        message = f"no move of a rollout from {state} on {event}"
        raise IllegalTransitionError(message, state=state, event=event) from None


def next_wave_state(state: WaveState, event: WaveEvent) -> WaveState:
    """Return where *event* takes a wave that is in *state*.

    Raises:
        IllegalTransitionError: If the table has no such move.
    """
    try:
        return WAVE_TRANSITIONS[state][event]
    except KeyError:
        message = f"no move of a wave from {state} on {event}"
        raise IllegalTransitionError(message, state=state, event=event) from None
