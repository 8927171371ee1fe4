"""Strict JSON: what is accepted is exactly what was written; what is refused says where."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.requests.jsonscan import first_problem, member_places
from jobs.requests.strictjson import JsonError, depth_exceeds, loads, locate

# Colons, quotes and backslashes stand in texts often, because the check counts colons.
TEXTS = st.text(st.sampled_from(':":\\{}[],a0\u00e9\U0001f600\n') | st.characters(codec="utf-8"))
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=20,
)


class _Planted(str):
    """A key that is written once more with another value."""

    __slots__ = ()


def _written(value: Any, *, escaped: bool, planted: str = "", first: bool = True) -> str:
    """Write JSON by hand, so that a planted key can stand twice in its object."""
    if isinstance(value, dict):
        members = []
        for key, inner in value.items():
            name = "".join(f"\\u{ord(char):04x}" for char in key) if escaped else key
            quoted = f'"{name}"' if escaped and key.isascii() else json.dumps(key)
            members.append(
                f"{quoted}:{_written(inner, escaped=escaped, planted=planted, first=first)}"
            )
            if isinstance(key, _Planted):
                members.insert(0 if first else len(members), f"{json.dumps(str(key))}:{planted}")
        return "{" + ",".join(members) + "}"
    if isinstance(value, list):
        return (
            "["
            + ",".join(
                _written(inner, escaped=escaped, planted=planted, first=first) for inner in value
            )
            + "]"
        )
    return json.dumps(value)


BAD = [
    (b"", 1, 1, "ends before a value"),
    (b"   ", 1, 4, "ends before a value"),
    (b"{", 1, 2, "a '}' is missing"),
    (b"[", 1, 2, "a ']' is missing"),
    (b'{"a"', 1, 5, "a '}' is missing"),
    (b'{"a":', 1, 6, "a '}' is missing"),
    (b'{"a":1', 1, 7, "a '}' is missing"),
    (b'{"a":1,', 1, 8, "a '}' is missing"),
    (b'{"a":1,}', 1, 8, "a comma stands before '}'"),
    (b"[1,]", 1, 4, "a comma stands before ']'"),
    (b"[,1]", 1, 2, "a value is missing before ','"),
    (b'{"a":}', 1, 6, "a value is missing before '}'"),
    (b'{"a" 1}', 1, 6, "a ':' is missing"),
    (b'{"a":1 "b":2}', 1, 8, "a ',' or '}' is missing"),
    (b"[1 2]", 1, 4, "a ',' or ']' is missing"),
    (b"[1}", 1, 3, "a ',' or ']' is missing"),
    (b"{} {}", 1, 4, "something follows"),
    (b'{"a":1}\n\n {"b":2}', 3, 2, "something follows"),
    (b"{'a':1}", 1, 2, "is not a quote"),
    (b"{a:1}", 1, 2, "a field name must stand here"),
    (b"{1:1}", 1, 2, "a field name must stand here"),
    (b"[01]", 1, 2, "writes a number"),
    (b"[.5]", 1, 2, "writes a number"),
    (b"[1.]", 1, 2, "writes a number"),
    (b"[+1]", 1, 2, "writes a number"),
    (b"[0x1F]", 1, 2, "writes a number"),
    (b"[1e999]", 1, 2, "a number is too large"),
    (b"[-1e999]", 1, 2, "a number is too large"),
    (b"[18446744073709551616]", 1, 2, "does not fit into 64 bits"),
    (b"[-9223372036854775809]", 1, 2, "does not fit into 64 bits"),
    (b"[" + b"9" * 5000 + b"]", 1, 2, "does not fit into 64 bits"),
    (b"[NaN]", 1, 2, "NaN is not a JSON value"),
    (b"[Infinity]", 1, 2, "Infinity is not a JSON value"),
    (b"[-Infinity]", 1, 2, "-Infinity is not a JSON value"),
    (b"[True]", 1, 2, "True is not a JSON value"),
    (b"[None]", 1, 2, "None is not a JSON value"),
    (b"[secret]", 1, 2, "a word without quotes"),
    (b'["a]', 1, 2, "is not closed"),
    (b'["a\\q"]', 1, 4, "is no escape"),
    (b'["\\u12"]', 1, 3, "is no escape"),
    (b'["a\tb"]', 1, 4, "U+0009"),
    (b'["a\x00b"]', 1, 4, "U+0000"),
    (b'["\\ud800"]', 1, 2, "half of a surrogate pair"),
    (b'["\\ude00\\ud83d"]', 1, 2, "half of a surrogate pair"),
    (b'{"\\udc00":1}', 1, 2, "half of a surrogate pair"),
    (b'["\xed\xa0\x80"]', 1, 3, "byte 3 (0xED) is not UTF-8"),
    (b'["\xc3\xa9\xff"]', 1, 4, "byte 5 (0xFF) is not UTF-8"),
    (b"\xef\xbb\xbf{}", 1, 1, "U+FEFF"),
    (b"// no\n{}", 1, 1, "no comments"),
    (b"{} # no", 1, 4, "no comments"),
    (b"{}\x00", 1, 3, "U+0000"),
    (b'{"a":1,"a":2}', 1, 8, "the field 'a' is there twice"),
    (b'{"a":1,"\\u0061":2}', 1, 8, "the field 'a' is there twice"),
    (b'{"a":"\\u003a","a":2}', 1, 15, "the field 'a' is there twice"),
    (b'{"a":2,"a":"\\u003a"}', 1, 8, "the field 'a' is there twice"),  # as many colons as kept
    (b'{"a":2,"a":"\\u003A"}', 1, 8, "the field 'a' is there twice"),
    (b'{"a":{":":1},"a":2}', 1, 14, "the field 'a' is there twice"),
    (b'{"x":[{"b":1,\n"b":2}]}', 2, 1, "the field 'b' is there twice"),
    (b'{"":1,"":1}', 1, 7, "the field '' is there twice"),
    (b"[" * 23 + b"]" * 23, 1, 23, "more than 22 levels"),
    (b"[" * 100_000, 1, 23, "more than 22 levels"),
    (b'{"a":' * 100_000, 1, 111, "more than 22 levels"),
]


@pytest.mark.parametrize(("data", "line", "column", "fragment"), BAD)
def test_a_bad_text_is_refused_with_its_place(
    data: bytes, line: int, column: int, fragment: str
) -> None:
    """Whoever wrote the text is told what is wrong, in which line and column."""
    with pytest.raises(JsonError) as caught:
        loads(data)

    problem = caught.value.problem
    assert (problem.line, problem.column) == (line, column)
    assert fragment in problem.message


def test_a_refusal_never_repeats_a_value() -> None:
    """A secret that was written without quotes does not come back in the message."""
    for data in (b'{"password": hunter2}', b'{"pin": 0123456789012345678901}', b'{"a":hunter2'):
        with pytest.raises(JsonError) as caught:
            loads(data)
        assert "hunter2" not in str(caught.value)
        assert "123456" not in str(caught.value)
        assert caught.value.__cause__ is None
        assert caught.value.__context__ is None, "the parser's error holds the whole text"


@settings(deadline=None, max_examples=60)
@given(VALUES)
def test_what_is_valid_is_read_as_the_standard_library_reads_it(value: Any) -> None:
    """Nothing that is accepted is changed, whichever way it is escaped and spaced."""
    for text in (
        json.dumps(value),
        json.dumps(value, ensure_ascii=False, indent=1),
        _written(value, escaped=True),
    ):
        read = loads(text.encode(), max_depth=100)

        assert json.dumps(read) == json.dumps(json.loads(text)), "types and order, too"


@settings(deadline=None, max_examples=60)
@given(VALUES)
def test_the_scanner_finds_nothing_wrong_with_what_is_valid(value: Any) -> None:
    """The slow way and the fast way agree on what JSON is."""
    assert first_problem(json.dumps(value, ensure_ascii=False), 200) is None


@pytest.mark.slow
@settings(deadline=None, max_examples=200)
@given(
    around=st.lists(st.dictionaries(TEXTS, VALUES, max_size=3), max_size=3),
    members=st.dictionaries(TEXTS, VALUES, max_size=4),
    key=TEXTS,
    value=VALUES,
    planted=st.sampled_from(["1", '":"', '"\\u003a"', '{":":"::"}']),
    first=st.booleans(),
)
def test_a_planted_duplicate_is_always_found(
    around: list[Any], members: dict[str, Any], key: str, value: Any, planted: str, *, first: bool
) -> None:
    """Two equal keys in one object are never read as one of them."""
    members.pop(key, None)
    document = [*around, {**members, _Planted(key): value}]
    text = _written(document, escaped=not first, planted=planted, first=first)
    json.loads(text)  # it is JSON but for the duplicate

    with pytest.raises(JsonError, match="twice"):
        loads(text.encode(), max_depth=100)


@settings(deadline=None)
@given(st.binary() | TEXTS.map(str.encode) | VALUES.map(lambda value: json.dumps(value).encode()))
def test_no_bytes_at_all_make_it_fail_otherwise(data: bytes) -> None:
    """Any input is either read or refused with a problem that stands inside the text."""
    try:
        loads(data)
    except JsonError as error:
        problem = error.problem
    else:
        return

    assert problem.line >= 1
    assert 1 <= problem.column <= len(data) + 1


@settings(deadline=None, max_examples=60)
@given(VALUES, st.data())
def test_a_cut_text_is_refused_where_it_is_cut(value: Any, data: st.DataObject) -> None:
    """A line that was only half written never counts as a shorter one."""
    text = json.dumps({"a": value})
    cut = text[: data.draw(st.integers(0, len(text) - 1))]

    with pytest.raises(JsonError):
        loads(cut.encode(), max_depth=100)


def test_colons_in_texts_and_escapes_are_no_duplicates() -> None:
    """The count of colons is not fooled by those that are not structure."""
    assert loads(b'{"a:b":"c:\\u003a:\\u003A","d":["::"]}') == {"a:b": "c::::", "d": ["::"]}


def test_long_digits_in_a_text_are_no_large_number() -> None:
    """An id of thirty digits is fine as text, and the largest numbers are fine, too."""
    assert loads(b'["123456789012345678901234567890"]') == ["123456789012345678901234567890"]
    assert loads(b"[18446744073709551615,-9223372036854775808]") == [2**64 - 1, -(2**63)]
    assert loads(b"[0.12345678901234567890123]") == [0.12345678901234567890123]


def test_a_large_text_is_refused_without_a_search_for_the_place() -> None:
    """A wrong body of megabytes costs milliseconds, not seconds."""
    filler = b'"x":[' + b"0," * 600_000 + b"0]"
    with pytest.raises(JsonError, match="twice"):
        loads(b'{"a":1,"a":2,' + filler + b"}")
    with pytest.raises(JsonError, match="column 1200021"):
        loads(b'{"a":1,"b":2,' + filler + b";}")


def test_members_are_found_by_their_path() -> None:
    """A message about a field can say in which column the field stands."""
    text = '{"plugin": {"name": "v", "version": 1}, "list": [{"name": 2}], "é": 3, "x": 4}'

    found = locate(text.encode(), frozenset({"plugin.version", "x", "missing", "list.name"}))

    assert found == {"plugin.version": 26, "list.name": 51, "x": 72}
    assert locate(b"not json", frozenset({"a"})) == {}
    assert locate(b"\xff", frozenset({"a"})) == {}
    assert locate(b'{"a":' + b" " * 1024 * 1024 + b"1}", frozenset({"a"})) == {}
    assert member_places('{\n "a": 1}', frozenset({"a"})) == {"a": 2}


@pytest.mark.parametrize("depth", [0, 1, 2, 5, 22])
def test_depth_counts_objects_and_lists(depth: int) -> None:
    """A text of the permitted depth is read, one level more is not."""
    value: Any = 1
    for level in range(depth):
        value = [value] if level % 2 else {"a": value}

    assert not depth_exceeds(value, depth)
    assert depth_exceeds([value], depth)
    assert loads(json.dumps(value).encode()) == value
