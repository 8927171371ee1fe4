"""Changed copies of frozen values: quick, and as strict as `dataclasses.replace`."""

from dataclasses import FrozenInstanceError, fields, replace

import pytest

from jobs.changing import changed
from jobs.decide import Move
from jobs.model import Job, Progress
from worker.executor import Held


def test_a_changed_copy_equals_what_dataclasses_replace_makes() -> None:
    """The quick way and the standard one make equal values, and the old one stays as it was."""
    before = Progress(version="1.0", sends=1)
    after = changed(before, sends=2, cause="conflict")
    assert after == replace(before, sends=2, cause="conflict")
    assert before == Progress(version="1.0", sends=1)


def test_a_copy_is_as_frozen_as_what_it_was_made_from() -> None:
    """Nobody changes a copy either."""
    after = changed(Progress(), sends=1)
    with pytest.raises(FrozenInstanceError):
        after.sends = 2  # type: ignore[misc]  # that is the point


def test_a_field_that_does_not_exist_is_refused() -> None:
    """A slip of the pen does not become an attribute that nobody reads."""
    with pytest.raises(TypeError, match="Progress has no field sendz"):
        changed(Progress(), sendz=1)  # type: ignore[call-arg]  # that is the point


@pytest.mark.parametrize("kind", [Progress, Job, Move, Held])
def test_the_values_that_change_most_can_be_changed_the_quick_way(kind: type) -> None:
    """They keep their fields in a dictionary and do nothing when they are made."""
    assert fields(kind)
    assert "__slots__" not in vars(kind)
    assert not hasattr(kind, "__post_init__")
