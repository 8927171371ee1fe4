"""The decision table: what each way a send can end leads to.

The table is data (`jobs.outcomes.ROWS`); here every row stands once more with what the rule
does about it, so that neither can change alone.
"""

from dataclasses import dataclass, replace
from typing import Any

import pytest

from jobs.clock import MICROSECONDS
from jobs.decide import Move, Step, next_move
from jobs.learning import BLIND_PAUSE_S, Limit
from jobs.model import PluginSeen
from jobs.outcomes import BY_OUTCOME, ROWS, Outcome, PostVerdict
from jobs.states import JobEvent, JobState, WaitReason, next_state
from tests.builders import NOON_US
from tests.rules.builders import after, answered, rules, sending


@dataclass(frozen=True, slots=True, kw_only=True)
class Leads:
    """Where a row leads a job that was sending."""

    outcome: Outcome
    event: JobEvent
    state: JobState
    reason: WaitReason | None = None
    until_s: tuple[float, float] = (0.0, 0.0)
    """Between which seconds after noon the next step is due, when it is not at once."""

    spared: int = 0


def final(outcome: Outcome) -> Leads:
    """Return a row after which nothing more is tried."""
    return Leads(outcome=outcome, event=JobEvent.REFUSED, state=JobState.FAILED)


def lost(outcome: Outcome) -> Leads:
    """Return a row after which only a read from 91 s on proves anything."""
    return Leads(
        outcome=outcome,
        event=JobEvent.ANSWER_LOST,
        state=JobState.UNKNOWN,
        until_s=(91.0, 91.0),
    )


def again(outcome: Outcome, reason: WaitReason, least_s: float, most_s: float) -> Leads:
    """Return a row after which the job may send again without being spent an attempt."""
    return Leads(
        outcome=outcome,
        event=JobEvent.NOT_SENT,
        state=JobState.WAITING,
        reason=reason,
        until_s=(least_s, most_s),
        spared=1,
    )


def reread(outcome: Outcome) -> Leads:
    """Return a row after which the plug-in is read at once."""
    return Leads(
        outcome=outcome,
        event=JobEvent.REREAD,
        state=JobState.CHECKING,
        until_s=(1.0, 1.0),
        spared=1,
    )


_O = Outcome
_W = WaitReason

TABLE = {
    1: final(_O.NOT_SENDABLE),
    2: again(_O.GATE_CLOSED, _W.BACKOFF, 1.0, 1.0),
    3: again(_O.DNS_FAILED, _W.BACKOFF, 1.0, 1.5),
    4: again(_O.CONNECT_REFUSED, _W.BACKOFF, 1.0, 1.5),
    5: again(_O.CONNECT_TIMEOUT, _W.BACKOFF, 1.0, 1.5),
    6: again(_O.TLS_WRONG, _W.BREAKER, 16.0, 16.0),
    7: lost(_O.CONNECTION_LOST),
    8: lost(_O.ANSWER_TIMEOUT),
    9: lost(_O.GARBAGE_ANSWER),
    10: lost(_O.BODY_CUT),
    11: lost(_O.UNREADABLE_SUCCESS),
    12: Leads(outcome=_O.OK, event=JobEvent.ACCEPTED, state=JobState.WATCHING, until_s=(6.0, 6.0)),
    13: lost(_O.REDIRECTED),
    14: final(_O.REFUSED_CONTENT),
    15: lost(_O.UNKNOWN_REFUSAL),
    16: again(_O.UNAUTHENTICATED, _W.BREAKER, 16.0, 16.0),
    17: final(_O.FORBIDDEN),
    18: final(_O.NOT_FOUND),
    19: again(_O.NO_SUCH_API, _W.BREAKER, 16.0, 16.0),
    20: lost(_O.REQUEST_TIMEOUT),
    21: reread(_O.CONFLICT),
    22: final(_O.TOO_LARGE),
    23: again(_O.THROTTLED, _W.RATE_LIMIT, 1.0 + BLIND_PAUSE_S, 1.0 + BLIND_PAUSE_S),
    24: again(_O.QUOTA_SPENT, _W.BREAKER, 16.0, 16.0),
    25: lost(_O.THROTTLED_BLINDLY),
    26: lost(_O.SERVER_ERROR),
    27: final(_O.NOT_SUPPORTED),
    28: lost(_O.WORKER_DIED),
    29: reread(_O.INTENT_UNCERTAIN),
    30: lost(_O.OUTCOME_UNSTORED),
    31: again(_O.POOL_NOT_READY, _W.BACKOFF, 61.0, 61.0),
    32: again(_O.CREDENTIAL_ENDED, _W.BACKOFF, 1.0, 1.0),
}

STEPS = {JobState.FAILED: Step.REST, JobState.WAITING: Step.REST}


def after_a_second(outcome: Outcome, **more: Any) -> Move:
    """Return the move of a job whose send of noon was answered a second later."""
    said = answered(outcome, sent=0.0, **more)
    return next_move(sending(), said, after(1), rules())


def seconds(at_us: int) -> float:
    """Return an instant in seconds after noon."""
    return (at_us - NOON_US) / MICROSECONDS


def test_every_row_of_the_table_is_here() -> None:
    """The specification and the data name the same rows and outcomes, each once."""
    assert [row.number for row in ROWS] == sorted(TABLE)
    assert {row.number: row.outcome for row in ROWS} == {
        number: leads.outcome for number, leads in TABLE.items()
    }
    assert set(BY_OUTCOME) == set(Outcome)


@pytest.mark.parametrize("number", TABLE, ids=str)
def test_each_row_leads_where_the_table_says(number: int) -> None:
    """Event, state, reason, next step and its time follow from the outcome alone."""
    leads = TABLE[number]

    move = after_a_second(leads.outcome)

    assert move.event is leads.event
    assert next_state(JobState.SENDING, leads.event) is leads.state
    assert move.reason is leads.reason
    assert move.step is STEPS.get(leads.state, Step.LOOK)
    assert move.progress.spared == leads.spared
    least_s, most_s = leads.until_s
    assert least_s <= (seconds(move.at_us) if move.at_us else 0.0) <= most_s


@pytest.mark.parametrize("number", [row for row, leads in TABLE.items() if leads.spared], ids=str)
def test_only_certain_refusals_lead_back_to_a_state_that_sends(number: int) -> None:
    """A send is repeated without a late read only when it certainly had no effect."""
    row = ROWS[number - 1]

    assert row.verdict in {
        PostVerdict.AGAIN,
        PostVerdict.RETRY,
        PostVerdict.WAIT,
        PostVerdict.PARK,
        PostVerdict.REFRESH,
        PostVerdict.READ_NOW,
    }
    assert row.outcome not in {_O.SERVER_ERROR, _O.CONNECTION_LOST, _O.ANSWER_TIMEOUT}


@pytest.mark.parametrize(
    "number", [row for row, leads in TABLE.items() if leads.event is JobEvent.ANSWER_LOST], ids=str
)
def test_a_lost_answer_is_not_looked_at_before_it_has_settled(number: int) -> None:
    """The settle time is written down, and counts from when the answer was known to be lost."""
    move = after_a_second(TABLE[number].outcome)

    assert seconds(move.progress.not_before_us or 0) == 91.0
    assert move.progress.sent_us == NOON_US
    assert move.data["not_before"] == "2026-11-24T12:01:31.000Z"


def test_reads_of_a_lost_answer_start_with_short_waits() -> None:
    """What went wrong before the send does not slow down the reads after it."""
    move = next_move(sending(misses=9), answered(_O.CONNECTION_LOST), after(1), rules())

    assert move.progress.misses == 0


def test_a_send_of_unknown_time_settles_from_now() -> None:
    """When nobody knows when the headers left, they may have left at this moment."""
    move = next_move(sending(), answered(_O.CONNECTION_LOST), after(1), rules())

    assert move.progress.sent_us == after(1)
    assert move.progress.not_before_us == after(91)


def test_a_server_that_asks_for_more_time_gets_it_before_the_first_read() -> None:
    """A 503 with Retry-After sets the earliest read, and proves nothing sooner."""
    move = after_a_second(_O.SERVER_ERROR, retry_after_s=300.0)

    assert seconds(move.at_us) == 301.0
    assert seconds(move.progress.not_before_us or 0) == 91.0


@pytest.mark.parametrize(("deadline", "first"), [(2700.0, 901.0), (400.0, 400.0), (50.0, 91.0)])
def test_an_absurd_wish_for_time_does_not_hold_the_job_for_ever(
    deadline: float, first: float
) -> None:
    """Retry-After is honoured up to a quarter of an hour and the deadline, never below settle."""
    said = answered(_O.SERVER_ERROR, sent=0.0, retry_after_s=86_400.0)

    move = next_move(sending(deadline=deadline), said, after(1), rules())

    assert seconds(move.at_us) == first


def test_a_throttled_job_waits_for_the_window_the_cloud_names() -> None:
    """With `limit:N,time:W` in its text, a 429 costs one window."""
    move = after_a_second(_O.THROTTLED, limit=Limit(count=5, window_s=10.0))

    assert seconds(move.at_us) == 11.0


@pytest.mark.parametrize(("wish", "until"), [(7.0, 8.0), (86_400.0, 901.0)])
def test_a_throttled_job_waits_as_long_as_the_cloud_asks(wish: float, until: float) -> None:
    """Retry-After wins over the window, up to a quarter of an hour."""
    move = after_a_second(_O.THROTTLED, retry_after_s=wish, limit=Limit(count=5, window_s=10.0))

    assert seconds(move.at_us) == until


def test_acceptance_starts_a_watch_that_knows_nothing_yet() -> None:
    """What was seen before the send does not count as seen after it."""
    fresh = sending()
    used = sending(
        phase="Deleting", reason="old news", busy_seen=True, abnormal_reads=2, polls=9, target_us=1
    )

    move = next_move(used, answered(_O.OK, sent=0.0), after(1), rules())

    assert move.progress == replace(fresh.progress, accepted_us=after(1))


def test_acceptance_remembers_what_the_answer_told() -> None:
    """Phase, status and request id of a success are kept for the people who ask."""
    told = PluginSeen(name="node-local-dns", version="2.0", phase="Pending", reason="started")

    move = after_a_second(_O.OK, plugin=told, http_status=201, request_id="f00")

    assert (move.progress.phase, move.progress.reason) == ("Pending", "started")
    assert (move.progress.http_status, move.progress.cloud_request_id) == (201, "f00")
    assert move.data == {"outcome": "ok", "http_status": 201, "request_id": "f00"}


def test_the_first_look_is_not_later_than_the_deadline() -> None:
    """A job that was accepted just in time is looked at when its time is up."""
    move = next_move(sending(deadline=3.0), answered(_O.OK, sent=0.0), after(1), rules())

    assert seconds(move.at_us) == 3.0


def test_a_refusal_keeps_the_words_of_the_cloud() -> None:
    """Code, text, status and request id of a refusal are in the record."""
    move = after_a_second(
        _O.REFUSED_CONTENT,
        error_code="ModelArts.50011001",
        message="bad input",
        http_status=400,
        request_id="f00",
    )

    assert move.progress.cause == "refused-content"
    assert move.progress.error_code == "ModelArts.50011001"
    assert move.progress.detail == "bad input"
    assert move.progress.http_status == 400
    assert move.data["message"] == "bad input"


def test_repeated_conflicts_are_looked_at_less_and_less_often() -> None:
    """The first refusal "something is there" is looked at once at once, the next ones later."""
    job = sending(cause="conflict", misses=1)

    move = next_move(job, answered(_O.CONFLICT, sent=0.0), after(1), rules())

    assert move.progress.misses == 2
    assert 6.0 <= seconds(move.at_us) <= 7.0


def test_failed_reads_do_not_count_as_conflicts() -> None:
    """Only refusals in a row are counted, not what went wrong before them."""
    job = sending(cause="server-error", misses=7)

    move = next_move(job, answered(_O.CONFLICT, sent=0.0), after(1), rules())

    assert move.progress.misses == 1
    assert seconds(move.at_us) == 1.0


def test_an_answer_that_is_lost_between_conflicts_does_not_count_them_anew() -> None:
    """A site that cannot change what is there is told as such, however many answers it loses."""
    job = sending(cause="connection-lost", conflicts=2)

    move = next_move(job, answered(_O.CONFLICT, sent=0.0), after(1), rules())

    assert move.progress.conflicts == 3


def test_failures_in_a_row_wait_longer() -> None:
    """Without a connection the waits grow, and no attempt is used up."""
    job = sending(misses=5)

    move = next_move(job, answered(_O.CONNECT_REFUSED), after(1), rules())

    assert 1.0 < seconds(move.at_us) <= 17.0
    assert move.progress.misses == 6
    assert move.progress.spared == 1


def test_a_sending_job_takes_nothing_but_the_answer_to_its_send() -> None:
    """A read cannot stand in for the answer of a send that is on the wire."""
    with pytest.raises(TypeError):
        next_move(sending(), answered(_O.OK).answer, after(1), rules())
