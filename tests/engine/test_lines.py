"""The line before the limiter: fair over projects, with a share that is kept for looks."""

from collections import Counter
from collections.abc import Mapping

import pytest

from worker.line import Kind, Lines, Waiting


def lines(weights: Mapping[str, float] | None = None) -> Lines[int]:
    """Return an empty line."""
    return Lines(weights or {})


def fill(line: Lines[int], project: str, kind: Kind, count: int) -> None:
    """Let so many requests of a project wait."""
    for _ in range(count):
        line.add(Waiting(project, kind))


def take(line: Lines[int], count: int) -> list[Waiting[int]]:
    """Serve so many, whoever's turn it is."""
    served = [line.next(None) for _ in range(count)]
    assert None not in served
    return [one for one in served if one is not None]


def test_many_requests_of_one_project_do_not_delay_another() -> None:
    """With 1,000 of one waiting, ten of each of nine others are through after 100 turns."""
    line = lines()
    fill(line, "big", Kind.SEND, 1000)
    for number in range(9):
        fill(line, f"small-{number}", Kind.SEND, 10)

    served = Counter(one.project for one in take(line, 100))

    assert set(served.values()) == {10}


def test_turns_follow_the_weights_of_projects() -> None:
    """A weight of 3 has three turns for each of the others, evenly spread."""
    line = lines({"gold": 3.0})
    for project in ("gold", "a", "b"):
        fill(line, project, Kind.SEND, 100)

    served = [one.project for one in take(line, 50)]

    assert Counter(served) == {"gold": 30, "a": 10, "b": 10}
    assert " ".join(["gold"] * 5) not in " ".join(served)


def test_who_was_served_out_of_turn_waits_for_it() -> None:
    """A slot that was a project's own counts like any other."""
    line = lines()
    for project in ("a", "b"):
        fill(line, project, Kind.SEND, 10)
    for _ in range(4):
        line.next("a")

    assert [one.project for one in take(line, 5)] == ["b", "b", "b", "b", "a"]


@pytest.mark.parametrize("others", [1, 49])
def test_every_fifth_turn_is_a_look_while_any_wait(others: int) -> None:
    """However many sends of however many projects wait, those who watch are not blind."""
    line = lines()
    fill(line, "watcher", Kind.LOOK, 100)
    for number in range(others):
        fill(line, f"sender-{number}", Kind.SEND, 100)

    served = [one.kind for one in take(line, 200)]

    for start in range(195):
        assert Kind.LOOK in served[start : start + 6]
    assert served.count(Kind.LOOK) >= 0.2 * 200


def test_a_newcomer_has_no_credit_where_slots_are_the_projects_own() -> None:
    """With a limit for each project as well, who comes late takes turns from now on."""
    line = lines()
    fill(line, "old", Kind.SEND, 1000)
    for _ in range(500):
        line.by_project()
        line.next("old")
    fill(line, "new", Kind.SEND, 10)

    firsts = []
    for _ in range(6):
        firsts.append(next(iter(line.by_project())))
        line.next(firsts[-1])

    assert Counter(firsts) == {"old": 3, "new": 3}


def test_looks_of_several_projects_take_turns_in_what_is_kept_for_them() -> None:
    """The reserved turns go round as well."""
    line = lines()
    for project in ("a", "b"):
        fill(line, project, Kind.LOOK, 100)
    for number in range(49):
        fill(line, f"sender-{number}", Kind.SEND, 100)

    looks = Counter(one.project for one in take(line, 200) if one.kind is Kind.LOOK)

    assert abs(looks["a"] - looks["b"]) <= 2


def test_a_line_that_was_left_by_everybody_is_forgotten() -> None:
    """Requests that go away while they wait leave no turn behind."""
    line = lines()
    gone = [Waiting[int]("a", Kind.LOOK) for _ in range(3)]
    for one in gone:
        line.add(one)
    for one in gone:
        line.remove(one)
    fill(line, "b", Kind.SEND, 1)

    assert [one.project for one in take(line, 1)] == ["b"]
    assert line.next(None) is None
    assert len(line) == 0
