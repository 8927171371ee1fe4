"""Whose turn it is: shares by weight that hold from call to call, and nothing saved up."""

from collections import Counter
from collections.abc import Mapping, Sequence

import pytest

from jobs.fairness import MOST_REMEMBERED, Turns


def jain(shares: Sequence[float]) -> float:
    """Return Jain's index: 1 when all have the same, 1/n when one has everything."""
    return sum(shares) ** 2 / (len(shares) * sum(share**2 for share in shares))


def served(
    turns: Turns[str], ones: Sequence[str], weights: Mapping[str, float], calls: int, count: int
) -> Counter[str]:
    """Return what each was dealt in so many calls."""
    total: Counter[str] = Counter()
    for _ in range(calls):
        total.update(turns.deal(ones, lambda one: weights.get(one, 1.0), count))
    return total


@pytest.mark.parametrize("count", [1, 3, 7, 512])
def test_equal_ones_get_the_same(count: int) -> None:
    """Jain's index is 0.99 or more, whatever the size of a deal."""
    ones = [f"p{number}" for number in range(50)]

    total = served(Turns(), ones, {}, 5000 // count + 1, count)

    assert jain([total[one] for one in ones]) >= 0.99


@pytest.mark.parametrize("count", [1, 4, 64])
@pytest.mark.parametrize(
    "weights", [{"a": 3.0}, {"a": 0.5, "b": 0.25}, {"a": 10.0, "b": 2.0, "c": 0.1}], ids=str
)
def test_shares_follow_the_weights(count: int, weights: dict[str, float]) -> None:
    """Also where a deal is smaller than a weight: what is owed is remembered."""
    ones = ["a", "b", "c"]

    total = served(Turns(), ones, weights, 4000 // count, count)

    whole = sum(weights.get(one, 1.0) for one in ones)
    for one in ones:
        wanted = 4000 * weights.get(one, 1.0) / whole
        assert total[one] == pytest.approx(wanted, abs=2 + 0.01 * wanted)


def test_nobody_saves_up_turns() -> None:
    """Who was away for a thousand turns gets its share from now on, and not a thousand at once."""
    turns: Turns[str] = Turns()
    served(turns, ["a"], {}, 100, 10)

    assert served(turns, ["a", "late"], {}, 1, 10) == {"a": 5, "late": 5}


def test_turns_that_nobody_used_are_given_back() -> None:
    """A lane that had less than its turns is not charged for the rest."""
    turns: Turns[str] = Turns()
    turns.deal(["b", "a"], lambda _: 1.0, 20)
    turns.give_back("a", 1.0, 10)

    assert served(turns, ["b", "a"], {}, 1, 1) == {"a": 1}


def test_a_single_one_is_charged_as_many_would_be() -> None:
    """The short way for one lane keeps the same account."""
    turns: Turns[str] = Turns()
    one_by_one: Turns[str] = Turns()

    assert turns.deal(["a"], lambda _: 2.0, 8) == {"a": 8}
    for _ in range(8):
        one_by_one.serve("a", 2.0)

    for who in ("a", "b"):
        assert turns.start(who) == one_by_one.start(who)


def test_the_memory_is_bounded() -> None:
    """However many there ever were, no more are kept than say something."""
    turns: Turns[int] = Turns()
    for one in range(3 * MOST_REMEMBERED):
        turns.serve(one)

    assert len(turns._finish) <= MOST_REMEMBERED + 1
