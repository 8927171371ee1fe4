"""Inputs are merged in full, compared by what was asked for, and told by their paths."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.inputs import PATHS_SHOWN, changed_paths, contains, merged

SCALARS = st.none() | st.booleans() | st.integers(-9, 9) | st.sampled_from(["", "a", "5"])
JSON = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3)
    ),
    max_leaves=8,
)
TREES = st.dictionaries(st.sampled_from("abcd"), JSON, max_size=4)
quick = settings(max_examples=40, deadline=None, derandomize=True)


@quick
@given(under=TREES, over=TREES)
def test_what_is_laid_over_is_there(under: dict[str, Any], over: dict[str, Any]) -> None:
    """Whatever a job asks for is in the tree that is sent."""
    assert contains(merged(under, over), over)


@quick
@given(under=TREES, over=TREES)
def test_what_nobody_touched_is_kept(under: dict[str, Any], over: dict[str, Any]) -> None:
    """Every input that the job does not name is sent as it was installed."""
    tree = merged(under, over)

    assert all(tree[key] == value for key, value in under.items() if key not in over)
    assert set(tree) == set(under) | set(over)


@quick
@given(tree=TREES, over=TREES)
def test_merging_again_changes_nothing(tree: dict[str, Any], over: dict[str, Any]) -> None:
    """A retry that reads what the first send installed sends the same tree."""
    once = merged(tree, over)

    assert merged(once, over) == once


@quick
@given(under=TREES, over=TREES)
def test_merging_leaves_its_sources_alone(under: dict[str, Any], over: dict[str, Any]) -> None:
    """A frozen read stays what it was."""
    before = repr((under, over))
    merged(under, over)

    assert repr((under, over)) == before


@pytest.mark.parametrize(
    ("under", "over", "tree"),
    [
        ({}, None, {}),
        ({"a": 1}, None, {"a": 1}),
        ({"a": {"b": 1, "c": 2}}, {"a": {"b": 5}}, {"a": {"b": 5, "c": 2}}),
        ({"a": {"b": {"c": 1, "d": 2}}}, {"a": {"b": {"c": 3}}}, {"a": {"b": {"c": 3, "d": 2}}}),
        ({"a": [1, 2]}, {"a": [3]}, {"a": [3]}),
        ({"a": {"b": 1}}, {"a": 5}, {"a": 5}),
        ({"a": 5}, {"a": {"b": 1}}, {"a": {"b": 1}}),
        ({"a": 5}, {"a": None}, {"a": None}),
        ({"a": {"b": 1}}, {"a": {}}, {"a": {"b": 1}}),
    ],
)
def test_objects_are_merged_and_everything_else_is_replaced(
    under: dict[str, Any], over: dict[str, Any] | None, tree: dict[str, Any]
) -> None:
    """Object by object; a list, a text or a null takes the place of what was there."""
    assert merged(under, over) == tree


@quick
@given(tree=JSON)
def test_everything_contains_itself(tree: Any) -> None:
    """What came back as it was sent is as wanted."""
    assert contains(tree, tree)


@pytest.mark.parametrize(
    ("shown", "asked", "there"),
    [
        ({"a": 1, "added": 2}, {"a": 1}, True),
        ({"a": {"b": 1, "added": 2}}, {"a": {"b": 1}}, True),
        ({"a": [{"b": 1, "added": 2}]}, {"a": [{"b": 1}]}, True),
        ({}, {"a": None}, False),
        ({"a": None}, {"a": None}, True),
        ({"a": 1}, {"a": 1.0}, True),
        ({"a": 1}, {"a": True}, False),
        ({"a": True}, {"a": 1}, False),
        ({"a": 0}, {"a": False}, False),
        ({"a": "5"}, {"a": 5}, False),
        ({"a": [1, 2]}, {"a": [2, 1]}, False),
        ({"a": [1, 2]}, {"a": [1]}, False),
        ({"a": "b"}, {"a": ["b"]}, False),
        ({"a": "b"}, {"a": {"b": 1}}, False),
        ({"a": {"b": 1}}, {"a": "b"}, False),
        ({"a": 1}, {}, True),
    ],
)
def test_only_what_was_asked_for_is_compared(shown: Any, asked: Any, there: bool) -> None:  # noqa: FBT001 - a case
    """The cloud may add keys of its own; values are compared as JSON compares them."""
    assert contains(shown, asked) is there


@pytest.mark.parametrize(
    ("before", "after", "paths"),
    [
        (None, None, ()),
        (None, {"a": 1}, ("a",)),
        ({"a": 1}, None, ("a",)),
        ({"a": 1, "b": 2}, {"a": 1, "b": 3}, ("b",)),
        ({"a": {"b": 1, "c": 2}}, {"a": {"b": 1, "c": 3, "d": 4}}, ("a.c", "a.d")),
        ({"a": {"b": 1}}, {"a": {}}, ("a.b",)),
        ({"a": {"b": 1}}, {"a": 1}, ("a",)),
        ({"a": True}, {"a": 1}, ("a",)),
        ({"a": 1}, {"a": 1.0}, ()),
        ({"a": [{"b": 1, "c": 2}]}, {"a": [{"b": 1}]}, ("a",)),
        ({"a": [{"b": 1}]}, {"a": [{"b": 1, "c": 2}]}, ("a",)),
        ({"a": None}, {}, ("a",)),
    ],
)
def test_a_change_is_told_by_its_paths(
    before: dict[str, Any] | None, after: dict[str, Any] | None, paths: tuple[str, ...]
) -> None:
    """Every path that differs is named, and no value is."""
    assert changed_paths(before, after) == paths


def test_very_many_changes_are_cut() -> None:
    """A record stays small, however large the inputs are."""
    many = {f"key-{number:03}": number for number in range(500)}

    assert changed_paths({}, many) == tuple(sorted(many)[:PATHS_SHOWN])


@quick
@given(before=TREES, after=TREES)
def test_no_path_means_no_change(before: dict[str, Any], after: dict[str, Any]) -> None:
    """When nothing is named, the two trees contain each other."""
    if not changed_paths(before, after):
        assert contains(before, after)
        assert contains(after, before)
