"""Who must approve a wave before it goes on: persons, groups, four eyes, and on which side."""

import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from jobs.clock import MICROSECONDS
from jobs.rollout_states import RolloutState, WaveState
from jobs.rollouts.gates import SUBMITTER, pending, why_useless
from jobs.rollouts.planning import make_plan
from jobs.states import WaitReason
from jobs.store.rollouts import OrderKind
from tests.builders import NOON_US
from tests.rollouts.building import REST, TERMS, a_manifest
from tests.rollouts.running import ModelRollout, failing, three_regions

HOUR_US = 3600 * MICROSECONDS
Person = tuple[str, Sequence[str]]


def held(**wave: Any) -> ModelRollout:
    """Return a rollout that Sam started and whose first wave has gates, run until it waits."""
    waves = [{"name": "one", "pick": {"count": 2}, **wave}, REST]
    plan = make_plan(a_manifest(waves=waves), three_regions(4), TERMS)
    rollout = ModelRollout(plan, failing(0.0), random.Random(1))
    rollout.row = replace(rollout.row, facts={SUBMITTER: "sam"})
    rollout.look_once()
    return rollout


def approval(**asked: Any) -> list[dict[str, Any]]:
    """Return gates that are one approval."""
    return [{"approval": asked}]


def asked(rollout: ModelRollout) -> list[str]:
    """Return what it says of approvals that it waits for."""
    rollout.look_once()
    return [one.text for one in rollout.last.holds if one.reason is WaitReason.APPROVAL]


def approve(rollout: ModelRollout, *persons: Person) -> None:
    """Let persons approve the first wave, one after the other."""
    for by, groups in persons:
        rollout.order(OrderKind.APPROVE, 0, by=by, groups=groups)
    rollout.look_once()


@pytest.mark.parametrize(
    ("asks", "persons", "opens"),
    [
        ({"count": 2}, [("ana", ())], False),
        ({"count": 2}, [("ana", ()), ("ana", ())], False),
        ({"count": 2}, [("ana", ()), ("ben", ())], True),
        ({"groups": ["sre"]}, [("ana", ()), ("ben", ("dev",))], False),
        ({"groups": ["sre", "lead"]}, [("ana", ("dev", "lead"))], True),
        ({"groups": ["sre"], "count": 2}, [("ana", ("sre",)), ("ben", ())], False),
        ({"groups": ["sre"], "count": 2}, [("ana", ("sre",)), ("ben", ("sre",))], True),
        ({"fourEyes": True}, [("sam", ())], False),
        ({"fourEyes": True}, [("sam", ()), ("ana", ())], True),
        ({}, [("sam", ())], True),
    ],
    ids=[
        *("one of two", "the same twice", "two", "no group", "one of the groups", "one of sre"),
        *("two of sre", "own eyes", "other eyes", "own eyes will do"),
    ],
)
def test_a_gate_counts_the_persons_it_asks_for(
    asks: dict[str, Any],
    persons: list[Person],
    opens: bool,  # noqa: FBT001 - one column of the table
) -> None:
    """So many different persons, of its groups, and with fourEyes not the one who started it."""
    rollout = held(before=approval(**asks))
    assert rollout.row.waves[0].state == WaveState.GATED

    approve(rollout, *persons)

    assert rollout.row.waves[0].state == (WaveState.RUNNING if opens else WaveState.GATED)
    assert bool(rollout.sent) is opens


def test_each_gate_of_a_wave_counts_for_itself() -> None:
    """A person in both groups opens both gates; one in neither opens none."""
    gates = [*approval(groups=["sre"]), *approval(groups=["security"])]
    rollout = held(before=gates)
    assert len(asked(rollout)) == 2

    approve(rollout, ("ana", ("sre",)))
    (left,) = asked(rollout)
    assert "approval by security" in left

    approve(rollout, ("ben", ("security", "sre")))
    assert asked(rollout) == []


def test_who_is_missing_is_told() -> None:
    """The hold names how many, of whom, not whom, and who has approved already."""
    rollout = held(before=approval(count=3, groups=["sre", "lead"], fourEyes=True))
    approve(rollout, ("ana", ("sre",)), ("sam", ("sre",)))

    (told,) = asked(rollout)

    assert told.startswith(
        "wave one waits for 3 approvals by sre or lead, not by sam (1 of 3: ana), asked "
    )


def test_a_word_about_the_start_says_nothing_about_the_result() -> None:
    """With approvals on both sides the second is given after the wave opened, also by Ana."""
    rollout = held(before=approval(), after=approval())
    approve(rollout, ("ana", ()))
    rollout.run(1000)
    assert rollout.row.waves[0].state is not WaveState.PASSED

    again = held(before=approval(), after=approval())
    approve(again, ("ana", ()))
    again.now_us += HOUR_US
    approve(again, ("ana", ()))
    assert again.run() is RolloutState.SUCCEEDED


def test_an_approval_after_a_wave_may_be_given_ahead() -> None:
    """It is bound to wave and plan, so it counts when the wave comes to its gate."""
    rollout = held(after=approval())
    approve(rollout, ("ana", ()))

    assert rollout.run() is RolloutState.SUCCEEDED


def test_two_persons_who_do_not_come_in_time_let_it_expire() -> None:
    """One of two is not enough: three hours after it asked the rollout has expired."""
    rollout = held(before=approval(count=2, expires="3h"))
    approve(rollout, ("ana", ()))

    assert rollout.run() is RolloutState.EXPIRED
    assert rollout.now_us == NOON_US + 3 * HOUR_US


def test_who_may_not_approve_is_told_before_anything_is_written() -> None:
    """An approval that counts for none of the gates is no use to anybody."""
    rollout = held(before=approval(groups=["sre"], fourEyes=True))
    missing = pending(rollout.course.waves[0], rollout.row.waves[0], "sam")
    gates = [gate for gate, _ in missing]

    assert [number for _, number in missing] == [1]
    assert "in none of its groups: sre" in (why_useless(gates, "ana", ["dev"], "sam") or "")
    assert "another person must approve" in (why_useless(gates, "sam", ["sre"], "sam") or "")
    assert why_useless(gates, "ana", ["sre"], "sam") is None
    assert why_useless([], "ana", [], "sam") is None


def test_the_plan_says_whom_a_wave_waits_for() -> None:
    """As one reads it before anything starts."""
    waves = [{**REST, "after": approval(count=2, groups=["sre"])}]
    plan = make_plan(a_manifest(waves=waves), three_regions(2), TERMS)

    assert plan.waves[0].then == ("2 approvals by sre",)
