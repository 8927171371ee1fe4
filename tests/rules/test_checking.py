"""Reading before writing: leave alone, adopt, wait, or send the inputs in full."""

from dataclasses import replace
from typing import Any

import pytest

from jobs.clock import MICROSECONDS
from jobs.decide import Move, Offered, Step, first_look, next_move
from jobs.decide.checking import READS, ReadVerdict
from jobs.model import InputsBase, Job, PluginSeen
from jobs.outcomes import Outcome
from jobs.states import JobEvent, JobState, WaitReason, next_state
from tests.builders import NOON_US
from tests.rules.builders import (
    CUSTOM,
    OLD,
    WANTED,
    after,
    answer,
    answered,
    checking,
    in_hand,
    read,
    rules,
    seen,
)

INSTALLED = {"custom": {"ndots": "9", "search": "corp"}, "keep": ["me"]}
TARGET = seen(version=WANTED)


def check(job: Job, plugin: PluginSeen | None, at: float = 0.0) -> Move:
    """Return the move after a read asked *at* seconds after noon and answered at once."""
    return next_move(job, read(plugin, at), after(at), rules())


def offered(job: Job, *versions: str, **defaults: Any) -> Move:
    """Return the move after the read of what the template offers."""
    by_version = dict.fromkeys(versions, defaults)
    return next_move(job, Offered(versions=versions, defaults=by_version), after(0), rules())


def seconds(at_us: int) -> float:
    """Return an instant in seconds after noon."""
    return (at_us - NOON_US) / MICROSECONDS


# -- nothing to send -------------------------------------------------------------------------


def test_what_is_as_wanted_is_left_alone() -> None:
    """Running at the wanted version and inputs: unchanged, and nothing is sent."""
    shown = seen(version=WANTED, inputs={**INSTALLED, **CUSTOM})

    move = check(checking(asks=CUSTOM), shown)

    assert move.event is JobEvent.ALREADY
    assert next_state(JobState.CHECKING, move.event) is JobState.UNCHANGED
    assert move.progress.version_from == WANTED


def test_other_inputs_at_the_wanted_version_are_sent() -> None:
    """The version alone does not make it unchanged."""
    shown = seen(version=WANTED, inputs=INSTALLED)

    assert check(checking(asks=CUSTOM), shown).step is Step.SEND


def test_a_change_in_progress_to_the_target_is_adopted() -> None:
    """Somebody is doing it already: it is watched, and nothing is sent."""
    shown = seen("Updating", WANTED, inputs={**INSTALLED, **CUSTOM})

    move = check(checking(asks=CUSTOM), shown)

    assert move.event is JobEvent.ADOPTED
    assert next_state(JobState.CHECKING, move.event) is JobState.WATCHING
    assert (move.progress.adopted, move.progress.busy_seen) == (True, True)
    assert move.progress.accepted_us == NOON_US
    assert seconds(move.at_us) == 5


def test_an_adopted_change_must_bring_our_inputs() -> None:
    """Adopting does not lower what success means."""
    shown = seen("Updating", WANTED, inputs=CUSTOM)
    job = checking(asks=CUSTOM)
    watched = replace(job, state=JobState.WATCHING, progress=check(job, shown).progress)

    move = next_move(watched, read(TARGET, 20), after(20), rules())

    assert move.event is None


def test_our_own_change_that_arrived_after_all_is_watched() -> None:
    """After reads that showed no effect, the target is there: ours, and it is verified."""
    job = checking(sends=1, version=WANTED, version_from=OLD, checked=True, before=seen())

    move = check(job, TARGET)

    assert move.event is JobEvent.ADOPTED
    assert move.again
    assert (move.progress.adopted, move.progress.version_from) == (False, OLD)
    assert move.progress.accepted_us == NOON_US


def test_after_a_throttled_send_the_target_is_somebody_elses() -> None:
    """A send that was refused for now had no effect, so what is as wanted is unchanged."""
    job = checking(asks=CUSTOM, sends=1, spared=1, version=WANTED, inputs={**CUSTOM, "old": 1})

    move = check(job, seen(version=WANTED, inputs=CUSTOM))

    assert move.event is JobEvent.ALREADY


@pytest.mark.parametrize("phase", ["Pending", "Updating", "Deleting", "Reconciling", None])
def test_a_change_by_others_is_waited_for(phase: str | None) -> None:
    """Never into somebody else's change: the job gives the pool back and comes again."""
    move = check(checking(), seen(phase, "3.0"))

    assert (move.event, move.reason) == (JobEvent.HELD, WaitReason.POOL_BUSY)
    assert next_state(JobState.CHECKING, JobEvent.HELD) is JobState.WAITING
    assert seconds(move.at_us) == 5
    assert move.progress.cause == "busy-elsewhere"
    assert move.progress.polls == 1


def test_a_change_by_others_is_asked_for_less_and_less_often() -> None:
    """The waits grow up to half a minute."""
    move = check(checking(polls=20), seen("Updating", "3.0"))

    assert seconds(move.at_us) == 30


def test_an_unresolved_version_adopts_nothing() -> None:
    """While nobody knows which version is wanted, a change in progress is waited for."""
    move = check(checking(asks_version=None), seen("Updating", WANTED))

    assert move.reason is WaitReason.POOL_BUSY


# -- the inputs of the send ------------------------------------------------------------------


def test_current_lays_ours_over_what_is_installed() -> None:
    """Nothing that a customer set is reset: the whole tree is sent."""
    move = check(checking(asks=CUSTOM), seen(inputs=INSTALLED))

    assert move.step is Step.SEND
    assert move.progress.inputs == {"custom": {"ndots": "5", "search": "corp"}, "keep": ["me"]}
    assert move.progress.inputs_changed == ("custom.ndots",)


def test_an_upgrade_without_inputs_of_its_own_sends_what_is_installed() -> None:
    """A job that names no inputs keeps all of them."""
    move = check(checking(), seen(inputs=INSTALLED))

    assert move.progress.inputs == INSTALLED
    assert move.progress.inputs_changed == ()


def test_template_lays_ours_over_the_defaults_of_the_wanted_version() -> None:
    """What is installed does not count when the job asks for the template's defaults."""
    job = checking(asks=CUSTOM, base=InputsBase.TEMPLATE)
    asked = check(job, seen(inputs=INSTALLED))
    assert asked.step is Step.OFFERS

    move = offered(replace(job, progress=asked.progress), "3.0", WANTED, level="info")

    assert move.step is Step.SEND
    assert move.progress.inputs == {"level": "info", **CUSTOM}
    assert move.progress.version == WANTED


def test_a_template_without_the_wanted_version_has_no_defaults_to_send() -> None:
    """Defaults of another version are not guessed."""
    job = checking(base=InputsBase.TEMPLATE, version=WANTED, checked=True)

    move = offered(job, "3.0", level="info")

    assert move.event is JobEvent.REFUSED
    assert move.progress.cause == "not-offered"


def test_empty_sends_exactly_ours() -> None:
    """Nothing is laid under the job's own inputs when it says so."""
    move = check(checking(asks=CUSTOM, base=InputsBase.EMPTY), seen(inputs=INSTALLED))

    assert move.progress.inputs == CUSTOM


@pytest.mark.parametrize("base", list(InputsBase))
def test_a_first_install_needs_no_installed_inputs(base: InputsBase) -> None:
    """Where nothing is installed, every base works."""
    job = checking(asks=CUSTOM, base=base)
    move = check(job, None)
    if base is InputsBase.TEMPLATE:
        move = offered(replace(job, progress=move.progress), WANTED, level="info")

    assert move.step is Step.SEND
    assert (move.progress.inputs or {})["custom"] == CUSTOM["custom"]
    assert (move.progress.before, move.progress.version_from) == (None, None)


def test_a_request_without_any_input_carries_none() -> None:
    """An empty tree is sent as no tree at all."""
    assert check(checking(), seen(inputs={})).progress.inputs is None


def test_unreadable_inputs_are_not_overwritten() -> None:
    """A plug-in whose inputs cannot be read is not upgraded unless the job opts in."""
    hidden = seen(inputs=None)

    refused = check(checking(asks=CUSTOM), hidden)

    assert refused.event is JobEvent.REFUSED
    assert refused.progress.cause == "inputs-unreadable"
    assert check(checking(asks=CUSTOM, base=InputsBase.EMPTY), hidden).step is Step.SEND
    assert check(checking(base=InputsBase.TEMPLATE), hidden).step is Step.OFFERS


def test_after_a_throttled_send_the_inputs_are_merged_anew() -> None:
    """What was prepared before the wait is forgotten: somebody may have changed inputs since."""
    job = checking(asks=CUSTOM)
    first = check(job, seen(inputs={"keep": "old"}))
    throttled = replace(first.progress, sends=1, spared=1)

    move = check(replace(job, progress=throttled), seen(inputs={"keep": "new"}))

    assert move.step is Step.SEND
    assert move.progress.inputs == {"keep": "new", **CUSTOM}


def test_the_baseline_is_what_was_there_before_our_first_write() -> None:
    """A send that was throttled wrote nothing; one that had no effect may have."""
    throttled = checking(sends=1, spared=1, version=WANTED, version_from="0.9")
    sent = checking(sends=1, version=WANTED, version_from="0.9", checked=True, before=seen())

    assert check(throttled, seen()).progress.version_from == OLD
    assert check(sent, seen()).progress.version_from == "0.9"


def test_what_was_seen_before_the_send_is_remembered() -> None:
    """The before-image, and that there was a look at all, go with the intent."""
    progress = check(checking(), seen(inputs=INSTALLED, reason="fine")).progress

    assert progress.checked
    assert progress.before == seen(inputs=INSTALLED, reason="fine")
    assert (progress.phase, progress.reason) == ("Running", "fine")


def test_the_trouble_of_an_earlier_read_does_not_go_with_the_send() -> None:
    """A send whose worker dies is not taken for one that a proxy refused."""
    job = checking(cause="unknown-refusal", error_code="X", detail="proxy", misses=2)

    progress = check(job, seen()).progress

    assert (progress.cause, progress.error_code, progress.detail) == (None, None, None)
    assert progress.misses == 2


# -- the version -----------------------------------------------------------------------------


def test_without_a_version_the_newest_offered_one_is_frozen() -> None:
    """It is resolved once; a newer one that is offered later changes nothing."""
    job = checking(asks_version=None)
    asked = check(job, seen())
    first = offered(replace(job, progress=asked.progress), "3.0", "2.0")
    later = offered(replace(job, progress=first.progress), "4.0", "3.0", "2.0")

    assert asked.step is Step.OFFERS
    assert (first.step, first.progress.version) == (Step.SEND, "3.0")
    assert later.progress.version == "3.0"
    assert check(replace(job, progress=first.progress), seen()).step is Step.SEND


def test_the_newest_version_may_be_there_already() -> None:
    """Resolving the version can show that nothing is to be done."""
    job = checking(asks_version=None)
    asked = check(job, TARGET)

    move = offered(replace(job, progress=asked.progress), WANTED)

    assert move.event is JobEvent.ALREADY
    assert move.progress.version == WANTED


def test_a_plugin_that_is_not_offered_cannot_be_installed() -> None:
    """No version for this pool: refused, and nothing is sent."""
    job = checking(asks_version=None)
    asked = check(job, None)

    move = offered(replace(job, progress=asked.progress))

    assert move.event is JobEvent.REFUSED
    assert move.progress.cause == "not-offered"


# -- cancel, deadline, conflicts -------------------------------------------------------------


@pytest.mark.parametrize(
    "said",
    [read(TARGET), read(None), Offered(versions=(WANTED,)), answer(Outcome.SERVER_ERROR)],
    ids=["target", "absent", "offer", "failed"],
)
def test_a_cancelled_job_stops_before_it_sends(said: Any) -> None:
    """Whatever comes in, a job that was asked to stop sends nothing."""
    move = next_move(checking(cancel_asked=True, version=WANTED), said, after(0), rules())

    assert move.event is JobEvent.CANCELLED
    assert move.step is Step.REST


@pytest.mark.parametrize(
    ("at", "step"), [(58.9, Step.SEND), (59.0, Step.SEND), (59.1, Step.REST), (61.0, Step.REST)]
)
def test_nothing_is_sent_with_less_than_a_second_left(at: float, step: Step) -> None:
    """A send needs time to be answered; without it the job fails with nothing sent."""
    move = check(checking(deadline=60), seen(), at)

    assert move.step is step
    if step is Step.REST:
        assert move.event is JobEvent.TIMED_OUT
        assert move.progress.cause == "deadline"


@pytest.mark.parametrize("shown", [seen("Updating", "3.0"), seen("Deleting")])
def test_waiting_for_others_ends_with_the_deadline(shown: PluginSeen) -> None:
    """Somebody else's change that never ends does not keep the job for ever."""
    assert check(checking(deadline=60), shown, 60).event is JobEvent.TIMED_OUT


def test_what_is_as_wanted_at_the_deadline_is_unchanged() -> None:
    """A read that shows the target ends the job well, however late."""
    assert check(checking(deadline=60), TARGET, 61).event is JobEvent.ALREADY


@pytest.mark.parametrize(("count", "step"), [(1, Step.SEND), (2, Step.SEND), (3, Step.REST)])
def test_three_conflicts_are_believed(count: int, step: Step) -> None:
    """Thrice "something is there" while reads show nothing in progress: refused."""
    move = check(checking(cause="conflict", conflicts=count, sends=count, spared=count), seen())

    assert move.step is step
    if step is Step.REST:
        assert move.event is JobEvent.REFUSED
        assert move.progress.cause == "conflict"


def test_other_troubles_in_a_row_are_not_conflicts() -> None:
    """Failed reads never add up to a refusal."""
    assert check(checking(cause="server-error", misses=9), seen()).step is Step.SEND


def test_work_in_progress_explains_the_conflicts_before_it() -> None:
    """Refusals while somebody else was changing the plug-in say nothing about the site."""
    move = check(checking(cause="conflict", conflicts=2), seen("Updating", "3.0"))

    assert move.progress.conflicts == 0


def test_what_was_refused_once_is_not_created_again_after_a_lost_answer() -> None:
    """A site that refuses to create is asked to update, also when an answer is lost between."""
    move = check(checking(cause="connection-lost", conflicts=1, sends=2, spared=1), seen())

    assert move.step is Step.SEND
    assert move.progress.patch


# -- reads that fail -------------------------------------------------------------------------

FAIL = {
    Outcome.NOT_SENDABLE,
    Outcome.REFUSED_CONTENT,
    Outcome.FORBIDDEN,
    Outcome.NOT_FOUND,
    Outcome.NOT_SUPPORTED,
}
BREAKER = {
    Outcome.TLS_WRONG,
    Outcome.REDIRECTED,
    Outcome.UNAUTHENTICATED,
    Outcome.NO_SUCH_API,
    Outcome.QUOTA_SPENT,
}


@pytest.mark.parametrize("outcome", list(Outcome), ids=str)
def test_each_failed_read_has_one_consequence(outcome: Outcome) -> None:
    """A complete refusal fails the job, trouble beyond it rests it, anything else is read again."""
    move = next_move(checking(), answer(outcome, message="said"), after(0), rules())

    assert move.progress.cause == outcome.value
    assert move.progress.detail == "said"
    if outcome in FAIL:
        assert (move.event, READS[outcome]) == (JobEvent.REFUSED, ReadVerdict.FAIL)
    elif outcome in BREAKER:
        assert (move.event, move.reason) == (JobEvent.HELD, WaitReason.BREAKER)
        assert seconds(move.at_us) == 15
    elif outcome is Outcome.POOL_NOT_READY:
        assert (move.event, move.reason) == (JobEvent.HELD, WaitReason.BACKOFF)
        assert seconds(move.at_us) == 60
    else:
        assert (move.event, move.step) == (None, Step.LOOK)
        assert 0 <= seconds(move.at_us) <= 0.5


@pytest.mark.parametrize("outcome", list(Outcome), ids=str)
def test_failed_reads_end_with_the_deadline(outcome: Outcome) -> None:
    """A job that could not even read fails when its time is up, and nothing was sent."""
    move = next_move(checking(deadline=60), answer(outcome), after(60), rules())

    assert move.event is JobEvent.TIMED_OUT
    assert move.progress.detail == "the deadline passed before it was sent"


def test_a_checking_job_has_no_send_to_be_answered() -> None:
    """An answer to a send is a fault of the caller here."""
    with pytest.raises(TypeError):
        next_move(checking(), answered(Outcome.OK), after(0), rules())


# -- the first look --------------------------------------------------------------------------

BLIND: dict[str, Any] = {"asks": CUSTOM, "base": InputsBase.EMPTY}


def test_a_claimed_job_is_read_first() -> None:
    """Read before writing is the rule, also where the read could be spared."""
    move = first_look(checking(**BLIND), after(0), rules())

    assert (move.step, move.at_us) == (Step.LOOK, 0)


def test_a_read_may_be_spared_when_nothing_depends_on_it() -> None:
    """With read_first off, a pinned version and base empty, the job is sent at once."""
    move = first_look(checking(**BLIND), after(0), rules(read_first=False))

    assert move.step is Step.SEND
    assert (move.progress.version, move.progress.inputs) == (WANTED, CUSTOM)
    assert not move.progress.checked


@pytest.mark.parametrize(
    "but",
    [
        {"base": InputsBase.CURRENT},
        {"base": InputsBase.TEMPLATE},
        {"asks_version": None},
        {"sends": 1},
        {"sends": 1, "spared": 1},
        {"cancel_asked": True},
        {"deadline": -1.0},
        {"deadline": 0.9},
    ],
    ids=lambda but: " ".join(f"{key}={value}" for key, value in but.items()),
)
def test_a_read_is_never_spared_otherwise(but: dict[str, Any]) -> None:
    """Inputs, version, an earlier send, a cancel or the deadline: each needs the look."""
    job = checking(**BLIND | but)

    assert first_look(job, after(0), rules(read_first=False)).step is Step.LOOK


def test_a_watched_job_is_looked_at_at_once_by_whoever_takes_it_over() -> None:
    """A new worker needs to see where it stands."""
    job = in_hand(JobState.WATCHING, version=WANTED, sends=1, accepted_us=after(0))

    assert first_look(job, after(7), rules(read_first=False)).at_us == 0
