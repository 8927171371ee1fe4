"""How long plug-ins usually take: few looks, and soon after it is so."""

import random
from collections.abc import Callable
from statistics import mean

import pytest

from jobs.decide import Rules
from jobs.model import Progress
from jobs.usual import MOST_KNOWN, UsualTimes

NAME = "node-local-dns"
Took = Callable[[random.Random], float]


def watched(rules: Rules, took_s: float) -> tuple[int, float]:
    """Return looks and delay of one job that settles after so long, and let it teach."""
    progress = Progress(version="1.0")
    at = rules.look_s(progress, NAME, 0.0)
    looks, last = 1, 0.0
    while at < took_s:
        progress = Progress(version="1.0", polls=looks)
        last, at, looks = at, at + rules.look_s(progress, NAME, at), looks + 1
    if rules.usual is not None:
        rules.usual.took(NAME, "1.0", over_s=last, by_s=at)
    return looks, at - took_s


def figures(usual: UsualTimes | None, took: Took, seed: int) -> tuple[float, float, float]:
    """Return mean looks, mean delay and longest delay of 300 jobs, after ten that teach."""
    rng = random.Random(seed)
    rules = Rules(usual=usual)
    seen = [watched(rules, took(rng)) for _ in range(310)][10:]
    return (
        mean(looks for looks, _ in seen),
        mean(delay for _, delay in seen),
        max(delay for _, delay in seen),
    )


TIMES: dict[str, tuple[Took, float]] = {
    "always-60": (lambda _: 60.0, 1.6),
    "20-to-60": (lambda rng: rng.uniform(20.0, 60.0), 1.8),
    "30-to-90": (lambda rng: rng.uniform(30.0, 90.0), 2.3),
    "about-60": (lambda rng: rng.lognormvariate(4.1, 0.3), 2.3),
    "8-to-12": (lambda rng: rng.uniform(8.0, 12.0), 1.5),
}


@pytest.mark.parametrize("times", TIMES)
@pytest.mark.parametrize("seed", [900, 901])  # not those that the numbers were chosen with: 1, 7
def test_known_times_need_one_or_two_looks_and_no_more_delay(times: str, seed: int) -> None:
    """Fewer looks by more than a quarter, no later on average, and never later than a bound."""
    took, most = TIMES[times]
    blind = figures(None, took, seed)
    learned = figures(UsualTimes(), took, seed)

    assert learned[0] <= most
    assert learned[0] <= 0.75 * blind[0]
    assert learned[1] <= blind[1] + 0.5
    assert learned[2] <= Rules().usual_max_s


def test_what_takes_very_long_is_looked_at_all_the_same() -> None:
    """No look is further away than the bound, however long it usually takes."""
    usual = UsualTimes()
    usual.took(NAME, "1.0", over_s=500.0, by_s=600.0)
    rules = Rules(usual=usual)

    assert rules.look_s(Progress(version="1.0"), NAME, 0.0) == rules.usual_max_s


def test_the_first_look_is_never_earlier_than_is_set() -> None:
    """What settles at once is looked at once, when one look is enough."""
    usual = UsualTimes()
    usual.took(NAME, "1.0", over_s=0.0, by_s=0.5)

    assert Rules(usual=usual).look_s(Progress(version="1.0"), NAME, 0.0) == 5.0


def test_looks_after_the_usual_time_come_soon_and_then_less_often() -> None:
    """What is late is most often a little late; what hangs is looked at as seldom as ever."""
    usual = UsualTimes()
    usual.took(NAME, "1.0", over_s=58.0, by_s=60.0)
    rules = Rules(usual=usual)

    waits = [rules.look_s(Progress(version="1.0"), NAME, at) for at in (60.0, 100.0, 900.0)]

    assert waits == [9.0, 15.0, 30.0]


def test_a_new_version_begins_with_what_the_plug_in_usually_takes() -> None:
    """And a plug-in that nobody knows is watched as the settings say."""
    usual = UsualTimes()
    usual.took(NAME, "1.0", over_s=50.0, by_s=54.0)

    assert usual.seconds(NAME, "2.0") == usual.seconds(NAME, "1.0") == 53.0
    assert usual.seconds("other", "1.0") is None
    assert Rules(usual=usual).look_s(Progress(version="1.0"), "other", 0.0) == 5.0


def test_times_that_change_are_followed() -> None:
    """Twice as slow from one day to the next: known again after eight jobs."""
    rules = Rules(usual=UsualTimes())
    for _ in range(30):
        watched(rules, 30.0)
    for _ in range(8):
        watched(rules, 60.0)

    assert rules.usual is not None
    assert rules.usual.seconds(NAME, "1.0") == pytest.approx(60.0, rel=0.1)


def test_the_memory_of_times_is_bounded() -> None:
    """The plug-ins seen last are remembered."""
    usual = UsualTimes()
    for number in range(2 * MOST_KNOWN):
        usual.took(f"p{number}", None, over_s=1.0, by_s=2.0)

    assert usual.seconds("p0", None) is None
    assert usual.seconds(f"p{2 * MOST_KNOWN - 1}", None) is not None
