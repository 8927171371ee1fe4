"""The life of a job is a closed table: no way out of an end, no second send without proof."""

from collections.abc import Iterable

import pytest

from jobs.errors import IllegalTransitionError
from jobs.states import (
    BAD_STATES,
    FINAL_STATES,
    GOOD_STATES,
    HELD_STATES,
    OPEN_STATES,
    TRANSITIONS,
    JobEvent,
    JobState,
    WaitReason,
    next_state,
)

CRASHES = {JobEvent.LEASE_LOST, JobEvent.HANDED_BACK}


def reachable(start: JobState, *, without: Iterable[JobEvent] = ()) -> set[JobState]:
    """Return every state that can follow *start*, itself included, by the other events."""
    barred, found, ahead = set(without), {start}, [start]
    while ahead:
        for event, state in TRANSITIONS[ahead.pop()].items():
            if event not in barred and state not in found:
                found.add(state)
                ahead.append(state)
    return found


def test_every_state_has_a_row() -> None:
    """No state was forgotten in the table."""
    assert set(TRANSITIONS) == set(JobState)


def test_every_event_happens_somewhere() -> None:
    """No event is a word without a move."""
    assert {event for moves in TRANSITIONS.values() for event in moves} == set(JobEvent)


@pytest.mark.parametrize("event", list(JobEvent), ids=str)
@pytest.mark.parametrize("state", list(JobState), ids=str)
def test_a_move_is_in_the_table_or_refused(state: JobState, event: JobEvent) -> None:
    """What the table does not name does not happen, and the refusal says what was tried."""
    if event in TRANSITIONS[state]:
        assert next_state(state, event) is TRANSITIONS[state][event]
        return

    with pytest.raises(IllegalTransitionError) as refusal:
        next_state(state, event)
    assert refusal.value.facts == {"state": state, "event": event}


def test_the_ends_are_the_six_final_states() -> None:
    """Nothing leads out of an end, and nothing else is one."""
    assert {
        JobState.SUCCEEDED,
        JobState.UNCHANGED,
        JobState.FAILED,
        JobState.SKIPPED,
        JobState.CANCELLED,
        JobState.UNRESOLVED,
    } == FINAL_STATES
    assert FINAL_STATES.isdisjoint(OPEN_STATES)
    assert GOOD_STATES | BAD_STATES <= FINAL_STATES
    assert GOOD_STATES.isdisjoint(BAD_STATES)


@pytest.mark.parametrize("state", sorted(OPEN_STATES), ids=str)
def test_every_open_state_can_end(state: JobState) -> None:
    """From everywhere a job can reach an end."""
    assert reachable(state) & FINAL_STATES


def test_every_state_can_be_reached() -> None:
    """No state stands beside the life of a job."""
    assert reachable(JobState.WAITING) == set(JobState)


def test_a_lost_answer_leads_back_to_a_send_only_by_proof() -> None:
    """From unknown, only reads that prove no effect lead to another send."""
    assert JobState.SENDING not in reachable(JobState.UNKNOWN, without=[JobEvent.NOT_APPLIED])


def test_a_send_is_repeated_only_when_certainly_nothing_was_accepted() -> None:
    """From sending, only "not sent" and "refused, look again" lead to another send at once."""
    certain = [JobEvent.NOT_SENT, JobEvent.REREAD, JobEvent.NOT_APPLIED]
    back = {
        event
        for event, state in TRANSITIONS[JobState.SENDING].items()
        if JobState.SENDING in reachable(state, without=certain)
    }

    assert back == {JobEvent.NOT_SENT, JobEvent.REREAD}


@pytest.mark.parametrize("event", sorted(CRASHES), ids=str)
def test_whoever_dies_while_sending_leaves_doubt(event: JobEvent) -> None:
    """A rescue never makes a job that may have sent ready again."""
    assert next_state(JobState.SENDING, event) is JobState.UNKNOWN


@pytest.mark.parametrize("state", [JobState.UNKNOWN, JobState.WATCHING])
@pytest.mark.parametrize("event", [*sorted(CRASHES), JobEvent.CLAIMED], ids=str)
def test_a_job_that_sent_keeps_its_place_over_workers(state: JobState, event: JobEvent) -> None:
    """Handing over neither forgets a doubt nor a watch."""
    assert next_state(state, event) is state


def test_only_an_answer_or_a_proof_ends_a_job_that_sent() -> None:
    """A job that may have sent is never cancelled or skipped away."""
    for state in (JobState.SENDING, JobState.UNKNOWN, JobState.WATCHING):
        assert TRANSITIONS[state].keys().isdisjoint({JobEvent.CANCELLED, JobEvent.SKIPPED})


def test_success_comes_from_watching_alone() -> None:
    """There is one way to succeed: seen settled."""
    ways = [
        (state, event)
        for state, moves in TRANSITIONS.items()
        for event, to in moves.items()
        if to is JobState.SUCCEEDED
    ]

    assert ways == [(JobState.WATCHING, JobEvent.SETTLED)]


def test_held_are_the_states_in_a_workers_hands() -> None:
    """What a surface calls running."""
    assert {
        JobState.CHECKING,
        JobState.SENDING,
        JobState.UNKNOWN,
        JobState.WATCHING,
    } == HELD_STATES


def test_the_reasons_to_wait_are_a_closed_list() -> None:
    """The words of the product, in its order."""
    assert " ".join(WaitReason) == (
        "wave approval bake window freeze concurrency rate-limit backoff pool-busy paused "
        "breaker not-before no-worker"
    )
