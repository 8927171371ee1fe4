"""Waves: which pools go first, and that every pool goes once."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.errors import WavesError
from jobs.rollouts.observed import Observed
from jobs.rollouts.rounding import shares
from jobs.rollouts.waves import cut
from tests.rollouts.building import REST, a_manifest, a_pool

GOLDEN = Path(__file__).with_name("percents.txt")


def table() -> str:
    """Return for 1 to 30 pools what each whole percent from 1 to 100 is."""
    rows = []
    for pools in range(1, 31):
        cells = [str(shares(pools, [Fraction(percent, 100)])[0]) for percent in range(1, 101)]
        rows.append(f"{pools}: {' '.join(cells)}\n")
    return "".join(rows)


def test_what_a_percent_of_a_small_fleet_is_never_changes() -> None:
    """The table of 30 x 100 numbers is the one that was checked by eye."""
    assert table() == GOLDEN.read_text()


@given(total=st.integers(1, 500), parts=st.lists(st.integers(1, 40), min_size=1, max_size=8))
def test_shares_add_up_and_none_is_nothing(total: int, parts: list[int]) -> None:
    """No share is 0; together they are their sum, or one for each where the fleet is small."""
    scale = max(100, sum(parts))
    fractions = [Fraction(part, scale) for part in parts]

    found = shares(total, fractions)

    assert min(found) >= 1
    together = int(total * sum(fractions) + Fraction(1, 2))
    assert sum(found) == max(together, len(parts)) or sum(found) == together
    if together >= len(parts):
        assert all(
            abs(one - total * part) <= len(parts)
            for one, part in zip(found, fractions, strict=True)
        )


def test_a_hundred_percent_is_everything() -> None:
    """Percents that add up to 100 leave nothing over."""
    for total in range(5, 200):
        parts = [Fraction(10, 100), Fraction(40, 100), Fraction(50, 100)]
        assert sum(shares(total, parts)) == total


def cut_by(waves: list[Any], pools: list[Observed], included: int | None = None) -> list[list[str]]:
    """Return the names of the pools of each wave."""
    spec = a_manifest(waves=waves).spec
    found = cut(spec.waves, pools, included or len(pools), "a-rollout")
    return [[pool.target.pool_name for pool in one.pools] for one in found]


REGIONS = ("cn-north-4", "cn-east-3", "ap-southeast-3")
FLEET = [a_pool(n, region=REGIONS[n % 3], labels={"ring": str(n % 5)}) for n in range(60)]


def test_every_pool_is_in_exactly_one_wave() -> None:
    """None is forgotten and none goes twice."""
    waves = [
        {"name": "canary", "pick": {"labels": {"ring": "0"}, "count": 2, "spread": "region"}},
        {"name": "region", "pick": {"regions": "cn-east-3"}},
        {"name": "early", "pick": {"percent": 10}},
        REST,
    ]
    found = cut_by(waves, FLEET)

    assert sorted(name for wave in found for name in wave) == [f"pool-{n:04d}" for n in range(60)]
    assert [len(wave) for wave in found][::2] == [2, 6]


def test_percents_are_of_the_whole_fleet_not_of_what_is_left() -> None:
    """40 % of 200 are 80, though only 177 are to be changed and 22 are gone before."""
    waves: list[Any] = [
        {"name": "canary", "pick": {"count": 2}},
        {"name": "early", "pick": {"percent": 10}},
        {"name": "broad", "pick": {"percent": 40}},
        REST,
    ]
    found = cut_by(waves, [a_pool(n) for n in range(177)], included=200)

    assert [len(wave) for wave in found] == [2, 20, 80, 75]


def test_named_pools_are_cut_before_counted_ones() -> None:
    """A count that stands first does not take what a later wave names."""
    waves: list[Any] = [
        {"name": "any", "pick": {"count": 59}},
        {"name": "named", "pick": {"pools": "pool-0007"}},
    ]
    assert cut_by(waves, FLEET)[1] == ["pool-0007"]


def test_spread_takes_the_regions_in_turn() -> None:
    """Six pools are two of each of three regions; perRegion says so itself."""
    by_region = {pool.target.pool_name: pool.target.region for pool in FLEET}
    spread = cut_by([{"name": "a", "pick": {"count": 6, "spread": "region"}}, REST], FLEET)[0]
    each = cut_by([{"name": "a", "pick": {"perRegion": 2}}, REST], FLEET)[0]

    for found in (spread, each):
        assert sorted(by_region[name] or "" for name in found) == sorted(REGIONS * 2)
        assert len({by_region[name] for name in found[:3]}) == 3


def test_the_order_is_stable_and_not_that_of_the_names() -> None:
    """The same rollout has the same order however the pools were listed; another has another."""
    spec = a_manifest().spec
    one = [pool.key for pool in cut(spec.waves, FLEET, 60, "a")[0].pools]

    assert [pool.key for pool in cut(spec.waves, FLEET[::-1], 60, "a")[0].pools] == one
    assert [pool.key for pool in cut(spec.waves, FLEET, 60, "b")[0].pools] != one
    assert one != sorted(one)


def test_pools_that_no_wave_takes_are_an_error_that_lists_them() -> None:
    """Nothing is dropped silently."""
    with pytest.raises(WavesError) as caught:
        cut_by([{"name": "few", "pick": {"count": 2}}], [a_pool(n) for n in range(4)])

    names: Any = caught.value.facts["pools"]
    assert len(names) == 2
    assert all(name in str(caught.value) for name in names)
    assert "rest: true" in caught.value.do


def test_many_leftovers_are_counted() -> None:
    """The message stays readable; the facts have all of them."""
    with pytest.raises(WavesError) as caught:
        cut_by([{"name": "few", "pick": {"count": 2}}], FLEET)

    assert "and 38 more" in str(caught.value)
