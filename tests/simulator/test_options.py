"""Options that make no sense are refused, at the start and at run time."""

from typing import Any

import pytest

from jobs.errors import ConfigError
from tests.simulator.asking import QUICK, asking
from worker.simulator import SimulatorOptions


@pytest.mark.parametrize(
    "wrong",
    [
        {"pools": -1},
        {"pools": 1.5},
        {"projects": 1001, "pools": 1000},
        {"speed": 0},
        {"speed": float("nan")},
        {"lost_after": 1.1},
        {"lost_after": -0.1},
        {"lost_after": True},
        {"lost_after": 0.6, "empty": 0.6},
        {"read_faults": "often"},
        {"install_s": (5, 1)},
        {"install_s": (1, 2, 3)},
        {"install_s": 5},
        {"post_mode": "maybe"},
        {"answer_status": 204},
        {"site": "us"},
        {"limit": 0},
        {"limit": 1.5},
        {"daily_quota": 0},
        {"keep_inputs": 1},
        {"lag_s": -1},
        {"region": ""},
    ],
    ids=str,
)
def test_an_option_out_of_bounds_is_refused(wrong: dict[str, Any]) -> None:
    """The error names the option or what is wrong with the sum."""
    with pytest.raises(ConfigError):
        SimulatorOptions(**wrong)


def test_the_whole_of_every_write_may_fail_in_different_ways() -> None:
    """Rates that add up to exactly 1 are fine."""
    options = SimulatorOptions(
        lost_before=0.2, lost_after=0.2, late=0.2, error_before=0.2, html=0.2
    )

    assert options.late == 0.2


async def test_a_refused_change_changes_nothing() -> None:
    """Neither the bad option nor the good one beside it."""
    async with asking(QUICK) as client:
        for wrong in ({"limit": 5, "lost_after": 2.0}, {"limit": 5, "lost_aftr": 0.1}):
            with pytest.raises(ConfigError):
                client.cloud.change(**wrong)

    assert client.cloud.options == QUICK


async def test_an_unknown_option_comes_with_a_suggestion() -> None:
    """A typing mistake is answered with the word that was meant."""
    async with asking(QUICK) as client:
        with pytest.raises(ConfigError, match="did you mean lost_after"):
            client.cloud.change(lost_aftr=0.1)


@pytest.mark.parametrize("name", ["projects", "pools", "seed", "region", "installed", "odd_pools"])
async def test_what_the_fleet_was_made_from_cannot_change(name: str) -> None:
    """A fleet does not become another one under way."""
    async with asking(QUICK) as client:
        with pytest.raises(ConfigError, match="cannot change while"):
            client.cloud.change(**{name: 1})
