"""When a sink delivers: turns, ids that stay, backoff, and nothing passed over."""

import random
from dataclasses import replace

import pytest

from jobs.outbox import turns
from jobs.outbox.turns import SCHEDULE_S, Tried
from jobs.store.sinks import SinkRow
from tests.builders import NOON_US

S = 1_000_000
LOADED = SinkRow(cursor="0-7", pending="0-9", raw=2, owner="a")


def after(row: SinkRow, tried: Tried, now_us: int = NOON_US) -> SinkRow:
    """Return the row after a try."""
    return turns.after(row, tried, "tickets", events=2, now_us=now_us, dice=random.Random(1))


def test_one_process_has_the_turn_until_its_lease_ends() -> None:
    """Another one waits; the owner renews."""
    mine = turns.taken(SinkRow(), "a", NOON_US, lease_s=60)

    assert mine is not None
    assert turns.taken(mine, "b", NOON_US + 59 * S, lease_s=60) is None
    assert turns.taken(mine, "a", NOON_US + 59 * S, lease_s=60) is not None
    taken_over = turns.taken(mine, "b", NOON_US + 60 * S, lease_s=60)
    assert taken_over is not None
    assert taken_over.owner == "b"


def test_what_was_delivered_moves_the_cursor() -> None:
    """And clears what was pending."""
    row = after(LOADED, Tried(ok=True, outcome="delivered"))

    assert (row.cursor, row.pending, row.attempt, row.delivered) == ("0-9", None, 0, 2)
    assert row.log[-1].outcome == "delivered"


def test_a_failed_try_keeps_its_place_and_its_id() -> None:
    """The same events, the same id, later."""
    row = after(LOADED, Tried(ok=False, outcome="answered 500"))

    assert (row.cursor, row.pending, row.attempt) == ("0-7", "0-9", 1)
    assert turns.message_id("tickets", row) == turns.message_id("tickets", LOADED)
    assert 5 <= (row.next_us - NOON_US) / S <= 6


def test_each_wait_is_that_of_the_standard_with_some_chance() -> None:
    """Up to 20 % more, so that many sinks do not come back together."""
    row, waits = LOADED, []
    for _ in SCHEDULE_S:
        row = after(row, Tried(ok=False, outcome="no connection"))
        waits.append((row.next_us - NOON_US) / S)

    assert all(1 <= wait / due <= 1.2 for wait, due in zip(waits, SCHEDULE_S, strict=True))
    assert row.stopped is None


def test_a_receiver_that_stays_away_stops_the_sink_and_loses_nothing() -> None:
    """After the last try a person decides; what was pending still is."""
    row = replace(LOADED, attempt=len(SCHEDULE_S))

    stopped = after(row, Tried(ok=False, outcome="answered 500"))

    assert stopped.stopped == "10 tries failed, last: answered 500"
    assert (stopped.cursor, stopped.pending) == ("0-7", "0-9")
    resumed = turns.resumed(stopped)
    assert (resumed.stopped, resumed.attempt, resumed.pending) == (None, 0, "0-9")


def test_410_stops_it_at_once() -> None:
    """The receiver wants nothing more, ever."""
    row = after(LOADED, Tried(ok=False, outcome="answered 410", gone=True))

    assert row.stopped is not None
    assert row.pending == "0-9"


@pytest.mark.parametrize(("asked", "waited"), [(30.0, 30), (0.0, 1), (10**9, 86_400)])
def test_what_a_receiver_asks_for_is_waited(asked: float, waited: int) -> None:
    """Retry-After counts instead of the schedule, within reason."""
    row = after(LOADED, Tried(ok=False, outcome="answered 429", retry_after_s=asked))

    assert row.next_us == NOON_US + waited * S


def test_two_deliveries_have_two_ids() -> None:
    """Receivers drop what comes twice by its id."""
    ids = {
        turns.message_id(name, replace(LOADED, cursor=cursor, pending=pending))
        for name in ("a", "b")
        for cursor in ("0-1", "0-2")
        for pending in ("0-3", "0-4")
    }

    assert len(ids) == 8


def test_the_log_keeps_the_last_tries() -> None:
    """And does not grow for ever."""
    row = LOADED
    for _ in range(200):
        row = after(replace(row, attempt=0), Tried(ok=False, outcome="answered 500"))

    assert len(row.log) == turns.LOG_KEPT
