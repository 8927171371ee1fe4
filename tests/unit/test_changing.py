"""Changed copies of frozen values: quick, and as strict as `dataclasses.replace`."""

from dataclasses import FrozenInstanceError, dataclass, field, fields, replace

import pytest

from jobs.changing import changed, swift
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


@swift
@dataclass(frozen=True, kw_only=True)
class Value:
    """A frozen value with every kind of field."""

    needed: int
    text: str = "none"
    labels: dict[str, str] = field(default_factory=dict)


def test_a_swiftly_made_value_is_what_a_dataclass_is() -> None:
    """Defaults, equality, repr and frozenness are a dataclass's; no two share a default dict."""
    first, second = Value(needed=1), Value(needed=1, text="x")
    assert (first.text, second.text) == ("none", "x")
    assert first == Value(needed=1)
    assert repr(first) == "Value(needed=1, text='none', labels={})"
    assert first.labels is not Value(needed=1).labels
    with pytest.raises(FrozenInstanceError):
        first.needed = 2  # type: ignore[misc]  # that is the point
    with pytest.raises(TypeError):
        Value()  # type: ignore[call-arg]  # that is the point
    with pytest.raises(TypeError):
        Value(needed=1, needless=2)  # type: ignore[call-arg]  # that is the point


def test_a_value_that_cannot_be_made_swiftly_is_refused_where_it_is_defined() -> None:
    """Slots, positional fields and work on making would be passed over in silence."""

    @dataclass(frozen=True, slots=True, kw_only=True)
    class Slotted:
        one: int

    @dataclass(frozen=True)
    class Positional:
        one: int

    @dataclass(frozen=True, kw_only=True)
    class Checked:
        one: int

        def __post_init__(self) -> None:
            raise ValueError

    for kind in (Slotted, Positional, Checked):
        with pytest.raises(TypeError):
            swift(kind)
