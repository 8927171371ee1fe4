"""Which pools can take a plug-in now, and why the others cannot."""

import pytest

from jobs.fitness import CONTROL_BITS, PHASES, blocked
from jobs.model import PoolSeen


def a_pool(
    phase: str | None = "Running",
    *,
    control_mode: int | None = None,
    workspace: str | None = "0",
    message: str | None = None,
) -> PoolSeen:
    """Return a pool of which only what is named here is out of the ordinary."""
    return PoolSeen(
        name="pool-a",
        phase=phase,
        control_mode=control_mode,
        workspace=workspace,
        message=message,
    )


def test_a_running_pool_takes_plug_ins() -> None:
    """Nothing stands in the way of an ordinary pool."""
    assert blocked(a_pool()) is None
    assert blocked(a_pool(workspace=None)) is None


@pytest.mark.parametrize("phase", [phase for phase, why in PHASES.items() if why is not None])
def test_every_other_documented_phase_blocks_with_its_own_words(phase: str) -> None:
    """A person reads what is wrong with the pool, not a code."""
    assert blocked(a_pool(phase)) == PHASES[phase]
    assert len(set(PHASES.values())) == len(PHASES)


def test_only_running_lets_in() -> None:
    """The phases of both sites are known, and one of them is fit."""
    fit = {phase for phase, why in PHASES.items() if why is None}

    assert fit == {"Running"}
    assert set(PHASES) >= {"Creating", "Abnormal", "Deleting", "Error", "Waiting"}


@pytest.mark.parametrize("phase", ["running", "Reconciling", ""])
def test_an_unknown_phase_blocks_and_is_named(phase: str) -> None:
    """What nobody knows is not taken for fit."""
    why = blocked(a_pool(phase))

    assert why is not None
    assert f"phase {phase}," in why


def test_a_pool_without_a_phase_is_blocked() -> None:
    """Not told is not the same as Running."""
    assert blocked(a_pool(None)) == "the cloud does not tell the pool's phase"


@pytest.mark.parametrize(
    ("bits", "why"),
    [
        (0, None),
        (1 | 2 | 4, None),
        (8, "the pool is frozen"),
        (8 | 1, "the pool is frozen"),
        (16, "the pool is frozen by the authorities"),
        (16 | 8, "the pool is frozen by the authorities"),
    ],
)
def test_a_frozen_pool_is_blocked_though_it_runs(bits: int, why: str | None) -> None:
    """Of the control bits those that freeze block; limits of billing and flavors do not."""
    assert blocked(a_pool(control_mode=bits)) == why
    assert {bit for bit, _ in CONTROL_BITS} == {8, 16}


def test_a_pool_of_another_workspace_is_blocked_until_that_one_is_asked_for() -> None:
    """Nobody changes a pool by accident that is not among those they look at."""
    elsewhere = a_pool(workspace="w7")

    assert blocked(elsewhere) == "the pool is in workspace w7, which was not asked for"
    assert blocked(elsewhere, ["w7"]) is None
    assert blocked(a_pool(), ["w7"]) is not None


def test_the_clouds_own_words_go_with_the_reason() -> None:
    """Why a pool is Abnormal is in its message; a fit pool's message is no reason."""
    assert blocked(a_pool("Abnormal", message="2 nodes lost")) == (
        "the pool is Abnormal: 2 nodes lost"
    )
    assert blocked(a_pool(message="all is well")) is None
