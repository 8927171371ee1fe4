"""A job's own terms count in place of the settings of the worker that runs it."""

from dataclasses import replace
from typing import Any

import pytest

from jobs import causes
from jobs.clock import MICROSECONDS
from jobs.decide import Move, next_move
from jobs.decide.checking import first_look
from jobs.decide.rules import Rules, Seen, Step, obeying
from jobs.model import PROOFS, InputsBase, Job, Terms
from jobs.outcomes import Outcome
from jobs.retries import Backoff
from jobs.states import JobEvent, JobState, WaitReason
from tests.builders import NOON_US
from tests.rules.builders import (
    CUSTOM,
    OLD,
    WANTED,
    after,
    answer,
    answered,
    checking,
    read,
    rules,
    seen,
    sending,
    unknown,
    watching,
)

TARGET = seen(version=WANTED)
PLAIN = Terms(
    attempts=2,
    backoff=Backoff(first_s=400.0, factor=3.0, max_s=1000.0, jitter=False),
    require=PROOFS,
    poll_first_s=7.0,
    poll_factor=2.0,
    poll_max_s=20.0,
    steady_s=60.0,
    abnormal_grace_s=100.0,
    skip_gone=True,
)


def obeyed(**other: Any) -> Rules:
    """Return the usual patience with PLAIN's terms, changed."""
    return obeying(rules(), replace(PLAIN, **other))


def walk(job: Job, *reads: tuple[Seen, float], patience: Rules) -> Move:
    """Return the last of the moves that *reads* lead to, each so many seconds after noon."""
    *before, (last, last_at) = reads
    for what, at in before:
        move = next_move(job, what, after(at), patience)
        assert move.event is None, f"it ended at {at} s already"
        job = replace(job, progress=move.progress)
    return next_move(job, last, after(last_at), patience)


def seconds(at_us: int) -> float:
    """Return an instant in seconds after noon."""
    return (at_us - NOON_US) / MICROSECONDS


def test_a_success_is_one_once_it_was_seen_so_for_long_enough() -> None:
    """With `settle: 60s` the target counts 60 s after it was first seen, and not before."""
    early = walk(watching(), (read(TARGET, 20), 20), (read(TARGET, 79), 79), patience=obeyed())
    late = walk(watching(), (read(TARGET, 20), 20), (read(TARGET, 80), 80), patience=obeyed())

    assert (early.event, seconds(early.at_us)) == (None, 80)
    assert late.event is JobEvent.SETTLED


def test_what_breaks_while_it_is_watched_begins_anew() -> None:
    """Abnormal for one read, and the 60 s count from the next good one."""
    looks = [(TARGET, 20), (seen("Abnormal", WANTED), 50), (TARGET, 70), (TARGET, 100)]

    move = walk(watching(), *[(read(what, at), at) for what, at in looks], patience=obeyed())

    assert move.event is None
    assert seconds(move.at_us) == 120


def test_a_success_that_is_too_young_at_the_deadline_is_none() -> None:
    """The deadline is one: 50 of 60 s are told in the job's detail."""
    job = watching(deadline=100.0)

    first = next_move(job, read(TARGET, 50), after(50), obeyed(poll_first_s=80.0, poll_max_s=80.0))
    last = walk(job, (read(TARGET, 50), 50), (read(TARGET, 100), 100), patience=obeyed())

    assert seconds(first.at_us) == 100
    assert last.event is JobEvent.TIMED_OUT
    assert last.progress.cause == causes.DEADLINE
    assert "50 s only" in (last.progress.detail or "")


@pytest.mark.parametrize(
    ("looks", "wait_s"), [(0, 7.0), (1, 14.0), (2, 20.0), (9, 20.0)], ids=["0", "1", "2", "9"]
)
def test_it_is_looked_at_as_often_as_the_terms_say(looks: int, wait_s: float) -> None:
    """First 7 s, then twice as long each time, at most 20 s."""
    busy = read(seen("Updating", OLD), 10)

    move = next_move(watching(polls=looks - 1), busy, after(10), obeyed())

    assert seconds(move.at_us) == 10 + wait_s


def test_abnormal_may_recover_for_as_long_as_the_terms_say() -> None:
    """Five Abnormal reads within 99 s are patience, the next one after 100 s is a failure."""
    bad = seen("Abnormal", WANTED)
    reads = [(read(bad, at), float(at)) for at in (10, 20, 30, 40, 109)]

    assert walk(watching(), *reads, patience=obeyed()).event is None
    assert walk(watching(), *reads, (read(bad, 110), 110), patience=obeyed()).event is (
        JobEvent.BROKEN
    )


def test_inputs_are_no_proof_where_the_terms_leave_them_out() -> None:
    """Running at the wanted version with other inputs: a success only when inputs do not count."""
    job = watching(inputs=CUSTOM)
    kept = replace(TARGET, inputs={"custom": {"ndots": "8"}})
    less = obeyed(require=("phase", "version", "fresh"), steady_s=0.0)

    assert next_move(job, read(kept, 20), after(20), obeyed(steady_s=0.0)).event is None
    assert next_move(job, read(kept, 20), after(20), less).event is JobEvent.SETTLED


def test_evidence_may_be_older_where_the_terms_leave_fresh_out() -> None:
    """Nothing changed that a read could show: only `fresh` makes it wait for its dwell."""
    job = watching(before=TARGET, version=WANTED)
    less = obeyed(require=("phase", "version", "inputs"), steady_s=0.0)

    assert next_move(job, read(TARGET, 6), after(6), obeyed(steady_s=0.0)).event is None
    assert next_move(job, read(TARGET, 6), after(6), less).event is JobEvent.SETTLED


def test_attempts_end_with_the_terms() -> None:
    """The second send without effect ends a job that may send twice."""
    job = unknown(sends=2)

    move = walk(job, (read(seen(), 95), 95), (read(seen(), 105), 105), patience=obeyed(attempts=2))

    assert move.event is JobEvent.REFUSED
    assert move.progress.cause == causes.ATTEMPTS_SPENT


@pytest.mark.parametrize(
    ("sends", "next_s"), [(1, 400.0), (2, 1000.0)], ids=["first", "second, at its longest"]
)
def test_sends_are_as_far_apart_as_the_terms_say(sends: int, next_s: float) -> None:
    """The wait counts from the last send; the proof that it had no effect is part of it."""
    job = unknown(sends=sends)
    reads = ((read(seen(), 95), 95.0), (read(seen(), 105), 105.0))

    move = walk(job, *reads, patience=obeyed(attempts=9))
    soon = walk(job, *reads, patience=obeyed(attempts=9, backoff=Backoff()))

    assert (move.event, move.again) == (JobEvent.NOT_APPLIED, False)
    assert seconds(move.at_us) == next_s
    assert soon.again


def test_a_send_that_did_not_leave_is_repeated_as_the_terms_say() -> None:
    """No connection: nothing was sent, and the job rests for its own first wait."""
    move = next_move(sending(), answered(Outcome.CONNECT_REFUSED), after(1), obeyed())

    assert (move.event, move.reason) == (JobEvent.NOT_SENT, WaitReason.BACKOFF)
    assert seconds(move.at_us) == 401


def test_a_pool_that_is_gone_is_skipped_and_no_failure() -> None:
    """`left-fleet`: it was there when the rollout was planned."""
    gone = answer(Outcome.NOT_FOUND)

    left = next_move(checking(), gone, after(1), obeyed())
    plain = next_move(checking(), gone, after(1), rules())

    assert (left.event, left.progress.cause) == (JobEvent.SKIPPED, causes.LEFT_FLEET)
    assert plain.event is JobEvent.REFUSED


def test_a_template_that_is_missing_is_a_failure_still() -> None:
    """Once the pool was read, a 404 is about something else."""
    move = next_move(checking(checked=True), answer(Outcome.NOT_FOUND), after(1), obeyed())

    assert move.event is JobEvent.REFUSED


def test_a_pool_is_read_before_it_is_sent_to_so_that_a_gone_one_is_noticed() -> None:
    """Also where the worker would spare the read."""
    job = checking(base=InputsBase.EMPTY)
    blind = replace(rules(), read_first=False)

    assert first_look(job, after(0), blind).step is Step.SEND
    assert first_look(job, after(0), obeying(blind, PLAIN)).step is Step.LOOK
    assert job.state is JobState.CHECKING
