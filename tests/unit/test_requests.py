"""The job request: what is accepted, when two are the same, and what is said about a bad one."""

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.errors import BadRequestError
from jobs.model import InputsBase, JobRequest, PluginWish, Target
from jobs.requests import (
    JobRequestBody,
    Problem,
    parse_request,
    problems_of,
    refusal,
)
from tests import planted

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


def refused(value: object) -> tuple[Problem, ...]:
    """Return why it is not accepted."""
    with pytest.raises(BadRequestError) as caught:
        parsed(value)
    return problems_of(caught.value)


def nested(depth: int) -> dict[str, Any]:
    """Return inputs of that many levels."""
    value: Any = {}
    for _ in range(depth - 1):
        value = {"a": value}
    return dict(value)


def test_every_field_arrives() -> None:
    """What the caller asked for is what the job holds."""
    request = parsed(FULL)

    assert request.target == Target(
        project_id="0a1b2c3d4e5f60718293a4b5c6d7e8f9", pool_name="pool-6f5d", region="cn-north-4"
    )
    assert request.plugin == PluginWish(
        name="node-local-dns",
        version="1.6.36",
        inputs={"custom": {"ndots": "5"}},
        base=InputsBase.CURRENT,
    )
    assert request.source == "cli"
    assert request.idempotency_key == "ticket-4711"
    assert request.priority == 5
    assert request.not_before_us == 1_795_482_000_000_000
    assert request.deadline_s == 2700.0
    assert request.labels == {"change": "CHG-4711"}


def test_three_fields_are_enough() -> None:
    """Only the pool and the plug-in's name must be given; the rest has defaults."""
    request = parsed({"project_id": "p", "pool_name": "x", "plugin": {"name": "v"}})

    assert request.plugin == PluginWish(name="v")
    assert request.target.region is None
    assert (request.priority, request.not_before_us, request.deadline_s) == (0, None, None)
    assert request.labels == {}
    assert request.idempotency_key is None


def test_null_is_the_same_as_leaving_a_field_out() -> None:
    """Programs that write null for what they do not know are understood."""
    optional = ("region", "idempotency_key", "priority", "not_before", "deadline", "labels")
    inner = ("version", "inputs", "base")

    explicit = parsed(with_(dict.fromkeys(inner), **dict.fromkeys(optional)))

    assert explicit == parsed(with_(dict.fromkeys(inner, ...), **dict.fromkeys(optional, ...)))


def test_any_mapping_is_taken_and_left_as_it_is() -> None:
    """A caller in Python may hand in a read-only mapping; nothing of it is changed."""
    value = MappingProxyType({**FULL, "_problem": "old reason"})

    assert parsed(value) == parsed(FULL)
    assert value["_problem"] == "old reason"


@pytest.mark.parametrize(
    ("written", "instant_us"),
    [
        ("2026-11-24T01:00:00Z", 1_795_482_000_000_000),
        ("2026-11-24t01:00:00z", 1_795_482_000_000_000),
        ("2026-11-24 01:00:00+00:00", 1_795_482_000_000_000),
        ("2026-11-24T09:00:00+08:00", 1_795_482_000_000_000),
        ("2026-11-23T19:30:00-05:30", 1_795_482_000_000_000),
        ("2026-11-24T01:00:00.5Z", 1_795_482_000_500_000),
        ("2026-11-24T01:00:00.123456789Z", 1_795_482_000_123_456),
        ("1970-01-01T00:00:00Z", 0),
        ("0001-01-01T00:00:00+23:59", -62_135_683_140_000_000),
        ("9999-12-31T23:59:59Z", 253_402_300_799_000_000),
    ],
)
def test_an_instant_is_read_exactly(written: str, instant_us: int) -> None:
    """The same instant in any offset is the same start, to the microsecond."""
    assert parsed(with_(not_before=written)).not_before_us == instant_us


@pytest.mark.parametrize(
    ("written", "seconds"),
    [("45m", 2700.0), (2700, 2700.0), ("1s", 1.0), (1.5, 1.5), ("30d", 2592e3)],
)
def test_a_deadline_is_text_or_seconds(written: object, seconds: float) -> None:
    """45m and 2700 mean the same."""
    assert parsed(with_(deadline=written)).deadline_s == seconds


def test_limits_are_inclusive() -> None:
    """What lies exactly on a limit is accepted."""
    at_limits = with_(
        {"inputs": {"a": "x" * (64 * 1024 - 8)}},
        idempotency_key="~" * 255,
        priority=-1000,
        labels={f"{number:0128d}": "v" * 256 for number in range(64)},
        pool_name="p" * 128,
        project_id="p" * 64,
    )

    assert parsed(at_limits).priority == -1000
    assert parsed(with_({"inputs": nested(20)})).plugin.inputs == nested(20)
    assert parsed(with_(priority=1000)).priority == 1000


def test_all_problems_are_told_at_once() -> None:
    """Nobody has to hand a request in five times to learn five mistakes."""
    problems = refused(
        {
            "pool_name": "a/b",
            "plugin": {"name": "..", "versoin": "1", "inputs": {"a": nested(20)}},
            "priority": 5000,
        }
    )

    paths = {problem.path for problem in problems}
    assert paths == {
        *("project_id", "pool_name", "priority"),
        *("plugin.name", "plugin.versoin", "plugin.inputs"),
    }


def test_a_near_miss_explains_the_missing_field() -> None:
    """A misspelt field is one problem, not two."""
    [problem] = refused({"project_id": "p", "pool_nmae": "x", "plugin": {"name": "v"}})

    assert problem == Problem(
        path="pool_nmae",
        message="unknown field 'pool_nmae'",
        suggestion="did you mean 'pool_name'?",
    )


@pytest.mark.parametrize(
    ("value", "suggestion"),
    [
        (with_({"versoin": "1"}), "did you mean 'version'?"),
        (with_({"input": {}}), "did you mean 'inputs'?"),
        (with_(projectId="p"), "did you mean 'project_id'?"),
        (with_(versoin="1"), "did you mean 'plugin.version'?"),
        (with_(version="1"), "move it there"),
        (with_({"priority": 1}), "move it there"),
        (with_({"base": "Curent"}), "did you mean 'current'?"),
        (with_(region="CN-North-4"), "did you mean 'cn-north-4'?"),
        (with_(pool_name=" pool-a\n"), "remove the space around it"),
        (with_(pool_name="\uff50ool"), "did you mean 'pool'?"),
        (
            with_({"version": 1.1}),
            'write it in quotes, as "1.1"; the numbers 1.10 and 1.1 are the same',
        ),
        (with_(not_before="2026-11-24T01:00:00"), "end it with Z for UTC, or with +08:00"),
        (with_(frobnicate=1), None),
    ],
)
def test_a_suggestion_says_what_to_write(value: object, suggestion: str | None) -> None:
    """A mistake with an obvious correction comes with it, any other with none."""
    [problem] = refused(value)

    assert problem.suggestion == suggestion


@pytest.mark.parametrize(
    ("name", "fragment"),
    [
        (
            "a/b",
            "pool_name 'a/b': '/' may not stand in a name; a name is letters, digits, '.', '_'",
        ),
        ("a%2eb", "'%' may not stand"),
        ("a..b", "'..' may not stand"),
        (".", "may not begin with '.'"),
        ("-a", "may not begin with '-'"),
        ("", "is empty"),
        ("p\u043e\u043el", "(U+043E CYRILLIC SMALL LETTER O) may not stand"),
        ("a\u200bb", "U+200B (ZERO WIDTH SPACE) may not stand"),
        ("a\nb", "'a\\nb': U+000A (a control character)"),
        ("a b", "U+0020 (SPACE)"),
        ("p" * 129, "has 129 characters, more than 128"),
        ("p" * 5000, "…' has 5000 characters"),
    ],
)
def test_a_bad_name_is_told_by_its_character(name: str, fragment: str) -> None:
    """The one who looks at two equal looking names learns which letter is the other one."""
    [problem] = refused(with_(pool_name=name))

    assert fragment in problem.message
    assert len(problem.message) < 250
    assert problem.message.isprintable()


def test_a_flood_of_problems_is_cut() -> None:
    """A request with a thousand wrong fields is answered in a few lines."""
    problems = refused({**FULL, **{f"x{number}": 1 for number in range(1000)}})

    assert len(problems) == 21
    assert problems[-1].message == "980 more problems are not listed"


SECRET = planted.secret_input("hunter2-")


@pytest.mark.parametrize(
    "value",
    [
        with_({"inputs": {"password": SECRET, "x": math.nan}}),
        with_({"inputs": {"password": SECRET, "x": {1, 2}}}),
        with_({"inputs": {"password": SECRET * 10_000}}),
        with_({"inputs": {"password": SECRET, "x": 2**70}}),
        with_({"inputs": SECRET}),
        with_({"inputs": [SECRET]}),
        with_({"inputs": {"password": SECRET}, "name": 5}),
        with_({"inputs": {"password": SECRET + "\ud800"}}),
        {**FULL, "plugin": [SECRET]},
        {**FULL, "plugin": SECRET},
        SECRET,
        [SECRET],
    ],
)
def test_inputs_never_reach_an_error(value: object) -> None:
    """What a plug-in's inputs hold is in no message, fact, cause or context of the error."""
    with pytest.raises(BadRequestError) as caught:
        parsed(value)

    error = caught.value
    assert SECRET not in f"{error} {error!r} {error.as_dict()} {error.facts}"
    assert error.__cause__ is None
    assert error.__context__ is None


def test_inputs_never_reach_a_repr() -> None:
    """A request or body that is printed by accident does not show inputs."""
    value = with_({"inputs": {"password": SECRET}})

    assert SECRET not in repr(parsed(value))
    assert SECRET not in repr(JobRequestBody.model_validate(value))


@settings(deadline=None)
@given(
    st.dictionaries(
        st.sampled_from([*FULL, "_problem"]) | st.text(max_size=6),
        JSON_VALUES | st.floats() | st.sampled_from([FULL["plugin"], "2026-11-24T01:00:00Z", "p"]),
        max_size=6,
    )
    | JSON_VALUES
)
def test_whatever_is_handed_in_is_accepted_or_refused(value: object) -> None:
    """No value makes parsing fail in any other way, and a refusal always says why."""
    try:
        request = parsed(value)
    except BadRequestError as error:
        problems = problems_of(error)
    else:
        assert len(request.fingerprint) == 64
        return

    assert problems
    assert all(problem.message for problem in problems)


def test_an_error_made_elsewhere_still_has_a_problem() -> None:
    """Code that shows problems need not know who raised the error."""
    assert problems_of(BadRequestError("no")) == (Problem(path="", message="no"),)
    assert refusal([Problem(path="a", message="m", suggestion="s")]).do == "s"


def test_a_problem_reads_as_one_line() -> None:
    """Place, message and suggestion stand in one line."""
    assert str(Problem(path="a", message="m", suggestion="s", column=3)) == "column 3: m (s)"
    assert str(Problem(path="a", message="m")) == "m"
