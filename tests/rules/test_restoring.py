"""A job that undoes a change: exactly what was there, and only where nobody else was since."""

from dataclasses import replace
from typing import Any, Final

import pytest

from jobs import causes
from jobs.decide import Move, Step, first_look, next_move
from jobs.inputs import inputs_digest
from jobs.model import InputsBase, Job, PluginSeen, PluginWish, Restore
from jobs.sightings import is_left_so
from jobs.states import JobEvent, JobState
from tests.rules.builders import OLD, PLUGIN, WANTED, after, in_hand, read, rules, seen

BEFORE: Final = {"ndots": "2"}
SENT: Final = {"ndots": "5", "cache": "30"}
SHOWN: Final = {**SENT, "added": "by the cloud"}


def undoing(inputs: Any = BEFORE, version: str = OLD, **restore: Any) -> Job:
    """Return a job that gives back OLD with BEFORE, where WANTED with SENT was written."""
    ours = Restore(**{"version": WANTED, "inputs": SENT, **restore})
    wish = PluginWish(
        name=PLUGIN, version=version, inputs=inputs, base=InputsBase.EMPTY, restore=ours
    )
    job = in_hand(JobState.CHECKING)
    return _with(job, wish)


def _with(job: Job, wish: PluginWish) -> Job:
    return replace(job, request=replace(job.request, plugin=wish))


def check(job: Job, plugin: PluginSeen | None) -> Move:
    """Decide by one read."""
    return next_move(job, read(plugin), after(0), rules())


@pytest.mark.parametrize("phase", ["Running", "Abnormal"])
def test_what_we_wrote_is_replaced_by_exactly_what_was_there(phase: str) -> None:
    """The full inputs from before are sent, and nothing that came since."""
    move = check(undoing(), seen(phase, WANTED, inputs=SENT))

    assert (move.step, move.progress.version) == (Step.SEND, OLD)
    assert move.progress.inputs == BEFORE


def test_an_input_that_is_too_many_is_taken_away() -> None:
    """A reconfiguration that has added an input is undone by sending without it."""
    job = undoing(version=WANTED)
    move = check(job, seen(version=WANTED, inputs={**BEFORE, **SENT}))
    assert move.step is Step.SEND
    assert check(job, seen(version=WANTED, inputs=BEFORE)).event is JobEvent.ALREADY


@pytest.mark.parametrize(
    "now",
    [
        None,
        seen(version="9.9", inputs=SENT),
        seen(version=WANTED, inputs={**SENT, "ndots": "7"}),
        seen(version=WANTED, inputs=None),
    ],
    ids=["gone", "version", "inputs", "unreadable"],
)
def test_what_somebody_else_has_changed_since_is_left_alone(now: PluginSeen | None) -> None:
    """Nothing is sent, and the job says why; unless a person wants it anyhow."""
    move = check(undoing(), now)
    assert (move.event, move.progress.cause) == (JobEvent.SKIPPED, causes.CHANGED_BY_OTHERS)
    assert move.progress.sends == 0
    assert "7" not in (move.progress.detail or "")
    assert check(undoing(anyhow=True), now).step is Step.SEND


def test_inputs_are_told_from_others_by_how_they_were_shown() -> None:
    """What the cloud adds is no change; what somebody adds is."""
    job = undoing(shown=inputs_digest(SHOWN))
    assert check(job, seen(version=WANTED, inputs=SHOWN)).step is Step.SEND
    extra = seen(version=WANTED, inputs={**SHOWN, "theirs": "1"})
    assert check(job, extra).event is JobEvent.SKIPPED


def test_a_change_that_failed_half_way_is_ours() -> None:
    """The old version with new inputs, or the other way round, or as it was, but Abnormal."""
    wish = undoing().request.plugin
    for version, inputs in ((OLD, SENT), (WANTED, BEFORE), (OLD, BEFORE)):
        assert is_left_so(seen("Abnormal", version, inputs=inputs), wish)


def test_an_undoing_reads_before_it_sends() -> None:
    """Also where jobs that depend on nothing are sent blindly."""
    move = first(undoing())
    assert move.step is Step.LOOK


def first(job: Job) -> Move:
    """Begin with the job where reads are spared."""
    return first_look(job, after(0), rules(read_first=False))
