"""Watching: success needs fresh evidence, failure needs patience, and a read error is no state."""

from dataclasses import replace
from typing import Any

import pytest

from jobs.clock import MICROSECONDS
from jobs.decide import Move, Seen, Step, next_move
from jobs.model import InputsBase, Job, PluginSeen
from jobs.outcomes import Outcome
from jobs.states import JobEvent, JobState, next_state
from tests.builders import NOON_US
from tests.rules.builders import (
    CUSTOM,
    OLD,
    WANTED,
    after,
    answer,
    answered,
    in_hand,
    read,
    rules,
    seen,
    watching,
)

TARGET = seen(version=WANTED)


def look(job: Job, plugin: PluginSeen | None, at: float, **patience: Any) -> Move:
    """Return the move after a read asked *at* seconds after noon and answered at once."""
    return next_move(job, read(plugin, at), after(at), rules(**patience))


def looks(job: Job, *seen_at: tuple[PluginSeen | None, float], **patience: Any) -> Move:
    """Return the move after the last of several reads; those before must leave it watching."""
    *before, (plugin, at) = seen_at
    for earlier, when in before:
        move = look(job, earlier, when, **patience)
        assert move.event is None, f"it ended at {when} s already"
        job = replace(job, progress=move.progress)
    return look(job, plugin, at, **patience)


def seconds(at_us: int) -> float:
    """Return an instant in seconds after noon."""
    return (at_us - NOON_US) / MICROSECONDS


# -- the target ------------------------------------------------------------------------------


def test_running_at_the_wanted_version_is_success() -> None:
    """Seen late enough after acceptance, one read of the target is enough."""
    move = look(watching(), TARGET, 5)

    assert move.event is JobEvent.SETTLED
    assert move.step is Step.REST


def test_an_early_success_is_looked_at_once_more() -> None:
    """A target seen within five seconds counts only when it is still there two seconds later."""
    early = look(watching(), TARGET, 3)
    confirmed = looks(watching(), (TARGET, 3), (TARGET, 5))

    assert early.event is None
    assert seconds(early.at_us) == 5
    assert confirmed.event is JobEvent.SETTLED


def test_a_second_look_that_comes_too_soon_confirms_nothing() -> None:
    """The two reads that make an early success are two seconds apart."""
    move = looks(watching(), (TARGET, 3), (TARGET, 4.9))

    assert move.event is None
    assert seconds(move.at_us) == 5


def test_a_success_that_flickers_is_not_one() -> None:
    """A target that is gone at the second look must be seen twice again."""
    updating = seen("Updating", WANTED)

    move = looks(watching(), (TARGET, 1), (updating, 3), (TARGET, 4.5))

    assert move.event is None
    assert seconds(move.at_us) == 6.5


def test_the_old_version_running_is_never_success() -> None:
    """The plug-in that still runs at the old version is looked at again, however healthy."""
    move = looks(watching(), *[(seen(), float(at)) for at in range(6, 290, 30)])

    assert move.event is None
    assert move.step is Step.LOOK


def test_other_inputs_at_the_wanted_version_are_never_success() -> None:
    """Running at the wanted version is not enough when other inputs were asked for."""
    job = watching(inputs=CUSTOM)

    move = look(job, seen(version=WANTED, inputs={"custom": {"ndots": "2"}}), 20)

    assert move.event is None


def test_unreadable_inputs_are_never_success() -> None:
    """Inputs that the list does not show cannot prove that ours were taken."""
    assert look(watching(inputs=CUSTOM), seen(version=WANTED, inputs=None), 20).event is None


def test_keys_that_the_cloud_adds_do_not_matter() -> None:
    """Only the inputs that were sent are compared."""
    shown = {"custom": {"ndots": "5", "search": ""}, "added": True}

    move = look(watching(inputs=CUSTOM), seen(version=WANTED, inputs=shown), 20)

    assert move.event is JobEvent.SETTLED


def test_a_filled_reason_is_not_a_failure() -> None:
    """Reason may say that all is well; only the phase decides."""
    move = look(watching(), seen(version=WANTED, reason="Upgrade complete"), 6)

    assert move.event is JobEvent.SETTLED
    assert move.data["reason"] == "Upgrade complete"


# -- stale green -----------------------------------------------------------------------------


def green_before(**facts: Any) -> Job:
    """Return a job whose plug-in looked as wanted before the send already."""
    return watching(before=TARGET, **facts)


def test_what_looked_as_wanted_before_must_stay_so() -> None:
    """Without a sign of change, Running counts only ten seconds after acceptance."""
    stale = look(green_before(), TARGET, 6)
    dwelt = look(green_before(), TARGET, 10)

    assert stale.event is None
    assert seconds(stale.at_us) == 10
    assert dwelt.event is JobEvent.SETTLED


@pytest.mark.parametrize(
    "fresh",
    [
        {"busy_seen": True},
        {"before": seen(version=OLD)},
        {"before": seen(version=WANTED, created_at="2024-01-01T00:00:00Z")},
        {"before": None},
        {"before": seen(version=WANTED, inputs={}), "inputs": CUSTOM},
    ],
    ids=["seen in progress", "new version", "new being", "was absent", "new inputs"],
)
def test_a_sign_of_change_makes_a_read_fresh(fresh: dict[str, Any]) -> None:
    """A change of version, inputs or being, or seen in progress, needs no dwell."""
    now = seen(version=WANTED, inputs=CUSTOM)

    assert look(watching(**fresh), now, 6).event is JobEvent.SETTLED


def test_a_reconfiguration_seen_in_progress_needs_no_dwell() -> None:
    """Updating after acceptance proves that what follows is new."""
    updating = seen("Updating", WANTED)

    move = looks(green_before(), (updating, 6), (TARGET, 8))

    assert move.event is JobEvent.SETTLED


def test_a_plugin_that_was_never_read_before_must_dwell() -> None:
    """After a send without a look, the target may be what was there all along."""
    blind = watching(checked=False, before=None)

    assert look(blind, TARGET, 6).event is None
    assert looks(blind, (seen("Updating", WANTED), 6), (TARGET, 8)).event is None
    assert look(blind, TARGET, 10).event is JobEvent.SETTLED


def test_a_read_asked_before_acceptance_proves_nothing() -> None:
    """A read that was on its way when the cloud accepted shows the time before."""
    job = watching(accepted_us=after(20), target_us=after(1))

    move = next_move(job, read(TARGET, 19), after(21), rules())

    assert move.event is None


def test_a_late_read_that_found_the_effect_is_fresh() -> None:
    """A change found after a lost answer was proven by that very read."""
    job = watching(accepted_us=after(100), not_before_us=after(90))

    move = looks(job, (TARGET, 99), (TARGET, 101))

    assert move.event is JobEvent.SETTLED


def test_an_adopted_change_is_as_fresh_as_its_reads() -> None:
    """Somebody else's change was seen in progress, so its success counts."""
    job = in_hand(JobState.WATCHING, version=WANTED, accepted_us=after(0), adopted=True)

    assert look(job, TARGET, 6).event is JobEvent.SETTLED


# -- in progress -----------------------------------------------------------------------------


@pytest.mark.parametrize("phase", ["Pending", "Updating", "Deleting", "Reconciling", "", None])
def test_what_is_in_progress_is_looked_at_again(phase: str | None) -> None:
    """Pending, Updating, Deleting and phases nobody documents: keep looking, never success."""
    for version in (OLD, WANTED):
        move = look(watching(), seen(phase, version), 20)

        assert move.event is None
        assert move.step is Step.LOOK


def test_looks_become_rarer() -> None:
    """The interval grows by half from five seconds to half a minute."""
    updating = seen("Updating", WANTED)
    job, waits, at = watching(), [], 5.0
    for _ in range(8):
        move = look(job, updating, at)
        waits.append(seconds(move.at_us) - at)
        job, at = replace(job, progress=move.progress), seconds(move.at_us)

    assert waits == pytest.approx([7.5, 11.25, 16.875, 25.3125, 30, 30, 30, 30])


def test_a_new_phase_is_written_down_and_an_old_one_is_not() -> None:
    """The store hears of changes only, not of every look."""
    updating = seen("Updating", WANTED)

    first = look(watching(phase="Running"), updating, 6)
    second = look(watching(phase="Updating"), updating, 6)

    assert (first.save, second.save) == (True, False)


# -- abnormal --------------------------------------------------------------------------------

BROKEN = seen("Abnormal", WANTED, reason="no nodes")


def test_abnormal_is_final_after_three_reads_over_half_a_minute() -> None:
    """Three reads and thirty seconds, and the cloud's reason is kept."""
    move = looks(watching(), (BROKEN, 10), (BROKEN, 25), (BROKEN, 40))

    assert move.event is JobEvent.BROKEN
    assert (move.progress.cause, move.progress.detail) == ("abnormal", "no nodes")


def test_abnormal_that_says_nothing_is_told_as_such() -> None:
    """Without a reason the record says that there is none."""
    silent = seen("Abnormal", WANTED)

    move = looks(watching(), (silent, 10), (silent, 25), (silent, 40))

    assert move.progress.detail == "the plug-in is Abnormal and gives no reason"


@pytest.mark.parametrize("times", [(10, 41), (10, 20, 30, 39.9)], ids=["two reads", "too short"])
def test_abnormal_is_not_final_before(times: tuple[float, ...]) -> None:
    """Neither two reads over a longer time nor many within a shorter one are enough."""
    move = looks(watching(), *[(BROKEN, at) for at in times])

    assert move.event is None


def test_abnormal_is_looked_at_in_time_to_decide() -> None:
    """Three looks fit into the grace, however rare looks have become."""
    move = look(watching(polls=50), BROKEN, 10)

    assert seconds(move.at_us) == 25


def test_abnormal_that_recovers_starts_anew() -> None:
    """One good read in between, and the three reads begin again."""
    updating = seen("Updating", WANTED)

    move = looks(watching(), (BROKEN, 10), (BROKEN, 25), (updating, 30), (BROKEN, 41))

    assert move.event is None
    assert move.progress.abnormal_reads == 1


def test_what_was_abnormal_before_our_send_is_no_news() -> None:
    """A plug-in that we came to mend is not failed for looking as it did."""
    before = seen("Abnormal", OLD)

    move = looks(watching(before=before), (before, 10), (before, 25), (before, 40), (before, 60))

    assert move.event is None


@pytest.mark.parametrize(
    "shown",
    [seen("Abnormal", WANTED), seen("Abnormal", OLD, inputs=CUSTOM)],
    ids=["version", "inputs"],
)
def test_abnormal_with_a_sign_of_our_send_is_news(shown: PluginSeen) -> None:
    """Abnormal before and Abnormal after, but our version or inputs are there: it failed."""
    job = watching(before=seen("Abnormal", OLD))

    move = looks(job, (shown, 10), (shown, 25), (shown, 40))

    assert move.event is JobEvent.BROKEN


def test_abnormal_again_after_a_change_was_seen_is_news() -> None:
    """Abnormal, Updating, Abnormal: the mending failed."""
    before, updating = seen("Abnormal", OLD), seen("Updating", OLD)

    move = looks(watching(before=before), (updating, 6), (before, 10), (before, 25), (before, 40))

    assert move.event is JobEvent.BROKEN


# -- nothing follows -------------------------------------------------------------------------


def test_no_effect_for_five_minutes_is_asked_about() -> None:
    """Accepted and still the old version: not failed, not sent again, but read for proof."""
    move = looks(watching(), (seen(), 5), (seen(), 304.9))
    stale = looks(watching(), (seen(), 5), (seen(), 305))

    assert move.event is None
    assert stale.event is JobEvent.STALE
    assert next_state(JobState.WATCHING, stale.event) is JobState.UNKNOWN
    assert (stale.progress.stale, stale.progress.not_before_us) == (1, after(305))


def test_missing_for_a_minute_is_asked_about() -> None:
    """A new plug-in may be missing from the list for a while; then it is read for proof."""
    fresh = watching(before=None)

    tolerated = looks(fresh, (None, 5), (None, 64.9))
    stale = looks(fresh, (None, 5), (None, 65))

    assert tolerated.event is None
    assert stale.event is JobEvent.STALE


def test_what_was_accepted_may_take_effect_as_late_as_what_was_lost() -> None:
    """Missing for a minute proves nothing before the settle time is over."""
    stale = looks(watching(before=None), (None, 5), (None, 65))

    assert stale.progress.not_before_us == after(90)
    assert seconds(stale.at_us) == 90


def test_one_read_that_misses_the_plugin_is_not_an_hour_of_absence() -> None:
    """Being missing and being unchanged are counted apart."""
    move = looks(watching(), (seen(), 5), (seen(), 100), (None, 130))
    back = looks(watching(before=None), (None, 5), (seen(), 50), (None, 70))

    assert move.event is None
    assert back.event is None


def test_an_unchanged_abnormal_plugin_is_asked_about() -> None:
    """Abnormal before and after, unchanged: nobody says that it runs with other inputs."""
    before = seen("Abnormal", WANTED)

    move = looks(watching(before=before), (before, 5), (before, 305))

    assert move.event is JobEvent.STALE


def test_an_ignored_reconfiguration_is_asked_about() -> None:
    """Same version, our inputs not there and nothing ever moved: read for proof, then resend."""
    before = seen(version=WANTED, inputs={"custom": {"ndots": "2"}})

    move = looks(watching(before=before, inputs=CUSTOM), (before, 5), (before, 305))

    assert move.event is JobEvent.STALE


# -- others ----------------------------------------------------------------------------------


def test_inputs_that_were_not_kept_fail_the_job() -> None:
    """Running at the wanted version with other inputs for five minutes is the end."""
    other = seen(version=WANTED, inputs={"custom": {"ndots": "2"}})

    move = looks(watching(inputs=CUSTOM), (other, 5), (other, 305))

    assert move.event is JobEvent.BROKEN
    assert move.progress.cause == "inputs-not-kept"


@pytest.mark.parametrize(
    ("before", "shown"),
    [
        (seen(), seen(version="3.0")),
        (None, seen(version="3.0")),
        (seen(), seen(version=OLD, created_at="2026-11-24T12:00:03Z")),
    ],
    ids=["third version", "third version where nothing was", "another being"],
)
def test_somebody_elses_version_fails_the_job(before: PluginSeen | None, shown: PluginSeen) -> None:
    """A plug-in that settled as nobody here asked for belongs to somebody else."""
    move = looks(watching(before=before), (shown, 5), (shown, 305))

    assert move.event is JobEvent.BROKEN
    assert move.progress.cause == "changed-by-others"


@pytest.mark.parametrize(
    ("before", "shown"),
    [
        (seen(), seen("Deleting")),
        (seen(), seen("Updating", WANTED)),
        (None, seen("Pending", WANTED)),
        (None, TARGET),
        (None, seen("Deleting", WANTED)),
    ],
    ids=[
        "upgraded, deleting",
        "upgraded, updating",
        "new, pending",
        "new, running",
        "new, deleting",
    ],
)
def test_what_was_there_and_is_gone_was_deleted_by_others(
    before: PluginSeen | None, shown: PluginSeen
) -> None:
    """A plug-in that vanishes after it was seen fails the job; it is not installed again."""
    move = looks(watching(before=before, accepted_us=after(-10)), (shown, -5.5), (shown, -4.5))
    job = replace(watching(before=before), progress=move.progress)

    gone = looks(job, (None, 10), (None, 70))

    assert gone.event is JobEvent.BROKEN
    assert gone.progress.cause == "externally-deleted"


def test_a_deletion_that_ended_before_our_send_is_not_ours() -> None:
    """A phase that an earlier look left behind does not make a missing plug-in a deleted one."""
    accepted = in_hand(JobState.SENDING, version=WANTED, checked=True, sends=1, phase="Deleting")
    job = next_move(accepted, answered(Outcome.OK, sent=0), after(0), rules())
    watched = replace(accepted, state=JobState.WATCHING, progress=job.progress)

    move = looks(watched, (None, 5), (None, 65))

    assert move.event is JobEvent.STALE


@pytest.mark.parametrize("shown", [seen("Deleting"), seen()], ids=["deleting", "running"])
def test_a_lagging_read_does_not_make_a_missing_plugin_a_deleted_one(shown: PluginSeen) -> None:
    """Soon after acceptance a replica may still show what was deleted before our send."""
    move = looks(watching(before=None), (shown, 4.9), (None, 6), (None, 66))

    assert move.event is JobEvent.STALE


def test_an_adopted_change_that_ends_as_something_else_is_not_our_failure() -> None:
    """When somebody else's change did not bring what we want, our own send comes next."""
    adopted = in_hand(
        JobState.WATCHING,
        asks=CUSTOM,
        version=WANTED,
        inputs=CUSTOM,
        accepted_us=after(0),
        adopted=True,
        busy_seen=True,
    )
    other = seen(version=WANTED, inputs={"custom": {"ndots": "2"}})

    move = looks(adopted, (other, 5), (other, 305))

    assert move.event is JobEvent.STALE
    assert move.progress.stale == 0


# -- reads that fail, and the deadline -------------------------------------------------------


@pytest.mark.parametrize("outcome", list(Outcome), ids=str)
def test_a_failed_read_is_not_a_state(outcome: Outcome) -> None:
    """Whatever goes wrong with a read, the job is watched on, and read again soon."""
    job = watching(target_us=after(1), abnormal_reads=2)

    move = next_move(job, answer(outcome), after(20), rules())

    assert move.event is None
    assert move.step is Step.LOOK
    assert 20 <= seconds(move.at_us) <= 20.5
    assert move.progress.misses == 1


def test_a_failed_read_waits_as_the_server_asks() -> None:
    """Retry-After is honoured for reads too."""
    said = answer(Outcome.THROTTLED, retry_after_s=40.0)

    assert seconds(next_move(watching(), said, after(20), rules()).at_us) == 60


def test_a_good_read_ends_the_trouble_of_failed_ones() -> None:
    """The record does not go on showing a trouble that is over."""
    job = watching(cause="server-error", error_code="X", detail="oops", misses=3)

    progress = look(job, seen("Updating", WANTED), 20).progress

    assert (progress.cause, progress.error_code, progress.detail) == (None, None, None)
    assert progress.misses == 0


def test_the_deadline_fails_the_job_with_its_last_state() -> None:
    """Time is up, and a read tells where it stands: failed, and never sent again."""
    move = look(watching(deadline=60), seen("Updating", WANTED), 60)

    assert move.event is JobEvent.TIMED_OUT
    assert move.progress.detail == "the deadline passed while the plug-in was Updating"


def test_a_missing_plugin_is_told_as_absent_at_the_deadline() -> None:
    """The last phase of something that is gone is not its state."""
    move = look(watching(deadline=60, phase="Pending", before=None), None, 60)

    assert move.progress.detail == "the deadline passed while the plug-in was absent"


def test_a_target_seen_at_the_deadline_is_success() -> None:
    """The last read may bring the good news."""
    assert look(watching(deadline=60), TARGET, 60).event is JobEvent.SETTLED


def test_a_deadline_without_a_read_is_unresolved() -> None:
    """Time is up and no read could tell: a person decides."""
    move = next_move(watching(deadline=60), answer(Outcome.SERVER_ERROR), after(60), rules())

    assert move.event is JobEvent.GAVE_UP
    assert next_state(JobState.WATCHING, move.event) is JobState.UNRESOLVED
    assert move.progress.cause == "server-error"


@pytest.mark.parametrize(
    "said",
    [
        read(seen("Updating", WANTED), 58),
        read(BROKEN, 58),
        read(seen(), 58),
        read(None, 58),
        answer(Outcome.SERVER_ERROR, retry_after_s=99.0),
    ],
    ids=["updating", "abnormal", "unchanged", "absent", "failed"],
)
def test_the_last_look_is_at_the_deadline(said: Seen) -> None:
    """No look is put off beyond the instant at which the job must end."""
    patience = rules(poll_first_s=30, abnormal_grace_s=90)

    move = next_move(watching(deadline=60), said, after(58), patience)

    assert seconds(move.at_us) == 60


def test_a_job_without_a_deadline_is_watched_on() -> None:
    """Without a deadline there is no last look."""
    move = look(watching(deadline=None), seen("Updating", WANTED), 10_000)

    assert move.event is None


def test_a_watched_job_takes_nothing_but_reads() -> None:
    """A watched job never sends, so an answer to a send is a fault of the caller."""
    with pytest.raises(TypeError):
        next_move(watching(), answered(Outcome.OK), after(1), rules())


def test_a_job_in_nobodys_hands_is_not_decided_about() -> None:
    """Waiting, ready and final jobs have nothing to decide."""
    with pytest.raises(ValueError, match="nothing to decide"):
        next_move(in_hand(JobState.READY, base=InputsBase.EMPTY), read(None), after(0), rules())
