"""When two job requests are the same: fingerprint and natural key."""

import random
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.model import JobRequest
from jobs.requests import (
    fingerprint,
    natural_key,
    parse_request,
)

FULL: dict[str, Any] = {
    "project_id": "0a1b2c3d4e5f60718293a4b5c6d7e8f9",
    "pool_name": "pool-6f5d",
    "region": "cn-north-4",
    "plugin": {
        "name": "node-local-dns",
        "version": "1.6.36",
        "inputs": {"custom": {"ndots": "5"}},
        "base": "current",
    },
    "idempotency_key": "ticket-4711",
    "priority": 5,
    "not_before": "2026-11-24T01:00:00Z",
    "deadline": "45m",
    "labels": {"change": "CHG-4711"},
}


FINGERPRINT = "4c8715259a319009706dfa1a8e1ce47719b08b0d7628dd802521fe1f5cfdabd4"


NATURAL_KEY = "4ad9087162845eed9e687d28e53cd76ef68e7291eb58e41bd46a313433b082df"


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=10,
)


def with_(plugin: Mapping[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    """Return the full request with some fields changed; a field that is ... is left out."""
    merged = {**FULL, **changes, "plugin": {**FULL["plugin"], **(plugin or {})}}
    merged["plugin"] = {key: value for key, value in merged["plugin"].items() if value is not ...}
    return {key: value for key, value in merged.items() if value is not ...}


def parsed(value: object) -> JobRequest:
    """Parse it under the source cli."""
    return parse_request(value, source="cli")


Change = tuple[dict[str, Any], dict[str, Any]]


DIFFERENT: list[Change] = [
    ({}, {"project_id": "q"}),
    ({}, {"pool_name": "q"}),
    ({}, {"region": "ap-southeast-1"}),
    ({}, {"region": ...}),
    ({"name": "volcano"}, {}),
    ({"version": "1.6.37"}, {}),
    ({"version": ...}, {}),
    ({"inputs": {"custom": {"ndots": 5}}}, {}),
    ({"inputs": {"custom": {"ndots": "5", "x": None}}}, {}),
    ({"inputs": {}}, {}),
    ({"inputs": ...}, {}),
    ({"base": "template"}, {}),
    ({"base": "empty"}, {}),
]


DIFFERENT_TERMS: list[Change] = [
    ({}, {"priority": 6}),
    ({}, {"not_before": "2026-11-24T01:00:01Z"}),
    ({}, {"not_before": ...}),
    ({}, {"deadline": "46m"}),
    ({}, {"deadline": ...}),
    ({}, {"labels": {"change": "CHG-4712"}}),
    ({}, {"labels": ...}),
]


@pytest.mark.parametrize("change", DIFFERENT)
def test_another_pool_or_plugin_is_another_request(change: Change) -> None:
    """Whatever is asked of whichever pool goes into both digests."""
    other = parsed(with_(change[0], **change[1]))

    assert other.fingerprint != parsed(FULL).fingerprint
    assert other.natural_key != parsed(FULL).natural_key


@pytest.mark.parametrize("change", DIFFERENT_TERMS)
def test_other_terms_are_other_content_but_the_same_wish(change: Change) -> None:
    """A changed priority or label under an old key is a conflict, yet asks for the same thing."""
    other = parsed(with_(change[0], **change[1]))

    assert other.fingerprint != parsed(FULL).fingerprint
    assert other.natural_key == parsed(FULL).natural_key


def test_all_differences_differ_from_each_other() -> None:
    """No two of the changes above look alike."""
    prints = {parsed(with_(inner, **outer)).fingerprint for inner, outer in DIFFERENT}
    terms = {parsed(with_(inner, **outer)).fingerprint for inner, outer in DIFFERENT_TERMS}

    assert len(prints | terms) == len(DIFFERENT) + len(DIFFERENT_TERMS)


def test_writing_differently_is_no_difference() -> None:
    """Defaults, spelling of times and the key itself do not make another request."""
    plain = parsed(with_({"base": ...}, priority=..., idempotency_key=..., deadline=2700))
    spelt = parsed(
        with_(
            priority=0, idempotency_key="k", deadline="45m", not_before="2026-11-24T09:00:00+08:00"
        )
    )

    assert plain.fingerprint == spelt.fingerprint
    assert parse_request(FULL, source="http").fingerprint == parsed(FULL).fingerprint


def _shuffled(value: Any, chance: random.Random) -> Any:
    if isinstance(value, dict):
        items = [(key, _shuffled(inner, chance)) for key, inner in value.items()]
        chance.shuffle(items)
        return dict(items)
    return [_shuffled(inner, chance) for inner in value] if isinstance(value, list) else value


@settings(deadline=None, max_examples=60)
@given(
    inputs=st.dictionaries(st.text(max_size=5), JSON_VALUES, max_size=4),
    labels=st.dictionaries(st.sampled_from("abcdef"), st.sampled_from("xyz")),
    seed=st.integers(),
)
def test_the_order_of_keys_makes_no_difference(
    inputs: dict[str, Any], labels: dict[str, str], seed: int
) -> None:
    """The same object in any order has the same fingerprint and natural key."""
    value = with_({"inputs": inputs}, labels=labels)

    shuffled = parsed(_shuffled(value, random.Random(seed)))

    assert shuffled.fingerprint == parsed(value).fingerprint
    assert shuffled.natural_key == parsed(value).natural_key


def test_the_digests_never_change() -> None:
    """Stored fingerprints must match those of a later release, or every key would conflict."""
    assert parsed(FULL).fingerprint == FINGERPRINT
    assert parsed(FULL).natural_key == NATURAL_KEY


def test_digests_can_be_made_without_a_document() -> None:
    """A part that makes requests itself gets the digests intake would compute."""
    request = parsed(FULL)
    terms = {
        "priority": request.priority,
        "not_before_us": request.not_before_us,
        "deadline_s": request.deadline_s,
        "labels": request.labels,
    }

    assert fingerprint(request.target, request.plugin, terms) == request.fingerprint
    assert natural_key(request.target, request.plugin) == request.natural_key
