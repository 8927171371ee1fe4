"""The life of a job, as a table.

Rule 1: a job changes state only through `next_state`, and every change it makes is in
TRANSITIONS.
Rule 2: nothing here knows about clocks, databases or HTTP.

The table's point is UNKNOWN.  A request whose answer was lost may have taken effect, so
no arrow leads from SENDING back to a state that sends except NOT_SENT and REREAD, the
two cases in which it is certain that nothing was accepted.  From UNKNOWN only a
late-enough read (NOT_APPLIED) leads back.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from jobs.errors import IllegalTransitionError


class _Word(StrEnum):
    """A word by which tables are read, many times for each job."""

    __hash__ = str.__hash__  # Enum's own is Python: 0.17 µs for each look into a table, not 0.03


class JobState(_Word):
    """Where a job is; the words of every surface."""

    WAITING = "waiting"  # accepted, may not start; the store moves it on when its reason ends
    READY = "ready"  # a worker's claim moves it on
    CHECKING = "checking"  # its worker moves it on, once it has read the plug-in
    SENDING = "sending"  # its worker moves it on with the answer; a rescue makes it UNKNOWN
    UNKNOWN = "unknown"  # only a read after `not_before` moves it on
    WATCHING = "watching"  # its worker moves it on when the plug-in settles or time is up
    SUCCEEDED = "succeeded"
    UNCHANGED = "unchanged"  # already as wanted, nothing was sent
    FAILED = "failed"
    SKIPPED = "skipped"
    CANCELLED = "cancelled"
    UNRESOLVED = "unresolved"  # deadline passed and no read could tell; a person decides


class WaitReason(_Word):
    """Why a job waits; a closed list."""

    WAVE = "wave"
    APPROVAL = "approval"
    BAKE = "bake"
    WINDOW = "window"
    FREEZE = "freeze"
    CONCURRENCY = "concurrency"
    RATE_LIMIT = "rate-limit"
    BACKOFF = "backoff"
    POOL_BUSY = "pool-busy"
    PAUSED = "paused"
    BREAKER = "breaker"
    NOT_BEFORE = "not-before"
    NO_WORKER = "no-worker"


class JobEvent(_Word):
    """What happened to a job; each is appended to its history."""

    DUE = "due"  # the reason to wait ended
    QUEUED_BEHIND = "queued-behind"  # due, but another job holds the pool
    CLAIMED = "claimed"
    HELD = "held"  # it must wait; the reason is in the record
    ADOPTED = "adopted"  # the change is already in progress: watch it, send nothing
    ALREADY = "already"  # the plug-in is as wanted
    INTENDED = "intended"  # the intent to send is on disk
    NOT_SENT = "not-sent"  # certain: nothing was accepted; try again later
    REREAD = "reread"  # a complete refusal that asks for a new look (409, slot missed)
    ACCEPTED = "accepted"
    ANSWER_LOST = "answer-lost"
    FOUND = "found"  # a late read proves the effect
    NOT_APPLIED = "not-applied"  # late reads prove that there is no effect
    STALE = "stale"  # accepted, yet no effect is seen for too long
    SETTLED = "settled"  # Running at the wanted version and inputs, on fresh evidence
    REFUSED = "refused"  # it can never work as asked
    BROKEN = "broken"  # the cloud tried and failed
    TIMED_OUT = "timed-out"  # the deadline passed and a read tells where it stands
    GAVE_UP = "gave-up"  # the deadline passed and no read could tell
    HANDED_BACK = "handed-back"  # its worker drains
    LEASE_LOST = "lease-lost"  # its worker died
    CANCELLED = "cancelled"
    SKIPPED = "skipped"


class HistoryNote(_Word):
    """What a history tells beside the moves: nothing here changes a state."""

    CREATED = "created"  # accepted and on disk
    SEEN = "seen"  # its worker looked, and saved where it stands
    CANCEL_ASKED = "cancel-asked"  # its worker stops it before it sends


HISTORY_WORDS: Final = (*HistoryNote, *JobEvent)
"""Every word that may stand in a history; no word is in both."""


_S = JobState
_E = JobEvent

TRANSITIONS: Final[Mapping[JobState, Mapping[JobEvent, JobState]]] = MappingProxyType(
    {
        _S.WAITING: {
            _E.DUE: _S.READY,
            _E.QUEUED_BEHIND: _S.WAITING,
            _E.CANCELLED: _S.CANCELLED,
            _E.SKIPPED: _S.SKIPPED,
        },
        _S.READY: {
            _E.CLAIMED: _S.CHECKING,
            _E.HELD: _S.WAITING,
            _E.CANCELLED: _S.CANCELLED,
            _E.SKIPPED: _S.SKIPPED,
        },
        _S.CHECKING: {
            _E.INTENDED: _S.SENDING,
            _E.ADOPTED: _S.WATCHING,
            _E.ALREADY: _S.UNCHANGED,
            _E.REFUSED: _S.FAILED,
            _E.TIMED_OUT: _S.FAILED,
            _E.HELD: _S.WAITING,
            _E.HANDED_BACK: _S.READY,
            _E.LEASE_LOST: _S.READY,
            _E.CANCELLED: _S.CANCELLED,
            _E.SKIPPED: _S.SKIPPED,
        },
        _S.SENDING: {
            _E.ACCEPTED: _S.WATCHING,
            _E.NOT_SENT: _S.WAITING,
            _E.REREAD: _S.CHECKING,
            _E.ANSWER_LOST: _S.UNKNOWN,
            _E.REFUSED: _S.FAILED,
            _E.HANDED_BACK: _S.UNKNOWN,
            _E.LEASE_LOST: _S.UNKNOWN,
        },
        _S.UNKNOWN: {
            _E.CLAIMED: _S.UNKNOWN,
            _E.FOUND: _S.WATCHING,
            _E.NOT_APPLIED: _S.CHECKING,
            _E.TIMED_OUT: _S.FAILED,
            _E.GAVE_UP: _S.UNRESOLVED,
            _E.REFUSED: _S.FAILED,
            _E.HANDED_BACK: _S.UNKNOWN,
            _E.LEASE_LOST: _S.UNKNOWN,
        },
        _S.WATCHING: {
            _E.CLAIMED: _S.WATCHING,
            _E.SETTLED: _S.SUCCEEDED,
            _E.BROKEN: _S.FAILED,
            _E.STALE: _S.UNKNOWN,
            _E.TIMED_OUT: _S.FAILED,
            _E.GAVE_UP: _S.UNRESOLVED,
            _E.HANDED_BACK: _S.WATCHING,
            _E.LEASE_LOST: _S.WATCHING,
        },
        _S.SUCCEEDED: {},
        _S.UNCHANGED: {},
        _S.FAILED: {},
        _S.SKIPPED: {},
        _S.CANCELLED: {},
        _S.UNRESOLVED: {},
    }
)

FINAL_STATES: Final = frozenset(state for state, moves in TRANSITIONS.items() if not moves)
OPEN_STATES: Final = frozenset(JobState) - FINAL_STATES
HELD_STATES: Final = frozenset(
    state for state, moves in TRANSITIONS.items() if JobEvent.LEASE_LOST in moves
)
"""States in which a worker has the job in hand; what a surface calls *running*."""

GOOD_STATES: Final = frozenset({JobState.SUCCEEDED, JobState.UNCHANGED})
"""Final states that make `plugwave work` leave with exit code 0, beside cancelled and skipped."""

BAD_STATES: Final = frozenset({JobState.FAILED, JobState.UNRESOLVED})
"""Final states that make `plugwave work` leave with exit code 3."""


def next_state(state: JobState, event: JobEvent) -> JobState:
    """Return where *event* takes a job that is in *state*.

    Raises:
        IllegalTransitionError: If the table has no such move.
    """
    try:
        return TRANSITIONS[state][event]
    except KeyError:
        message = f"no move from {state} on {event}"
        raise IllegalTransitionError(message, state=state, event=event) from None
